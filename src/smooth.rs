//! Smooths pictures of any size: pads them by reflection, runs it, crops and clips, alone or as an ensemble of
//! eight. What memory it may take decides whether a picture goes through the network whole or in slabs of rows.

use crate::error::{Error, Result, TooLarge};
#[cfg(feature = "cpu")]
use crate::exec::available_memory;
use crate::exec::{Device, Executor};
use crate::fit::{Cut, CutGraph, MOST_PIXELS};
use crate::geometry::{Flip, Padding};
use crate::graph::Value;
use crate::kernel::RunParams;
use crate::net::Network;
use crate::observer::{Observer, Progress, tell};
use crate::ops::Graph;
use crate::plan::Plan;
use crate::tensor::{Shape, Tensor};
use crate::weights::Weights;

/// How to smooth.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Options {
    /// Scale of the noise in z's place, 0 = none; None = the scale that the weights were trained with.
    pub noise: Option<f32>,
    /// Seed of the noise.
    pub seed: u64,
    /// The mean of the eight flips and rotations, each with its own noise (the paper's self-ensemble).
    pub ensemble: bool,
}

impl Options {
    /// With noise of this scale.
    #[must_use]
    pub fn with_noise(self, scale: f32) -> Options {
        Options { noise: Some(scale), ..self }
    }

    /// With the noise of this seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Options {
        Options { seed, ..self }
    }

    /// With the mean of the eight flips and rotations, or without.
    #[must_use]
    pub fn with_ensemble(self, ensemble: bool) -> Options {
        Options { ensemble, ..self }
    }

    /// Passes through the network that one picture takes.
    pub fn passes(&self) -> usize {
        if self.ensemble { 8 } else { 1 }
    }
}

/// Pixels of reflection that the network sees around a picture, cropped afterwards. Its convolutions see zeros beyond, black
/// that is not there: without a border the shipped model frames a white picture by a coloured line, off by up to 16 of 255 (a
/// black one by 20), with one of 2 pixels by 4 (5), of 8 by 1 (3), of 16 by 0 (2). Each costs 8 pixels' time: 7 % of 512x384.
pub const BORDER: usize = 8;

/// A network on a device, ready for pictures of any size. Keeps what it built for the last two sizes: a picture and its
/// rotation.
pub struct Smoother {
    weights: Weights,
    device: Device,
    max_memory: Option<u64>,
    built: Vec<Built>,
}

struct Built {
    shape: Shape,
    exec: Executor,
    x: Vec<Value>,
    y: Vec<Value>,
    cut: Cut,
}

impl Smoother {
    /// Puts the weights to use on a device.
    pub fn new(weights: Weights, device: Device) -> Smoother {
        Smoother { weights, device, max_memory: None, built: vec![] }
    }

    /// Takes no more than this many bytes of the device's memory (None: what it has). With the CPU that is beside the
    /// picture itself.
    #[must_use]
    pub fn with_max_memory(self, max_memory: Option<u64>) -> Smoother {
        Smoother { max_memory, built: vec![], ..self }
    }

    /// How the last picture was cut, and the plan that it ran by.
    pub fn last_plan(&self) -> Option<(Cut, &Plan)> {
        self.built.last().map(|b| (b.cut, b.exec.plan()))
    }

    /// Replaces the weights by others of the same network, flat.
    pub fn set_params(&mut self, params: &[f32]) -> Result<()> {
        if params.len() != self.weights.params.len() {
            let (given, own) = (params.len(), self.weights.params.len());
            return Err(Error::Invalid(format!("{given} parameters for a network of {own}, gaps included")));
        }
        self.weights.params.copy_from_slice(params);
        let value = Graph::new(self.weights.network.layout()).params();
        self.built.iter_mut().try_for_each(|b| b.exec.write(value, params))
    }

    /// Bytes allocated on the device for what is built.
    pub fn allocated_bytes(&self) -> u64 {
        self.built.iter().map(|b| b.exec.allocated_bytes()).sum()
    }

