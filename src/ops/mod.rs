//! The operators: one file each, with its shape rule, forward, backward, CPU reference, lowering to WGSL kernels (the
//! file of the same stem in `shaders/`) and tests.
//!
//! A forward operator and the operators of its gradient live in one file. Everything else sees them through the trait
//! [`Operator`] and the enum [`Op`], whose list below names them all.

use crate::graph::{self, ShapeRule, Value};
use crate::kernel::{Lowering, Operand, Shader};
use crate::tensor::Shape;

pub mod activation;
pub mod adam;
pub mod add;
pub mod affine;
pub mod average;
pub mod batch_norm;
pub mod blur;
pub mod channel_attention;
pub mod channels;
pub mod constant;
pub mod conv;
pub mod conv3x3;
pub mod coupling;
pub mod coverage;
#[cfg(feature = "cpu")]
mod cpu;
pub mod differences;
pub mod edge_loss;
pub mod exp_scale;
pub mod gate;
pub mod gaussian;
pub mod grad_norm;
pub mod gradient_step;
pub mod grey_gradient;
pub mod guided;
pub mod haar;
pub mod haar_inverse;
pub mod joint_bilateral;
pub mod lab;
pub mod loss;
pub mod max_pool;
pub mod maximum;
pub mod muon;
pub mod neighbour_loss;
pub mod noise;
pub mod pair_weights;
pub mod pcg;
pub mod periodic_solve;
pub mod phases;
pub mod pixel_conv;
pub mod resize;
pub mod rows;
pub mod rtv_weights;
pub mod running_stats;
pub mod sigmoid_gate;
pub mod spatial_attention;
pub mod squared_loss;
pub mod ssim;
mod sums;
pub mod sweep;
pub mod transpose;

#[cfg(feature = "cpu")]
pub use cpu::{Cpu, In, Out, Real};
#[cfg(feature = "cpu")]
pub(crate) use cpu::{product, product_at, sum, sum_parts};

/// Text in front of the shaders whose kernels are tiles of matrix products.
const MATRIX_PRODUCT: &str = include_str!("../../shaders/matrix_product.wgsl");

/// Working memory of a CPU implementation, in elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workspace {
    /// For each thread.
    pub per_thread: usize,
    /// For the call as a whole.
    pub shared: usize,
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

    /// Counts what the paper's Table 2 adds on top of [`Operator::macs`]: biases and activations.
    fn paper_extras(&self, _inputs: &[Shape], _outputs: &[Shape]) -> u64 {
        0
    }

    /// Tells how often a run does this at most: again and again while any element of the last value that it updates is
    /// not 0, as an iteration with a stopping rule. None: once.
    fn repeats(&self) -> Option<usize> {
        None
    }

    /// Adds the operators of the gradient to the graph. `dy` has the gradients of the outputs (None where nothing
    /// depends on one), `needs` says whose gradients are wanted; the result has one entry an input.
    fn backward(&self, _g: &mut Graph, node: &Node, _dy: &[Option<Value>], _needs: &[bool]) -> Vec<Option<Value>> {
        panic!("{} ({}) has no gradient", self.name(), node.name)
    }

    /// Tells whether the GPU kernels take this operand as f16, too. `inputs` is their number. See
    /// [`crate::low_level::plan`].
    fn accepts_f16(&self, _inputs: usize, _operand: Operand) -> bool {
        false
    }

    /// Tells whether output 0 must be of f16 exactly where input 0 is.
    fn same_precision(&self) -> bool {
        false
    }

    /// Working memory of [`Operator::cpu`].
    fn workspace(&self, _inputs: &[Shape], _outputs: &[Shape]) -> Workspace {
        Workspace::default()
    }

    /// The CPU implementation: overwrites all of `y`. Values that the node updates in place follow its outputs in `y`.
    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>);

    /// The GPU implementation.
    fn gpu(&self, l: &mut Lowering);
}

/// A list of these operators on values; [`crate::low_level::autodiff`] adds its gradient.
pub type Graph = graph::Graph<Op>;
/// One of these operators applied.
pub type Node = graph::Node<Op>;

