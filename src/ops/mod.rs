//! The operators: one file each, with its shape rule, forward, backward, CPU reference, lowering to WGSL kernels (the
//! file of the same stem in `shaders/`) and tests.
//!
//! A forward operator and the operators of its gradient live in one file. Everything else sees them through the trait
//! [`Operator`] and the enum [`Op`], whose list below is the only place that names them all.

use crate::graph::{Graph, Node, Value};
use crate::kernel::{Lowering, Operand, RunParams, Shader};
use crate::tensor::Shape;
use std::sync::Mutex;

pub mod adam;
pub mod add;
pub mod average;
pub mod channel_attention;
pub mod channels;
pub mod conv3x3;
pub mod coupling;
pub mod exp_scale;
pub mod gate;
pub mod grad_norm;
pub mod haar;
pub mod haar_inverse;
pub mod loss;
pub mod max_pool;
pub mod noise;
pub mod pixel_conv;
pub mod rows;
pub mod sigmoid_gate;
pub mod spatial_attention;

/// A number type of the CPU executor: f32 to run, f64 as the oracle of the tests.
pub trait Real:
    num_traits::Float
    + num_traits::NumAssign
    + bytemuck::Pod
    + std::iter::Sum
    + Default
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// Rounds `v`.
    fn of(v: f64) -> Self;
}

impl Real for f32 {
    fn of(v: f64) -> Self {
        v as f32
    }
}

impl Real for f64 {
    fn of(v: f64) -> Self {
        v
    }
}

/// An operand that the CPU implementation reads.
#[derive(Clone, Copy)]
pub struct In<'a, T> {
    /// Its shape.
    pub shape: Shape,
    /// Its values, row-major.
    pub data: &'a [T],
}

impl<'a, T> In<'a, T> {
    /// Values of image `n`.
    pub fn image(&self, n: usize) -> &'a [T] {
        let len = self.shape.c * self.shape.plane();
        &self.data[n * len..(n + 1) * len]
    }
}

/// An operand that the CPU implementation overwrites (or updates in place).
pub struct Out<'a, T> {
    /// Its shape.
    pub shape: Shape,
    /// Its values, row-major.
    pub data: &'a mut [T],
}

/// Working memory of a CPU implementation, in elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workspace {
    /// For each thread.
    pub per_thread: usize,
    /// For the call as a whole.
    pub shared: usize,
}

/// What a CPU implementation gets beside its operands.
pub struct Cpu<'a, T> {
    /// What changes from run to run.
    pub run: &'a RunParams,
    /// One buffer a thread, each of [`Workspace::per_thread`].
    pub threads: &'a [Mutex<Vec<T>>],
    /// One buffer of [`Workspace::shared`].
    pub shared: &'a Mutex<Vec<T>>,
}

impl<T: Real> Cpu<'_, T> {
    /// Runs `work` on the first `len` elements of this thread's buffer. `work` must not enter rayon again.
    pub fn with_scratch<R>(&self, len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.threads.len();
        let mut buffer = self.threads[thread].lock().expect("no thread panicked with the buffer");
        work(&mut buffer[..len])
    }
}

/// One operator: everything that the graph, the planner and the executors need to know of it.
pub trait Operator {
    /// Name as in the file's stem, with `.backward...` for gradients.
    fn name(&self) -> &'static str;

    /// Shapes of the outputs; an error says what does not fit.
    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String>;

    /// Multiply-accumulate operations of convolutions and matrix products.
    fn macs(&self, _inputs: &[Shape], _outputs: &[Shape]) -> u64 {
        0
    }

    /// What the paper's Table 2 counts on top of [`Operator::macs`]: biases and activations.
    fn paper_extras(&self, _inputs: &[Shape], _outputs: &[Shape]) -> u64 {
        0
    }

    /// Adds the operators of the gradient to the graph. `dy` has the gradients of the outputs (None where nothing
    /// depends on one), `needs` says whose gradients are wanted; the result has one entry an input.
    fn backward(&self, _g: &mut Graph, node: &Node, _dy: &[Option<Value>], _needs: &[bool]) -> Vec<Option<Value>> {
        panic!("{} ({}) has no gradient", self.name(), node.name)
    }

