//! Plans: no two live values share memory, what is planned is what is allocated, and the network costs what the paper
//! says.

mod support;

use proptest::prelude::*;
use sasnet::low_level::exec::{CpuExecutor, Device, Executor};
use sasnet::low_level::fit::{Cut, Subject};
use sasnet::low_level::gpu::Gpu;
use sasnet::low_level::graph::{Layout, Storage, Value};
use sasnet::low_level::kernel::{Dispatch, Kernels, MatrixUnit, Operand, RunParams};
use sasnet::low_level::net::{
    Deaf, Drf, JessNet, Latent, Network, ResNet, Sasnet, Unet, sasnet::downscale, sasnet::upscale,
};
use sasnet::low_level::ops::{
    Graph, adam::Adam, add::Add, add::Scale, channel_attention::ChannelGate, channel_attention::ChannelStats,
    channels::Concat, channels::Split, conv3x3::Conv3x3, coupling::Coupling, exp_scale::ExpScale, gate::Gate,
    grad_norm::GradNorm, haar::Haar, haar_inverse::HaarInverse, noise::Noise, spatial_attention::SpatialGate,
    spatial_attention::SpatialStats,
};
use sasnet::low_level::plan::{Plan, Region, Target};
use sasnet::low_level::tensor::Shape;
use sasnet::{Error, Filter};
use std::sync::Arc;

const fn gpu(kernels: Kernels) -> Target {
    Target::Gpu { max_binding: 1 << 30, kernels }
}

const TARGETS: [Target; 5] = [
    Target::Cpu { threads: 2 },
    gpu(Kernels::Gpu),
    gpu(Kernels::SoftwareSimd),
    gpu(Kernels::GpuF16),
    gpu(Kernels::Matrix(MatrixUnit { side: 16, subgroup_size: 32 })),
];

/// Follows a plan step by step, noting which value each reusable buffer holds. Fails where a node finds another value
/// than the one that it reads, or writes (also scratch) where it reads, or where an output does not last to the end.
fn simulate(graph: &Graph, plan: &Plan) -> Result<(), String> {
    let transient = |v: &&Value| graph.info(**v).storage == Storage::Transient;
    let mut holds: Vec<Option<Value>> = vec![None; plan.buffers.len()];
    let place = |v: Value| -> Result<Region, String> {
        let at = plan.region(v).ok_or(format!("{v:?} has no place"))?;
        let buffer = &plan.buffers[at.buffer];
        let fits = at.len == graph.shape(v).len() && at.offset + at.words() <= buffer.len;
        let right = buffer.persistent != (graph.info(v).storage == Storage::Transient);
        if fits && right { Ok(at) } else { Err(format!("{v:?} lies at {at:?} in {buffer:?}")) }
    };
    packed(plan)?;
    for v in graph.inputs().iter().filter(transient) {
        holds[place(*v)?.buffer] = Some(*v);
        if plan.prepack.upload.is_some_and(|at| Some(at.buffer) == plan.region(*v).map(|at| at.buffer)) {
            return Err(format!("input {v:?} lies where the parameters are written"));
        }
    }
    for (i, (node, step)) in plan.nodes.iter().zip(&plan.steps).enumerate() {
        let at = format!("step {i}, {} {:?}", step.op, step.name);
        let mut taken: Vec<usize> = vec![];
        for (v, location) in node.inputs.iter().zip(&step.inputs) {
            if *location != plan.region(*v) {
                return Err(format!("{at}: {v:?} is read at {location:?}"));
            }
            let Some(location) = location else { continue };
            place(*v)?;
            if transient(&v) && holds[location.buffer] != Some(*v) {
                return Err(format!("{at}: reads {v:?} where {:?} is", holds[location.buffer]));
            }
            taken.push(location.buffer);
        }
        let mut write = |buffer: usize, holder: Option<Value>| {
            if taken.contains(&buffer) {
                return Err(format!("{at}: writes {holder:?} to buffer {buffer}, which is in use"));
            }
            taken.push(buffer);
            holds[buffer] = holder;
            Ok(())
        };
        let written = node.outputs.iter().chain(&node.updates);
        for (v, location) in written.zip(&step.outputs) {
            if *location != place(*v)? {
                return Err(format!("{at}: {v:?} is written at {location:?}"));
            }
            if transient(&v) {
                write(location.buffer, Some(*v))?;
            }
        }
        let operands = step.dispatches.iter().flat_map(|(d, places)| d.bindings.iter().map(|b| b.1).zip(places));
        let mut scratch: Vec<((usize, bool), usize)> = operands
            .filter_map(|(operand, at)| match operand {
                Operand::Scratch(k) => Some(((k, false), at.buffer)),
                // Not made of parameters.
                Operand::Packed(k) if !plan.buffers[at.buffer].persistent => Some(((k, true), at.buffer)),
                _ => None,
            })
            .collect();
        scratch.sort_unstable();
        scratch.dedup();
        scratch.into_iter().try_for_each(|(_, buffer)| write(buffer, None))?;
    }
    let lost =
        graph.outputs().iter().filter(transient).find(|v| place(**v).map(|at| holds[at.buffer]) != Ok(Some(**v)));
    lost.map_or(Ok(()), |v| Err(format!("output {v:?} is overwritten")))
}

