//! A training run on disk: weights, Adam's moments, the step and the settings in one safetensors file.
//!
//! Samples and noise are functions of (seed, step), so that this is all there is to a run: a resumed one is bit-equal
//! to one that was never stopped.

use super::step::{Settings, Trainer};
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::file;
use crate::weights::{self, Precision, Weights};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// A run as it was after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The weights; their metadata says how they were trained.
    pub weights: Weights,
    /// Steps done.
    pub step: u64,
    /// How it is trained.
    pub settings: Settings,
    /// Adam's first moments, flat.
    pub m: Vec<f32>,
    /// Adam's second moments, flat.
    pub v: Vec<f32>,
}

impl Checkpoint {
    /// The run as it is now.
    pub fn of(trainer: &mut Trainer) -> Result<Checkpoint> {
        let settings = trainer.settings().clone();
        let metadata = BTreeMap::from([
            ("noise".to_string(), settings.noise.to_string()),
            ("steps".to_string(), trainer.steps().to_string()),
            ("settings".to_string(), serde_json::to_string(&settings).expect("settings are plain data")),
        ]);
        let weights = Weights { config: trainer.config().clone(), params: trainer.params()?, metadata };
        let [m, v] = trainer.moments()?;
        Ok(Checkpoint { weights, step: trainer.steps(), settings, m, v })
    }

    /// Goes on from here.
    pub fn trainer(&self, settings: &Settings, device: &Device) -> Result<Trainer> {
        if self.step > settings.steps {
            let (done, steps) = (self.step, settings.steps);
            return Err(Error::Invalid(format!(
                "the run has done {done} steps already, more than the {steps} asked for"
            )));
        }
        let mut trainer = Trainer::new(&self.weights.config, settings, &self.weights.params, device)?;
        trainer.restore(self.step, &self.m, &self.v)?;
        Ok(trainer)
    }

    /// Writes the file; the last one is replaced only when this one is complete.
    pub fn write(&self, path: &Path) -> Result<()> {
        let layout = self.weights.config.layout();
        let mut tensors = weights::tensors(&layout, "", &self.weights.params);
        tensors.extend(weights::tensors(&layout, "adam.m.", &self.m));
        tensors.extend(weights::tensors(&layout, "adam.v.", &self.v));
        let bytes = weights::serialise(&self.weights.header(), &tensors, Precision::F32);
        let bytes = bytes.map_err(|message| Error::file(path, message))?;
        file::atomic_write(path, |out| out.write_all(&bytes).map_err(Error::io(path)))
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Checkpoint> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Checkpoint::parse(&bytes).map_err(|message| Error::file(path, message))
    }

    fn parse(bytes: &[u8]) -> Result<Checkpoint, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a complete safetensors file: {e}"))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("unreadable header: {e}"))?;
        let mut metadata: BTreeMap<String, String> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
        let config = weights::parse_config(&mut metadata)?;
        let value = |key: &str| metadata.get(key).ok_or(format!("not a checkpoint: its metadata has no \"{key}\""));
        let step = value("steps")?.parse().map_err(|e| format!("the metadata's \"steps\": {e}"))?;
        let settings =
            serde_json::from_str(value("settings")?).map_err(|e| format!("the metadata's \"settings\": {e}"))?;
        let layout = config.layout();
        let params = weights::read_tensors(&file, &layout, "")?;
        let m = weights::read_tensors(&file, &layout, "adam.m.").map_err(|e| format!("not a checkpoint: {e}"))?;
        let v = weights::read_tensors(&file, &layout, "adam.v.").map_err(|e| format!("not a checkpoint: {e}"))?;
        Ok(Checkpoint { weights: Weights { config, params, metadata }, step, settings, m, v })
    }
}
