//! Finds the setting of a classical filter that is best on several sets of pictures together: tries all settings of a grid,
//! goes on from the best of them by golden section, and remembers what it tried.

use crate::digest::{EMPTY, fnv1a};
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::file::atomic_write;
use crate::filters::{Domain, Filter};
use crate::lab::dataset::pairs::Pair;
use crate::lab::eval::{Set, names_differ};
use crate::lab::metrics::psnr_of;
use crate::observer::{Observer, Progress, tell};
use crate::smooth::{Options, Smoother};
use crate::tensor::{Shape, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// A parameter with the values that are tried, as [`Filter::with`] takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The parameter's name.
    pub name: String,
    /// The values, in order.
    pub values: Vec<String>,
}

impl Axis {
    /// The axes of a method: what its parameters' grids say, but of those that `fixed` names.
    pub fn of(filter: &Filter, fixed: &[&str]) -> Vec<Axis> {
        let tried = filter.method().parameters.iter().filter(|p| !p.grid.is_empty() && !fixed.contains(&p.name));
        let axis = |p: &crate::filters::Parameter| Axis {
            name: p.name.into(),
            values: p.grid.iter().map(|v| p.text(*v)).collect(),
        };
        tried.map(axis).collect()
    }
}

/// All settings of a grid, the last axis changing first.
///
/// # Errors
/// [`Error::Invalid`] for a parameter or value that the method does not take, an axis without values, and
/// two axes of one parameter.
pub fn grid(filter: &Filter, axes: &[Axis]) -> Result<Vec<Filter>> {
    let mut names = BTreeSet::new();
    if let Some(axis) = axes.iter().find(|axis| !names.insert(&axis.name)) {
        return Err(Error::Invalid(format!("{} is tried twice: give all its values together", axis.name)));
    }
    axes.iter().try_fold(vec![filter.clone()], |settings, axis| {
        if axis.values.is_empty() {
            return Err(Error::Invalid(format!("no values of {} are to be tried", axis.name)));
        }
        let with =
            |setting: &Filter| axis.values.iter().map(|v| setting.clone().with(&axis.name, v)).collect::<Vec<_>>();
        settings.iter().flat_map(with).collect()
    })
}

/// The part of the sets that settings are tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Every so many pictures of a set, from the first on.
    pub every: usize,
    /// Side of the square in the middle that is taken; None: whole pictures.
    pub crop: Option<usize>,
}

/// What a setting scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The setting, as [`Filter`] shows itself.
    pub setting: String,
    /// Mean PSNR in dB of the 8-bit pictures, of each set.
    pub psnr: Vec<f64>,
}

impl Tried {
    /// What is largest for the best setting: the sum of the sets' means.
    pub fn score(&self) -> f64 {
        self.psnr.iter().sum()
    }
}

/// What was tried so far, to go on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// Names of the sets, with the pictures that are taken of each.
    pub sets: Vec<(String, usize)>,
    /// Digest of the files of these pictures, hexadecimal.
    #[serde(default)]
    pub digest: String,
    /// The part of them.
    pub part: Part,
    /// The settings, in the order in which they were tried.
    pub tried: Vec<Tried>,
}

impl Log {
    /// Nothing tried yet.
    ///
    /// # Errors
    /// [`Error::Io`] where a picture's file cannot be read, [`Error::Invalid`] for two sets of one name.
    pub fn new(sets: &[Set], part: Part) -> Result<Log> {
        names_differ("set", sets.iter().map(|set| set.name.as_str()))?;
        let pairs = sets.iter().flat_map(|set| set.pairs.iter().step_by(part.every));
        let digest = pairs.flat_map(Pair::files).try_fold(EMPTY, |digest, path| {
            std::fs::read(path).map(|bytes| fnv1a(digest, &bytes)).map_err(Error::io(path))
        })?;
        let sets = sets.iter().map(|set| (set.name.clone(), set.pairs.len().div_ceil(part.every))).collect();
        Ok(Log { sets, digest: format!("{digest:016x}"), part, tried: vec![] })
    }

    /// Goes on from a file where there is one.
    ///
    /// # Errors
    /// [`Error::File`] where it is none of these, or of other pictures.
    pub fn resume(self, path: &Path) -> Result<Log> {
        if !path.exists() {
            return Ok(self);
        }
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let log: Log =
            serde_json::from_str(&text).map_err(|e| Error::file(path, format!("is no log of settings: {e}")))?;
        if (&log.sets, &log.digest, log.part) != (&self.sets, &self.digest, self.part) {
            return Err(Error::file(
                path,
                "is of other pictures; give another name, or the same sets, --every and --crop",
            ));
        }
        Ok(log)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("plain data");
        atomic_write(path, |out| writeln!(out, "{text}").map_err(Error::io(path)))
    }
}