/// What lies before the steps: everything packed and copied has a range of its own, and each thing that a step reads of
/// it is there.
fn packed(plan: &Plan) -> Result<(), String> {
    let own = |d: &Dispatch, at: &[Region]| {
        let place = d.bindings.iter().position(|(_, operand)| matches!(operand, Operand::Packed(_)));
        at[place.expect("a binding for what is packed")]
    };
    let copies = plan.prepack.copies.iter().map(|(_, to)| *to);
    let mut made: Vec<Region> = plan.prepack.kernels.iter().map(|(d, at)| own(d, at)).chain(copies).collect();
    made.sort_by_key(|at| at.offset);
    for pair in made.windows(2) {
        if pair[0].buffer != pair[1].buffer || pair[0].offset + pair[0].words() > pair[1].offset {
            return Err(format!("{:?} and {:?} overlap", pair[0], pair[1]));
        }
    }
    let read = plan.steps.iter().flat_map(|s| &s.dispatches).flat_map(|(d, at)| d.bindings.iter().zip(at));
    for ((name, operand), at) in read {
        let before = matches!(operand, Operand::Packed(_)) && plan.buffers[at.buffer].persistent;
        if before && !made.contains(at) {
            return Err(format!("{name} is read at {at:?}, where nothing is packed"));
        }
    }
    Ok(())
}

