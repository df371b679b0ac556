//! The guided filter, its guide being the picture itself: within windows u is a linear function of the colours, fitted
//! with a penalty eps on its slope (He, Sun, Tang 2013). Windows are clipped at the borders, as in the authors' code;
//! OpenCV reflects instead.

use super::{Filter, Method, Parameter};
use crate::error::Result;
use crate::graph::Value;
use crate::ops::Graph;
use crate::ops::guided::{Guide, Guided, RUN};

pub(super) static METHOD: Method = Method {
    name: "gf",
    title: "guided filter",
    year: 2010,
    paper: "K. He, J. Sun, X. Tang: Guided Image Filtering. ECCV 2010, TPAMI 2013",
    cost: "0.04 GFLOP",
    parameters: &[
        Parameter::whole("r", [1, 256], 4, "radius of the windows in pixels")
            .tried(&[1.0, 2.0, 3.0, 4.0, 6.0])
            .universal(2.0),
        Parameter::real("eps", [1e-6, 1.0], 0.01, "variance below which a window is smoothed, in units of [0, 1]^2")
            .tried(&[0.004, 0.008, 0.016, 0.032, 0.064])
            .universal(0.032),
        Parameter::choice("guide", &["colour", "channel"], "the channels guide together, or each itself"),
    ],
    // Means of means; those of a run's first rows make those of its last, and so must be the whole picture's, too.
    halo: |filter| Some(2 * filter.whole("r") + RUN),
    build,
};

fn build(filter: &Filter, g: &mut Graph, f: Value) -> Result<Value> {
    let guide = if filter.chosen("guide") == "channel" { Guide::Channel } else { Guide::Colour };
    g.apply1("u", Guided { guide, radius: filter.whole("r"), eps: filter.get("eps") }, &[f])
}
