//! An operator's requests to the GPU, as plain data: which kernels, on which operands, with which parameters.
//!
//! An operator *lowers* itself to a list of [`Dispatch`]es ([`crate::ops::Operator::gpu`]); the planner gives every
//! operand a place in a buffer; [`crate::gpu`] turns the result into pipelines and bind groups. Bindings and parameters
//! go by the names they have in the shader: positions, offsets and workgroup sizes are reflected from the WGSL.

mod families;
mod shader;

pub use families::{FAMILIES, Family, Kernels, MatrixUnit};
pub use shader::{Shader, Variant};

use crate::tensor::Shape;
use glam::UVec3;

/// An operand of a dispatch, by its place in the node's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The node's input `i`.
    Input(usize),
    /// The node's output `i`; values that the node updates in place follow its outputs.
    Output(usize),
    /// Scratch memory `i` of the node ([`Lowering::scratch`]).
    Scratch(usize),
    /// Memory that [`Lowering::prepack`] filled.
    Packed(usize),
}

/// A parameter of a kernel: a member of the shader's uniform struct `p`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Param {
    /// `u32`
    U32(u32),
    /// `f32`
    F32(f32),
}

impl From<usize> for Param {
    fn from(v: usize) -> Self {
        Param::U32(u32::try_from(v).expect("a kernel parameter fits 32 bits"))
    }
}

impl From<f32> for Param {
    fn from(v: f32) -> Self {
        Param::F32(v)
    }
}

/// How many invocations a dispatch needs; the workgroup size is the shader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// At least so many invocations in x, y and z, rounded up to whole workgroups.
    Threads(UVec3),
    /// So many workgroups.
    Workgroups(UVec3),
    /// At least so many invocations in one dimension, folded over x and y where they pass 65,535 workgroups; the shader
    /// gets its index from `linear_index` of `common.wgsl`.
    Linear(usize),
}

/// Bytes from one dispatch's parameters to the next's in the uniform buffer: WebGPU's alignment of offsets.
pub const PARAMS_STRIDE: usize = 256;

/// One run of one kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// The shader.
    pub shader: &'static Shader,
    /// The shader's activations (`Act`) are f16 instead of f32; without meaning for a shader that has none.
    pub half: bool,
    /// Entry point.
    pub entry: &'static str,
    /// Values of the shader's `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// Storage buffers, by their names in the shader.
    pub bindings: Vec<(&'static str, Operand)>,
    /// Members of the uniform struct `p`; all of them.
    pub params: Vec<(&'static str, Param)>,
    /// Invocations.
    pub grid: Grid,
}

/// A request for what a kernel makes of parameters alone: weights in the order that another kernel wants them.
#[derive(Clone, Debug, PartialEq)]
pub struct PackRequest {
    /// Elements, of 2 bytes where the dispatch is of `half`, else of 4.
    pub len: usize,
    /// The run that makes it; its own operand is among the bindings.
    pub dispatch: Dispatch,
}

/// An operator's way onto the GPU: its dispatches in order, and the scratch memory that they share.
#[derive(Clone, Debug)]
pub struct Lowering {
    /// Shapes of the node's inputs.
    pub inputs: Vec<Shape>,
    /// Shapes of the node's outputs, then of the values that it updates.
    pub outputs: Vec<Shape>,
    /// Which kernels to use.
    pub kernels: Kernels,
    /// Operands that lie in memory as f16 ([`crate::ops::Operator::accepts_f16`]).
    pub half: Vec<Operand>,
    /// Dispatches in order.
    pub dispatches: Vec<Dispatch>,
    /// Length of each scratch buffer, in 32-bit words.
    pub scratch: Vec<usize>,
    /// Parameters to be packed.
    pub prepack: Vec<PackRequest>,
}

impl Lowering {
    /// Nothing yet.
    pub fn new(inputs: Vec<Shape>, outputs: Vec<Shape>, kernels: Kernels, half: Vec<Operand>) -> Lowering {
        Lowering { inputs, outputs, kernels, half, dispatches: vec![], scratch: vec![], prepack: vec![] }
    }

    /// Asks for `len` 32-bit words of scratch memory; contents are undefined when the first dispatch starts.
    pub fn scratch(&mut self, len: usize) -> Operand {
        self.scratch.push(len);
        Operand::Scratch(self.scratch.len() - 1)
    }

    /// Asks for `len` elements that a kernel, one invocation each, makes of inputs: `written` is its binding for them.
    /// Where these inputs are parameters it runs only when they have changed, and once for all nodes that ask for the
    /// same.
    pub fn prepack(
        &mut self,
        len: usize,
        (shader, entry): (&'static Shader, &'static str),
        written: &'static str,
        read: &[(&'static str, Operand)],
        params: &[(&'static str, Param)],
    ) -> Operand {
        let packed = Operand::Packed(self.prepack.len());
        let dispatch = Dispatch {
            shader,
            half: !self.half.is_empty(),
            entry,
            constants: vec![],
            bindings: std::iter::once((written, packed)).chain(read.iter().copied()).collect(),
            params: params.to_vec(),
            grid: Grid::Linear(len),
        };
        self.prepack.push(PackRequest { len, dispatch });
        packed
    }

    /// Adds a run of the kernel `entry` of a shader.
    pub fn dispatch(
        &mut self,
        (shader, entry): (&'static Shader, &'static str),
        constants: &[(&'static str, f64)],
        bindings: &[(&'static str, Operand)],
        params: &[(&'static str, Param)],
        grid: Grid,
    ) {
        self.dispatches.push(Dispatch {
            shader,
            half: !self.half.is_empty(),
            entry,
            constants: constants.to_vec(),
            bindings: bindings.to_vec(),
            params: params.to_vec(),
            grid,
        });
    }
}

/// Parameters that change from run to run without a new plan: on the GPU the uniform struct `run` (`common.wgsl`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct RunParams {
    /// Seed of the noise, low and high word.
    pub seed: [u32; 2],
    /// Scale of the noise; 0 = none.
    pub noise_scale: f32,
    /// Largest gradient norm (infinity = never clipped).
    pub clip: f32,
    /// Learning rate.
    pub learning_rate: f32,
    /// 1 - beta1^step, Adam's first bias correction.
    pub correction1: f32,
    /// 1 - beta2^step, Adam's second bias correction.
    pub correction2: f32,
    /// What the weights of a step count in their moving average: 1 - decay.
    pub average: f32,
}

impl RunParams {
    /// A pass forward with noise of this seed and scale.
    pub fn with_noise(seed: u64, noise_scale: f32) -> RunParams {
        RunParams { seed: [seed as u32, (seed >> 32) as u32], noise_scale, ..RunParams::default() }
    }
}

impl Default for RunParams {
    fn default() -> Self {
        RunParams {
            seed: [0; 2],
            noise_scale: 0.0,
            clip: f32::INFINITY,
            learning_rate: 0.0,
            correction1: 1.0,
            correction2: 1.0,
            average: 0.0,
        }
    }
}
