//! The convolution's shaders, a few for each family of kernels.

use super::gpu::{lanes, matrix, tiles};
use crate::kernel::Shader;

const COMMON: &str = include_str!("../../../shaders/conv3x3_common.wgsl");

/// Tiles in workgroup memory; unchecked, because the checks take much of the time (14 % of `forward` on lanes).
pub static TILES_SHADER: Shader = Shader {
    prelude: COMMON,
    generator: Some(tiles::unrolled),
    unchecked: Some(
        "a map's element is read or written only after its row and column were found inside, or cut off there; \
         a channel past the last is not read; weights are packed for whole workgroups, `columns` vec4s a row, by the \
         parameters of the kernel that reads them; tiles and arrays in workgroup memory are indexed below the lengths \
         that the pipeline's constants give them, the statistics' part of `taps` where `gives_stats` says so, which \
         `every_cut_fits_a_workgroup` tests",
    ),
    ..Shader::new("conv3x3", include_str!("../../../shaders/conv3x3.wgsl"))
};

/// Invocations as vector lanes; unchecked, as [`TILES_SHADER`].
pub static LANES_SHADER: Shader = Shader {
    prelude: COMMON,
    generator: Some(|_| lanes::unrolled()),
    unchecked: Some(
        "a map's element is read or written only after its row and column were found inside, or cut off there; \
         weights are packed for whole workgroups of lanes, whose number `lanes` tells the packing kernel and the one \
         that reads; the tile has its pixels, and `shifted` the sums of as many outputs as it has room for",
    ),
    ..Shader::new("conv3x3_lanes", include_str!("../../../shaders/conv3x3_lanes.wgsl"))
};

/// Cooperative matrices of 8x8.
pub static MATRIX8_SHADER: Shader = matrix_shader("conv3x3_matrix8", |_| matrix::unrolled(8));
/// Cooperative matrices of 16x16.
pub static MATRIX16_SHADER: Shader = matrix_shader("conv3x3_matrix16", |_| matrix::unrolled(16));

const fn matrix_shader(stem: &'static str, generator: fn(bool) -> String) -> Shader {
    Shader {
        prelude: COMMON,
        generator: Some(generator),
        matrices: true,
        unchecked: Some(
            "a map's element is read or written only after its row, column and channel were found inside; weights are \
             packed for whole chunks of channels and whole stacks of outputs; a matrix lies in workgroup memory as a whole: \
             a tap shifts it within the tile's halo, an output's weights are below STACK, and `exchange` has one for each of \
             four subgroups, whose numbers are taken by four",
        ),
        ..Shader::new(stem, include_str!("../../../shaders/conv3x3_matrix.wgsl"))
    }
}
