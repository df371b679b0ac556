//! Batch normalisations behind convolutions: as they are in training, and folded into the convolutions for inference.

use crate::error::{Error, Result};
use crate::graph::{Layout, Role, Value};
use crate::ops::Graph;
use crate::ops::batch_norm::{BatchNorm, fold};
use crate::ops::constant::{Constant, Detach};
use crate::ops::conv3x3::Conv3x3;
use crate::ops::phases::{Phases, PhasesInverse};
use crate::ops::running_stats::RunningStats;
use crate::tensor::Shape;
use std::collections::BTreeMap;

/// Names of convolutions, and of the batch normalisation behind each.
pub(super) type Pairs = Vec<[String; 2]>;

/// Appends a batch normalisation's parameters and statistics.
pub(super) fn push(layout: &mut Layout, name: &str, features: usize) {
    let all = [
        ("weight", Role::Constant(1.0)),
        ("bias", Role::Constant(0.0)),
        ("running_mean", Role::Statistic(0.0)),
        ("running_var", Role::Statistic(1.0)),
    ];
    all.into_iter().for_each(|(what, role)| layout.push_as(format!("{name}.{what}"), &[features], role));
}

/// What the metadata of a network says whose normalisations are folded.
const FOLDED: &str = "folded";

/// Says in a network's metadata that it is folded.
pub(super) fn say_folded(metadata: &mut BTreeMap<String, String>, folded: bool) {
    metadata.extend(folded.then(|| (FOLDED.to_string(), "true".to_string())));
}

/// Takes that back.
pub(super) fn take_folded(metadata: &mut BTreeMap<String, String>) -> Result<bool, String> {
    match metadata.remove(FOLDED) {
        Some(text) if text != "true" => Err(super::wrong(FOLDED, &text, "true, or left out")),
        said => Ok(said.is_some()),
    }
}

/// Fails for a network to be trained that is folded.
pub(super) fn check_trains(name: &str, folded: bool) -> Result<()> {
    match folded {
        true => Err(Error::Invalid(format!("{name} is folded for smoothing: train it with its normalisations"))),
        false => Ok(()),
    }
}

/// The layout with all normalisations folded: they are not there, and each convolution before one has a bias.
pub(super) fn folded_layout(layout: &Layout, pairs: &Pairs) -> Layout {
    let mut folded = Layout::default();
    for entry in layout.entries() {
        let (layer, what) = entry.name.rsplit_once('.').expect("a layer has parameters");
        if pairs.iter().any(|[_, norm]| layer == norm) {
            continue;
        }
        folded.push_as(entry.name.clone(), &entry.dims, entry.role);
        let bias = format!("{layer}.bias");
        if what == "weight" && layout.get(&bias).is_none() && pairs.iter().any(|[conv, _]| layer == conv) {
            folded.push(bias, &entry.dims[..1]);
        }
    }
    folded
}

/// The parameters for [`folded_layout`] that do what `params`, of the layout, do at test time.
pub(super) fn fold_params(layout: &Layout, pairs: &Pairs, params: &[f64]) -> Vec<f64> {
    let folded = folded_layout(layout, pairs);
    let mut result = vec![0.0; folded.len()];
    for entry in folded.entries() {
        if let Some(own) = layout.get(&entry.name) {
            result[entry.range()].copy_from_slice(&params[own.range()]);
        }
    }
    for [conv, norm] in pairs {
        let of = |what: &str| &params[layout.get(&format!("{norm}.{what}")).expect("a normalisation has it").range()];
        let [gamma, beta, mean, var] = ["weight", "bias", "running_mean", "running_var"].map(of);
        let [weight, bias] =
            ["weight", "bias"].map(|what| folded.get(&format!("{conv}.{what}")).expect("it has both").range());
        let inputs = weight.len() / bias.len();
        for i in 0..bias.len() {
            let mut b = result[bias.start + i];
            fold(&mut result[weight.start + i * inputs..][..inputs], &mut b, [gamma[i], beta[i], mean[i], var[i]]);
            result[bias.start + i] = b;
        }
    }
    result
}

