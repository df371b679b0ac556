//! The convolution's kernels for software drivers: writes the unrolled part of `shaders/conv3x3_lanes.wgsl`, which
//! explains it, and lowers to it.
//!
//! Generated, because neither naga nor the drivers unroll loops of this size, and accumulators in an array that a
//! variable indexes would live in memory.

use super::super::{Epilogue, LANES_SHADER};
use super::{Sizes, gate_bindings, tiles};
use crate::kernel::{Grid, Lowering, Operand, Param};
use crate::ops::channel_attention::{TILE_COLUMNS, TILE_ROWS};
use glam::UVec3;
use std::fmt::Write;

/// Rows and columns of pixels in an invocation's accumulators; the tile has one more on each side.
const ROWS: usize = 8;
const COLUMNS: usize = 16;
const _: () = assert!(ROWS == TILE_ROWS && COLUMNS == TILE_COLUMNS, "the accumulators are a tile of the statistics");

/// Input channels in the tile at a time: 11.25 KiB.
const CHUNK: usize = 16;
const HEIGHT: usize = ROWS + 2;
const WIDTH: usize = COLUMNS + 2;
const TILE: usize = HEIGHT * WIDTH;

/// Rows of a strip: its accumulators are added to column by column, so that those in use fit the vector registers.
const STRIP: usize = 4;

/// The kernels `few_OUTPUTS` for maps of few channels: outputs, and columns of pixels of an invocation.
const FEW: [(usize, usize); 2] = [(3, 12), (9, 8)];
/// Rows that a workgroup of `few_OUTPUTS` makes; it reads one more on each side.
const FEW_ROWS: usize = 14;
/// Elements of the shader's `shifted`: outputs of which the sums meet at a time.
const SHIFTED: usize = 2304;

/// Input channels of a workgroup of `backward_weight`, pixels that its loop takes at once, and rows and columns of its
/// tiles.
const BLOCK: usize = 8;
const AT_ONCE: usize = 8;
const GRADIENT_TILE: (usize, usize) = (2, 32);

/// The entry points that are unrolled.
pub(in super::super) fn unrolled() -> String {
    let memory = format!(
        "
var<workgroup> tile: array<f32, {}>; // [channel][row][column] with the halo
// few_OUTPUTS: the sums of the upper and of the lower taps, on their way to the lanes beside: [output][column][2][16].
var<workgroup> shifted: array<f32, {SHIFTED}>;
",
        (CHUNK * TILE).max(BLOCK * (GRADIENT_TILE.0 + 2) * (GRADIENT_TILE.1 + 2)),
    );
    FEW.iter().fold(memory + &many(), |text, &(outputs, columns)| text + &few(outputs, columns)) + &gradient()
}

/// Loads the pair `i` behind `k`, `stride` lanes apart, as two names.
fn load(name: &str, i: usize, stride: &str) -> String {
    let pair = format!("            let {name}{i}_pair = two(packed_in[k + {i}u * {stride}]);\n");
    let (first, second) = (2 * i, 2 * i + 1);
    pair + &format!(
        "            let {name}{first} = {name}{i}_pair.x;\n            let {name}{second} = {name}{i}_pair.y;\n"
    )
}

