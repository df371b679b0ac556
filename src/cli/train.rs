//! `sasnet train`

use super::data::Data;
use super::parse_strength;
use super::stop::Stop;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sasnet::lab::dataset::pairs::Pair;
use sasnet::lab::dataset::source::Source;
use sasnet::lab::train::checkpoint::Checkpoint;
use sasnet::lab::train::group::Exchange;
use sasnet::lab::train::run::{self, CHECKPOINT, End, Lock, Schedule, Validation};
use sasnet::lab::train::step::Trainer;
use sasnet::lab::train::step::{Init, Optimizer, Settings};
use sasnet::{Error, Latent, Observer, Progress, Result};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Train a network, by default of the paper's size, on generated pictures, with the settings that proved best at small budgets
#[derive(Args)]
pub struct Train {
    /// Folder of the run: checkpoint, weights, data.json, loss.csv, validation.csv, loss.svg, samples.png
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
    #[command(flatten)]
    data: Data,
    /// Validate on these inputs (with --validate-truths, as --inputs and --truths), or on a set with both in it;
    /// without it, samples.png shows samples of the kind that it trains on
    #[arg(long, value_name = "FOLDER", help_heading = "Validation and checkpoints")]
    validate: Option<PathBuf>,
    /// Ground truths of --validate
    #[arg(long, value_name = "FOLDER", requires = "validate", help_heading = "Validation and checkpoints")]
    validate_truths: Option<PathBuf>,
    /// Validate on every Nth picture only
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..), help_heading = "Validation and checkpoints")]
    validate_stride: u64,
    /// Steps between validations
    #[arg(long, value_name = "STEPS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Validation and checkpoints")]
    validate_every: u64,
    /// Steps between checkpoints; there is one every ten minutes at least
    #[arg(long, value_name = "STEPS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Validation and checkpoints")]
    checkpoint_every: u64,
    /// Write checkpoints in parts of at most this size, as 15MiB
    #[arg(long, value_name = "SIZE", value_parser = super::parse_memory, help_heading = "Validation and checkpoints")]
    checkpoint_part: Option<u64>,
    /// Stop after the step in which so many minutes are over, with a checkpoint to go on from by --resume
    #[arg(long, value_name = "MINUTES", value_parser = parse_minutes, help_heading = "Validation and checkpoints")]
    max_time: Option<Duration>,
    /// Go on from the checkpoint in the folder. The network and the seed are those of the run; the other settings and the
    /// data too, unless given again. What is said of validation and checkpoints is not kept
    #[arg(long, conflicts_with = "Design")]
    resume: bool,
    /// Begin a run from these weights (or those of a checkpoint, or a shipped model's name), with fresh moments; the
    /// network is theirs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["Design", "resume", "init"])]
    from: Option<String>,
    #[command(flatten)]
    design: super::Design,
    /// The paper's settings: rate 2e-4, halved every 10000 steps, noise 1, initial weights uniform. Each of them can be
    /// given beside it
    #[arg(long, conflicts_with = "resume", help_heading = "Settings")]
    paper: bool,
    /// Seed of the initial weights, the samples and the noise [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "resume", help_heading = "Settings")]
    seed: Option<u64>,
    /// Samples a step [default: 16]
    #[arg(long, value_name = "N", help_heading = "Settings")]
    batch: Option<usize>,
    /// Side of a sample [default: 128]
    #[arg(long, value_name = "PIXELS", help_heading = "Settings")]
    crop: Option<usize>,
    /// Pixels around a sample that are its reflection, as they are around pictures that are smoothed; an eighth of
    /// --crop at most [default: 8; with --paper: 0]
    #[arg(long, value_name = "PIXELS", help_heading = "Settings")]
    border: Option<usize>,
    /// Learning rate of the first step [default: 1e-3]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, help_heading = "Settings")]
    rate: Option<f32>,
    /// Steps after which the rate halves, again and again; 0 = never [default: 0]
    #[arg(long, value_name = "STEPS", help_heading = "Settings")]
    halve_every: Option<u64>,
    /// From this step on the rate falls to 0 on a cosine that ends at --steps [default: a tenth of
    /// --steps; none where --halve-every is given]
    #[arg(long, value_name = "STEP", help_heading = "Settings")]
    decay_from: Option<u64>,
    /// Steps in all [default: 50000]
    #[arg(long, value_name = "N", help_heading = "Settings")]
    steps: Option<u64>,
    /// Largest norm of the gradient [default: 10]
    #[arg(long, value_name = "NORM", allow_negative_numbers = true, help_heading = "Settings")]
    clip: Option<f32>,
    /// Scale of the noise in z's place; the paper has 1 [default: 0]
    #[arg(long, value_name = "SCALE", allow_negative_numbers = true, help_heading = "Settings")]
    noise: Option<f32>,
    /// Keep all activations for the gradient instead of rebuilding them from each block's output: about three quarters
    /// of the time, and memory that grows with the depth. Networks whose blocks cannot be undone do so
    /// anyway
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Settings")]
    store_activations: Option<bool>,
    /// Initial weights: uniform in +-1/sqrt(fan_in), or the same with each block the identity
    /// [default: identity; uniform where there are no blocks]
    #[arg(long, value_name = "HOW", conflicts_with = "resume", help_heading = "Settings")]
    init: Option<InitArg>,
    /// What makes a step of a gradient: adam, or muon for the weights of 3x3 convolutions with 16 to 256 channels on both
    /// sides, and adam for the rest [default: adam]
    #[arg(long, value_name = "NAME", conflicts_with = "resume", help_heading = "Settings")]
    optimizer: Option<OptimizerArg>,
    /// Keep a moving average of the weights with this decay, as 0.999, and leave that as the result; 0 = none [default:
    /// 0]
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true, help_heading = "Settings")]
    ema: Option<f32>,
    /// Standard deviation of blended textures, of 255 [default: 8,25]
    #[arg(long, value_name = "FROM,TO", value_parser = parse_strength, help_heading = "Data")]
    strength: Option<(f32, f32)>,
    #[command(flatten)]
    adapter: super::Adapter,
}