/// Layers of a network that is normalised or folded. In training the statistics of the batch are collected.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// The normalisations are folded.
    folded: bool,
    /// The statistics of each normalisation, and the values that each channel has.
    stats: BTreeMap<String, (Value, usize)>,
}

impl Layers {
    /// Of a network whose normalisations are folded, or not.
    pub(super) fn new(folded: bool) -> Layers {
        Layers { folded, ..Layers::default() }
    }

    /// Tells whether the normalisations are folded.
    pub(super) fn folded(&self) -> bool {
        self.folded
    }

    /// A 3x3 convolution of one map or two, the normalisation behind it, and a ReLU or none.
    pub(super) fn conv_norm(
        &mut self,
        g: &mut Graph,
        [conv, norm]: [&str; 2],
        maps: &[Value],
        relu: bool,
    ) -> Result<Value> {
        self.dilated(g, [conv, norm], maps, relu, 1)
    }

    /// The same of one map with a convolution of dilation `d`.
    pub(super) fn dilated(
        &mut self,
        g: &mut Graph,
        [conv, norm]: [&str; 2],
        maps: &[Value],
        relu: bool,
        d: usize,
    ) -> Result<Value> {
        let (weight, bias) = (g.param(&format!("{conv}.weight"))?, format!("{conv}.bias"));
        if self.folded {
            let bias = g.param(&bias)?;
            return dilated(g, conv, Conv3x3 { slope: relu.then_some(0.0) }, maps, [weight, bias], d);
        }
        let bias = match g.layout().get(&bias) {
            Some(_) => {
                let bias = g.param(&bias)?;
                g.apply1(conv, Detach, &[bias])?
            }
            None => {
                let shape = Shape::new(1, g.shape(weight).n, 1, 1);
                g.apply1(conv, Constant { shape, value: 0.0 }, &[])?
            }
        };
        let x = dilated(g, conv, Conv3x3 { slope: None }, maps, [weight, bias], d)?;
        self.norm(g, norm, x, relu)
    }

    /// A normalisation, as in training.
    fn norm(&mut self, g: &mut Graph, name: &str, x: Value, relu: bool) -> Result<Value> {
        let [weight, bias] = super::layer(g, name)?;
        let y = g.apply(name, BatchNorm { relu }, &[x, weight, bias])?;
        let count = g.shape(x).n * g.shape(x).plane();
        assert!(self.stats.insert(name.into(), (y[1], count)).is_none(), "{name} is there once");
        Ok(y[0])
    }

    /// Appends the step of the running statistics, at the end of a step: what changes parameters earlier would keep
    /// kernels from packing weights once for all uses. `unbiased`: of the variance of what the batch is a sample of.
    pub(super) fn update_running(&self, g: &mut Graph, unbiased: bool) -> Result<()> {
        for (name, (stats, count)) in &self.stats {
            let correction = if unbiased { *count as f64 / (count.max(&2) - 1) as f64 } else { 1.0 };
            let running = [g.param(&format!("{name}.running_mean"))?, g.param(&format!("{name}.running_var"))?];
            g.apply_in_place(name, RunningStats { correction }, &[*stats], &running)?;
        }
        Ok(())
    }
}

/// A convolution of dilation `d`, that of several maps of 1: on the pictures of every d-th pixel.
fn dilated(g: &mut Graph, name: &str, op: Conv3x3, maps: &[Value], weights: [Value; 2], d: usize) -> Result<Value> {
    if d == 1 {
        return g.apply1(name, op, &[maps, &weights].concat());
    }
    let [x] = maps else { unreachable!("a dilated convolution has one map") };
    let shape = g.shape(*x);
    let phases = g.apply1(name, Phases { d }, &[*x])?;
    let y = g.apply1(name, op, &[phases, weights[0], weights[1]])?;
    g.apply1(name, PhasesInverse { d, size: [shape.h, shape.w] }, &[y])
}
