//! The networks. Each is one file; what differs from one to the next is asked of [`Network`], and nowhere else.
//!
//! - [`sasnet`]: the paper's page, as a list of steps that can be undone. [`residual`] is the block that they are made
//!   of, [`slabs`] how it goes over a map in slabs of rows, [`reversible`] how gradients are pulled back through undone
//!   steps.
//! - [`unet`]: the two networks that the paper's Table 3 compares with.
//! - [`resnet`], [`jessnet`], [`drf`], [`deaf`]: the deep methods that its Tables 1 and 2 compare with.
//! - [`training`]: the pass forward and back; [`count`]: operations as the paper's Table 2 has them.
//!
//! A new network is a file with an [`Architecture`] and a line in the list below.

use crate::error::{Error, Result};
use crate::graph::{Layout, Value};
use crate::ops::Graph;
use crate::tensor::Shape;
use std::collections::BTreeMap;

/// Largest scale of noise: the networks are trained with noise of about 1, and far beyond that values are no numbers.
pub const MAX_NOISE: f32 = 100.0;

pub mod count;
pub mod deaf;
pub mod drf;
pub mod jessnet;
mod normalised;
pub mod residual;
pub mod resnet;
pub mod reversible;
pub mod sasnet;
pub mod slabs;
pub mod training;
pub mod unet;

pub use deaf::Deaf;
pub use drf::Drf;
pub use jessnet::JessNet;
pub use resnet::ResNet;
pub use sasnet::{Latent, Sasnet};
pub use slabs::{SLAB_ROWS, Slabs};
pub use unet::Unet;

use training::Pass;

/// Numbers of blocks for people: 8,8.
pub(crate) fn list(blocks: &[usize]) -> String {
    blocks.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// The same in words: 1 block, 8,8 blocks.
pub(crate) fn in_words(blocks: &[usize]) -> String {
    format!("{} block{}", list(blocks), if *blocks == [1] { "" } else { "s" })
}

/// Sizes of a network that is built by its name. Of one that is built, its own: None is what it does not have.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Sizes {
    /// Invertible blocks at each scale, the finest first.
    pub blocks: Option<Vec<usize>>,
    /// Width of a subnet, or of the first level.
    pub features: Option<usize>,
    /// Channel and spatial attention.
    pub attention: Option<bool>,
    /// Second input of the way up, in z's place.
    pub latent: Option<Latent>,
    /// Weight of differences in a solve at the end.
    pub beta: Option<f64>,
}

impl Sizes {
    /// Names of those that are chosen.
    pub fn chosen(&self) -> Vec<&'static str> {
        let all = [
            ("blocks", self.blocks.is_some()),
            ("features", self.features.is_some()),
            ("attention", self.attention.is_some()),
            ("latent", self.latent.is_some()),
            ("beta", self.beta.is_some()),
        ];
        all.into_iter().filter_map(|(what, chosen)| chosen.then_some(what)).collect()
    }

    /// The first that a network of the sizes `own` does not have.
    pub fn not_in(&self, own: &Sizes) -> Option<&'static str> {
        self.chosen().into_iter().find(|what| !own.chosen().contains(what))
    }
}

