//! One training step: the network forward, its gradient, the clip and the optimiser, as one graph.

use super::group::Exchange;
use super::together::{Cut, Together};
use crate::error::{Diverged, Error, Result};
use crate::exec::{Device, Executor};
use crate::fit::MOST_PIXELS;
use crate::graph::{Layout, Value};
use crate::kernel::RunParams;
use crate::lab::dataset::source::{Batch, STRENGTH};
use crate::net::{Network, training::Pass};
use crate::ops::{Graph, adam::Adam, average::Average, grad_norm::GradNorm, muon::Matrix, muon::Muon, noise::Noise};
use crate::plan::{Plan, Target};
use crate::rng::Rng;
use crate::smooth::BORDER;
use crate::tensor::{Shape, worst};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// How the weights begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// All uniform in +-1/sqrt(fan_in) (lineage).
    #[default]
    Uniform,
    /// The same, but every subnet's last convolution 0: each block begins as the identity.
    Identity,
}

/// What makes a step of a gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Adam, for all parameters.
    #[default]
    Adam,
    /// [`Muon`] for the weights of convolutions with 16 to 256 channels on both sides ([`Matrix::of`]), Adam for the rest.
    Muon,
}

/// How to train. The defaults are what proved best at small budgets (`weights/README.md`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Samples a step, of all processes that train together.
    pub batch: usize,
    /// Side of a sample, a multiple of the network's scale.
    pub crop: usize,
    /// Pixels around a sample that are its reflection, as [`crate::smooth::BORDER`] puts it around a picture
    /// ([`crate::lab::dataset::source::Source::with_border`]).
    #[serde(default)]
    pub border: usize,
    /// Learning rate of the first step.
    pub rate: f32,
    /// Steps after which the rate halves, again and again; 0 = never.
    pub halve_every: u64,
    /// First step of a final decay of the rate to 0 on a cosine, which ends at `steps`; None = no decay.
    pub decay_from: Option<u64>,
    /// Steps in all.
    pub steps: u64,
    /// Largest norm of the gradient.
    pub clip: f32,
    /// Scale of the noise in z's place.
    pub noise: f32,
    /// Standard deviation of blended textures, from and to, of 255.
    pub strength: (f32, f32),
    /// Seed of the initial weights, the samples and the noise.
    pub seed: u64,
    /// Keep all activations for the gradient instead of rebuilding them, which only an invertible network can
    /// ([`crate::low_level::net::reversible`]).
    #[serde(default)]
    pub store_activations: bool,
    /// How the weights begin.
    #[serde(default)]
    pub init: Init,
    /// What makes a step of the gradient.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Decay of the moving average of the weights, which is what a run leaves then; 0 = none. The first steps decay
    /// faster, by (1 + step) / (10 + step).
    #[serde(default)]
    pub ema: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            border: BORDER,
            rate: 1e-3,
            halve_every: 0,
            decay_from: Some(5_000),
            noise: 0.0,
            init: Init::Identity,
            ..Settings::paper()
        }
    }
}

impl Settings {
    /// The paper's, and its lineage's where it is silent; it does not say how many steps.
    pub fn paper() -> Settings {
        Settings {
            batch: 16,
            crop: 128,
            border: 0,
            rate: 2e-4,
            halve_every: 10_000,
            decay_from: None,
            steps: 50_000,
            clip: 10.0,
            noise: 1.0,
            strength: STRENGTH,
            seed: 1,
            store_activations: false,
            init: Init::Uniform,
            optimizer: Optimizer::Adam,
            ema: 0.0,
        }
    }

    /// The same for a network: without noise where it takes none, and with uniform weights where it has no blocks that
    /// could be the identity.
    #[must_use]
    pub fn of(self, network: &Network) -> Settings {
        let noise = if network.takes_noise() { self.noise } else { 0.0 };
        let init = if network.has_identity() { self.init } else { Init::Uniform };
        Settings { noise, init, ..self }
    }

