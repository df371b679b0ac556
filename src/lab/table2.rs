//! The paper's Table 2: what its networks cost on one picture, beside what it prints.

use crate::error::Result;
use crate::exec::Device;
use crate::fit::Cut;
use crate::lab::bench;
use crate::net::{Network, Sizes, count};
use crate::observer::{Observer, Progress, tell};
use crate::plan::{Plan, Target};
use crate::tensor::Shape;
use crate::weights::Weights;
use serde::Serialize;

/// What the paper prints for a network, on 512x384.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Published {
    /// FLOPs in units of 1e9, in two units: see [`UNITS`].
    pub giga: f64,
    /// GPU memory in MB.
    pub mb: f64,
}

/// The networks of the table, by their architectures' names, and of Table 3.
const NAMES: [(&str, Option<Published>); 7] = [
    ("sasnet", Some(Published { giga: 209.12, mb: 748.0 })),
    ("resnet", Some(Published { giga: 719.04, mb: 3638.0 })),
    ("jessnet", Some(Published { giga: 672.04, mb: 1053.0 })),
    ("drf", Some(Published { giga: 14.42, mb: 214.0 })),
    ("deaf", None),
    ("unet", None),
    ("autoencoder", None),
];

/// Where the units of the paper's table differ.
pub const UNITS: &str = "\
The paper's G are not of one unit: those of sasnet and jessnet are multiply-accumulates, biases, normalised values (two each) and
activations, as \"count\" has them; those of resnet and drf are about two for each multiply-accumulate. Its MB are what a framework
took on its GPU; ours are all buffers that smoothing one picture takes, weights included.";

/// What the paper prints for the architecture `name`.
pub fn published(name: &str) -> Option<Published> {
    NAMES.iter().find(|(known, _)| *known == name).and_then(|(_, published)| *published)
}

/// A network and its costs on a picture.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its architecture, of the paper's sizes.
    pub name: &'static str,
    /// Learned parameters.
    pub parameters: usize,
    /// Multiply-accumulates of all of the network.
    pub macs: u64,
    /// The same with biases, normalised values and activations.
    pub paper_count: u64,
    /// What the paper prints.
    pub published: Option<Published>,
    /// Bytes that smoothing the picture in one piece takes.
    pub planned_bytes: u64,
    /// What a device took.
    pub measured: Option<Measured>,
}

/// What smoothing a picture took on a device.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Bytes allocated.
    pub allocated_bytes: u64,
    /// Median of the runs, in milliseconds.
    pub ms: f64,
    /// Largest error of the answer against f64, relative to its largest value.
    pub error: f64,
}

/// The networks with the shape of a picture of `h` x `w`, padded for each.
fn networks(h: usize, w: usize) -> impl Iterator<Item = (Network, Option<Published>, Shape)> {
    NAMES.into_iter().map(move |(name, published)| {
        let network = Network::build(name, &Sizes::default()).expect("the paper's sizes are good");
        let scale = network.scale();
        let shape = Shape::new(1, 3, h.next_multiple_of(scale), w.next_multiple_of(scale));
        (network, published, shape)
    })
}

/// The table without a device, planned for `target`.
///
/// # Errors
/// As [`Plan::new`].
pub fn plan((h, w): (usize, usize), target: Target) -> Result<Vec<Row>> {
    networks(h, w).map(|(network, published, shape)| row(&network, published, shape, target)).collect()
}

fn row(network: &Network, published: Option<Published>, shape: Shape, target: Target) -> Result<Row> {
    let full = count::full_network(network, shape)?;
    Ok(Row {
        name: network.name(),
        parameters: network.layout().parameters(),
        macs: full.macs(),
        paper_count: full.paper_count(),
        published,
        planned_bytes: Plan::new(&Cut::WHOLE.graph(network, shape)?.graph, target)?.peak_bytes(),
        measured: None,
    })
}

/// The table with what smoothing takes on a device, each answer checked before it is timed. The observer hears what is
/// being done.
///
/// # Errors
/// As [`bench::smoothing`].
pub fn measure((h, w): (usize, usize), device: &Device, runs: usize, observer: &mut dyn Observer) -> Result<Vec<Row>> {
    let mut rows = vec![];
    for (network, published, shape) in networks(h, w) {
        tell(observer, Progress::Measuring { what: network.name() })?;
        let mut row = row(&network, published, shape, device.target())?;
        let weights = Weights::initial(&network, 1);
        let report = bench::smoothing(&weights, device, (shape.h, shape.w), runs, observer)?;
        let (allocated_bytes, ms, error) = (report.allocated_bytes, report.run.median, report.check.error);
        row.measured = Some(Measured { allocated_bytes, ms, error });
        rows.push(row);
    }
    Ok(rows)
}
