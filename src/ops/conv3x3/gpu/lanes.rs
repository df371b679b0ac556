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

/// Rows and columns of a tile with its halo.
const HEIGHT: usize = ROWS + 2;
const WIDTH: usize = COLUMNS + 2;

/// Rows of a strip: its accumulators are added to column by column, so that those in use fit the vector registers.
const STRIP: usize = 4;

/// The kernels `few_OUTPUTS` for maps of few channels: outputs, and columns of pixels of an invocation.
const FEW: [(usize, usize); 2] = [(3, 12), (9, 8)];
/// The same of `few_OUTPUTS_even`.
const FEW_COLUMNS: usize = 8;
/// Rows that a workgroup of `few_OUTPUTS` makes; it reads one more on each side.
const FEW_ROWS: usize = 14;
/// Input channels that `from_few` takes at most, and rows and columns of a workgroup.
const FROM_FEW: usize = 9;
const FROM_FEW_ROWS: usize = 16;
const FROM_FEW_COLUMNS: usize = 8;
/// Elements of the shader's `shifted`: outputs of which the sums meet at a time.
const SHIFTED: usize = 2304;

/// Of an index: below 2^27, which is always so; where the compiler sees it, it need not look for a sign.
const SMALL: &str = "0x7ffffffu";

/// Input channels of a workgroup of `backward_weight`, pixels that its loop takes at once, and rows and columns of its
/// tiles.
const BLOCK: usize = 8;
const AT_ONCE: usize = 8;
const GRADIENT_TILE: (usize, usize) = (2, 32);

/// How a kernel reads and writes the columns of maps.
#[derive(Clone, Copy, PartialEq)]
enum Columns {
    /// One by one.
    Single,
    /// Two by two, where a map's width is even. The kernels' names end with `_even`.
    Paired,
}

impl Columns {
    /// Of maps so wide.
    fn of(width: usize) -> Columns {
        if width.is_multiple_of(2) { Columns::Paired } else { Columns::Single }
    }

    /// What is the one or the other.
    fn either<T>(self, single: T, paired: T) -> T {
        match self {
            Columns::Single => single,
            Columns::Paired => paired,
        }
    }

    /// Loads of a row of so many columns with one more on each side. A pair's first column is even.
    fn loads(self, columns: usize) -> usize {
        self.either(columns + 2, columns / 2 + 2)
    }

    /// The first column of load i, behind the first one between the sides.
    fn first(self, i: usize) -> String {
        self.either(format!("{i}u - 1u"), format!("{}u - 2u", 2 * i))
    }

    /// Column c of such a row, in what load i named `v`i; 0 is the one on the side.
    fn value(self, c: usize) -> String {
        self.either(format!("v{c}"), format!("v{}.{}", c.div_ceil(2), ["y", "x"][c % 2]))
    }

    /// Input channels that `forward` has in its tile at a time: 11.25 and 14.8 KiB.
    fn chunk(self) -> usize {
        self.either(16, 19)
    }
}

