//! What the tests share.
#![allow(dead_code)] // no test uses all of it

pub mod folder;
pub mod runs;
pub mod textures;

use sasnet::image;
use sasnet::low_level::gpu::{Adapter, AdapterChoice, Gpu, GpuOptions, list_kernels};
use sasnet::low_level::kernel::Kernels;
use sasnet::low_level::net::{Network, Sasnet};
use sasnet::low_level::tensor::{Shape, Tensor};
use sasnet::low_level::weights::Weights;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock};

/// The adapter that `SASNET_ADAPTER` names, else any, a real one first; with the kernels made for its type.
pub fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| Arc::new(open(None))).clone()
}

/// Makes Mesa's lavapipe draw: under it any render pass crashes with vectors of 512 bits. To be called before a test opens
/// anything.
pub fn short_vectors() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: the driver reads its environment when it is opened, which each test does behind this; Rust's own readers
    // are kept apart by the standard library.
    ONCE.call_once(|| unsafe {
        std::env::set_var("LP_NATIVE_VECTOR_WIDTH", "256");
        std::env::set_var("GALLIVM_PERF", "no_aos_sampling");
    });
}

/// The same adapter with these kernels.
pub fn gpu_with(kernels: Kernels) -> Arc<Gpu> {
    static GPUS: Mutex<BTreeMap<&str, Arc<Gpu>>> = Mutex::new(BTreeMap::new());
    let mut gpus = GPUS.lock().unwrap();
    gpus.entry(kernels.name()).or_insert_with(|| Arc::new(open(Some(kernels.name())))).clone()
}

/// The kernels that keep hidden maps in f16 and that this adapter can run, but narrow tiles. Says which it cannot; with
/// `SASNET_KERNELS=matrix` (any list of names) these are required.
pub fn half_kernels() -> Vec<Kernels> {
    let can: Vec<Kernels> = (list_kernels().into_iter())
        .find(|(a, _)| a.to_string() == Adapter(gpu().info().clone()).to_string())
        .map(|(_, kernels)| kernels.into_iter().filter(|k| k.half() && !k.narrow()).collect())
        .expect("the adapter in use is listed");
    let required = std::env::var("SASNET_KERNELS").unwrap_or_default();
    for name in ["tiles-f16", "matrix"] {
        if !can.iter().any(|k| k.name() == name) {
            assert!(!required.contains(name), "this adapter cannot run {name}");
            println!("NOT TESTED: this adapter cannot run {name}");
        }
    }
    can
}

fn open(kernel: Option<&str>) -> Gpu {
    let name = std::env::var("SASNET_ADAPTER").unwrap_or_default();
    let options =
        GpuOptions { adapter: AdapterChoice::Named(name), kernel: kernel.map(str::to_string), ..GpuOptions::default() };
    let gpu = Gpu::open(&options);
    gpu.unwrap_or_else(|e| panic!("{e}. Run the tests with tools/test.sh, which fetches a software driver"))
}

/// The binary, as [`words`] start it.
pub fn sasnet() -> Command {
    started(env!("CARGO_BIN_EXE_sasnet"))
}

/// A program, as [`words`] start it.
pub fn started(program: &str) -> Command {
    let words = words(program);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// The words that start a program as cargo starts the tests: through the runner (`CARGO_TARGET_<TRIPLE>_RUNNER`) where
/// there is one.
pub fn words(program: &str) -> Vec<String> {
    let is_runner = |name: &str| name.starts_with("CARGO_TARGET_") && name.ends_with("_RUNNER");
    let runner = std::env::vars().find(|(name, _)| is_runner(name)).map(|(_, runner)| runner);
    runner.as_deref().unwrap_or_default().split_whitespace().chain([program]).map(String::from).collect()
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; None where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("messages are UTF-8");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    pub fn of(command: &mut Command) -> Ran {
        command.output().expect("the binary starts").into()
    }

    /// Panics with all that was said unless it succeeded.
    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless it failed with this exit code, without a panic of its own, and all of `parts` in its message.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) -> Ran {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in: {}", self.stderr);
        }
        self
    }
}

/// A picture of 8-bit codes with edges and texture, the same for the same arguments.
pub fn picture(h: usize, w: usize, seed: usize) -> Tensor {
    let shape = Shape::new(1, 3, h, w);
    let code = |i: usize| {
        let (c, y, x) = (i / (h * w), i / w % h, i % w);
        let edge = if (x + 2 * y + seed) % 17 < 8 { 60 } else { 180 };
        edge + 15 * c + (7 * x * x + 13 * y + 5 * x * y + 3 * seed) % 31
    };
    Tensor::new(shape, (0..shape.len()).map(|i| code(i) as f32 / 255.0).collect())
}

/// Writes [`picture`], and the folders that it needs.
pub fn write_picture(path: impl AsRef<Path>, h: usize, w: usize, seed: usize) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::write(path, &picture(h, w, seed).into()).unwrap();
}

/// A small network with initial weights, to be smoothed with noise of scale `noise`.
pub fn small_weights(blocks: &[usize], features: usize, attention: bool, noise: f32) -> Weights {
    let mut weights =
        Weights::initial(&Network::from(Sasnet::new(blocks, features).unwrap().with_attention(attention)), 5);
    weights.metadata.insert("noise".into(), noise.to_string());
    weights
}

/// Gives the block that finds structure in z something to say: it begins as 0.
pub fn with_latent(mut weights: Weights) -> Weights {
    if let Some(weight) = weights.network.layout().get("latent.conv3.weight") {
        let values = weights.params[weight.range()].iter_mut().enumerate();
        values.for_each(|(i, v)| *v = ((7 * i) % 11) as f32 / 110.0 - 0.05);
    }
    weights
}

/// The files directly in a folder, by name.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap());
    let file =
        |entry: std::fs::DirEntry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
    entries.filter(|entry| entry.path().is_file()).map(file).collect()
}