fn parse_minutes(text: &str) -> Result<Duration, &'static str> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| *minutes > 0.0);
    let seconds = minutes.and_then(|minutes| Duration::try_from_secs_f64(60.0 * minutes).ok());
    seconds.ok_or("give a number of minutes, more than 0")
}

/// [`Init`] on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum InitArg {
    Uniform,
    Identity,
}

impl From<InitArg> for Init {
    fn from(init: InitArg) -> Init {
        match init {
            InitArg::Uniform => Init::Uniform,
            InitArg::Identity => Init::Identity,
        }
    }
}

/// [`Optimizer`] on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum OptimizerArg {
    Adam,
    Muon,
}

impl From<OptimizerArg> for Optimizer {
    fn from(optimizer: OptimizerArg) -> Optimizer {
        match optimizer {
            OptimizerArg::Adam => Optimizer::Adam,
            OptimizerArg::Muon => Optimizer::Muon,
        }
    }
}

/// Listens for signals, which end the run. One of several processes that train together `speaks`.
fn stop_on_signal(speaks: bool) -> Stop {
    let stop = Stop::listen(speaks.then_some("stopping after this step, with a checkpoint"));
    stop.working(true);
    stop
}

/// Shows how far a run has come: a bar, or where there is no terminal to draw one on, a line now and then. Ends it on a
/// signal.
struct Watch {
    bar: ProgressBar,
    said: Instant,
    stop: Stop,
}

impl Watch {
    fn new(trainer: &Trainer) -> Watch {
        let style = "{elapsed_precise} {bar:30} step {pos}/{len}, {per_sec}, {eta} left, {msg}";
        let bar = ProgressBar::new(trainer.settings().steps).with_position(trainer.steps());
        bar.set_style(ProgressStyle::with_template(style).expect("the template is valid"));
        // So that a resumed run's steps of before are not taken for ones of this second: a tick takes note of them.
        bar.tick();
        bar.reset_eta();
        Watch { bar, said: Instant::now(), stop: stop_on_signal(true) }
    }