/// The entry points that are unrolled.
pub(in super::super) fn unrolled() -> String {
    let memory = format!(
        "
var<workgroup> tile: array<f32, {}>; // [channel][row][column] with the halo
var<workgroup> tile_pairs: array<Pair, {}>; // the same, from an even column on
// few_OUTPUTS: the sums of the upper and of the lower taps, on their way to the lanes beside: [output][column][2][16].
var<workgroup> shifted: array<f32, {SHIFTED}>;
",
        (Columns::Single.chunk() * HEIGHT * WIDTH).max(BLOCK * (GRADIENT_TILE.0 + 2) * (GRADIENT_TILE.1 + 2)),
        Columns::Paired.chunk() * HEIGHT * Columns::Paired.loads(COLUMNS),
    );
    let few = FEW.iter().map(|&(outputs, columns)| {
        few(outputs, columns, Columns::Single) + &few(outputs, FEW_COLUMNS, Columns::Paired)
    });
    memory + &many(Columns::Single) + &many(Columns::Paired) + &few.collect::<String>() + &from_few() + &gradient()
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
fn few(outputs: usize, columns: usize, by: Columns) -> String {
    let sum = |ky: usize, o: usize, column: usize| format!("s{}", (ky * outputs + o) * columns + column);
    let loads = by.loads(columns);
    let (ty, zero, pairs, half) = by.either(("f32", "0.0", "", ""), ("vec2f", "vec2f()", "_pairs", " / 2u"));
    let mut start = String::new();
    for i in 0..loads {
        let first = by.first(i);
        let _ = writeln!(start, "    let inside{i} = inside && left + {first} < p.w;");
        let column = format!("line + min(left + {first}, p.w - {})", by.either("1u", "2u"));
        let pixel = by.either(column.clone(), format!("({column}) / 2u"));
        let _ = writeln!(start, "    let pixel{i} = {pixel};");
        let gate = |pixel: String| format!("sgate[select(0u, image * p.h * p.w + {pixel}, GATED == 1u)]");
        let (even, odd) = (gate(format!("2u * pixel{i}")), gate(format!("2u * pixel{i} + 1u")));
        let _ = writeln!(
            start,
            "    let gate{i} = {};",
            by.either(gate(format!("pixel{i}")), format!("vec2f({even}, {odd})"))
        );
    }
    for i in 0..3 * outputs * columns {
        let _ = writeln!(start, "    var s{i} = 0.0;");
    }
    let each = |text: &dyn Fn(usize) -> String| -> String { (0..loads).map(text).collect() };
    let load = |map: &str, i: usize| {
        let element = format!("{map}{pairs}[at + pixel{i}]");
        format!("                v{i} = {};\n", by.either(element.clone(), format!("two({element})")))
    };
    let (from_x, from_r) = (each(&|i| load("x", i)), each(&|i| load("r", i)));
    let values = each(&|i| format!("            var v{i}: {ty};\n"));
    let zeros = each(&|i| format!("            v{i} = select({zero}, v{i}, inside{i});\n"));
    let gates = each(&|i| format!("                v{i} = v{i} * g * gate{i};\n"));
    let mut adds = String::new();
    for o in 0..outputs {
        for tap in 0..9 {
            if tap % 2 == 0 {
                let _ = writeln!(adds, "            w = two(packed_in[weights + {}u]);", tap / 2 * outputs + o);
            }
            for column in 0..columns {
                let (s, w) = (sum(tap / 3, o, column), ["w.x", "w.y"][tap % 2]);
                let _ = writeln!(adds, "            {s} = fma({}, {w}, {s});", by.value(column + tap % 3));
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
        let met = |column: usize| {
            let (at, middle) = (at(column), sum(1, o, column));
            format!(
                "two(packed_in[bias + {o}u]).x + shifted[{at}u + before] + {middle} + shifted[{}u + after]",
                at + 16
            )
        };
        for column in (0..columns).step_by(by.either(1, 2)) {
            let put = by.either("put_epilogue", "put_epilogues");
            let v = by.either(met(column), format!("vec2f({}, {})", met(column), met(column + 1)));
            let _ = writeln!(
                ends,
                "    {put}(((image * p.co + {o}u) * p.h + own) * p.w + left + {column}u, \
                 inner && {o}u < p.co && {column}u + left < p.w, {v});",
            );
        }
    }
    format!(
        "
@compute @workgroup_size(16)
fn few_{outputs}{suffix}(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {{
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
        var at = image * count * p.h * p.w{half};
        for (var c = 0u; c < count; c++) {{
            let weights = k & {SMALL};
{values}            if part == 0u {{
{from_x}            }} else {{
{from_r}            }}
{zeros}            if GATED == 1u && part == 1u {{
                let g = cgate[image * p.cr + c];
{gates}            }}
            var w: vec2f;
{adds}            k += {weights}u;
            at += p.h * p.w{half};
        }}
    }}
    let inner = inside && lane > 0u && lane <= {FEW_ROWS}u;
    let before = max(lane, 1u) - 1u;
    let after = min(lane + 1u, 15u);
    let bias = (p.cx + p.cr) * {weights}u;
{ends}}}
",
        suffix = by.either("", "_even"),
        weights = 5 * outputs,
    )
}

/// `from_few`. Lane = row of the outputs: what it reads is read once for all outputs, and a loop over these is all code.
fn from_few() -> String {
    let by = Columns::Paired;
    let loads = by.loads(FROM_FEW_COLUMNS);
    let (mut start, mut adds) = (String::new(), String::new());
    for ky in 0..3 {
        let _ = writeln!(start, "    let row{ky} = own + {ky}u - 1u; // the one above the image wraps around");
        let _ = writeln!(start, "    let line{ky} = (image * p.cx * p.h + min(row{ky}, p.h - 1u)) * p.w / 2u;");
    }
    for i in 0..loads {
        let first = by.first(i);
        let _ = writeln!(start, "    let inside{i} = left + {first} < p.w;");
        let _ = writeln!(start, "    let column{i} = min(left + {first}, p.w - 2u) / 2u;");
    }
    for c in 0..FROM_FEW {
        for (ky, i) in (0..3).flat_map(|ky| (0..loads).map(move |i| (ky, i))) {
            let _ = writeln!(start, "    var c{c}r{ky}v{i}: vec2f;");
        }
        let _ = writeln!(start, "    if {c}u < INPUTS {{");
        for (ky, i) in (0..3).flat_map(|ky| (0..loads).map(move |i| (ky, i))) {
            let _ = writeln!(
                start,
                "        c{c}r{ky}v{i} = select(vec2f(), two(x_pairs[{c}u * half_plane + line{ky} + column{i}]), \
                 row{ky} < p.h && inside{i});"
            );
        }
        let _ = writeln!(start, "    }}");
        let _ = writeln!(adds, "        if {c}u < INPUTS {{");
        for tap in 0..9 {
            if tap % 2 == 0 {
                let _ = writeln!(adds, "            w = two(packed_in[weights + {}u]);", 5 * c + tap / 2);
            }
            for column in 0..FROM_FEW_COLUMNS {
                let (v, w) = (by.value(column + tap % 3), ["w.x", "w.y"][tap % 2]);
                let _ = writeln!(adds, "            a{column} = fma(c{c}r{}{v}, {w}, a{column});", tap / 3);
            }
        }
        let _ = writeln!(adds, "        }}");
    }
    let sums: String = (0..FROM_FEW_COLUMNS).map(|c| format!("        var a{c} = bias;\n")).collect();
    let put =
        |c: usize, inside: &str| format!("            put_pair(place + {c}u, {inside}, vec2f(a{c}, a{}));\n", c + 1);
    let pairs = || (0..FROM_FEW_COLUMNS).step_by(2);
    let whole: String = pairs().map(|c| put(c, "true")).collect();
    let partly: String = pairs().map(|c| put(c, &format!("own < p.h && left + {c}u < p.w"))).collect();
    format!(
        "
@compute @workgroup_size({FROM_FEW_ROWS})
fn from_few(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {{
    let image = group.z;
    let own = group.y * {FROM_FEW_ROWS}u + local.x;
    let left = group.x * {FROM_FEW_COLUMNS}u;
    let half_plane = p.h * p.w / 2u;
{start}
    let whole = own < p.h && left + {FROM_FEW_COLUMNS}u <= p.w;
    var k = 0u;
    var place = (image * p.co * p.h + own) * p.w + left;
    for (var o = 0u; o < p.co; o++) {{
        let weights = k & {SMALL};
        let bias = two(packed_in[weights + 5u * INPUTS]).x;
{sums}        var w: vec2f;
{adds}        // Of stores that each have a test the compiler moves the sums behind it, and then waits for one after the other.
        if whole {{
{whole}        }} else {{
{partly}        }}
        k += 5u * INPUTS + 1u;
        place += p.h * p.w;
    }}
}}
"
    )
}

/// `forward`.
fn many(by: Columns) -> String {
    let sums: String = (0..ROWS * COLUMNS).map(|i| format!("    var a{i} = bias;\n")).collect();
    let taps: String = (0..5).map(|t| load("w", t, "LANES")).collect();
    let (loads, chunk) = (by.loads(COLUMNS), by.chunk());
    // A row of the tile.
    let width = by.either(WIDTH, loads);
    let mut adds = String::new();
    for top in (0..ROWS).step_by(STRIP) {
        for (load, row) in (0..width).flat_map(|load| (top..top + STRIP + 2).map(move |row| (load, row))) {
            let element = row * width + load;
            let _ = match by {
                Columns::Single => writeln!(adds, "            v = tile[t + {element}u];"),
                Columns::Paired => writeln!(adds, "            v = two(tile_pairs[t + {element}u]);"),
            };
            // The columns of the load, by their number in the tile.
            let columns = by.either(load..load + 1, (2 * load).saturating_sub(1)..2 * load + 1);
            for (column, tap) in columns.filter(|c| *c < WIDTH).flat_map(|c| (0..9).map(move |tap| (c, tap))) {
                let (y, x) = (row.wrapping_sub(tap / 3), column.wrapping_sub(tap % 3));
                if (top..top + STRIP).contains(&y) && x < COLUMNS {
                    let i = y * COLUMNS + x;
                    let v = by.either("v", ["v.y", "v.x"][column % 2]);
                    let _ = writeln!(adds, "            a{i} = fma({v}, w{tap}, a{i});");
                }
            }
        }
    }
    // Columns of the tile: where they are read, anywhere if they are outside the map.
    let mut columns = String::new();
    for i in 0..loads {
        let first = by.first(i);
        let _ = writeln!(columns, "    let inside{i} = corner.x + {first} < p.w;");
        let at =
            by.either(format!("min(corner.x + {first}, p.w - 1u)"), format!("min(corner.x + {first}, p.w - 2u) / 2u"));
        let _ = writeln!(columns, "    let column{i} = {at};");
    }
    let (from_x, from_r) = (stage("x", by), stage("r", by));
    // Two rows at a time, the lanes of one half the upper one first, of the other half the lower one.
    let mut stores = String::new();
    for (row, second) in (0..ROWS).step_by(2).flat_map(|row| [(row, false), (row, true)]) {
        let (at, y) = if second { ("second", "1u - odd") } else { ("first", "odd") };
        let _ = writeln!(stores, "    inside = {row}u + {y} < rows;");
        let sum = |x: usize| {
            let (upper, lower) = (row * COLUMNS + x, (row + 1) * COLUMNS + x);
            let (a, b) = if second { (lower, upper) } else { (upper, lower) };
            format!("select(a{a}, a{b}, odd == 1u)")
        };
        for x in (0..COLUMNS).step_by(by.either(1, 2)) {
            let put = by.either("put", "put_pair");
            let v = by.either(sum(x), format!("vec2f({}, {})", sum(x), sum(x + 1)));
            let _ = writeln!(stores, "    {put}({at} + {row}u * p.w + {x}u, inside && {x}u < columns, {v});");
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
fn forward{suffix}(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {{
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
        for (var first = 0u; first < count; first += {chunk}u) {{
            let channels = min({chunk}u, count - first);
            workgroupBarrier();
            for (var line = lane; line < channels * {HEIGHT}u; line += LANES) {{
                let row = corner.y + line % {HEIGHT}u - 1u; // the one above the image wraps around and is out of range, too
                let inside = row < p.h;
                let at = ((image * count + first + line / {HEIGHT}u) * p.h + min(row, p.h - 1u)) * p.w{half};
                let place = line * {width}u;
                if part == 0u {{
{from_x}                }} else {{
{from_r}                }}
            }}
            workgroupBarrier();
            for (var c = 0u; c < channels; c++) {{
                let t = (c * {tile}u) & 0xffffu;
{taps}
                k += 5u * LANES;
                var v: {ty};
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
",
        suffix = by.either("", "_even"),
        half = by.either("", " / 2u"),
        ty = by.either("f32", "vec2f"),
        tile = HEIGHT * width,
    )
}

/// Stages a row of the map into the tile, zero outside the image. All loads come before the stores, so that they wait
/// for memory together.
fn stage(map: &str, by: Columns) -> String {
    let (pairs, zero) = by.either(("", "0.0"), ("_pairs", "Pair()"));
    let loads =
        (0..by.loads(COLUMNS)).map(|i| format!("                    let v{i} = {map}{pairs}[at + column{i}];\n"));
    let zeros = (0..by.loads(COLUMNS)).map(|i| {
        format!("                    tile{pairs}[place + {i}u] = select({zero}, v{i}, inside && inside{i});\n")
    });
    loads.chain(zeros).collect()
}

/// A kernel of the convolution.
#[derive(Clone, Copy)]
enum Kernel {
    /// `few_OUTPUTS`, by its number in [`FEW`].
    Few(usize),
    /// `from_few`.
    FromFew,
    /// `forward`.
    Many,
}

impl Kernel {
    /// For a convolution of these sizes, with statistics of its outputs or without.
    fn of(sizes: Sizes, stats: bool) -> Kernel {
        let from_few = sizes.cx <= FROM_FEW && sizes.cr == 0 && Columns::of(sizes.w) == Columns::Paired;
        match FEW.iter().position(|(outputs, _)| sizes.co <= *outputs) {
            Some(i) => Kernel::Few(i),
            None if from_few && !stats => Kernel::FromFew,
            None => Kernel::Many,
        }
    }

    /// Output channels that lie beside each other in packed weights.
    fn lanes(self, sizes: Sizes) -> usize {
        match self {
            Kernel::Few(i) => FEW[i].0,
            Kernel::FromFew => 1,
            Kernel::Many => workgroup(sizes.co),
        }
    }
}

/// Lanes of a workgroup of `forward` and `backward_weight`, an output channel each.
fn workgroup(co: usize) -> usize {
    co.next_multiple_of(16).min(64)
}

/// Packs weight and bias, or without a bias the transposed weight.
fn pack(l: &mut Lowering, sizes: Sizes, lanes: usize, (w, b): (Operand, Option<Operand>)) -> Operand {
    let len = sizes.co.div_ceil(lanes) * ((sizes.cx + sizes.cr) * 5 + 1) * lanes * 2;
    let (kernel, read) = match b {
        Some(b) => ("pack", vec![("w", w), ("b", b)]),
        None => ("pack_transposed", vec![("w", w)]),
    };
    l.prepack(len, (&LANES_SHADER, kernel), "packed", &read, &params(sizes.packing(), lanes))
}

fn params(sizes: Sizes, lanes: usize) -> Vec<(&'static str, Param)> {
    [&sizes.params()[..], &[("lanes", lanes.into())]].concat()
}

/// Tells whether the kernel for so many outputs applies gates and an epilogue.
pub(super) fn takes_gates(outputs: usize) -> bool {
    FEW.iter().any(|(few, _)| outputs <= *few)
}

/// Tells whether the kernel for so many outputs gives their tiles' sums and maxima.
pub(super) fn gives_stats(outputs: usize) -> bool {
    !takes_gates(outputs)
}

/// The convolution with a weight and a bias, or without a bias with the transposed weight; `tiles` are given where
/// [`gives_stats`], gates and what follows are taken where [`takes_gates`].
pub(super) fn forward(
    l: &mut Lowering,
    sizes: Sizes,
    (x, r): (Operand, Operand),
    gated: Option<&Epilogue>,
    weights: (Operand, Option<Operand>),
    y: Operand,
    tiles: Option<Operand>,
) {
    let kernel = Kernel::of(sizes, tiles.is_some());
    let lanes = kernel.lanes(sizes);
    let packed = pack(l, sizes, lanes, weights);
    let by = Columns::of(sizes.w);
    let x = (by.either("x", "x_pairs"), x);
    let maps = [x, (by.either("r", "r_pairs"), r), ("packed_in", packed), (by.either("y", "y_pairs"), y)];
    let flag = |on: bool| f64::from(u8::from(on));
    let (entry, constants, bindings, (columns, rows, stacks)) = match kernel {
        Kernel::Few(i) => (
            by.either(["few_3", "few_9"], ["few_3_even", "few_9_even"])[i],
            vec![("GATED", flag(gated.is_some())), ("EPILOGUE", Epilogue::number(gated))],
            [&maps[..], &gate_bindings(gated), &Epilogue::bindings(gated)].concat(),
            (by.either(FEW[i].1, FEW_COLUMNS), FEW_ROWS, 1),
        ),
        Kernel::FromFew => (
            "from_few",
            vec![("INPUTS", sizes.cx as f64)],
            vec![x, maps[2], maps[3]],
            (FROM_FEW_COLUMNS, FROM_FEW_ROWS, 1),
        ),
        Kernel::Many => (
            by.either("forward", "forward_even"),
            vec![("LANES", lanes as f64), ("STATS", flag(tiles.is_some()))],
            [&maps[..], &[("tiles", tiles.unwrap_or_else(|| l.scratch(1)))]].concat(),
            (COLUMNS, ROWS, sizes.co.div_ceil(lanes)),
        ),
    };
    let grid = UVec3::new(sizes.w.div_ceil(columns) as u32, sizes.h.div_ceil(rows) as u32, (sizes.n * stacks) as u32);
    l.dispatch((&LANES_SHADER, entry), &constants, &bindings, &params(sizes, lanes), Grid::Workgroups(grid));
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
    let params = params(Sizes { splits, ..sizes }, lanes);
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
