//! A training run on disk: weights, Adam's moments, the step and the settings in one safetensors file.
//!
//! Samples and noise are functions of (seed, step), so that this is all there is to a run: a resumed one is bit-equal
//! to one that was never stopped.
//!
//! A run's folder holds its newest checkpoint as [`CHECKPOINT`], or in parts that no file system or upload limit
//! refuses: `checkpoint-500.part0`, `checkpoint-500.part1` and so on of step 500 are that file, one behind the other,
//! and [`PARTS`] says which ones belong together. It is replaced last, so that a complete checkpoint is there at any
//! moment.

use super::group::Exchange;
use super::step::{Settings, Trainer};
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::file::{self, atomic_write};
use crate::net::Network;
use crate::weights::{self, AVERAGE, MOMENTS, Precision, Weights};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Name of the checkpoint in a run's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// Name of the list of a checkpoint's parts.
pub const PARTS: &str = "checkpoint.json";

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
    /// The weights' moving average, flat, where [`Settings::ema`] asks for one.
    pub average: Option<Vec<f32>>,
}

/// The contents of [`PARTS`].
#[derive(Serialize, Deserialize)]
struct Parts {
    step: u64,
    parts: Vec<Part>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    file: String,
    bytes: usize,
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
        let weights = Weights { network: trainer.network().clone(), params: trainer.params()?, metadata };
        let [m, v] = trainer.moments()?;
        Ok(Checkpoint { weights, step: trainer.steps(), settings, m, v, average: trainer.average()? })
    }

    /// Returns the run's result so far: the weights' average, or the weights.
    pub fn result(mut self) -> Weights {
        if let Some(average) = self.average {
            self.weights.params = average;
        }
        self.weights
    }

    /// Goes on from here.
    pub fn trainer(&self, settings: &Settings, device: &Device) -> Result<Trainer> {
        self.trainer_together(settings, device, None)
    }

    /// The same as one of several processes that train together; None: as the only one.
    ///
    /// # Errors
    /// As [`Trainer::together`], and where more steps are done than `settings` has.
    pub fn trainer_together(
        &self,
        settings: &Settings,
        device: &Device,
        exchange: Option<Exchange>,
    ) -> Result<Trainer> {
        if self.step > settings.steps {
            let (done, steps) = (self.step, settings.steps);
            return Err(Error::Invalid(format!(
                "the run has done {done} steps already, more than the {steps} asked for"
            )));
        }
        let (network, params) = (&self.weights.network, &self.weights.params);
        let mut trainer = Trainer::together(network, settings, params, device, exchange)?;
        trainer.restore(self.step, &self.m, &self.v, self.average.as_deref())?;
        Ok(trainer)
    }

    /// Tells whether there is a checkpoint in a run's folder.
    pub fn exists_in(folder: &Path) -> bool {
        [CHECKPOINT, PARTS].iter().any(|name| folder.join(name).exists())
    }

    /// Replaces the checkpoint in a run's folder by this one, in files of at most `part` bytes where that is given.
    /// Whenever it is interrupted, [`Checkpoint::load`] finds the old one or this.
    ///
    /// # Errors
    /// [`Error::File`] with the tensor whose values are not finite: such a checkpoint does not replace a good one;
    /// [`Error::Io`].
    pub fn save(&self, folder: &Path, part: Option<usize>) -> Result<()> {
        let Some(part) = part else {
            self.write(&folder.join(CHECKPOINT))?;
            // First what names the others: never a list of parts that are not there.
            remove(folder, |name| name == PARTS)?;
            return remove(folder, is_part);
        };
        let bytes = self.bytes().map_err(|message| Error::file(folder.join(PARTS), message))?;
        let name = |i: usize| format!("checkpoint-{}.part{i}", self.step);
        let parts: Vec<(Part, &[u8])> = (bytes.chunks(part.max(1)).enumerate())
            .map(|(i, bytes)| (Part { file: name(i), bytes: bytes.len() }, bytes))
            .collect();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            atomic_write(&path, |out| out.write_all(bytes).map_err(Error::io(&path)))
        };
        parts.iter().try_for_each(|(part, bytes)| write(&part.file, bytes))?;
        let list = Parts { step: self.step, parts: parts.into_iter().map(|(part, _)| part).collect() };
        write(PARTS, serde_json::to_string_pretty(&list).expect("a list is plain data").as_bytes())?;
        let kept = |name: &str| list.parts.iter().any(|part| part.file == name);
        remove(folder, |name| name == CHECKPOINT || is_part(name) && !kept(name))
    }

    /// The newest checkpoint in a run's folder; None where there is none.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Io`] with the file that is missing, incomplete or something else.
    pub fn load(folder: &Path) -> Result<Option<Checkpoint>> {
        let [whole, parts] = [CHECKPOINT, PARTS].map(|name| folder.join(name));
        let whole = if whole.exists() { Some(Checkpoint::read(&whole)?) } else { None };
        let parts = if parts.exists() { Some(read_parts(&parts)?) } else { None };
        // Both are there where a run was killed as it went from one to the other.
        Ok(whole.into_iter().chain(parts).max_by_key(|checkpoint| checkpoint.step))
    }

    /// Removes what a killed run left in its folder: files that it had begun to write, parts that no list names, and the
    /// older of two checkpoints.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn tidy(folder: &Path) -> Result<()> {
        let [whole, list] = [CHECKPOINT, PARTS].map(|name| folder.join(name));
        let mut parts = if list.exists() { Some(read_list(&list)?) } else { None };
        if let Some(Parts { step, .. }) = parts
            && whole.exists()
        {
            let older = if step > Checkpoint::read(&whole)?.step { CHECKPOINT } else { PARTS };
            remove(folder, |name| name == older)?;
            parts = parts.filter(|_| older != PARTS);
        }
        let named = |name: &str| parts.iter().flat_map(|list| &list.parts).any(|part| part.file == name);
        remove(folder, |name| name.starts_with(file::TEMPORARY) || is_part(name) && !named(name))
    }

    /// Writes one file; the last one is replaced only when this one is complete.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.bytes().map_err(|message| Error::file(path, message))?;
        file::atomic_write(path, |out| out.write_all(&bytes).map_err(Error::io(path)))
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        let layout = self.weights.network.layout();
        let mut tensors = weights::tensors(&layout, "", &self.weights.params);
        tensors.extend(weights::tensors(&layout, MOMENTS[0], &self.m));
        tensors.extend(weights::tensors(&layout, MOMENTS[1], &self.v));
        if let Some(average) = &self.average {
            tensors.extend(weights::tensors(&layout, AVERAGE, average));
        }
        weights::serialise(&self.weights.header(), &tensors, Precision::F32)
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
        let network = Network::parse(&mut metadata)?;
        let value = |key: &str| metadata.get(key).ok_or(format!("not a checkpoint: its metadata has no \"{key}\""));
        let step = value("steps")?.parse().map_err(|e| format!("the metadata's \"steps\": {e}"))?;
        let settings: Settings =
            serde_json::from_str(value("settings")?).map_err(|e| format!("the metadata's \"settings\": {e}"))?;
        let layout = network.layout();
        let params = weights::read_tensors(&file, &layout, "")?;
        let beside =
            |prefix| weights::read_tensors(&file, &layout, prefix).map_err(|e| format!("not a checkpoint: {e}"));
        let (m, v) = (beside(MOMENTS[0])?, beside(MOMENTS[1])?);
        let average = if settings.ema > 0.0 { Some(beside(AVERAGE)?) } else { None };
        Ok(Checkpoint { weights: Weights { network, params, metadata }, step, settings, m, v, average })
    }
}

