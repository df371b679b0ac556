//! A training run in a folder: steps, progress, validation and checkpoints, from the start or from where it stopped.

use super::checkpoint::Checkpoint;
use super::data::{Prefetch, Source};
use super::pairs::Pair;
use super::report::{LossRow, Report, ValidationRow};
use super::step::{Settings, Trainer};
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::metrics::score;
use crate::net::Config;
use crate::smooth::{Options, Smoother};
use crate::tensor::Tensor;
use crate::weights::{Precision, Weights};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Name of the checkpoint in a run's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// Name of the finished weights in a run's folder.
pub const WEIGHTS: &str = "weights.safetensors";

/// Activations that are rebuilt less exactly than this are worth a warning. Trained networks of 4 and 8 blocks have 3e-7
/// to 5e-6. With their weights made larger, 1e-4 went with a gradient that was off by at most 3e-4 of its norm, 1e-3 with
/// 1e-3, and 0.1 with 1e-2.
const REBUILT_TO: f32 = 1e-3;

fn inexact(error: f32) -> String {
    format!(
        "the activations that the gradient needs are rebuilt with errors up to {error:.1e}, as the network has come to \
         stretch some values far more than others. If the loss suffers, go on from the last checkpoint with \
         --resume --store-activations"
    )
}

/// What a run does beside its steps.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Folder of the run, made where it does not exist.
    pub folder: PathBuf,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between validations.
    pub validate_every: u64,
    /// Pictures to validate on.
    pub validation: Validation,
    /// Stops after the step that passes this time, with a checkpoint.
    pub until: Option<Instant>,
}

/// Pictures to validate on, in memory.
#[derive(Clone, Debug, Default)]
pub struct Validation(Vec<(Pair, [Tensor; 2])>);

impl Validation {
    /// Reads inputs and truths.
    ///
    /// # Errors
    /// Those of [`Pair::read`] and [`score`]: a picture that cannot be validated on stops a run now, not hours later.
    pub fn read(pairs: &[Pair]) -> Result<Validation> {
        let read = |pair: &Pair| {
            let (input, truth) = pair.read()?;
            score(&input, &truth).map_err(about(pair))?;
            Ok((pair.clone(), [input, truth]))
        };
        Ok(Validation(pairs.iter().map(read).collect::<Result<_>>()?))
    }

    /// Mean PSNR, without ensemble.
    fn psnr(&self, smoother: &mut Smoother, params: &[f32], noise: f32) -> Result<f64> {
        smoother.set_params(params)?;
        let options = Options { noise: Some(noise), ..Options::default() };
        let psnr =
            |(_, [input, truth]): &(_, [Tensor; 2])| Ok(score(&smoother.smooth(input, &options, || ())?, truth)?.psnr);
        let sum = self.0.iter().map(psnr).sum::<Result<f64>>()?;
        Ok(sum / self.0.len() as f64)
    }
}

/// Makes an error say which picture it is about.
fn about(pair: &Pair) -> impl Fn(Error) -> Error {
    |error| Error::file(&pair.input, error.to_string())
}

/// A run before its first step: fresh weights, for a fresh folder.
///
/// # Errors
/// [`Error::Invalid`] where network and settings make no sense, [`Error::File`] where the folder has a run.
pub fn begin(config: &Config, settings: &Settings, folder: &Path) -> Result<Checkpoint> {
    config.check()?;
    settings.check(config)?;
    if folder.join(CHECKPOINT).exists() {
        let message = format!("has a run already ({CHECKPOINT}); go on with it by --resume, or give another folder");
        return Err(Error::file(folder, message));
    }
    let weights = Weights::initial(config, settings.seed);
    let zero = vec![0.0; weights.params.len()];
    Ok(Checkpoint { weights, step: 0, settings: settings.clone(), m: zero.clone(), v: zero })
}

/// Runs to `settings.steps` or as long as the schedule allows, with checkpoints on the way and the weights at the end.
pub fn run(trainer: &mut Trainer, source: Arc<Source>, device: &Device, schedule: &Schedule) -> Result<()> {
    let folder = &schedule.folder;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let settings = trainer.settings().clone();
    let mut report = Report::open(folder, trainer.steps())?;
    let mut batches = Prefetch::new(source, settings.seed, trainer.steps() + 1, settings.batch, settings.crop);
    let weights = Weights::initial(trainer.config(), 0);
    let mut smoother = Smoother::new(weights, device.clone());
    for (pair, [input, _]) in &schedule.validation.0 {
        smoother.check(input.shape.h, input.shape.w).map_err(about(pair))?;
    }

    let style = "{elapsed_precise} {bar:30} step {pos}/{len}, {per_sec}, {eta} left, {msg}";
    let bar = ProgressBar::new(settings.steps).with_position(trainer.steps());
    bar.set_style(ProgressStyle::with_template(style).expect("the template is valid"));
    bar.reset_eta();
    let mut said = Instant::now();
    let (mut latest, mut accuracy) = (String::new(), String::new());
    let mut warn_above = REBUILT_TO;
    let mut out_of_time = false;
    while trainer.steps() < settings.steps && !out_of_time {
        let batch = batches.next().expect("batches never end");
        let p = trainer.step(&batch)?;
        let (loss, gradient_norm, rate, rebuilt) = (p.loss, p.norm, p.rate, p.rebuilt);
        report.loss(LossRow { step: p.step, loss, gradient_norm, rate, rebuilt });
        if let Some(error) = rebuilt {
            accuracy = format!(", activations rebuilt to {error:.0e}");
            if error.is_nan() || error > warn_above {
                bar.suspend(|| eprintln!("warning: step {}: {}", p.step, inexact(error)));
                warn_above = 10.0 * error;
            }
        }
        let done = p.step == settings.steps;
        if !schedule.validation.0.is_empty() && (done || p.step.is_multiple_of(schedule.validate_every)) {
            let psnr = schedule.validation.psnr(&mut smoother, &trainer.params()?, settings.noise)?;
            report.validation(ValidationRow { step: p.step, psnr });
            latest = format!(", validation {psnr:.2} dB");
        }
        out_of_time = schedule.until.is_some_and(|until| Instant::now() >= until);
        if done || out_of_time || p.step.is_multiple_of(schedule.checkpoint_every) {
            report.flush()?;
            Checkpoint::of(trainer)?.write(&folder.join(CHECKPOINT))?;
        }
        bar.set_position(p.step);
        let message = format!("loss {:.4}, rate {:.1e}{accuracy}{latest}", report.mean_loss(100), p.rate);
        // Where there is no terminal to draw a bar on, a line now and then.
        if bar.is_hidden() && (done || said.elapsed() > Duration::from_secs(30)) {
            eprintln!("step {}/{}, {message}, {} s left", p.step, settings.steps, bar.eta().as_secs());
            said = Instant::now();
        }
        bar.set_message(message);
    }
    if trainer.steps() < settings.steps {
        bar.abandon();
        return Ok(());
    }
    bar.finish();
    Checkpoint::of(trainer)?.weights.write(&folder.join(WEIGHTS), Precision::F32)
}
