//! `sasnet smooth`

use super::shard::Sharding;
use super::{Smoothing, count, hint, progress};
use clap::Args;
use clap::builder::PossibleValuesParser;
use sasnet::image::{check_format, pictures, read, size, write};
use sasnet::low_level::file::prepare;
use sasnet::low_level::smooth::Smoother;
use sasnet::low_level::weights::{MODELS, Weights};
use sasnet::{Error, Progress, Result};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Smooth pictures: PNG, JPEG, WebP, TIFF and BMP, in and out.
#[derive(Args)]
pub struct Smooth {
    /// Pictures, or folders of pictures
    #[arg(required = true, value_name = "IN")]
    inputs: Vec<PathBuf>,
    /// File for one picture (its extension is the format; may be the picture's own); folder for several, which keep
    /// their names
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// Shipped model to smooth with [default: small]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(MODELS.map(|(name, _)| name)))]
    model: Option<String>,
    /// Weights to use instead of a shipped model
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    sharding: Sharding,
    #[command(flatten)]
    smoothing: Smoothing,
}

impl Smooth {
    /// Smooths all pictures; one that fails does not stop the others.
    pub fn run(self) -> Result<()> {
        let (all, shard) = (self.jobs()?, self.sharding.shard());
        let of = if shard.is_whole() { String::new() } else { format!(" (shard {shard} of {})", count(all.len())) };
        let jobs: Vec<(PathBuf, PathBuf)> = shard.part(all).collect();
        let weights = match (&self.weights, &self.model) {
            (Some(file), _) => Weights::read(file)?,
            (None, Some(model)) => Weights::model(model).expect("clap knows the models"),
            (None, None) => Weights::builtin(),
        };
        let (device, options) = (self.smoothing.adapter.open()?, self.smoothing.options());
        let mut smoother = Smoother::new(weights, device).with_max_memory(self.smoothing.max_memory);
        let bar = progress(jobs.len() * options.passes());
        let mut failed = vec![];
        for (input, output) in &jobs {
            bar.set_message(input.display().to_string());
            let mut job = || {
                let (h, w) = size(input)?;
                smoother.check(h, w).map_err(Error::about(input))?;
                let picture = read(input)?;
                let mut observer = |_: &Progress| {
                    bar.inc(1);
                    ControlFlow::Continue(())
                };
                let y =
                    smoother.smooth_observed(&picture.tensor, &options, &mut observer).map_err(Error::about(input))?;
                write(output, &picture.with(y)?)
            };
            let result = job();
            if let Err(error) = result {
                bar.suspend(|| eprintln!("error: {error}{}", hint(&error)));
                failed.push(input);
            }
        }
        bar.finish_and_clear();
        let done = jobs.len() - failed.len();
        eprintln!("smoothed {done} of {}{of} in {:.1} s", count(jobs.len()), bar.elapsed().as_secs_f64());
        if failed.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(format!("{} failed (see above)", count(failed.len()))))
        }
    }

    /// Each picture and where it goes.
    fn jobs(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        let inputs: Vec<PathBuf> = self.inputs.iter().map(pictures).collect::<Result<Vec<_>>>()?.concat();
        let one_file = inputs.len() == 1 && !self.inputs[0].is_dir() && !self.out.is_dir();
        if one_file {
            check_format(&self.out)?;
            prepare(&self.out)?;
            return Ok(vec![(inputs[0].clone(), self.out.clone())]);
        }
        if self.out.is_file() {
            let message = format!("is a file; {} go into a folder", count(inputs.len()));
            return Err(Error::file(&self.out, message));
        }
        let real = |path: &PathBuf| path.canonicalize().ok();
        let sources: HashMap<PathBuf, &PathBuf> =
            inputs.iter().filter_map(|input| Some((real(input)?, input))).collect();
        let mut taken: HashMap<PathBuf, &PathBuf> = HashMap::new();
        let mut jobs = vec![];
        for input in &inputs {
            let output = self.out.join(input.file_name().unwrap_or(Path::new("picture").as_os_str()));
            check_format(&output)?;
            if let Some(other) = taken.insert(output.clone(), input) {
                let message = format!("would get the same name as {}; smooth them into two folders", other.display());
                return Err(Error::file(input, message));
            }
            // There may be no other copy.
            if let Some(source) = real(&output).and_then(|output| sources.get(&output)) {
                return Err(Error::file(source, "would be overwritten; smooth into another folder"));
            }
            jobs.push((input.clone(), output));
        }
        std::fs::create_dir_all(&self.out).map_err(Error::io(&self.out))?;
        Ok(jobs)
    }
}
