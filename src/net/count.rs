//! Operations as the paper counts them.

use super::Network;
use crate::error::Result;
use crate::ops::Graph;
use crate::plan::{Plan, Target};
use crate::tensor::Shape;

/// The picture whose operations are counted: the paper's 512x384.
pub const COUNTED: Shape = Shape::new(1, 3, 384, 512);

/// The network with nothing left out, SASNet's paper form with z kept: what the paper's Table 2 counts.
pub fn full_network(network: &Network, shape: Shape) -> Result<Plan> {
    let mut g = Graph::new(network.layout());
    let x = g.input("x", shape);
    let y = network.complete(&mut g, x)?;
    g.output(y);
    Plan::new(&g, Target::Cpu { threads: 1 })
}