    fn end(&self, well: bool) {
        if well { self.bar.finish() } else { self.bar.abandon() }
    }
}

impl Observer for Watch {
    fn observe(&mut self, progress: &Progress) -> ControlFlow<()> {
        match progress {
            Progress::Step { step, of, loss, rate, rebuilt, validation } => {
                let rebuilt = rebuilt.map_or(String::new(), |error| format!(", activations rebuilt to {error:.0e}"));
                let validation = validation.map_or(String::new(), |psnr| format!(", validation {psnr:.2} dB"));
                let message = format!("loss {loss:.4}, rate {rate:.1e}{rebuilt}{validation}");
                self.bar.set_position(*step);
                if self.bar.is_hidden() && (step == of || self.said.elapsed() > Duration::from_secs(30)) {
                    note!("step {step}/{of}, {message}, {} s left", self.bar.eta().as_secs());
                    self.said = Instant::now();
                }
                self.bar.set_message(message);
            }
            Progress::Inexact { step, error } => self.bar.suspend(|| {
                note!(
                    "warning: step {step}: the activations that the gradient needs are rebuilt with errors up to {error:.1e}, \
                     as the network has come to stretch some values far more than others. If the loss suffers, go on from \
                     the last checkpoint with --resume --store-activations"
                )
            }),
            _ => {}
        }
        self.stop.answer()
    }
}

impl Train {
    /// The settings given here, the rest from `base`.
    fn settings(&self, base: Settings) -> Settings {
        Settings {
            batch: self.batch.unwrap_or(base.batch),
            crop: self.crop.unwrap_or(base.crop),
            border: self.border.unwrap_or(base.border),
            rate: self.rate.unwrap_or(base.rate),
            halve_every: self.halve_every.unwrap_or(base.halve_every),
            decay_from: self.decay_from.or(base.decay_from),
            steps: self.steps.unwrap_or(base.steps),
            clip: self.clip.unwrap_or(base.clip),
            noise: self.noise.unwrap_or(base.noise),
            strength: self.strength.unwrap_or(base.strength),
            seed: self.seed.unwrap_or(base.seed),
            store_activations: self.store_activations.unwrap_or(base.store_activations),
            init: self.init.map_or(base.init, Into::into),
            optimizer: self.optimizer.map_or(base.optimizer, Into::into),
            ema: self.ema.unwrap_or(base.ema),
        }
    }

    /// The run so far and how it goes on.
    fn begin(&self) -> Result<(Checkpoint, Settings)> {
        if self.resume {
            let checkpoint = Checkpoint::load(&self.out)?.ok_or_else(|| {
                let message = format!("has no {CHECKPOINT} to go on from; begin a run without --resume");
                Error::file(&self.out, message)
            })?;
            let settings = self.settings(checkpoint.settings.clone());
            settings.check(&checkpoint.weights.network)?;
            return Ok((checkpoint, settings));
        }
        if Checkpoint::exists_in(&self.out) {
            let message = "has a run already (a checkpoint); go on with it by --resume, or give another folder";
            return Err(Error::file(&self.out, message));
        }
        let from = self.from.as_deref().map(super::model_or_file).transpose()?;
        let network = match &from {
            Some(weights) => weights.network.clone(),
            None => self.design.network(if self.paper { Latent::Drop } else { Latent::Keep })?,
        };
        let base = if self.paper { Settings::paper() } else { Settings::default() };
        let mut settings = self.settings(base.of(&network));
        if !self.paper && self.decay_from.is_none() {
            settings.decay_from = self.halve_every.is_none().then_some(settings.steps / 10);
        }
        let checkpoint = match from {
            Some(weights) => run::begin_from(weights, &settings, &self.out)?,
            None => run::begin(&network, &settings, &self.out)?,
        };
        Ok((checkpoint, settings))
    }