/// A graph from random numbers: each triple takes an operator and what it reads. Every value that nothing reads is an
/// output with an upstream gradient; the gradients of both inputs and of all parameters follow.
fn random_graph(choices: &[(u8, usize, usize)]) -> Graph {
    let mut layout = Layout::default();
    let params: [(&str, &[usize]); 8] = [
        ("conv.weight", &[4, 4, 3, 3]),
        ("conv.bias", &[4]),
        ("fc1.weight", &[3, 4]),
        ("fc1.bias", &[3]),
        ("fc2.weight", &[4, 3]),
        ("fc2.bias", &[4]),
        ("spatial.weight", &[1, 2, 7, 7]),
        ("spatial.bias", &[1]),
    ];
    params.iter().for_each(|(name, dims)| layout.push((*name).into(), dims));
    let mut g = Graph::new(layout);
    let x = ["x0", "x1"].map(|name| g.input(name, Shape::new(2, 4, 8, 8)));
    let mut values = x.to_vec();
    for (i, &(op, first, second)) in choices.iter().enumerate() {
        let a = values[first % values.len()];
        let shape = g.shape(a);
        let alike: Vec<Value> = values.iter().copied().filter(|v| g.shape(*v) == shape).collect();
        let (b, c) = (alike[second % alike.len()], alike[first % alike.len()]);
        let beside: Vec<Value> =
            values.iter().copied().filter(|v| g.shape(*v).with_c(shape.c) == shape && g.shape(*v).c < 32).collect();
        let name = format!("node {i}");
        let mut param = |name: &str| g.param(name).unwrap();
        let new = match op % 11 {
            0 => g.apply(&name, Scale { k: 0.5 }, &[a]),
            1 => g.apply(&name, Add { beta: 1.0 }, &[a, b]),
            2 => g.apply(&name, Add { beta: -1.0 }, &[a, b]),
            3 => g.apply(&name, Coupling { inverse: second % 2 == 1 }, &[a, b, c]),
            4 if shape.c < 32 && !beside.is_empty() => g.apply(&name, Concat, &[a, beside[second % beside.len()]]),
            5 if shape.c > 1 => g.apply(&name, Split { first: 1 + second % (shape.c - 1) }, &[a]),
            6 if shape.h > 1 && shape.c <= 16 => g.apply(&name, Haar { scale: 0.25 }, &[a]),
            7 if shape.c.is_multiple_of(4) && shape.h < 16 => g.apply(&name, HaarInverse { scale: 1.0 }, &[a]),
            8 if shape.c == 4 => {
                let inputs = [a, param("conv.weight"), param("conv.bias")];
                g.apply(&name, Conv3x3 { slope: Some(0.2) }, &inputs)
            }
            9 if shape.c == 4 => {
                let weights = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"].map(&mut param);
                let [w, b] = ["spatial.weight", "spatial.bias"].map(param);
                let tiles = g.apply1(&name, ChannelStats, &[a]).unwrap();
                let gate = ChannelGate { pixels: shape.plane() };
                let channel_gate = g.apply(&name, gate, &[&[tiles], &weights[..]].concat()).unwrap()[0];
                let stats = g.apply1(&name, SpatialStats, &[a, channel_gate]).unwrap();
                let spatial_gate = g.apply1(&name, SpatialGate, &[stats, w, b]).unwrap();
                g.apply(&name, Gate, &[a, channel_gate, spatial_gate])
            }
            _ => g.apply(&name, ExpScale { sign: 1.0 }, &[a]),
        };
        values.extend(new.unwrap());
    }
    let read: Vec<Value> = g.nodes().iter().flat_map(|node| node.inputs.clone()).collect();
    let leaves: Vec<Value> = values.into_iter().filter(|v| !read.contains(v)).collect();
    let of: Vec<(Value, Option<Value>)> = leaves
        .iter()
        .map(|&y| {
            g.output(y);
            let shape = g.shape(y);
            (y, Some(g.input("dy", shape)))
        })
        .collect();
    let (grads, dx) = g.vjp(&of, &x).unwrap();
    dx.iter().for_each(|v| g.output(*v));
    let norm = g.apply1("norm", GradNorm, &[grads]).unwrap();
    g.output(norm);
    g
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_two_live_values_share_a_buffer(choices in prop::collection::vec(any::<(u8, usize, usize)>(), 1..40)) {
        let graph = random_graph(&choices);
        for target in TARGETS {
            let plan = Plan::new(&graph, target).unwrap();
            prop_assert_eq!(simulate(&graph, &plan), Ok(()));
        }
    }
}

/// The whole network for an image of `shape`; with `train` also loss, gradient (activations stored?), clip and Adam.
fn network(config: &Network, shape: Shape, train: Option<bool>) -> Graph {
    let mut g = Graph::new(config.layout());
    let x = g.input("x", shape);
    let Some(store_activations) = train else {
        let y = config.smooth(&mut g, &[x], true).unwrap()[0];
        g.output(y);
        return g;
    };
    let target = g.input("target", shape);
    let noise = config
        .noise_shape(shape)
        .map(|shape| g.apply1("noise", Noise { shape, first_row: 0, first_image: 0 }, &[]).unwrap());
    let pass = config.training(&mut g, [x, target], noise, store_activations).unwrap();
    let [m, v] = ["m", "v"].map(|name| g.persistent_like_params(name));
    let clip = g.apply1("clip", GradNorm, &[pass.grads]).unwrap();
    let params = g.params();
    g.apply_in_place("adam", Adam::default(), &[pass.grads, clip], &[params, m, v]).unwrap();
    g
}

fn networks() -> impl Iterator<Item = Graph> {
    let unets = [false, true].into_iter().flat_map(|skips| {
        let config = Network::from(Unet::new(3, skips).unwrap());
        [None, Some(true)].map(|train| network(&config, Shape::new(2, 3, 16, 48), train))
    });
    let configs = [(vec![2], 8, true), (vec![3], 5, false), (vec![1, 2], 4, true), (vec![1, 1, 1], 4, true)];
    let sasnets = configs.into_iter().flat_map(|(blocks, features, attention)| {
        let config = Sasnet::new(&blocks, features).unwrap().with_attention(attention);
        let scale = 1 << blocks.len();
        let shape = Shape::new(2, 3, 3 * scale, 5 * scale);
        Latent::ALL.into_iter().flat_map(move |latent| {
            let config = Network::from(config.clone().with_latent(latent));
            [None, Some(false), Some(true)].map(|train| network(&config, shape, train))
        })
    });
    let deep: [(Network, usize); 4] = [
        (ResNet::new(2, 3).unwrap().into(), 1),
        (JessNet::new([1, 2, 1], 3).unwrap().into(), 1),
        (Drf::new(2).unwrap().into(), 16),
        (Deaf::new(4, 168.0).unwrap().into(), 1),
    ];
    let deep = deep.into_iter().flat_map(|(config, scale)| {
        let shape = Shape::new(2, 3, if scale == 1 { 83 } else { 32 }, 48);
        [network(&config.folded(), shape, None), network(&config, Shape { h: 16, ..shape }, Some(true))]
    });
    sasnets.chain(unets).chain(deep)
}

