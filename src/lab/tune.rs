//! Finds the setting of a classical filter that is best on several sets of pictures together: tries all settings of a grid,
//! and remembers what it tried.

use crate::error::{Error, Result};
use crate::exec::Device;
use crate::file::atomic_write;
use crate::filters::{Domain, Filter};
use crate::lab::eval::Set;
use crate::lab::metrics::psnr_of;
use crate::observer::{Observer, Progress, tell};
use crate::smooth::{Options, Smoother};
use crate::tensor::{Shape, Tensor};
use serde::{Deserialize, Serialize};
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
/// [`Error::Invalid`] for a parameter or value that the method does not take, and an axis without values.
pub fn grid(filter: &Filter, axes: &[Axis]) -> Result<Vec<Filter>> {
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
    /// The part of them.
    pub part: Part,
    /// The settings, in the order in which they were tried.
    pub tried: Vec<Tried>,
}

impl Log {
    /// Nothing tried yet.
    pub fn new(sets: &[Set], part: Part) -> Log {
        let sets = sets.iter().map(|set| (set.name.clone(), set.pairs.len().div_ceil(part.every))).collect();
        Log { sets, part, tried: vec![] }
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
        if (&log.sets, log.part) != (&self.sets, self.part) {
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

    fn find(&self, setting: &str) -> Option<&Tried> {
        self.tried.iter().find(|tried| tried.setting == setting)
    }
}

/// PSNR of pictures that are equal, in dB.
const MOST: f64 = 100.0;

/// Tries those settings that the log does not have yet; `each` gets the log after each of them. Returns what all scored,
/// the best first. The observer hears of each picture.
///
/// # Errors
/// [`Error::Invalid`] without settings or pictures; those of [`crate::lab::dataset::pairs::Pair::read`] and of smoothing;
/// what `each` returns, and [`Error::Cancelled`].
pub fn tune(
    settings: &[Filter],
    sets: &[Set],
    device: &Device,
    log: &mut Log,
    observer: &mut dyn Observer,
    each: &mut dyn FnMut(&Log) -> Result<()>,
) -> Result<Vec<Tried>> {
    let part = log.part;
    let mut pictures = vec![];
    for set in sets {
        let read = |pair: &crate::lab::dataset::pairs::Pair| -> Result<(String, Tensor, Tensor)> {
            let (x, truth) = pair.read()?;
            Ok((pair.name(), middle(x, part.crop), middle(truth, part.crop)))
        };
        pictures.push(set.pairs.iter().step_by(part.every).map(read).collect::<Result<Vec<_>>>()?);
    }
    if settings.is_empty() || pictures.iter().any(Vec::is_empty) || pictures.is_empty() {
        return Err(Error::Invalid("give settings to try, and sets of one picture or more".into()));
    }
    for filter in settings {
        let setting = filter.to_string();
        if log.find(&setting).is_some() {
            continue;
        }
        let mut smoother = Smoother::new(filter.clone(), device.clone());
        let mut psnr = vec![];
        for (set, pictures) in sets.iter().zip(&pictures) {
            let mut sum = 0.0;
            for (name, x, truth) in pictures {
                tell(observer, Progress::Scoring { set: &set.name, picture: name })?;
                let y = smoother.smooth_observed(x, &Options::default(), observer).map_err(Error::about(name))?;
                // A picture that is met exactly must not outweigh all others.
                sum += psnr_of(&y, truth).map_err(Error::about(name))?.min(MOST);
            }
            psnr.push(sum / pictures.len() as f64);
        }
        log.tried.push(Tried { setting, psnr });
        each(log)?;
    }
    let found = settings.iter().map(|filter| log.find(&filter.to_string()).expect("all were tried").clone());
    let mut found: Vec<Tried> = found.collect();
    found.sort_by(|a, b| b.score().total_cmp(&a.score()));
    Ok(found)
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
