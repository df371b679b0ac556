//! SASNet smooths a picture: texture (fabric, mosaic, brick, grass) and noise go, structure stays sharp. The network of
//! "Deep Scale-Aware Image Smoothing" (Li, Qin, Xu, Ji) as hand-written WGSL compute kernels, run and trained by a Rust
//! graph executor on any Vulkan, Metal or DX12 GPU, or on the CPU; no machine-learning framework.
//!
//! ```no_run
//! use sasnet::{exec::Device, image, smooth::{Options, Smoother}, weights::Weights};
//!
//! let device = Device::open(None)?; // a real GPU, else the CPU
//! let mut smoother = Smoother::new(Weights::builtin(), device);
//! let picture = image::read("photo.jpg")?;
//! let smoothed = smoother.smooth(&picture.tensor, &Options::default(), || ())?;
//! image::write("smooth.png", &picture.with(smoothed))?;
//! # Ok::<(), sasnet::Error>(())
//! ```
//!
//! # A walk through the house
//!
//! A picture's way: [`image`] reads it, [`geometry`] pads it to the network's scale, [`smooth`] runs the network and
//! crops the result.
//!
//! 1. [`net`] is the network on one page, as calls that build a [`graph`]: operators on values, in order, plain data.
//!    [`net::unet`] has the two that the paper's Table 3 compares with.
//!    For training, [`net::training`] appends the gradient, operator by operator; activations are rebuilt from each
//!    block's output, so that memory does not grow with the depth.
//! 2. [`ops`] holds the operators, one file each: shape rule, derivation of the gradient, CPU implementation, and how it
//!    becomes dispatches of the kernels in the WGSL file of the same stem. In f64 the CPU implementation is the oracle of
//!    the tests.
//! 3. [`plan`] gives every value a place in a few reused buffers and adds up operations and bytes: a pure function of the
//!    graph, printed by `sasnet plan`. For a GPU [`mod@fuse`] puts nodes together first; [`bands`] cuts a picture into slabs of
//!    rows until its plan fits the memory.
//! 4. [`exec`] runs a plan: `exec/cpu.rs` on all cores, `exec/gpu.rs` through [`gpu`], the only room in which wgpu is
//!    spoken. [`kernel`] is what the two sides say to each other; bindings, parameters and workgroup sizes go by their
//!    names in the shader and are reflected from it.
//! 5. [`weights`] is the file format (safetensors, PyTorch's names and layouts). [`train`] has data (pictures, or
//!    [`train::synthetic`], which draws them), the step, checkpoints and the run; [`metrics`] PSNR and SSIM,
//!    [`contact_sheet`] pictures side by side; [`mod@bench`] measures speed and memory.
//!
//! # Conventions
//!
//! Tensors are (N, C, H, W), row-major, f32; pictures RGB in [0, 1], linear in the file's code values. An operator reads
//! the same everywhere: `x w b y` forward, `dx dw db dy` backward, in WGSL, in Rust and in the CPU implementation. A
//! backward kernel overwrites its output; a value used twice gets its gradient from an explicit addition. Sums have a
//! fixed order and there are no float atomics: two runs on one device are bit-equal.
//!
//! # To add an operator
//!
//! Write `src/ops/NAME.rs` and `shaders/NAME.wgsl`, add NAME to the lists in `src/ops/mod.rs` and `src/gpu/reflect.rs`,
//! and a line to the tables of `tests/operators/`, and of finite differences in `tests/operators.rs`, which then checks it
//! forward and backward.

pub mod bands;
pub mod bench;
pub mod contact_sheet;
pub mod error;
pub mod eval;
pub mod exec;
pub mod file;
pub mod fuse;
pub mod geometry;
pub mod gpu;
pub mod graph;
pub mod image;
pub mod kernel;
pub mod metrics;
pub mod net;
pub mod ops;
pub mod plan;
pub mod smooth;
pub mod tensor;
pub mod train;
pub mod weights;

pub use error::{Error, Result};
pub use wgpu;
