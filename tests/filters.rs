//! The classical filters against the fixtures of an independent float64 reference, on each executor, and what their
//! mathematics promises at any size.

mod support;

use safetensors::{Dtype, SafeTensors};
use sasnet::low_level::exec::{CpuExecutor, Device, Executor};
use sasnet::low_level::graph::{Layout, Value};
use sasnet::low_level::kernel::{Kernels, RunParams};
use sasnet::low_level::ops::Graph;
use sasnet::low_level::tensor::worst;
use sasnet::{Error, Filter, Options, Shape, Smoother, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A fixture: a picture, what the reference makes of it, and how.
struct Fixture {
    name: String,
    filter: Filter,
    shape: Shape,
    tensors: HashMap<String, Vec<f64>>,
}

impl Fixture {
    fn all() -> Vec<Fixture> {
        let folder = std::env::var_os("SASNET_CLASSICAL_FIXTURES");
        let folder = folder.map_or(PathBuf::from("tests/fixtures-classical"), PathBuf::from);
        let files = folder.read_dir().unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().filter_map(|path| Fixture::read(path)).collect()
    }

    /// None for a filter that is not here.
    fn read(path: &Path) -> Option<Fixture> {
        let bytes = std::fs::read(path).unwrap();
        let metadata = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
        let methods = [
            ("guided", "gf"),
            ("rolling_guidance", "rgf"),
            ("l0", "l0"),
            ("rtv", "rtv"),
            ("sdf", "sdf"),
            ("ils", "ils"),
            ("ils_welsch", "ils-welsch"),
        ];
        let (_, method) = methods.iter().find(|(name, _)| *name == metadata["filter"])?;
        let settings: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&metadata["settings"]).unwrap();
        let filter = settings.iter().fold(Filter::new(method).unwrap(), |filter, (name, value)| {
            let name = if name == "lam" { "lambda" } else { name };
            filter.with(name, value.as_str().map_or(value.to_string(), str::to_string)).unwrap()
        });
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let [h, w, _] = file.tensor("input").unwrap().shape()[..] else { panic!("the input has three dimensions") };
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let data: Vec<f64> = match view.dtype() {
                Dtype::U8 => view.data().iter().map(|code| f64::from(*code) / 255.0).collect(),
                _ => bytemuck::pod_collect_to_vec(view.data()),
            };
            (name, if view.shape().len() == 3 { to_planes(&data) } else { data })
        });
        let name = path.file_stem().unwrap().to_string_lossy().into();
        Some(Fixture { name, filter, shape: Shape::new(1, 3, h, w), tensors: tensors.collect() })
    }
}

/// (H, W, 3) -> (3, H, W).
fn to_planes(data: &[f64]) -> Vec<f64> {
    (0..3).flat_map(|c| data.iter().skip(c).step_by(3).copied()).collect()
}

/// The filter on a picture in f64, its iterations solved to the last.
fn oracle(filter: &Filter, shape: Shape, f: &[f64]) -> Vec<f64> {
    let filter = match filter.values().any(|(parameter, _)| parameter.name == "tolerance") {
        true => filter.clone().with("tolerance", 1e-12).unwrap(),
        false => filter.clone(),
    };
    let (graph, x, y) = graph(&filter, shape);
    let mut exec = CpuExecutor::<f64>::new(graph).unwrap();
    exec.poison();
    exec.write(x, f).unwrap();
    exec.run(&RunParams::default());
    exec.get(y).to_vec()
}

fn graph(filter: &Filter, shape: Shape) -> (Graph, Value, Value) {
    let mut graph = Graph::new(Layout::default());
    let x = graph.input("f", shape);
    let y = filter.build(&mut graph, x).unwrap();
    graph.output(y);
    (graph, x, y)
}

fn run(filter: &Filter, shape: Shape, f: &[f64], device: &Device) -> Vec<f64> {
    let (graph, x, y) = graph(filter, shape);
    let mut exec = Executor::new(graph, device).unwrap();
    exec.poison().unwrap();
    exec.write(x, &f.iter().map(|v| *v as f32).collect::<Vec<_>>()).unwrap();
    exec.run(&RunParams::default()).unwrap();
    exec.read(y).unwrap().into_iter().map(f64::from).collect()
}

fn devices() -> Vec<Device> {
    let gpus = [Kernels::Gpu, Kernels::SoftwareSimd].map(|kernels| Device::Gpu(support::gpu_with(kernels)));
    [Device::Cpu].into_iter().chain(gpus).collect()
}

