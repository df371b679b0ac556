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

/// The entry point `forward`.
pub(crate) fn unrolled() -> String {
    let pixels = || (0..ROWS * COLUMNS).map(|i| (i, i / COLUMNS, i % COLUMNS));
    let sums: String = pixels().map(|(i, ..)| format!("    var a{i} = bias;\n")).collect();
    let taps: String = (0..9).map(|t| format!("            let w{t} = packed_in[k + {t}u * p.co];\n")).collect();
    let stores: String = pixels()
        .map(|(i, y, x)| format!("    put(at + {y}u * p.w + {x}u, corner + vec2u({x}u, {y}u), a{i});\n"))
        .collect();
    // One value at a time into the nine accumulators that it belongs to.
    let mut adds = String::new();
    for value in 0..(ROWS + 2) * (COLUMNS + 2) {
        let (row, column) = (value / (COLUMNS + 2), value % (COLUMNS + 2));
        let _ = writeln!(adds, "            v = tile[t + {value}u];");
        for tap in 0..9 {
            let (y, x) = (row.wrapping_sub(tap / 3), column.wrapping_sub(tap % 3));
            if y < ROWS && x < COLUMNS {
                let i = y * COLUMNS + x;
                let _ = writeln!(adds, "            a{i} = fma(v, w{tap}, a{i});");
            }
        }
    }
    format!(
        "@compute @workgroup_size(LANES)
fn forward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {{
    let ci = p.cx + p.cr;
    let stacks = (p.co + LANES - 1u) / LANES;
    let image = group.z / stacks;
    let o = group.z % stacks * LANES + lane;
    let own = min(o, p.co - 1u); // lanes past the last channel work along, and store nothing
    let corner = group.xy * vec2u({COLUMNS}u, {ROWS}u);
    let bias = packed_in[ci * 9u * p.co + own];
{sums}
    for (var first = 0u; first < ci; first += CHUNK) {{
        let channels = min(CHUNK, ci - first);
        workgroupBarrier();
        stage(lane, image, corner, first, channels);
        workgroupBarrier();
        for (var c = 0u; c < channels; c++) {{
            let k = (first + c) * 9u * p.co + own;
            let t = c * TILE;
{taps}
            var v: f32;
{adds}
        }}
    }}
    if o >= p.co {{
        return;
    }}
    let at = ((image * p.co + o) * p.h + corner.y) * p.w + corner.x;
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
