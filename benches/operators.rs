//! Time of every operator, of a subnet and of the whole network on each device that there is: `cargo bench`.
//!
//! Layers, subnet and network are checked against the CPU in f64 before they are timed; operators, which get what they
//! would see in a training step, against the CPU in f32. `sasnet bench` times operators within a run.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sasnet::Filter;
use sasnet::lab::bench;
use sasnet::lab::train::step::{Optimizer, descend};
use sasnet::low_level::exec::{CpuExecutor, Device, Executor};
use sasnet::low_level::fit::Cut;
use sasnet::low_level::graph::{Layout, Value};
use sasnet::low_level::kernel::RunParams;
use sasnet::low_level::net::{Latent, Network, Sasnet, Sizes, Unet, residual};
use sasnet::low_level::ops::{
    Graph, Operator, SHADERS, average::Average, conv3x3::Conv3x3, grad_norm::GradNorm, noise::Noise,
};
use sasnet::low_level::tensor::Shape;
use sasnet::low_level::weights::Weights;
use std::collections::BTreeSet;
use std::time::Duration;

struct Case {
    name: &'static str,
    config: Network,
    graph: Graph,
    input: Value,
    output: Value,
}

/// One subnet g, and the network, on a picture of 256x192 and 512x384.
fn cases() -> Vec<Case> {
    let subnet = Network::from(Sasnet::new(&[1], 64).unwrap());
    let mut g = Graph::new(subnet.layout());
    let x = g.input("x", Shape::new(1, 3, 192, 256));
    let y = residual::residual(&mut g, "blocks.0.g2", x).expect("the subnet's shapes fit");
    g.output(y);
    let mut cases = vec![Case { name: "subnet 3-64-9, 256x192", config: subnet, graph: g, input: x, output: y }];
    for (name, config) in
        [("shipped model, 512x384", Weights::builtin().network), ("full network, 512x384", Network::default())]
    {
        let (graph, input, output) =
            sasnet::low_level::smooth::graph(&config, Shape::new(1, 3, 384, 512)).expect("the network's shapes fit");
        cases.push(Case { name, config, graph, input, output });
    }
    cases
}

fn devices() -> Vec<Device> {
    let gpu = sasnet::low_level::gpu::list_adapters();
    let gpu = gpu.first().map(|a| Device::open(Some(&a.0.name)).expect("a listed adapter opens"));
    std::iter::once(Device::Cpu).chain(gpu).collect()
}

/// A training step of two blocks with 64 features on 256x192, smoothing that in slabs, training steps of a U-net with 32
/// features and of the narrow deep methods that the paper compares with, and the classical filters, with few steps: every
/// operator's operands.
fn uses() -> Vec<(Graph, CpuExecutor<f32>)> {
    let config = Network::from(Sasnet::new(&[2], 64).unwrap());
    let keep = Network::from(Sasnet::new(&[2], 64).expect("it is in range").with_latent(Latent::Keep));
    let unet = Network::from(Unet::new(32, true).unwrap());
    let shape = Shape::new(1, 3, 192, 256);

    let step = |config: &Network| {
        let mut step = Graph::new(config.layout());
        let [x, target] = ["x", "target"].map(|name| step.input(name, shape));
        let noise = config.noise_shape(shape).map(|shape| Noise { shape, first_row: 0, first_image: 0 });
        let noise = noise.map(|noise| step.apply1("noise", noise, &[]).expect("noise has a shape"));
        let pass = config.training(&mut step, [x, target], noise, true).expect("the network's shapes fit");
        let clip = step.apply1("clip", GradNorm, &[pass.grads]).expect("shapes fit");
        let [params, ..] = descend(&mut step, Optimizer::Muon, [pass.grads, clip]).expect("shapes fit");
        let average = step.persistent_like_params("average");
        step.apply_in_place("average", Average, &[params], &[average]).expect("shapes fit");
        step
    };

    let slabs = Cut { count: 2, keep_features: true }.graph(&config, shape).expect("the network's shapes fit").graph;
    let rival = |name| Network::build(name, &rival_sizes(name)).expect("the sizes are in range");
    let rivals = ["resnet", "jessnet", "drf", "deaf"].map(rival);
    let filter = |name| {
        let few = |filter: Filter| filter.clone().with("iterations", 2).unwrap_or(filter);
        let filter = few(Filter::new(name).expect("it is one of them"));
        Cut::WHOLE.graph(&filter, shape).expect("any shape").graph
    };
    let mut all = vec![(step(&keep), &keep), (slabs, &config), (step(&unet), &unet)];
    all.extend(rivals.iter().map(|rival| (step(rival), rival)));
    // Without parameters: whose are given does not count.
    all.extend(Filter::methods().iter().map(|method| (filter(method.name), &config)));
    let values = |(mut graph, config): (Graph, &Network)| {
        let all: Vec<Value> = graph.nodes().iter().flat_map(|node| node.outputs.clone()).collect();
        let inputs = graph.inputs().to_vec();
        all.into_iter().chain(inputs.clone()).for_each(|value| graph.output(value));
        let mut exec = CpuExecutor::<f32>::new(graph.clone()).expect("all values fit");
        let params = Weights::initial(config, 1).params;
        exec.get_mut(graph.params()).iter_mut().zip(params).for_each(|(to, from)| *to = from);
        for (i, input) in inputs.into_iter().enumerate() {
            exec.get_mut(input).copy_from_slice(&bench::picture(graph.shape(input), 7919 - 12 * i).data);
        }
        exec.run(&RunParams { noise_scale: 1.0, ..RunParams::default() });
        (graph, exec)
    };
    all.into_iter().map(values).collect()
}