/// All classical filters, those that take slabs also in three.
fn filters() -> impl Iterator<Item = Graph> {
    Filter::methods().iter().flat_map(|method| {
        let filter = Filter::new(method.name).unwrap();
        let shape = Shape::new(1, 3, 150, 11);
        let counts = if filter.slabs(shape).0 > 1 { &[1, 3][..] } else { &[1] };
        let cuts = counts.iter().map(|&count| Cut { count, keep_features: true });
        cuts.map(|cut| cut.graph(&filter, shape).unwrap().graph).collect::<Vec<Graph>>()
    })
}

#[test]
fn no_two_live_values_of_the_network_share_a_buffer() {
    let paper = [false, true].map(|store| network(&Network::default(), Shape::new(1, 3, 64, 64), Some(store)));
    for graph in networks().chain(paper).chain(filters()) {
        for target in TARGETS {
            assert_eq!(simulate(&graph, &Plan::new(&graph, target).unwrap()), Ok(()));
        }
    }
}

/// The simulation would notice.
#[test]
fn a_shared_buffer_is_noticed() {
    let graph = network(&Network::from(Sasnet::new(&[1], 4).unwrap()), Shape::new(1, 3, 6, 10), Some(false));
    let plan = Plan::new(&graph, TARGETS[1]).unwrap();
    let reusable = |at: &Region| !plan.buffers[at.buffer].persistent;
    let mut places: Vec<Region> = plan.regions.iter().flatten().copied().filter(reusable).collect();
    places.sort_by_key(|at| at.buffer);
    places.dedup_by_key(|at| at.buffer);
    assert!(places.len() > 5, "{} reusable buffers", places.len());
    for (a, b) in places.iter().zip(&places[1..]) {
        // Everything that lies in one buffer is put into another.
        let mut shared = plan.clone();
        let shift = |at: &mut Region| {
            if at.buffer == b.buffer {
                at.buffer = a.buffer;
            }
        };
        shared.buffers[a.buffer].len = shared.buffers[a.buffer].len.max(shared.buffers[b.buffer].len);
        shared.regions.iter_mut().flatten().for_each(shift);
        for step in &mut shared.steps {
            step.inputs.iter_mut().flatten().chain(&mut step.outputs).for_each(shift);
            step.dispatches.iter_mut().flat_map(|(_, places)| places).for_each(shift);
        }
        assert!(simulate(&graph, &shared).is_err(), "buffers {} and {}", a.buffer, b.buffer);
    }
}

#[test]
fn planned_bytes_are_allocated_bytes() {
    let shared = support::gpu();
    // A graph without parameters, too.
    let mut plain = Graph::new(Layout::default());
    let x = plain.input("x", Shape::new(1, 3, 5, 7));
    let y = plain.apply1("scale", Scale { k: 2.0 }, &[x]).unwrap();
    plain.output(y);
    for graph in networks().chain(filters()).chain([plain]) {
        let exec = CpuExecutor::<f64>::new(graph.clone()).unwrap();
        assert_eq!(exec.plan().peak_bytes(), exec.allocated_bytes(), "CPU, f64");
        // The same device, with a count of its own.
        let gpu = Arc::new(Gpu::from_device(shared.device().clone(), shared.queue().clone()));
        // What says whether an iteration is done is read back through a buffer that the device keeps.
        let repeats = exec.plan().steps.iter().filter_map(|step| step.repeat);
        let read_back = repeats.map(|repeat| 4 * repeat.running.len as u64).max().unwrap_or(0);
        for device in [Device::Cpu, Device::Gpu(gpu.clone())] {
            let mut exec = Executor::new(graph.clone(), &device).unwrap();
            let planned = exec.plan().peak_bytes();
            exec.run(&RunParams::default()).unwrap();
            assert_eq!(planned, exec.allocated_bytes(), "{}", device.describe());
            if let Device::Gpu(gpu) = &device {
                assert_eq!(planned + read_back, gpu.allocated(), "counted by the device");
            }
        }
        assert_eq!(gpu.allocated(), read_back, "all else is given back");
    }
}