impl ShapeRule for Op {
    fn name(&self) -> &'static str {
        Operator::name(self)
    }
    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Operator::infer(self, inputs)
    }
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
    activation::Bounded, activation::BoundedBackward,
    adam::Adam,
    add::Add, add::Scale,
    affine::Affine,
    average::Average,
    batch_norm::BatchNorm, batch_norm::BatchNormBackward,
    blur::Blur,
    channel_attention::ChannelStats, channel_attention::ChannelStatsBackward,
    channel_attention::ChannelGate, channel_attention::ChannelGateBackward,
    channels::Concat, channels::Split,
    constant::Constant, constant::Detach,
    conv::Conv, conv::ConvBackwardInput, conv::ConvBackwardWeight,
    conv3x3::Conv3x3, conv3x3::GatedConv3x3, conv3x3::Conv3x3WithStats, conv3x3::ActivationBackward,
    conv3x3::Conv3x3BackwardInput, conv3x3::Conv3x3BackwardWeight,
    coupling::Coupling, coupling::CouplingBackward,
    coverage::Coverage, coverage::CoverageBackward,
    differences::Differences,
    edge_loss::Edges, edge_loss::EdgeLoss, edge_loss::EdgeLossBackward,
    exp_scale::ExpScale, exp_scale::ExpScaleBackward,
    gate::Gate, gate::GateBackward,
    gaussian::Gaussian,
    grad_norm::GradNorm,
    gradient_step::GradientStep,
    guided::Guided,
    grey_gradient::GreyGradient, grey_gradient::GreyGradientBackward,
    haar::Haar, haar_inverse::HaarInverse,
    joint_bilateral::JointBilateral,
    lab::Lab,
    loss::L1Loss, loss::L1LossBackward,
    max_pool::MaxPool, max_pool::MaxPoolBackward,
    maximum::Maximum, maximum::MaximumBackward,
    muon::Muon,
    neighbour_loss::NeighbourLoss, neighbour_loss::NeighbourLossBackward,
    noise::Noise,
    pair_weights::PairWeights,
    pcg::PcgStart, pcg::PcgIterate,
    periodic_solve::PeriodicSolve,
    phases::Phases, phases::PhasesInverse,
    pixel_conv::PixelConv, pixel_conv::PixelConvBackward,
    resize::Resize, resize::ResizeBackward,
    rows::Rows,
    rtv_weights::RtvWeights,
    sigmoid_gate::SigmoidGate, sigmoid_gate::SigmoidGateBackward,
    spatial_attention::SpatialStats, spatial_attention::SpatialStatsBackward,
    spatial_attention::ChannelGateAndSpatialStats, spatial_attention::SpatialGate, spatial_attention::SpatialGateBackward,
    running_stats::RunningStats,
    squared_loss::SquaredLoss, squared_loss::SquaredLossBackward,
    ssim::Products, ssim::ProductsBackward, ssim::Squares, ssim::SsimLoss, ssim::SsimLossBackward,
    sweep::Sweep, sweep::SweepBackward,
    transpose::Transpose,
}

/// The shaders of all operators.
pub static SHADERS: &[&Shader] = &[
    &activation::SHADER,
    &adam::SHADER,
    &add::SHADER,
    &affine::SHADER,
    &average::SHADER,
    &batch_norm::SHADER,
    &blur::SHADER,
    &channel_attention::SHADER,
    &channels::SHADER,
    &constant::SHADER,
    &conv::SHADER,
    &coupling::SHADER,
    &coverage::SHADER,
    &differences::SHADER,
    &edge_loss::SHADER,
    &exp_scale::SHADER,
    &gate::SHADER,
    &gaussian::SHADER,
    &grad_norm::SHADER,
    &gradient_step::SHADER,
    &guided::SHADER,
    &grey_gradient::SHADER,
    &haar::SHADER,
    &haar_inverse::SHADER,
    &joint_bilateral::SHADER,
    &lab::SHADER,
    &loss::SHADER,
    &max_pool::SHADER,
    &maximum::SHADER,
    &muon::SHADER,
    &neighbour_loss::SHADER,
    &noise::SHADER,
    &pair_weights::SHADER,
    &pcg::SHADER,
    &periodic_solve::SHADER,
    &phases::SHADER,
    &pixel_conv::SHADER,
    &resize::SHADER,
    &rows::SHADER,
    &rtv_weights::SHADER,
    &sigmoid_gate::SHADER,
    &spatial_attention::SHADER,
    &running_stats::SHADER,
    &squared_loss::SHADER,
    &ssim::SHADER,
    &sweep::SHADER,
    &transpose::SHADER,
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
    fn repeats(&self) -> Option<usize> {
        each!(self, o => o.repeats())
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
    #[cfg(feature = "cpu")]
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
