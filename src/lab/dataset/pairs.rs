//! Which input belongs to which ground truth.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, count};
use crate::image::{self, pictures};
use crate::tensor::{Shape, Tensor};

/// A textured picture and its ground truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The textured picture.
    pub input: PathBuf,
    /// Its ground truth; `None` where `input` holds both side by side, the ground truth left.
    pub truth: Option<PathBuf>,
}

impl Pair {
    /// The input's file name, without extension.
    pub fn name(&self) -> String {
        self.input.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The input's file, and the ground truth's where that is another.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.input.as_path()).chain(self.truth.as_deref())
    }

    /// Reads the input and the ground truth, both (1, 3, H, W) in [0, 1].
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Io`] where a picture cannot be read or the sizes do not fit.
    pub fn read(&self) -> Result<(Tensor, Tensor)> {
        let input = image::read(&self.input)?.tensor;
        let size = (input.shape.h, input.shape.w);
        match &self.truth {
            Some(path) => {
                let truth = image::read(path)?.tensor;
                self.check(size, Some((truth.shape.h, truth.shape.w)))?;
                Ok((input, truth))
            }
            None => {
                self.check(size, None)?;
                Ok((half(&input, 1), half(&input, 0)))
            }
        }
    }

    /// Makes an error say which picture it is about.
    pub(crate) fn about(&self) -> impl Fn(Error) -> Error {
        Error::about(&self.input)
    }

    /// Rows and columns of the input, from the file's header.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Io`] where the picture cannot be read.
    pub fn size(&self) -> Result<(usize, usize)> {
        let (h, w) = image::size(&self.input)?;
        Ok(if self.truth.is_some() { (h, w) } else { (h, w / 2) })
    }

    fn check(&self, (h, w): (usize, usize), truth: Option<(usize, usize)>) -> Result<()> {
        match truth {
            Some((th, tw)) if (th, tw) != (h, w) => {
                let truth = self.truth.as_deref().unwrap_or(&self.input).display();
                Err(Error::file(
                    &self.input,
                    format!("{h} rows x {w} columns, but its ground truth {truth} has {th} x {tw}: make them one size"),
                ))
            }
            None if !w.is_multiple_of(2) => Err(Error::file(
                &self.input,
                format!("{w} columns cannot be ground truth and input side by side, which have half of them each"),
            )),
            _ => Ok(()),
        }
    }
}

/// The left (0) or right (1) half of a picture.
fn half(x: &Tensor, side: usize) -> Tensor {
    let w = x.shape.w / 2;
    let data = x.data.chunks_exact(w).skip(side).step_by(2).flatten().copied().collect();
    Tensor::new(Shape { w, ..x.shape }, data)
}

const LAYOUTS: &str = "expected one of
  two folders, the same names:         inputs/a.png                         truths/a.png
  NKS, S<i>T<j> and its ground truth:  inputs/S1T1.png ... S20T10.png       truths/S1.png ... S20.png (or 1.png, GT1.png)
  names with _T and a number:          inputs/photo_T07.png                 truths/photo.png
  names that differ in the same part:  inputs/lq_1.png ...                  truths/hq_01.png ...
or, given without ground truths, one of
  a folder of two such folders:        set/input/ and set/gt/
  each input beside its ground truth:  set/S1T1.png and set/S1.png
  SPS, both in one picture:            set/a.png, ground truth left";

/// Names of a folder of inputs, in capitals too.
pub const INPUT_FOLDERS: [&str; 4] = ["input", "inputs", "textured", "blended"];
/// Beginnings of the names of folders of ground truths, but for case and what is no letter.
const TRUTHS: [&str; 6] = ["gt", "truth", "groundtruth", "target", "label", "clean"];

/// What says which input belongs to which ground truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pairing {
    /// Their names.
    #[default]
    Names,
    /// Where there are two folders, their order (natural: 2 before 10), whatever the names; as many of each.
    Order,
}

