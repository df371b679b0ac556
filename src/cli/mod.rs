//! The command line: one file a subcommand. Parses, calls the library, prints.

#[macro_use]
pub mod output;

pub mod applications;
pub mod bench;
pub mod data;
pub mod devices;
pub mod doctor;
pub mod eval;
pub mod methods;
mod picture_options;
pub mod plan;
pub mod shader;
pub mod shard;
pub mod smooth;
pub mod stop;
pub mod synth;
pub mod table2;
pub mod train;
pub mod tune;
pub mod weights;

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};
use sasnet::filters::FINISH;
use sasnet::lab::shard::local_rank;
use sasnet::lab::train::checkpoint::Checkpoint;
use sasnet::low_level::exec::{Device, DeviceOptions};
use sasnet::low_level::net;
use sasnet::low_level::smooth::{MAX_TEXTURE_SIZE, Options, Smoother};
use sasnet::low_level::tensor::Shape;
use sasnet::low_level::weights::{MODELS, Weights};
use sasnet::{Error, Filter, Limit, Model, Network, Progress, Result, Sizes, TooLarge};
use std::path::{Path, PathBuf};

/// How to smooth, and on which device: the same for `smooth`, what is made of it, and `eval`.
#[derive(Args)]
pub struct Smoothing {
    /// Average the eight flips and rotations: better, eight times as slow
    #[arg(long)]
    ensemble: bool,
    /// Scale of the noise in the texture's place, 0 = none [default: what the weights were trained with]
    #[arg(long, value_name = "SCALE", value_parser = parse_noise, allow_negative_numbers = true)]
    noise: Option<f32>,
    /// Seed of the noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How much is smoothed: 0 = the picture as it is, 1 = the network's result, between them a blend of both
    /// [default: 1]
    #[arg(long, value_name = "0..1", value_parser = parse_amount, allow_negative_numbers = true)]
    amount: Option<f32>,
    /// How large the textures are that go: fine = what the network knows, medium = twice as large, coarse = four times, or
    /// a number from 1 to 8. Small structure goes with them, edges stay sharp [default: fine]
    #[arg(long, value_name = "SIZE", value_parser = parse_texture_size, allow_negative_numbers = true)]
    texture_size: Option<f32>,
    /// Smooth the network's result once more by a weak classical filter, which takes the faint unevenness away that is left:
    /// more decibels, less texture, for its time and memory (that of the whole picture at once, with rtv). `--finish` alone is
    /// rtv,lambda=0.0005,sigma=0.5; `--finish=gf,r=2,eps=0.0003` is quick and takes slabs; `sasnet methods` lists all
    #[arg(long, value_name = "NAME[,PARAMETER=VALUE]", num_args = 0..=1, require_equals = true,
        default_missing_value = FINISH)]
    finish: Option<Filter>,
    /// Most memory to use, as in 800MB, 2GB or 512MiB: with the CPU that of the whole process, with a GPU that of the
    /// network on it. Large pictures then go through in slabs, with the same result [default: what there is, by the
    /// machine's, the container's and ulimit's limits]
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    max_memory: Option<u64>,
    #[command(flatten)]
    adapter: Adapter,
}

impl Smoothing {
    /// The options of each picture.
    fn options(&self) -> Options {
        let options = Options::default().with_seed(self.seed).with_ensemble(self.ensemble);
        let options = self.noise.map_or(options.clone(), |scale| options.with_noise(scale));
        let options = self.amount.map_or(options.clone(), |amount| options.with_amount(amount));
        self.texture_size.map_or(options.clone(), |size| options.with_texture_size(size))
    }

    /// What smooths on a device, with its part of the memory where it is one of `of`.
    fn smoother(&self, model: impl Into<Model>, device: Device, of: u64) -> Smoother {
        let (network, process) = match device {
            Device::Cpu if of == 1 => (None, self.max_memory),
            Device::Cpu => (self.max_memory.map(|bytes| bytes / of), self.max_memory),
            _ => (self.max_memory.map(|bytes| bytes / of), None),
        };
        let model = model.into();
        // Filters are what they are.
        let finish = self.finish.clone().filter(|_| matches!(model, Model::Network(_)));
        let smoother = Smoother::new(model, device).with_finish(finish);
        smoother.with_max_memory(network).with_max_process_memory(process)
    }
}

/// The models that are too large for being a part of the program.
const FILES: [&str; 2] = ["full", "paper"];

/// Names of models.
fn model_names() -> Vec<&'static str> {
    MODELS.iter().map(|(name, _)| *name).chain(FILES).collect()
}

/// Where a model may be that is a file of its own: beside the program, and among the user's data.
fn model_files(name: &str) -> Vec<PathBuf> {
    let program = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_path_buf()));
    let folders = program.into_iter().chain(dirs::data_dir().map(|folder| folder.join("sasnet")));
    folders.map(|folder| folder.join(format!("{name}.safetensors"))).collect()
}

