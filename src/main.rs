//! The command `sasnet`.

#[macro_use]
mod cli;

use clap::{Parser, Subcommand};
use sasnet::Error;
use std::process::ExitCode;

/// Smooth pictures: texture and noise go, structure stays sharp.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Smooth(cli::smooth::Smooth),
    Enhance(cli::applications::Enhance),
    Tonemap(cli::applications::TonemapPictures),
    Abstract(cli::applications::Abstract),
    Edges(cli::applications::Edges),
    Methods(cli::methods::Methods),
    Eval(cli::eval::Eval),
    Tune(cli::tune::Tune),
    Train(Box<cli::train::Train>),
    Synth(cli::synth::Synth),
    Plan(cli::plan::Plan_),
    Weights(cli::weights::Weights_),
    Bench(cli::bench::Bench),
    Shader(cli::shader::Shader_),
    /// List the adapters that --adapter can name, with the kernels for each
    Devices,
    /// Show version, devices, memory and caches, and test each device, to be pasted into a report of a fault
    Doctor,
}

/// Lets threads share two heaps. One of its own for each takes 64 MiB of addresses, which `ulimit -v` counts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn share_heaps() {
    // SAFETY: it sets a number of the allocator, before there is a second thread.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
}

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    share_heaps();
    env_logger::init();
    let result = match Cli::parse().command {
        Command::Smooth(smooth) => smooth.run(),
        Command::Enhance(enhance) => enhance.run(),
        Command::Tonemap(tonemap) => tonemap.run(),
        Command::Abstract(abstraction) => abstraction.run(),
        Command::Edges(edges) => edges.run(),
        Command::Methods(methods) => methods.run(),
        Command::Eval(eval) => eval.run(),
        Command::Tune(tune) => tune.run(),
        Command::Train(train) => train.run(),
        Command::Synth(synth) => synth.run(),
        Command::Plan(plan) => plan.run(),
        Command::Weights(weights) => weights.run(),
        Command::Bench(bench) => bench.run(),
        Command::Shader(shader) => shader.run(),
        Command::Devices => cli::devices::run(),
        Command::Doctor => cli::doctor::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if cli::output::nobody_reads(&error) => ExitCode::SUCCESS,
        Err(Error::Cancelled) => {
            note!("{}", Error::Cancelled);
            ExitCode::from(cli::stop::STOPPED)
        }
        Err(error) => {
            note!("error: {error}{}", cli::hint(&error));
            ExitCode::FAILURE
        }
    }
}
