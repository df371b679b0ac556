//! Measures what a network costs on a device: time, by operator too, memory, and the share of the device's peak; after
//! its answer was checked.
//!
//! Inputs are a formula ([`picture`]), so that other implementations can be fed the same and their answers compared.

use crate::error::{Error, Result};
use crate::exec::{CpuExecutor, Device, Executor};
use crate::filters::Filter;
use crate::fit::{Cut, CutGraph};
use crate::gpu::{Command, Gpu};
use crate::graph::Value;
use crate::kernel::{Dispatch, Grid, Operand, RunParams, Shader};
use crate::lab::dataset::source::Batch;
use crate::lab::train::step::{Settings, Trainer};
use crate::observer::{Observer, Progress, tell};
use crate::ops::Graph;
use crate::plan::{Plan, Step};
use crate::smooth;
use crate::tensor::{Shape, Tensor, worst};
use crate::weights::Weights;
use rayon::prelude::*;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Largest error of a smoothed picture, relative to its largest value, f32 against f64.
pub const TOLERANCE: f64 = 1e-5;
/// The same of a gradient.
pub const GRADIENT_TOLERANCE: f64 = 1e-4;
/// The same where the way forward is in f16, and activations are rebuilt from what it left: up to 1e-3 on small samples.
pub const HALF_GRADIENT_TOLERANCE: f64 = 1e-2;
/// Multiply-accumulates that the check in f64 may take: about a second on two cores.
const CHECK_MACS: u64 = 60_000_000_000;
/// Warm-up, the run with the answer included, lasts at least so long: clocks rise, kernels are compiled.
const WARM_UP: Duration = Duration::from_millis(500);
/// Profiled runs, at most as many as timed ones, of which each operator's median is taken.
const PROFILES: usize = 3;

/// A device's answer to the inputs of [`picture`] without noise, for comparisons with other implementations.
#[derive(Clone, Debug, Serialize)]
pub enum Answer {
    /// Values of the smoothed picture, before the clip, from index 0 on in steps of [`SAMPLE_STRIDE`].
    Samples(Vec<f32>),
    /// Of the first step.
    Step {
        /// Loss of the batch.
        loss: f32,
        /// Norm of the gradient.
        gradient_norm: f32,
    },
}

/// From one value of [`Answer::Samples`] to the next; coprime to all usual widths.
pub const SAMPLE_STRIDE: usize = 599;

/// Milliseconds of some runs.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Fastest.
    pub min: f64,
    /// Slowest.
    pub max: f64,
    /// All, in order.
    pub all: Vec<f64>,
}

impl Spread {
    fn of(all: Vec<f64>) -> Spread {
        let mut ms = all.clone();
        ms.sort_by(f64::total_cmp);
        Spread { median: median(&ms), min: ms[0], max: ms[ms.len() - 1], all }
    }
}

fn median(sorted: &[f64]) -> f64 {
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Steps of one kind together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cost {
    /// Operator, or operator and layer.
    pub name: String,
    /// Steps.
    pub calls: usize,
    /// Kernels that they run, on a GPU.
    pub kernels: usize,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of the operands, each read or written once.
    pub bytes: u64,
    /// Milliseconds, where they could be measured.
    pub ms: Option<f64>,
}

impl Cost {
    /// Billions of floating-point operations (two a multiply-accumulate) a second.
    pub fn gflops(&self) -> Option<f64> {
        self.ms.filter(|ms| *ms > 0.0).map(|ms| 2.0 * self.macs as f64 / ms / 1e6)
    }

    /// Billions of bytes a second.
    pub fn bandwidth(&self) -> Option<f64> {
        self.ms.filter(|ms| *ms > 0.0).map(|ms| self.bytes as f64 / ms / 1e6)
    }
}

/// How the check went.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The values that were compared with the CPU in f64.
    pub what: String,
    /// Largest error, relative to the largest value; of a filter the mean.
    pub error: f64,
    /// Largest that passes.
    pub tolerance: f64,
}