/// A kind of network: all that the rest of the program asks of it.
pub trait Architecture: Sized + Clone {
    /// Names on the command line and in the weights file.
    const NAMES: &'static [&'static str];

    /// The network called `name` (one of [`Architecture::NAMES`]); what `sizes` leaves open is as in the paper. They
    /// have nothing that is not in its own ([`Architecture::sizes`]).
    ///
    /// # Errors
    /// [`Error::Invalid`] for sizes out of range.
    fn build(name: &str, sizes: &Sizes) -> Result<Self>;

    /// Its name.
    fn name(&self) -> &'static str;

    /// For people, of whatever size: what it is, in a line.
    fn about(&self) -> &'static str;

    /// Its sizes, with a value for each that one can choose.
    fn sizes(&self) -> Sizes;

    /// For people: its sizes, as "4 blocks, 48 features".
    fn describe(&self) -> String;

    /// Returns what the weights file's metadata says of it, its name apart.
    fn metadata(&self) -> BTreeMap<String, String>;

    /// Takes back what [`Architecture::metadata`] said; an error says what is wrong with it.
    fn parse(name: &str, metadata: &mut BTreeMap<String, String>) -> Result<Self, String>;

    /// Names, dimensions and order of all parameters.
    fn layout(&self) -> Layout;

    /// Names of its convolutions that have a batch normalisation behind them, and of that.
    fn normalisations(&self) -> Vec<[String; 2]> {
        vec![]
    }

    /// The same for inference, each normalisation folded into the convolution before it.
    #[must_use]
    fn folded(&self) -> Self {
        self.clone()
    }

    /// Sides of a picture are padded to a multiple of it.
    fn scale(&self) -> usize;

    /// Pixels on each side that a pixel of the result depends on; None: on the whole picture.
    fn receptive_field(&self) -> Option<usize>;

    /// Shape of the noise that it takes for a picture of shape `x`; None where it takes none.
    fn noise_shape(&self, _x: Shape) -> Option<Shape> {
        None
    }

    /// Tells whether the way back can rebuild each block's input from its output.
    fn is_invertible(&self) -> bool {
        false
    }

    /// Tells whether this parameter is 0 before training, where others are random.
    fn begins_as_zero(&self, _parameter: &str) -> bool {
        false
    }

    /// Tells whether this parameter is of those without which each block is the identity.
    fn ends_a_block(&self, _parameter: &str) -> bool {
        false
    }

    /// Parameters of the same with the sizes `larger`, all given, that compute what this one does with `params`.
    /// `initial` makes random ones.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it cannot be grown.
    fn grow(&self, _params: &[f32], _larger: &Sizes, _initial: &dyn Fn() -> Vec<f32>) -> Result<Vec<f32>> {
        Err(Error::Invalid(format!("an architecture {} cannot be grown", self.name())))
    }

    /// Largest error of a result with hidden maps in f16, relative to its largest value, in roundings to f16: units of
    /// 2^-11. Derived, not measured: `tests/fixtures.rs` asserts it.
    fn f16_error(&self) -> f64;

    /// For people: what of [`Architecture::complete`] its result does not need, and [`Architecture::smooth`] skips.
    fn skips(&self) -> Option<&'static str> {
        None
    }

    /// Tells whether a picture may go through in several slabs of rows.
    fn takes_slabs(&self) -> bool {
        false
    }

    /// How often its parts repeat, level by level: what one more costs in memory, each costs.
    fn repeats(&self) -> Vec<usize> {
        vec![]
    }

    /// The same with other numbers of [`Architecture::repeats`].
    fn with_repeats(&self, _repeats: Vec<usize>) -> Self {
        self.clone()
    }

    /// The whole network: x (N, 3, H, W), sides multiples of the scale, in slabs of rows -> y of the same shape and
    /// slabs, not clipped. The rows of all slabs but the last are multiples of [`SLAB_ROWS`] times the scale.
    /// `keep_features`: where there are several slabs, the features of all wait for the channel gates, instead of being
    /// computed twice.
    fn smooth(&self, g: &mut Graph, x: &[Value], keep_features: bool) -> Result<Slabs>;

    /// Its pass in training: x and target (N, 3, H, W), noise as in [`Architecture::noise_shape`]. `store_activations`:
    /// the way back reads the activations of the way forward, instead of computing them once more.
    fn training(
        &self,
        g: &mut Graph,
        pictures: [Value; 2],
        noise: Option<Value>,
        store_activations: bool,
    ) -> Result<Pass>;

    /// Appends what the paper's Table 2 counts: x -> y with nothing left out.
    fn complete(&self, g: &mut Graph, x: Value) -> Result<Value> {
        Ok(self.smooth(g, &[x], true)?[0])
    }
}

macro_rules! networks {
    ($($kind:ident),* $(,)?) => {
        /// A network: which, and its sizes.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Network {
            $(#[doc = concat!("[`", stringify!($kind), "`].")] $kind($kind)),*
        }

        $(impl From<$kind> for Network {
            fn from(network: $kind) -> Network { Network::$kind(network) }
        })*

        /// The names of all architectures.
        fn names() -> Vec<&'static str> {
            [$(<$kind as Architecture>::NAMES),*].concat()
        }

        macro_rules! each {
            ($self:ident, $n:ident => $call:expr) => { match $self { $(Network::$kind($n) => $call),* } };
        }

        /// The first architecture that has the name `$name`, as `$make`, a method of [`Architecture`], gives it.
        macro_rules! named {
            ($name:expr, $make:ident($argument:expr)) => {
                $(if <$kind as Architecture>::NAMES.contains(&$name) {
                    return <$kind as Architecture>::$make($name, $argument).map(Network::$kind);
                })*
            };
        }
    };
}

networks! { Sasnet, Unet, ResNet, JessNet, Drf, Deaf }

impl Default for Network {
    /// The paper's: x2, 16 blocks, 64 features, with attention.
    fn default() -> Self {
        Sasnet::default().into()
    }
}