/// `backward_weight`.
fn gradient() -> String {
    let (rows, columns) = GRADIENT_TILE;
    let (width, tile) = (columns + 2, (rows + 2) * (columns + 2));
    let sums: String = (0..9 * BLOCK).map(|i| format!("    var s{i} = 0.0;\n")).collect();
    let loads: String = (0..AT_ONCE / 2).map(|i| load("d", i, "p.co")).collect();
    let bias: String = (0..AT_ONCE).map(|i| format!(" + d{i}")).collect();
    let (mut adds, mut stores) = (String::new(), String::new());
    for c in 0..BLOCK {
        for (ky, x) in (0..3).flat_map(|ky| (0..AT_ONCE + 2).map(move |x| (ky, x))) {
            let _ = writeln!(adds, "            v = tile[t + {}u];", c * tile + ky * width + x);
            for kx in (0..3).filter(|kx| (*kx..kx + AT_ONCE).contains(&x)) {
                let s = 9 * c + 3 * ky + kx;
                let _ = writeln!(adds, "            s{s} = fma(v, d{}, s{s});", x - kx);
            }
        }
        let _ = writeln!(stores, "    if c0 + {c}u < ci {{");
        for tap in 0..9 {
            let s = 9 * c + tap;
            let _ = writeln!(stores, "        sums[out + {s}u] = s{s};");
        }
        let _ = writeln!(stores, "    }}");
    }
    format!(
        "
// A workgroup walks over every splits-th tile of pixels, with LANES output and {BLOCK} input channels; an invocation
// has one output x {BLOCK} inputs x 9 taps. Grid: (ceil(co / LANES), ceil((cx + cr) / {BLOCK}), splits) workgroups.
@compute @workgroup_size(LANES)
fn backward_weight(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {{
    let ci = p.cx + p.cr;
    let o = group.x * LANES + lane;
    let c0 = group.y * {BLOCK}u;
    let across = (p.w + {columns}u - 1u) / {columns}u;
    let tiles = across * ((p.h + {rows}u - 1u) / {rows}u);
    var k = group.z * {pairs}u * p.co + min(o, p.co - 1u);
    var bias = 0.0;
{sums}
    for (var i = group.z; i < p.n * tiles; i += p.splits) {{
        let corner = vec2u(i % tiles % across * {columns}u, i % tiles / across * {rows}u);
        workgroupBarrier();
        for (var e = lane; e < {tile}u; e += LANES) {{
            let row = corner.y + e / {width}u - 1u;
            let column = corner.x + e % {width}u - 1u;
            let inside = row < p.h && column < p.w;
            let at = select(0u, row * p.w + column, inside);
            for (var c = 0u; c < {BLOCK}u; c++) {{
                tile[c * {tile}u + e] = select(0.0, input_at(i / tiles, c0 + c, at), inside);
            }}
        }}
        workgroupBarrier();
        for (var q = 0u; q < {pixels}u; q += {AT_ONCE}u) {{
            let t = (q / {columns}u * {width}u + q % {columns}u) & 0xffffu;
            var v: f32;
{loads}
            bias = bias{bias};
{adds}
            k += {AT_ONCE}u / 2u * p.co;
        }}
        k += (p.splits - 1u) * {pairs}u * p.co;
    }}
    if o >= p.co {{
        return;
    }}
    let start = (group.z * p.co + o) * (ci * 9u + 1u);
    let out = start + c0 * 9u;
{stores}
    if group.y == 0u {{
        sums[start + ci * 9u] = bias;
    }}
}}
",
        pixels = rows * columns,
        pairs = rows * columns / 2,
    )
}

/// `few_OUTPUTS`. Lane = row of the *inputs*; each tap's sum for the pixel beside it is on the wrong lane by ky - 1, so
/// that the three ky have sums of their own, which meet at the end.
fn few(outputs: usize, columns: usize) -> String {
    let sum = |ky: usize, o: usize, column: usize| format!("s{}", (ky * outputs + o) * columns + column);
    let mut start = String::new();
    for c in 0..columns + 2 {
        let _ = writeln!(start, "    let inside{c} = inside && left + {c}u - 1u < p.w;");
        let _ = writeln!(start, "    let pixel{c} = line + min(left + {c}u - 1u, p.w - 1u);");
        let _ = writeln!(start, "    let gate{c} = sgate[select(0u, image * p.h * p.w + pixel{c}, GATED == 1u)];");
    }
    for i in 0..3 * outputs * columns {
        let _ = writeln!(start, "    var s{i} = 0.0;");
    }
    let each = |text: &dyn Fn(usize) -> String| -> String { (0..columns + 2).map(text).collect() };
    let loads = |map: &str| each(&|c| format!("                v{c} = {map}[at + pixel{c}];\n"));
    let (from_x, from_r) = (loads("x"), loads("r"));
    let values = each(&|c| format!("            var v{c}: f32;\n"));
    let zeros = each(&|c| format!("            v{c} = select(0.0, v{c}, inside{c});\n"));
    let gates = each(&|c| format!("                v{c} = v{c} * g * gate{c};\n"));
    let mut adds = String::new();
    for o in 0..outputs {
        for tap in 0..9 {
            if tap % 2 == 0 {
                let _ =
                    writeln!(adds, "            w = two(packed_in[k + {}u * p.co + min({o}u, p.co - 1u)]);", tap / 2);
            }
            for column in 0..columns {
                let (s, w) = (sum(tap / 3, o, column), ["w.x", "w.y"][tap % 2]);
                let _ = writeln!(adds, "            {s} = fma(v{}, {w}, {s});", column + tap % 3);
            }
        }
    }
    // As many outputs at a time as `shifted` has room for.
    let mut ends = String::new();
    let room = SHIFTED / (32 * columns);
    for o in 0..outputs {
        let at = |column: usize| (o % room * columns + column) * 32;
        if o % room == 0 {
            let _ = writeln!(ends, "    workgroupBarrier();");
            for (o, column) in (o..outputs.min(o + room)).flat_map(|o| (0..columns).map(move |column| (o, column))) {
                let (at, upper, lower) = ((o % room * columns + column) * 32, sum(0, o, column), sum(2, o, column));
                let _ =
                    writeln!(ends, "    shifted[{at}u + lane] = {upper};\n    shifted[{}u + lane] = {lower};", at + 16);
            }
            let _ = writeln!(ends, "    workgroupBarrier();");
        }
        for column in 0..columns {
            let (at, middle) = (at(column), sum(1, o, column));
            let _ = writeln!(
                ends,
                "    put_epilogue(((image * p.co + {o}u) * p.h + own) * p.w + left + {column}u, \
                 inner && {o}u < p.co && {column}u + left < p.w, \
                 two(packed_in[bias + min({o}u, p.co - 1u)]).x + shifted[{at}u + before] + {middle} + shifted[{}u + after]);",
                at + 16,
            );
        }
    }
    format!(
        "
@compute @workgroup_size(16)
fn few_{outputs}(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {{
    let lane = local.x;
    let image = group.z;
    let own = group.y * {FEW_ROWS}u + lane - 1u;
    let left = group.x * {columns}u;
    let inside = own < p.h; // the row above the image wraps around and is out of range, too
    let line = min(own, p.h - 1u) * p.w;
{start}
    var k = 0u;
    for (var part = 0u; part < 2u; part++) {{
        let count = select(p.cx, p.cr, part == 1u);
        var at = image * count * p.h * p.w;
        for (var c = 0u; c < count; c++) {{
{values}            if part == 0u {{
{from_x}            }} else {{
{from_r}            }}
{zeros}            if GATED == 1u && part == 1u {{
                let g = cgate[image * p.cr + c];
{gates}            }}
            var w: vec2f;
{adds}            k += 5u * p.co;
            at += p.h * p.w;
        }}
    }}
    let inner = inside && lane > 0u && lane <= {FEW_ROWS}u;
    let before = max(lane, 1u) - 1u;
    let after = min(lane + 1u, 15u);
    let bias = (p.cx + p.cr) * 5u * p.co;
{ends}}}
"
    )
}

/// The entry point `forward`.
fn many() -> String {
    let sums: String = (0..ROWS * COLUMNS).map(|i| format!("    var a{i} = bias;\n")).collect();
    let taps: String = (0..5).map(|t| load("w", t, "LANES")).collect();
    let mut adds = String::new();
    for top in (0..ROWS).step_by(STRIP) {
        for (column, row) in (0..WIDTH).flat_map(|column| (top..top + STRIP + 2).map(move |row| (column, row))) {
            let _ = writeln!(adds, "            v = tile[t + {}u];", row * WIDTH + column);
            for tap in 0..9 {
                let (y, x) = (row.wrapping_sub(tap / 3), column.wrapping_sub(tap % 3));
                if (top..top + STRIP).contains(&y) && x < COLUMNS {
                    let i = y * COLUMNS + x;
                    let _ = writeln!(adds, "            a{i} = fma(v, w{tap}, a{i});");
                }
            }
        }
    }
    // Columns of the tile: where they are read, anywhere if they are outside the map.
    let mut columns = String::new();
    for c in 0..WIDTH {
        let _ = writeln!(columns, "    let inside{c} = corner.x + {c}u - 1u < p.w;");
        let _ = writeln!(columns, "    let column{c} = min(corner.x + {c}u - 1u, p.w - 1u);");
    }
    let (from_x, from_r) = (stage("x"), stage("r"));
    // Two rows at a time, the lanes of one half the upper one first, of the other half the lower one.
    let mut stores = String::new();
    for (row, second) in (0..ROWS).step_by(2).flat_map(|row| [(row, false), (row, true)]) {
        let (at, y) = if second { ("second", "1u - odd") } else { ("first", "odd") };
        let _ = writeln!(stores, "    inside = {row}u + {y} < rows;");
        for x in 0..COLUMNS {
            let (upper, lower) = (row * COLUMNS + x, (row + 1) * COLUMNS + x);
            let (a, b) = if second { (lower, upper) } else { (upper, lower) };
            let _ = writeln!(
                stores,
                "    put({at} + {row}u * p.w + {x}u, inside && {x}u < columns, select(a{a}, a{b}, odd == 1u));"
            );
        }
    }
    // As channel_attention.wgsl's `tile_stats` has it: a sum of each row first.
    let mut stats = String::new();
    for row in 0..ROWS {
        let _ = writeln!(stats, "        row_sum = 0.0;");
        for x in 0..COLUMNS {
            let i = row * COLUMNS + x;
            let _ = writeln!(stats, "        v = activate(a{i});");
            let _ = writeln!(stats, "        row_sum += select(0.0, v, {x}u < columns);");
            let _ = writeln!(stats, "        top = select(top, max(top, v), {row}u < rows && {x}u < columns);");
        }
        let _ = writeln!(stats, "        sum += select(0.0, row_sum, {row}u < rows);");
    }
    format!(
        "@compute @workgroup_size(LANES)
fn forward(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {{
    let lane = local.x;
    let ci = p.cx + p.cr;
    let stacks = (p.co + LANES - 1u) / LANES;
    let image = group.z / stacks;
    let stack = group.z % stacks;
    let o = stack * LANES + lane;
    let corner = group.xy * vec2u({COLUMNS}u, {ROWS}u);
    var k = stack * (ci * 5u + 1u) * LANES + lane;
    let rows = select(0u, p.h - corner.y, o < p.co); // lanes past the last channel work along, and store nothing
    let bias = two(packed_in[k + ci * 5u * LANES]).x;
{columns}{sums}
    for (var part = 0u; part < 2u; part++) {{
        let count = select(p.cx, p.cr, part == 1u);
        for (var first = 0u; first < count; first += {CHUNK}u) {{
            let channels = min({CHUNK}u, count - first);
            workgroupBarrier();
            for (var line = lane; line < channels * {HEIGHT}u; line += LANES) {{
                let row = corner.y + line % {HEIGHT}u - 1u; // the one above the image wraps around and is out of range, too
                let inside = row < p.h;
                let at = ((image * count + first + line / {HEIGHT}u) * p.h + min(row, p.h - 1u)) * p.w;
                let place = line * {WIDTH}u;
                if part == 0u {{
{from_x}                }} else {{
{from_r}                }}
            }}
            workgroupBarrier();
            for (var c = 0u; c < channels; c++) {{
                let t = (c * {TILE}u) & 0xffffu;
{taps}
                k += 5u * LANES;
                var v: f32;
{adds}
            }}
        }}
    }}
    let odd = (lane >> 3u) & 1u;
    let at = ((image * p.co + o) * p.h + corner.y) * p.w + corner.x;
    let first = at + odd * p.w;
    let second = at + (1u - odd) * p.w;
    let columns = p.w - corner.x;
    if STATS == 1u {{
        var v: f32;
        var row_sum: f32;
        var sum = 0.0;
        var top = activate(a0);
{stats}
        if o < p.co {{
            tiles[place_of_stats(image, o, group.xy)] = sum;
            tiles[place_of_stats(image, p.co + o, group.xy)] = top;
        }}
    }}
    var inside: bool;
{stores}
}}
"
    )
}

/// Stages a row of the map into the tile, zero outside the image. All loads come before the stores, so that they wait
/// for memory together.
fn stage(map: &str) -> String {
    let loads = (0..WIDTH).map(|c| format!("                    let v{c} = {map}[at + column{c}];\n"));
    let zeros = (0..WIDTH)
        .map(|c| format!("                    tile[place + {c}u] = select(0.0, v{c}, inside && inside{c});\n"));
    loads.chain(zeros).collect()
}

/// Packs weight and bias, or without a bias the transposed weight.
pub(super) fn pack(l: &mut Lowering, sizes: Sizes, (w, b): (Operand, Option<Operand>)) -> Operand {
    let lanes = lanes(sizes.co);
    let len = sizes.co.div_ceil(lanes) * ((sizes.cx + sizes.cr) * 5 + 1) * lanes * 2;
    let (kernel, read) = match b {
        Some(b) => ("pack", vec![("w", w), ("b", b)]),
        None => ("pack_transposed", vec![("w", w)]),
    };
    l.prepack(len, (&LANES_SHADER, kernel), "packed", &read, &params(sizes.packing()))
}

/// Output channels that lie beside each other in packed weights: a workgroup's, an invocation each, or all of few.
fn lanes(co: usize) -> usize {
    if takes_gates(co) { co } else { workgroup(co) }
}

/// Lanes of a workgroup, an output channel each.
fn workgroup(co: usize) -> usize {
    co.next_multiple_of(16).min(64)
}

fn params(sizes: Sizes) -> Vec<(&'static str, Param)> {
    [&sizes.params()[..], &[("lanes", lanes(sizes.co).into())]].concat()
}

/// Tells whether the kernel for so many outputs applies gates and an epilogue.
pub(super) fn takes_gates(outputs: usize) -> bool {
    FEW.iter().any(|(few, _)| outputs <= *few)
}

/// Tells whether the kernel for so many outputs gives their tiles' sums and maxima.
pub(super) fn gives_stats(outputs: usize) -> bool {
    !takes_gates(outputs)
}

/// The convolution with packed weights; `tiles` are given where [`gives_stats`], gates and what follows
/// are taken where [`takes_gates`].
pub(super) fn forward(
    l: &mut Lowering,
    sizes: Sizes,
    (x, r): (Operand, Operand),
    gated: Option<&Epilogue>,
    packed: Operand,
    y: Operand,
    tiles: Option<Operand>,
) {
    let (kernel, lanes, columns, rows) = match FEW.iter().find(|(outputs, _)| sizes.co <= *outputs) {
        Some((3, columns)) => ("few_3", None, *columns, FEW_ROWS),
        Some((_, columns)) => ("few_9", None, *columns, FEW_ROWS),
        None => ("forward", Some(lanes(sizes.co)), COLUMNS, ROWS),
    };
    let stacks = lanes.map_or(1, |lanes| sizes.co.div_ceil(lanes));
    let grid = UVec3::new(sizes.w.div_ceil(columns) as u32, sizes.h.div_ceil(rows) as u32, (sizes.n * stacks) as u32);
    let maps = [("x", x), ("r", r), ("packed_in", packed), ("y", y)];
    let flag = |on: bool| f64::from(u8::from(on));
    let (constants, bindings) = match lanes {
        Some(lanes) => {
            let constants = vec![("LANES", lanes as f64), ("STATS", flag(tiles.is_some()))];
            let tiles = tiles.unwrap_or_else(|| l.scratch(1));
            (constants, [&maps[..], &[("tiles", tiles)]].concat())
        }
        None => {
            let constants = vec![("GATED", flag(gated.is_some())), ("EPILOGUE", Epilogue::number(gated))];
            (constants, [&maps[..], &gate_bindings(gated), &Epilogue::bindings(gated)].concat())
        }
    };
    l.dispatch((&LANES_SHADER, kernel), &constants, &bindings, &params(sizes), Grid::Workgroups(grid));
}

/// The gradient of weight and bias from dy (input 0) and the maps (the other inputs).
pub(super) fn backward_weight(l: &mut Lowering, sizes: Sizes) {
    let (rows, columns) = GRADIENT_TILE;
    let channels = sizes.cx + sizes.cr;
    let tiles = sizes.n * sizes.h.div_ceil(rows) * sizes.w.div_ceil(columns);
    let pixels = tiles * rows * columns;
    let lanes = workgroup(sizes.co);
    let blocks = [sizes.co.div_ceil(lanes), channels.div_ceil(BLOCK)];
    // Some workgroups for each core, but at least 8 tiles for each workgroup.
    let splits = 64usize.div_ceil(blocks[0] * blocks[1]).min(tiles.div_ceil(8));
    let params = params(Sizes { splits, ..sizes });
    let (dy, r) = (Operand::Input(0), Operand::Input(l.inputs.len() - 1));
    let spread = l.scratch(pixels * sizes.co);
    let row = channels * 9 + 1;
    let sums = l.scratch(splits * sizes.co * row);
    l.dispatch((&LANES_SHADER, "spread"), &[], &[("dy", dy), ("packed", spread)], &params, Grid::Linear(pixels));
    l.dispatch(
        (&LANES_SHADER, "backward_weight"),
        &[("LANES", lanes as f64)],
        &[("x", Operand::Input(1)), ("r", r), ("packed_in", spread), ("sums", sums)],
        &params,
        Grid::Workgroups(UVec3::new(blocks[0] as u32, blocks[1] as u32, splits as u32)),
    );
    tiles::reduce_weight(l, Sizes { splits, ..sizes }, sums);
}
