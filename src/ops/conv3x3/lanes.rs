//! The convolution's kernel for software drivers: writes the unrolled part of `shaders/conv3x3_lanes.wgsl`, which explains
//! it, and lowers to it.
//!
//! Generated, because neither naga nor the drivers unroll loops of this size, and accumulators in an array that a variable
//! indexes would live in memory.

use super::Sizes;
use crate::kernel::{Grid, Lowering, Operand};
use glam::UVec3;
use std::fmt::Write;

/// Rows and columns of pixels in an invocation's accumulators; the shader's tile has one more on each side.
const ROWS: usize = 8;
const COLUMNS: usize = 16;

/// Rows of a strip: its accumulators are added to column by column, so that those in use fit the vector registers.
const STRIP: usize = 4;

/// The entry point `forward`.
pub(crate) fn unrolled() -> String {
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
    // Nothing but what packing depends on, so that nodes with the same weights share them.
    let params = Sizes { n: 0, h: 0, w: 0, slope: 0.0, ..sizes }.params();
    l.prepare(len, ("conv3x3_lanes", kernel), "packed", &read, &params)
}

/// The convolution with packed weights.
pub(super) fn forward(l: &mut Lowering, sizes: Sizes, (x, r): (Operand, Operand), packed: Operand, y: Operand) {
    let lanes = sizes.co.next_multiple_of(16).min(64);
    let grid = UVec3::new(
        sizes.w.div_ceil(COLUMNS) as u32,
        sizes.h.div_ceil(ROWS) as u32,
        (sizes.n * sizes.co.div_ceil(lanes)) as u32,
    );
    l.dispatch(
        ("conv3x3_lanes", "forward"),
        &[("LANES", lanes as f64)],
        &[("x", x), ("r", r), ("packed_in", packed), ("y", y)],
        &sizes.params(),
        Grid::Workgroups(grid),
    );
}
