//! `sasnet bench`

use super::methods::parse_setting;
use super::plan::describe;
use super::table2::time;
use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::ProgressBar;
use sasnet::Result;
use sasnet::lab::bench::{self, Answer, Cost, Report, Spread};
use sasnet::lab::table2;
use sasnet::lab::train::step::Settings;
use sasnet::low_level::exec::Device;
use sasnet::low_level::gpu::Adapter;
use sasnet::low_level::net::count;
use sasnet::low_level::plan::Plan;
use sasnet::low_level::weights::Weights;
use sasnet::{Filter, Network, Progress};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use std::time::Duration;

/// Measure time and memory, next to the paper's Table 2, after checking the answer against the CPU in f64.
#[derive(Args)]
pub struct Bench {
    #[command(flatten)]
    architecture: super::Architecture,
    /// Measure this classical filter instead of a network (`sasnet methods` lists them)
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Filter::methods().iter().map(|m| m.name)),
        conflicts_with_all = ["weights", "Design", "train"])]
    method: Option<String>,
    /// Value of a parameter of the method; several: --set sigma=3 --set lambda=0.01
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting, requires = "method",
        conflicts_with_all = ["weights", "Design", "train", "table2"])]
    set: Vec<(String, String)>,
    /// Measure a training step instead of smoothing a picture
    #[arg(long, conflicts_with = "size")]
    train: bool,
    /// Samples a step [default: 16]
    #[arg(long, value_name = "N", requires = "train", conflicts_with_all = ["size", "table2", "method"])]
    batch: Option<usize>,
    /// Side of a sample [default: 128]
    #[arg(long, value_name = "PIXELS", requires = "train", conflicts_with_all = ["size", "table2", "method"])]
    crop: Option<usize>,
    /// Keep the forward pass's activations instead of rebuilding them
    #[arg(long, requires = "train", conflicts_with_all = ["size", "table2", "method"])]
    store_activations: bool,
    /// Measure all networks of the paper's Table 2, and those of its Table 3, one after the other
    #[arg(long, conflicts_with_all = ["train", "layers", "weights", "method", "Design"])]
    table2: bool,
    /// Timed runs, after warm-up [default: 10; with --table2: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Print operators by layer
    #[arg(long)]
    layers: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    adapter: super::Adapter,
}

impl Bench {
    /// Measures and prints.
    pub fn run(self) -> Result<()> {
        if let Some(method) = &self.method {
            return self.run_filter(&super::methods::filter(method, &self.set)?);
        }
        if self.table2 {
            return self.table2();
        }
        let (network, shape) = (self.architecture.network()?, self.architecture.shape()?);
        let settings = Settings::default().of(&network);
        let settings = Settings {
            batch: self.batch.unwrap_or(settings.batch),
            crop: self.crop.unwrap_or(settings.crop),
            store_activations: self.store_activations,
            ..settings
        };
        if self.train {
            settings.check(&network)?;
        }
        let weights = match &self.architecture.weights {
            Some(file) => super::model_or_file(file)?,
            None => Weights::initial(&network, 1),
        };
        let device = self.adapter.open()?;
        let (bar, runs) = (spinner(), self.runs.unwrap_or(10) as usize);
        let mut observer = |progress: &Progress| show(&bar, progress);
        let report = match self.train {
            true => bench::training(&weights, &device, &settings, runs, &mut observer),
            false => bench::smoothing(&weights, &device, (shape.h, shape.w), runs, &mut observer),
        };
        bar.finish_and_clear();
        let (report, full) = (report?, count::full_network(&network, shape)?);
        match self.json {
            true => say!("{}", self.as_json(&network, &device, &settings, &report, &full)),
            false => self.print(&network, &device, &settings, &report, &full),
        }
        Ok(())
    }

