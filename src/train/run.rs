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
use crate::weights::{Precision, Weights};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Name of the checkpoint in a run's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// Name of the finished weights in a run's folder.
pub const WEIGHTS: &str = "weights.safetensors";

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
    pub validation: Vec<Pair>,
}

/// Begins a run: fresh weights, a fresh folder.
pub fn begin(config: &Config, settings: &Settings, device: &Device, folder: &Path) -> Result<Trainer> {
    config.check()?;
    if folder.join(CHECKPOINT).exists() {
        let message = format!("has a run already ({CHECKPOINT}); go on with it by --resume, or give another folder");
        return Err(Error::file(folder, message));
    }
    let initial = Weights::initial(config, settings.seed);
    Trainer::new(config, settings, &initial.params, device)
}

/// Runs to `settings.steps`, with checkpoints on the way and the weights at the end.
pub fn run(trainer: &mut Trainer, source: Arc<Source>, device: &Device, schedule: &Schedule) -> Result<()> {
    let folder = &schedule.folder;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let settings = trainer.settings().clone();
    let mut report = Report::open(folder, trainer.steps())?;
    let mut batches = Prefetch::new(source, settings.seed, trainer.steps() + 1, settings.batch, settings.crop);
    let weights = Weights::initial(trainer.config(), 0);
    let mut smoother = Smoother::new(weights, device.clone());
    // A picture that cannot be validated on stops the run now, not hours later.
    let usable = |pair: &Pair| {
        let (input, truth) = pair.read()?;
        let scored = smoother.check(input.shape.h, input.shape.w).and_then(|()| score(&input, &truth));
        scored.map_err(|error| Error::file(&pair.input, error.to_string()))?;
        Ok((input, truth))
    };
    let validation: Vec<_> = schedule.validation.iter().map(usable).collect::<Result<_>>()?;

    let style = "{elapsed_precise} {bar:30} step {pos}/{len}, {per_sec}, {eta} left, {msg}";
    let bar = ProgressBar::new(settings.steps).with_position(trainer.steps());
    bar.set_style(ProgressStyle::with_template(style).expect("the template is valid"));
    bar.reset_eta();
    let mut said = Instant::now();
    let mut latest = String::new();
    while trainer.steps() < settings.steps {
        let batch = batches.next().expect("batches never end");
        let p = trainer.step(&batch)?;
        report.loss(LossRow { step: p.step, loss: p.loss, gradient_norm: p.norm, rate: p.rate });
        let done = p.step == settings.steps;
        if !validation.is_empty() && (done || p.step.is_multiple_of(schedule.validate_every)) {
            let psnr = validate(&mut smoother, &trainer.params()?, settings.noise, &validation)?;
            report.validation(ValidationRow { step: p.step, psnr });
            latest = format!(", validation {psnr:.2} dB");
        }
        if done || p.step.is_multiple_of(schedule.checkpoint_every) {
            report.flush()?;
            Checkpoint::of(trainer)?.write(&folder.join(CHECKPOINT))?;
        }
        bar.set_position(p.step);
        let message = format!("loss {:.4}, rate {:.1e}{latest}", report.mean_loss(100), p.rate);
        // Where there is no terminal to draw a bar on, a line now and then.
        if bar.is_hidden() && (done || said.elapsed() > Duration::from_secs(30)) {
            eprintln!("step {}/{}, {message}, {} s left", p.step, settings.steps, bar.eta().as_secs());
            said = Instant::now();
        }
        bar.set_message(message);
    }
    bar.finish();
    Checkpoint::of(trainer)?.weights.write(&folder.join(WEIGHTS), Precision::F32)
}

/// Mean PSNR over pairs of pictures, without ensemble.
fn validate(
    smoother: &mut Smoother,
    params: &[f32],
    noise: f32,
    pairs: &[(crate::tensor::Tensor, crate::tensor::Tensor)],
) -> Result<f64> {
    smoother.set_params(params)?;
    let options = Options { noise: Some(noise), ..Options::default() };
    let mut sum = 0.0;
    for (input, truth) in pairs {
        sum += score(&smoother.smooth(input, &options, || ())?, truth)?.psnr;
    }
    Ok(sum / pairs.len() as f64)
}
