//! The convolution's kernels for software drivers: writes the unrolled part of `shaders/conv3x3_lanes.wgsl`, which explains
//! it, and lowers to it.
//!
//! Generated, because neither naga nor the drivers unroll loops of this size, and accumulators in an array that a variable
//! indexes would live in memory.

use super::{Sizes, Then, gate_bindings, tiles};
use crate::kernel::{Grid, Lowering, Operand};
use glam::UVec3;
use std::fmt::Write;

/// Rows and columns of pixels in an invocation's accumulators; the shader's tile has one more on each side.
const ROWS: usize = 8;
const COLUMNS: usize = 16;

/// Rows of a strip: its accumulators are added to column by column, so that those in use fit the vector registers.
const STRIP: usize = 4;

/// The kernels `few_OUTPUTS` for maps of few channels: outputs, and rows of pixels of an invocation.
const FEW: [(usize, usize); 2] = [(3, 12), (9, 8)];
/// Columns that a workgroup of `few_OUTPUTS` makes; it reads one more on each side.
const FEW_COLUMNS: usize = 14;

/// Input channels of a workgroup of `backward_weight`, pixels that its loop takes at once, and rows and columns of its tiles.
const BLOCK: usize = 8;
const AT_ONCE: usize = 8;
const GRADIENT_TILE: (usize, usize) = (2, 32);

/// The entry points that are unrolled.
pub(crate) fn unrolled() -> String {
    FEW.iter().fold(many(), |text, &(outputs, rows)| text + &few(outputs, rows)) + &gradient()
}

/// `backward_weight`.
fn gradient() -> String {
    let (rows, columns) = GRADIENT_TILE;
    let (width, tile) = (columns + 2, (rows + 2) * (columns + 2));
    let sums: String = (0..9 * BLOCK).map(|i| format!("    var s{i} = 0.0;\n")).collect();
    let loads: String = (0..AT_ONCE).map(|i| format!("            let d{i} = packed_in[k + {i}u * p.co];\n")).collect();
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
// A workgroup walks over every splits-th tile of pixels, with LANES output and {BLOCK} input channels; an invocation has one
// output x {BLOCK} inputs x 9 taps. Grid: (ceil(co / LANES), ceil((cx + cr) / {BLOCK}), splits) workgroups.
@compute @workgroup_size(LANES)
fn backward_weight(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {{
    let ci = p.cx + p.cr;
    let o = group.x * LANES + lane;
    let c0 = group.y * {BLOCK}u;
    let across = (p.w + {columns}u - 1u) / {columns}u;
    let tiles = across * ((p.h + {rows}u - 1u) / {rows}u);
    var k = group.z * {pixels}u * p.co + min(o, p.co - 1u);
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
            k += {AT_ONCE}u * p.co;
        }}
        k += (p.splits - 1u) * {pixels}u * p.co;
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
    )
}

