//! `sasnet plan`

use clap::Args;
use sasnet::Result;
use sasnet::lab::table2;
use sasnet::lab::train::step::{self, Settings};
use sasnet::low_level::fit::Cut;
use sasnet::low_level::kernel::{FAMILIES, Kernels, MatrixUnit};
use sasnet::low_level::net::count;
use sasnet::low_level::plan::{Plan, Region, Target};
use sasnet::low_level::tensor::Shape;
use sasnet::{Network, Sizes};
use std::collections::BTreeMap;

/// Print what smoothing a picture or a training step costs: operators, operations, memory. Needs no GPU.
#[derive(Args)]
pub struct Plan_ {
    #[command(flatten)]
    architecture: super::Architecture,
    /// For the CPU executor instead of a GPU
    #[arg(long)]
    cpu: bool,
    /// For these kernels (see `sasnet devices`)
    #[arg(long, value_name = "NAME", default_value = "tiles", value_parser = parse_kernels,
        conflicts_with = "cpu")]
    kernel: Kernels,
    /// In no more memory than this, as in 800MB or 2GB: in slabs of rows
    #[arg(long, value_name = "SIZE", value_parser = super::parse_memory, conflicts_with = "train")]
    max_memory: Option<u64>,
    /// Print all networks of the paper's Table 2, and those of its Table 3
    #[arg(long, conflicts_with_all = ["train", "steps", "max_memory", "weights", "Design"])]
    table2: bool,
    /// Print every step instead of a line for each kind of operator
    #[arg(long)]
    steps: bool,
    /// A training step, of so many samples of so many pixels squared
    #[arg(long, value_name = "BATCHxCROP", num_args = 0..=1, default_missing_value = "16x128", value_parser = parse_samples,
        conflicts_with = "size")]
    train: Option<(usize, usize)>,
    /// Print what so many processes that share the batch exchange, too
    #[arg(long, value_name = "N", requires = "train", conflicts_with_all = ["size", "table2"],
        value_parser = clap::value_parser!(u16).range(2..))]
    processes: Option<u16>,
}

fn parse_samples(text: &str) -> Result<(usize, usize), &'static str> {
    super::parse_size(text).map_err(|_| "give the samples of a step and the side of each, as in 16x128")
}

fn parse_kernels(name: &str) -> Result<Kernels, String> {
    let unit = MatrixUnit { side: 16, subgroup_size: 32 };
    let family = FAMILIES.iter().find(|family| family.name == name);
    let unknown = || format!("give one of: {}", Kernels::names().join(", "));
    family.and_then(|family| (family.kernels)(Some(unit))).ok_or_else(unknown)
}

impl Plan_ {
    /// Prints the plan.
    pub fn run(self) -> Result<()> {
        let target = match self.cpu {
            true => Target::Cpu { threads: rayon::current_num_threads() },
            false => Target::Gpu { max_binding: u64::MAX, kernels: self.kernel },
        };
        if self.table2 {
            let (width, height) = self.architecture.size;
            super::table2::print((width, height), &table2::plan((height, width), target)?);
            return Ok(());
        }
        let (network, shape) = (self.architecture.network()?, self.architecture.shape()?);
        let rebuilds = network.is_invertible();
        let print = if self.steps { print_steps } else { print_operators };
        if let Some((batch, crop)) = self.train {
            let plan = |store_activations| {
                let settings = Settings { batch, crop, store_activations, ..Settings::default().of(&network) };
                step::plan(&network, &settings, target)
            };
            let mut plans = vec![("stored", plan(true)?)];
            if rebuilds {
                plans.insert(0, ("rebuilt", plan(false)?));
            }
            print(&plans[0].1);
            say!("\na step on {batch} samples of {crop}x{crop}, {}", describe(&network));
            for (activations, plan) in plans {
                let (giga, mb) = (plan.macs() as f64 / 1e9, plan.peak_bytes() as f64 / 1e6);
                say!(
                    "  activations {activations:8}  {giga:9.2} GMAC  {mb:9.2} MB, weights and Adam's moments included"
                );
            }
            let settings = Settings { batch, crop, ..Settings::default().of(&network) };
            let processes = self.processes.map(usize::from);
            processes.map_or(Ok(()), |processes| print_exchange(&network, &settings, target, processes))?;
            return Ok(());
        }
        let (width, height) = self.architecture.size;
        let (cut_graph, plan) = match self.max_memory {
            Some(bytes) => Cut::within(&network, shape, target, bytes)?,
            None => {
                let cut_graph = Cut::WHOLE.graph(&network, shape)?;
                let plan = Plan::new(&cut_graph.graph, target)?;
                (cut_graph, plan)
            }
        };
        print(&plan);

        let full = count::full_network(&network, shape)?;
        let giga = |n: u64| n as f64 / 1e9;
        say!("\n{width}x{height}, {}", describe(&network));
        if let Some(skipped) = network.skips() {
            say!("  this run              {:9.2} GMAC ({skipped} are skipped)", giga(plan.macs()));
        }
        say!("  the full network      {:9.2} GMAC", giga(full.macs()));
        let of_paper = network == Network::build(network.name(), &Sizes::default())? && (width, height) == (512, 384);
        let paper = table2::published(network.name()).filter(|_| of_paper);
        let paper = paper.map_or(String::new(), |paper| format!("; the paper: {}", paper.giga));
        say!(
            "  as the paper's Table 2{:9.2} G (multiply-accumulates, biases, activations{paper})",
            giga(full.paper_count())
        );
        say!(
            "  peak memory           {:9.2} MB in {} buffers, weights included",
            plan.peak_bytes() as f64 / 1e6,
            plan.buffers.len()
        );
        if cut_graph.x.len() > 1 {
            let features = if cut_graph.cut.keep_features { "kept" } else { "computed twice" };
            say!("  slabs of rows         {:9} features {features}", cut_graph.x.len());
        }
        if !self.cpu {
            let (name, before) = (self.kernel.name(), plan.prepack.kernels.len());
            say!("  kernels               {:9} ({name}), {before} before the first run", plan.dispatches());
        }
        Ok(())
    }
}