    /// Do the GPU kernels take this operand as f16, too? `inputs` is their number. See [`crate::low_level::plan`].
    fn accepts_f16(&self, _inputs: usize, _operand: Operand) -> bool {
        false
    }

    /// Must output 0 be of f16 exactly where input 0 is?
    fn same_precision(&self) -> bool {
        false
    }

    /// Working memory of [`Operator::cpu`].
    fn workspace(&self, _inputs: &[Shape], _outputs: &[Shape]) -> Workspace {
        Workspace::default()
    }

    /// The CPU implementation: overwrites all of `y`. Values that the node updates in place follow its outputs in `y`.
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>);

    /// The GPU implementation.
    fn gpu(&self, l: &mut Lowering);
}

macro_rules! operators {
    ($($file:ident :: $op:ident),* $(,)?) => {
        /// Any operator.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)] // each variant is documented where its operator is
        pub enum Op { $($op($file::$op)),* }

        $(impl From<$file::$op> for Op {
            fn from(op: $file::$op) -> Op { Op::$op(op) }
        })*

        macro_rules! each {
            ($self:ident, $o:ident => $call:expr) => { match $self { $(Op::$op($o) => $call),* } };
        }
    };
}

operators! {
    adam::Adam,
    add::Add, add::Scale,
    average::Average,
    channel_attention::ChannelStats, channel_attention::ChannelStatsBackward,
    channel_attention::ChannelGate, channel_attention::ChannelGateBackward,
    channels::Concat, channels::Split,
    conv3x3::Conv3x3, conv3x3::GatedConv3x3, conv3x3::Conv3x3WithStats, conv3x3::ActivationBackward, conv3x3::Conv3x3BackwardInput, conv3x3::Conv3x3BackwardWeight,
    coupling::Coupling, coupling::CouplingBackward,
    exp_scale::ExpScale, exp_scale::ExpScaleBackward,
    gate::Gate, gate::GateBackward,
    grad_norm::GradNorm,
    haar::Haar, haar_inverse::HaarInverse,
    loss::L1Loss, loss::L1LossBackward,
    max_pool::MaxPool, max_pool::MaxPoolBackward,
    noise::Noise,
    pixel_conv::PixelConv, pixel_conv::PixelConvBackward,
    rows::Rows,
    sigmoid_gate::SigmoidGate, sigmoid_gate::SigmoidGateBackward,
    spatial_attention::SpatialStats, spatial_attention::SpatialStatsBackward,
    spatial_attention::SpatialGate, spatial_attention::SpatialGateBackward,
}

/// The shaders of all operators.
pub static SHADERS: &[&Shader] = &[
    &adam::SHADER,
    &add::SHADER,
    &average::SHADER,
    &channel_attention::SHADER,
    &channels::SHADER,
    &coupling::SHADER,
    &exp_scale::SHADER,
    &gate::SHADER,
    &grad_norm::SHADER,
    &haar::SHADER,
    &haar_inverse::SHADER,
    &loss::SHADER,
    &max_pool::SHADER,
    &noise::SHADER,
    &pixel_conv::SHADER,
    &rows::SHADER,
    &sigmoid_gate::SHADER,
    &spatial_attention::SHADER,
    &conv3x3::TILES_SHADER,
    &conv3x3::LANES_SHADER,
    &conv3x3::MATRIX8_SHADER,
    &conv3x3::MATRIX16_SHADER,
];

/// The shader called `stem`.
pub fn shader(stem: &str) -> Option<&'static Shader> {
    SHADERS.iter().copied().find(|shader| shader.stem == stem)
}

impl Operator for Op {
    fn name(&self) -> &'static str {
        each!(self, o => o.name())
    }
    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        each!(self, o => o.infer(inputs))
    }
    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        each!(self, o => o.macs(inputs, outputs))
    }
    fn paper_extras(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        each!(self, o => o.paper_extras(inputs, outputs))
    }
    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], needs: &[bool]) -> Vec<Option<Value>> {
        each!(self, o => o.backward(g, node, dy, needs))
    }
    fn accepts_f16(&self, inputs: usize, operand: Operand) -> bool {
        each!(self, o => o.accepts_f16(inputs, operand))
    }
    fn same_precision(&self) -> bool {
        each!(self, o => o.same_precision())
    }
    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        each!(self, o => o.workspace(inputs, outputs))
    }
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        each!(self, o => o.cpu(x, y, cpu))
    }
    fn gpu(&self, l: &mut Lowering) {
        each!(self, o => o.gpu(l))
    }
}

