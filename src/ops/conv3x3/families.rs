//! The families of kernels: one record each, which the command line, the choice of a device's features and the tests
//! read. The convolution alone has kernels of its own in every family; other operators differ where they say so.

use super::gpu::{lanes, matrix, tiles};
use crate::kernel::{Kernels, MatrixUnit, Shader};
use wgpu::{DeviceType, Features};

/// All that sets a family of kernels apart, but its code.
#[derive(Debug)]
pub struct Family {
    /// Name, as [`crate::DeviceOptions::kernel`] takes it.
    pub name: &'static str,
    /// Description for people.
    pub about: &'static str,
    /// Types of device that take it by themselves.
    pub default_for: &'static [DeviceType],
    /// Features without which it cannot run.
    pub requires: Features,
    /// Features that it uses where a device has them.
    pub prefers: Features,
    /// Its kernels on a device with this matrix unit; None where it needs one and there is none.
    pub kernels: fn(Option<MatrixUnit>) -> Option<Kernels>,
    /// Keeps hidden maps and packed weights in f16 where no gradient is asked for.
    pub half: bool,
    /// Shaders of its convolution.
    pub shaders: &'static [&'static Shader],
    /// Tells whether the kernel for so many outputs also gives their statistics ([`super::Conv3x3WithStats`]).
    pub gives_stats: fn(usize) -> bool,
    /// Tells whether the kernel for so many outputs applies gates and an epilogue ([`super::GatedConv3x3`]).
    pub takes_gates: fn(usize) -> bool,
}

/// All families.
pub static FAMILIES: [Family; 4] = [SOFTWARE_SIMD, GPU, GPU_F16, MATRIX];

const SOFTWARE_SIMD: Family = Family {
    name: "lanes",
    about: "f32, for software drivers, which run a workgroup as the vector lanes of a CPU core",
    default_for: &[DeviceType::Cpu],
    requires: Features::empty(),
    prefers: Features::SHADER_INT64,
    kernels: |_| Some(Kernels::SoftwareSimd),
    half: false,
    shaders: &[&LANES_SHADER],
    gives_stats: lanes::gives_stats,
    takes_gates: lanes::takes_gates,
};

const GPU: Family = Family {
    name: "tiles",
    about: "f32, for GPUs",
    default_for: &[DeviceType::DiscreteGpu, DeviceType::IntegratedGpu, DeviceType::VirtualGpu, DeviceType::Other],
    requires: Features::empty(),
    prefers: Features::empty(),
    kernels: |_| Some(Kernels::Gpu),
    half: false,
    shaders: &[&TILES_SHADER],
    gives_stats: tiles::gives_stats,
    takes_gates: |_| true,
};

const GPU_F16: Family = Family {
    name: "tiles-f16",
    about: "hidden maps and weights in f16, sums in f32; in training the way forward alone",
    default_for: &[],
    requires: Features::SHADER_F16,
    kernels: |_| Some(Kernels::GpuF16),
    half: true,
    ..GPU
};

/// Four entry points of `conv3x3` are on matrices; of maps in f32 alone and of few channels the convolution is as in
/// [`GPU`].
const MATRIX: Family = Family {
    name: "matrix",
    about: "the same on cooperative matrices",
    requires: Features::SHADER_F16.union(Features::SUBGROUP).union(Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
    kernels: |unit| unit.map(Kernels::Matrix),
    shaders: &[&TILES_SHADER, &MATRIX8_SHADER, &MATRIX16_SHADER],
    ..GPU_F16
};

impl Kernels {
    /// The record of their family.
    pub fn family(self) -> &'static Family {
        let mut all = FAMILIES.iter();
        let unit = if let Kernels::Matrix(unit) = self { Some(unit) } else { None };
        all.find(|family| (family.kernels)(unit) == Some(self)).expect("all kernels are of a family")
    }

    /// Those that a device can run, the one chosen by itself first: as exact as training needs, where f16 is only for
    /// those who ask for it.
    pub fn of_device(ty: DeviceType, features: Features, unit: Option<MatrixUnit>) -> Vec<Kernels> {
        let mut can: Vec<&Family> = FAMILIES.iter().filter(|f| features.contains(f.requires)).collect();
        can.sort_by_key(|family| !family.default_for.contains(&ty));
        can.into_iter().filter_map(|family| (family.kernels)(unit)).collect()
    }

    /// Names of all families.
    pub fn names() -> Vec<&'static str> {
        FAMILIES.iter().map(|family| family.name).collect()
    }

    /// The name of their family.
    pub fn name(self) -> &'static str {
        self.family().name
    }

    /// Keep hidden feature maps as f16.
    pub fn half(self) -> bool {
        self.family().half
    }
}

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
        ..Shader::new(stem, include_str!("../../../shaders/conv3x3_matrix.wgsl"))
    }
}
