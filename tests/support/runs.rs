//! Small training runs for the tests.

use super::{Ran, files, sasnet, write_picture};
use sasnet::Result;
use sasnet::lab::dataset::pairs::{Pairing, find_pairs};
use sasnet::lab::dataset::source::Source;
use sasnet::lab::train::checkpoint::Checkpoint;
use sasnet::lab::train::run::{self, Lock, Schedule, Validation};
use sasnet::lab::train::step::Settings;
use sasnet::low_level::exec::Device;
use sasnet::low_level::net::{Network, Sasnet};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Folders to train on, and room for runs.
pub struct Data(tempfile::TempDir);

impl Data {
    pub fn new() -> Data {
        let data = Data(tempfile::tempdir().unwrap());
        (0..3).for_each(|i| write_picture(data.path(&format!("structures/{}/{i}.png", i % 2)), 20 + i, 24, i));
        (0..2).for_each(|i| write_picture(data.path(&format!("textures/{i}.png")), 16, 13, 5 * i));
        write_picture(data.path("validation/a.png"), 13, 24, 9);
        data
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs to `settings.steps`, from the checkpoint in the folder where there is one.
    pub fn train(&self, out: &str, config: &Network, settings: &Settings, device: &Device, every: u64) -> Result<()> {
        let source = Source::blend(&self.path("structures"), &self.path("textures"), settings.strength)?;
        let folder = self.path(out);
        let lock = Lock::take(&folder)?;
        let mut trainer = match Checkpoint::exists_in(&folder) {
            true => Checkpoint::load(&folder)?.unwrap().trainer(settings, device)?,
            false => run::begin(config, settings, &folder)?.trainer(settings, device)?,
        };
        let validation = Validation::read(&find_pairs(&self.path("validation"), None, Pairing::Names)?)?;
        let schedule = Schedule { checkpoint_every: every, validate_every: every, validation, ..Schedule::default() };
        run::run(&mut trainer, Arc::new(source), device, &schedule, &lock, &mut ()).map(|_| ())
    }

    /// The binary with the same data, on the CPU, a network of one block.
    pub fn command(&self, out: &str, arguments: &[&str]) -> Command {
        self.command_of("2", out, arguments)
    }

    /// The same with so many samples a step.
    pub fn command_of(&self, batch: &str, out: &str, arguments: &[&str]) -> Command {
        let mut command = sasnet();
        command.arg("train").args(["--adapter", "cpu", "--batch", batch, "--crop", "16"]);
        for (option, folder) in [("--out", out), ("--structures", "structures"), ("--textures", "textures")] {
            command.arg(option).arg(self.path(folder));
        }
        command.args(arguments);
        command
    }

    pub fn files(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        files(&self.path(out))
    }
}

/// Runs the binary in a folder, by words with a space between.
pub fn run(folder: &Path, arguments: &str) -> Ran {
    Ran::of(sasnet().current_dir(folder).args(arguments.split(' ')))
}

/// Writes two pairs of pictures into the folders `inputs` and `truths`.
pub fn write_pairs(folder: &Path) {
    for (kind, seed) in [("inputs", 1), ("truths", 5)] {
        for i in 0..2 {
            write_picture(folder.join(kind).join(format!("{i}.png")), 40, 56, seed + i);
        }
    }
}

/// Trains a network called `name` for six steps, on the pairs and with the options `new`, and the same in two parts,
/// which comes to the same files. Returns that of the weights.
pub fn train_in_parts(folder: &Path, name: &str, new: &str) -> String {
    let train = |out: &str, more: &str| {
        let data = "--inputs inputs --truths truths --validate inputs --validate-truths truths --adapter cpu";
        run(folder, &format!("train -o {name}-{out} {data} --validate-every 3 {more}")).ok();
    };
    train("whole", &format!("{new} --steps 6"));
    train("parts", &format!("{new} --steps 3"));
    train("parts", "--resume --steps 6");
    let [whole, parts] = ["whole", "parts"].map(|out| files(&folder.join(format!("{name}-{out}"))));
    for file in ["checkpoint.safetensors", "weights.safetensors", "loss.csv", "validation.csv"] {
        assert!(whole[file] == parts[file], "{name}: {file} differs");
    }
    format!("{name}-whole/weights.safetensors")
}

/// Smooths with these weights, and measures them smoothing and training.
pub fn smooth_and_measure(folder: &Path, name: &str, file: &str, crop: usize) {
    run(folder, &format!("smooth inputs/0.png -o {name}.png --weights {file} --adapter cpu")).ok();
    run(folder, &format!("bench --weights {file} --size 48x32 --runs 1 --adapter cpu")).ok();
    run(folder, &format!("bench --weights {file} --train --batch 1 --crop {crop} --runs 1 --adapter cpu")).ok();
}

pub const NEW: [&str; 5] = ["--paper", "--blocks", "1", "--features", "8"];

pub fn small(blocks: usize) -> Network {
    Network::from(Sasnet::new(&[blocks], 8).unwrap())
}

pub fn settings(steps: u64) -> Settings {
    Settings { batch: 2, crop: 16, rate: 1e-3, steps, seed: 7, ..Settings::paper() }
}

#[track_caller]
pub fn same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(a), names(b));
    for (name, bytes) in a {
        assert!(bytes == &b[name], "{name} differs");
    }
}

/// One block of as many features as make a convolution that is Muon's.
pub fn wide() -> Network {
    Network::from(Sasnet::new(&[1], 16).unwrap())
}
