//! Iterative least squares: a penalty of gradients that grows slower than a square is bounded by squares, anew in each
//! step, so that all steps solve equations of one matrix (Liu et al. 2020). Each channel is smoothed alone, and opposite
//! borders meet, as in the authors' code.
//!
//! A step is u -= P(lambda/2 (Dx'phi'(Dx u) + Dy'phi'(Dy u)); c lambda/2), which solves for the change of u: f32 is off by
//! 5e-5 of 255. The data term follows the last result, as in the code that was released, which smooths more strongly; with
//! `fidelity=input` it is the paper's equation, that of the picture.

use super::{Filter, Method, Parameter};
use crate::error::Result;
use crate::graph::Value;
use crate::ops::Graph;
use crate::ops::gaussian::{Border, Gaussian, taps};
use crate::ops::gradient_step::{GradientStep, Penalty};
use crate::ops::periodic_solve::{PeriodicSolve, roots};

const PAPER: &str = "W. Liu, P. Zhang, X. Huang, J. Yang, C. Shen, I. Reid: Real-time Image Smoothing via Iterative Least \
                     Squares. TOG 2020";

pub(super) static METHOD: Method = Method {
    name: "ils",
    title: "iterative least squares",
    year: 2020,
    paper: PAPER,
    cost: "0.32 GFLOP an iteration: 1.3 GFLOP",
    parameters: &[
        Parameter::real("lambda", [1e-4, 100.0], 1.0, "strength of the smoothing")
            .tried(&[0.01, 0.02, 0.04, 0.1, 0.3, 1.0])
            .universal(0.02),
        Parameter::real("p", [0.1, 2.0], 0.8, "exponent of gradients: the smaller, the sharper edges stay")
            .tried(&[0.6, 0.8, 1.0, 1.2])
            .universal(1.0),
        Parameter::real("eps", [1e-8, 1.0], 1e-4, "squares of gradients below it are alike"),
        Parameter::whole("iterations", [1, 200], 4, "how many").tried(&[4.0, 10.0]).universal(10.0),
        FIDELITY,
    ],
    halo: |_| None,
    build: |filter, g, f| {
        let [p, eps] = ["p", "eps"].map(|name| filter.get(name));
        build(filter, g, f, Penalty::Charbonnier { p, eps }, p * eps.powf(p / 2.0 - 1.0))
    },
};

pub(super) static WELSCH: Method = Method {
    name: "ils-welsch",
    title: "iterative least squares, Welsch's penalty",
    year: 2020,
    paper: PAPER,
    cost: "0.32 GFLOP an iteration: 3.2 GFLOP",
    parameters: &[
        Parameter::real("lambda", [1e-4, 1000.0], 30.0, "strength of the smoothing")
            .tried(&[1.0, 3.0, 10.0, 30.0])
            .universal(3.0),
        Parameter::real("gamma", [1e-3, 10.0], 10.0 / 255.0, "gradients above it stay").tried(&[
            0.02,
            0.0392156862745098,
            0.08,
        ]),
        Parameter::whole("iterations", [1, 200], 10, "how many"),
        Parameter::real(
            "blur",
            [0.0, 20.0],
            0.0,
            "scale of a Gaussian blur before, in pixels, against texture; 0: none",
        ),
        FIDELITY,
    ],
    halo: |_| None,
    build: |filter, g, f| {
        let (gamma, sigma) = (filter.get("gamma"), filter.get("blur"));
        let f = match sigma > 0.0 {
            true => {
                let taps = taps(g, sigma, (3.0 * sigma).ceil() as usize);
                g.apply1("blur", Gaussian { border: Border::Repeated }, &[f, taps])?
            }
            false => f,
        };
        build(filter, g, f, Penalty::Welsch { gamma }, 2.0)
    },
};

const FIDELITY: Parameter = Parameter::choice(
    "fidelity",
    &["previous", "input"],
    "what the data term follows: the last result, or the picture",
);

/// `c` bounds the penalty's second derivative.
fn build(filter: &Filter, g: &mut Graph, f: Value, penalty: Penalty, c: f64) -> Result<Value> {
    let half = filter.get("lambda") / 2.0;
    let shape = g.shape(f);
    let (rows, columns) = (roots(g, shape.w), roots(g, shape.h));
    let mut u = f;
    for _ in 0..filter.whole("iterations") {
        let inputs = if filter.chosen("fidelity") == "input" { vec![u, f] } else { vec![u] };
        let b = g.apply1("step", GradientStep { penalty, weight: half }, &inputs)?;
        u = g.apply1("step", PeriodicSolve { a: half * c, k: 1.0, mean: true }, &[u, b, rows, columns])?;
    }
    Ok(u)
}