/// The measurements.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The check that came before.
    pub check: Check,
    /// The answer at the size that was timed.
    pub answer: Answer,
    /// Timed runs, after warm-up.
    pub runs: usize,
    /// Milliseconds of a run on data that is on the device; of a training step, with its batch's way there.
    pub run: Spread,
    /// Milliseconds of a run, with the picture's way to the device and back.
    pub with_transfer: Option<Spread>,
    /// Milliseconds of the CPU to record and submit a run; on a GPU.
    pub submit: Option<Spread>,
    /// Milliseconds of the CPU to record a run alone: a software driver may run it before it returns from submitting.
    pub record: Option<Spread>,
    /// Passes that a run is recorded into, each a submission; on a GPU.
    pub passes: Option<usize>,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Operations of a run as the paper's Table 2 counts.
    pub paper_count: u64,
    /// Bytes that the plan asks for.
    pub planned_bytes: u64,
    /// Bytes allocated for it.
    pub allocated_bytes: u64,
    /// Bytes in buffers of a GPU, with those to read back.
    pub device_bytes: Option<u64>,
    /// Most bytes of the process's memory since the check (Linux).
    pub process_bytes: Option<u64>,
    /// Measured GFLOP/s of multiply-adds in f32, the most that a device gives.
    pub peak_gflops: f64,
    /// The kernel that [`Report::peak_gflops`] was measured with.
    pub peak_of: &'static str,
    /// By operator, the slowest first.
    pub operators: Vec<Cost>,
    /// By operator and layer, all blocks together.
    pub layers: Vec<Cost>,
}

impl Report {
    /// GFLOP/s of a median run.
    pub fn gflops(&self) -> f64 {
        2.0 * self.macs as f64 / self.run.median / 1e6
    }
}

/// A picture without meaning but the same everywhere: value i is (i `step` mod 1000) / 1000.
pub fn picture(shape: Shape, step: usize) -> Tensor {
    Tensor::new(shape, (0..shape.len()).map(|i| (i * step % 1000) as f32 / 1000.0).collect())
}

fn batch(settings: &Settings) -> Batch {
    let shape = Shape::new(settings.batch, 3, settings.crop, settings.crop);
    Batch { input: picture(shape, 7919), target: picture(shape, 7907) }
}

/// Measures smoothing a picture of `h` x `w`, multiples of the network's scale, in one piece, with noise of scale 1.
/// The observer hears what is being done.
///
/// # Errors
/// [`Error::Wrong`] where the answer is wrong; as [`Executor::new`].
pub fn smoothing(
    weights: &Weights,
    device: &Device,
    (h, w): (usize, usize),
    runs: usize,
    observer: &mut dyn Observer,
) -> Result<Report> {
    let weights = &weights.folded();
    let (graph, x, y) = smooth::graph(&weights.network, Shape::new(1, 3, h, w))?;
    let params = graph.params();
    let mut exec = Executor::new(graph, device)?; // first, because it may be too large
    let check = check_smoothing(weights, device, (h, w), observer)?;
    exec.write(params, &weights.params)?;
    let noisy = RunParams { noise_scale: 1.0, ..RunParams::default() };
    pictures(exec, device, (x, y), check, &noisy, runs, observer)
}

/// Measures a classical filter on a picture of `h` x `w`, in one piece, after comparing it with f64 on a smaller one.
///
/// # Errors
/// As [`smoothing`].
pub fn filter(
    filter: &Filter,
    device: &Device,
    (h, w): (usize, usize),
    runs: usize,
    observer: &mut dyn Observer,
) -> Result<Report> {
    let made = |h, w| Cut::WHOLE.graph(filter, Shape::new(1, 3, h, w));
    let CutGraph { graph, x, y, .. } = made(h, w)?;
    let exec = Executor::new(graph, device)?;
    let (small_h, small_w) = (h.min(FILTER_CHECK.0), w.min(FILTER_CHECK.1));
    let what = format!("the smoothed picture of {small_w}x{small_h}, on average");
    tell(observer, Progress::Measuring { what: &format!("checking against f64 at {small_w}x{small_h}") })?;
    let small = made(small_h, small_w)?;
    let data = picture(Shape::new(1, 3, small_h, small_w), 7919).data;
    let mut oracle = CpuExecutor::<f64>::new(small.graph.clone())?;
    widen(oracle.get_mut(small.x[0]), &data);
    oracle.run(&RunParams::default());
    let mut checked = Executor::new(small.graph, device)?;
    checked.poison()?;
    checked.write(small.x[0], &data)?;
    checked.run(&RunParams::default())?;
    // Not the largest error: filters that decide pixel by pixel may decide otherwise for a few.
    let (got, want) = (checked.read(small.y[0])?, oracle.get(small.y[0]));
    let error = got.iter().zip(want).map(|(got, want)| (f64::from(*got) - want).abs()).sum::<f64>() / want.len() as f64;
    let check = Check::passed(what, error, TOLERANCE)?;
    pictures(exec, device, (x[0], y[0]), check, &RunParams::default(), runs, observer)
}

