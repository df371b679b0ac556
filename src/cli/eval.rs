//! `sasnet eval`

use super::data::PairByOrder;
use super::output::{is_stdout, keep_apart};
use super::shard::Sharding;
use super::stop::Stop;
use super::{Smoothing, count, model_or_file, progress};
use clap::Args;
use sasnet::image::{Picture, check_format, write};
use sasnet::lab::dataset::pairs::INPUT_FOLDERS;
use sasnet::lab::dataset::pairs::Pair;
use sasnet::lab::eval::{Candidate, Report, Scored, Set, TableOptions, Worst, evaluate};
use sasnet::lab::shard::Shard;
use sasnet::lab::table1;
use sasnet::low_level::file::{atomic_write, prepare};
use sasnet::low_level::weights::{MODELS, Weights};
use sasnet::{Error, Filter, Model, Progress, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf, absolute};

/// Score networks on pictures with ground truths: PSNR and SSIM before and after, as a table of sets and networks.
#[derive(Args)]
pub struct Eval {
    /// Folder of inputs (or one); without TRUTHS, side-by-side pictures, ground truth left
    #[arg(required_unless_present_any = ["sets", "merge"], conflicts_with = "sets")]
    inputs: Option<PathBuf>,
    /// Folder of ground truths: of the same names, or an input's name without its texture (S3.png for S3T7.png)
    truths: Option<PathBuf>,
    /// A set of pictures, a row of the table: a folder with input/ and gt/ in it, or with side-by-side pictures, or
    /// with S3T7.png beside S3.png. Several sets: --set A=DIR --set B=DIR
    #[arg(long = "set", value_name = "[NAME=]DIR")]
    sets: Vec<String>,
    #[command(flatten)]
    order: PairByOrder,
    /// Weights, a column of the table; several: --weights A=FILE --weights B=FILE; or a shipped
    /// model by its name, as `soft` [default: small]
    #[arg(long, value_name = "[LABEL=]FILE")]
    weights: Vec<String>,
    /// Classical filter, another column of the table, with parameters (`sasnet methods` lists them); several: --method
    /// gf,r=2 --method strong=rtv,lambda=0.005,sigma=3
    #[arg(long, value_name = "[LABEL=]NAME[,PARAMETER=VALUE]")]
    method: Vec<String>,
    /// The paper's Table 1: all methods as rows, each filter at one setting for all sets (`sasnet tune` found it), the
    /// shipped model as sasnet, networks of --weights, filters of --method (in place of those of the same name), and what
    /// was published on the real sets
    #[arg(long, conflicts_with_all = ["per_image", "luma", "details", "published"])]
    table1: bool,
    /// Of the table these methods alone: gf,rtv,sasnet [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "table1",
        conflicts_with_all = ["per_image", "luma", "details", "published"])]
    methods: Vec<String>,
    #[command(flatten)]
    sharding: Sharding,
    /// Join what shards have written (--shard i/N --json FILE, whose files are called FILE-1-of-N and so on): the table
    /// of all pictures
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[arg(conflicts_with_all = ["inputs", "sets", "weights", "method", "methods", "pair_by_order", "Sharding", "ensemble", "noise",
        "seed", "amount", "texture_size", "finish", "max_memory", "Adapter", "sheet", "worst", "save"])]
    merge: Vec<PathBuf>,
    #[command(flatten)]
    smoothing: Smoothing,
    /// Print each picture's scores, too
    #[arg(long, conflicts_with = "Sharding")]
    per_image: bool,
    /// Print the scores of the luma (Y), too
    #[arg(long, conflicts_with = "Sharding")]
    luma: bool,
    /// Print each network's parameters, multiply-accumulates and noise scale, too (the paper's Table 3)
    #[arg(long, conflicts_with = "Sharding")]
    details: bool,
    /// Print the gains over the input that the paper reports on the real sets, too
    #[arg(long, conflicts_with = "Sharding")]
    published: bool,
    /// Write what is printed, too
    #[arg(long, value_name = "FILE", conflicts_with = "Sharding")]
    markdown: Option<PathBuf>,
    /// Write each picture's scores as CSV, in full precision
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write everything as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the pictures of each set that gain least PSNR by the first network as a contact sheet: input, results,
    /// ground truth, differences
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// How many of each set are on the sheet
    #[arg(long, value_name = "N", default_value_t = 8, requires = "sheet", value_parser = clap::value_parser!(u16).range(1..))]
    worst: u16,
    /// Write the results there, as PNG; of several sets and networks in folders of their names
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
}

