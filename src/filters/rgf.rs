//! The rolling guidance filter: a Gaussian blur takes small structures away, then joint bilateral filters of the picture,
//! guided by the last result, bring the edges of the large ones back (Zhang, Shen, Xu, Jia 2014).
//!
//! The paper has the joint colour distance; the authors' MATLAB filters channels apart on a coarse bilateral grid, an
//! approximation that is not followed. The radius, ceil(3 sigma_s), and the direct evaluation are choices.

use super::{Filter, Method, Parameter};
use crate::error::Result;
use crate::graph::Value;
use crate::ops::Graph;
use crate::ops::gaussian::{Border, Gaussian, taps};
use crate::ops::joint_bilateral::JointBilateral;

pub(super) static METHOD: Method = Method {
    name: "rgf",
    title: "rolling guidance filter",
    year: 2014,
    paper: "Q. Zhang, X. Shen, L. Xu, J. Jia: Rolling Guidance Filter. ECCV 2014",
    cost: "(iterations - 1) (6 sigma_s + 1)^2 taps a pixel, 15 flop each: 3.2 GFLOP",
    parameters: &[
        Parameter::real("sigma_s", [0.1, 40.0], 3.0, "size of the structures that go, in pixels")
            .tried(&[1.0, 1.5, 2.0, 3.0])
            .universal(2.0),
        Parameter::real("sigma_r", [0.001, 10.0], 0.1, "colour distance across which there is little averaging")
            .tried(&[0.025, 0.035, 0.05, 0.07, 0.1])
            .universal(0.05),
        Parameter::whole("iterations", [1, 50], 4, "how many, the first, which blurs, included"),
    ],
    halo: |filter| Some(radius(filter) * filter.whole("iterations")),
    build,
};

fn radius(filter: &Filter) -> usize {
    (3.0 * filter.get("sigma_s")).ceil() as usize
}

fn build(filter: &Filter, g: &mut Graph, f: Value) -> Result<Value> {
    let taps = taps(g, filter.get("sigma_s"), radius(filter));
    // With a constant guide the joint bilateral filter is a Gaussian, divided by its mass inside the picture.
    let mut guide = g.apply1("blur", Gaussian { border: Border::Nothing }, &[f, taps])?;
    for _ in 1..filter.whole("iterations") {
        guide = g.apply1("roll", JointBilateral { sigma_r: filter.get("sigma_r") }, &[f, guide, taps])?;
    }
    Ok(guide)
}