/// Rows and columns of the picture by which a filter is checked.
const FILTER_CHECK: (usize, usize) = (96, 128);

/// Measures runs on [`picture`], written to x and read from y.
fn pictures(
    mut exec: Executor,
    device: &Device,
    (x, y): (Value, Value),
    check: Check,
    run_params: &RunParams,
    runs: usize,
    observer: &mut dyn Observer,
) -> Result<Report> {
    reset_process_peak();
    tell(observer, Progress::Measuring { what: "warming up" })?;
    let data = picture(exec.shape(x), 7919).data;
    exec.write(x, &data)?;
    let start = Instant::now();
    exec.run(&RunParams::default())?;
    let answer = Answer::Samples(exec.read(y)?.into_iter().step_by(SAMPLE_STRIDE).collect());
    warm_up(start, || exec.run(run_params).and_then(|()| exec.wait()))?;
    let (mut run, mut whole, mut submit, mut record) = (vec![], vec![], vec![], vec![]);
    for i in 0..runs {
        tell(observer, Progress::Measuring { what: &format!("run {} of {runs}", i + 1) })?;
        let start = Instant::now();
        exec.write(x, &data)?;
        exec.wait()?;
        let written = Instant::now();
        exec.run(run_params)?;
        submit.push(ms(written));
        exec.wait()?;
        run.push(ms(written));
        exec.read(y)?;
        whole.push(ms(start));
        if let Executor::Gpu(exec) = &exec {
            let start = Instant::now();
            exec.encode()?;
            record.push(ms(start));
        }
    }
    let on_gpu = |times| matches!(device, Device::Gpu(_)).then_some(times);
    let times = Times { run, whole: Some(whole), submit: on_gpu(submit), record: on_gpu(record) };
    times.report(device, check, answer, &mut exec, run_params, observer)
}