    /// The weights in use.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Checks that a picture of `h` x `w` fits: to be asked before it is decoded. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::TooLarge`] with the largest size of this shape that fits the device.
    pub fn check(&self, h: usize, w: usize) -> Result<()> {
        if h == 0 || w == 0 || h.saturating_mul(w) > MOST_PIXELS {
            return Err(Error::Invalid(format!("the picture is {w}x{h}; give 1 to {MOST_PIXELS} pixels")));
        }
        let max_memory = self.memory();
        self.fits(h, w, max_memory).map_err(|error| self.too_large(h, w, max_memory, error))
    }

    /// Smooths x (1, 3, H, W) of any size; the result is of the same shape, clipped to [0, 1].
    ///
    /// # Errors
    /// As [`Smoother::smooth_observed`].
    pub fn smooth(&mut self, x: &Tensor, options: &Options) -> Result<Tensor> {
        self.smooth_observed(x, options, &mut ())
    }

    /// The same; the observer hears of each [`Progress::Pass`].
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the observer asked to stop; [`Error::TooLarge`] as [`Smoother::check`];
    /// [`Error::Gpu`] where the device fails; [`Error::Invalid`] for another shape, a noise scale that is no number from
    /// 0 on, and where a value of the picture or of the result is not finite.
    pub fn smooth_observed(&mut self, x: &Tensor, options: &Options, observer: &mut dyn Observer) -> Result<Tensor> {
        let device = self.device.clone();
        device.drive(self.smooth_async(x, options, observer))
    }

    /// The same, for programs that must not wait, as in a browser.
    ///
    /// # Errors
    /// As [`Smoother::smooth_observed`].
    pub async fn smooth_async(&mut self, x: &Tensor, options: &Options, observer: &mut dyn Observer) -> Result<Tensor> {
        let noise = match options.noise {
            Some(scale) if scale >= 0.0 && scale.is_finite() => scale,
            Some(scale) => return Err(Error::Invalid(format!("the noise scale is {scale}; give a number, 0 or more"))),
            None => self.weights.noise()?,
        };
        if options.noise.is_some() {
            self.weights.network.check_noise(noise)?;
        }
        if x.data.len() != x.shape.len() {
            let (values, shape) = (x.data.len(), x.shape);
            return Err(Error::Invalid(format!(
                "the picture has {values} values, its shape {shape} asks for {}",
                shape.len()
            )));
        }
        if (x.shape.n, x.shape.c) != (1, 3) || x.shape.is_empty() {
            return Err(Error::Invalid(format!("the picture is {}; give 1x3 channels of one pixel or more", x.shape)));
        }
        if x.data.iter().any(|v| !v.is_finite()) {
            return Err(Error::Invalid("the picture has values that are not finite numbers".into()));
        }
        let mut mean = Tensor::zeros(x.shape);
        let passes = options.passes();
        for (i, flip) in Flip::all().take(passes).enumerate() {
            // Each pass draws its own noise; the first is that of a single pass.
            let seed = options.seed.wrapping_add((i as u64) << 56);
            let run_params =
                RunParams { seed: [seed as u32, (seed >> 32) as u32], noise_scale: noise, ..RunParams::default() };
            self.pass(x, flip, &run_params, &mut mean, 1.0 / passes as f32).await?;
            tell(observer, Progress::Pass { done: i + 1, of: passes })?;
        }
        if mean.data.iter().any(|v| !v.is_finite()) {
            let kernels = if self.device.is_half() { ", or too large for these kernels, which are in f16" } else { "" };
            return Err(Error::Invalid(format!(
                "the result has values that are not finite numbers: the weights are too large{kernels}, or the noise is"
            )));
        }
        mean.data.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        Ok(mean)
    }

    /// Adds `share` of the flipped picture's result to `sum`. Slab by slab: a copy of a large picture is memory, too.
    /// (With a GPU, wgpu has a copy of what is written until the run is submitted.)
    async fn pass(
        &mut self,
        x: &Tensor,
        flip: Flip,
        run_params: &RunParams,
        sum: &mut Tensor,
        share: f32,
    ) -> Result<()> {
        let (padding, (h, w)) = (self.padding(), flip.size(x.shape));
        let padded = Shape { h: padding.side(h), w: padding.side(w), ..x.shape };
        let Built { exec, x: slabs, y, .. } = self.built(padded).await?;
        let mut first = 0;
        for &slab in &*slabs {
            let rows = first..first + exec.shape(slab).h;
            first = rows.end;
            exec.write_async(slab, &padding.flip_and_pad(x, flip, rows).data).await?;
        }
        exec.run_async(run_params).await?;
        first = 0;
        for &slab in &*y {
            let part = Tensor::new(exec.shape(slab), exec.read_async(slab).await?);
            padding.add_back(sum, flip, first, &part, share);
            first += part.shape.h;
        }
        Ok(())
    }

