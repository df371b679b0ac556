//! Fits a picture of any size into a given memory: in slabs of rows, as few as it takes.
//!
//! Each slab goes through a residual block with a halo of rows, and all of them before the next one begins, since
//! channel attention needs the whole map's mean and maximum. The result is that of one slab, bit for bit; what more
//! slabs cost is the work on the halos and, where not even one map of features has room, on computing all features
//! twice.

use crate::error::{Error, Limit, Result, TooLarge};
use crate::graph::Value;
use crate::net::{Network, SLAB_ROWS};
use crate::ops::Graph;
use crate::plan::{Plan, Target};
use crate::tensor::Shape;

/// What smooths a picture, as far as memory goes: a network, or a filter.
pub trait Subject {
    /// What it is, for messages.
    fn what(&self) -> String;

    /// In how many slabs at most it takes a picture, and whether it may compute features twice instead of keeping them.
    fn slabs(&self, shape: Shape) -> (usize, bool);

    /// The graph of a picture of this shape, cut so.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a shape that it does not take.
    fn graph(&self, cut: Cut, shape: Shape) -> Result<CutGraph>;

    /// Bytes that this graph's plan takes, or nearly so.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where it cannot be at all.
    fn estimate(&self, cut: Cut, shape: Shape, target: Target) -> Result<u64>;
}

/// In how many slabs, and what is kept meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Slabs at most; their rows are multiples of [`SLAB_ROWS`] at the coarsest scale.
    pub count: usize,
    /// Keep all slabs' features until the channel gates are known, instead of computing them twice.
    pub keep_features: bool,
}

/// The graph that smooths a picture, with its inputs and outputs: slabs of rows, from top to bottom.
pub struct CutGraph {
    /// The graph.
    pub graph: Graph,
    /// Its input (1, 3, H, W), sides multiples of the network's scale.
    pub x: Vec<Value>,
    /// Its output, of the same shapes.
    pub y: Vec<Value>,
    /// How it is cut.
    pub cut: Cut,
}

impl Cut {
    /// The picture in one piece.
    pub const WHOLE: Cut = Cut { count: 1, keep_features: true };

    /// The graph of a picture of this shape, sides multiples of the network's scale, over the parameters of
    /// [`Network::folded`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for another shape, or one of more than 2^40 pixels.
    pub fn graph(self, subject: &dyn Subject, shape: Shape) -> Result<CutGraph> {
        subject.graph(self, shape)
    }

    /// The cheapest way for a picture of this shape that needs no more than `max_memory` bytes, with its plan.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where none does, with what the smallest needs; not everything can be cut.
    pub fn within(subject: &dyn Subject, shape: Shape, target: Target, max_memory: u64) -> Result<(CutGraph, Plan)> {
        let mut tried = Tried { max_memory, ..Tried::default() };
        for cut in Cut::all(subject, shape) {
            if !tried.fits(cut.estimate(subject, shape, target, max_memory))? {
                continue;
            }
            let cut_graph = cut.graph(subject, shape)?;
            let plan = Plan::new(&cut_graph.graph, target)?;
            if tried.fits(Ok(plan.peak_bytes()))? {
                return Ok((cut_graph, plan));
            }
        }
        Err(tried.error(subject))
    }

    /// Checks that there is a way, in less time than [`Cut::within`] takes.
    pub fn fit(subject: &dyn Subject, shape: Shape, target: Target, max_memory: u64) -> Result<()> {
        let mut tried = Tried { max_memory, ..Tried::default() };
        // Those that take least come last.
        for cut in Cut::all(subject, shape).rev() {
            if tried.fits(cut.estimate(subject, shape, target, max_memory))? {
                return Ok(());
            }
        }
        Err(tried.error(subject))
    }

    /// Bytes that the cut which takes least needs.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where it cannot be at all.
    pub fn needs(subject: &dyn Subject, shape: Shape, target: Target) -> Result<u64> {
        let least = Cut::all(subject, shape).next_back().expect("one way is always there");
        least.estimate(subject, shape, target, u64::MAX)
    }

    /// All that are tried, the fastest first: counts in steps of a half or less.
    fn all(subject: &dyn Subject, shape: Shape) -> impl DoubleEndedIterator<Item = Cut> {
        let (most, twice) = subject.slabs(shape);
        let most = most.min(MOST);
        let next = |&n: &usize| (n < most).then(|| (n + n.div_ceil(2)).min(most));
        let counts: Vec<usize> = std::iter::successors(Some(1), next).collect();
        let again: Vec<usize> = if twice { counts[1..].to_vec() } else { vec![] };
        let with = |keep_features| move |count| Cut { count, keep_features };
        counts.into_iter().map(with(true)).chain(again.into_iter().map(with(false)))
    }

