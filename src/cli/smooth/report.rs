//! What is said of the work: how far it is, what failed, what was left out; for people, or as JSON for programs.

use super::jobs::{Job, Jobs};
use crate::cli::stop::Stop;
use crate::cli::{count, count_of, hint, output};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sasnet::lab::shard::Shard;
use sasnet::{Error, Observer, Progress, Result};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How much is said.
#[derive(Args)]
pub struct Verbosity {
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Messages")]
    pub quiet: bool,
    /// Say a line for each picture, and name all that is left out
    #[arg(short, long, help_heading = "Messages")]
    verbose: bool,
    /// Print a line of JSON on standard output for each picture and for each that is left out, and one for all
    #[arg(long, help_heading = "Messages")]
    pub json: bool,
}

/// Steps of the bar that a picture takes.
const PICTURE: u64 = 1000;
/// Where there is no bar, a line is said as often at most.
const EVERY: Duration = Duration::from_secs(30);

/// How many frames of which size were smoothed.
pub struct Frames {
    /// How many.
    pub count: usize,
    /// Rows and columns.
    pub size: (usize, usize),
}

/// Says how the work goes.
pub struct Report {
    verbosity: Verbosity,
    /// What is done to pictures: smoothed.
    effect: &'static str,
    bar: ProgressBar,
    /// Whether to stop.
    pub stop: Stop,
    /// Pictures in all.
    pictures: usize,
    done: usize,
    failed: usize,
    left_out: Vec<(PathBuf, String)>,
    picture: String,
    /// Of how many pictures this is a shard.
    of: String,
    began: Instant,
    said: Instant,
}

impl Report {
    /// Begins with what is known before anything is computed; says what cannot be smoothed.
    pub fn new(verbosity: Verbosity, effect: &'static str, jobs: &mut Jobs, stop: Stop, shard: Shard) -> Report {
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {percent}%, {eta} left, {msg}");
        let pictures = jobs.jobs.len() + jobs.failed.len();
        let bar = ProgressBar::new(pictures as u64 * PICTURE);
        if verbosity.quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let mut report = Report {
            verbosity,
            effect,
            bar: bar.with_style(style.expect("the template is valid")),
            stop,
            pictures,
            done: 0,
            failed: 0,
            left_out: std::mem::take(&mut jobs.left_out),
            picture: String::new(),
            of: if shard.is_whole() { String::new() } else { format!(" (shard {shard} of {})", count(jobs.of)) },
            began: Instant::now(),
            said: Instant::now(),
        };
        for (path, why) in &report.left_out {
            report.json(json!({"input": path.display().to_string(), "status": "left out", "why": why}));
        }
        for (input, error) in std::mem::take(&mut jobs.failed) {
            report.failed(&input, &error);
        }
        report
    }

    /// Says a line, unless nothing is to be said.
    pub fn note(&self, line: &str) {
        if !self.verbosity.quiet {
            self.bar.suspend(|| note!("{line}"));
        }
    }

    /// A picture is begun.
    pub fn begin(&mut self, job: &Job) {
        self.picture = job.input.display().to_string();
        self.bar.set_message(self.picture.clone());
    }

    /// A picture of `h` x `w` is smoothed, and written.
    pub fn done(&mut self, job: &Job, (h, w): (usize, usize), took: Duration) {
        self.done += 1;
        self.show(0.0);
        let (input, output) = (job.input.display().to_string(), job.output.display().to_string());
        let seconds = took.as_secs_f64();
        if self.verbosity.verbose {
            self.note(&format!("{input} -> {output}, {w}x{h}, {seconds:.2} s"));
        }
        self.json(json!({
            "input": input, "output": output, "status": self.effect, "width": w, "height": h, "seconds": seconds,
        }));
    }

    /// So many frames of a video are smoothed.
    pub fn frame(&mut self, count: usize) {
        let rate = count as f64 / self.began.elapsed().as_secs_f64();
        self.bar.set_message(format!("{}, frame {count}, {rate:.1} frames per second", self.picture));
        if self.bar.is_hidden() && self.said.elapsed() > EVERY {
            self.said = Instant::now();
            self.note(&format!("frame {count}, {rate:.1} frames per second"));
        }
    }

    /// A video is smoothed, and written.
    pub fn done_video(&mut self, job: &Job, frames: &Frames, took: Duration) {
        self.done += 1;
        self.show(0.0);
        let (Frames { count, size: (h, w) }, seconds) = (frames, took.as_secs_f64());
        let rate = *count as f64 / seconds;
        self.note(&format!("{} of {w}x{h} in {seconds:.1} s, {rate:.2} frames per second", count_of(*count, "frame")));
        let (input, output) = (job.input.display().to_string(), job.output.display().to_string());
        self.json(json!({
            "input": input, "output": output, "status": self.effect, "width": w, "height": h, "frames": count,
            "seconds": seconds,
        }));
    }

    /// A picture failed; the others go on.
    pub fn failed(&mut self, input: &Path, error: &Error) {
        self.failed += 1;
        self.show(0.0);
        let damaged = matches!(error.root(), Error::Damaged(_));
        let hint = if damaged { "; --keep-going writes what can be read" } else { hint(error) };
        let message = format!("{error}{hint}");
        self.bar.suspend(|| note!("error: {message}"));
        self.json(json!({"input": input.display().to_string(), "status": "failed", "error": message}));
    }

    /// What could be read of a damaged picture is smoothed, and written.
    pub fn damaged(&mut self, job: &Job) {
        self.failed += 1;
        self.show(0.0);
        let (input, output) = (job.input.display().to_string(), job.output.display().to_string());
        self.json(json!({"input": input, "output": output, "status": "damaged"}));
    }

    /// Says it all in a line.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the work was `stopped`, [`Error::Invalid`] where a picture failed.
    pub fn end(&self, stopped: bool) -> Result<()> {
        self.bar.finish_and_clear();
        let Report { effect, done, failed, left_out, of, .. } = self;
        let seconds = self.began.elapsed().as_secs_f64();
        let rest = || format!(", {}", output::left_out(left_out, self.verbosity.verbose));
        let rest = if left_out.is_empty() { String::new() } else { rest() };
        self.note(&format!("{effect} {done} of {}{of} in {seconds:.1} s{rest}", count(self.pictures)));
        self.json(json!({
            "status": if stopped { "stopped" } else { "done" }, *effect: done, "failed": failed, "left_out": left_out.len(), "seconds": seconds,
        }));
        if stopped {
            return Err(Error::Cancelled);
        }
        if *failed == 0 { Ok(()) } else { Err(Error::Invalid(format!("{} failed (see above)", count(*failed)))) }
    }

    fn json(&self, value: Value) {
        if self.verbosity.json {
            self.bar.suspend(|| say!("{value}"));
        }
    }

    /// Shows how far it is: `part` of a picture more than is counted.
    fn show(&mut self, part: f64) {
        let before = (self.done + self.failed) as u64 * PICTURE;
        self.bar.set_position(before + (PICTURE as f64 * part) as u64);
        if self.bar.is_hidden() && self.said.elapsed() > EVERY {
            self.said = Instant::now();
            let percent = self.bar.position() * 100 / self.bar.length().unwrap_or(1).max(1);
            self.note(&format!("{percent}% after {} s, at {}", self.began.elapsed().as_secs(), self.picture));
        }
    }
}

impl Observer for Report {
    fn observe(&mut self, progress: &Progress) -> ControlFlow<()> {
        if let Progress::Smoothing { part } = progress {
            self.show(*part);
        }
        self.stop.answer()
    }
}
