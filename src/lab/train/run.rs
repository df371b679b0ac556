//! A training run in a folder: steps, progress, validation and checkpoints, from the start or from where it stopped.

pub use super::checkpoint::CHECKPOINT;
use super::checkpoint::Checkpoint;
use super::report::{LOSSES, LossRow, Report, VALIDATIONS, ValidationRow};
use super::step::{Init, Settings, Trainer};
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::lab::dataset::pairs::Pair;
use crate::lab::dataset::source::{Prefetch, Source};
use crate::lab::metrics::score;
use crate::lab::sheet::{ContactSheet, difference};
use crate::net::Network;
use crate::observer::{Observer, Progress};
use crate::smooth::{Options, Smoother};
use crate::tensor::Tensor;
use crate::weights::{Precision, Weights};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Name of the finished weights in a run's folder.
pub const WEIGHTS: &str = "weights.safetensors";

/// Activations that are rebuilt less exactly than this are worth a warning. Trained networks of 4 and 8 blocks have
/// 3e-7 to 5e-6. With their weights made larger, 1e-4 went with a gradient that was off by at most 3e-4 of its norm,
/// 1e-3 with 1e-3, and 0.1 with 1e-2.
const REBUILT_TO: f32 = 1e-3;
/// The same where the way forward is in f16: initial weights of small networks have up to 4e-3, with gradients that are
/// off by at most 3e-3 of their norm.
const REBUILT_TO_F16: f32 = 1e-2;

/// When a run saves, validates and stops.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Steps between checkpoints; there is one every ten minutes at least.
    pub checkpoint_every: u64,
    /// Largest size of a checkpoint's files in bytes; None = one file.
    pub checkpoint_part: Option<usize>,
    /// Steps between validations.
    pub validate_every: u64,
    /// Pictures to validate on.
    pub validation: Validation,
    /// Stops after the step that passes this time, with a checkpoint.
    pub until: Option<Instant>,
}

impl Default for Schedule {
    /// A checkpoint every 500 steps, in one file; nothing to validate on.
    fn default() -> Schedule {
        Schedule {
            checkpoint_every: 500,
            checkpoint_part: None,
            validate_every: 1000,
            validation: Validation::default(),
            until: None,
        }
    }
}

/// Why a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All steps are done.
    Done,
    /// [`Schedule::until`] has passed.
    OutOfTime,
    /// The observer asked to stop.
    Stopped,
}

impl End {
    /// All, by the number that processes which train together tell each other; 0 is to go on.
    const ALL: [End; 3] = [End::Stopped, End::OutOfTime, End::Done];

    /// What all processes do where this one would come to such an end, or go on.
    fn of_all(own: Option<End>, trainer: &Trainer) -> Result<Option<End>> {
        let number = |end| 1 + End::ALL.iter().position(|known| *known == end).expect("all are listed") as u8;
        let agreed = trainer.agree(own.map_or(0, number))?;
        Ok(agreed.checked_sub(1).map(|i| End::ALL[usize::from(i)]))
    }
}

/// Longest time between checkpoints, however many steps that is.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(600);
/// Time between additions to the tables on disk, where no checkpoint comes first.
const FLUSH_AFTER: Duration = Duration::from_secs(5);

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
            score(&input, &truth).map_err(pair.about())?;
            Ok((pair.clone(), [input, truth]))
        };
        Ok(Validation(pairs.iter().map(read).collect::<Result<_>>()?))
    }
}

/// Name of the contact sheet of samples in a run's folder.
pub const SAMPLES: &str = "samples.png";
/// Pictures on it, and the largest side of each, pixels.
const SAMPLES_SHOWN: (usize, usize) = (6, 320);

/// Checks that the folder is free for a run.
///
/// # Errors
/// [`Error::File`] where it has one.
pub fn check_fresh(folder: &Path) -> Result<()> {
    if Checkpoint::exists_in(folder) {
        let message = "has a run already (a checkpoint): go on with it (resume), or give another folder";
        return Err(Error::file(folder, message));
    }
    let results = [WEIGHTS, LOSSES, VALIDATIONS];
    match results.into_iter().map(|name| folder.join(name)).find(|path| path.exists()) {
        Some(path) => Err(Error::file(path, "is of an earlier run and would be overwritten: give another folder")),
        None => Ok(()),
    }
}

/// A run before its first step: fresh weights, for a fresh folder.
///
/// # Errors
/// [`Error::Invalid`] where network and settings make no sense, [`Error::File`] where the folder has a run.
pub fn begin(network: &Network, settings: &Settings, folder: &Path) -> Result<Checkpoint> {
    let mut weights = Weights::initial(network, settings.seed);
    if settings.init == Init::Identity {
        weights = weights.with_identity_blocks();
    }
    begin_from(weights, settings, folder)
}

