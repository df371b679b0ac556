//! A few kernels against plain loops in f64. Outputs are NaN before each run.

mod support;

use glam::UVec3;
use sasnet::lab::bench;
use sasnet::low_level::exec::GpuExecutor;
use sasnet::low_level::gpu::{AdapterChoice, Buffer, Command, Gpu, GpuOptions};
use sasnet::low_level::graph::{Layout, Value};
use sasnet::low_level::kernel::{Dispatch, Grid, Kernels, Operand, Param, RunParams, Shader};
use sasnet::low_level::ops::{Graph, add, channel_attention, conv3x3::Conv3x3, noise, spatial_attention};
use sasnet::low_level::tensor::Shape;
use sasnet::low_level::weights::Weights;
use sasnet::wgpu;
use std::sync::Arc;
use support::gpu;

/// Numbers in [-1, 1).
fn random(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9).wrapping_add(12345);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

struct Kernel<'a> {
    name: (&'static Shader, &'static str),
    constants: &'a [(&'static str, f64)],
    params: &'a [(&'static str, Param)],
    inputs: &'a [(&'static str, &'a [f32])],
    outputs: &'a [(&'static str, usize)],
    grid: Grid,
}

impl Kernel<'_> {
    fn command(&self, gpu: &Gpu) -> Command {
        let buffers = (self.inputs.iter().map(|(_, data)| data.to_vec()))
            .chain(self.outputs.iter().map(|(_, len)| vec![f32::NAN; *len]));
        let slices = buffers
            .map(|data| {
                let slice = gpu.buffer("test", data.len() as u64 * 4).unwrap().slice();
                gpu.write(&slice, &data).unwrap();
                slice
            })
            .collect();
        let names = self.inputs.iter().map(|i| i.0).chain(self.outputs.iter().map(|o| o.0));
        let dispatch = Dispatch {
            shader: self.name.0,
            half: false,
            entry: self.name.1,
            constants: self.constants.to_vec(),
            bindings: names.map(|n| (n, Operand::Input(0))).collect(),
            params: self.params.to_vec(),
            grid: self.grid,
        };
        Command { dispatch, slices, work: 0 }
    }

    fn run(&self, run_params: &RunParams) -> Vec<Vec<f32>> {
        let gpu = gpu();
        let command = self.command(&gpu);
        let outputs = command.slices[self.inputs.len()..].to_vec();
        gpu.record(&[command]).unwrap().run(&gpu, run_params).unwrap();
        gpu.read(&outputs).unwrap()
    }
}

fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1e-6f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*g) - w).abs() / scale;
        assert!(error <= tolerance, "{what}[{i}]: got {g}, want {w}, error {error:e} of the largest");
    }
}

#[derive(Clone, Copy, Debug)]
struct Conv {
    n: usize,
    cx: usize,
    cr: usize,
    co: usize,
    h: usize,
    w: usize,
}

const CONVS: &[Conv] = &[
    Conv { n: 1, cx: 1, cr: 0, co: 1, h: 1, w: 1 },
    Conv { n: 2, cx: 9, cr: 16, co: 3, h: 5, w: 17 },
    Conv { n: 1, cx: 3, cr: 0, co: 9, h: 9, w: 15 },
    Conv { n: 3, cx: 16, cr: 0, co: 18, h: 8, w: 16 },
    Conv { n: 1, cx: 3, cr: 13, co: 45, h: 23, w: 7 },
];

impl Conv {
    fn plane(self) -> usize {
        self.h * self.w
    }

    fn ci(self) -> usize {
        self.cx + self.cr
    }

    /// Calls `f(weight index, input index in x (false) or r (true), output index)` for each product of the convolution.
    fn each_product(self, mut f: impl FnMut(usize, (bool, usize), usize)) {
        let Conv { n, cx, cr, co, h, w } = self;
        for (i, o, row, column) in iterate([n, co, h, w]) {
            let y = ((i * co + o) * h + row) * w + column;
            for (c, ky, kx, _) in iterate([self.ci(), 3, 3, 1]) {
                let (sr, sc) = ((row + ky).wrapping_sub(1), (column + kx).wrapping_sub(1));
                if sr < h && sc < w {
                    let source = if c < cx {
                        (false, ((i * cx + c) * h + sr) * w + sc)
                    } else {
                        (true, ((i * cr + c - cx) * h + sr) * w + sc)
                    };
                    f((o * self.ci() + c) * 9 + ky * 3 + kx, source, y);
                }
            }
        }
    }
}

