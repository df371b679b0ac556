//! Networks side by side on sets of pictures with ground truths: the paper's Table 1, and with sizes and operations its
//! Table 3.

use crate::digest::{EMPTY, fnv1a};
use crate::error::{Error, Result};
use crate::file::atomic_write;
use crate::filters::Filter;
use crate::lab::dataset::pairs::Pair;
use crate::lab::metrics::{Row, Scores, score};
use crate::lab::shard::Shard;
use crate::net::count::{COUNTED, full_network};
use crate::observer::{Observer, Progress, tell};
use crate::smooth::{Options, Smoother};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

mod merge;
pub(super) mod table;
mod worst;

pub use table::{PUBLISHED_GAINS, TableOptions};
pub use worst::Worst;

/// Pictures that are scored together.
#[derive(Clone, Debug)]
pub struct Set {
    /// As the table calls it.
    pub name: String,
    /// Its pictures.
    pub pairs: Vec<Pair>,
}

/// A network or a filter to be scored.
pub struct Candidate {
    /// As the table calls it.
    pub label: String,
    /// Where its weights are from; a filter with its parameters.
    pub file: String,
    /// It on its device.
    pub smoother: Smoother,
}

impl Candidate {
    /// These options, without those that a filter does not have.
    pub fn options(&self, options: &Options) -> Options {
        match self.smoother.weights() {
            Some(_) => options.clone(),
            None => Options { noise: None, ensemble: false, ..options.clone() },
        }
    }
}

/// A scored picture.
pub struct Scored<'a> {
    /// Name of its set.
    pub set: &'a str,
    /// Its scores.
    pub image: &'a Image,
    /// Textured picture, (1, 3, H, W).
    pub input: &'a Tensor,
    /// Ground truth.
    pub truth: &'a Tensor,
    /// The input as each network smoothed it.
    pub results: &'a [Tensor],
}

/// All scores, with all that is needed to get them again. An infinite PSNR (equal pictures) is `null` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of this library.
    pub version: String,
    /// In words.
    pub device: String,
    /// How the networks smoothed; `noise` is `null` where each took its own scale.
    pub options: Options,
    /// In the order of the scores below.
    pub networks: Vec<Network>,
    /// Which part of all pictures was scored.
    pub shard: Shard,
    /// How many all are.
    pub pictures: usize,
    /// In the order given; of a shard those that it has pictures of.
    pub sets: Vec<SetScores>,
}

/// A network of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// As the table calls it.
    pub label: String,
    /// Where its weights are from; a filter with its parameters.
    pub file: String,
    /// Weights and biases; a filter has none.
    pub parameters: usize,
    /// 10^9 multiply-accumulates for [`COUNTED`], the full network as the paper counts it: both directions complete,
    /// without biases and activations.
    pub gmac: f64,
    /// Scale of the noise that it smoothed with.
    pub noise: f32,
    /// The filter that finished its results, with its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// Digest of the weights and biases, hexadecimal; a filter has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The file's metadata: architecture, training.
    pub metadata: BTreeMap<String, String>,
}

/// The scores of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetScores {
    /// As the table calls it.
    pub name: String,
    /// Mean of the inputs.
    pub input: Scores,
    /// Mean of each network.
    pub networks: Vec<Scores>,
    /// Each picture.
    pub images: Vec<Image>,
}

/// The scores of a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Its file's name, without extension.
    pub name: String,
    /// Where it lies.
    pub file: String,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Before smoothing.
    pub input: Scores,
    /// After smoothing, by each network.
    pub networks: Vec<Scores>,
}

/// Scores all networks on all sets, or on a shard of their pictures ([`Report::merge`] joins those). Each picture is
/// read and scored as it is before the first is smoothed: one that is damaged, has the wrong size or does not fit the
/// device is found in seconds, not after hours. It is then read once more, for all networks.
///
/// # Errors
/// [`Error::Invalid`] where there is no set, no network or no picture, or two of them are called the same; otherwise
/// those of [`Pair::read`], [`score`] and [`Smoother::smooth`], as [`Error::File`] of the picture; what `scored`
/// returns, which gets each picture when all networks have smoothed it, and [`Error::Cancelled`].
pub fn evaluate(
    sets: &[Set],
    shard: Shard,
    candidates: &mut [Candidate],
    options: &Options,
    observer: &mut dyn Observer,
    scored: &mut dyn FnMut(&Scored) -> Result<()>,
) -> Result<Report> {
    names_differ("set", sets.iter().map(|s| s.name.as_str()))?;
    names_differ("network", candidates.iter().map(|c| c.label.as_str()))?;
    let (Some(first), false) = (candidates.first(), sets.iter().any(|set| set.pairs.is_empty())) else {
        return Err(Error::Invalid("give a network, and sets of one picture or more".into()));
    };
    let device = first.smoother.device().describe();
    let networks = candidates.iter().map(|candidate| Network::of(candidate, options)).collect::<Result<_>>()?;

    let pictures = sets.iter().map(|set| set.pairs.len()).sum();
    let sets = part(sets, shard);
    let mut fitting = BTreeSet::new();
    for pair in sets.iter().flat_map(|set| &set.pairs) {
        let (h, w) = pair.size()?;
        if fitting.insert((h, w)) {
            candidates.iter().try_for_each(|c| c.smoother.check(h, w)).map_err(pair.about())?;
        }
    }
    let mut before = vec![];
    for pair in sets.iter().flat_map(|set| &set.pairs) {
        tell(observer, Progress::Checking { picture: &pair.name() })?;
        let (input, truth) = pair.read()?;
        before.push(score(&input, &truth).map_err(pair.about())?);
    }
    let mut before = before.into_iter();
    let mut evaluated = vec![];
    for set in &sets {
        let mut images = vec![];
        for (pair, input) in set.pairs.iter().zip(&mut before) {
            images.push(image(set, pair, input, candidates, options, observer, scored)?);
        }
        evaluated.push(SetScores::of(set.name.clone(), images));
    }
    let (version, options) = (env!("CARGO_PKG_VERSION").into(), options.clone());
    Ok(Report { version, device, options, networks, shard, pictures, sets: evaluated })
}