/// Table 2's 208.2 GMAC for 512 x 384, and 209.12 G as the paper counts, of which convolutions, biases, activations and
/// spatial gates are 209.11.
#[test]
fn the_network_costs_what_the_paper_says() {
    let (config, paper) = (Network::default(), Sasnet::default());
    let (shape, pixels) = (Shape::new(1, 3, 384, 512), 192 * 256);
    let mut g = Graph::new(config.layout());
    let x = g.input("x", shape);
    let (y_cor, z) = downscale(&mut g, &paper, x, true).unwrap();
    let y = upscale(&mut g, &paper, y_cor, z).unwrap();
    g.output(y);
    // Of each image and subnet: both layers of the channel gate, for mean and maximum.
    let gate = 2 * 2 * 64 * 4;
    for target in TARGETS {
        let plan = Plan::new(&g, target).unwrap();
        assert_eq!(plan.macs(), 32 * (pixels * (132_057 + 294) + 3 * gate));
        assert_eq!(plan.paper_count() - plan.macs(), 32 * pixels * (405 + 192 + 3));
        let giga = |count: u64, digits| format!("{:.digits$}", count as f64 / 1e9);
        assert_eq!((giga(plan.macs(), 1), giga(plan.macs(), 2)), ("208.2".into(), "208.17".into()));
        assert_eq!((giga(plan.paper_count(), 1), giga(plan.paper_count(), 2)), ("209.1".into(), "209.11".into()));
        // Without z the last block's g2 and g3 are not computed.
        let smooth = Plan::new(&network(&config, shape, None), target).unwrap();
        let subnet = pixels * (9 * (3 * 64 + 64 * 64 + 67 * 9) + 98) + gate;
        assert_eq!(plan.macs() - smooth.macs(), 2 * subnet);
    }
}

/// Bytes for the full network on 512 x 384, weights included.
#[test]
fn memory_stays_within_its_budget() {
    let graph = network(&Network::default(), Shape::new(1, 3, 384, 512), None);
    for (target, most) in TARGETS[1..].iter().zip([48, 48, 30, 30]) {
        let bytes = Plan::new(&graph, *target).unwrap().peak_bytes();
        assert!(bytes <= most * 1_000_000, "{target:?}: {bytes} bytes");
    }
}

/// A GPU's convolutions do what follows a subnet, but where gradients need their outputs. Of two blocks: on the way
/// down two sums and, as z is not kept, one scale and one coupling; on the way up two of each.
#[test]
fn what_follows_a_subnet_is_done_by_its_convolution() {
    let config = Network::from(Sasnet::new(&[2], 8).unwrap());
    let graph = |train| network(&config, Shape::new(1, 3, 16, 16), train);
    let count = |graph: &Graph, target| {
        let plan = Plan::new(graph, target).unwrap();
        let follows = |op: &str| ["add", "exp_scale", "coupling.forward", "coupling.inverse"].contains(&op);
        plan.steps.iter().filter(|step| follows(step.op)).count()
    };
    assert_eq!(count(&graph(None), TARGETS[0]), 10);
    for target in &TARGETS[1..] {
        assert_eq!(count(&graph(None), *target), 0, "{target:?}");
        let stored = graph(Some(true));
        assert_eq!(count(&stored, *target), count(&stored, TARGETS[0]), "{target:?}");
        // The first way through the network is without gradients.
        let reversible = graph(Some(false));
        assert_eq!(count(&reversible, *target), count(&reversible, TARGETS[0]) - 10, "{target:?}");
    }
}

/// A convolution stores its output behind one operator, not two: what follows that is a step of its own.
#[test]
fn a_convolution_does_only_the_first_of_two_operators() {
    let mut g = Graph::new(Layout::default());
    let mut input = |name, n, c, h, w| g.input(name, Shape::new(n, c, h, w));
    let ([x, r], [w, b]) = ([3, 4].map(|c| input("map", 1, c, 8, 8)), [input("w", 3, 7, 3, 3), input("b", 1, 3, 1, 1)]);
    let (channel_gate, spatial_gate) = (input("cgate", 1, 4, 1, 1), input("sgate", 1, 1, 8, 8));
    let gated = g.apply1("gate", Gate, &[r, channel_gate, spatial_gate]).unwrap();
    let y = g.apply1("conv", Conv3x3 { slope: None }, &[x, gated, w, b]).unwrap();
    let sum = g.apply1("sum", Add { beta: 1.0 }, &[x, y]).unwrap();
    let scaled = g.apply1("scale", ExpScale { sign: 1.0 }, &[sum]).unwrap();
    g.output(scaled);
    for target in [TARGETS[1], TARGETS[3]] {
        let plan = Plan::new(&g, target).unwrap();
        assert_eq!(plan.steps.iter().map(|step| step.op).collect::<Vec<_>>(), ["conv3x3.gated", "exp_scale"]);
        assert_eq!(simulate(&g, &plan), Ok(()));
    }
}