fn iterate(size: [usize; 4]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let [_, b, c, d] = size;
    (0..size.iter().product()).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

/// Forward and all gradients, as a graph of the one operator with the kernels for GPUs.
#[test]
fn conv3x3() {
    for &s in CONVS {
        let mut graph = Graph::new(Layout::default());
        let maps = [s.cx, s.cr].map(|c| Shape::new(s.n, c, s.h, s.w));
        let shapes =
            [&maps[..if s.cr == 0 { 1 } else { 2 }], &[Shape::new(s.co, s.ci(), 3, 3), Shape::new(1, s.co, 1, 1)]];
        let inputs: Vec<Value> = shapes.concat().iter().map(|shape| graph.input("input", *shape)).collect();
        let y = graph.apply1("conv", Conv3x3 { slope: None }, &inputs).unwrap();
        let dy = graph.input("dy", graph.shape(y));
        let (_, gradients) = graph.vjp(&[(y, Some(dy))], &inputs).unwrap();
        gradients.iter().chain([&y]).for_each(|v| graph.output(*v));
        let shapes: Vec<usize> = inputs.iter().map(|v| graph.shape(*v).len()).collect();
        let exec = GpuExecutor::new(graph, support::gpu_with(Kernels::Gpu)).unwrap();
        exec.poison().unwrap();
        let data: Vec<Vec<f32>> = shapes.iter().zip(1..).map(|(len, seed)| random(*len, seed)).collect();
        let slope = random(s.n * s.co * s.plane(), 5);
        inputs.iter().zip(&data).for_each(|(v, data)| exec.write(*v, data).unwrap());
        exec.write(dy, &slope).unwrap();
        exec.run(&RunParams::default()).unwrap();

        let [x, .., w, b] = &data[..] else { unreachable!("three inputs or four") };
        let mut want: Vec<Vec<f64>> = data.iter().map(|data| vec![0.0; data.len()]).collect();
        let mut out: Vec<f64> = (0..slope.len()).map(|i| f64::from(b[i / s.plane() % s.co])).collect();
        s.each_product(|k, (in_r, at), y| {
            let v = f64::from(if in_r { data[1][at] } else { x[at] });
            let last = want.len() - 2;
            out[y] += f64::from(w[k]) * v;
            want[last][k] += f64::from(slope[y]) * v;
            want[usize::from(in_r)][at] += f64::from(slope[y]) * f64::from(w[k]);
        });
        let db = want.last_mut().expect("db");
        slope.iter().enumerate().for_each(|(i, d)| db[i / s.plane() % s.co] += f64::from(*d));
        assert_close(&format!("y of {s:?}"), &exec.read(y).unwrap(), &out, 1e-6);
        for (i, (d, want)) in gradients.iter().zip(&want).enumerate() {
            assert_close(&format!("gradient {i} of {s:?}"), &exec.read(*d).unwrap(), want, 2e-6);
        }
    }
}

#[test]
fn the_first_of_equal_maxima_wins() {
    // Planes of 1, fewer and more pixels than a workgroup has invocations; few values, so that most maxima are ties.
    for (n, f, h, w) in [(1, 1, 1, 1), (2, 3, 5, 7), (1, 2, 31, 37)] {
        let plane = h * w;
        let r: Vec<f32> = random(n * f * plane, 9).iter().map(|v| (v * 3.0).round() / 3.0 - 2.0).collect();
        let sizes = [("n", n), ("f", f), ("h", h), ("w", w)].map(|(n, v)| (n, Param::from(v)));
        let tiles = [("k", 4), ("th", 0), ("tw", 0), ("pixels", plane)].map(|(n, v)| (n, Param::from(v)));
        let channel = Kernel {
            name: (&channel_attention::SHADER, "argmax_of"),
            constants: &[],
            params: &[sizes, tiles].concat(),
            inputs: &[("r", &r)],
            outputs: &[("argmax", n * f)],
            grid: Grid::Workgroups(UVec3::new(f as u32, n as u32, 1)),
        }
        .run(&RunParams::default());
        let spatial = Kernel {
            name: (&spatial_attention::SHADER, "backward_input"),
            constants: &[],
            params: &[&sizes[..], &[("splits", 1usize.into()), ("k", 0usize.into())]].concat(),
            inputs: &[("r", &r), ("cgate", &vec![1.0; n * f]), ("dstats_in", &vec![1.0; n * 2 * plane])],
            outputs: &[("argmax", n * plane), ("dr", n * f * plane)],
            grid: Grid::Linear(n * plane),
        }
        .run(&RunParams::default());
        for i in 0..n {
            for c in 0..f {
                let at = first_maximum((0..plane).map(|q| r[(i * f + c) * plane + q]));
                assert_eq!(channel[0][i * f + c].to_bits(), at);
            }
            for q in 0..plane {
                let at = first_maximum((0..f).map(|c| r[(i * f + c) * plane + q]));
                assert_eq!(spatial[0][i * plane + q].to_bits(), at);
            }
        }
    }
}

fn first_maximum(values: impl Iterator<Item = f32>) -> u32 {
    let values: Vec<f32> = values.collect();
    let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter().position(|v| *v == max).unwrap() as u32
}

fn philox(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (a, b) = (0xD251_1F53u64 * u64::from(c[0]), 0xCD9E_8D57u64 * u64::from(c[2]));
        c = [(b >> 32) as u32 ^ c[1] ^ k[0], b as u32, (a >> 32) as u32 ^ c[3] ^ k[1], a as u32];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

#[test]
fn noise_is_normal_and_the_same_everywhere() {
    // Known answer of Philox's authors.
    assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    let (n, c, h, w, y0, n0) = (2, 9, 61, 67, 1000, 3);
    let noise = |run_params: &RunParams| {
        let params = [("n", n), ("c", c), ("h", h), ("w", w), ("first_row", y0), ("first_image", n0)]
            .map(|(n, v)| (n, Param::from(v)));
        let kernel = Kernel {
            name: (&noise::SHADER, "noise"),
            constants: &[],
            params: &params,
            inputs: &[],
            outputs: &[("y", n * c * h * w)],
            grid: Grid::Linear(n * c * h * w),
        };
        kernel.run(run_params).remove(0)
    };
    let seed = [0x1234_5678, 0x9abc_def0];
    let got = noise(&RunParams { seed, noise_scale: 1.0, ..Default::default() });
    for (at, (i, channel, row, column)) in iterate([n, c, h, w]).enumerate() {
        let bits = philox([column as u32, (y0 + row) as u32, channel as u32, (n0 + i) as u32], seed);
        let unit = f64::from((bits[0] >> 8) + 1) / (1 << 24) as f64;
        let turn = f64::from(bits[1] >> 8) / (1 << 24) as f64;
        let want = (-2.0 * unit.ln()).sqrt() * (turn * std::f64::consts::TAU).cos();
        let error = (f64::from(got[at]) - want).abs();
        assert!(error <= 1e-6 * want.abs().max(1e-3), "{at}: got {}, want {want}", got[at]);
    }
    let moment = |k: i32| got.iter().map(|v| f64::from(*v).powi(k)).sum::<f64>() / got.len() as f64;
    // Four standard errors of 73,566 samples.
    for (k, want, deviation) in [(1, 0.0, 1.0), (2, 1.0, 2f64.sqrt()), (3, 0.0, 15f64.sqrt()), (4, 3.0, 96f64.sqrt())] {
        let (got, bound) = (moment(k), 4.0 * deviation / (got.len() as f64).sqrt());
        assert!((got - want).abs() < bound, "moment {k}: {got}, want {want} within {bound}");
    }
    assert!(noise(&RunParams { seed, ..Default::default() }).iter().all(|v| *v == 0.0), "scale 0");
}

#[test]
fn memory_is_counted_and_failures_are_errors() {
    let open =
        |name: &str| Gpu::open(&GpuOptions { adapter: AdapterChoice::Named(name.into()), ..GpuOptions::default() });
    let gpu = open("").unwrap();
    assert_eq!(gpu.allocated(), 0);
    let buffer = gpu.buffer("a", 1000).unwrap();
    assert_eq!(gpu.allocated(), 1000);
    drop(buffer);
    assert_eq!(gpu.allocated(), 0);
    let error = gpu.buffer("everything", 1 << 60).unwrap_err().to_string();
    assert!(error.contains("everything"), "{error}");
    assert_eq!(gpu.allocated(), 0);
    let error = open("abacus").err().expect("there is none").to_string();
    assert!(error.contains("abacus") && error.contains("adapters found"), "{error}");
}

/// Each of these sums needs the one before, and counts as the work of a submission.
#[test]
fn a_run_of_several_submissions() {
    let gpu = gpu();
    let buffers = [1.0, 0.0, 0.0, 0.0].map(|v| {
        let slice = gpu.buffer("test", 4 * 300).unwrap().slice();
        gpu.write(&slice, &[v; 300]).unwrap();
        slice
    });
    let sum = Kernel {
        name: (&add::SHADER, "add"),
        constants: &[],
        params: &[("len", Param::U32(300)), ("k", Param::F32(2.0))],
        inputs: &[("a", &[0.0; 300]), ("b", &[0.0; 300])],
        outputs: &[("y", 300)],
        grid: Grid::Linear(300),
    };
    let sum = sum.command(&gpu);
    let slices = |i: usize| [i, i, i + 1].map(|i| buffers[i].clone()).to_vec();
    let commands = [0, 1, 2].map(|i| Command { slices: slices(i), work: 1 << 38, ..sum.clone() });
    let recorded = gpu.record(&commands).unwrap();
    assert_eq!((recorded.passes(&gpu), recorded.len()), (3, 3));
    recorded.run(&gpu, &RunParams::default()).unwrap();
    assert_eq!(gpu.read(&buffers[1..]).unwrap(), [3.0, 9.0, 27.0].map(|v| vec![v; 300]));
    // An observer hears between two, and may end the run there. It may take its time, too: "waiting: no answer" was the
    // result of runs of more than 10 s.
    let clear = || buffers[1..].iter().for_each(|buffer| gpu.write(buffer, &[0.0; 300]).unwrap());
    clear();
    let mut heard = vec![];
    let mut hear = |part: f64| {
        if heard.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(10_100));
        }
        heard.push((3.0 * part).round());
        Ok(())
    };
    recorded.run_observed(&gpu, &RunParams::default(), &mut hear).unwrap();
    assert_eq!(heard, [1.0, 2.0]);
    assert_eq!(gpu.read(&buffers[1..]).unwrap(), [3.0, 9.0, 27.0].map(|v| vec![v; 300]));
    clear();
    let mut stop = |part| if part > 0.5 { Err(sasnet::Error::Cancelled) } else { Ok(()) };
    let stopped = recorded.run_observed(&gpu, &RunParams::default(), &mut stop);
    assert!(matches!(stopped, Err(sasnet::Error::Cancelled)));
    assert_eq!(gpu.read(&buffers[1..]).unwrap(), [3.0, 9.0, 0.0].map(|v| vec![v; 300]));
}

