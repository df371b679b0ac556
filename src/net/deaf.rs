//! DEAF on one page: "Deep Edge-Aware Filters" (Xu et al. 2015), one of the deep methods that the paper compares with. It
//! learns the differences of the smooth picture, and finds the picture that fits them and x best.
//!
//! ```text
//! f(d): r = ReLU(conv1(2 d)); r = ReLU(conv2(r)); f = (conv3(r) / n + b3) / 2    k 16, 1, 8; 3 -> F -> F -> 3
//! gy = f(Dy x);  gx = transpose(f(transpose(Dx x)))                              the same weights
//! y = argmin_u |u - x|^2 + beta (|Dx u - gx|^2 + |Dy u - gy|^2)
//! ```
//!
//! D are the differences to the next row or column, around the border; conv1 has a padding of 4, conv3 of 7, and n counts
//! the patches of 8 x 8 that cover a pixel. The differences across the border stay x's own. The authors' has 512
//! features: 754,691 parameters, 288.2 GMAC on 512x384, and 0.14 of the solve. The authors' solver is not published; this
//! equation is what its inputs fit. Trained with the squared error of the differences, without the solve.

use super::normalised::Layers;
use super::slabs::Slabs;
use super::training::{Losses, Pass};
use super::{Architecture, Sizes, check_features, layer, take};
use crate::error::{Error, Result};
use crate::graph::{Layout, Value};
use crate::ops::Graph;
use crate::ops::{
    add::Add, add::Scale, conv::Conv, conv::Padding, coverage::Coverage, differences::Differences,
    periodic_solve::PeriodicSolve, periodic_solve::roots, rows::Rows, squared_loss::SquaredLoss, transpose::Transpose,
};
use std::collections::BTreeMap;
use std::ops::Range;

/// Weight of the differences that fits results like those of L0 smoothing best.
pub const BETA: f64 = 4194.304;

/// Elements of a hidden map at a time: 32 MB.
const HIDDEN: usize = 1 << 23;
/// Fewest rows that are made at a time; 7 more are computed twice.
const FEWEST_ROWS: usize = 8;

/// A DEAF's sizes, and the weight of its solve.
#[derive(Clone, Debug, PartialEq)]
pub struct Deaf {
    features: usize,
    beta: f64,
}

/// The weight is a number.
impl Eq for Deaf {}

impl Deaf {
    /// `features` wide; the solve weights the differences by `beta`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there are 1 to 1024 features, and beta is above 0 and at most 1e6.
    pub fn new(features: usize, beta: f64) -> Result<Deaf> {
        check_features(features)?;
        if !(beta > 0.0 && beta <= 1e6) {
            return Err(Error::Invalid(format!("beta is {beta}; give a number above 0, and at most 1000000")));
        }
        Ok(Deaf { features, beta })
    }

    /// Its results at test time by name.
    pub fn outputs(&self, g: &mut Graph, x: Value) -> Result<Vec<(&'static str, Value)>> {
        let [gx, gy, y] = self.forward(g, x, self.rows(g, x))?;
        let gx = g.apply1("solve", Transpose, &[gx])?;
        Ok(vec![("dx", gx), ("dy", gy), ("y", y)])
    }

    /// Its differences and loss in training, where nothing is solved.
    pub fn losses(&self, g: &mut Graph, x: Value, target: Value) -> Result<Losses> {
        let [dx, dy] = both_differences(g, x)?;
        let [tx, ty] = both_differences(g, target)?;
        let mut results = vec![];
        let mut terms = vec![];
        for (d, t) in [(dx, tx), (dy, ty)] {
            let height = g.shape(d).h;
            let f = strip(g, d, 0..height)?;
            results.push(f);
            terms.push(g.apply1("loss", SquaredLoss { k: 2.0 }, &[f, t])?);
        }
        let gx = g.apply1("loss", Transpose, &[results[0]])?;
        let outputs = vec![("dx", gx), ("dy", results[1])];
        Ok(Losses { outputs, terms, layers: (Layers::new(false), false) })
    }

    /// Rows of differences that are made at a time.
    fn rows(&self, g: &Graph, x: Value) -> usize {
        let x = g.shape(x);
        (HIDDEN / (self.features * x.h.max(x.w))).max(FEWEST_ROWS)
    }

    /// x (N, 3, H, W), sides of 8 or more -> gx, transposed, gy, and y; `rows` of differences at a time.
    fn forward(&self, g: &mut Graph, x: Value, rows: usize) -> Result<[Value; 3]> {
        let [dx, dy] = both_differences(g, x)?;
        let mut learned = |d: Value| -> Result<[Value; 2]> {
            let height = g.shape(d).h;
            let starts = (0..height).step_by(rows);
            let strips =
                starts.map(|first| strip(g, d, first..(first + rows).min(height))).collect::<Result<Vec<_>>>()?;
            let f = match strips[..] {
                [whole] => whole,
                _ => g.apply1("conv3", Rows { first: 0, count: height }, &strips)?,
            };
            // In f32 the change of x is solved for: the same, and a thousand times as exact at the largest beta.
            let change = g.apply1("solve", Add { beta: -1.0 }, &[f, d])?;
            let back = Differences { adjoint: true, open: true };
            Ok([f, g.apply1("solve", back, &[change])?])
        };
        let ([gx, bx], [gy, by]) = (learned(dx)?, learned(dy)?);
        let bx = g.apply1("solve", Transpose, &[bx])?;
        let b = g.apply1("solve", Add { beta: 1.0 }, &[bx, by])?;
        let size = g.shape(x);
        let (along, down) = (roots(g, size.w), roots(g, size.h));
        let solve = PeriodicSolve { a: self.beta, k: self.beta, mean: false };
        Ok([gx, gy, g.apply1("solve", solve, &[x, b, along, down])?])
    }
}