    fn estimate(self, subject: &dyn Subject, shape: Shape, target: Target, max_memory: u64) -> Result<u64> {
        // The picture itself is there at once; no plan can take less.
        let picture = (shape.len() as u64).saturating_mul(4);
        if picture > max_memory { Ok(picture) } else { subject.estimate(self, shape, target) }
    }
}

impl Subject for Network {
    fn what(&self) -> String {
        match self.takes_slabs() {
            true => "the network".to_string(),
            false => format!("an architecture {} (which cannot be cut into slabs)", self.name()),
        }
    }

    fn slabs(&self, shape: Shape) -> (usize, bool) {
        (if self.takes_slabs() { shape.h.div_ceil(SLAB_ROWS * self.scale()) } else { 1 }, true)
    }

    fn graph(&self, cut: Cut, shape: Shape) -> Result<CutGraph> {
        let scale = self.scale();
        let fits = |side: usize| side > 0 && side.is_multiple_of(scale);
        if shape.n == 0 || shape.c != 3 || !fits(shape.h) || !fits(shape.w) {
            return Err(Error::Invalid(format!(
                "the picture is {shape}; give Nx3 channels of sides that are multiples of {scale}, and one at least"
            )));
        }
        if shape.n.saturating_mul(shape.plane()) > MOST_PIXELS {
            return Err(Error::Invalid(format!("the picture is {shape}; it may have {MOST_PIXELS} pixels at most")));
        }
        let unit = SLAB_ROWS * scale;
        let rows = shape.h.div_ceil(unit).div_ceil(cut.count) * unit;
        let network = self.folded();
        let mut graph = Graph::new(network.layout());
        let heights = (0..shape.h).step_by(rows).map(|first| rows.min(shape.h - first));
        let x: Vec<Value> = heights.map(|h| graph.input("x", Shape { h, ..shape })).collect();
        let y = network.smooth(&mut graph, &x, cut.keep_features)?;
        y.iter().for_each(|y| graph.output(*y));
        Ok(CutGraph { graph, x, y, cut })
    }

    /// By the plans of a network of fewer blocks: what more than two of a scale cost is added, not planned.
    fn estimate(&self, cut: Cut, shape: Shape, target: Target) -> Result<u64> {
        let peak = |repeats: Vec<usize>| -> Result<u64> {
            let cut_graph = cut.graph(&self.with_repeats(repeats), shape)?;
            Ok(Plan::new(&cut_graph.graph, target)?.peak_bytes())
        };
        let repeats = self.repeats();
        let few: Vec<usize> = repeats.iter().map(|&n| n.min(2)).collect();
        let base = peak(few.clone())?;
        let mut sum = base;
        for (level, &n) in repeats.iter().enumerate().filter(|(_, n)| **n > 2) {
            let mut fewer = few.clone();
            fewer[level] = 1;
            // Weights and kernels' parameters.
            sum += (n as u64 - 2) * base.saturating_sub(peak(fewer)?);
        }
        Ok(sum)
    }
}

/// More pixels than anybody has; bytes are counted in 64 bits. With addresses of 32 bits, more than fit.
pub const MOST_PIXELS: usize = if usize::BITS == 64 { 1 << 40 } else { 1 << 28 };

/// More slabs than these take more time to plan than they save memory.
const MOST: usize = 64;

/// The cuts that were tried and did not fit.
#[derive(Default)]
struct Tried {
    max_memory: u64,
    /// The fewest bytes that a way needs.
    smallest: Option<u64>,
    /// Why another cannot be at all.
    impossible: Option<Error>,
}

impl Tried {
    /// Tells whether a way that takes these bytes fits. Only what is too large is a reason to go on.
    fn fits(&mut self, bytes: Result<u64>) -> Result<bool> {
        match bytes {
            Ok(bytes) if bytes <= self.max_memory => return Ok(true),
            Ok(bytes) => self.smallest = Some(self.smallest.map_or(bytes, |b| b.min(bytes))),
            Err(error @ Error::TooLarge(_)) => self.impossible = Some(error),
            Err(other) => return Err(other),
        }
        Ok(false)
    }

    fn error(self, subject: &dyn Subject) -> Error {
        match (self.smallest, self.impossible) {
            (Some(bytes), _) => TooLarge::new(subject.what(), Limit::Memory, bytes, self.max_memory).into(),
            (None, Some(error)) => error,
            (None, None) => unreachable!("one way is always tried"),
        }
    }
}
