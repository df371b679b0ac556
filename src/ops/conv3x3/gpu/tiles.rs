//! The convolution's kernels for GPUs: writes the unrolled part of `shaders/conv3x3.wgsl`, which explains them, and
//! lowers to them.

use super::super::{Epilogue, TILES_SHADER};
use super::{Sizes, forward_bindings};
use crate::kernel::{Grid, Kernels, Lowering, Operand, Operand::*, Param};
use crate::ops::channel_attention::{TILE_COLUMNS, TILE_ROWS};
use glam::UVec3;
use std::fmt::Write;

/// Rows of pixels that an invocation has.
const ROWS: usize = 8;
/// Columns of a workgroup's tile.
const COLUMNS: usize = 16;
const _: () = assert!(ROWS == TILE_ROWS && COLUMNS == TILE_COLUMNS, "a strip is a tile of the statistics");
/// Channels of a workgroup at most.
const MOST: usize = 64;
/// Bytes of workgroup memory that every device has.
const MEMORY: usize = 16384;
/// Input channels staged at a time, and the same where slices share them.
const CHUNK: usize = 4;
const CHUNK_OF_SLICES: usize = 8;
/// Pixels of the tile that an invocation stages at most, and the same where slices share the channels.
const SPOTS: usize = 5;
const SPOTS_OF_SLICES: usize = 2;
/// vec4s of the weights of a chunk that an invocation stages at most.
const TAPS: usize = 5;

/// The entry points `forward` and `forward_stats` and, where hidden maps have a type of their own, `forward_hidden` and
/// `forward_hidden_stats`.
pub(in super::super) fn unrolled(half: bool) -> String {
    let mut text = put_text("put", |at, v| format!("y[{at}] = epilogue({at}, {v});"));
    // With what follows a store the statistics would be a ninth buffer, where every device has eight.
    text += &put_text("put_plain", |at, v| format!("y[{at}] = {v};"));
    text += &put_text("put_hidden", |at, v| format!("y_hidden[{at}] = to_act({v});"));
    text += &forward_text("", "put", false);
    text += &forward_text("_stats", "put_plain", true);
    if half {
        text += &forward_text("_hidden", "put_hidden", false);
        text += &forward_text("_hidden_stats", "put_hidden", true);
    }
    text
}

/// Stores a pixel's output channels o to o + 3; `store` says how one, by its place and value.
fn put_text(name: &str, store: impl Fn(&str, &str) -> String) -> String {
    let mut stores = String::new();
    for (i, element) in ["x", "y", "z", "w"].iter().enumerate() {
        let store = store(&format!("at + {i}u * plane"), &format!("v.{element}"));
        let _ = writeln!(stores, "    if o + {i}u < p.co {{\n        {store}\n    }}");
    }
    format!(
        "
fn {name}(image: u32, o: u32, row: u32, column: u32, sums: vec4f) {{
    if row >= p.h || column >= p.w {{
        return;
    }}
    let v = activate(sums);
    let plane = p.h * p.w;
    let at = (image * p.co + o) * plane + row * p.w + column;
{stores}}}
"
    )
}

/// The sums and maxima of the workgroup's strips: of the pixels below each other in an invocation's registers, then of
/// the columns beside each other in workgroup memory, an invocation for each output channel.
fn stats_text() -> String {
    let mut columns = String::new();
    for d in 0..2 {
        let _ = writeln!(columns, "    var sum{d} = vec4f();\n    var top{d} = LOWEST;");
        for i in 0..ROWS {
            let _ = writeln!(columns, "    if row + {i}u < p.h && column < p.w {{");
            let _ = writeln!(columns, "        sum{d} += activate(a{d}{i});");
            let _ = writeln!(columns, "        top{d} = max(top{d}, activate(a{d}{i}));\n    }}");
        }
    }
    let across = |what: &str, start: &str, step: &str, channel: &str| {
        format!(
            "    workgroupBarrier();
    taps[stat_at(own, strip, lane % {COLUMNS}u)] = {what}0;
    if DEPTH > 1u {{
        taps[stat_at(own + 1u, strip, lane % {COLUMNS}u)] = {what}1;
    }}
    workgroupBarrier();
    if counts {{
        var v = {start};
        for (var i = 0u; i < {COLUMNS}u; i++) {{
            let e = taps[stat_at(channel / 4u, line, (i + channel / 4u) % {COLUMNS}u)][channel % 4u];
            v = {step};
        }}
        tiles[place_of_stats(image, {channel}, vec2u(group.x, tile_row))] = v;
    }}
"
        )
    };
    let sums = across("sum", "0.0", "v + e", "output");
    let maxima = across("top", "LOWEST.x", "max(v, e)", "p.co + output");
    format!(
        "{columns}    let channel = lane % (4u * WIDTH);
    let line = lane / (4u * WIDTH);
    let tile_row = group.y * STRIPS + line;
    let output = 4u * stack * WIDTH + channel;
    let counts = line < STRIPS && tile_row * {ROWS}u < p.h && output < p.co;
{sums}{maxima}"
    )
}