/// `Err` with the message unless `condition`: for shape rules.
macro_rules! check {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(crate) use check;

/// Checks the number of inputs and gives them as an array.
pub(crate) fn arity<const N: usize>(inputs: &[Shape]) -> Result<[Shape; N], String> {
    inputs.try_into().map_err(|_| format!("takes {N} inputs, got {}", inputs.len()))
}

/// Sum of `f(i)` over the indices, with 16 running sums: fast, and in f32 far more exact than one.
pub(crate) fn sum_by<T: Real>(len: usize, f: impl Fn(usize) -> T) -> T {
    let mut lanes = [T::zero(); 16];
    let whole = len / 16 * 16;
    for i in (0..whole).step_by(16) {
        for (j, lane) in lanes.iter_mut().enumerate() {
            *lane += f(i + j);
        }
    }
    for i in whole..len {
        lanes[i - whole] += f(i);
    }
    tree(lanes)
}

/// Sum, as [`sum_by`].
pub(crate) fn sum<T: Real>(values: &[T]) -> T {
    let mut lanes = [T::zero(); 16];
    let chunks = values.chunks_exact(16);
    for (lane, v) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += *v;
    }
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += *v;
        }
    }
    tree(lanes)
}

/// Sum of products, as [`sum`].
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::zero(); 16];
    let (a16, b16) = (a.chunks_exact(16), b.chunks_exact(16));
    for (i, (u, v)) in a16.remainder().iter().zip(b16.remainder()).enumerate() {
        lanes[i] += *u * *v;
    }
    for (u, v) in a16.zip(b16) {
        for i in 0..16 {
            lanes[i] += u[i] * v[i];
        }
    }
    tree(lanes)
}

fn tree<T: Real>(mut lanes: [T; 16]) -> T {
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

/// dst (m, n; rows `dst_stride` apart) = beta dst + a (m, k) b (k, n), with strides (row, column) of a and b.
#[allow(clippy::too_many_arguments)] // a matrix product has three operands, each with its strides
pub(crate) fn product<T: Real>(
    (m, n, k): (usize, usize, usize),
    dst: &mut [T],
    dst_stride: usize,
    beta: T,
    a: &[T],
    a_strides: (usize, usize),
    b: &[T],
    b_strides: (usize, usize),
) {
    assert!(dst.len() > (m - 1) * dst_stride + (n - 1), "dst covers {m}x{n}");
    // SAFETY: dst is checked above, and borrowed alone.
    unsafe { product_at((m, n, k), dst.as_mut_ptr(), dst_stride, beta, a, a_strides, b, b_strides) }
}

/// [`product`] into memory that tasks share.
///
/// # Safety
/// `dst` must be valid for reads and writes of m rows of n elements, `dst_stride` apart, that no other thread touches.
#[allow(clippy::too_many_arguments)] // as above
pub(crate) unsafe fn product_at<T: Real>(
    (m, n, k): (usize, usize, usize),
    dst: *mut T,
    dst_stride: usize,
    beta: T,
    a: &[T],
    (a_row, a_col): (usize, usize),
    b: &[T],
    (b_row, b_col): (usize, usize),
) {
    assert!(a.len() > (m - 1) * a_row + (k - 1) * a_col, "a covers {m}x{k}");
    assert!(b.len() > (k - 1) * b_row + (n - 1) * b_col, "b covers {k}x{n}");
    let one = T::one();
    // SAFETY: a and b are checked above; dst is the caller's promise.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst,
            1,
            dst_stride as isize,
            beta != T::zero(),
            a.as_ptr(),
            a_col as isize,
            a_row as isize,
            b.as_ptr(),
            b_col as isize,
            b_row as isize,
            beta,
            one,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// 1 / (1 + exp(-x))
pub(crate) fn sigmoid<T: Real>(x: T) -> T {
    T::one() / (T::one() + (-x).exp())
}