/// `few_OUTPUTS`. Lane = column of the *inputs*; each tap's sum for the pixel below it is on the wrong lane by kx - 1, so
/// that the three kx have sums of their own, which meet at the end.
fn few(outputs: usize, rows: usize) -> String {
    let sum = |kx: usize, o: usize, row: usize| format!("s{}", (kx * outputs + o) * rows + row);
    let mut start = String::new();
    for row in 0..rows + 2 {
        let _ = writeln!(start, "    let inside{row} = inside && top + {row}u - 1u < p.h;");
        let _ = writeln!(start, "    let line{row} = min(top + {row}u - 1u, p.h - 1u) * p.w + column;");
        let _ = writeln!(start, "    let gate{row} = sgate[select(0u, image * p.h * p.w + line{row}, GATED == 1u)];");
    }
    for i in 0..3 * outputs * rows {
        let _ = writeln!(start, "    var s{i} = 0.0;");
    }
    let loads = |map: &str| -> String {
        (0..rows + 2).map(|row| format!("                v{row} = {map}[at + line{row}];\n")).collect()
    };
    let (from_x, from_r) = (loads("x"), loads("r"));
    let values: String = (0..rows + 2).map(|row| format!("            var v{row}: f32;\n")).collect();
    let zeros: String =
        (0..rows + 2).map(|row| format!("            v{row} = select(0.0, v{row}, inside{row});\n")).collect();
    let gates: String =
        (0..rows + 2).map(|row| format!("                v{row} = v{row} * g * gate{row};\n")).collect();
    let mut adds = String::new();
    for (kx, o) in (0..3).flat_map(|kx| (0..outputs).map(move |o| (kx, o))) {
        for ky in 0..3 {
            let _ = writeln!(adds, "            w = packed_in[k + {}u * p.co + min({o}u, p.co - 1u)];", ky * 3 + kx);
            for row in 0..rows {
                let s = sum(kx, o, row);
                let _ = writeln!(adds, "            {s} = fma(v{}, w, {s});", row + ky);
            }
        }
    }
    let (mut gives, mut stores) = (String::new(), String::new());
    for (o, row) in (0..outputs).flat_map(|o| (0..rows).map(move |row| (o, row))) {
        let at = (o * rows + row) * 32;
        let (left, middle, right) = (sum(0, o, row), sum(1, o, row), sum(2, o, row));
        let _ = writeln!(gives, "    shifted[{at}u + lane] = {left};\n    shifted[{}u + lane] = {right};", at + 16);
        let _ = writeln!(
            stores,
            "    put_then(((image * p.co + {o}u) * p.h + top + {row}u) * p.w + column, \
             inner && {o}u < p.co && {row}u + top < p.h, \
             packed_in[bias + min({o}u, p.co - 1u)] + shifted[{at}u + before] + {middle} + shifted[{}u + after]);",
            at + 16,
        );
    }
    format!(
        "
@compute @workgroup_size(16)
fn few_{outputs}(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {{
    let image = group.z;
    let own = group.x * {FEW_COLUMNS}u + lane - 1u;
    let top = group.y * {rows}u;
    let inside = own < p.w; // the column left of the image wraps around and is out of range, too
    let column = min(own, p.w - 1u);
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
            var w: f32;
{adds}            k += 9u * p.co;
            at += p.h * p.w;
        }}
    }}
{gives}    workgroupBarrier();
    let inner = inside && lane > 0u && lane <= {FEW_COLUMNS}u;
    let before = max(lane, 1u) - 1u;
    let after = min(lane + 1u, 15u);
    let bias = (p.cx + p.cr) * 9u * p.co;
{stores}}}
"
    )
}

/// The entry point `forward`.
fn many() -> String {
    let sums: String = (0..ROWS * COLUMNS).map(|i| format!("    var a{i} = bias;\n")).collect();
    let taps: String = (0..9).map(|t| format!("            let w{t} = packed_in[k + {t}u * p.co];\n")).collect();
    let mut adds = String::new();
    for top in (0..ROWS).step_by(STRIP) {
        for (column, row) in (0..COLUMNS + 2).flat_map(|column| (top..top + STRIP + 2).map(move |row| (column, row))) {
            let _ = writeln!(adds, "            v = tile[t + {}u];", row * (COLUMNS + 2) + column);
            for tap in 0..9 {
                let (y, x) = (row.wrapping_sub(tap / 3), column.wrapping_sub(tap % 3));
                if (top..top + STRIP).contains(&y) && x < COLUMNS {
                    let i = y * COLUMNS + x;
                    let _ = writeln!(adds, "            a{i} = fma(v, w{tap}, a{i});");
                }
            }
        }
    }
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
fn forward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {{
    let ci = p.cx + p.cr;
    let stacks = (p.co + LANES - 1u) / LANES;
    let image = group.z / stacks;
    let o = group.z % stacks * LANES + lane;
    let corner = group.xy * vec2u({COLUMNS}u, {ROWS}u);
    var k = min(o, p.co - 1u); // lanes past the last channel work along, and store nothing
    var rows = select(0u, p.h - corner.y, o < p.co);
    let bias = packed_in[ci * 9u * p.co + k];
{sums}
    for (var part = 0u; part < 2u; part++) {{
        let count = select(p.cx, p.cr, part == 1u);
        start(lane, corner, image * count * p.h * p.w);
        for (var first = 0u; first < count; first += CHUNK) {{
            let channels = min(CHUNK, count - first);
            workgroupBarrier();
            if part == 0u {{
                stage_x(channels);
            }} else {{
                stage_r(channels);
            }}
            workgroupBarrier();
            for (var c = 0u; c < channels; c++) {{
                let t = c * TILE & 0xffffu;
{taps}
                k += 9u * p.co;
                var v: f32;
{adds}
            }}
        }}
    }}
    let odd = (lane >> 3u) & 1u;
    let at = ((image * p.co + k - ci * 9u * p.co) * p.h + corner.y) * p.w + corner.x;
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
            let across = (p.w + {COLUMNS}u - 1u) / {COLUMNS}u;
            let count = across * ((p.h + {ROWS}u - 1u) / {ROWS}u);
            let place = (image * 2u * p.co + o) * count + group.y * across + group.x;
            tiles[place] = sum;
            tiles[place + p.co * count] = top;
        }}
    }}
    var inside: bool;
{stores}
}}
"
    )
}