impl Eval {
    /// Scores all networks on all sets, or joins such scores.
    pub fn run(self) -> Result<()> {
        let shard = self.sharding.shard();
        if !shard.is_whole() && self.json.is_none() {
            return Err(Error::Invalid("--shard needs --json FILE, which --merge joins to the table".into()));
        }
        let [csv, json, sheet] = [&self.csv, &self.json, &self.sheet].map(|p| p.as_ref().map(|p| self.sharding.own(p)));
        let report =
            if self.merge.is_empty() { self.score(shard, [&csv, &json, &sheet])? } else { self.joined([&csv, &json])? };
        csv.as_ref().map_or(Ok(()), |path| report.write_csv(path))?;
        json.as_ref().map_or(Ok(()), |path| report.write_json(path))?;
        if let (false, Some(json)) = (shard.is_whole(), &json) {
            let (own, all): (usize, _) = (report.sets.iter().map(|set| set.images.len()).sum(), count(report.pictures));
            note!(
                "shard {shard}: scored {own} of {all}; sasnet eval --merge joins {} to those of the others",
                json.display()
            );
            return Ok(());
        }
        let shown = TableOptions {
            luma: self.luma,
            details: self.details,
            per_image: self.per_image,
            published: self.published,
        };
        let text = match self.table1 {
            true => report.table1(self.methods.is_empty()),
            false => report.markdown(shown),
        };
        if let Some(path) = &self.markdown {
            atomic_write(path, |out| out.write_all(text.as_bytes()).map_err(Error::io(path)))?;
        }
        // Not between the bytes of a file.
        if ![&self.markdown, &csv, &json, &sheet].into_iter().flatten().any(|path| is_stdout(path)) {
            say!("{}", text.trim_end());
        }
        Ok(())
    }

    /// Joins the reports of shards.
    fn joined(&self, [csv, json]: [&Option<PathBuf>; 2]) -> Result<Report> {
        keep_apart([&self.markdown, csv, json].into_iter().flatten(), &self.merge)?;
        [&self.markdown, csv, json].into_iter().flatten().try_for_each(prepare)?;
        let read = |path: &PathBuf| Ok((path.clone(), Report::read_json(path)?));
        Report::merge(self.merge.iter().map(read).collect::<Result<_>>()?)
    }

    /// Scores all networks on the pictures of a shard, writes the sheet and the results.
    fn score(&self, shard: Shard, [csv, json, sheet]: [&Option<PathBuf>; 3]) -> Result<Report> {
        let sets = self.sets()?;
        let chosen = self.candidates()?;
        let labels: Vec<&str> = chosen.iter().map(|(label, ..)| label.as_str()).collect();
        let pairs = sets.iter().flat_map(|set| &set.pairs);
        let mut read: Vec<&Path> = pairs.flat_map(Pair::files).collect();
        read.extend(chosen.iter().map(|(_, file, _)| Path::new(file)));
        keep_apart([&self.markdown, csv, json, sheet].into_iter().flatten(), &read)?;
        let mut log = Log {
            save: self.save.as_deref().map(|folder| Save::new(folder, &sets, &labels, &read)).transpose()?,
            worst: sheet.as_ref().map(|_| Worst::new(self.worst.into())),
        };
        [&self.markdown, csv, json, sheet].into_iter().flatten().try_for_each(prepare)?;
        sheet.as_ref().map(check_format).transpose()?;

        let device = self.smoothing.adapter.open()?;
        let options = self.smoothing.options();
        let pictures: usize = sets.iter().map(|set| set.pairs.len()).sum();
        // All of them stay on the device at once.
        let of = chosen.len() as u64;
        let candidate = |(label, file, model): &(String, String, Model)| Candidate {
            label: label.clone(),
            file: file.clone(),
            smoother: self.smoothing.smoother(model.clone(), device.clone(), of),
        };
        let mut candidates: Vec<Candidate> = chosen.iter().map(candidate).collect();
        let bar = progress(shard.part(0..pictures).count());
        let stop = Stop::listen(None);
        stop.working(true);
        for set in &sets {
            let sides = if set.pairs[0].truth.is_none() { ", ground truth left, input right" } else { "" };
            note!("{}: {}{sides}", set.name, count(set.pairs.len()));
        }
        let report = evaluate(
            &sets,
            shard,
            &mut candidates,
            &options,
            &mut |progress: &Progress| {
                super::show(&bar, progress);
                stop.answer()
            },
            &mut |scored| log.keep(scored),
        )?;
        bar.finish_and_clear();
        if let (Some(path), Some(worst)) = (sheet, &log.worst) {
            worst.sheet(&labels)?.write(path)?;
        }
        Ok(report)
    }

