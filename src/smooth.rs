//! Smooths pictures: pads them to the network's scale, runs it, crops and clips, alone or as an ensemble of eight.

use crate::error::{Error, Result};
use crate::exec::{Device, Executor};
use crate::geometry::{Flip, crop, reflect_pad};
use crate::graph::{Graph, Value};
use crate::kernel::Globals;
use crate::net::{self, Config};
use crate::tensor::{Shape, Tensor};
use crate::weights::Weights;

/// How to smooth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Scale of the noise in z's place, 0 = none; None = the scale that the weights were trained with.
    pub noise: Option<f32>,
    /// Seed of the noise.
    pub seed: u64,
    /// The mean of the eight flips and rotations, each with its own noise (the paper's self-ensemble).
    pub ensemble: bool,
}

impl Options {
    /// Passes through the network that one picture takes.
    pub fn passes(&self) -> usize {
        if self.ensemble { 8 } else { 1 }
    }
}

/// A network on a device, ready for pictures of any size. Keeps what it built for the last two sizes: a picture and its
/// rotation.
pub struct Smoother {
    weights: Weights,
    device: Device,
    built: Vec<Built>,
}

struct Built {
    shape: Shape,
    exec: Executor,
    x: Value,
    y: Value,
}

impl Smoother {
    /// Puts the weights to use on a device.
    pub fn new(weights: Weights, device: Device) -> Smoother {
        Smoother { weights, device, built: vec![] }
    }

    /// Replaces the weights by others of the same network, flat.
    pub fn set_params(&mut self, params: &[f32]) -> Result<()> {
        self.weights.params.copy_from_slice(params);
        let value = Graph::new(self.weights.config.layout()).params();
        self.built.iter_mut().try_for_each(|b| b.exec.write(value, params))
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Would a picture of `h` x `w` fit? To be asked before it is decoded. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::TooLarge`] with the largest size of this shape that fits the device.
    pub fn check(&self, h: usize, w: usize) -> Result<()> {
        self.fits(h, w).map_err(|error| match error {
            Error::TooLarge(message) => self.too_large(h, w, &message),
            other => other,
        })
    }

    /// Smooths x (1, 3, H, W) of any size; the result is of the same shape, clipped to [0, 1]. `progress` is called after
    /// each pass.
    ///
    /// # Errors
    /// [`Error::TooLarge`] as [`Smoother::check`]; [`Error::Gpu`] where the device fails; [`Error::Invalid`] for another
    /// shape or a noise scale that is no number from 0 on.
    pub fn smooth(&mut self, x: &Tensor, options: &Options, mut progress: impl FnMut()) -> Result<Tensor> {
        let noise = match options.noise {
            Some(scale) if scale >= 0.0 && scale.is_finite() => scale,
            Some(scale) => return Err(Error::Invalid(format!("the noise scale is {scale}; give a number, 0 or more"))),
            None => self.weights.noise()?,
        };
        if (x.shape.n, x.shape.c) != (1, 3) || x.shape.is_empty() {
            return Err(Error::Invalid(format!("the picture is {}; give 1x3 channels of one pixel or more", x.shape)));
        }
        let mut mean = Tensor::zeros(x.shape);
        let passes = options.passes();
        for (i, flip) in Flip::all().take(passes).enumerate() {
            // Each pass draws its own noise; the first is that of a single pass.
            let seed = options.seed.wrapping_add((i as u64) << 56);
            let y = flip.undo(&self.pass(&flip.apply(x), noise, seed)?);
            mean.data.iter_mut().zip(&y.data).for_each(|(mean, y)| *mean += y / passes as f32);
            progress();
        }
        mean.data.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        Ok(mean)
    }

    fn pass(&mut self, x: &Tensor, noise: f32, seed: u64) -> Result<Tensor> {
        let padded = reflect_pad(x, self.weights.config.scale());
        let globals = Globals { seed: [seed as u32, (seed >> 32) as u32], noise_scale: noise, ..Globals::default() };
        let built = self.built(padded.shape)?;
        built.exec.write(built.x, &padded.data)?;
        built.exec.run(&globals)?;
        let y = Tensor::new(padded.shape, built.exec.read(built.y)?);
        Ok(crop(&y, x.shape.h, x.shape.w))
    }

    fn built(&mut self, shape: Shape) -> Result<&mut Built> {
        if let Some(i) = self.built.iter().position(|b| b.shape == shape) {
            let last = self.built.len() - 1;
            self.built.swap(i, last);
        } else {
            if self.built.len() == 2 {
                self.built.remove(0);
            }
            let (graph, x, y) = graph(&self.weights.config, shape)?;
            let params = graph.params();
            let mut exec = Executor::new(graph, &self.device).map_err(|error| match error {
                Error::TooLarge(message) => self.too_large(shape.h, shape.w, &message),
                other => other,
            })?;
            exec.write(params, &self.weights.params)?;
            self.built.push(Built { shape, exec, x, y });
        }
        Ok(self.built.last_mut().expect("just put there"))
    }

    fn fits(&self, h: usize, w: usize) -> Result<()> {
        let side = |side: usize| side.next_multiple_of(self.weights.config.scale());
        let (graph, ..) = graph(&self.weights.config, Shape::new(1, 3, side(h), side(w)))?;
        Executor::check(&graph, &self.device)
    }

    /// The error for a picture that does not fit, with the largest of its shape that does.
    fn too_large(&self, h: usize, w: usize, message: &str) -> Error {
        let scaled = |part: f64| [h, w].map(|side| ((side as f64 * part) as usize).max(1));
        let fits = |part: f64| {
            let [h, w] = scaled(part);
            self.fits(h, w).is_ok()
        };
        // Bisection of the sides' factor; 20 halvings find a side of a million pixels to the pixel.
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..20 {
            let middle = (low + high) / 2.0;
            *(if fits(middle) { &mut low } else { &mut high }) = middle;
        }
        let hint = if matches!(self.device, Device::Gpu(_)) { ", or use --adapter cpu" } else { "" };
        let advice = match scaled(low) {
            [h, w] if fits(low) => format!("Make it {w}x{h} or smaller{hint}"),
            _ => format!("Not even a pixel of this network does{hint}"),
        };
        Error::TooLarge(format!("{w}x{h} pixels do not fit: {message}. {advice}"))
    }
}

/// The graph that smooths a batch of this shape, its input and its output.
pub fn graph(config: &Config, shape: Shape) -> Result<(Graph, Value, Value)> {
    let mut g = Graph::new(config.layout());
    let x = g.input("x", shape);
    let y = net::smooth(&mut g, config, x)?;
    g.output(y);
    Ok((g, x, y))
}