/// The pictures of a shard, numbered from set to set; without sets of which it has none.
fn part(sets: &[Set], shard: Shard) -> Vec<Set> {
    let all = sets.iter().flat_map(|set| set.pairs.iter().map(move |pair| (&set.name, pair)));
    let mut part: Vec<Set> = vec![];
    for (name, pair) in shard.part(all) {
        match part.last_mut() {
            Some(set) if set.name == *name => set.pairs.push(pair.clone()),
            _ => part.push(Set { name: name.clone(), pairs: vec![pair.clone()] }),
        }
    }
    part
}

impl SetScores {
    /// With the means of its pictures, which are one or more.
    fn of(name: String, images: Vec<Image>) -> SetScores {
        let mean = |scores: &dyn Fn(&Image) -> Scores| {
            let all: Vec<Scores> = images.iter().map(scores).collect();
            Scores::mean(&all).expect("no set is empty")
        };
        let networks = (0..images[0].networks.len()).map(|i| mean(&|image| image.networks[i])).collect();
        SetScores { name, input: mean(&|image| image.input), networks, images }
    }
}

fn image(
    set: &Set,
    pair: &Pair,
    input_scores: Scores,
    candidates: &mut [Candidate],
    options: &Options,
    observer: &mut dyn Observer,
    scored: &mut dyn FnMut(&Scored) -> Result<()>,
) -> Result<Image> {
    tell(observer, Progress::Scoring { set: &set.name, picture: &pair.name() })?;
    let (input, truth) = pair.read()?;
    let mut results = vec![];
    for candidate in candidates {
        let result = candidate.smoother.smooth_observed(&input, &candidate.options(options), observer);
        results.push(result.map_err(pair.about())?);
    }
    let image = Image {
        name: pair.name(),
        file: pair.input.display().to_string(),
        height: input.shape.h,
        width: input.shape.w,
        input: input_scores,
        networks: results.iter().map(|y| score(y, &truth)).collect::<Result<_>>().map_err(pair.about())?,
    };
    scored(&Scored { set: &set.name, image: &image, input: &input, truth: &truth, results: &results })?;
    Ok(image)
}

/// Checks that no two have the same name.
pub fn names_differ<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::Invalid(format!("two {what}s are called {name:?}: give them names of their own")));
        }
    }
    Ok(())
}

impl Network {
    fn of(candidate: &Candidate, options: &Options) -> Result<Network> {
        let (label, file) = (candidate.label.clone(), candidate.file.clone());
        let Some(weights) = candidate.smoother.weights() else {
            let (parameters, gmac, noise, finish, digest, metadata) = Default::default();
            return Ok(Network { label, file, parameters, gmac, noise, finish, digest, metadata });
        };
        Ok(Network {
            label,
            file,
            parameters: weights.network.layout().parameters(),
            gmac: full_network(&weights.network, COUNTED)?.macs() as f64 / 1e9,
            noise: options.noise.map_or_else(|| weights.noise(), Ok)?,
            finish: candidate.smoother.finish().map(Filter::to_string),
            digest: Some(format!("{:016x}", fnv1a(EMPTY, bytemuck::cast_slice(&weights.params)))),
            metadata: weights.header(),
        })
    }
}

impl Report {
    /// One row a picture and network.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.sets.iter().flat_map(move |set| {
            set.images.iter().flat_map(move |image| {
                let networks = self.networks.iter().zip(&image.networks);
                networks.map(|(n, scores)| Row::new([&set.name, &n.label, &image.name], image.input, *scores))
            })
        })
    }

    /// Writes [`Report::rows`] as CSV, every digit.
    pub fn write_csv(&self, path: &Path) -> Result<()> {
        atomic_write(path, |out| {
            let mut writer = csv::Writer::from_writer(out);
            self.rows().try_for_each(|row| writer.serialize(row)).map_err(|e| Error::file(path, e.to_string()))?;
            writer.flush().map_err(Error::io(path))
        })
    }

    /// Writes all as JSON.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        atomic_write(path, |out| {
            serde_json::to_writer_pretty(&mut *out, self).map_err(|e| Error::file(path, e.to_string()))?;
            out.write_all(b"\n").map_err(Error::io(path))
        })
    }
}