    fn sets(&self) -> Result<Vec<Set>> {
        if let Some(inputs) = &self.inputs {
            let pairs = self.order.find(inputs, self.truths.as_deref())?;
            return Ok(vec![Set { name: set_name(inputs), pairs }]);
        }
        read_sets(&self.sets, &self.order)
    }

    /// Labels, files and weights; filters with what they are set to.
    fn candidates(&self) -> Result<Vec<(String, String, Model)>> {
        let shipped = [MODELS[0].0.to_string()];
        let none = self.weights.is_empty() && self.method.is_empty() && !self.table1;
        let given = if none { &shipped[..] } else { &self.weights };
        let given = given.iter().map(|text| named(text, "--weights", "LABEL=FILE")).collect::<Result<Vec<_>>>()?;
        let stem = |file: &str| Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let stems: BTreeSet<String> = given.iter().map(|(_, file)| stem(file)).collect();
        let network = |(label, file): &(Option<&str>, &str)| {
            // Where all are called weights.safetensors, their folders tell them apart.
            let own = || if stems.len() == given.len() { stem(file) } else { file.to_string() };
            let weights = model_or_file(file)?;
            Ok((label.map_or_else(own, String::from), file.to_string(), weights.into()))
        };
        let given = given.iter().map(network).chain(self.method.iter().map(|text| method(text)));
        let given = given.collect::<Result<Vec<_>>>()?;
        if self.table1 { self.rows_of_table1(given) } else { Ok(given) }
    }

    /// The rows of the table that are wanted: those that need no file, what is given in its place, and what else is given.
    fn rows_of_table1(&self, mut given: Vec<(String, String, Model)>) -> Result<Vec<(String, String, Model)>> {
        let mut rows = vec![];
        for name in table1::shipped() {
            if let Some(i) = given.iter().position(|(label, ..)| label == name) {
                rows.push(given.remove(i));
            } else if name == table1::OURS {
                rows.push((name.into(), MODELS[0].0.into(), Weights::builtin().into()));
            } else {
                let filter = Filter::universal(name)?;
                rows.push((name.into(), filter.to_string(), filter.into()));
            }
        }
        // Ours last, as in the paper.
        let ours = rows.pop();
        rows.extend(given.into_iter().chain(ours));
        if let Some(unknown) = self.methods.iter().find(|name| rows.iter().all(|(label, ..)| label != *name)) {
            let names: Vec<&str> = rows.iter().map(|(label, ..)| label.as_str()).collect();
            let message = format!("--methods: there is no {unknown}; there are {}", names.join(", "));
            return Err(Error::Invalid(message + ", and what --weights NAME=FILE names"));
        }
        rows.retain(|(label, ..)| self.methods.is_empty() || self.methods.contains(label));
        Ok(rows)
    }
}

