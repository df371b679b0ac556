//! The static/dynamic filter: neighbours are averaged where a static guide, the picture, and a dynamic one, the last
//! result, find them alike (Ham, Cho, Ponce 2015, 2017), in 8 directions, colours being compared in L*a*b*.
//!
//! Its objective is not convex, so that a change of the input by 1e-7 moves the exact result by up to 0.005 of 255; at a
//! tolerance of 1e-6 f32 is off by 0.02 at most. mu and nu are of distances that are scaled to [0, 1] over the picture's
//! pairs, as in the authors' code: values of the paper, without that, do not carry over.

use super::{Filter, Method, Parameter, TOLERANCE};
use crate::error::Result;
use crate::graph::Value;
use crate::ops::Graph;
use crate::ops::gaussian::{Border, Gaussian, taps};
use crate::ops::lab::Lab;
use crate::ops::pair_weights::PairWeights;
use crate::ops::pcg::{PcgStart, Solution};

pub(super) static METHOD: Method = Method {
    name: "sdf",
    title: "static/dynamic filter",
    year: 2015,
    paper: "B. Ham, M. Cho, J. Ponce: Robust Guided Image Filtering Using Nonconvex Potentials. CVPR 2015, TPAMI 2018",
    cost: "some 1100 iterations of 96 flop a pixel: 21 GFLOP",
    parameters: &[
        Parameter::real("lambda", [1e-3, 1000.0], 30.0, "strength of the smoothing")
            .tried(&[3.0, 10.0, 30.0, 100.0])
            .universal(10.0),
        Parameter::real("mu", [0.0, 10000.0], 50.0, "how much the picture's edges stay"),
        Parameter::real("nu", [0.0, 10000.0], 400.0, "how much the last result's edges stay"),
        Parameter::whole("iterations", [1, 100], 10, "how many"),
        Parameter::real("sigma_g", [0.0, 20.0], 0.0, "scale of a blur of the static guide in pixels, against texture")
            .tried(&[0.0, 0.5, 0.7, 1.0])
            .universal(0.7),
        Parameter::real("tolerance", TOLERANCE, 1e-6, "residual of each solution, in parts of the picture's norm"),
    ],
    halo: |_| None,
    build,
};

fn build(filter: &Filter, g: &mut Graph, f: Value) -> Result<Value> {
    let [lambda, mu, nu, sigma] = ["lambda", "mu", "nu", "sigma_g"].map(|name| filter.get(name));
    let guide = match sigma > 0.0 {
        true => {
            let taps = taps(g, sigma, (3.0 * sigma).ceil() as usize);
            g.apply1("guide", Gaussian { border: Border::Repeated }, &[f, taps])?
        }
        false => f,
    };
    let features = g.apply1("guide", Lab, &[guide])?;
    let fixed = g.apply1("static", PairWeights { bandwidth: mu, factor: 1.0 }, &[features])?;
    let solution = Solution::new(g, g.shape(f));
    for step in 0..filter.whole("iterations") {
        // At first the dynamic guide is constant: whatever is given as features, all pairs are alike.
        let (u, bandwidth) = if step == 0 { (f, 0.0) } else { (solution.u, nu) };
        let features = g.apply1("dynamic", Lab, &[u])?;
        let weights = g.apply1("dynamic", PairWeights { bandwidth, factor: lambda }, &[features, fixed])?;
        solution.solve(g, weights, f, PcgStart { from_f: step == 0, tolerance: filter.get("tolerance") })?;
    }
    Ok(solution.u)
}
