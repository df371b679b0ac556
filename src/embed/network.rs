//! Kernels and weights on a host's device.

use super::Context;
use super::context::padded;
#[cfg(not(target_arch = "wasm32"))]
use crate::error::Error;
use crate::error::Result;
use crate::fit::Cut;
use crate::kernel::Dispatch;
use crate::plan::Plan;
use crate::smooth::Model;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
#[cfg(not(target_arch = "wasm32"))]
use std::task::Poll;

/// Sizes for which kernels are compiled ahead. Which kernels a picture takes depends on its size: small maps are cut
/// otherwise than large ones, so that a GPU has enough to do. Those of software drivers differ for maps of even and odd
/// width, as pictures a pixel or two wider have them.
const SIZES: [[u32; 2]; 7] = [[16, 16], [64, 64], [192, 160], [512, 384], [1280, 720], [1920, 1080], [3840, 2160]];

/// A network, or a classical filter, with its kernels on a device, for pictures of any size. A clone is the same.
#[derive(Clone)]
pub struct Network {
    pub(super) context: Context,
    pub(super) model: Arc<Model>,
}

impl Network {
    /// Compiles the kernels and returns when that is done: after seconds, where a driver has not kept them.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Gpu`] where the device fails.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new(context: &Context, model: impl Into<Model>) -> Result<Network> {
        let mut compiling = Network::begin(context, model)?;
        loop {
            if let Poll::Ready(network) = compiling.step() {
                return network;
            }
        }
    }

    /// Compiles the kernels on a thread of its own.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn spawn(context: &Context, model: impl Into<Model>) -> Pending {
        let (context, model) = (context.clone(), model.into());
        Pending(std::thread::spawn(move || Network::new(&context, model)))
    }

    /// Compiles nothing yet: one kernel for each [`Compiling::step`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for weights that are not the network's.
    pub fn begin(context: &Context, model: impl Into<Model>) -> Result<Compiling> {
        let model = model.into();
        if let Model::Network(weights) = &model {
            weights.network.layout().check_params(&weights.params)?;
        }
        let (mut seen, mut left) = (HashSet::new(), VecDeque::new());
        for size in SIZES.into_iter().flat_map(|[w, h]| (w..w + 3).map(move |w| [w, h])) {
            let cut_graph = Cut::WHOLE.graph(model.subject(), padded(&model, size)?)?;
            // What is too large for the device goes in slabs, which are of the other sizes.
            let Ok(plan) = Plan::new(&cut_graph.graph, context.gpu.target()) else { continue };
            let packing = plan.prepack.kernels.iter().map(|(dispatch, _)| dispatch);
            let steps = plan.steps.iter().flat_map(|step| step.dispatches.iter().map(|(dispatch, _)| dispatch));
            for dispatch in packing.chain(steps) {
                let constants: Vec<_> = dispatch.constants.iter().map(|(name, v)| (*name, v.to_bits())).collect();
                if seen.insert((dispatch.shader.stem, dispatch.half, dispatch.entry, constants)) {
                    left.push_back(dispatch.clone());
                }
            }
        }
        Ok(Compiling { network: Network { context: context.clone(), model: model.into() }, of: left.len(), left })
    }

    /// The network or filter.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The device.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

/// A network whose kernels are compiled one by one, for hosts that have a few milliseconds each frame.
pub struct Compiling {
    network: Network,
    left: VecDeque<Dispatch>,
    of: usize,
}

impl Compiling {
    /// Compiles one more kernel; ready with the network after the last one. One that is there already costs nothing.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn step(&mut self) -> Poll<Result<Network>> {
        let gpu = self.network.context.gpu.clone();
        match gpu.drive(self.step_async()) {
            Ok(None) => Poll::Pending,
            Ok(Some(network)) => Poll::Ready(Ok(network)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// The same, for programs that must not wait: None where there are more.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub async fn step_async(&mut self) -> Result<Option<Network>> {
        self.network.context.gpu.alive()?;
        if let Some(dispatch) = self.left.pop_front() {
            self.network.context.gpu.compile_async(&dispatch).await?;
        }
        Ok(self.left.is_empty().then(|| self.network.clone()))
    }

    /// Kernels done, and in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.of - self.left.len(), self.of)
    }
}

/// A network whose kernels are compiled on a thread.
#[cfg(not(target_arch = "wasm32"))]
pub struct Pending(std::thread::JoinHandle<Result<Network>>);

#[cfg(not(target_arch = "wasm32"))]
impl Pending {
    /// Tells whether [`Pending::wait`] will return at once.
    pub fn is_ready(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the network.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn wait(self) -> Result<Network> {
        self.0.join().unwrap_or_else(|_| Err(Error::Gpu("compiling ended by a panic".into())))
    }
}
