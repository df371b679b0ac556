//! Sums over all elements of a map, in two steps: what the losses and the norm of the gradient share.

use crate::kernel::{Grid, Kernels, Lowering, Operand, Operand::Output, Param, Shader};
use glam::UVec3;

/// Text in front of the shaders that sum.
pub(super) const SUMS: &str = include_str!("../../shaders/sums.wgsl");

/// Workgroups that share so many elements: enough to fill a GPU, and at least `each` elements an invocation.
pub(super) fn parts(len: usize, each: usize) -> usize {
    len.div_ceil(256 * each).clamp(1, 1024)
}

/// How a kernel that adds up n elements, or finds the greatest, shares them out: workgroups of 256 invocations, and how many
/// of these take elements side by side, and with their next step those behind. The lanes of a software driver's vector read
/// on where they were, which caches and memory like best; a GPU's workgroup reads all at once.
pub(super) fn shares(kernels: Kernels, n: usize) -> (usize, usize) {
    let (each, lanes) = if kernels == Kernels::SoftwareSimd { (16, 16) } else { (1, 256) };
    (parts(n, each), lanes)
}

/// Lowers a sum to two kernels, by their entry points: one that sums shares of what it `reads`, and one that makes output
/// number `output` of their sum, and calls it `name`. `params` have `parts` among them.
pub(super) fn lower(
    l: &mut Lowering,
    (shader, [partial, total]): (&'static Shader, [&'static str; 2]),
    parts: usize,
    reads: &[(&'static str, Operand)],
    (name, output): (&'static str, usize),
    params: &[(&'static str, Param)],
) {
    let sums = l.scratch(parts);
    let many = Grid::Workgroups(UVec3::new(parts as u32, 1, 1));
    l.dispatch((shader, partial), &[], &[reads, &[("sums", sums)]].concat(), params, many);
    let one = Grid::Workgroups(UVec3::ONE);
    l.dispatch((shader, total), &[], &[("sums_in", sums), (name, Output(output))], params, one);
}