/// Label, setting and filter of `[LABEL=]NAME[,PARAMETER=VALUE]`.
fn method(text: &str) -> Result<(String, String, Model)> {
    let name = text.split_once(',').map_or(text, |(name, _)| name);
    let labelled = text.split_once('=').filter(|(label, _)| !label.contains(','));
    let (label, setting) = labelled.unwrap_or((name, text));
    let filter: Filter = setting.parse().map_err(|why| Error::Invalid(format!("--method {text}: {why}")))?;
    Ok((label.into(), filter.to_string(), filter.into()))
}

/// Sets of pictures of `[NAME=]DIR`.
pub fn read_sets(sets: &[String], order: &PairByOrder) -> Result<Vec<Set>> {
    let set = |text: &String| {
        let (name, folder) = named(text, "--set", "NAME=DIR")?;
        let folder = Path::new(folder);
        Ok(Set { name: name.map_or_else(|| set_name(folder), String::from), pairs: order.find(folder, None)? })
    };
    sets.iter().map(set).collect()
}

/// `NAME=PATH` or a path alone, which may hold a = where it exists.
fn named<'a>(text: &'a str, option: &str, form: &str) -> Result<(Option<&'a str>, &'a str)> {
    match text.split_once('=') {
        Some(_) if Path::new(text).exists() => Ok((None, text)),
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((Some(name), path)),
        None if !text.is_empty() => Ok((None, text)),
        _ => Err(Error::Invalid(format!("{option} {text}: give {form}"))),
    }
}

/// The set's name for its folder, or for that of its inputs.
fn set_name(folder: &Path) -> String {
    let path = absolute(folder).unwrap_or_else(|_| folder.into());
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = name(&path).unwrap_or_else(|| "pictures".into());
    let is_inputs = INPUT_FOLDERS.iter().any(|known| known.eq_ignore_ascii_case(&own));
    path.parent().and_then(name).filter(|_| is_inputs).unwrap_or(own)
}

/// Keeps of each picture what was asked for.
struct Log {
    save: Option<Save>,
    worst: Option<Worst>,
}

impl Log {
    fn keep(&mut self, scored: &Scored) -> Result<()> {
        self.worst.as_mut().map_or(Ok(()), |worst| worst.add(scored))?;
        self.save.as_ref().map_or(Ok(()), |save| save.write(scored))
    }
}

/// Where the results go: the folder of each set, for each network.
struct Save(BTreeMap<String, Vec<PathBuf>>);

impl Save {
    fn new(folder: &Path, sets: &[Set], labels: &[&str], read: &[&Path]) -> Result<Save> {
        let part = |name: &str, of: usize| if of > 1 { folder_name(name) } else { String::new() };
        let folders = |set: &Set| -> Vec<PathBuf> {
            let of_set = folder.join(part(&set.name, sets.len()));
            labels.iter().map(|label| of_set.join(part(label, labels.len()))).collect()
        };
        let mut files = BTreeSet::new();
        for (set, folders) in sets.iter().map(|set| (set, folders(set))) {
            for (pair, folder) in set.pairs.iter().flat_map(|pair| folders.iter().map(move |folder| (pair, folder))) {
                let path = folder.join(format!("{}.png", pair.name()));
                if let Some(path) = files.replace(path) {
                    let message = format!("two results would be called so, one of them of {}", pair.input.display());
                    return Err(Error::file(path, message + ": rename one, its set or its network"));
                }
            }
        }
        keep_apart(&files, read)?;
        files.iter().try_for_each(prepare)?;
        Ok(Save(sets.iter().map(|set| (set.name.clone(), folders(set))).collect()))
    }

    fn write(&self, scored: &Scored) -> Result<()> {
        for (folder, result) in self.0[scored.set].iter().zip(scored.results) {
            write(folder.join(format!("{}.png", scored.image.name)), &Picture::from(result.clone()))?;
        }
        Ok(())
    }
}

/// A name as that of a folder.
fn folder_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || " ._-+".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    if name.chars().all(|c| c == '.') { "-".repeat(name.len()) } else { name }
}