/// Stages a chunk: loads all that an invocation stores, before the barrier behind which nobody reads the last chunk.
fn stage_text() -> String {
    let spots = |c: usize| 0..if c < CHUNK { SPOTS } else { SPOTS_OF_SLICES };
    let [mut zeros, mut of_x, mut of_r, mut stores] = [const { String::new() }; 4];
    for c in 0..CHUNK_OF_SLICES {
        for text in [&mut of_x, &mut of_r, &mut stores] {
            let _ = writeln!(text, "if {c}u < CHUNK {{");
        }
        for k in spots(c) {
            let _ = writeln!(zeros, "var v{k}_{c} = 0.0;");
            let staged = format!("{k}u * INVOCATIONS");
            let _ =
                writeln!(of_x, "if {staged} < TILE {{ v{k}_{c} = x_at(image, first + min({c}u, last), spot{k}); }}");
            let _ = writeln!(
                of_r,
                "if {staged} < TILE {{ v{k}_{c} = r_at(image, first - p.cx + min({c}u, last), spot{k}); }}"
            );
            let _ = writeln!(
                stores,
                "if lane + {staged} < TILE {{ tile[{c}u * TILE + lane + {staged}] = select(0.0, v{k}_{c}, spot{k}.inside); }}"
            );
        }
        for text in [&mut of_x, &mut of_r, &mut stores] {
            *text += "}\n";
        }
    }
    let (mut weights, mut taps) = (String::new(), String::new());
    for i in 0..TAPS {
        let staged = format!("{i}u * INVOCATIONS");
        let _ = writeln!(weights, "var t{i} = vec4f();");
        let _ = writeln!(
            weights,
            "if {staged} < CHUNK * 9u * WIDTH {{ t{i} = weights_at(stack, first, min(lane + {staged}, channels * 9u * WIDTH - 1u)); }}"
        );
        let _ = writeln!(taps, "if lane + {staged} < CHUNK * 9u * WIDTH {{ taps[lane + {staged}] = t{i}; }}");
    }
    format!(
        "let channels = min(CHUNK, select(ci, p.cx, first < p.cx) - first);
let last = channels - 1u;
{zeros}if first < p.cx {{
{of_x}}} else {{
{of_r}}}
{weights}workgroupBarrier();
{stores}{taps}workgroupBarrier();
"
    )
}

/// Adds the slices' sums in their order, two rows at a time: row i's in the slice that stores it.
fn exchange_text() -> String {
    let mut text = "    if SLICES > 1u {\n".to_string();
    for i in (0..ROWS).step_by(2) {
        let rows = [i, i + 1];
        text += "        workgroupBarrier();\n";
        for (at, i) in rows.iter().enumerate() {
            let _ = writeln!(text, "        exchange[{at}u * INVOCATIONS + lane] = a0{i};");
        }
        text += "        workgroupBarrier();\n";
        for (at, i) in rows.iter().enumerate() {
            let _ = writeln!(
                text,
                "        if slice == {i}u * SLICES / {ROWS}u {{ a0{i} = sum_slices({at}u * INVOCATIONS + lane % SLICE); }}"
            );
        }
    }
    text + "    }\n"
}

