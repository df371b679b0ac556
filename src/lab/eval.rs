//! Networks side by side on sets of pictures with ground truths: the paper's Table 1, and with sizes and operations its
//! Table 3.

use crate::error::{Error, Result};
use crate::file::atomic_write;
use crate::lab::dataset::pairs::Pair;
use crate::lab::metrics::{Row, Scores, score};
use crate::lab::sheet::{ContactSheet, difference, shrink};
use crate::net::count::{COUNTED, full_network};
use crate::observer::{Observer, Progress, tell};
use crate::smooth::{Options, Smoother};
use crate::tensor::Tensor;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

/// Pictures that are scored together.
#[derive(Clone, Debug)]
pub struct Set {
    /// As the table calls it.
    pub name: String,
    /// Its pictures.
    pub pairs: Vec<Pair>,
}

/// A network to be scored.
pub struct Candidate {
    /// As the table calls it.
    pub label: String,
    /// Where its weights are from.
    pub file: String,
    /// The network on its device.
    pub smoother: Smoother,
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
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of this library.
    pub version: &'static str,
    /// In words.
    pub device: String,
    /// How the networks smoothed; `noise` is `null` where each took its own scale.
    pub options: Options,
    /// In the order of the scores below.
    pub networks: Vec<Network>,
    /// In the order given.
    pub sets: Vec<SetScores>,
}

/// A network of a report.
#[derive(Clone, Debug, Serialize)]
pub struct Network {
    /// As the table calls it.
    pub label: String,
    /// Where its weights are from.
    pub file: String,
    /// Weights and biases.
    pub parameters: usize,
    /// 10^9 multiply-accumulates for [`COUNTED`], the full network as the paper counts it: both directions complete,
    /// without biases and activations.
    pub gmac: f64,
    /// Scale of the noise that it smoothed with.
    pub noise: f32,
    /// The file's metadata: architecture, training.
    pub metadata: BTreeMap<String, String>,
}

/// The scores of a set.
#[derive(Clone, Debug, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
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

/// Scores all networks on all sets. Each picture is read and scored as it is before the first is smoothed: one that is
/// damaged, has the wrong size or does not fit the device is found in seconds, not after hours. It is then read once
/// more, for all networks.
///
/// # Errors
/// [`Error::Invalid`] where there is no set, no network or no picture, or two of them are called the same; otherwise
/// those of [`Pair::read`], [`score`] and [`Smoother::smooth`], as [`Error::File`] of the picture; what `scored`
/// returns, which gets each picture when all networks have smoothed it, and [`Error::Cancelled`].
pub fn evaluate(
    sets: &[Set],
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
    for set in sets {
        let mut images = vec![];
        for (pair, input) in set.pairs.iter().zip(&mut before) {
            images.push(image(set, pair, input, candidates, options, observer, scored)?);
        }
        let mean = |scores: &dyn Fn(&Image) -> Scores| {
            let all: Vec<Scores> = images.iter().map(scores).collect();
            Scores::mean(&all).expect("no set is empty")
        };
        let networks = (0..candidates.len()).map(|i| mean(&|image| image.networks[i])).collect();
        evaluated.push(SetScores { name: set.name.clone(), input: mean(&|image| image.input), networks, images });
    }
    Ok(Report { version: env!("CARGO_PKG_VERSION"), device, options: options.clone(), networks, sets: evaluated })
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
        let result = candidate.smoother.smooth_observed(&input, options, observer);
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

fn names_differ<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
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
        let weights = candidate.smoother.weights();
        Ok(Network {
            label: candidate.label.clone(),
            file: candidate.file.clone(),
            parameters: weights.network.layout().parameters(),
            gmac: full_network(&weights.network, COUNTED)?.macs() as f64 / 1e9,
            noise: options.noise.map_or_else(|| weights.noise(), Ok)?,
            metadata: weights.header(),
        })
    }
}

/// Rows of a Markdown table that are not shown by themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableOptions {
    /// Rows for the luma (Y) alone.
    pub luma: bool,
    /// Rows for each network's parameters, operations and noise scale.
    pub details: bool,
    /// A row for each picture, in a table of its own.
    pub per_image: bool,
    /// [`PUBLISHED_GAINS`], next to the gains measured.
    pub published: bool,
}

/// Mean gain in PSNR over the input, in dB, of SASNet on the real sets as its paper reports it (Li, Qin, Xu, Ji: Deep
/// Scale-Aware Image Smoothing). The rows of its Table 1, other methods' among them, were not at hand.
pub const PUBLISHED_GAINS: [(&str, f64); 2] = [("SPS", 12.9), ("NKS", 6.7)];