/// Measures training steps from `weights`.
///
/// # Errors
/// As [`smoothing`].
pub fn training(
    weights: &Weights,
    device: &Device,
    settings: &Settings,
    runs: usize,
    observer: &mut dyn Observer,
) -> Result<Report> {
    // Without noise: it costs nothing in comparison, and other implementations get the same loss.
    let settings = &Settings { noise: 0.0, ..settings.clone() };
    let check = check_training(weights, device, settings, observer)?;
    reset_process_peak();
    tell(observer, Progress::Measuring { what: "warming up" })?;
    let mut trainer = Trainer::new(&weights.network, settings, &weights.params, device)?;
    let batch = batch(settings);
    let start = Instant::now();
    let first = trainer.step(&batch)?;
    let answer = Answer::Step { loss: first.loss, gradient_norm: first.norm };
    warm_up(start, || trainer.step(&batch).map(|_| ()))?;
    let mut run = vec![];
    for i in 0..runs {
        tell(observer, Progress::Measuring { what: &format!("step {} of {runs}", i + 1) })?;
        let start = Instant::now();
        trainer.step(&batch)?;
        run.push(ms(start));
    }
    let times = Times { run, whole: None, submit: None, record: None };
    times.report(device, check, answer, trainer.executor(), &RunParams::default(), observer)
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn warm_up(start: Instant, mut run: impl FnMut() -> Result<()>) -> Result<()> {
    while start.elapsed() < WARM_UP {
        run()?;
    }
    Ok(())
}

/// Milliseconds of each run.
struct Times {
    run: Vec<f64>,
    whole: Option<Vec<f64>>,
    submit: Option<Vec<f64>>,
    record: Option<Vec<f64>>,
}

impl Times {
    fn report(
        self,
        device: &Device,
        check: Check,
        answer: Answer,
        exec: &mut Executor,
        run_params: &RunParams,
        observer: &mut dyn Observer,
    ) -> Result<Report> {
        // Before the profile and the peak ask for more.
        let (allocated_bytes, process_bytes) = (exec.allocated_bytes(), process_peak());
        let device_bytes = match device {
            Device::Cpu => None,
            Device::Gpu(gpu) => Some(gpu.allocated()),
        };
        tell(observer, Progress::Measuring { what: "timing operators" })?;
        let profiles: Option<Vec<Vec<f64>>> =
            (0..PROFILES.min(self.run.len())).map(|_| exec.profile(run_params)).collect::<Result<_>>()?;
        let seconds = profiles.map(|profiles| {
            let of_step = |i: usize| {
                let mut times: Vec<f64> = profiles.iter().map(|p| p[i]).collect();
                times.sort_by(f64::total_cmp);
                median(&times)
            };
            (0..profiles[0].len()).map(of_step).collect::<Vec<f64>>()
        });
        tell(observer, Progress::Measuring { what: "measuring the device's peak" })?;
        let (peak_gflops, peak_of) = match device {
            Device::Cpu => (cpu_peak(), "a matrix product on each core"),
            Device::Gpu(gpu) => (gpu_peak(gpu)?, "multiply-adds without memory traffic"),
        };
        let passes = match exec {
            Executor::Cpu(_) => None,
            Executor::Gpu(exec) => Some(exec.passes()),
        };
        let plan = exec.plan();
        Ok(Report {
            check,
            answer,
            runs: self.run.len(),
            run: Spread::of(self.run),
            with_transfer: self.whole.map(Spread::of),
            submit: self.submit.map(Spread::of),
            record: self.record.map(Spread::of),
            passes,
            macs: plan.macs(),
            paper_count: plan.paper_count(),
            planned_bytes: plan.peak_bytes(),
            allocated_bytes,
            device_bytes,
            process_bytes,
            peak_gflops,
            peak_of,
            operators: costs(plan, seconds.as_deref(), |step| step.op.to_string()),
            layers: costs(plan, seconds.as_deref(), |step| format!("{} {}", step.op, layer(&step.name))),
        })
    }
}

/// A layer's name without its block: `g1.conv2` of `blocks.3.g1.conv2`.
fn layer(name: &str) -> &str {
    name.strip_prefix("blocks.").map_or(name, |rest| rest.split_once('.').map_or("", |(_, layer)| layer))
}

/// The steps summed up under their names, the slowest first.
fn costs(plan: &Plan, seconds: Option<&[f64]>, name: impl Fn(&Step) -> String) -> Vec<Cost> {
    let mut costs: Vec<Cost> = vec![];
    for (i, step) in plan.steps.iter().enumerate() {
        let name = name(step);
        let at = costs.iter().position(|cost| cost.name == name).unwrap_or_else(|| {
            costs.push(Cost { name, ms: seconds.map(|_| 0.0), ..Cost::default() });
            costs.len() - 1
        });
        let cost = &mut costs[at];
        cost.calls += 1;
        cost.kernels += step.dispatches.len();
        cost.macs += step.macs;
        cost.bytes +=
            step.inputs.iter().flatten().chain(&step.outputs).map(|place| 4 * place.words() as u64).sum::<u64>();
        if let (Some(ms), Some(seconds)) = (&mut cost.ms, seconds) {
            *ms += seconds[i] * 1e3;
        }
    }
    costs.sort_by(|a, b| b.ms.unwrap_or(0.0).total_cmp(&a.ms.unwrap_or(0.0)).then(b.macs.cmp(&a.macs)));
    costs
}

/// The largest error relative to the largest value; NaN where one is.
pub fn relative_error(got: &[f32], want: &[f64]) -> f64 {
    let largest = want.iter().fold(f64::MIN_POSITIVE, |a, b| a.max(b.abs()));
    worst(got.iter().zip(want).map(|(got, want)| (f64::from(*got) - want).abs() / largest))
}

impl Check {
    fn passed(what: String, error: f64, tolerance: f64) -> Result<Check> {
        if error <= tolerance {
            return Ok(Check { what, error, tolerance });
        }
        Err(Error::Wrong(format!("wrong: {what} differs by {error:.1e} of its largest value; {tolerance:.0e} passes")))
    }
}

fn widen(to: &mut [f64], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = f64::from(*from));
}