    /// Checks that the settings make sense for a network.
    pub fn check(&self, network: &Network) -> Result<()> {
        let fail = |what: String| Err(Error::Invalid(what));
        if self.batch == 0 {
            return fail("the batch size is 0; give 1 or more".into());
        }
        if self.crop == 0 || !self.crop.is_multiple_of(network.scale()) {
            return fail(format!("the crop is {}; give a multiple of {}", self.crop, network.scale()));
        }
        let pixels = self.batch.saturating_mul(self.crop.saturating_mul(self.crop));
        if pixels > MOST_PIXELS {
            let (batch, crop) = (self.batch, self.crop);
            return fail(format!("{batch} samples of {crop}x{crop} are more than {MOST_PIXELS} pixels"));
        }
        if self.steps == 0 {
            return fail("the number of steps is 0; give 1 or more".into());
        }
        for (what, value) in [("learning rate", self.rate), ("gradient clip", self.clip)] {
            if !(value > 0.0 && value.is_finite()) {
                return fail(format!("the {what} is {value}; give a number above 0"));
            }
        }
        if !(0.0..1.0).contains(&self.ema) {
            return fail(format!("the average's decay is {}; give a number from 0 to below 1, as 0.999", self.ema));
        }
        network.check_noise(self.noise)?;
        if self.init == Init::Identity && !network.has_identity() {
            let name = network.name();
            return fail(format!("an architecture {name} has no blocks to begin as the identity"));
        }
        if self.optimizer == Optimizer::Muon && Matrix::of(&network.layout()).is_empty() {
            let name = network.name();
            let (least, most) = (Matrix::CHANNELS.start(), Matrix::CHANNELS.end());
            return fail(format!(
                "{name} of this size has no 3x3 convolution with {least} to {most} channels on both sides, which the \
                 optimizer muon is for; give adam, or other features"
            ));
        }
        if let Some(from) = self.decay_from
            && from >= self.steps
        {
            return fail(format!("the decay begins at step {from}, not before the last, {}", self.steps));
        }
        Ok(())
    }

    /// Samples of the batch that process number `rank` of `size` takes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the batch has no equal parts: the mean of the gradients would not be that of the batch.
    pub fn samples_of(&self, rank: usize, size: usize) -> Result<Range<usize>> {
        if !self.batch.is_multiple_of(size) {
            let batch = self.batch;
            return Err(Error::Invalid(format!(
                "a batch of {batch} samples has no {size} equal parts, one for each process; give a multiple of {size}"
            )));
        }
        let part = self.batch / size;
        Ok(rank * part..(rank + 1) * part)
    }

    /// Learning rate of step `step`, counted from 1.
    pub fn rate_at(&self, step: u64) -> f32 {
        let halvings = step.saturating_sub(1).checked_div(self.halve_every).unwrap_or(0);
        let rate = f64::from(self.rate) * 0.5f64.powi(i32::try_from(halvings).unwrap_or(i32::MAX));
        let decay = match self.decay_from {
            Some(from) if step > from => {
                let done = (step - from) as f64 / (self.steps - from + 1) as f64;
                0.5 + 0.5 * (std::f64::consts::PI * done.min(1.0)).cos()
            }
            _ => 1.0,
        };
        (rate * decay) as f32
    }
}

/// Figures of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Number of the step, from 1.
    pub step: u64,
    /// Loss of the batch, the network's own.
    pub loss: f32,
    /// Norm of the gradient before the clip.
    pub norm: f32,
    /// Learning rate.
    pub rate: f32,
    /// Now and then, where activations are rebuilt: the largest difference between x, y_cor or the noise (all of the
    /// order of 1) and what the backward pass made of them again.
    pub rebuilt: Option<f32>,
}

/// Steps between looks at [`Progress::rebuilt`]; the first is step 1.
pub const REBUILT_EVERY: u64 = 100;

/// A network in training: weights and moments live on the device.
pub struct Trainer {
    network: Network,
    settings: Settings,
    layout: Layout,
    exec: Executor,
    step: u64,
    values: Values,
    /// Of the batch, those of this process.
    samples: Range<usize>,
    together: Option<Together>,
}

pub(super) struct Values {
    x: Value,
    target: Value,
    pass: Pass,
    pub(super) clip: Value,
    params: Value,
    m: Value,
    v: Value,
    average: Option<Value>,
}

/// The graph of a step on some samples of the batch, and its values that are set and read.
pub(super) fn graph(network: &Network, settings: &Settings, samples: Range<usize>) -> Result<(Graph, Values)> {
    let mut g = Graph::new(network.layout());
    let shape = Shape::new(samples.len(), 3, settings.crop, settings.crop);
    let [x, target] = ["x", "target"].map(|name| g.input(name, shape));
    let noise = network.noise_shape(shape).map(|shape| Noise { shape, first_row: 0, first_image: samples.start });
    let noise = noise.map(|noise| g.apply1("noise", noise, &[])).transpose()?;
    let pass = network.training(&mut g, [x, target], noise, settings.store_activations)?;
    let clip = g.apply1("clip", GradNorm, &[pass.grads])?;
    g.output(clip);
    let [params, m, v] = descend(&mut g, settings.optimizer, [pass.grads, clip])?;
    let average = (settings.ema > 0.0).then(|| g.persistent_like_params("average"));
    if let Some(average) = average {
        g.apply_in_place("average", Average, &[params], &[average])?;
    }
    Ok((g, Values { x, target, pass, clip, params, m, v, average }))
}

