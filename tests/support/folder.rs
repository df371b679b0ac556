//! A folder in which the command runs.

use super::{Ran, sasnet, small_weights, write_picture};
use sasnet::image::{self, quantise};
use sasnet::low_level::exec::Device;
use sasnet::low_level::smooth::{Options, Smoother};
use sasnet::low_level::weights::{Precision, Weights};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with weights and pictures.
pub struct Folder {
    pub folder: tempfile::TempDir,
    pub weights: Weights,
}

impl Folder {
    /// With a network of its own, whose default noise scale is `noise`.
    pub fn new(noise: f32) -> Folder {
        Folder::with(small_weights(&[2], 8, true, noise))
    }

    pub fn with(weights: Weights) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        weights.write(&folder.path().join("w.safetensors"), Precision::F32).unwrap();
        Folder { folder, weights }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn picture(&self, name: &str, h: usize, w: usize) {
        write_picture(self.path(name), h, w, name.len());
    }

    pub fn pictures(&self, names: &[&str], h: usize, w: usize) {
        names.iter().for_each(|name| self.picture(name, h, w));
    }

    /// `sasnet smooth` with the folder's weights on the CPU, in the folder.
    pub fn smooth(&self, arguments: &[&str]) -> Ran {
        let own = ["--adapter", "cpu", "--weights", "w.safetensors"];
        Ran::of(self.command("smooth").args(arguments).args(own))
    }

    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = sasnet();
        command.arg(subcommand).current_dir(self.folder.path());
        command
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The file that the library makes of a picture, in the format of `output`.
    pub fn expected(&self, input: &str, output: &str, options: &Options) -> Vec<u8> {
        let picture = image::read(self.path(input)).unwrap();
        let mut smoother = Smoother::new(self.weights.clone(), Device::Cpu);
        let y = smoother.smooth(&picture.tensor, options).unwrap();
        assert_ne!(quantise(&y), quantise(&picture.tensor), "smoothing changes something");
        let name = format!("expected-{output}");
        image::write(self.path(&name), &picture.with(y).unwrap()).unwrap();
        let bytes = self.bytes(&name);
        std::fs::remove_file(self.path(&name)).unwrap();
        bytes
    }

    /// The names in a folder, temporary files included.
    pub fn names(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .path(name)
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