/// What processes that share a batch exchange in a step, and when.
fn print_exchange(network: &Network, settings: &Settings, target: Target, processes: usize) -> Result<()> {
    let samples = settings.samples_of(0, processes)?.len();
    let parts = step::exchanges(network, &Settings { batch: samples, ..settings.clone() }, target)?;
    let gradient = 4.0 * parts.iter().map(|(elements, _)| *elements as f64).sum::<f64>();
    let sent = 2.0 * gradient * (processes - 1) as f64 / processes as f64;
    let milliseconds = |gigabits: f64| 8e3 * sent / (1e9 * gigabits);
    say!("\n{processes} processes, {samples} samples each, gradients of {:.2} MB", gradient / 1e6);
    say!("  each sends and receives 2 (N - 1) / N of them, {:.2} MB a step", sent / 1e6);
    say!("  at the line's rate {:.2} ms on 10 Gb/s, {:.2} ms on 100 Gb/s", milliseconds(10.0), milliseconds(100.0));
    say!("  complete, and sent from then on, after this share of the step's operations:");
    let mut complete = 0.0;
    for (elements, done) in parts {
        complete += 4.0 * elements as f64;
        say!("  {:6.1} % of the gradients after {:5.1} %", 100.0 * complete / gradient, 100.0 * done);
    }
    Ok(())
}

/// A network in words.
pub(super) fn describe(network: &Network) -> String {
    let (scale, parameters) = (network.scale(), network.layout().parameters());
    format!("{}, x{scale}, {parameters} parameters", network.describe())
}

fn print_operators(plan: &Plan) {
    let mut operators: BTreeMap<&str, (usize, usize, u64, u64)> = BTreeMap::new();
    for step in &plan.steps {
        let o = operators.entry(step.op).or_default();
        let written: usize = step.outputs.iter().map(|l| 4 * l.words()).sum();
        *o = (o.0 + 1, o.1 + step.dispatches.len(), o.2 + step.macs, o.3 + written as u64);
    }
    let total = plan.macs().max(1) as f64;
    say!("operator                         calls  kernels       GMAC  share   MB written");
    for (name, (calls, kernels, macs, bytes)) in operators {
        let (gmac, share) = (macs as f64 / 1e9, 100.0 * macs as f64 / total);
        say!("{name:31} {calls:6} {kernels:8} {gmac:10.3} {share:5.1}% {:12.1}", bytes as f64 / 1e6);
    }
}

fn print_steps(plan: &Plan) {
    say!("layer                    operator                        output               buffers                GMAC");
    for step in &plan.steps {
        let shapes: Vec<String> = step.shapes.iter().take(1).map(Shape::to_string).collect();
        let ids = |regions: &mut dyn Iterator<Item = &Region>| {
            regions.map(|l| l.buffer.to_string()).collect::<Vec<_>>().join(",")
        };
        let buffers = format!("{} > {}", ids(&mut step.inputs.iter().flatten()), ids(&mut step.outputs.iter()));
        say!("{:24} {:31} {:20} {buffers:16} {:10.4}", step.name, step.op, shapes.concat(), step.macs as f64 / 1e9);
    }
}