/// Pairs the pictures of a folder (or one picture) with those of a folder of ground truths. Without one, pairs what
/// lies in its two folders, one called as inputs are ([`INPUT_FOLDERS`]) or anything, one as ground truths are (`gt`,
/// `truths`, ...); or each picture with the one that it is named after; or takes them as side-by-side pictures. In the
/// natural order of the inputs' names.
///
/// # Errors
/// [`Error::File`] where the folders do not fit any layout or the sizes of a pair differ, naming the pictures;
/// [`Error::Io`] where a folder cannot be read.
pub fn find_pairs(inputs: &Path, truths: Option<&Path>, pairing: Pairing) -> Result<Vec<Pair>> {
    let pair = match pairing {
        Pairing::Names => pair_by_name,
        Pairing::Order => pair_by_order,
    };
    let pairs = match truths {
        Some(truths) => pair(inputs, truths)?,
        None => match two_folders(inputs)? {
            Some([inputs, truths]) => pair(&inputs, &truths)?,
            None => one_folder(inputs)?,
        },
    };
    for pair in &pairs {
        pair.check(image::size(&pair.input)?, pair.truth.as_ref().map(image::size).transpose()?)?;
    }
    Ok(pairs)
}

/// The pictures of a folder or a picture itself; where there are none, what there should be.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    pictures(path).map_err(|error| match error {
        Error::File { path, message } => {
            let folders = folders(&path).unwrap_or_default();
            let found = match folders.len() {
                0 => String::new(),
                _ => format!(", but the folders {}: give one of those", names(&folders.iter().collect::<Vec<_>>())),
            };
            Error::File { path, message: format!("{message}{found}; {LAYOUTS}") }
        }
        error => error,
    })
}

/// The folders in a folder, by name.
fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = path.read_dir().map_err(Error::io(path))?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir() && !hidden(path)).collect();
    folders.sort();
    Ok(folders)
}

/// The folders of inputs and of truths in a folder, which may have pictures beside; None where it has neither.
fn two_folders(path: &Path) -> Result<Option<[PathBuf; 2]>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_truths = |path: &PathBuf| {
        let letters: String = name(path).chars().filter(|c| c.is_alphabetic()).collect();
        TRUTHS.iter().any(|known| letters.starts_with(known))
    };
    let (truths, others): (Vec<PathBuf>, Vec<PathBuf>) = folders(path)?.into_iter().partition(is_truths);
    let named: Vec<PathBuf> = others.iter().filter(|o| INPUT_FOLDERS.contains(&name(o).as_str())).cloned().collect();
    let wrong = |problem: String| Err(Error::file(path, format!("{problem}; {LAYOUTS}")));
    let list = |paths: &[PathBuf]| names(&paths.iter().collect::<Vec<_>>());
    match (&named[..], &others[..], &truths[..]) {
        ([inputs], _, [truths]) | ([], [inputs], [truths]) => Ok(Some([inputs.clone(), truths.clone()])),
        ([], _, []) => Ok(None),
        (_, _, []) => wrong(format!("holds {}, but no folder of ground truths", list(&named))),
        ([], [], [_]) => wrong(format!("holds {}, but no folder of inputs", list(&truths))),
        (several, others, [_]) => {
            let several = if several.is_empty() { others } else { several };
            wrong(format!("holds {}: which one has the inputs? Rename or move the others", list(several)))
        }
        _ => wrong(format!("holds {}: which one has the ground truths? Rename or move the others", list(&truths))),
    }
}

/// Inputs beside the ground truths that they are named after, or side-by-side pictures.
fn one_folder(path: &Path) -> Result<Vec<Pair>> {
    let files = files(path)?;
    let by_stem: HashMap<&str, &PathBuf> = files.iter().map(|path| (stem(path), path)).collect();
    let truth_of = |path: &PathBuf| by_stem.get(without_texture(stem(path))?).copied();
    let pairs: Vec<Pair> = (files.iter())
        .filter_map(|path| truth_of(path).map(|truth| Pair { input: path.clone(), truth: Some(truth.clone()) }))
        .collect();
    if pairs.is_empty() {
        return Ok(files.into_iter().map(|input| Pair { input, truth: None }).collect());
    }
    let is_used = |path: &PathBuf| pairs.iter().any(|p| p.input == *path || p.truth.as_ref() == Some(path));
    let lonely: Vec<&PathBuf> = files.iter().filter(|path| !is_used(path)).collect();
    match lonely.is_empty() {
        true => Ok(pairs),
        false => {
            let problem = format!("neither input nor ground truth: {}", names(&lonely));
            Err(Error::file(path, format!("{problem}; {LAYOUTS}")))
        }
    }
}