/// Compares with f64 at the size asked for, or at the largest half, quarter... of it that is affordable.
///
/// # Errors
/// [`crate::Error::Wrong`] where the error is larger than rounding explains.
pub fn check_smoothing(
    weights: &Weights,
    device: &Device,
    (mut h, mut w): (usize, usize),
    observer: &mut dyn Observer,
) -> Result<Check> {
    let weights = &weights.folded();
    let scale = weights.network.scale();
    let (graph, x, y) = loop {
        let made = smooth::graph(&weights.network, Shape::new(1, 3, h, w))?;
        let affordable = Plan::new(&made.0, Device::Cpu.target())?.macs() <= CHECK_MACS;
        if affordable || (h, w) == (scale, scale) {
            break made;
        }
        [h, w] = [h, w].map(|side| (side / 2).next_multiple_of(scale));
    };
    tell(observer, Progress::Measuring { what: &format!("checking against f64 at {w}x{h}") })?;
    let run_params = RunParams { noise_scale: 1.0, ..RunParams::default() };
    let (params, data) = (graph.params(), picture(Shape::new(1, 3, h, w), 7919).data);
    let mut oracle = CpuExecutor::<f64>::new(graph.clone())?;
    widen(oracle.get_mut(params), &weights.params);
    widen(oracle.get_mut(x), &data);
    oracle.run(&run_params);
    let mut exec = Executor::new(graph, device)?;
    exec.poison()?;
    exec.write(params, &weights.params)?;
    exec.write(x, &data)?;
    exec.run(&run_params)?;
    let error = relative_error(&exec.read(y)?, oracle.get(y));
    let tolerance = match device {
        Device::Gpu(gpu) if gpu.kernels().half() => weights.network.f16_error() / 2048.0,
        _ => TOLERANCE,
    };
    Check::passed(format!("the smoothed picture of {w}x{h}"), error, tolerance)
}

/// Compares the gradient of one small sample with f64.
fn check_training(
    weights: &Weights,
    device: &Device,
    settings: &Settings,
    observer: &mut dyn Observer,
) -> Result<Check> {
    settings.check(&weights.network)?;
    let crop = settings.crop.min(32.max(weights.network.scale()));
    // Unclipped, the first moment after the first step is (1 - beta1) times the gradient.
    let settings = Settings { batch: settings.batch.min(2), crop, clip: f32::MAX, noise: 0.0, ..settings.clone() };
    let batch = batch(&settings);
    tell(
        observer,
        Progress::Measuring {
            what: &format!("checking the gradient against f64 on {} of {crop}x{crop}", settings.batch),
        },
    )?;
    let mut graph = Graph::new(weights.network.layout());
    let shape = batch.input.shape;
    let (x, target) = (graph.input("x", shape), graph.input("target", shape));
    let noise = weights.network.noise_shape(shape).map(|shape| graph.input("noise", shape)); // zero
    let grads = weights.network.training(&mut graph, [x, target], noise, true)?.grads;
    let params = graph.params();
    let mut oracle = CpuExecutor::<f64>::new(graph)?;
    widen(oracle.get_mut(params), &weights.params);
    widen(oracle.get_mut(x), &batch.input.data);
    widen(oracle.get_mut(target), &batch.target.data);
    oracle.run(&RunParams::default());
    let mut trainer = Trainer::new(&weights.network, &settings, &weights.params, device)?;
    trainer.step(&batch)?;
    let [m, _] = trainer.moments()?;
    let want: Vec<f64> =
        oracle.get(grads).iter().map(|g| g * (1.0 - crate::ops::adam::Adam::default().beta1)).collect();
    let error = relative_error(&m, &want);
    let half = matches!(device, Device::Gpu(gpu) if gpu.kernels().half());
    let tolerance = if half { HALF_GRADIENT_TOLERANCE } else { GRADIENT_TOLERANCE };
    Check::passed(format!("the gradient of {} samples of {crop}x{crop}", settings.batch), error, tolerance)
}