/// Narrow and shallow.
fn rival_sizes(name: &str) -> Sizes {
    let blocks = match name {
        "resnet" => Some(vec![1]),
        "jessnet" => Some(vec![1; 3]),
        _ => None,
    };
    let mut sizes = Sizes::default();
    (sizes.blocks, sizes.features) = (blocks, Some(16));
    sizes
}

/// The shader whose operators are not timed alone: a step of conjugate gradients is one of a state that the steps before
/// made. `sasnet bench --method rtv` times it.
const UNTIMED: &str = "pcg";

/// Every operator with every shape of a training step, and what the others need beside.
fn operators(c: &mut Criterion) {
    let uses = uses();
    let devices = devices();
    let mut seen = BTreeSet::new();
    for (step, values, node) in uses.iter().flat_map(|(g, exec)| g.nodes().iter().map(move |node| (g, exec, node))) {
        // The others repeat what the first needs, in other sizes.
        let new = |name: &String| !seen.iter().any(|s: &String| s.split(' ').next() == name.split(' ').next());
        let shapes: Vec<Shape> = node.inputs.iter().map(|v| step.shape(*v)).collect();
        let name = format!("{} {shapes:?}", node.op.name());
        let whole = std::ptr::eq(step, &uses[0].0);
        let skipped = node.op.name().starts_with(UNTIMED);
        if skipped || !(whole || new(&name)) || !seen.insert(name.clone()) {
            continue;
        }
        let mut graph = Graph::new(Layout::default());
        let inputs: Vec<Value> = shapes.iter().map(|shape| graph.input("input", *shape)).collect();
        let updates: Vec<Value> = node.updates.iter().map(|v| graph.persistent("updated", step.shape(*v))).collect();
        let outputs =
            graph.apply_in_place("bench", node.op.clone(), &inputs, &updates).expect("shapes of the training step");
        outputs.iter().for_each(|value| graph.output(*value));
        let run_params = RunParams { noise_scale: 1.0, ..RunParams::default() };
        let mut group = c.benchmark_group(name.clone());
        group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
        for device in &devices {
            let mut exec = Executor::new(graph.clone(), device).expect("an operator fits");
            for (value, from) in inputs.iter().zip(&node.inputs) {
                exec.write(*value, values.get(*from)).expect("inputs are written");
            }
            exec.run(&run_params).expect("the operator runs");
            // The first output: what attention keeps beside it are partly indices, bits in f32.
            for (value, of) in outputs.iter().zip(&node.outputs).take(1) {
                let want: Vec<f64> = values.get(*of).iter().map(|v| f64::from(*v)).collect();
                let error = bench::relative_error(&exec.read(*value).expect("outputs are read"), &want);
                assert!(error < 1e-4, "{name} on {}: relative error {error:.1e}", device.describe());
            }
            group.throughput(Throughput::Elements(2 * exec.plan().macs()));
            group.bench_function(device.describe(), |b| {
                b.iter(|| {
                    exec.run(&run_params).expect("the operator runs");
                    exec.wait().expect("the device works");
                });
            });
        }
    }
    // Other kernels of the convolution are timed where the device chooses them.
    for stem in SHADERS.iter().map(|shader| shader.stem).filter(|stem| !stem.starts_with("conv3x3_")) {
        let timed = seen.iter().any(|name| name.split(['.', ' ']).next() == Some(stem));
        assert!(timed != (stem == UNTIMED), "{stem}: timed or not, UNTIMED says the opposite");
    }
}