impl Report {
    /// Tables in Markdown, which read well as plain text, too: a row for each set, a column for the input and each
    /// network, PSNR in dB / SSIM.
    pub fn markdown(&self, shown: TableOptions) -> String {
        let mut text = self.table(shown);
        let counts: Vec<String> = self.sets.iter().map(|s| format!("{} of {}", s.images.len(), s.name)).collect();
        text += &format!("\nPSNR in dB / SSIM of the 8-bit pictures, means over {}", counts.join(", "));
        let ensemble = if self.options.ensemble { ", mean of eight flips and rotations" } else { "" };
        text += &format!("{ensemble}.\n");
        if shown.published {
            text += &format!("\n{}", self.published());
        }
        if shown.per_image {
            text += &format!("\n{}", self.per_image(shown));
        }
        text
    }

    fn table(&self, shown: TableOptions) -> String {
        let mut rows = vec![self.heading("set")];
        for set in &self.sets {
            rows.extend(scores(&set.name, set.input, &set.networks, shown.luma));
        }
        if shown.details {
            let mut row = |name: &str, value: &dyn Fn(&Network) -> String| {
                let head = [name.into(), String::new()];
                rows.push(head.into_iter().chain(self.networks.iter().map(value)).collect());
            };
            row("parameters", &|n| thousands(n.parameters));
            row(&format!("GMAC at {}x{}", COUNTED.w, COUNTED.h), &|n| format!("{:.2}", n.gmac));
            row("noise scale", &|n| n.noise.to_string());
        }
        markdown(&rows)
    }

    fn per_image(&self, shown: TableOptions) -> String {
        let mut rows = vec![self.heading("picture")];
        for set in &self.sets {
            for image in &set.images {
                let name = format!("{}/{}", set.name, image.name);
                rows.extend(scores(&name, image.input, &image.networks, shown.luma));
            }
        }
        markdown(&rows)
    }

    fn published(&self) -> String {
        let labels = self.networks.iter().map(|n| n.label.clone());
        let mut rows = vec![["gain in PSNR, dB".into()].into_iter().chain(labels).collect::<Vec<_>>()];
        rows[0].push("SASNet, published".into());
        for set in &self.sets {
            let gains = set.networks.iter().map(|scores| format!("{:.2}", scores.gain(&set.input)));
            rows.push([set.name.clone()].into_iter().chain(gains).chain([String::new()]).collect());
        }
        for (set, gain) in PUBLISHED_GAINS {
            let mut row = vec![String::new(); self.networks.len() + 2];
            row[0] = format!("{set}, the real set");
            row[self.networks.len() + 1] = format!("{gain:.1}");
            rows.push(row);
        }
        markdown(&rows)
            + "\nPublished, on the real sets (not these pictures): SASNet's gains over the input as its paper reports them \
               (Deep Scale-Aware Image Smoothing, Li, Qin, Xu and Ji). The other rows of its Table 1 were not at hand.\n"
    }

    fn heading(&self, first: &str) -> Vec<String> {
        let labels = self.networks.iter().map(|network| network.label.as_str());
        [first, "input"].into_iter().chain(labels).map(String::from).collect()
    }

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

/// The row of a set or picture, and that of its luma.
fn scores(name: &str, input: Scores, networks: &[Scores], luma: bool) -> Vec<Vec<String>> {
    let row = |name: String, cell: fn(&Scores) -> String| {
        [name].into_iter().chain([&input].into_iter().chain(networks).map(cell)).collect()
    };
    let mut rows = vec![row(name.into(), |s| format!("{:.2} / {:.4}", s.psnr, s.ssim))];
    if luma {
        rows.push(row(format!("{name}, Y"), |s| format!("{:.2} / {:.4}", s.psnr_y, s.ssim_y)));
    }
    rows
}

fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let group =
        |(i, c): (usize, char)| if i > 0 && (digits.len() - i).is_multiple_of(3) { vec![',', c] } else { vec![c] };
    digits.chars().enumerate().flat_map(group).collect()
}

/// A table whose first row is its heading, padded so that columns stand below each other; numbers to the right.
fn markdown(rows: &[Vec<String>]) -> String {
    let cell = |text: &String| text.replace('|', "\\|");
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            text += &if column == 0 { format!("| {cell:width$} ") } else { format!("| {cell:>width$} ") };
        }
        text += "|\n";
        if i == 0 {
            let line = |(column, width)| format!("|{}{}", "-".repeat(width + 1), if column == 0 { "-" } else { ":" });
            text.extend(widths.iter().copied().enumerate().map(line));
            text += "|\n";
        }
    }
    text
}

/// The pictures of each set that gained least PSNR by the first network, kept for a contact sheet.
pub struct Worst {
    count: usize,
    /// Set by set, the worst first.
    kept: Vec<(String, Vec<Kept>)>,
}

struct Kept {
    gain: f64,
    label: String,
    pictures: Vec<Tensor>,
}

impl Worst {
    /// Longest side of a picture on the sheet.
    pub const CELL: usize = 384;
    /// Gain of the difference from the ground truth.
    pub const GAIN: f32 = 4.0;

    /// Of each set so many.
    pub fn new(count: usize) -> Worst {
        Worst { count, kept: vec![] }
    }

