//! The convolution's kernels on cooperative matrices: writes the second part of `shaders/conv3x3_matrix.wgsl`, which
//! explains them, and lowers to them.

use super::super::{Epilogue, MATRIX8_SHADER, MATRIX16_SHADER};
use super::{Sizes, forward_bindings, tiles};
use crate::kernel::{Grid, Lowering, MatrixUnit, Operand, Operand::*};
use crate::ops::channel_attention::{TILE_COLUMNS, TILE_ROWS};
use glam::UVec3;
use std::fmt::Write;

/// Input channels staged at a time.
const CHUNK: usize = 16;
/// Output channels of a workgroup at most.
const MOST: usize = 64;

/// The constant SIDE, and the entry points `forward`, `forward_stats`, `forward_hidden` and `forward_hidden_stats`, for
/// matrices of `side` x `side`.
pub(in super::super) fn unrolled(side: usize) -> String {
    let mut text = format!("const SIDE = {side}u;\n");
    text += &forward_text(side, "", "put", false);
    text += &forward_text(side, "_stats", "put_plain", true);
    text += &forward_text(side, "_hidden", "put_hidden", false);
    text += &forward_text(side, "_hidden_stats", "put_hidden", true);
    text
}

/// Generated, because accumulators are variables, and matrices cannot stand in arrays that a variable indexes.
fn forward_text(side: usize, suffix: &str, put: &str, stats: bool) -> String {
    // A subgroup's pixels: two rows of 16.
    let pixels = || (0..2 * 16 / side).map(|m| (m, m * side / 16, m * side % 16));
    let outputs = || 0..MOST / side;
    let ty = |scalar: &str, role: &str| format!("coop_mat{side}x{side}<{scalar}, {role}>");
    let (left, right, sum) = (ty("f16", "A"), ty("f16", "B"), ty("f32", "C"));
    let [mut sums, mut loads, mut products, mut stores] = [const { String::new() }; 4];
    for n in outputs() {
        // Outputs past the stack's are left out when the pipeline is built.
        let _ = writeln!(products, "                if STACK > {}u {{", n * side);
        let _ = writeln!(
            products,
            "                    let right = coopLoad<{right}>(&taps[{}u * PITCH + i], PITCH);",
            n * side
        );
        for (m, ..) in pixels() {
            let _ = writeln!(sums, "    var a{m}_{n} = coopLoad<{sum}>(&exchange[{}u], SIDE);", n * side * side);
            let _ = writeln!(products, "                    a{m}_{n} = coopMultiplyAdd(left{m}, right, a{m}_{n});");
        }
        products += "                }\n";
    }
    for (m, row, column) in pixels() {
        let pixel = row * 18 + column;
        let _ = writeln!(
            loads,
            "                let left{m} = coopLoadT<{left}>(&tile[(pixels + {pixel}u) * PITCH + i], PITCH);"
        );
        for n in outputs() {
            let _ = write!(
                stores,
                "    if STACK > {o}u {{
        workgroupBarrier();
        coopStore(a{m}_{n}, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {{
            let row = corner.y + e / (SIDE * SIDE) * 2u + {row}u;
            {put}(image, o + {o}u + e / SIDE % SIDE, row, corner.x + {column}u + e % SIDE, exchange[e]);
        }}
{add}    }}
",
                o = n * side,
                add = if stats {
                    format!("        add_stats({n}u, lane, corner, {row}u, {column}u);\n")
                } else {
                    String::new()
                },
            );
        }
    }
    format!(
        "
@compute @workgroup_size(INVOCATIONS)
fn forward{suffix}(
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(workgroup_id) group: vec3u,
) {{
    let stacks = (p.co + STACK - 1u) / STACK;
    let image = group.z / stacks;
    let o = group.z % stacks * STACK;
    let corner = group.xy * vec2u({TILE_COLUMNS}u, {TILE_ROWS}u);
    // Where subgroups are smaller than SUBGROUP_SIZE there are more than four, and the others do the same once more:
    // matrices are for all invocations alike.
    let quarter = subgroup % 4u;
    stage_bias(lane, o);
    workgroupBarrier();
{sums}    for (var chunk = 0u; chunk < chunks(); chunk++) {{
        workgroupBarrier();
        stage_inputs(lane, image, corner, chunk * CHUNK);
        for (var tap = 0u; tap < 9u; tap++) {{
            workgroupBarrier();
            stage_weights(lane, chunk, tap, o);
            workgroupBarrier();
            let pixels = (2u * quarter + tap / 3u) * TILE_W + tap % 3u;
            for (var i = 0u; i < CHUNK; i += SIDE) {{
{loads}{products}            }}
        }}
    }}
{stores}{stats}}}
",
        stats = if stats { "    put_stats(lane, image, o, group.xy);\n" } else { "" },
    )
}

/// The convolution of the node's first `maps` inputs, into y or, of f16, a hidden map.
pub(super) fn forward(
    l: &mut Lowering,
    sizes: Sizes,
    (maps, gated): (usize, Option<&Epilogue>),
    (y, tiles): (Operand, Option<Operand>),
    unit: MatrixUnit,
) {
    let shader = match unit.side {
        8 => &MATRIX8_SHADER,
        16 => &MATRIX16_SHADER,
        side => panic!("no kernel for matrices of {side}x{side}"),
    };
    let stacks = sizes.co.div_ceil(MOST);
    let stack = sizes.co.div_ceil(stacks).next_multiple_of(16);
    let columns = stacks * stack / 4;
    let len = ((sizes.cx + sizes.cr).div_ceil(CHUNK) * CHUNK * 9 + 2) * 4 * columns;
    let packing = tiles::params(sizes.packing(), columns);
    let w = super::weights(maps, gated);
    let packed = l.prepack(len, (shader, "pack"), "packed", &[("w", Input(w)), ("b", Input(w + 1))], &packing);
    let sizes = sizes.as_bound(l, maps);
    let (kernel, bindings) = forward_bindings(l, (maps, gated), packed, (y, tiles));
    l.dispatch(
        (shader, kernel),
        &[
            ("SUBGROUP_SIZE", f64::from(unit.subgroup_size)),
            ("STACK", stack as f64),
            ("GATED", f64::from(u8::from(gated.is_some()))),
            ("EPILOGUE", Epilogue::number(gated)),
        ],
        &bindings,
        &tiles::params(sizes, columns),
        Grid::Workgroups(UVec3::new(
            sizes.w.div_ceil(TILE_COLUMNS) as u32,
            sizes.h.div_ceil(TILE_ROWS) as u32,
            (sizes.n * stacks) as u32,
        )),
    );
}