/// Which of the truths belongs to each input.
fn matches<'a>(inputs: &[PathBuf], truths: &'a [PathBuf]) -> Vec<Option<&'a PathBuf>> {
    let by_stem: HashMap<&str, &PathBuf> = truths.iter().map(|path| (stem(path), path)).collect();
    // NKS with ground truths of another name: S3T7 belongs to the one with the number 3, where each has a number.
    let numbers: Option<HashMap<&str, &PathBuf>> =
        truths.iter().map(|path| Some((number(stem(path))?, path))).collect();
    let numbers = numbers.filter(|numbers| numbers.len() == truths.len()).unwrap_or_default();
    let truth_of = |input: &PathBuf| {
        let own = stem(input);
        let structure = || without_texture(own);
        let named = by_stem.get(own).or_else(|| by_stem.get(structure()?)).copied();
        named.or_else(|| numbers.get(number(structure()?.strip_prefix('S')?)?).copied())
    };
    inputs.iter().map(truth_of).collect()
}

fn pair_by_name(folder: &Path, truths: &Path) -> Result<Vec<Pair>> {
    let (inputs, truth_files) = (files(folder)?, files(truths)?);
    let mut by_stem = HashMap::new();
    for path in &truth_files {
        if let Some(other) = by_stem.insert(stem(path), path) {
            return Err(Error::file(path, format!("a second ground truth beside {}: remove one", other.display())));
        }
    }
    let found = matches(&inputs, &truth_files);
    let unmatched: Vec<&PathBuf> = inputs.iter().zip(&found).filter(|(_, t)| t.is_none()).map(|(i, _)| i).collect();

    let wrong = |problem: String| Err(Error::file(folder, format!("{problem}; {LAYOUTS}")));
    let swapped = || matches(&truth_files, &inputs).iter().all(Option::is_some);
    if unmatched.len() == inputs.len() && swapped() {
        return wrong(format!("these are the ground truths of {}: give them the other way round", truths.display()));
    }
    if unmatched.len() == inputs.len() && inputs.len() == truth_files.len() {
        let wrong = |shown| wrong(format!("names that do not say which belongs to which; in their order {shown}"));
        return by_core(&inputs, &truth_files).map_or_else(|| wrong(shown(&zip(inputs, truth_files))), Ok);
    }
    if !unmatched.is_empty() {
        let (given, of) = (count(inputs.len(), "input"), count(truth_files.len(), "ground truth"));
        let counts = format!("{given}, {of} in {}", truths.display());
        return wrong(format!("{counts}; no ground truth for {}", names(&unmatched)));
    }
    // An input less than there are ground truths is a mistake where each should have one.
    let same_names = inputs.iter().zip(&found).all(|(input, t)| t.is_some_and(|t| stem(t) == stem(input)));
    if same_names && folder.is_dir() && inputs.len() < truth_files.len() {
        let lonely: Vec<_> = truth_files.iter().filter(|t| !found.contains(&Some(t))).collect();
        return wrong(format!("no input for the ground truths {} in {}", names(&lonely), truths.display()));
    }
    let found: Vec<PathBuf> = found.into_iter().flatten().cloned().collect();
    Ok(zip(inputs, found))
}

fn pair_by_order(folder: &Path, truths: &Path) -> Result<Vec<Pair>> {
    let (inputs, truth_files) = (files(folder)?, files(truths)?);
    if inputs.len() != truth_files.len() {
        let (given, of) = (count(inputs.len(), "input"), count(truth_files.len(), "ground truth"));
        let problem = format!("{given} in order for {of} in {}", truths.display());
        return Err(Error::file(folder, format!("{problem}: there must be as many")));
    }
    Ok(zip(inputs, truth_files))
}