    /// Trains.
    pub fn run(self) -> Result<()> {
        let until = self.max_time.and_then(|time| Instant::now().checked_add(time));
        let exchange = Exchange::join_started(|name| std::env::var(name).ok())?;
        let leads = exchange.as_ref().is_none_or(|exchange| exchange.rank() == 0);
        // Nothing there is read or written while another process trains.
        let lock = (leads && self.out.is_dir()).then(|| Lock::take(&self.out)).transpose()?;
        // All that may be wrong with files first: opening a device and planning a step take seconds.
        let (checkpoint, settings) = self.begin()?;
        let most = settings.crop / 8;
        if leads && self.border.is_some_and(|border| border > most) {
            note!("the border is {most} pixels, an eighth of the crop");
        }
        let data = self.data.of_run(&self.out, self.resume, self.paper)?;
        let source = Arc::new(data.source(settings.strength)?.with_border(settings.border));
        let validation = match &self.validate {
            Some(inputs) if leads => self.data.order.find(inputs, self.validate_truths.as_deref())?,
            _ => vec![],
        };
        let validation: Vec<Pair> = validation.into_iter().step_by(self.validate_stride as usize).collect();
        let validation = Validation::read(&validation)?;
        let device = self.adapter.open()?;
        let processes = exchange.as_ref().map_or(1, Exchange::size);
        let mut trainer = checkpoint.trainer_together(&settings, &device, exchange)?;
        drop(checkpoint);
        // All have read what they begin with, before the first writes into the folder.
        trainer.check_same(&source.to_string())?;
        if !leads {
            return follow(trainer, source);
        }
        let schedule = Schedule {
            checkpoint_every: self.checkpoint_every,
            validate_every: self.validate_every,
            validation,
            until,
            checkpoint_part: self.checkpoint_part.map(|bytes| bytes as usize),
        };
        note!(
            "{} parameters, {} MB for a step",
            trainer.network().layout().parameters(),
            trainer.peak_bytes() / 1_000_000
        );
        if trainer.steps() == settings.steps {
            note!(
                "the run has done all of its {} steps: nothing is trained; give more --steps to go on",
                settings.steps
            );
        }
        if processes > 1 {
            note!("{processes} processes, each with {} samples of a batch", trainer.samples().len());
        }
        note!("training on {source}");
        let lock = match lock {
            Some(lock) => lock,
            None => {
                let lock = Lock::take(&self.out)?;
                // Meanwhile another run may have begun there, and ended.
                run::check_fresh(&self.out)?;
                lock
            }
        };
        data.write(&self.out)?;
        let mut watch = Watch::new(&trainer);
        let end = run::run(&mut trainer, source, &device, &schedule, &lock, &mut watch);
        watch.end(end.is_ok());
        let (done, steps) = (trainer.steps(), trainer.settings().steps);
        let end = match end {
            Ok(end) => end,
            Err(error) => {
                if let Ok(Some(last)) = Checkpoint::load(&self.out) {
                    let step = last.step;
                    note!(
                        "the run ended after step {done} of {steps}; its last checkpoint is of step {step}: mend what \
                               the error says, and go on from there with --resume"
                    );
                }
                return Err(error);
            }
        };
        match end {
            End::Done => note!("wrote {}", self.out.join(run::WEIGHTS).display()),
            End::OutOfTime => note!("the time is up after step {done} of {steps}: go on with --resume"),
            End::Stopped => note!("stopped after step {done} of {steps}: go on with --resume"),
        }
        trainer.leave()?;
        // As of everything that a signal stops, so that no script takes the run for a whole one.
        if end == End::Stopped { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Takes part in the run of the first process, which writes and speaks.
fn follow(mut trainer: Trainer, source: Arc<Source>) -> Result<()> {
    let stop = stop_on_signal(false);
    run::follow(&mut trainer, source, &mut |_: &Progress| stop.answer())?;
    trainer.leave()
}
