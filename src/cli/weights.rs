//! `sasnet weights`

use super::plan::describe;
use clap::Args;
use sasnet::lab::train::grow::grow;
use sasnet::lab::train::mean::mean;
use sasnet::low_level::file::{is_stream, prepare};
use sasnet::low_level::net::count::{COUNTED, full_network};
use sasnet::low_level::onnx;
use sasnet::low_level::weights::Precision;
use sasnet::{Error, Result};
use std::path::PathBuf;

/// Show what a weights file or a checkpoint holds, and write it as weights alone, in full or half precision, or as an
/// ONNX model.
#[derive(Args)]
pub struct Weights_ {
    /// Weights or checkpoint (of which the weights' moving average counts, where it has one), folder of a training run, or
    /// name of a shipped model
    file: String,
    /// Write the weights there
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write them in 16 bits instead of 32: half the size
    #[arg(long, requires = "out")]
    f16: bool,
    /// Write the network as an ONNX model there (operators of version 17, f32): one input x and one output y, (batch, 3,
    /// height, width) of any size, RGB in [0, 1]; without noise
    #[arg(long, value_name = "FILE")]
    onnx: Option<PathBuf>,
    /// Take the mean of the weights and of these, of the same network: of short runs from the same weights it is better than
    /// each. May be given again and again
    #[arg(long, value_name = "FILE", requires = "out")]
    mean: Vec<String>,
    /// Enlarge the network to --blocks and --features without changing what it computes, to train it on (train --from)
    #[arg(long, requires = "out", help_heading = "Growing")]
    grow: bool,
    /// Blocks of the larger network, in as many numbers as the old one has [default: as many as it has]
    #[arg(long, value_name = "N[,N[,N]]", value_delimiter = ',', requires = "grow", help_heading = "Growing")]
    blocks: Vec<usize>,
    /// Features of the larger network [default: as many as it has]
    #[arg(long, value_name = "N", requires = "grow", help_heading = "Growing")]
    features: Option<usize>,
    /// Seed of what is random in it
    #[arg(long, value_name = "N", default_value_t = 1, requires = "grow", help_heading = "Growing")]
    seed: u64,
}

impl Weights_ {
    /// Shows and writes.
    pub fn run(self) -> Result<()> {
        let mut weights = super::model_or_file(&self.file)?;
        if !self.mean.is_empty() {
            let others = self.mean.iter().map(|file| Ok((file.clone(), super::model_or_file(file)?)));
            let all: Result<Vec<_>> = std::iter::once(Ok((self.file.clone(), weights))).chain(others).collect();
            weights = mean(&all?)?;
        }
        if self.grow {
            weights = grow(&weights, &self.blocks, self.features, self.seed)?;
        }
        let macs = full_network(&weights.network, COUNTED)?.macs() as f64 / 1e9;
        let shown = [describe(&weights.network), format!("{macs:.2} GMAC on 512x384")];
        let metadata = weights.metadata.iter().map(|(key, value)| format!("{key}: {value}"));
        let shown = shown.into_iter().chain(metadata).collect::<Vec<_>>().join("\n");
        let outs = [(&self.out, "safetensors", "a weights file"), (&self.onnx, "onnx", "an ONNX model")];
        let outs = outs.into_iter().filter_map(|(out, extension, what)| Some((out.as_deref()?, extension, what)));
        for (out, extension, what) in outs.clone() {
            if !is_stream(out) && out.extension().is_none_or(|own| own != extension) {
                return Err(Error::file(out, format!("is no .{extension}: give the name of {what}")));
            }
        }
        // One of them may be the standard output.
        if outs.clone().any(|(out, ..)| is_stream(out)) {
            note!("{shown}")
        } else {
            say!("{shown}")
        }
        outs.clone().try_for_each(|(out, ..)| prepare(out))?;
        for (out, extension, _) in outs {
            if extension == "onnx" {
                onnx::write(&weights, out)?;
            } else {
                weights.write(out, if self.f16 { Precision::F16 } else { Precision::F32 })?;
            }
            match out.metadata() {
                Ok(file) if !is_stream(out) => note!("wrote {}, {} bytes", out.display(), file.len()),
                _ => note!("wrote {}", out.display()),
            }
        }
        Ok(())
    }
}