/// A model by its name.
fn model(name: &str) -> Option<Result<Weights>> {
    if !FILES.contains(&name) {
        return Weights::model(name).map(Ok);
    }
    let files = model_files(name);
    Some(files.iter().find(|file| file.exists()).map_or_else(
        || {
            let places = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" or as ");
            Err(Error::Invalid(format!(
                "the model {name} is a file of its own, weights/{name}.safetensors of the source: put it there as {places}, \
                 or give it as --weights"
            )))
        },
        |file| Weights::read(file),
    ))
}

/// A model by its name, or as [`read_weights`]; a file of a model's name is ./small.
fn model_or_file(text: &str) -> Result<Weights> {
    model(text).unwrap_or_else(|| read_weights(Path::new(text)))
}

/// Of a weights file, or of the folder of a training run, of which the last checkpoint counts.
fn read_weights(path: &Path) -> Result<Weights> {
    if !path.is_dir() {
        return Weights::read(path);
    }
    let checkpoint = Checkpoint::load(path)?.ok_or_else(|| {
        Error::file(path, "a folder without a checkpoint: give the folder of a training run, or a weights file")
    })?;
    Ok(checkpoint.result())
}

/// Bytes, from a number with a unit.
fn parse_memory(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let units = ["kb", "mb", "gb", "tb"].into_iter().zip(1..).map(|(unit, power)| (unit, 1000f64.powi(power)));
    let binary = ["kib", "mib", "gib", "tib"].into_iter().zip(1..).map(|(unit, power)| (unit, 1024f64.powi(power)));
    let form = "give a number and a unit, as 800MB, 1.5GB, 512MiB or 1TB";
    let unit = unit.trim().to_ascii_lowercase();
    if unit.is_empty() && number.parse::<f64>().is_ok() {
        return Err(format!("{form}: of what are {number} meant?"));
    }
    let of = units.chain(binary).find(|(name, _)| *name == unit || name[..1] == unit).map(|(_, bytes)| bytes);
    let bytes = of.and_then(|of| number.parse().ok().map(|n: f64| n * of));
    bytes.filter(|bytes| (1.0..1e18).contains(bytes)).map(|bytes| bytes as u64).ok_or(form.into())
}

fn parse_noise(text: &str) -> Result<f32, String> {
    let scale = text.parse().ok().filter(|scale: &f32| (0.0..=net::MAX_NOISE).contains(scale));
    scale.ok_or_else(|| format!("give a number from 0 to {}", net::MAX_NOISE))
}

fn parse_amount(text: &str) -> Result<f32, &'static str> {
    text.parse().ok().filter(|amount: &f32| (0.0..=1.0).contains(amount)).ok_or("give a number from 0 to 1")
}

fn parse_texture_size(text: &str) -> Result<f32, String> {
    let named = [("fine", 1.0), ("medium", 2.0), ("coarse", 4.0)].into_iter().find(|(name, _)| *name == text);
    let size = named.map(|(_, size)| size).or_else(|| text.parse().ok());
    let size = size.filter(|size| (1.0..=MAX_TEXTURE_SIZE).contains(size));
    size.ok_or_else(|| format!("give fine, medium, coarse, or a number from 1 to {MAX_TEXTURE_SIZE}"))
}

/// A network and the size of a picture: the same for `plan` and `bench`.
#[derive(Args)]
pub struct Architecture {
    /// Size of the picture
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "512x384", value_parser = parse_size)]
    size: (usize, usize),
    /// Network of this weights file, or shipped model of this name, instead of the paper's
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "Design")]
    weights: Option<String>,
    #[command(flatten)]
    design: Design,
}

/// Which network: the same for `train`, `plan` and `bench`.
#[derive(Args)]
pub struct Design {
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Network::names()), help = architectures(),
        hide_possible_values = true, default_value = Network::default().name(), help_heading = "Network")]
    architecture: String,
    /// Blocks; of sasnet two or three numbers (8,8) for the scales x4 and x8, of jessnet three for its parts
    /// [default: 16; jessnet: 20,3,6]
    #[arg(long, value_name = "N[,N[,N]]", value_delimiter = ',', help_heading = "Network")]
    blocks: Vec<usize>,
    /// Width of the hidden maps [default: 64; drf: 16; deaf: 512]
    #[arg(long, value_name = "N", help_heading = "Network")]
    features: Option<usize>,
    /// Leave channel and spatial attention out
    #[arg(long, help_heading = "Network")]
    no_attention: bool,
    /// What stands in z's place on the way up: drop = noise or nothing, as in the paper; keep = the part of z that is
    /// structure, which one more block finds [default: drop; train without --paper: keep]
    #[arg(long, value_name = "HOW", help_heading = "Network")]
    latent: Option<net::Latent>,
    /// Weight of the learned differences against the picture itself, in the solve of deaf; the larger, the smoother
    /// [default: 4194.304]
    #[arg(long, value_name = "NUMBER", help_heading = "Network")]
    beta: Option<f64>,
}

