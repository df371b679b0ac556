//! SASNet smooths a picture: texture (fabric, mosaic, brick, grass) and noise go, structure stays sharp. The network of
//! "Deep Scale-Aware Image Smoothing" (Li, Qin, Xu, Ji) as hand-written WGSL compute kernels, run and trained by a Rust
//! graph executor on any Vulkan, Metal or DX12 GPU, or on the CPU; no machine-learning framework.
//!
//! ```no_run
//! use sasnet::{Device, Options, Smoother, Weights, image};
//!
//! let device = Device::open(None)?; // a real GPU, else the CPU
//! let mut smoother = Smoother::new(Weights::builtin(), device);
//! let picture = image::read("photo.jpg")?;
//! let smoothed = smoother.smooth(&picture.tensor, &Options::default())?;
//! image::write("smooth.png", &picture.with(smoothed)?)?;
//! # Ok::<(), sasnet::Error>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | smooth pictures | [`Smoother`] with [`Options`], on a [`Device`] |
//! | smooth them by a classical filter | the same with a [`Filter`] |
//! | read and write them | [`image`] |
//! | boost detail, map tones, abstract, find edges | [`applications`] |
//! | load a model | [`Weights`] |
//! | put the network into a frame of your own | [`embed`] |
//! | build networks, plan, run kernels | [`low_level`], which is not stable |
//! | train and measure | [`lab`], neither |
//!
//! Tensors are (N, C, H, W), row-major, f32; pictures RGB in [0, 1], in the file's own code values (as they are stored:
//! mostly sRGB, not linear light). Everything that can go wrong is an [`Error`]; nothing is printed and nothing panics
//! on what a caller passes. `ARCHITECTURE.md` walks through the parts.

// Public are the face, low_level and the lab; everything else says that it is not.
#![warn(unreachable_pub)]

pub mod applications;
mod autodiff;
mod digest;
pub mod embed;
mod error;
mod exec;
#[cfg(feature = "files")]
mod file;
pub mod filters;
mod fit;
mod geometry;
mod gpu;
mod graph;
#[cfg(feature = "files")]
pub mod image;
mod kernel;
#[cfg(feature = "lab")]
pub mod lab;
mod net;
mod observer;
#[cfg(feature = "files")]
mod onnx;
mod ops;
mod plan;
mod rng;
mod smooth;
mod tensor;
mod upsample;
mod weights;

pub use error::{Diverged, Error, Limit, Result, TooLarge};
pub use exec::{Device, DeviceOptions};
pub use filters::Filter;
#[cfg(feature = "files")]
pub use image::Picture;
pub use net::{Deaf, Drf, JessNet, Latent, Network, ResNet, Sasnet, Sizes, Unet};
pub use observer::{Observer, Progress};
pub use smooth::{Model, Options, Smoother};
pub use tensor::{Shape, Tensor};
pub use weights::{Precision, Weights};
pub use wgpu;

/// The engine's rooms: graph, planner, operators, executors, GPU. For programs that build networks of their own, and
/// for the tests. Not stable: what is here may change with any release.
pub mod low_level {
    /// Re-exports a room.
    macro_rules! rooms {
        ($($(#[$attribute:meta])* $room:ident),* $(,)?) => {
            $($(#[$attribute])* pub mod $room { pub use crate::$room::*; })*
        };
    }
    rooms! {
        /// The gradient of a graph.
        autodiff,
        /// Executors: run a plan on the CPU or a GPU.
        exec,
        /// Files that are never half-written.
        #[cfg(feature = "files")]
        file,
        /// Fits a picture into memory, in slabs of rows.
        fit,
        /// Padding, cropping, flips and rotations.
        geometry,
        /// Drives wgpu.
        gpu,
        /// Operators on values, in order: data only.
        graph,
        /// The data that operators hand to the GPU.
        kernel,
        /// The networks.
        net,
        /// A network as an ONNX model.
        #[cfg(feature = "files")]
        onnx,
        /// The operators.
        ops,
        /// Where each value lives, and what it costs.
        plan,
        /// Random numbers of a key.
        rng,
        /// Smoothing pictures of any size.
        smooth,
        /// Shapes and host tensors.
        tensor,
        /// The weights file.
        weights,
    }
    /// Used in the signatures of [`kernel`].
    pub use glam;
    /// Used in the signatures of [`gpu`].
    #[cfg(not(target_arch = "wasm32"))]
    pub use naga;
}

/// Compiles the Rust of the page on embedding.
#[cfg(all(doctest, feature = "cpu"))]
#[doc = include_str!("../docs/embedding.md")]
struct Embedding;
