//! `sasnet smooth`, and the work that it shares with what else is made of smoothed pictures.

mod effect;
mod frames;
mod jobs;
mod picture;
mod report;
mod video;
mod yuv;

use super::Smoothing;
use super::methods::parse_setting;
use super::output::is_stdout;
use super::picture_options::{Notes, PictureOptions};
use super::shard::Sharding;
use super::stop::Stop;
use clap::Args;
use clap::builder::PossibleValuesParser;
pub use effect::Effect;
use jobs::{Files, STANDARD};
use picture::{Done, Worker};
use report::{Report, Verbosity};
use sasnet::low_level::weights::Weights;
use sasnet::{Error, Filter, Model, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Smooth pictures: PNG, JPEG, WebP, TIFF, BMP, GIF, PNM, TGA, QOI, Radiance HDR and OpenEXR, in and out; and y4m video.
#[derive(Args)]
pub struct Smooth {
    #[command(flatten)]
    work: Work,
}

impl Smooth {
    /// Smooths all pictures and videos.
    pub fn run(self) -> Result<()> {
        self.work.run(Effect::Smooth)
    }
}

/// What smooths.
#[derive(Args)]
struct SmoothsBy {
    /// Model to smooth with; `full` is a file of its own (weights/README.md) [default: small]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(super::model_names()))]
    model: Option<String>,
    /// Weights to use instead of a shipped model, or the folder of a training run
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    weights: Option<PathBuf>,
    /// Classical filter to smooth with instead of a network (`sasnet methods` lists them)
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Filter::methods().iter().map(|m| m.name)),
        conflicts_with_all = ["model", "weights", "ensemble", "noise", "seed", "finish"])]
    method: Option<String>,
    /// Value of a parameter of the method (`sasnet methods` lists them); several: --set sigma=3 --set lambda=0.01
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting, requires = "method",
        conflicts_with_all = ["model", "weights", "ensemble", "noise", "seed", "finish"])]
    set: Vec<(String, String)>,
}

impl SmoothsBy {
    /// Reads the weights, or sets the filter up.
    fn model(&self) -> Result<Model> {
        Ok(match (&self.method, &self.weights, &self.model) {
            (Some(method), ..) => super::methods::filter(method, &self.set)?.into(),
            (None, Some(file), _) => super::read_weights(file)?.into(),
            (None, None, Some(model)) => super::model(model).expect("clap knows the models")?.into(),
            (None, None, None) => Weights::builtin().into(),
        })
    }
}

/// Which pictures are smoothed, how and where, and how results are written.
#[derive(Args)]
pub struct Work {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    smooths_by: SmoothsBy,
    #[command(flatten)]
    sharding: Sharding,
    #[command(flatten)]
    smoothing: Smoothing,
    #[command(flatten)]
    pictures: PictureOptions,
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Work {
    /// Does this to all pictures; one that fails does not stop the others.
    pub fn run(self, effect: Effect) -> Result<()> {
        let shard = self.sharding.shard();
        let mut jobs = self.files.jobs(shard)?;
        let to_stdout = |path: &Path| path == Path::new(STANDARD) || is_stdout(path);
        if self.verbosity.json && jobs.jobs.iter().any(|job| to_stdout(&job.output)) {
            return Err(Error::Invalid("--json prints on standard output, where the result goes: leave it out".into()));
        }
        let options = self.smoothing.options();
        let stop = Stop::listen((!self.verbosity.quiet).then_some("stopping"));
        let mut report = Report::new(self.verbosity, effect.done(), &mut jobs, stop.clone(), shard);
        if jobs.jobs.is_empty() {
            return report.end(false);
        }
        let model = self.smooths_by.model()?;
        let device = self.smoothing.adapter.open_quietly()?;
        report.note(&format!("running on {}", device.describe()));
        let smoother = self.smoothing.smoother(model, device, 1);
        let mut worker = Worker { smoother, options, effect, pictures: self.pictures, notes: Notes::default() };
        let mut stopped = false;
        for job in &jobs.jobs {
            stopped |= stop.asked();
            if stopped {
                break;
            }
            let began = Instant::now();
            report.begin(job);
            match worker.run(job, &mut report) {
                Ok(Done::Picture(h, w)) => report.done(job, (h, w), began.elapsed()),
                Ok(Done::Damaged) => report.damaged(job),
                Ok(Done::Video(frames)) => report.done_video(job, &frames, began.elapsed()),
                Err(Error::Cancelled) => stopped = true,
                Err(error) if super::output::nobody_reads(&error) => return Err(error),
                Err(error) => report.failed(&job.input, &error),
            }
        }
        worker.notes.others().for_each(|line| report.note(&line));
        report.end(stopped)
    }
}