/// Packs weight and bias, or without a bias the turned weight.
pub(super) fn pack(l: &mut Lowering, sizes: Sizes, (w, b): (Operand, Option<Operand>)) -> Operand {
    let len = ((sizes.cx + sizes.cr) * 9 + 1) * sizes.co;
    let (kernel, read) = match b {
        Some(b) => ("pack", vec![("w", w), ("b", b)]),
        None => ("pack_turned", vec![("w", w)]),
    };
    l.prepare(len, ("conv3x3_lanes", kernel), "packed", &read, &sizes.packing().params())
}

/// Is the kernel for so many outputs one that applies gates?
pub(super) fn takes_gates(outputs: usize) -> bool {
    FEW.iter().any(|(few, _)| outputs <= *few)
}

/// Has the kernel for so many outputs their tiles' sums and maxima?
pub(super) fn gives_stats(outputs: usize) -> bool {
    !takes_gates(outputs)
}

/// The convolution with packed weights; `tiles` are given where [`gives_stats`], gates and what follows
/// are taken where [`takes_gates`].
pub(super) fn forward(
    l: &mut Lowering,
    sizes: Sizes,
    (x, r): (Operand, Operand),
    gated: Option<&Then>,
    packed: Operand,
    y: Operand,
    tiles: Option<Operand>,
) {
    let (kernel, lanes, columns, rows) = match FEW.iter().find(|(outputs, _)| sizes.co <= *outputs) {
        Some((3, rows)) => ("few_3", None, FEW_COLUMNS, *rows),
        Some((_, rows)) => ("few_9", None, FEW_COLUMNS, *rows),
        None => ("forward", Some(sizes.co.next_multiple_of(16).min(64)), COLUMNS, ROWS),
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
            let constants = vec![("GATED", flag(gated.is_some())), ("THEN", Then::number(gated))];
            (constants, [&maps[..], &gate_bindings(gated), &Then::bindings(gated)].concat())
        }
    };
    l.dispatch(("conv3x3_lanes", kernel), &constants, &bindings, &sizes.params(), Grid::Workgroups(grid));
}

/// The gradient of weight and bias from dy (input 0) and the maps (the other inputs).
pub(super) fn backward_weight(l: &mut Lowering, sizes: Sizes) {
    let (rows, columns) = GRADIENT_TILE;
    let channels = sizes.cx + sizes.cr;
    let tiles = sizes.n * sizes.h.div_ceil(rows) * sizes.w.div_ceil(columns);
    let pixels = tiles * rows * columns;
    let lanes = sizes.co.next_multiple_of(16).min(64);
    let blocks = [sizes.co.div_ceil(lanes), channels.div_ceil(BLOCK)];
    // Some workgroups for each core, but at least 8 tiles for each workgroup.
    let splits = 64usize.div_ceil(blocks[0] * blocks[1]).min(tiles.div_ceil(8));
    let params = Sizes { splits, ..sizes }.params();
    let (dy, r) = (Operand::Input(0), Operand::Input(l.inputs.len() - 1));
    let spread = l.scratch(pixels * sizes.co);
    let row = channels * 9 + 1;
    let sums = l.scratch(splits * sizes.co * row);
    l.dispatch(("conv3x3_lanes", "spread"), &[], &[("dy", dy), ("packed", spread)], &params, Grid::Linear(pixels));
    l.dispatch(
        ("conv3x3_lanes", "backward_weight"),
        &[("LANES", lanes as f64)],
        &[("x", Operand::Input(1)), ("r", r), ("packed_in", spread), ("sums", sums)],
        &params,
        Grid::Workgroups(UVec3::new(blocks[0] as u32, blocks[1] as u32, splits as u32)),
    );
    tiles::reduce_weight(l, Sizes { splits, ..sizes }, sums);
}