fn is_part(name: &str) -> bool {
    let step = name.strip_prefix("checkpoint-").and_then(|rest| rest.split_once(".part"));
    step.is_some_and(|(step, i)| [step, i].iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())))
}

/// Removes files of a run's folder by name.
fn remove(folder: &Path, which: impl Fn(&str) -> bool) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        if entry.file_name().to_str().is_some_and(&which) {
            std::fs::remove_file(entry.path()).map_err(Error::io(entry.path()))?;
        }
    }
    Ok(())
}

fn read_list(list: &Path) -> Result<Parts> {
    let text = std::fs::read_to_string(list).map_err(Error::io(list))?;
    serde_json::from_str(&text).map_err(|e| Error::file(list, format!("not a list of a checkpoint's parts: {e}")))
}

fn read_parts(list: &Path) -> Result<Checkpoint> {
    let mut bytes = vec![];
    for part in &read_list(list)?.parts {
        if !is_part(&part.file) {
            return Err(Error::file(list, format!("{:?} is not the name of a part", part.file)));
        }
        let path = list.with_file_name(&part.file);
        let read = std::fs::read(&path).map_err(Error::io(&path))?;
        if read.len() != part.bytes {
            let message = format!("{} bytes, but {} says {}: copy it again", read.len(), list.display(), part.bytes);
            return Err(Error::file(path, message));
        }
        bytes.extend(read);
    }
    Checkpoint::parse(&bytes).map_err(|message| Error::file(list, message))
}