impl Network {
    /// The network of an architecture, by its name; what `sizes` leaves open is as in the paper.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name, and sizes that it does not have or out of range.
    pub fn build(name: &str, sizes: &Sizes) -> Result<Network> {
        match sizes.not_in(&Network::build_as(name, &Sizes::default())?.sizes()) {
            Some(what) => Err(Error::Invalid(format!("an architecture {name} has no {what} to choose"))),
            None => Network::build_as(name, sizes),
        }
    }

    fn build_as(name: &str, sizes: &Sizes) -> Result<Network> {
        named!(name, build(sizes));
        Err(Error::Invalid(format!("there is no architecture {name}; give one of: {}", names().join(", "))))
    }

    /// Takes what a weights file's metadata says of the network out of it. An error says what is wrong.
    pub(crate) fn parse(metadata: &mut BTreeMap<String, String>) -> Result<Network, String> {
        let name = metadata.remove("architecture").unwrap_or(Sasnet::NAMES[0].to_string());
        let network = Network::parse_as(&name, metadata)?;
        match metadata.remove("scale") {
            Some(text) if text != network.scale().to_string() => {
                Err(wrong("scale", &text, &format!("{}, which the network makes it", network.scale())))
            }
            _ => Ok(network),
        }
    }

    fn parse_as(name: &str, metadata: &mut BTreeMap<String, String>) -> Result<Network, String> {
        named!(name, parse(metadata));
        Err(format!("the header's \"architecture\" is {name:?}; give one of: {}", names().join(", ")))
    }