    /// Keeps a picture, scaled down as it will be shown, where it is among the worst.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the sizes of the pictures differ.
    pub fn add(&mut self, scored: &Scored) -> Result<()> {
        if self.kept.last().is_none_or(|(set, _)| set != scored.set) {
            self.kept.push((scored.set.into(), vec![]));
        }
        let (_, kept) = self.kept.last_mut().expect("just put there");
        let gain = scored.image.networks.first().map_or(0.0, |scores| scores.gain(&scored.image.input));
        let place = kept.partition_point(|k| k.gain.total_cmp(&gain).is_le());
        if place >= self.count {
            return Ok(());
        }
        let after: Vec<String> = scored.image.networks.iter().map(|scores| format!("{:.2}", scores.psnr)).collect();
        let (image, before) = (scored.image, scored.image.input.psnr);
        let label = format!("{}/{}  {before:.2} -> {} dB", scored.set, image.name, after.join(", "));
        let small = |x: &Tensor| shrink(x, Self::CELL);
        let mut pictures: Vec<Tensor> = [scored.input].into_iter().chain(scored.results).map(small).collect();
        pictures.push(small(scored.truth));
        for result in scored.results {
            pictures.push(small(&difference(result, scored.truth, Self::GAIN)?));
        }
        kept.insert(place, Kept { gain, label, pictures });
        kept.truncate(self.count);
        Ok(())
    }

    /// Lays them out: input, each network's result, ground truth, each result's difference from it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the kept pictures are not of so many networks.
    pub fn sheet(&self, labels: &[&str]) -> Result<ContactSheet> {
        let (results, differences): (Vec<String>, Vec<String>) = match labels {
            [_] => (vec!["result".into()], vec![format!("difference x{}", Self::GAIN)]),
            _ => labels.iter().map(|l| (l.to_string(), format!("{l}: difference x{}", Self::GAIN))).unzip(),
        };
        let captions = [vec!["input".into()], results, vec!["ground truth".into()], differences].concat();
        let mut sheet = ContactSheet::new(&captions, Self::CELL)?;
        for kept in self.kept.iter().flat_map(|(_, kept)| kept) {
            sheet.row(&kept.label, &kept.pictures.iter().collect::<Vec<_>>())?;
        }
        Ok(sheet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    fn scores(psnr: f64) -> Scores {
        Scores { psnr, ssim: 0.5, psnr_y: psnr + 1.0, ssim_y: 0.25 }
    }

    fn image(name: &str, before: f64, after: &[f64]) -> Image {
        let networks = after.iter().map(|psnr| scores(*psnr)).collect();
        Image { name: name.into(), file: String::new(), height: 2, width: 3, input: scores(before), networks }
    }

    #[test]
    fn the_worst_are_those_of_least_gain() {
        let x = |v: f32| Tensor::new(Shape::new(1, 3, 2, 3), vec![v; 18]);
        let (input, truth, results) = (x(0.1), x(0.2), [x(0.3), x(0.25)]);
        let mut worst = Worst::new(2);
        let inf = f64::INFINITY;
        for (set, name, before, after) in [
            ("s", "a", 20.0, [25.0, 1.0]),
            ("s", "b", 30.0, [31.0, 2.0]),
            ("s", "c", 10.0, [19.0, 3.0]),
            ("s", "d", 30.0, [28.0, 4.0]),
            ("t", "e", inf, [inf, 5.0]),
            ("t", "f", 20.0, [19.0, 6.0]),
            ("t", "g", inf, [90.0, 7.0]),
            ("t", "h", 20.0, [inf, 8.0]),
        ] {
            let image = image(name, before, &after);
            worst.add(&Scored { set, image: &image, input: &input, truth: &truth, results: &results }).unwrap();
        }
        let labels: Vec<&str> = worst.kept.iter().flat_map(|(_, kept)| kept).map(|k| k.label.as_str()).collect();
        let expected = [
            "s/d  30.00 -> 28.00, 4.00 dB",
            "s/b  30.00 -> 31.00, 2.00 dB",
            "t/g  inf -> 90.00, 7.00 dB",
            "t/f  20.00 -> 19.00, 6.00 dB",
        ];
        assert_eq!(labels, expected);
        let values: Vec<f32> = worst.kept[0].1[0].pictures.iter().map(|x| x.data[0]).collect();
        let expected = [0.1, 0.3, 0.25, 0.2, 0.9, 0.7];
        assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
        assert!(worst.sheet(&["a", "b"]).is_ok());
        assert!(worst.sheet(&["a"]).unwrap_err().to_string().contains("6 pictures in the row"));
    }

    #[test]
    fn tables() {
        let rows = [["set", "in|put"], ["kodim", "1"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(markdown(&rows), "| set   | in\\|put |\n|-------|--------:|\n| kodim |       1 |\n");
        assert_eq!([0, 999, 1000, 2151984].map(thousands), ["0", "999", "1,000", "2,151,984"]);
    }
}