/// Generated, because naga does not unroll loops, and accumulators in an array that a variable indexes would live in
/// memory.
fn forward_text(suffix: &str, put: &str, stats: bool) -> String {
    let rows = || 0..ROWS;
    let sums = |d: usize| rows().map(move |i| format!("    var a{d}{i} = bias{d};\n")).collect::<String>();
    let puts = |d: usize, indent: &str| {
        let put = |i| {
            let put = format!("{put}(image, o + {}u, row + {i}u, column, a{d}{i});", 4 * d);
            // Slices have one vec4 of outputs.
            if d == 0 {
                format!("{indent}if slice == {i}u * SLICES / {ROWS}u {{ {put} }}\n")
            } else {
                format!("{indent}{put}\n")
            }
        };
        rows().map(put).collect::<String>()
    };
    let spots: String =
        (0..SPOTS).map(|k| format!("    let spot{k} = spot(image, corner, lane + {k}u * INVOCATIONS);\n")).collect();
    let exchange = exchange_text();
    let stage: String = stage_text().lines().map(|line| format!("        {line}\n")).collect();
    let mut adds = String::new();
    for kx in 0..3 {
        adds += "            {\n";
        for j in 0..ROWS + 2 {
            let _ = writeln!(adds, "                let v{j} = tile[t + {}u];", j * (COLUMNS + 2) + kx);
        }
        for ky in 0..3 {
            let tap = ky * 3 + kx;
            let fmas = |d: usize, weight: &str, indent: &str| {
                let fma = |i| format!("{indent}a{d}{i} = fma(vec4f(v{}), {weight}, a{d}{i});\n", i + ky);
                rows().map(fma).collect::<String>()
            };
            let indent = " ".repeat(16);
            let _ = writeln!(adds, "{indent}let w{ky} = taps[k + {tap}u * WIDTH];");
            adds += &fmas(0, &format!("w{ky}"), &indent);
            let deeper = fmas(1, "w", &" ".repeat(20));
            let _ = writeln!(
                adds,
                "{indent}if DEPTH > 1u {{\n{indent}    let w = taps[k + {tap}u * WIDTH + 1u];\n{deeper}{indent}}}"
            );
        }
        adds += "            }\n";
    }
    format!(
        "
@compute @workgroup_size(INVOCATIONS)
fn forward{suffix}(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {{
    let ci = p.cx + p.cr;
    let stacks = p.columns / WIDTH;
    let image = group.z / stacks;
    let stack = group.z % stacks;
    let corner = group.xy * vec2u({COLUMNS}u, {ROWS}u * STRIPS);
    // Said to be 0 where it is: some compilers then know more.
    var slice = 0u;
    if SLICES > 1u {{
        slice = lane / SLICE;
    }}
    let strip = lane / {COLUMNS}u % STRIPS;
    let own = lane % SLICE / ({COLUMNS}u * STRIPS) * DEPTH; // its first vec4 of output channels in the stack
    var bias0 = bias(stack * WIDTH + own);
    let bias1 = bias(stack * WIDTH + own + DEPTH - 1u);
    if slice > 0u {{
        bias0 = vec4f();
    }}
{}{}{spots}    var first = 0u;
    while first < ci {{
{stage}        for (var c = slice; c < channels; c += SLICES) {{
            let t = c * TILE + strip * {ROWS}u * TILE_W + lane % {COLUMNS}u;
            let k = c * 9u * WIDTH + own;
{adds}        }}
        first += channels;
    }}
{exchange}    let o = 4u * (stack * WIDTH + own);
    let row = corner.y + strip * {ROWS}u;
    let column = corner.x + lane % {COLUMNS}u;
{}    if DEPTH > 1u {{
{}    }}
{}}}
",
        sums(0),
        sums(1),
        puts(0, "    "),
        puts(1, "        "),
        if stats { stats_text() } else { String::new() },
    )
}

/// The parameters of all kernels.
pub(super) fn params(sizes: Sizes, columns: usize) -> Vec<(&'static str, Param)> {
    [&sizes.params()[..], &[("columns", columns.into())]].concat()
}

/// How `forward` cuts the output channels: the shader's constants, and workgroups that share a pixel.
struct Shape {
    groups: usize,
    depth: usize,
    strips: usize,
    slices: usize,
    stacks: usize,
}

impl Shape {
    /// Spreads the channels evenly over as few stacks as hold them, and gives a stack of few channels more rows
    /// instead; where they are so few that it would still have too little to do, slices.
    fn of(kernels: Kernels, channels: usize) -> Shape {
        let stacks = channels.div_ceil(MOST);
        let vectors = channels.div_ceil(stacks).div_ceil(4);
        if vectors < 4 {
            let slices = if vectors == 1 { 8 } else { 4 };
            return Shape { groups: vectors, depth: 1, strips: 1, slices, stacks };
        }
        let (depth, most) = if kernels.narrow() { (1, 16) } else { (2, 8) };
        let groups = vectors.div_ceil(depth);
        let strips = [4, 2].into_iter().find(|strips| groups * strips <= most).unwrap_or(1);
        Shape { groups, depth, strips, slices: 1, stacks }
    }

    /// Input channels staged at a time.
    fn chunk(&self) -> usize {
        if self.slices > 1 { CHUNK_OF_SLICES } else { CHUNK }
    }

    /// vec4s in a row of the packed weights.
    fn columns(&self) -> usize {
        self.groups * self.depth * self.stacks
    }
}

/// Which weights a convolution has.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Weights {
    /// The node's weight and bias, which follow its maps.
    Plain,
    /// Of the gradient: the node's second input, transposed.
    Transposed,
}