    /// Returns what a weights file's metadata says of it. The name only where it is no SASNet: files did not say it
    /// before there were others.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = each!(self, n => n.metadata());
        metadata.insert("scale".into(), self.scale().to_string());
        if self.name() != Sasnet::NAMES[0] {
            metadata.insert("architecture".into(), self.name().into());
        }
        metadata
    }

    /// Names of all architectures.
    pub fn names() -> Vec<&'static str> {
        names()
    }

    /// Name of the architecture.
    pub fn name(&self) -> &'static str {
        each!(self, n => n.name())
    }

    /// For people, of whatever size: what it is, in a line.
    pub fn about(&self) -> &'static str {
        each!(self, n => n.about())
    }

    /// Its sizes; None is what it does not have.
    pub fn sizes(&self) -> Sizes {
        each!(self, n => n.sizes())
    }

    /// For people: its sizes, as "4 blocks, 48 features".
    pub fn describe(&self) -> String {
        each!(self, n => n.describe())
    }

    /// Names, dimensions and order of all parameters.
    pub fn layout(&self) -> Layout {
        each!(self, n => n.layout())
    }

    /// The network that smooths: the same, each batch normalisation folded into the convolution before it.
    #[must_use]
    pub fn folded(&self) -> Network {
        each!(self, n => n.folded().into())
    }

    /// The parameters of [`Network::folded`] that do what `params`, flat, do at test time.
    pub fn fold(&self, params: &[f64]) -> Vec<f64> {
        match each!(self, n => n.normalisations()) {
            pairs if pairs.is_empty() => params.to_vec(),
            pairs => normalised::fold_params(&self.layout(), &pairs, params),
        }
    }

    /// Sides of a picture are padded to a multiple of it.
    pub fn scale(&self) -> usize {
        each!(self, n => n.scale())
    }

    /// Pixels on each side that a pixel of the result depends on; None: on the whole picture.
    pub fn receptive_field(&self) -> Option<usize> {
        each!(self, n => n.receptive_field())
    }

    /// Shape of the noise that it takes for a picture of shape `x`; None where it takes none.
    pub fn noise_shape(&self, x: Shape) -> Option<Shape> {
        each!(self, n => n.noise_shape(x))
    }

    /// Tells whether it takes noise.
    pub fn takes_noise(&self) -> bool {
        let side = self.scale();
        self.noise_shape(Shape::new(1, 3, side, side)).is_some()
    }

    /// Checks that it takes noise of this scale.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it takes none, and the scale is not 0.
    pub fn check_noise(&self, scale: f32) -> Result<()> {
        if !(0.0..=MAX_NOISE).contains(&scale) {
            return Err(Error::Invalid(format!("the noise scale is {scale}; give a number from 0 to {MAX_NOISE}")));
        }
        if scale == 0.0 || self.takes_noise() {
            return Ok(());
        }
        let network = format!("{} of {}", self.name(), self.describe());
        Err(Error::Invalid(format!("the noise scale is {scale}; give 0, as this network takes none: {network}")))
    }

    /// Tells whether the way back can rebuild each block's input from its output.
    pub fn is_invertible(&self) -> bool {
        each!(self, n => n.is_invertible())
    }

    /// Tells whether this parameter is 0 before training, where others are random.
    pub(crate) fn begins_as_zero(&self, parameter: &str) -> bool {
        each!(self, n => n.begins_as_zero(parameter))
    }

    /// Tells whether this parameter is of those without which each block is the identity.
    pub(crate) fn ends_a_block(&self, parameter: &str) -> bool {
        each!(self, n => n.ends_a_block(parameter))
    }

    /// Tells whether it has blocks that can begin as the identity.
    pub fn has_identity(&self) -> bool {
        self.layout().entries().iter().any(|entry| self.ends_a_block(&entry.name))
    }

    /// Parameters of a network of the sizes `larger`, all given, that compute what this one does with `params`.
    /// `initial` makes random ones.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it cannot be grown.
    pub fn grow(&self, params: &[f32], larger: &Sizes, initial: &dyn Fn() -> Vec<f32>) -> Result<Vec<f32>> {
        each!(self, n => n.grow(params, larger, initial))
    }

    /// Largest error of a result with hidden maps in f16, relative to its largest value, in units of 2^-11.
    pub fn f16_error(&self) -> f64 {
        each!(self, n => n.f16_error())
    }

    /// For people: what of [`Network::complete`] [`Network::smooth`] skips.
    pub fn skips(&self) -> Option<&'static str> {
        each!(self, n => n.skips())
    }

    /// Tells whether a picture may go through in several slabs of rows.
    pub fn takes_slabs(&self) -> bool {
        each!(self, n => n.takes_slabs())
    }

    /// How often its parts repeat, level by level: what one more costs in memory, each costs.
    pub(crate) fn repeats(&self) -> Vec<usize> {
        each!(self, n => n.repeats())
    }

    pub(crate) fn with_repeats(&self, repeats: Vec<usize>) -> Network {
        each!(self, n => n.with_repeats(repeats).into())
    }

    /// Appends the whole network to a graph: x (N, 3, H, W), sides multiples of the scale, in slabs of rows -> y of the
    /// same shape and slabs, not clipped. The rows of all slabs but the last are multiples of [`SLAB_ROWS`] times the
    /// scale. Noise has the scale and seed of [`crate::low_level::kernel::RunParams`]. `keep_features`: where there are
    /// several slabs, the features of all wait for the channel gates, instead of being computed twice.
    pub fn smooth(&self, g: &mut Graph, x: &[Value], keep_features: bool) -> Result<Slabs> {
        if x.len() != 1 && !self.takes_slabs() {
            return Err(Error::Invalid(format!(
                "{} slabs of an architecture {}, which takes one",
                x.len(),
                self.name()
            )));
        }
        each!(self, n => n.smooth(g, x, keep_features))
    }

    /// Appends its pass in training: x and target (N, 3, H, W), noise as in [`Network::noise_shape`].
    /// `store_activations`: the way back reads the activations of the way forward, instead of computing them once more.
    pub fn training(
        &self,
        g: &mut Graph,
        [x, target]: [Value; 2],
        noise: Option<Value>,
        store_activations: bool,
    ) -> Result<Pass> {
        assert_eq!(noise.map(|n| g.shape(n)), self.noise_shape(g.shape(x)), "the noise of this network");
        let pass = each!(self, n => n.training(g, [x, target], noise, store_activations))?;
        [pass.loss, pass.grads].iter().chain(pass.rebuilt.iter().flatten()).for_each(|v| g.output(*v));
        Ok(pass)
    }

    /// Appends what the paper's Table 2 counts: x -> y with nothing left out.
    pub fn complete(&self, g: &mut Graph, x: Value) -> Result<Value> {
        each!(self, n => n.complete(g, x))
    }
}

/// Says that an entry of the metadata is wrong.
fn wrong(key: &str, value: &str, want: &str) -> String {
    format!("the header's \"{key}\" is {value:?}, not {want}")
}

/// Takes an entry out of the metadata, and parses it.
fn take<T: std::str::FromStr>(metadata: &mut BTreeMap<String, String>, key: &str, want: &str) -> Result<T, String> {
    let text = metadata.remove(key).ok_or(format!("the header's metadata has no \"{key}\""))?;
    text.parse().map_err(|_| wrong(key, &text, want))
}

/// Checks a number of features.
fn check_features(features: usize) -> Result<()> {
    match features {
        1..=1024 => Ok(()),
        _ => Err(Error::Invalid(format!("features are {features}; give a number from 1 to 1024"))),
    }
}

/// A layer: weight and bias by name.
fn layer(g: &mut Graph, name: &str) -> Result<[Value; 2]> {
    Ok([g.param(&format!("{name}.weight"))?, g.param(&format!("{name}.bias"))?])
}