/// The network in a host's own pass, between its own copies, one submission for a frame; new weights come between
/// recording and submitting.
#[test]
fn a_host_records_the_network_into_its_pass() {
    let weights = support::small_weights(&[2], 8, true, 0.5);
    let shape = Shape::new(1, 3, 18, 34);
    let (graph, x, y) = sasnet::low_level::smooth::graph(&weights.network, shape).unwrap();
    let shared = gpu();
    let (device, queue) = (shared.device(), shared.queue());
    let exec = GpuExecutor::new(graph, Arc::new(Gpu::from_device(device.clone(), queue.clone()))).unwrap();
    exec.write(exec.graph().params(), &weights.params).unwrap();
    let size = 4 * shape.len() as u64;
    let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::STORAGE;
    let buffer =
        || device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    let [frame, smoothed] = [(); 2].map(|()| Buffer::from_raw(buffer()));
    let (from, to) = (exec.slice(x).unwrap(), exec.slice(y).unwrap());
    let other = Weights::initial(&weights.network, 9).params;
    for seed in [1, 2, 3] {
        let picture = bench::picture(shape, 7919 - 12 * seed).data;
        let run_params = RunParams { seed: [seed as u32, 0], noise_scale: 0.5, ..RunParams::default() };
        shared.write(&frame.slice(), &picture).unwrap();
        let mut encoder = device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(frame.raw(), 0, from.buffer.raw(), from.offset, size);
        exec.record_into(&run_params, &mut encoder.begin_compute_pass(&Default::default())).unwrap();
        encoder.copy_buffer_to_buffer(to.buffer.raw(), to.offset, smoothed.raw(), 0, size);
        if seed == 2 {
            exec.write(exec.graph().params(), &other).unwrap();
        }
        queue.submit([encoder.finish()]);
        let got = shared.read(&[smoothed.slice()]).unwrap().remove(0);
        exec.write(x, &picture).unwrap();
        exec.run(&run_params).unwrap();
        assert_eq!(got, exec.read(y).unwrap());
        assert!(got.iter().zip(&picture).any(|(y, x)| (y - x).abs() > 1e-3), "the network does something");
    }
}

