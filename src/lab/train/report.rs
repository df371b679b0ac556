//! Tables and the plot of a run: `loss.csv`, `validation.csv`, `loss.svg`.

use crate::error::{Error, Result};
use crate::file::atomic_write;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// A line of `loss.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossRow {
    /// Step, from 1.
    pub step: u64,
    /// Loss of the step's batch.
    pub loss: f32,
    /// Norm of the gradient before the clip.
    pub gradient_norm: f32,
    /// Learning rate.
    pub rate: f32,
    /// Largest error of what the backward pass rebuilt, where it was looked at ([`super::step::Progress::rebuilt`]).
    #[serde(default)]
    pub rebuilt: Option<f32>,
}

/// A line of `validation.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationRow {
    /// Steps done.
    pub step: u64,
    /// Mean PSNR over the validation pictures, dB.
    pub psnr: f64,
}

/// The two tables of a run. Rows are kept in memory and appended to the files by [`Report::flush`].
pub struct Report {
    folder: PathBuf,
    losses: Vec<LossRow>,
    validations: Vec<ValidationRow>,
    flushed: (usize, usize),
}

pub(crate) const LOSSES: &str = "loss.csv";
pub(crate) const VALIDATIONS: &str = "validation.csv";

impl Report {
    /// Goes on with the tables in `folder`, of which rows after `step` are dropped: they come again.
    pub fn open(folder: &Path, step: u64) -> Result<Report> {
        let mut losses: Vec<LossRow> = read(&folder.join(LOSSES))?;
        let mut validations: Vec<ValidationRow> = read(&folder.join(VALIDATIONS))?;
        losses.retain(|row| row.step <= step);
        validations.retain(|row| row.step <= step);
        rewrite(&folder.join(LOSSES), &losses)?;
        rewrite(&folder.join(VALIDATIONS), &validations)?;
        let flushed = (losses.len(), validations.len());
        Ok(Report { folder: folder.to_path_buf(), losses, validations, flushed })
    }

    /// Adds a step.
    pub fn loss(&mut self, row: LossRow) {
        self.losses.push(row);
    }

    /// Adds a validation.
    pub fn validation(&mut self, row: ValidationRow) {
        self.validations.push(row);
    }

    /// Mean loss of the last `n` steps.
    pub fn mean_loss(&self, n: usize) -> f32 {
        let last = &self.losses[self.losses.len().saturating_sub(n)..];
        last.iter().map(|row| row.loss).sum::<f32>() / last.len().max(1) as f32
    }

    /// Appends the new rows to the files.
    pub fn flush(&mut self) -> Result<()> {
        append(&self.folder.join(LOSSES), &self.losses[self.flushed.0..], self.flushed.0 == 0)?;
        append(&self.folder.join(VALIDATIONS), &self.validations[self.flushed.1..], self.flushed.1 == 0)?;
        self.flushed = (self.losses.len(), self.validations.len());
        Ok(())
    }

    /// Draws the plot.
    pub fn plot(&self) -> Result<()> {
        let svg = plot(&self.losses, &self.validations).map_err(|e| Error::Invalid(format!("the plot: {e}")))?;
        let path = self.folder.join("loss.svg");
        atomic_write(&path, |out| std::io::Write::write_all(out, svg.as_bytes()).map_err(Error::io(&path)))
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    if !path.exists() {
        return Ok(vec![]);
    }
    let mut reader = csv::Reader::from_path(path).map_err(|e| Error::file(path, e.to_string()))?;
    // A line that a killed run left unfinished is the last one, and its step comes again.
    Ok(reader.deserialize().map_while(|row| row.ok()).collect())
}

fn rewrite<T: Serialize>(path: &Path, rows: &[T]) -> Result<()> {
    atomic_write(path, |out| {
        let mut writer = csv::Writer::from_writer(out);
        rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|e| Error::file(path, e.to_string()))?;
        writer.flush().map_err(Error::io(path))
    })
}

fn append<T: Serialize>(path: &Path, rows: &[T], header: bool) -> Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(path).map_err(Error::io(path))?;
    let mut writer = csv::WriterBuilder::new().has_headers(header).from_writer(file);
    rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|e| Error::file(path, e.to_string()))?;
    writer.flush().map_err(Error::io(path))
}

/// An SVG: the loss (means over 1/400 of the run) and below it the validation PSNR.
fn plot(losses: &[LossRow], validations: &[ValidationRow]) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    let last = losses.last().map_or(1, |row| row.step) as f64;
    {
        let root = SVGBackend::with_string(&mut svg, (900, 600)).into_drawing_area();
        root.fill(&WHITE)?;
        let (upper, lower) = root.split_vertically(if validations.is_empty() { 600 } else { 360 });
        let means: Vec<(f64, f64)> = losses
            .chunks((losses.len() / 400).max(1))
            .map(|rows| {
                (
                    rows[rows.len() - 1].step as f64,
                    rows.iter().map(|r| f64::from(r.loss)).sum::<f64>() / rows.len() as f64,
                )
            })
            .collect();
        let bounds = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let (_, high) = bounds(&mut means.iter().map(|p| p.1));
        if high.is_finite() {
            let mut chart = ChartBuilder::on(&upper)
                .margin(12)
                .caption("training loss", ("sans-serif", 18))
                .x_label_area_size(34)
                .y_label_area_size(64)
                .build_cartesian_2d(0.0..last, 0.0..high * 1.05 + f64::MIN_POSITIVE)?;
            chart
                .configure_mesh()
                .max_light_lines(1)
                .x_desc("step")
                .y_label_formatter(&|v| format!("{v:.4}"))
                .draw()?;
            chart.draw_series(LineSeries::new(means, &BLUE))?;
        }
        let (low, high) = bounds(&mut validations.iter().map(|row| row.psnr));
        if low.is_finite() {
            let mut chart = ChartBuilder::on(&lower)
                .margin(12)
                .caption("validation PSNR, dB", ("sans-serif", 18))
                .x_label_area_size(34)
                .y_label_area_size(64)
                .build_cartesian_2d(0.0..last, low - 0.2..high + 0.2)?;
            chart.configure_mesh().max_light_lines(1).x_desc("step").draw()?;
            chart.draw_series(LineSeries::new(validations.iter().map(|row| (row.step as f64, row.psnr)), &RED))?;
        }
        root.present()?;
    }
    Ok(svg)
}