/// Adds the operators of a step down a gradient, with the factor that clips it, to a graph. Returns the parameters and the
/// moments.
///
/// # Errors
/// [`Error::Invalid`] where the optimiser does not take so many parameters.
pub fn descend(g: &mut Graph, optimizer: Optimizer, [grads, clip]: [Value; 2]) -> Result<[Value; 3]> {
    let [m, v] = ["adam.m", "adam.v"].map(|name| g.persistent_like_params(name));
    let params = g.params();
    let matrices = match optimizer {
        Optimizer::Adam => vec![],
        Optimizer::Muon => Matrix::of(g.layout()),
    };
    let adam = Adam { without: matrices.iter().map(Matrix::range).collect(), ..Adam::default() };
    g.apply_in_place("adam", adam, &[grads, clip], &[params, m, v])?;
    if !matrices.is_empty() {
        let muon = Muon::new(matrices);
        let (shape, table) = muon.table();
        let table = g.constant("muon.matrices", shape, table);
        g.apply_in_place("muon", muon, &[grads, clip, table], &[params, m])?;
    }
    Ok([params, m, v])
}

/// Plans a step for `target`: what it costs.
pub fn plan(network: &Network, settings: &Settings, target: Target) -> Result<Plan> {
    settings.check(network)?;
    Plan::new(&graph(network, settings, 0..settings.batch)?.0, target)
}

/// When one of several processes has a part of the gradient to exchange, in a step on its `settings.batch` samples: of
/// each part the elements, and the share (0 to 1) of the step's multiply-accumulates that is done then.
///
/// # Errors
/// As [`plan`].
pub fn exchanges(network: &Network, settings: &Settings, target: Target) -> Result<Vec<(usize, f64)>> {
    settings.check(network)?;
    let (graph, values) = graph(network, settings, 0..settings.batch)?;
    let plan = Plan::new(&graph, target)?;
    Ok(Cut::new(&graph, &plan, values.clip).parts(&plan))
}

impl Trainer {
    /// Starts from `params` (flat, [`Network::layout`]).
    pub fn new(network: &Network, settings: &Settings, params: &[f32], device: &Device) -> Result<Trainer> {
        Trainer::together(network, settings, params, device, None)
    }

    /// The same as one of several processes, each of which takes its part of every batch; None: as the only one.
    ///
    /// # Errors
    /// As [`Trainer::new`], and as [`Settings::samples_of`].
    pub fn together(
        network: &Network,
        settings: &Settings,
        params: &[f32],
        device: &Device,
        exchange: Option<Exchange>,
    ) -> Result<Trainer> {
        settings.check(network)?;
        let (rank, size) = exchange.as_ref().map_or((0, 1), |exchange| (exchange.rank(), exchange.size()));
        let layout = network.layout();
        if size > 1 && layout.has_statistics() {
            return Err(Error::Invalid(format!(
                "{} is normalised by the statistics of a batch, which several processes do not share; train with one",
                network.name()
            )));
        }
        let samples = settings.samples_of(rank, size)?;
        let (graph, values) = graph(network, settings, samples.clone())?;
        let mut exec = Executor::new(graph, device)?;
        exec.write(values.params, params)?;
        values.average.map_or(Ok(()), |average| exec.write(average, params))?;
        let together = exchange.map(|exchange| Together::new(exchange, &exec, values.clip));
        let (network, settings) = (network.clone(), settings.clone());
        Ok(Trainer { network, settings, layout, exec, step: 0, values, samples, together })
    }