/// Horizontal differences, transposed, and vertical ones: both are those of a row to the next.
fn both_differences(g: &mut Graph, x: Value) -> Result<[Value; 2]> {
    let transposed = g.apply1("differences", Transpose, &[x])?;
    let op = Differences { adjoint: false, open: false };
    Ok([g.apply1("differences", op.clone(), &[transposed])?, g.apply1("differences", op, &[x])?])
}

/// Some rows of f(d), d (N, 3, H, W) -> (N, 3, rows, W).
///
/// Row i of the result is painted by the rows i - 7 to i of the hidden maps, of which there are H - 7; row i of these reads
/// rows i - 4 to i + 11 of d.
fn strip(g: &mut Graph, d: Value, rows: Range<usize>) -> Result<Value> {
    let height = g.shape(d).h;
    if height < 8 {
        return Err(Error::Invalid(format!("the picture is {}; give sides of 8 or more", g.shape(d))));
    }
    let hidden = rows.start.saturating_sub(7)..rows.end.min(height - 7);
    let read = hidden.start.saturating_sub(4)..(hidden.end + 11).min(height);
    let part = match read == (0..height) {
        true => d,
        false => g.apply1("conv1", Rows { first: read.start, count: read.len() }, &[d])?,
    };
    let doubled = g.apply1("conv1", Scale { k: 2.0 }, &[part])?;
    let top = 4 - (hidden.start - read.start);
    let padding = Padding { top, bottom: hidden.end + 11 - read.end, left: 4, right: 4 };
    let [w, b] = layer(g, "conv1")?;
    let r = g.apply1("conv1", Conv { padding, relu: true }, &[doubled, w, b])?;
    let [w, b] = layer(g, "conv2")?;
    let r = g.apply1("conv2", Conv { padding: Padding::all(0), relu: true }, &[r, w, b])?;
    let [w, b] = layer(g, "conv3")?;
    let padding = Padding { top: 7 - (rows.start - hidden.start), bottom: rows.end - hidden.end, left: 7, right: 7 };
    let painted = g.apply1("conv3", Conv { padding, relu: false }, &[r, w])?;
    g.apply1("conv3", Coverage { first: rows.start, height }, &[painted, b])
}

impl Architecture for Deaf {
    const NAMES: &'static [&'static str] = &["deaf"];

    fn build(_: &str, sizes: &Sizes) -> Result<Deaf> {
        Deaf::new(sizes.features.unwrap_or(512), sizes.beta.unwrap_or(BETA))
    }

    fn name(&self) -> &'static str {
        "deaf"
    }

    fn about(&self) -> &'static str {
        "the edge-aware filters of Xu et al. 2015; of the paper's Table 1"
    }

    fn sizes(&self) -> Sizes {
        Sizes { features: Some(self.features), beta: Some(self.beta), ..Sizes::default() }
    }

    fn describe(&self) -> String {
        format!("deaf, {} features, beta {}", self.features, self.beta)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        [("features", self.features.to_string()), ("beta", self.beta.to_string())].map(|(k, v)| (k.into(), v)).into()
    }

    fn parse(_: &str, metadata: &mut BTreeMap<String, String>) -> Result<Deaf, String> {
        let features = take(metadata, "features", "a number")?;
        Deaf::new(features, take(metadata, "beta", "a number")?).map_err(|e| e.to_string())
    }

    fn layout(&self) -> Layout {
        let (f, mut layout) = (self.features, Layout::default());
        for (name, outputs, inputs, side) in [("conv1", f, 3, 16), ("conv2", f, f, 1), ("conv3", 3, f, 8)] {
            layout.push_layer(name, &[outputs, inputs, side, side], outputs);
        }
        layout
    }

    fn scale(&self) -> usize {
        1
    }

    /// The solve spreads through the whole picture.
    fn receptive_field(&self) -> Option<usize> {
        None
    }

    /// Its maps stay in f32.
    fn f16_error(&self) -> f64 {
        1.0
    }

    fn smooth(&self, g: &mut Graph, x: &[Value], _: bool) -> Result<Slabs> {
        let rows = self.rows(g, x[0]);
        let [.., y] = self.forward(g, x[0], rows)?;
        Ok(vec![y])
    }

    /// Its activations are always stored.
    fn training(&self, g: &mut Graph, [x, target]: [Value; 2], _: Option<Value>, _: bool) -> Result<Pass> {
        Ok(self.losses(g, x, target)?.pass(g, &[])?.0)
    }

    /// Rows at a time compute some twice, which does not count.
    fn complete(&self, g: &mut Graph, x: Value) -> Result<Value> {
        let [.., y] = self.forward(g, x, usize::MAX)?;
        Ok(y)
    }
}
