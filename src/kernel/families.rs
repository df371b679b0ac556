//! The families of kernels: one record each of what a device needs to run it, which the choice of a device, the command
//! line and the tests read. The convolution alone has kernels of its own in every family; other operators differ where they
//! say so.

use wgpu::{AdapterInfo, DeviceType, Features};

/// Which kernels an operator uses where it has several.
///
/// By itself a device takes those of f32 for its type. f16 is for those who ask: on a 160x120 picture and the built-in
/// weights it changes 0.6 % of the 8-bit values, by one (70 dB), where f32 on other drivers changes 0.007 %; maps take
/// half the memory. On an NVIDIA H200 the full network takes 17.9 ms in f32, 17.5 in f16 and 14.0 on matrices (512x384),
/// too little a gain to take them unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kernels {
    /// For GPUs: invocations are pixels, tiles in workgroup memory.
    #[default]
    Gpu,
    /// The same for GPUs with few registers: an invocation of a convolution has half as many sums.
    GpuNarrow,
    /// As `Gpu` with hidden maps and packed weights in f16 where no gradient is asked for; sums and all else are f32.
    GpuF16,
    /// As `GpuF16` for GPUs with few registers.
    GpuNarrowF16,
    /// As `GpuF16` with the convolutions on cooperative matrices.
    Matrix(MatrixUnit),
    /// For software drivers, which run a workgroup as the vector lanes of a CPU core: invocations are channels.
    SoftwareSimd,
}

/// A GPU's unit for products of small matrices, f16 times f16 into f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatrixUnit {
    /// Rows and columns of all three matrices: 8 or 16.
    pub side: u32,
    /// Invocations of a subgroup at most.
    pub subgroup_size: u32,
}

/// What sets a family of kernels apart on a device.
#[derive(Debug)]
pub struct Family {
    /// Name, as [`crate::DeviceOptions::kernel`] takes it.
    pub name: &'static str,
    /// Description for people.
    pub about: &'static str,
    /// Types of device that take it by themselves.
    pub default_for: &'static [DeviceType],
    /// Makers, by their PCI numbers, whose GPUs take it before others that they could; empty: all.
    pub vendors: &'static [u32],
    /// Features without which it cannot run.
    pub requires: Features,
    /// Features that it uses where a device has them.
    pub prefers: Features,
    /// Its kernels on a device with this matrix unit; None where it needs one and there is none.
    pub kernels: fn(Option<MatrixUnit>) -> Option<Kernels>,
    /// Keeps hidden maps and packed weights in f16 where no gradient is asked for.
    pub half: bool,
    /// An invocation of a convolution has half as many sums.
    pub narrow: bool,
    /// Kernels, by shader and entry point, that it compiles with checks although they need none, because without they are
    /// slower.
    pub keeps_checks: &'static [(&'static str, &'static str)],
}

/// Intel, whose compiler has 128 registers of 8 lanes: of 64 sums it spills a hundred (docs/kernels.md). On other GPUs half
/// as many sums load more for each.
const INTEL: u32 = 0x8086;

/// All families.
pub static FAMILIES: [Family; 6] = [SOFTWARE_SIMD, GPU, GPU_NARROW, GPU_F16, GPU_NARROW_F16, MATRIX];

const SOFTWARE_SIMD: Family = Family {
    name: "lanes",
    about: "f32, for software drivers, which run a workgroup as the vector lanes of a CPU core",
    default_for: &[DeviceType::Cpu],
    vendors: &[],
    requires: Features::empty(),
    prefers: Features::SHADER_INT64,
    kernels: |_| Some(Kernels::SoftwareSimd),
    half: false,
    narrow: false,
    // Mesa's lavapipe takes 2.0, 1.5 and 1.4 times as long for these where it may unroll their loops, and less for the
    // other kernels of their shaders; SwiftShader less for all.
    keeps_checks: &[
        ("spatial_attention", "backward_weight"),
        ("channel_attention", "reduce"),
        ("spatial_attention", "reduce_weight"),
    ],
};

const GPU: Family = Family {
    name: "tiles",
    about: "f32, for GPUs",
    default_for: &[DeviceType::DiscreteGpu, DeviceType::IntegratedGpu, DeviceType::VirtualGpu, DeviceType::Other],
    requires: Features::empty(),
    vendors: &[],
    prefers: Features::empty(),
    kernels: |_| Some(Kernels::Gpu),
    half: false,
    narrow: false,
    keeps_checks: &[],
};

const GPU_NARROW: Family = Family {
    name: "tiles-narrow",
    about: "f32, for GPUs with few registers, such as Intel's",
    vendors: &[INTEL],
    kernels: |_| Some(Kernels::GpuNarrow),
    narrow: true,
    ..GPU
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

const GPU_NARROW_F16: Family = Family {
    name: "tiles-narrow-f16",
    about: "the same for GPUs with few registers",
    vendors: &[INTEL],
    kernels: |_| Some(Kernels::GpuNarrowF16),
    narrow: true,
    ..GPU_F16
};

const MATRIX: Family = Family {
    name: "matrix",
    about: "as tiles-f16 on cooperative matrices",
    requires: Features::SHADER_F16.union(Features::SUBGROUP).union(Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
    kernels: |unit| unit.map(Kernels::Matrix),
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
    pub fn of_device(info: &AdapterInfo, features: Features, unit: Option<MatrixUnit>) -> Vec<Kernels> {
        let mut can: Vec<&Family> = FAMILIES.iter().filter(|f| features.contains(f.requires)).collect();
        let fits = |family: &Family| match family.vendors {
            [] => 1,
            vendors if vendors.contains(&info.vendor) => 0,
            _ => 2,
        };
        can.sort_by_key(|family| (!family.default_for.contains(&info.device_type), fits(family)));
        can.into_iter().filter_map(|family| (family.kernels)(unit)).collect()
    }

    /// Of those that a device can run the tiles with maps in f16.
    pub fn half_of_device(info: &AdapterInfo, features: Features) -> Option<Kernels> {
        Kernels::of_device(info, features, None).into_iter().find(|kernels| kernels.half())
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

    /// Have half as many sums an invocation of a convolution.
    pub fn narrow(self) -> bool {
        self.family().narrow
    }
}
