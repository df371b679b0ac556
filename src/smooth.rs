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

    /// Smooths x (1, 3, H, W) of any size; the result is of the same shape, clipped to [0, 1]. `progress` is called after
    /// each pass.
    ///
    /// # Errors
    /// [`Error::TooLarge`] with the largest size of this shape that fits the device; [`Error::Gpu`] where that fails.
    pub fn smooth(&mut self, x: &Tensor, options: &Options, mut progress: impl FnMut()) -> Result<Tensor> {
        let noise = match options.noise {
            Some(scale) if scale >= 0.0 && scale.is_finite() => scale,
            Some(scale) => return Err(Error::Invalid(format!("the noise scale is {scale}; give a number, 0 or more"))),
            None => self.weights.noise()?,
        };
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
                Error::TooLarge(message) => Error::TooLarge(self.too_large(shape, &message)),
                other => other,
            })?;
            exec.write(params, &self.weights.params)?;
            self.built.push(Built { shape, exec, x, y });
        }
        Ok(self.built.last_mut().expect("just put there"))
    }

    /// The error for a picture that does not fit, with the largest of its shape that does.
    fn too_large(&self, shape: Shape, message: &str) -> String {
        let scaled = |part: f64| {
            let side = |side: usize| ((side as f64 * part) as usize).max(1);
            (side(shape.w), side(shape.h))
        };
        let fits = |part: f64| {
            let (w, h) = scaled(part);
            let side = |side: usize| side.next_multiple_of(self.weights.config.scale());
            let shape = Shape::new(1, 3, side(h), side(w));
            graph(&self.weights.config, shape).is_ok_and(|(graph, ..)| Executor::check(&graph, &self.device).is_ok())
        };
        // Bisection of the sides' factor; 16 halvings find a side of 65,536 pixels to the pixel.
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..16 {
            let middle = (low + high) / 2.0;
            *(if fits(middle) { &mut low } else { &mut high }) = middle;
        }
        let (w, h) = scaled(low);
        let hint = if matches!(self.device, Device::Gpu(_)) { ", or use --adapter cpu" } else { "" };
        format!("{}x{} pixels do not fit: {message}. Make it {w}x{h} or smaller{hint}", shape.w, shape.h)
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