/// PSNR of pictures that are equal, in dB.
const MOST: f64 = 100.0;

/// A picture's name, the picture, its ground truth.
type Scene = (String, Tensor, Tensor);

/// The search for a setting: the pictures, and the log of what was tried on them.
pub struct Search<'a> {
    /// Of each set its name, and of each picture its name, input and ground truth.
    sets: Vec<(String, Vec<Scene>)>,
    device: &'a Device,
    log: &'a mut Log,
    observer: &'a mut dyn Observer,
    each: &'a mut dyn FnMut(&Log) -> Result<()>,
    /// What was asked for, in this order: the log may have more.
    asked: Vec<Tried>,
}

impl<'a> Search<'a> {
    /// Reads the part of the sets that the log is of. The observer hears of each picture on which a setting is tried; `each`
    /// gets the log after each setting that it did not have yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] without pictures, and those of [`Pair::read`].
    pub fn new(
        sets: &[Set],
        device: &'a Device,
        log: &'a mut Log,
        observer: &'a mut dyn Observer,
        each: &'a mut dyn FnMut(&Log) -> Result<()>,
    ) -> Result<Search<'a>> {
        let part = log.part;
        let read = |pair: &Pair| -> Result<_> {
            let (x, truth) = pair.read()?;
            Ok((pair.name(), middle(x, part.crop), middle(truth, part.crop)))
        };
        let taken = |set: &Set| -> Result<_> {
            Ok((set.name.clone(), set.pairs.iter().step_by(part.every).map(read).collect::<Result<Vec<_>>>()?))
        };
        let sets = sets.iter().map(taken).collect::<Result<Vec<_>>>()?;
        if sets.is_empty() || sets.iter().any(|(_, pictures)| pictures.is_empty()) {
            return Err(Error::Invalid("give sets of one picture or more".into()));
        }
        Ok(Search { sets, device, log, observer, each, asked: vec![] })
    }

    /// What a setting scores: as the log has it, or tried now.
    ///
    /// # Errors
    /// Those of smoothing, what `each` returns, and [`Error::Cancelled`].
    pub fn score(&mut self, filter: &Filter) -> Result<f64> {
        let setting = filter.to_string();
        let is_it = |tried: &&Tried| tried.setting == setting;
        let tried = match self.log.tried.iter().find(is_it) {
            Some(tried) => tried.clone(),
            None => {
                let tried = Tried { psnr: self.smooth(filter)?, setting: setting.clone() };
                self.log.tried.push(tried.clone());
                (self.each)(self.log)?;
                tried
            }
        };
        let score = tried.score();
        if !self.asked.iter().any(|tried| tried.setting == setting) {
            self.asked.push(tried);
        }
        Ok(score)
    }

    /// Mean PSNR of each set, smoothed by a filter.
    fn smooth(&mut self, filter: &Filter) -> Result<Vec<f64>> {
        let mut smoother = Smoother::new(filter.clone(), self.device.clone());
        let mut psnr = vec![];
        for (set, pictures) in &self.sets {
            let mut sum = 0.0;
            for (picture, x, truth) in pictures {
                tell(self.observer, Progress::Scoring { set, picture })?;
                let y =
                    smoother.smooth_observed(x, &Options::default(), self.observer).map_err(Error::about(picture))?;
                // A picture that is met exactly must not outweigh all others.
                sum += psnr_of(&y, truth).map_err(Error::about(picture))?.min(MOST);
            }
            psnr.push(sum / pictures.len() as f64);
        }
        Ok(psnr)
    }

    /// All settings that were asked for, the best first.
    pub fn ranked(mut self) -> Vec<Tried> {
        self.asked.sort_by(|a, b| b.score().total_cmp(&a.score()));
        self.asked
    }

    /// The best of these settings, the first of equal ones.
    ///
    /// # Errors
    /// [`Error::Invalid`] for none, and those of [`Search::score`].
    pub fn best(&mut self, settings: &[Filter]) -> Result<Filter> {
        let mut best: Option<(f64, &Filter)> = None;
        for filter in settings {
            let score = self.score(filter)?;
            if best.is_none_or(|(least, _)| score > least) {
                best = Some((score, filter));
            }
        }
        best.map(|(_, filter)| filter.clone()).ok_or_else(|| Error::Invalid("no settings are to be tried".into()))
    }

    /// Goes on from a setting: of each axis in turn that is a real number, a golden section between the values beside its
    /// own, `steps` settings each (Kiefer 1953). Distances are of logarithms where all values are positive.
    ///
    /// # Errors
    /// Those of [`Search::score`].
    pub fn golden(&mut self, from: Filter, axes: &[Axis], steps: usize) -> Result<Filter> {
        let ratio = (5f64.sqrt() - 1.0) / 2.0;
        axes.iter().try_fold(from, |from, axis| {
            let Some(Bracket { low, high, is_log }) = Bracket::around(&from, axis) else { return Ok(from) };
            let at = |v: f64| {
                // Four digits, so that settings read well and are found again in a log.
                let value: f64 = format!("{:.3e}", if is_log { v.exp() } else { v }).parse().expect("a number");
                from.clone().with(&axis.name, value)
            };
            let (mut a, mut b) = (low, high);
            let mut inner = [b - ratio * (b - a), a + ratio * (b - a)];
            let mut tried = vec![at(inner[0])?, at(inner[1])?];
            let mut scores = [self.score(&tried[0])?, self.score(&tried[1])?];
            for _ in 2..steps {
                let left = scores[0] > scores[1];
                if left {
                    b = inner[1];
                    inner = [b - ratio * (b - a), inner[0]];
                } else {
                    a = inner[0];
                    inner = [inner[1], a + ratio * (b - a)];
                }
                let new = at(inner[usize::from(!left)])?;
                let score = self.score(&new)?;
                scores = if left { [score, scores[0]] } else { [scores[1], score] };
                tried.push(new);
            }
            // First, so that it stays where nothing is better.
            tried.insert(0, from);
            self.best(&tried)
        })
    }
}

