//! Time of operators and of the whole network on each device that there is: `cargo bench`.
//!
//! Each is checked against the CPU in f64 before it is timed.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sasnet::exec::{CpuExecutor, Device, Executor};
use sasnet::graph::{Graph, Value};
use sasnet::kernel::Globals;
use sasnet::net::{self, Config};
use sasnet::tensor::Shape;
use sasnet::weights::Weights;
use std::time::Duration;

struct Case {
    name: &'static str,
    config: Config,
    graph: Graph,
    input: Value,
    output: Value,
}

/// One subnet g, and the network, on a picture of 256x192 and 512x384.
fn cases() -> Vec<Case> {
    let subnet = Config { blocks: vec![1], ..Config::default() };
    let mut g = Graph::new(subnet.layout());
    let x = g.input("x", Shape::new(1, 3, 192, 256));
    let y = net::subnet(&mut g, &subnet, "blocks.0.g2", x).expect("the subnet's shapes fit");
    g.output(y);
    let mut cases = vec![Case { name: "subnet 3-64-9, 256x192", config: subnet, graph: g, input: x, output: y }];
    for (name, config) in
        [("shipped model, 512x384", Weights::builtin().config), ("full network, 512x384", Config::default())]
    {
        let (graph, input, output) =
            sasnet::smooth::graph(&config, Shape::new(1, 3, 384, 512)).expect("the network's shapes fit");
        cases.push(Case { name, config, graph, input, output });
    }
    cases
}

fn benches(c: &mut Criterion) {
    let mut devices = vec![Device::Cpu];
    devices.extend(
        sasnet::gpu::list_adapters().first().map(|a| Device::open(Some(&a.0.name)).expect("a listed adapter opens")),
    );
    for Case { name, config, graph, input, output } in cases() {
        let weights = Weights::initial(&config, 1);
        let x: Vec<f32> = (0..graph.shape(input).len()).map(|i| (i * 7919 % 1000) as f32 / 1000.0).collect();
        let globals = Globals::default();
        let mut oracle = CpuExecutor::<f64>::new(graph.clone()).expect("the oracle fits");
        let widen = |to: &mut [f64], from: &[f32]| to.iter_mut().zip(from).for_each(|(t, f)| *t = f64::from(*f));
        widen(oracle.get_mut(graph.params()), &weights.params);
        widen(oracle.get_mut(input), &x);
        oracle.run(&globals);
        let mut group = c.benchmark_group(name);
        group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(10));
        for device in &devices {
            let mut exec = Executor::new(graph.clone(), device).expect("the network fits");
            exec.write(graph.params(), &weights.params).expect("weights are written");
            exec.write(input, &x).expect("the input is written");
            exec.run(&globals).expect("the network runs");
            let y = exec.read(output).expect("the output is read");
            let largest = oracle.get(output).iter().fold(0f64, |a, b| a.max(b.abs()));
            let error =
                y.iter().zip(oracle.get(output)).map(|(y, o)| (f64::from(*y) - o).abs() / largest).fold(0.0, f64::max);
            assert!(error < 1e-5, "{name} on {}: relative error {error:.1e}", device.describe());
            group.throughput(Throughput::ElementsAndBytes {
                elements: 2 * exec.plan().macs(),
                bytes: exec.plan().peak_bytes(),
            });
            group.bench_function(device.describe(), |b| {
                b.iter(|| {
                    exec.write(input, &x).expect("the input is written");
                    exec.run(&globals).expect("the network runs");
                    exec.read(output).expect("the output is read")
                });
            });
        }
    }
}

criterion_group!(operators, benches);
criterion_main!(operators);