/// GFLOP/s of `shaders/peak.wgsl`: the fastest of some runs, each long enough to start and end unnoticed.
pub fn gpu_peak(gpu: &Gpu) -> Result<f64> {
    const LEN: usize = 1 << 20;
    let (x, y) = (gpu.buffer("peak x", 4 * LEN as u64)?, gpu.buffer("peak y", 4 * LEN as u64)?);
    let mut best: f64 = 0.0;
    let mut rounds = 1;
    let mut long_enough = 0;
    while long_enough < 10 {
        let command = Command { dispatch: peak_dispatch(LEN, rounds), slices: vec![x.slice(), y.slice()], work: 0 };
        let recorded = gpu.record(&[command])?;
        gpu.wait()?;
        let start = Instant::now();
        recorded.run(gpu, &RunParams::default())?;
        gpu.wait()?;
        let seconds = start.elapsed().as_secs_f64();
        if seconds < 0.02 && rounds < 1 << 20 {
            rounds *= 2;
            continue;
        }
        long_enough += 1;
        best = best.max((LEN * rounds * PEAK_FLOP) as f64 / seconds / 1e9);
    }
    Ok(best)
}

/// Floating-point operations of one round of one invocation: 16 chains, 8 steps.
const PEAK_FLOP: usize = 16 * 8 * 2;

/// Multiply-adds that wait for little.
pub static PEAK_SHADER: Shader = Shader::new("peak", include_str!("../../shaders/peak.wgsl"));

/// A run of `shaders/peak.wgsl` on x and y of `len` elements.
pub fn peak_dispatch(len: usize, rounds: usize) -> Dispatch {
    Dispatch {
        shader: &PEAK_SHADER,
        entry: "multiply_add",
        half: false,
        constants: vec![],
        bindings: vec![("x", Operand::Input(0)), ("y", Operand::Output(0))],
        params: vec![("len", len.into()), ("rounds", rounds.into())],
        grid: Grid::Linear(len),
    }
}

/// GFLOP/s of f32 matrix products that fit a core's cache, on all threads at once: the fastest of some runs.
pub fn cpu_peak() -> f64 {
    const SIDE: usize = 256;
    const TIMES: usize = 100;
    let threads = rayon::current_num_threads();
    let mut work: Vec<[Vec<f32>; 3]> = (0..threads).map(|_| [0.5, 0.25, 0.0].map(|v| vec![v; SIDE * SIDE])).collect();
    let seconds = (0..5).map(|_| {
        let start = Instant::now();
        work.par_iter_mut().for_each(|[a, b, c]| {
            for _ in 0..TIMES {
                product(SIDE, a, b, c);
            }
        });
        start.elapsed().as_secs_f64()
    });
    let best = seconds.fold(f64::INFINITY, f64::min);
    (threads * TIMES * 2 * SIDE.pow(3)) as f64 / best / 1e9
}

/// c = a b, all of `side` x `side`.
fn product(side: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    assert!([a.len(), b.len(), c.len()] == [side * side; 3]);
    let (row, column) = (side as isize, 1);
    // SAFETY: the three matrices have side * side elements each, and c is borrowed alone.
    unsafe {
        gemm::gemm(
            side,
            side,
            side,
            c.as_mut_ptr(),
            column,
            row,
            false,
            a.as_ptr(),
            column,
            row,
            b.as_ptr(),
            column,
            row,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Forgets the process's largest memory so far, where the system lets it (Linux).
fn reset_process_peak() {
    // A failure leaves the figure too large, with the check's memory in it.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The process's largest memory since then.
fn process_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}