fn zip(inputs: Vec<PathBuf>, truths: Vec<PathBuf>) -> Vec<Pair> {
    inputs.into_iter().zip(truths).map(|(input, truth)| Pair { input, truth: Some(truth) }).collect()
}

/// Pairs by what remains of the names without what all inputs, and all truths, have in common; None where that does not
/// agree.
fn by_core(inputs: &[PathBuf], truths: &[PathBuf]) -> Option<Vec<Pair>> {
    let by_core: HashMap<String, &PathBuf> = cores(truths).into_iter().zip(truths).collect();
    let own = cores(inputs);
    let different = own.iter().collect::<HashSet<_>>().len();
    if by_core.len() != truths.len() || different != inputs.len() {
        return None;
    }
    let found: Option<Vec<PathBuf>> = own.iter().map(|core| by_core.get(core).map(|path| (*path).clone())).collect();
    Some(zip(inputs.to_vec(), found?))
}

/// The names without their common beginning and end, in lower case and without leading zeros. Numbers stay whole: of
/// 10 and 11, which have a 1 in common, as of 20 and 21, no 0 and 1 remain that would agree.
fn cores(paths: &[PathBuf]) -> Vec<String> {
    let names: Vec<Vec<char>> = paths.iter().map(|path| stem(path).to_lowercase().chars().collect()).collect();
    let shortest = names.iter().map(Vec::len).min().unwrap_or(0);
    let common = |at: &dyn Fn(&[char], usize) -> char, most: usize| {
        let agree = |i: &usize| names.iter().all(|name| at(name, *i) == at(&names[0], *i));
        let mut length = (0..most).take_while(agree).count();
        while length > 0 && at(&names[0], length - 1).is_ascii_digit() {
            length -= 1;
        }
        length
    };
    let from_start = |name: &[char], i: usize| name[i];
    let from_end = |name: &[char], i: usize| name[name.len() - 1 - i];
    let before = common(&from_start, shortest);
    let after = common(&from_end, shortest - before);
    let core = |name: &Vec<char>| -> String { name[before..name.len() - after].iter().collect() };
    names.iter().map(|name| without_zeros(&core(name))).collect()
}

/// Numbers without leading zeros: `a7b0` of `a007b00`.
fn without_zeros(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (head, tail) = rest.split_at(digits.max(c.len_utf8()));
        let short = head.trim_start_matches('0');
        out += if digits > 0 && short.is_empty() { "0" } else { short };
        rest = tail;
    }
    out
}

/// The number at the end of a name, without leading zeros.
fn number(stem: &str) -> Option<&str> {
    let head = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &stem[head.len()..];
    let short = digits.trim_start_matches('0');
    (!digits.is_empty()).then_some(if short.is_empty() { "0" } else { short })
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|s| s.to_str()).unwrap_or_default()
}

/// `S3` of `S3T7`, `photo` of `photo_T07`.
fn without_texture(stem: &str) -> Option<&str> {
    let head = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let truth = head.strip_suffix('T').filter(|_| head.len() < stem.len())?;
    Some(truth.strip_suffix('_').unwrap_or(truth))
}

/// The first few pairs, and how many more there are.
fn shown(pairs: &[Pair]) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let with = |pair: &Pair| format!("{} with {}", name(&pair.input), pair.truth.as_deref().map_or("-".into(), name));
    let more = if pairs.len() > SHOWN { format!(" and {} more", pairs.len() - SHOWN) } else { String::new() };
    pairs.iter().take(SHOWN).map(with).collect::<Vec<_>>().join(", ") + &more
}

const SHOWN: usize = 5;

/// The first few file names, and how many more there are.
fn names(paths: &[&PathBuf]) -> String {
    let name = |path: &&PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut text = paths.iter().take(SHOWN).map(name).collect::<Vec<_>>().join(", ");
    if paths.len() > SHOWN {
        text += &format!(" and {} more", paths.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests;
