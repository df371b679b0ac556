//! Relative total variation: gradients that a window's do not agree on, texture, cost more than those that it does (Xu,
//! Yan, Xia, Jia 2012). Each step solves a linear system whose weights are those of the last result.
//!
//! The authors solve by a factorisation, or where it is there by conjugate gradients to 0.1: the exact solution is meant,
//! which a tolerance of 1e-5 meets to 0.0025 of 255. The right side is always f.

use super::{Filter, Method, Parameter, TOLERANCE};
use crate::error::Result;
use crate::graph::Value;
use crate::ops::Graph;
use crate::ops::gaussian::{Border, Gaussian, taps};
use crate::ops::pcg::{PcgStart, Solution};
use crate::ops::rtv_weights::RtvWeights;

pub(super) static METHOD: Method = Method {
    name: "rtv",
    title: "relative total variation",
    year: 2012,
    paper: "L. Xu, Q. Yan, Y. Xia, J. Jia: Structure Extraction from Texture via Relative Total Variation. SIGGRAPH Asia \
            2012",
    cost: "some 700 iterations of 72 flop a pixel: 10 GFLOP",
    parameters: &[
        Parameter::real("lambda", [1e-5, 0.2], 0.01, "strength of the smoothing")
            .tried(&[0.0012, 0.0018, 0.0025, 0.0035, 0.005, 0.01])
            .universal(0.0035),
        Parameter::real("sigma", [0.5, 20.0], 3.0, "size of texture, in pixels; halved in each step, down to 0.5")
            .tried(&[1.0, 2.0, 3.0, 4.0])
            .universal(2.0),
        Parameter::real(
            "eps_s",
            [1e-4, 1.0],
            0.02,
            "gradients below it are alike: the smaller, the sharper edges stay",
        ),
        Parameter::whole("iterations", [1, 50], 4, "steps"),
        Parameter::real(
            "tolerance",
            TOLERANCE,
            1e-5,
            "residual of each step's solution, in parts of the picture's norm",
        ),
    ],
    halo: |_| None,
    build,
};

fn build(filter: &Filter, g: &mut Graph, f: Value) -> Result<Value> {
    let [lambda, eps_s, tolerance] = ["lambda", "eps_s", "tolerance"].map(|name| filter.get(name));
    let solution = Solution::new(g, g.shape(f));
    let (mut u, mut sigma) = (f, filter.get("sigma"));
    for step in 0..filter.whole("iterations") {
        // floor(5 sigma + 0.5) taps, or one more.
        let taps = taps(g, sigma, (5.0 * sigma + 0.5).floor() as usize / 2);
        let blurred = g.apply1("blur", Gaussian { border: Border::Zero }, &[u, taps])?;
        let weights = g.apply1("weights", RtvWeights { lambda, eps_s }, &[u, blurred])?;
        solution.solve(g, weights, f, PcgStart { from_f: step == 0, tolerance })?;
        u = solution.u;
        sigma = (sigma / 2.0).max(0.5);
    }
    Ok(u)
}