fn error(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    worst(got.iter().zip(want).map(|(a, b)| (a - b).abs()))
}

#[test]
fn f64_meets_the_reference() {
    let fixtures = Fixture::all();
    for method in Filter::methods() {
        assert!(fixtures.iter().any(|fixture| fixture.filter.method() == *method), "no fixture of {method:?}");
    }
    for fixture in &fixtures {
        let got = oracle(&fixture.filter, fixture.shape, &fixture.tensors["input"]);
        let error = error(&got, &fixture.tensors["output"]);
        println!("{:20} {} {error:.1e}", fixture.name, fixture.filter);
        assert!(error < 1e-9, "{} is off by {error:.1e}", fixture.name);
    }
}

/// The specification's bar is 1e-4; what f32 leaves on these pictures is far below.
#[test]
fn devices_meet_the_reference() {
    for fixture in Fixture::all() {
        for device in devices() {
            let got = run(&fixture.filter, fixture.shape, &fixture.tensors["input"], &device);
            let error = 255.0 * error(&got, &fixture.tensors["output"]);
            println!("{:20} {error:.1e} of 255, {}", fixture.name, device.describe());
            assert!(error < 0.0255, "{} is off by {error:.1e} of 255 on {}", fixture.name, device.describe());
        }
    }
}

/// Sizes of one row, one column, primes, and smaller than the windows.
const SIZES: [(usize, usize); 7] = [(1, 1), (1, 37), (41, 1), (2, 3), (5, 7), (33, 64), (67, 31)];

/// All methods, and what their choices are beside the defaults.
fn all_kinds() -> Vec<Filter> {
    let new = |method| Filter::new(method).unwrap();
    let mut filters: Vec<Filter> = Filter::methods().iter().map(|method| new(method.name)).collect();
    filters.push(new("gf").with("guide", "channel").unwrap());
    filters.push(new("ils").with("fidelity", "input").unwrap());
    filters.push(new("ils-welsch").with("blur", 0.75).unwrap());
    filters.push(new("sdf").with("sigma_g", 1).unwrap());
    filters
}

#[test]
fn any_size_agrees_with_f64() {
    for filter in all_kinds() {
        for (h, w) in SIZES {
            let x = support::picture(h, w, 3);
            let f: Vec<f64> = x.data.iter().map(|v| f64::from(*v)).collect();
            let want = oracle(&filter, x.shape, &f);
            for device in devices() {
                let error = error(&run(&filter, x.shape, &f, &device), &want);
                assert!(error < 1e-4, "{filter} of {h}x{w} is off by {error:.1e} on {}", device.describe());
            }
        }
    }
}

#[test]
fn a_constant_stays_constant() {
    let colour = [0.2, 1.0, 0.7];
    for filter in all_kinds() {
        for (h, w) in SIZES {
            let f: Vec<f64> = colour.iter().flat_map(|v| vec![*v; h * w]).collect();
            let shape = Shape::new(1, 3, h, w);
            for device in devices() {
                let error = error(&run(&filter, shape, &f, &device), &f);
                assert!(error < 1e-6, "{filter} of {h}x{w} is off by {error:.1e} on {}", device.describe());
            }
        }
    }
}

/// Slabs give the whole picture's result, bit for bit, within the memory that there may be.
#[test]
fn slabs_are_the_whole() {
    // High, so that a slab with its halo is little of it.
    let x = support::picture(600, 40, 3);
    for (method, radius) in [("gf", 4), ("rgf", 2)] {
        let filter = Filter::new(method).unwrap();
        let filter = if method == "rgf" { filter.with("sigma_s", radius) } else { filter.with("r", radius) }.unwrap();
        for device in devices() {
            let smooth = |most: Option<u64>| {
                let mut smoother = Smoother::new(filter.clone(), device.clone()).with_max_memory(most);
                let y = smoother.smooth(&x, &Options::default()).unwrap();
                let (cut, plan) = smoother.last_plan().unwrap();
                (y, cut.count, plan.peak_bytes())
            };
            let (whole, one, bytes) = smooth(None);
            let less = 3 * bytes / 4;
            let (parts, many, fewer) = smooth(Some(less));
            assert!(one == 1 && many > 1 && fewer <= less, "{method}: {one}, {many}, {fewer} of {less}");
            assert!(whole == parts, "{method} on {}: slabs differ", device.describe());
        }
    }
}