    fn padding(&self) -> Padding {
        Padding { border: BORDER, multiple: self.weights.network.scale() }
    }

    async fn built(&mut self, shape: Shape) -> Result<&mut Built> {
        if let Some(i) = self.built.iter().position(|b| b.shape == shape) {
            let last = self.built.len() - 1;
            self.built.swap(i, last);
        } else {
            let built = self.build(shape).await?;
            self.built.push(built);
        }
        Ok(self.built.last_mut().expect("just put there"))
    }

    /// Plans and allocates for a shape, after making room.
    async fn build(&mut self, shape: Shape) -> Result<Built> {
        let mut max_memory = self.memory();
        loop {
            let (cut_graph, plan) = Cut::within(&self.weights.network, shape, self.device.target(), max_memory)
                .map_err(|error| self.too_large(shape.h - 2 * BORDER, shape.w - 2 * BORDER, max_memory, error))?;
            let planned = plan.peak_bytes();
            while self.built.len() > 1 || !self.built.is_empty() && self.allocated_bytes() > max_memory - planned {
                self.built.remove(0);
            }
            let CutGraph { graph, x, y, cut } = cut_graph;
            let params = graph.params();
            match Executor::new_async(graph, &self.device).await {
                Ok(mut exec) => {
                    exec.write_async(params, &self.weights.params).await?;
                    return Ok(Built { shape, exec, x, y, cut });
                }
                // A GPU's free memory is known by trying only.
                Err(Error::TooLarge(error)) if planned > 1 => {
                    log::info!("{error}; trying in half of the {planned} bytes");
                    max_memory = planned / 2;
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Bytes that may be taken.
    fn memory(&self) -> u64 {
        let free = match self.device {
            #[cfg(feature = "cpu")]
            Device::Cpu => available_memory().saturating_add(self.allocated_bytes()),
            Device::Gpu(_) => u64::MAX,
        };
        free.min(self.max_memory.unwrap_or(u64::MAX))
    }

    fn fits(&self, h: usize, w: usize, max_memory: u64) -> Result<()> {
        let padding = self.padding();
        let shape = Shape::new(1, 3, padding.side(h), padding.side(w));
        Cut::fit(&self.weights.network, shape, self.device.target(), max_memory)
    }

    /// The error for a picture that does not fit, with the largest of its shape that does. The memory is given: where
    /// it were asked for anew, what fitted a moment ago might not, as other programs take some.
    fn too_large(&self, h: usize, w: usize, max_memory: u64, error: Error) -> Error {
        let Error::TooLarge(error) = error else { return error };
        let scaled = |part: f64| [h, w].map(|side| ((side as f64 * part) as usize).max(1));
        let fits = |part: f64| {
            let [h, w] = scaled(part);
            self.fits(h, w, max_memory).is_ok()
        };
        // Bisection of the sides' factor; 20 halvings find a side of a million pixels to the pixel.
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..20 {
            let middle = (low + high) / 2.0;
            *(if fits(middle) { &mut low } else { &mut high }) = middle;
        }
        let largest = fits(low).then(|| scaled(low)).map(|[h, w]| [w, h]);
        TooLarge { picture: Some([w, h]), largest, ..error }.into()
    }
}

/// The graph that smooths a batch (N, 3, H, W) in one piece, its input and its output, both of this shape: H and W are
/// multiples of [`Network::scale`]. The input is in the code values of the training, [0, 1]; the output is not clipped.
///
/// # Errors
/// [`Error::Invalid`] for another shape.
pub fn graph(network: &Network, shape: Shape) -> Result<(Graph, Value, Value)> {
    let CutGraph { graph, x, y, .. } = Cut::WHOLE.graph(network, shape)?;
    Ok((graph, x[0], y[0]))
}