impl Design {
    /// The network; `latent` where none is given.
    fn network(&self, latent: net::Latent) -> Result<Network> {
        let name = self.architecture.as_str();
        let own = Network::build(name, &Sizes::default())?.sizes();
        let mut sizes = Sizes::default();
        sizes.blocks = (!self.blocks.is_empty()).then(|| self.blocks.clone());
        sizes.features = self.features;
        sizes.attention = self.no_attention.then_some(false);
        sizes.beta = self.beta;
        sizes.latent = self.latent.or(own.latent.map(|_| latent));
        Network::build(name, &sizes).map_err(|error| match sizes.not_in(&own) {
            Some(what) => Error::Invalid(format!("{error}; leave out {}", option(what))),
            None => error,
        })
    }
}

/// The option that chooses a size.
fn option(size: &str) -> String {
    if size == "attention" { "--no-attention".into() } else { format!("--{size}") }
}

/// The help of --architecture: each with what it is, and what there is to choose.
fn architectures() -> String {
    let line = |name: &'static str| {
        let paper = Network::build(name, &Sizes::default()).expect("each has its paper's sizes");
        format!("{name}: {} ({})", paper.about(), paper.sizes().chosen().join(", "))
    };
    let lines: Vec<String> = Network::names().into_iter().map(line).collect();
    format!("Which network, and what to choose of it:\n{}", lines.join("\n"))
}

fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let number = |t: &str| t.parse::<usize>().ok().filter(|n| (1..=1 << 20).contains(n));
    let sides = text.split_once('x').and_then(|(w, h)| Some((number(w)?, number(h)?)));
    sides.ok_or("give two numbers, as in 512x384".into())
}

fn parse_strength(text: &str) -> Result<(f32, f32), &'static str> {
    let numbers = text.split_once(',').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    numbers.ok_or("give two numbers, as in 8,25")
}

impl Architecture {
    /// Which network.
    fn network(&self) -> Result<Network> {
        match &self.weights {
            Some(file) => Ok(model_or_file(file)?.network),
            None => self.design.network(net::Latent::Drop),
        }
    }

    /// The picture, padded to the network's scale.
    fn shape(&self) -> Result<Shape> {
        let scale = self.network()?.scale();
        Ok(Shape::new(1, 3, self.size.1.next_multiple_of(scale), self.size.0.next_multiple_of(scale)))
    }
}

/// Which device.
#[derive(Args)]
pub struct Adapter {
    /// `cpu`, or an adapter's number in `sasnet devices` or a part of its name [default: a real GPU; where there is none,
    /// the CPU]
    #[arg(long, value_name = "NUMBER|NAME|cpu")]
    adapter: Option<String>,
    /// Kernels: auto, or one that `sasnet devices` lists for the adapter. f16 takes two
    /// thirds of the memory; in training
    /// the way forward alone is in f16, and its gradient good to 1 %
    #[arg(long, value_name = "NAME", default_value = "auto")]
    kernel: String,
}

impl Adapter {
    /// Opens the device and says which one it is.
    fn open(&self) -> Result<Device> {
        let device = self.open_quietly()?;
        note!("running on {}", device.describe());
        Ok(device)
    }

    fn open_quietly(&self) -> Result<Device> {
        let mut options = DeviceOptions::default();
        options.adapter = self.adapter.clone();
        options.kernel = Some(self.kernel.clone());
        options.cache = cache_folder();
        options.turn = local_rank(|name| std::env::var(name).ok())?;
        Device::open_with(&options)
    }
}

/// Where compiled kernels are kept: in the folder that `SASNET_CACHE` names (empty: nowhere), else in the user's for
/// caches.
fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("SASNET_CACHE") {
        Some(folder) if folder.is_empty() => None,
        Some(folder) => Some(PathBuf::from(folder)),
        None => Some(dirs::cache_dir()?.join("sasnet")),
    }
}

/// Which option helps, behind an error's message.
pub fn hint(error: &Error) -> &'static str {
    match error.root() {
        Error::TooLarge(TooLarge { finishing: true, .. }) => {
            ", or leave --finish out, or give it gf, which takes slabs"
        }
        Error::TooLarge(TooLarge { limit: Limit::Binding | Limit::Elements | Limit::Device, .. }) => {
            ", or use --adapter cpu"
        }
        Error::Diverged(diverged) if diverged.rebuilt => " (--store-activations)",
        _ => "",
    }
}

fn count(pictures: usize) -> String {
    count_of(pictures, "picture")
}

/// `1 file`, `2 files`.
fn count_of(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

/// A bar over so many pictures.
fn progress(pictures: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {percent}%, {eta} left, {msg}");
    ProgressBar::new(pictures as u64).with_style(style.expect("the template is valid"))
}

/// Shows which picture is scored.
fn show(bar: &ProgressBar, progress: &Progress) {
    match progress {
        Progress::Checking { picture } => bar.set_message(format!("checking {picture}")),
        Progress::Scoring { set, picture } => {
            bar.set_message(format!("{set}/{picture}"));
            bar.inc(1);
        }
        _ => {}
    }
}