/// A network and the filter that finishes its result are the two one after the other, bit for bit: once for the mean of an
/// ensemble, before the blend with the picture, and in any memory in which each of them fits.
#[test]
fn a_finish_comes_after_the_network() {
    // High, so that slabs are little of it.
    let (x, other) = (support::picture(600, 40, 3), support::picture(31, 64, 4));
    let weights = support::small_weights(&[2], 8, true, 0.0);
    let finish: Filter = "rtv,lambda=0.002,sigma=1".parse().unwrap();
    for device in devices() {
        let network = || Smoother::new(weights.clone(), device.clone());
        let mut finished = network().with_finish(finish.clone());
        assert!(finished.finish() == Some(&finish) && network().finish().is_none());
        let all = Options::default().with_ensemble(true).with_texture_size(2.0).with_amount(0.7);
        for (x, options) in [(&x, Options::default()), (&other, all.clone()), (&x, all)] {
            let full = options.clone().with_amount(1.0);
            let mut want = network().smooth(x, &full).unwrap();
            let before = want.clone();
            want = Smoother::new(finish.clone(), device.clone()).smooth(&want, &Options::default()).unwrap();
            assert!(want != before);
            if let Some(amount) = options.amount {
                want.data.iter_mut().zip(&x.data).for_each(|(y, x)| *y = (1.0 - amount) * x + amount * *y);
            }
            assert!(finished.smooth(x, &options).unwrap() == want, "{options:?} on {}", device.describe());
        }

        let mut whole = network().with_finish(finish.clone());
        let want = whole.smooth(&x, &Options::default()).unwrap();
        let (h, w) = (x.shape.h, x.shape.w);
        let both = whole.estimate(h, w).unwrap();
        assert_eq!(both, whole.allocated_bytes(), "on {}", device.describe());
        let alone = [network(), Smoother::new(finish.clone(), device.clone())].map(|s| s.estimate(h, w).unwrap());
        assert_eq!(both, alone.iter().sum::<u64>(), "on {}", device.describe());
        // Not both at once.
        let less = both - 1;
        let mut one = network().with_finish(finish.clone()).with_max_memory(Some(less));
        assert!(one.smooth(&x, &Options::default()).unwrap() == want, "on {}", device.describe());
        let estimated = one.estimate(h, w).unwrap();
        assert!(one.allocated_bytes() <= less && estimated == *alone.iter().max().unwrap(), "{estimated} of {less}");

        // Not even the filter, which takes the whole picture; one that takes slabs is fine.
        let least = alone[1] - 1;
        let little = network().with_finish(finish.clone()).with_max_memory(Some(least));
        let Err(Error::TooLarge(error)) = little.check(h, w) else { panic!("on {}", device.describe()) };
        assert!(error.finishing && error.needs == alone[1], "{error:?}");
        assert!(error.to_string().contains("40x600 pixels do not fit: the finish by the method rtv"), "{error}");
        let [w, h] = error.largest.unwrap();
        little.check(h, w).unwrap();
        let slabs = |most| {
            let finish: Filter = "gf,r=2,eps=0.0003".parse().unwrap();
            network().with_finish(finish).with_max_memory(most).smooth(&x, &Options::default()).unwrap()
        };
        assert!(slabs(Some(least)) == slabs(None), "on {}", device.describe());
    }
}

#[test]
fn what_a_filter_does_not_take_is_an_error() {
    let x = support::picture(9, 8, 3);
    let mut smoother = Smoother::new(Filter::new("gf").unwrap(), Device::Cpu);
    for options in [Options::default().with_ensemble(true), Options::default().with_noise(1.0)] {
        let error = smoother.smooth(&x, &options).unwrap_err().to_string();
        assert!(error.contains("gf is a filter, which takes no noise and no ensemble"), "{error}");
    }
    assert!(smoother.weights().is_none());
    assert!(smoother.set_params(&[]).unwrap_err().to_string().contains("no weights"));
    let half = smoother.smooth(&x, &Options::default().with_amount(0.0)).unwrap();
    assert!(half == x, "nothing of it is smoothed");
    let grey = Tensor::zeros(Shape::new(1, 1, 3, 3));
    assert!(smoother.smooth(&grey, &Options::default()).unwrap_err().to_string().contains("it has 1x3 channels"));
}