/// A run before its first step, from weights: with fresh moments, for a fresh folder.
///
/// # Errors
/// As [`begin`].
pub fn begin_from(weights: Weights, settings: &Settings, folder: &Path) -> Result<Checkpoint> {
    settings.check(&weights.network)?;
    check_fresh(folder)?;
    let zero = vec![0.0; weights.params.len()];
    let average = (settings.ema > 0.0).then(|| weights.params.clone());
    Ok(Checkpoint { weights, step: 0, settings: settings.clone(), m: zero.clone(), v: zero, average })
}

/// A run's folder. Keeps other processes out of it for as long as this lives, but on Windows and on file systems that
/// know no locks; the system lets go when the process ends, however it ends.
pub struct Lock {
    folder: PathBuf,
    _open: Option<File>,
}

impl Lock {
    /// Makes the folder where there is none.
    ///
    /// # Errors
    /// [`Error::File`] where another process is training in the folder, or it cannot be made.
    pub fn take(folder: &Path) -> Result<Lock> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        // The folder itself, so that no file is left. Windows cannot open folders.
        if cfg!(windows) {
            return Ok(Lock { folder: folder.to_path_buf(), _open: None });
        }
        let open = File::open(folder).map_err(Error::io(folder))?;
        match open.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::file(folder, "another process is training here: wait for it")),
            // Some network file systems know no locks.
            Err(TryLockError::Error(_)) | Ok(()) => Ok(Lock { folder: folder.to_path_buf(), _open: Some(open) }),
        }
    }
}

/// Runs to `settings.steps` or as long as the schedule allows, with checkpoints on the way and the weights at the end.
/// The first checkpoint is that of the start, so that from then on there always is one to go on from. Take the lock
/// before the checkpoint that it goes on from is read. Of several processes that train together the first does this, the
/// others [`follow`].
///
/// # Errors
/// Whatever goes wrong, the last checkpoint is good, and the tables have the steps until then.
pub fn run(
    trainer: &mut Trainer,
    source: Arc<Source>,
    device: &Device,
    schedule: &Schedule,
    lock: &Lock,
    observer: &mut dyn Observer,
) -> Result<End> {
    let folder = &lock.folder;
    let smoother = Smoother::new(Weights::initial(trainer.network(), 0), device.clone());
    for (pair, [input, _]) in &schedule.validation.0 {
        smoother.check(input.shape.h, input.shape.w).map_err(pair.about())?;
    }
    Checkpoint::tidy(folder)?;
    if !Checkpoint::exists_in(folder) {
        Checkpoint::of(trainer)?.save(folder, schedule.checkpoint_part)?;
    }
    let report = Report::open(folder, trainer.steps())?;
    let drawn = if schedule.validation.0.is_empty() { drawn(&source, trainer.settings()) } else { vec![] };
    let mut run = Run { folder, trainer, smoother, schedule, drawn, report, validation: None };
    let end = run.steps(source, observer);
    if end.is_err() {
        // As far as that is possible: what went wrong may be the disk.
        let _ = run.report.flush();
    }
    end
}

/// Takes part in the run of the first of several processes: computes, and writes nothing.
///
/// # Errors
/// Those of [`Trainer::step`].
pub fn follow(trainer: &mut Trainer, source: Arc<Source>, observer: &mut dyn Observer) -> Result<End> {
    let mut batches = prefetch(trainer, source);
    let of = trainer.settings().steps;
    while trainer.steps() < of {
        let p = trainer.step(&batches.next().expect("batches never end"))?;
        let (loss, validation) = (p.loss.into(), None);
        let progress = Progress::Step { step: p.step, of, loss, rate: p.rate, rebuilt: p.rebuilt, validation };
        let own = observer.observe(&progress).is_break().then_some(End::Stopped);
        if let Some(end) = End::of_all(own, trainer)?
            && trainer.steps() < of
        {
            return Ok(end);
        }
    }
    Ok(End::Done)
}

/// The batches of the steps to come, or of each batch this process's samples.
fn prefetch(trainer: &Trainer, source: Arc<Source>) -> Prefetch {
    let settings = trainer.settings();
    Prefetch::new(source, settings.seed, trainer.steps() + 1, trainer.samples(), settings.crop)
}

/// Samples of the kind that the run trains on, but of no step, for runs without validation pictures.
fn drawn(source: &Source, settings: &Settings) -> Vec<(String, [Tensor; 2])> {
    let batch = source.batch(settings.seed, u64::MAX, SAMPLES_SHOWN.0, settings.crop);
    (0..SAMPLES_SHOWN.0)
        .map(|i| (format!("sample {}", i + 1), [&batch.input, &batch.target].map(|x| x.image(i))))
        .collect()
}