/// Tells whether slices share the input channels of so few outputs.
pub(super) fn in_slices(kernels: Kernels, outputs: usize) -> bool {
    Shape::of(kernels, outputs).slices > 1
}

/// Tells whether the kernel for so many outputs gives their tiles' sums and maxima. Those of 4 strips, for few outputs,
/// have more sums than room for them, and slices have parts of the outputs alone.
pub(super) fn gives_stats(kernels: Kernels, outputs: usize) -> bool {
    Shape::of(kernels, outputs).strips <= 2 && !in_slices(kernels, outputs)
}

/// The convolution of the node's first `maps` inputs; `tiles`, where [`gives_stats`], get the output's statistics.
pub(super) fn forward(
    l: &mut Lowering,
    sizes: Sizes,
    (maps, gated): (usize, Option<&Epilogue>),
    (y, tiles): (Operand, Option<Operand>),
    weights: Weights,
) {
    let shape = Shape::of(l.kernels, sizes.co);
    let columns = shape.columns();
    let len = ((sizes.cx + sizes.cr) * 9 + 2) * 4 * columns;
    let w = super::weights(maps, gated);
    let packing = params(sizes.packing(), columns);
    let packed = match weights {
        Weights::Plain => {
            l.prepack(len, (&TILES_SHADER, "pack"), "packed", &[("w", Input(w)), ("b", Input(w + 1))], &packing)
        }
        Weights::Transposed => {
            l.prepack(len, (&TILES_SHADER, "pack_transposed"), "packed", &[("w", Input(1))], &packing)
        }
    };
    let sizes = sizes.as_bound(l, maps);
    let (kernel, bindings) = forward_bindings(l, (maps, gated), packed, (y, tiles));
    l.dispatch(
        (&TILES_SHADER, kernel),
        &[
            ("GROUPS", shape.groups as f64),
            ("DEPTH", shape.depth as f64),
            ("STRIPS", shape.strips as f64),
            ("SLICES", shape.slices as f64),
            ("CHUNK", shape.chunk() as f64),
            ("GATED", f64::from(u8::from(gated.is_some()))),
            ("EPILOGUE", Epilogue::number(gated)),
        ],
        &bindings,
        &params(sizes, columns),
        Grid::Workgroups(UVec3::new(
            sizes.w.div_ceil(COLUMNS) as u32,
            sizes.h.div_ceil(ROWS * shape.strips) as u32,
            (sizes.n * shape.stacks) as u32,
        )),
    );
}

/// Constants of `backward_weight`.
struct Cut {
    pairs: usize,
    blocks: usize,
    halves: usize,
    parts: usize,
    lines: usize,
}

impl Cut {
    /// At most 32 pairs of output and 4 blocks of 4 input channels of one map, spread evenly; where these are fewer than
    /// 128 invocations, more parts share the rows, as many as workgroup memory holds.
    fn of(kernels: Kernels, outputs: usize, inputs: [usize; 2]) -> Cut {
        let even = |count: usize, most: usize| count.div_ceil(count.div_ceil(most));
        let (pairs, blocks) = (even(outputs.div_ceil(2), 32), even(inputs[0].max(inputs[1]).div_ceil(4), 4));
        // Intel's compiler unrolls the walk over two rows, and then spills.
        let (halves, lines) = if kernels.narrow() { (2, 1) } else { (1, 2) };
        let with = |parts| Cut { pairs, blocks, halves, parts, lines: if parts == 1 { lines } else { 1 } };
        let fits = |cut: &Cut| pairs * blocks * cut.parts <= 128 && cut.memory() <= MEMORY;
        [8, 4, 2].into_iter().map(with).find(fits).unwrap_or_else(|| with(1))
    }

    fn rows(&self) -> usize {
        self.parts * self.lines
    }