/// Both directions of the network share their weights, and so what is packed of them.
#[test]
fn weights_are_packed_once() {
    let config = Network::from(Sasnet::new(&[2], 8).unwrap());
    let shape = Shape::new(1, 3, 16, 16);
    let convolutions =
        config.layout().entries().iter().filter(|e| e.name.contains("conv") && e.dims.len() == 4).count();
    for target in &TARGETS[1..] {
        let plan = Plan::new(&network(&config, shape, None), *target).unwrap();
        assert_eq!((plan.prepack.kernels.len(), plan.prepack.every_run), (convolutions, false), "{target:?}");
        // In training they change in every run; there the gradients' are packed, too.
        let plan = Plan::new(&network(&config, shape, Some(false)), *target).unwrap();
        assert!(plan.prepack.kernels.len() > convolutions && plan.prepack.every_run, "{target:?}");
        let packs = |d: &Dispatch| d.entry.starts_with("pack");
        assert!(!plan.steps.iter().flat_map(|s| &s.dispatches).any(|(d, _)| packs(d)), "{target:?}");
    }
}

/// A run sees the parameters that were written last, all or one by one before the first; and one alone after it is an
/// error where no others were kept.
#[test]
fn parameters_can_be_written_again() {
    let config = Network::from(Sasnet::new(&[1], 4).unwrap());
    let shape = Shape::new(1, 3, 8, 8);
    let mut graph = network(&config, shape, None);
    let params =
        |seed: f32| -> Vec<f32> { (0..graph.layout().len()).map(|i| ((i as f32 + seed) * 0.7).sin() / 4.0).collect() };
    let (first, second) = (params(1.0), params(2.0));
    let x: Vec<f32> = (0..shape.len()).map(|i| i as f32 / 200.0).collect();
    let entry = graph.layout().entries()[0].clone();
    let view = graph.param(&entry.name).unwrap();
    let run = |writes: &[&[f32]]| {
        let mut exec = Executor::new(graph.clone(), &Device::Gpu(support::gpu())).unwrap();
        exec.poison().unwrap();
        for params in writes {
            exec.write(graph.params(), params).unwrap();
            exec.write(graph.inputs()[0], &x).unwrap();
            exec.run(&RunParams::default()).unwrap();
        }
        let error = exec.write(view, &first[entry.range()]).unwrap_err().to_string();
        assert!(error.contains(&entry.name), "{error}");
        exec.read(graph.outputs()[0]).unwrap()
    };
    let (a, b) = (run(&[&first]), run(&[&second]));
    assert_ne!(a, b);
    assert_eq!(run(&[&first, &second]), b);
    assert_eq!(run(&[&second, &second, &first]), a);
}

/// A caller's mistake is an error that names the value and both lengths.
#[test]
fn what_does_not_fit_is_not_written() {
    let mut graph = Graph::new(Layout::default());
    let x = graph.input("x", Shape::new(1, 3, 5, 7));
    let y = graph.apply1("scale", Scale { k: 2.0 }, &[x]).unwrap();
    graph.output(y);
    let mut larger = graph.clone();
    let unknown = larger.input("unknown", Shape::SCALAR);
    for device in [Device::Cpu, Device::Gpu(support::gpu())] {
        let mut exec = Executor::new(graph.clone(), &device).unwrap();
        let mut message = |value, len| match exec.write(value, &vec![0.0; len]) {
            Err(Error::Invalid(message)) => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(message(x, 104), "x takes 105 values, given 104");
        assert_eq!(message(x, 0), "x takes 105 values, given 0");
        assert_eq!(message(graph.params(), 1), "params takes 0 values, given 1");
        assert_eq!(message(unknown, 1), "a value of another graph is not in the plan, given 1 values");
        exec.write(x, &[1.0; 105]).unwrap();
    }
}