    /// Goes on after `step` steps, with the optimiser's moments of then, and the weights' average where there was one.
    pub fn restore(&mut self, step: u64, m: &[f32], v: &[f32], average: Option<&[f32]>) -> Result<()> {
        self.step = step;
        self.exec.write(self.values.m, m)?;
        self.exec.write(self.values.v, v)?;
        let average = self.values.average.zip(average);
        average.map_or(Ok(()), |(value, average)| self.exec.write(value, average))
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// How it is trained.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Of every batch the samples of this process.
    pub fn samples(&self) -> Range<usize> {
        self.samples.clone()
    }

    /// The largest of what the processes that train together say; waits for all.
    ///
    /// # Errors
    /// [`Error::Group`] where one of them is lost.
    pub fn agree(&self, own: u8) -> Result<u8> {
        let Some(together) = &self.together else { return Ok(own) };
        let all = together.exchange().gather(vec![own.into()])?;
        Ok(all.into_iter().fold(0.0, f32::max) as u8)
    }

    /// Checks that all processes that train together have the same weights, moments and settings, and `beside` the
    /// same; waits for all.
    ///
    /// # Errors
    /// [`Error::Group`] where they differ, or one of them is lost.
    pub fn check_same(&mut self, beside: &str) -> Result<()> {
        let mut digest = DefaultHasher::new();
        if self.together.is_some() {
            let settings = serde_json::to_string(&self.settings).expect("settings are plain data");
            (self.network.metadata(), settings, self.step, beside).hash(&mut digest);
            let values = [self.values.params, self.values.m, self.values.v].into_iter().chain(self.values.average);
            for value in values {
                self.exec.read(value)?.iter().for_each(|v| v.to_bits().hash(&mut digest));
            }
        }
        self.together.as_ref().map_or(Ok(()), |together| together.check_same(digest.finish()))
    }

    /// Leaves the others, at the end of all work.
    ///
    /// # Errors
    /// [`Error::Group`] where one of them is lost.
    pub fn leave(self) -> Result<()> {
        self.together.map_or(Ok(()), Together::leave)
    }

    /// The executor of the step.
    pub fn executor(&mut self) -> &mut Executor {
        &mut self.exec
    }

    /// Bytes that the step's plan needs.
    pub fn peak_bytes(&self) -> u64 {
        self.exec.plan().peak_bytes()
    }

    /// The weights now, flat.
    pub fn params(&mut self) -> Result<Vec<f32>> {
        self.exec.read(self.values.params)
    }

    /// The optimiser's moments now, flat: Adam's two; where [`Muon`] is at work its one, and 0.
    pub fn moments(&mut self) -> Result<[Vec<f32>; 2]> {
        Ok([self.exec.read(self.values.m)?, self.exec.read(self.values.v)?])
    }

    /// The average of the weights now, flat; None without [`Settings::ema`].
    pub fn average(&mut self) -> Result<Option<Vec<f32>>> {
        self.values.average.map(|average| self.exec.read(average)).transpose()
    }

    /// Returns the run's result so far, flat: the weights' average, or the weights.
    pub fn result(&mut self) -> Result<Vec<f32>> {
        self.average()?.map_or_else(|| self.params(), Ok)
    }

    /// One step on a batch, or on this process's [`Trainer::samples`] of one. Loss and norm are those of the whole
    /// batch, what is rebuilt this process's.
    ///
    /// # Errors
    /// [`Error::Group`] where one of several processes is lost, or has other weights;
    /// [`Error::Diverged`] where the loss or the gradient is not finite, with the first tensor whose gradient is not;
    /// the weights are spoilt then.
    pub fn step(&mut self, batch: &Batch) -> Result<Progress> {
        let step = self.step + 1;
        let seed = Rng::new(&[self.settings.seed, step, u64::from(u32::MAX)]).next();
        self.exec.write(self.values.x, &batch.input.data)?;
        self.exec.write(self.values.target, &batch.target.data)?;
        let power = i32::try_from(step).unwrap_or(i32::MAX);
        let rate = self.settings.rate_at(step);
        let run = RunParams {
            clip: self.settings.clip,
            learning_rate: rate,
            correction1: (1.0 - Adam::default().beta1.powi(power)) as f32,
            correction2: (1.0 - Adam::default().beta2.powi(power)) as f32,
            average: 1.0 - self.settings.ema.min((1.0 + step as f32) / (10.0 + step as f32)),
            ..RunParams::with_noise(seed, self.settings.noise)
        };
        let (loss, grads) = (self.values.pass.loss, self.values.pass.grads);
        let loss = match &self.together {
            Some(together) => together.run(&mut self.exec, [loss, grads], &run)?,
            None => {
                self.exec.run(&run)?;
                self.exec.read(loss)?[0]
            }
        };
        let norm = self.exec.read(self.values.clip)?[0];
        if !(loss.is_finite() && norm.is_finite()) {
            let grads = self.exec.read(self.values.pass.grads)?;
            let bad = self.layout.entries().iter().find(|e| grads[e.range()].iter().any(|v| !v.is_finite()));
            let (parameter, rebuilt) = (bad.map(|e| e.name.clone()), !self.values.pass.rebuilt.is_empty());
            return Err(Error::Diverged(Diverged { step, loss, norm, rate, parameter, rebuilt }));
        }
        self.step = step;
        let look = step == 1 || step.is_multiple_of(REBUILT_EVERY);
        let rebuilt = if look { self.rebuilt()? } else { None };
        if look {
            // Devices of different kinds drift apart.
            self.check_same("")?;
        }
        Ok(Progress { step, loss, norm, rate, rebuilt })
    }

    fn rebuilt(&mut self) -> Result<Option<f32>> {
        let mut errors = vec![];
        for pair in &self.values.pass.rebuilt {
            let [was, is] = pair.map(|value| self.exec.read(value));
            errors.push(worst(was?.into_iter().zip(is?).map(|(was, is)| (was - is).abs())));
        }
        Ok((!errors.is_empty()).then(|| worst(errors)))
    }
}