    /// Bytes of the shader's `inputs` and `dys`.
    fn memory(&self) -> usize {
        self.blocks * (self.rows() + 2) * (COLUMNS + 2) * 16 + self.rows() * COLUMNS * (self.pairs + 1) * 8
    }
}

/// The gradients of weight and bias, of the node's inputs dy, x and perhaps r.
pub(super) fn backward_weight(l: &mut Lowering, sizes: Sizes) {
    let channels = sizes.cx + sizes.cr;
    let inputs = [sizes.cx, sizes.cr];
    let cut = Cut::of(l.kernels, sizes.co, inputs);
    let blocks =
        [sizes.co.div_ceil(2 * cut.pairs), inputs.iter().map(|channels| channels.div_ceil(4 * cut.blocks)).sum()];
    // Enough workgroups to fill a GPU (some hundreds) where the blocks of channels alone are not, but at least 8 tiles
    // of pixels for each.
    let tiles = sizes.n * sizes.h.div_ceil(cut.rows()) * sizes.w.div_ceil(COLUMNS);
    let groups = 512usize.div_ceil(blocks[0] * blocks[1]).min(tiles.div_ceil(8)).max(1);
    let splits = groups * cut.parts;
    let params = params(Sizes { splits, ..sizes }, 0);
    let row = channels * 9 + 1;
    let sums = l.scratch(splits * sizes.co * row);
    l.dispatch(
        (&TILES_SHADER, "backward_weight"),
        &[
            ("PAIRS", cut.pairs as f64),
            ("BLOCKS", cut.blocks as f64),
            ("HALVES", cut.halves as f64),
            ("PARTS", cut.parts as f64),
            ("LINES", cut.lines as f64),
        ],
        &[("x", Input(1)), ("r", Input(l.inputs.len() - 1)), ("dy", Input(0)), ("sums", sums)],
        &params,
        Grid::Workgroups(UVec3::new(blocks[0] as u32, blocks[1] as u32, groups as u32)),
    );
    reduce_weight(l, Sizes { splits, ..sizes }, sums);
}

/// Elements of dw and db that a workgroup of `reduce_weight` adds up: the shader's constant of that name.
const ELEMENTS: usize = 32;

/// Adds up the sums (splits, co, 9 (cx + cr) + 1) of a gradient of weight and bias, the bias last.
pub(super) fn reduce_weight(l: &mut Lowering, sizes: Sizes, sums: Operand) {
    l.dispatch(
        (&TILES_SHADER, "reduce_weight"),
        &[],
        &[("sums_in", sums), ("dw", Output(0)), ("db", Output(1))],
        &params(sizes, 0),
        Grid::Workgroups(UVec3::new((sizes.co * ((sizes.cx + sizes.cr) * 9 + 1)).div_ceil(ELEMENTS) as u32, 1, 1)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_fits_a_workgroup() {
        for (kernels, outputs) in (1..300).flat_map(|n| [Kernels::Gpu, Kernels::GpuNarrow].map(|kernels| (kernels, n)))
        {
            let shape = Shape::of(kernels, outputs);
            let slice = COLUMNS * shape.strips * shape.groups;
            let invocations = slice * shape.slices;
            assert!(shape.columns() * 4 >= outputs && invocations <= 256, "{kernels:?} {outputs}");
            let pixels = (ROWS * shape.strips + 2) * (COLUMNS + 2);
            let taps = shape.chunk() * 9 * shape.groups * shape.depth;
            let exchange = if shape.slices > 1 { 2 * invocations } else { 1 };
            assert!(shape.chunk() * pixels * 4 + (taps + exchange) * 16 <= MEMORY, "{kernels:?} {outputs}");
            let spots = if shape.slices > 1 { SPOTS_OF_SLICES } else { SPOTS };
            assert!(pixels <= spots * invocations && taps <= TAPS * invocations, "{kernels:?} {outputs}");
            assert!(shape.slices == 1 || shape.depth == 1 && shape.chunk().is_multiple_of(shape.slices), "{outputs}");
            let stats = slice * shape.depth;
            assert!(stats <= taps || !gives_stats(kernels, outputs), "{kernels:?} {outputs}");
            for inputs in 1..300 {
                for inputs in [[inputs, 0], [3, inputs]] {
                    let cut = Cut::of(kernels, outputs, inputs);
                    let fits = cut.memory() <= MEMORY && cut.pairs * cut.blocks * cut.halves * cut.parts <= 256;
                    assert!(fits, "{kernels:?} {outputs} {inputs:?}");
                }
            }
        }
    }
}