/// The values of an axis beside a setting's own, or their logarithms.
struct Bracket {
    low: f64,
    high: f64,
    is_log: bool,
}

impl Bracket {
    /// None where the axis has no room: one value, or none that is a real number.
    fn around(filter: &Filter, axis: &Axis) -> Option<Bracket> {
        let (parameter, own) = filter.values().find(|(parameter, _)| parameter.name == axis.name)?;
        let Domain::Real(..) = parameter.domain else { return None };
        let mut values: Vec<f64> = axis.values.iter().map(|v| v.parse().expect("the grid was made of it")).collect();
        values.sort_by(f64::total_cmp);
        let i = values.iter().position(|v| *v == own)?;
        let (low, high) = (values[i.saturating_sub(1)], values[(i + 1).min(values.len() - 1)]);
        let is_log = low > 0.0;
        let scaled = |v: f64| if is_log { v.ln() } else { v };
        (low < high).then_some(Bracket { low: scaled(low), high: scaled(high), is_log })
    }
}

/// The square of this side in the middle, or as much of it as there is.
fn middle(x: Tensor, side: Option<usize>) -> Tensor {
    let Some(side) = side else { return x };
    let Shape { h, w, .. } = x.shape;
    let (height, width) = (side.min(h), side.min(w));
    let (top, left) = ((h - height) / 2, (w - width) / 2);
    let rows = x.data.chunks_exact(h * w).flat_map(|plane| plane.chunks_exact(w).skip(top).take(height));
    Tensor::new(Shape { h: height, w: width, ..x.shape }, rows.flat_map(|row| row[left..][..width].to_vec()).collect())
}

/// Tells for which axes a setting has the first or last of several numbers: a better one may lie beyond.
pub fn at_the_border<'a>(filter: &Filter, axes: &'a [Axis]) -> Vec<&'a str> {
    let is_at_border = |axis: &&Axis| {
        let parameter = filter.method().parameters.iter().find(|p| p.name == axis.name);
        let is_number = parameter.is_some_and(|p| !matches!(p.domain, Domain::Choice(_)));
        let same =
            |v: Option<&String>| v.and_then(|v| filter.clone().with(&axis.name, v).ok()).as_ref() == Some(filter);
        is_number && axis.values.len() > 1 && (same(axis.values.first()) || same(axis.values.last()))
    };
    axes.iter().filter(is_at_border).map(|axis| axis.name.as_str()).collect()
}
