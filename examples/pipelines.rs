//! Compiles every pipeline of smoothing a picture and of a training step, for `tools/gpu_compile.sh`, whose drivers have
//! no device behind them: `pipelines KERNELS WIDTHxHEIGHT`. Prints a line for each, in the order that they are compiled
//! in.

use sasnet::lab::train::step::{Optimizer, Settings, Trainer};
use sasnet::low_level::exec::Executor;
use sasnet::low_level::gpu::{AdapterChoice, Gpu, GpuOptions};
use sasnet::low_level::kernel::Dispatch;
use sasnet::low_level::plan::Plan;
use sasnet::low_level::smooth;
use sasnet::{Device, Network, Result, Shape, Weights};
use std::collections::HashSet;
use std::sync::Arc;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kernels, size] = &arguments[..] else { panic!("give kernels and a size") };
    let (w, h) = size.split_once('x').expect("a size is WIDTHxHEIGHT");
    let shape = Shape::new(1, 3, h.parse().expect("a height"), w.parse().expect("a width"));
    let adapter = AdapterChoice::Named("0".into());
    // Not by `Device::open`, which compares the answers of cooperative matrices.
    let gpu = Gpu::open(&GpuOptions { adapter, kernel: Some(kernels.clone()), ..Default::default() })?;
    let device = Device::Gpu(Arc::new(gpu));
    let mut known = HashSet::new();
    let weights = Weights::initial(&Network::default(), 1);
    let (graph, ..) = smooth::graph(&weights.network, shape)?;
    print(Executor::new(graph, &device)?.plan(), &mut known);
    // Muon's step has Adam's kernel, too.
    let settings = Settings { optimizer: Optimizer::Muon, ..Settings::default() }.of(&weights.network);
    print(Trainer::new(&weights.network, &settings, &weights.params, &device)?.executor().plan(), &mut known);
    Ok(())
}

/// Prints the pipelines of a plan that are not known yet: name and constants.
fn print(plan: &Plan, known: &mut HashSet<String>) {
    let dispatches = plan.steps.iter().flat_map(|step| &step.dispatches).chain(&plan.prepack.kernels);
    for (Dispatch { shader, half, entry, constants, .. }, _) in dispatches {
        let constants: Vec<String> = constants.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        let half = if *half && shader.has_act() { " f16" } else { "" };
        let line = format!("{}.{entry}{half}{}", shader.stem, constants.concat());
        if known.insert(line.clone()) {
            println!("{line}");
        }
    }
}