/// A host may poll the device that it shares with us: then its thread, not ours, can be the one that gets the news that
/// a read is done, and "read back: no answer" was the result where it was interrupted before it passed it on. So many
/// reads met it in about one run of three.
#[test]
fn reads_survive_another_thread_that_polls() {
    let shared = gpu();
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let gpu = Gpu::from_device(shared.device().clone(), shared.queue().clone());
            scope.spawn(move || {
                let slice = gpu.buffer("test", 1024).unwrap().slice();
                for i in 0..6000 {
                    let data = vec![(thread * 6000 + i) as f32; 256];
                    gpu.write(&slice, &data).unwrap();
                    assert_eq!(gpu.read(std::slice::from_ref(&slice)).unwrap()[0], data);
                }
            });
        }
    });
}

/// Around multiples of the divisor, up to the largest quotients and dividends.
#[test]
fn quotients_are_rounded_down() {
    static SHADER: Shader = Shader::new(
        "quotient",
        "@group(0) @binding(2) var<storage, read> a: array<u32>;
         @group(0) @binding(3) var<storage, read> b: array<u32>;
         @group(0) @binding(4) var<storage, read_write> y: array<u32>;
         @compute @workgroup_size(256)
         fn divide(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
             let i = linear_index(gid, groups, 256u);
             if i < arrayLength(&y) { y[i] = quotient(a[i], b[i]); }
         }",
    );
    let mut pairs = vec![];
    for b in (1u32..400).chain([511, 512, 4093, 65_535, 65_537, 1 << 20, (1 << 24) - 1, (1 << 24) + 1, (1 << 30) - 1]) {
        let most = (1u32 << 31) / b - 1;
        let quotients = [0, 1, 2, most / 3, most / 2, most.saturating_sub(1), most].into_iter().filter(|q| *q <= most);
        let near = quotients.flat_map(|q| [q * b, (q * b).saturating_sub(1), q * b + 1, q * b + b / 2, q * b + b - 1]);
        pairs.extend(near.map(|a| (a, b)));
    }
    let bits = |f: fn(&(u32, u32)) -> u32| pairs.iter().map(|pair| f32::from_bits(f(pair))).collect::<Vec<f32>>();
    let kernel = Kernel {
        name: (&SHADER, "divide"),
        constants: &[],
        params: &[],
        inputs: &[("a", &bits(|pair| pair.0)), ("b", &bits(|pair| pair.1))],
        outputs: &[("y", pairs.len())],
        grid: Grid::Linear(pairs.len()),
    };
    for ((a, b), y) in pairs.iter().zip(&kernel.run(&RunParams::default())[0]) {
        assert_eq!(y.to_bits(), a / b, "{a} / {b}");
    }
}