/// The first convolutions of g2 and g3, which read the same map: each alone, and with the channels of both as one. What
/// the latter could save (`src/plan/fuse.rs` says why it is not done).
fn together(c: &mut Criterion) {
    let run_params = RunParams::default();
    let mut group = c.benchmark_group("first convolutions of g2 and g3, 256x192");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for (name, widths) in [("apart", vec![64, 64]), ("as one", vec![128])] {
        let mut layout = Layout::default();
        for (i, features) in widths.iter().enumerate() {
            layout.push(format!("{i}.weight"), &[*features, 3, 3, 3]);
            layout.push(format!("{i}.bias"), &[*features]);
        }
        let mut graph = Graph::new(layout);
        let x = graph.input("x", Shape::new(1, 3, 192, 256));
        let convolve = |i: usize| {
            let [w, b] = ["weight", "bias"].map(|part| graph.param(&format!("{i}.{part}")).expect("just named"));
            let conv = Conv3x3 { slope: Some(residual::LEAKY_SLOPE) };
            let y = graph.apply1("conv1", conv, &[x, w, b]).expect("shapes fit");
            graph.output(y);
            y
        };
        let outputs: Vec<Value> = (0..widths.len()).map(convolve).collect();
        let params = bench::picture(Shape::new(1, 1, 1, graph.layout().len()), 7919).data;
        let picture = bench::picture(graph.shape(x), 7919).data;
        let oracle = oracle(&graph, &params, (x, &picture));
        for device in devices() {
            let mut exec = checked(&device, &oracle, name, &params, (x, &picture), &outputs);
            group.bench_function(format!("{name}, {}", device.describe()), |b| {
                b.iter(|| {
                    exec.run(&run_params).expect("the layer runs");
                    exec.wait().expect("the device works");
                });
            });
        }
    }
}

/// The graph in f64 on the CPU, after a run.
fn oracle(graph: &Graph, params: &[f32], (x, picture): (Value, &[f32])) -> CpuExecutor<f64> {
    let mut oracle = CpuExecutor::<f64>::new(graph.clone()).expect("the oracle fits");
    for (value, from) in [(graph.params(), params), (x, picture)] {
        oracle.get_mut(value).iter_mut().zip(from).for_each(|(to, from)| *to = f64::from(*from));
    }
    oracle.run(&RunParams::default());
    oracle
}

/// The same on a device; panics where its outputs are not the oracle's.
fn checked(
    device: &Device,
    oracle: &CpuExecutor<f64>,
    name: &str,
    params: &[f32],
    (x, picture): (Value, &[f32]),
    outputs: &[Value],
) -> Executor {
    let graph = oracle.graph();
    let mut exec = Executor::new(graph.clone(), device).expect("the graph fits");
    exec.write(graph.params(), params).expect("weights are written");
    exec.write(x, picture).expect("the input is written");
    exec.run(&RunParams::default()).expect("the graph runs");
    for y in outputs {
        let error = bench::relative_error(&exec.read(*y).expect("outputs are read"), oracle.get(*y));
        assert!(error < 1e-5, "{name} on {}: relative error {error:.1e}", device.describe());
    }
    exec
}

fn networks(c: &mut Criterion) {
    let devices = devices();
    for Case { name, config, graph, input, output } in cases() {
        let weights = Weights::initial(&config, 1);
        let x = bench::picture(graph.shape(input), 7919).data;
        let run_params = RunParams::default();
        let oracle = oracle(&graph, &weights.params, (input, &x));
        let mut group = c.benchmark_group(name);
        group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(10));
        for device in &devices {
            let mut exec = checked(device, &oracle, name, &weights.params, (input, &x), &[output]);
            group.throughput(Throughput::ElementsAndBytes {
                elements: 2 * exec.plan().macs(),
                bytes: exec.plan().peak_bytes(),
            });
            group.bench_function(device.describe(), |b| {
                b.iter(|| {
                    exec.write(input, &x).expect("the input is written");
                    exec.run(&run_params).expect("the network runs");
                    exec.read(output).expect("the output is read")
                });
            });
        }
    }
}

criterion_group!(all, operators, together, networks);
criterion_main!(all);