struct Run<'a> {
    folder: &'a Path,
    trainer: &'a mut Trainer,
    smoother: Smoother,
    schedule: &'a Schedule,
    /// Samples to show where there is nothing to validate on.
    drawn: Vec<(String, [Tensor; 2])>,
    report: Report,
    /// Mean PSNR of the last validation.
    validation: Option<f64>,
}

impl Run<'_> {
    fn steps(&mut self, source: Arc<Source>, observer: &mut dyn Observer) -> Result<End> {
        let settings = self.trainer.settings().clone();
        let mut batches = prefetch(self.trainer, source);
        let (mut saved, mut flushed) = (Instant::now(), Instant::now());
        let mut latest_rebuilt = None;
        let half = matches!(self.smoother.device(), Device::Gpu(gpu) if gpu.kernels().half());
        let mut warn_above = if half { REBUILT_TO_F16 } else { REBUILT_TO };
        let mut end = None;
        while self.trainer.steps() < settings.steps && end.is_none() {
            let batch = batches.next().expect("batches never end");
            let p = self.trainer.step(&batch)?;
            let (loss, gradient_norm, rate, rebuilt) = (p.loss, p.norm, p.rate, p.rebuilt);
            self.report.loss(LossRow { step: p.step, loss, gradient_norm, rate, rebuilt });
            if let Some(error) = rebuilt {
                latest_rebuilt = rebuilt;
                if error.is_nan() || error > warn_above {
                    if observer.observe(&Progress::Inexact { step: p.step, error }).is_break() {
                        end = Some(End::Stopped);
                    }
                    warn_above = 10.0 * error;
                }
            }
            let done = p.step == settings.steps;
            if done || p.step.is_multiple_of(self.schedule.validate_every) {
                self.validate(p.step)?;
            }
            let progress = Progress::Step {
                step: p.step,
                of: settings.steps,
                loss: self.report.mean_loss(100).into(),
                rate,
                rebuilt: latest_rebuilt,
                validation: self.validation,
            };
            if observer.observe(&progress).is_break() {
                end = Some(End::Stopped);
            } else if self.schedule.until.is_some_and(|until| Instant::now() >= until) {
                end = Some(End::OutOfTime);
            }
            end = End::of_all(end, self.trainer)?;
            let due = p.step.is_multiple_of(self.schedule.checkpoint_every) || saved.elapsed() > CHECKPOINT_AFTER;
            if done || due || end.is_some() {
                self.report.flush()?;
                self.report.plot()?;
                Checkpoint::of(self.trainer)?.save(self.folder, self.schedule.checkpoint_part)?;
                saved = Instant::now();
            } else if flushed.elapsed() > FLUSH_AFTER {
                self.report.flush()?;
                flushed = Instant::now();
            }
        }
        if self.trainer.steps() < settings.steps {
            return Ok(end.expect("something ended the run"));
        }
        let weights = Checkpoint::of(self.trainer)?.result();
        weights.write(&self.folder.join(WEIGHTS), Precision::F32)?;
        Ok(End::Done)
    }

    /// Measures what the run has reached: mean PSNR of the validation pictures, without ensemble, and a contact
    /// sheet.
    fn validate(&mut self, step: u64) -> Result<()> {
        self.smoother.set_params(&self.trainer.result()?)?;
        let options = Options::default().with_noise(self.trainer.settings().noise);
        let validation = &self.schedule.validation.0;
        let pictures: Vec<(String, &[Tensor; 2])> = match validation.is_empty() {
            true => self.drawn.iter().map(|(label, pictures)| (label.clone(), pictures)).collect(),
            false => validation.iter().map(|(pair, pictures)| (pair.name(), pictures)).collect(),
        };
        let largest = pictures.iter().map(|(_, [input, _])| input.shape.h.max(input.shape.w)).max().unwrap_or(0);
        let cell = largest.clamp(*ContactSheet::CELLS.start(), SAMPLES_SHOWN.1);
        let mut sheet = ContactSheet::new(&["input", &format!("step {step}"), "truth", "difference x4"], cell)?;
        // Spread over the set: neighbours are often one picture with different textures.
        let shown = |i: usize| i * SAMPLES_SHOWN.0 / pictures.len() != (i + 1) * SAMPLES_SHOWN.0 / pictures.len();
        let mut sum = 0.0;
        for (i, (label, [input, truth])) in pictures.iter().enumerate() {
            let y = self.smoother.smooth(input, &options)?;
            if !validation.is_empty() {
                sum += score(&y, truth)?.psnr;
            }
            if shown(i) {
                sheet.row(label, &[input, &y, truth, &difference(&y, truth, 4.0)?])?;
            }
        }
        if !validation.is_empty() {
            let psnr = sum / pictures.len() as f64;
            self.report.validation(ValidationRow { step, psnr });
            self.validation = Some(psnr);
        }
        sheet.write(self.folder.join(SAMPLES))
    }
}