    /// Measures a filter and prints what it takes.
    fn run_filter(&self, filter: &Filter) -> Result<()> {
        let (device, bar) = (self.adapter.open()?, spinner());
        let (width, height) = self.architecture.size;
        let mut observer = |progress: &Progress| show(&bar, progress);
        let report = bench::filter(filter, &device, (height, width), self.runs.unwrap_or(10) as usize, &mut observer);
        bar.finish_and_clear();
        let r = &report?;
        if self.json {
            let Value::Object(mut all) = json!(r) else { unreachable!("a report has fields") };
            all.insert("filter".into(), filter.to_string().into());
            all.insert("device".into(), device.describe().into());
            all.insert("size".into(), json!({ "width": width, "height": height }));
            say!("{}", serde_json::to_string_pretty(&all).expect("plain data"));
            return Ok(());
        }
        say!("sasnet {} on {}", env!("CARGO_PKG_VERSION"), device.describe());
        say!("smoothing {width}x{height} by {filter}");
        print_check(r);
        print_runs(r, false);
        print_memory(r);
        print_costs(if self.layers { &r.layers } else { &r.operators }, r.peak_gflops);
        Ok(())
    }

    /// Measures and prints all networks.
    fn table2(self) -> Result<()> {
        let (width, height) = self.architecture.size;
        let device = self.adapter.open()?;
        let bar = spinner();
        let rows =
            table2::measure((height, width), &device, self.runs.unwrap_or(1) as usize, &mut |progress: &Progress| {
                show(&bar, progress)
            });
        bar.finish_and_clear();
        let rows = rows?;
        match self.json {
            true => say!("{}", serde_json::to_string_pretty(&rows).expect("plain data")),
            false => {
                say!("sasnet {} on {}\n", env!("CARGO_PKG_VERSION"), device.describe());
                super::table2::print((width, height), &rows);
            }
        }
        Ok(())
    }

    fn origin(&self) -> String {
        self.architecture.weights.clone().unwrap_or("initial weights, seed 1".into())
    }

    fn as_json(&self, network: &Network, device: &Device, settings: &Settings, report: &Report, full: &Plan) -> String {
        let (width, height) = self.architecture.size;
        let adapter = match device {
            Device::Gpu(gpu) => json!({
                "name": gpu.info().name,
                "type": Adapter(gpu.info().clone()).kind(),
                "backend": gpu.info().backend.to_string(),
                "driver": format!("{} {}", gpu.info().driver, gpu.info().driver_info),
            }),
            _ => json!({ "name": "cpu", "threads": rayon::current_num_threads() }),
        };
        let number = |text: &String| text.parse::<u64>().map_or_else(|_| text.clone().into(), Value::from);
        let sizes: Map<String, Value> =
            network.metadata().iter().map(|(key, text)| (key.clone(), number(text))).collect();
        let mut all = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "device": adapter,
            "network": {
                "weights": self.origin(),
                "architecture": network.name(),
                "sizes": sizes,
                "parameters": network.layout().parameters(),
            },
            "full_network": { "macs": full.macs(), "paper_count": full.paper_count() },
            "gflops": report.gflops(),
        });
        match self.train {
            true => {
                all["train"] = json!({
                    "batch": settings.batch,
                    "crop": settings.crop,
                    "store_activations": settings.store_activations,
                })
            }
            false => all["size"] = json!({ "width": width, "height": height }),
        }
        let Value::Object(measured) = json!(report) else { unreachable!("a report has fields") };
        all.as_object_mut().expect("built as one").extend(measured);
        serde_json::to_string_pretty(&all).expect("plain data")
    }

    fn print(&self, network: &Network, device: &Device, settings: &Settings, r: &Report, full: &Plan) {
        let (width, height) = self.architecture.size;
        let giga = |n: u64| n as f64 / 1e9;
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let parameters = network.layout().parameters();
        say!("sasnet {} on {}", env!("CARGO_PKG_VERSION"), device.describe());
        let work = match self.train {
            true => format!("a training step, {} samples of {}x{}", settings.batch, settings.crop, settings.crop),
            false => format!("smoothing {width}x{height}"),
        };
        say!("{work}; {}; {}", describe(network), self.origin());
        print_check(r);
        if !self.train {
            say!("\nTable 2 at {width}x{height}       GMAC    Table 2's G   parameters  peak memory      time");
            if let ((512, 384), Some(paper)) = ((width, height), table2::published(network.name())) {
                say!("{:20} {:27.2} G               {:8.0} MB", "the paper", paper.giga, paper.mb);
            }
            say!(
                "{:20} {:10.2} {:16.2} G   {parameters:9}",
                "this, all of it",
                giga(full.macs()),
                giga(full.paper_count())
            );
            say!(
                "{:20} {:10.2} {:16.2} G   {parameters:9}  {:8.0} MB {:9}",
                "this, as it runs",
                giga(r.macs),
                giga(r.paper_count),
                mb(r.allocated_bytes),
                time(r.run.median)
            );
        }

        print_runs(r, self.train);
        let share = 100.0 * r.gflops() / r.peak_gflops;
        say!("  {:.1} GFLOP/s, {share:.0}% of {:.1}, measured with {}", r.gflops(), r.peak_gflops, r.peak_of);
        print_memory(r);
        if let Answer::Step { loss, gradient_norm } = r.answer {
            say!("first step: loss {loss:.6}, norm of the gradient {gradient_norm:.6}");
        }
        print_costs(if self.layers { &r.layers } else { &r.operators }, r.peak_gflops);
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Says what is being measured.
fn show(bar: &ProgressBar, progress: &Progress) -> ControlFlow<()> {
    if let Progress::Measuring { what } = progress {
        if bar.is_hidden() { note!("{what}") } else { bar.set_message(what.to_string()) }
    }
    ControlFlow::Continue(())
}

fn print_check(r: &Report) {
    let check = &r.check;
    say!("checked: {}, error {:.1e} (to {:.0e}) of f64", check.what, check.error, check.tolerance);
}

fn print_runs(r: &Report, is_step: bool) {
    say!("\ntime, median of {} runs after warm-up (fastest to slowest)", r.runs);
    let spread = |s: &Spread| format!("{:>9} ({} to {})", time(s.median), time(s.min), time(s.max));
    say!("  {:22}{}", if is_step { "step" } else { "run" }, spread(&r.run));
    if let Some(whole) = &r.with_transfer {
        say!("  with picture in, out  {}", spread(whole));
    }
    if let Some(submit) = &r.submit {
        say!("  recorded, submitted in{}", spread(submit));
    }
    if let (Some(record), Some(passes)) = (&r.record, r.passes) {
        let kernels: usize = r.operators.iter().map(|cost| cost.kernels).sum();
        let passes = if passes == 1 { "one pass".into() } else { format!("{passes} passes") };
        say!("  recorded in           {}: {kernels} kernels in {passes}", spread(record));
    }
}

fn print_memory(r: &Report) {
    let mb = |bytes: u64| bytes as f64 / 1e6;
    say!("memory");
    say!("  planned               {:6.1} MB, allocated {:.1} MB", mb(r.planned_bytes), mb(r.allocated_bytes));
    if let Some(bytes) = r.device_bytes {
        say!("  in the device's buffers {:4.1} MB", mb(bytes));
    }
    if let Some(bytes) = r.process_bytes {
        say!("  the process at most   {:6.1} MB", mb(bytes));
    }
}

fn print_costs(costs: &[Cost], peak: f64) {
    let total: f64 = costs.iter().filter_map(|cost| cost.ms).sum();
    if costs.iter().any(|cost| cost.ms.is_none()) {
        say!("\nThis device has no timestamps: no times by operator.");
    }
    let width = costs.iter().map(|cost| cost.name.len()).max().unwrap_or(0).max(8);
    let header = "calls  kernels        ms  share      GMAC   GFLOP/s of peak     GB/s";
    say!("\n{:width$} {header}", "operator");
    for cost in costs {
        let ms = cost.ms.map_or("-".into(), |ms| format!("{ms:.3}"));
        let share = cost.ms.map_or("-".into(), |ms| format!("{:.1}%", 100.0 * ms / total));
        let gflops = cost.gflops().filter(|g| *g > 0.0);
        let of_peak = gflops.map_or("-".into(), |g| format!("{:.1}%", 100.0 * g / peak));
        let gflops = gflops.map_or("-".into(), |g| format!("{g:.1}"));
        let bandwidth = cost.bandwidth().map_or("-".into(), |b| format!("{b:.1}"));
        say!(
            "{:width$} {:5} {:8} {ms:>9} {share:>6} {:9.3} {gflops:>9} {of_peak:>7} {bandwidth:>8}",
            cost.name,
            cost.calls,
            cost.kernels,
            cost.macs as f64 / 1e9
        );
    }
    say!("{:width$} {:14} {total:9.3}", "together", "");
}
