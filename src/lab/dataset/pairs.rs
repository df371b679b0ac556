//! Which input belongs to which ground truth.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
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
  other names, as many, in order:      inputs/0_in.png ...                  truths/0_gt.png ...
or, given without ground truths, one of
  a folder of two such folders:        set/input/ and set/gt/
  each input beside its ground truth:  set/S1T1.png and set/S1.png
  SPS, both in one picture:            set/a.png, ground truth left";

/// Names of a folder of inputs, in capitals too.
pub const INPUT_FOLDERS: [&str; 4] = ["input", "inputs", "textured", "blended"];
/// Beginnings of the names of folders of ground truths, but for case and what is no letter.
const TRUTHS: [&str; 6] = ["gt", "truth", "groundtruth", "target", "label", "clean"];

/// Pairs the pictures of a folder (or one picture) with those of a folder of ground truths. Without one, pairs what
/// lies in its two folders, one called as inputs are ([`INPUT_FOLDERS`]) or anything, one as ground truths are (`gt`,
/// `truths`, ...); or each picture with the one that it is named after; or takes them as side-by-side pictures. In the
/// order of the inputs' names.
///
/// # Errors
/// [`Error::File`] where the folders do not fit any layout or the sizes of a pair differ, naming the pictures;
/// [`Error::Io`] where a folder cannot be read.
pub fn find_pairs(inputs: &Path, truths: Option<&Path>) -> Result<Vec<Pair>> {
    let pairs = match truths {
        Some(truths) => pair_by_name(inputs, truths)?,
        None => match two_folders(inputs)? {
            Some([inputs, truths]) => pair_by_name(&inputs, &truths)?,
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
    let in_order = unmatched.len() == inputs.len() && inputs.len() == truth_files.len();
    if !unmatched.is_empty() && !in_order {
        let counts = format!("{} inputs, {} ground truths in {}", inputs.len(), truth_files.len(), truths.display());
        return wrong(format!("{counts}; no ground truth for {}", names(&unmatched)));
    }
    // An input less than there are ground truths is a mistake where each should have one.
    let same_names = inputs.iter().zip(&found).all(|(input, t)| t.is_some_and(|t| stem(t) == stem(input)));
    if same_names && folder.is_dir() && inputs.len() < truth_files.len() {
        let lonely: Vec<_> = truth_files.iter().filter(|t| !found.contains(&Some(t))).collect();
        return wrong(format!("no input for the ground truths {} in {}", names(&lonely), truths.display()));
    }
    let truth = |i: usize| found[i].unwrap_or_else(|| &truth_files[i]).clone();
    Ok(inputs.iter().enumerate().map(|(i, input)| Pair { input: input.clone(), truth: Some(truth(i)) }).collect())
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

/// The first few file names, and how many more there are.
fn names(paths: &[&PathBuf]) -> String {
    const SHOWN: usize = 5;
    let name = |path: &&PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut text = paths.iter().take(SHOWN).map(name).collect::<Vec<_>>().join(", ");
    if paths.len() > SHOWN {
        text += &format!(" and {} more", paths.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes pictures of `h` x `w` under a temporary folder.
    fn folder(files: &[(&str, usize, usize)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for &(name, h, w) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let shape = Shape::new(1, 3, h, w);
            let values = (0..shape.len()).map(|i| (i % w) as f32 / 255.0).collect();
            image::write(path, &Tensor::new(shape, values).into()).unwrap();
        }
        folder
    }

    fn found(folder: &tempfile::TempDir) -> Result<Vec<(String, String)>> {
        let pairs = find_pairs(&folder.path().join("in"), Some(&folder.path().join("gt")))?;
        let name = |p: &Path| p.file_name().unwrap().to_str().unwrap().to_owned();
        Ok(pairs.iter().map(|p| (name(&p.input), name(p.truth.as_deref().unwrap()))).collect())
    }

    fn check(files: &[&str], expected: &[(&str, &str)]) {
        let folder = folder(&files.iter().map(|name| (*name, 2, 2)).collect::<Vec<_>>());
        let expected: Vec<_> = expected.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        assert_eq!(found(&folder).unwrap(), expected);
    }

    fn error(files: &[(&str, usize, usize)]) -> String {
        found(&folder(files)).unwrap_err().to_string()
    }

    #[test]
    fn every_layout() {
        check(&["in/b.png", "in/a.png", "gt/a.bmp", "gt/b.png"], &[("a.png", "a.bmp"), ("b.png", "b.png")]);
        check(
            &["in/S1T1.png", "in/S1T10.png", "in/S12T1.png", "gt/S1.png", "gt/S12.png", "gt/S2.png"],
            &[("S12T1.png", "S12.png"), ("S1T1.png", "S1.png"), ("S1T10.png", "S1.png")],
        );
        check(
            &["in/kodim02_T01.png", "in/kodim02_T03.png", "gt/kodim02.png"],
            &[("kodim02_T01.png", "kodim02.png"), ("kodim02_T03.png", "kodim02.png")],
        );
        check(
            &["in/0_in.png", "in/1_in.png", "gt/0_gt.png", "gt/1_gt.png"],
            &[("0_in.png", "0_gt.png"), ("1_in.png", "1_gt.png")],
        );
    }

    #[test]
    fn one_picture_of_a_set() {
        let folder = folder(&[("in/a.png", 2, 2), ("gt/a.png", 2, 2), ("gt/b.png", 2, 2)]);
        let pairs = find_pairs(&folder.path().join("in/a.png"), Some(&folder.path().join("gt"))).unwrap();
        assert_eq!(pairs[0].truth, Some(folder.path().join("gt/a.png")));
        assert_eq!(pairs.len(), 1);
    }

    #[test]
    fn side_by_side_has_the_ground_truth_left() {
        let folder = folder(&[("both/a.png", 3, 8)]);
        let pairs = find_pairs(&folder.path().join("both"), None).unwrap();
        let (input, truth) = pairs[0].read().unwrap();
        assert_eq!((input.shape, truth.shape), (Shape::new(1, 3, 3, 4), Shape::new(1, 3, 3, 4)));
        assert_eq!(
            (image::quantise(&truth), image::quantise(&input)),
            ([0, 1, 2, 3].repeat(9), [4, 5, 6, 7].repeat(9))
        );
    }

    #[test]
    fn errors_name_the_pictures_and_the_layouts() {
        let missing = error(&[("in/a.png", 2, 2), ("in/bT1.png", 2, 2), ("in/c.png", 2, 2), ("gt/a.png", 2, 2)]);
        assert!(missing.contains("3 inputs, 1 ground truths"), "{missing}");
        assert!(missing.contains("no ground truth for bT1.png, c.png;"), "{missing}");
        assert!(missing.contains("inputs/S1T1.png"), "{missing}");
        // As many, but some names say that they belong together and others do not.
        let mixed = error(&[("in/a.png", 2, 2), ("in/b.png", 2, 2), ("gt/a.png", 2, 2), ("gt/x.png", 2, 2)]);
        assert!(mixed.contains("no ground truth for b.png"), "{mixed}");
        let lonely = error(&[("in/a.png", 2, 2), ("gt/a.png", 2, 2), ("gt/b.png", 2, 2)]);
        assert!(lonely.contains("no input for the ground truths b.png"), "{lonely}");
        let twice = error(&[("in/a.png", 2, 2), ("gt/a.png", 2, 2), ("gt/a.bmp", 2, 2)]);
        assert!(twice.contains("a second ground truth"), "{twice}");
        let size = error(&[("in/a.png", 2, 3), ("gt/a.png", 4, 5)]);
        assert!(size.contains("2 rows x 3 columns") && size.contains("4 x 5"), "{size}");
        let odd = find_pairs(folder(&[("a.png", 2, 3)]).path(), None).unwrap_err().to_string();
        assert!(odd.contains("3 columns cannot be"), "{odd}");
    }

    #[test]
    fn nks_with_its_twenty_ground_truths() {
        let inputs: Vec<String> = (1..=20).flat_map(|i| (1..=10).map(move |j| format!("in/S{i}T{j}.png"))).collect();
        for truth in ["S", "", "GT", "S0", "gt_0"] {
            let truths = (1..=20).map(|i| format!("gt/{truth}{i}.png"));
            let files: Vec<String> = inputs.iter().cloned().chain(truths).collect();
            let folder = folder(&files.iter().map(|name| (name.as_str(), 2, 2)).collect::<Vec<_>>());
            let pairs = found(&folder).unwrap();
            assert_eq!(pairs.len(), 200);
            for (input, found) in pairs {
                let number = input[1..].split('T').next().unwrap();
                assert_eq!(found, format!("{truth}{number}.png"), "{input}");
            }
        }
        // Two ground truths with one number: which of them is meant?
        let unclear = error(&[("in/S1T1.png", 2, 2), ("gt/a1.png", 2, 2), ("gt/b1.png", 2, 2)]);
        assert!(unclear.contains("no ground truth for S1T1.png") && unclear.contains("truths/S1.png ... S20.png"));
        // A photo is no S<i>: its number says nothing.
        let photo = error(&[("in/photo1_T1.png", 2, 2), ("gt/1.png", 2, 2), ("gt/2.png", 2, 2)]);
        assert!(photo.contains("no ground truth for photo1_T1.png"), "{photo}");
    }

    #[test]
    fn both_folders_in_one() {
        for truths in ["gt", "GT", "Truths", "ground_truth", "ground-truth (20)", "targets"] {
            let file = format!("set/{truths}/S1.png");
            let folder = folder(&[("set/images/S1T1.png", 2, 2), ("set/overview.jpg", 2, 3), (&file, 2, 2)]);
            let pairs = find_pairs(&folder.path().join("set"), None).unwrap();
            let expected = [folder.path().join("set/images/S1T1.png"), folder.path().join(&file)];
            assert_eq!(pairs.len(), 1);
            assert_eq!([pairs[0].input.clone(), pairs[0].truth.clone().unwrap()], expected);
        }
    }

    #[test]
    fn what_is_no_layout_shows_those_that_are() {
        let folder =
            folder(&[("set/one/a.png", 2, 2), ("set/two/a.png", 2, 2), ("in/S1T1.png", 2, 2), ("gt/S1.png", 2, 2)]);
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("empty")).unwrap();
        let fails = |inputs: &str, truths: Option<&str>, parts: &[&str]| {
            let error = find_pairs(&at(inputs), truths.map(at).as_deref()).unwrap_err().to_string();
            for part in
                [parts, &["expected one of", "two folders, the same names:", "SPS, both in one picture:"]].concat()
            {
                assert!(error.contains(part), "{part:?} is not in: {error}");
            }
        };
        fails("empty", None, &["empty", "holds no pictures (.png"]);
        fails("in", Some("empty"), &["empty", "holds no pictures"]);
        fails("set", None, &["holds no pictures", "but the folders one, two: give one of those"]);
        fails("set", Some("gt"), &["but the folders one, two"]);
        fails("gt", Some("in"), &["these are the ground truths of", "the other way round"]);
        let none = find_pairs(&at("none"), None).unwrap_err().to_string();
        assert!(none.contains("none: No such file"), "{none}");
    }

    /// Names of inputs and ground truths below a set's folder.
    fn set(files: &[&str]) -> Result<Vec<String>> {
        let folder = folder(&files.iter().map(|name| (*name, 2, 2)).collect::<Vec<_>>());
        let name = |path: &Path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap().replace('\\', "/");
        let pair = |p: Pair| [Some(name(&p.input)), p.truth.as_deref().map(name)].into_iter().flatten().collect();
        Ok(find_pairs(folder.path(), None)?
            .into_iter()
            .map(|p| -> Vec<String> { pair(p) })
            .map(|p| p.join(" "))
            .collect())
    }

    #[test]
    fn every_layout_of_a_set() {
        assert_eq!(set(&["input/a.png", "gt/a.png", "readme.png"]).unwrap(), ["input/a.png gt/a.png"]);
        assert_eq!(set(&["Textured/S1T2.png", "CLEAN/S1.png"]).unwrap(), ["Textured/S1T2.png CLEAN/S1.png"]);
        let flat = ["S1.png", "S1T1.png", "S1T2.png", "p.png", "p_T07.png"];
        assert_eq!(set(&flat).unwrap(), ["S1T1.png S1.png", "S1T2.png S1.png", "p_T07.png p.png"]);
        assert_eq!(set(&["a.png", "b.png"]).unwrap(), ["a.png", "b.png"]);
    }

    #[test]
    fn what_is_no_set() {
        let error = |files: &[&str]| set(files).unwrap_err().to_string();
        for (files, part) in [
            (&["input/a.png"][..], "holds input, but no folder of ground truths"),
            (&["gt/a.png", "a.png"], "holds gt, but no folder of inputs"),
            (&["S1.png", "S1T1.png", "x.png"], "neither input nor ground truth: x.png"),
            (&["input/a.png", "inputs/a.png", "gt/a.png"], "holds input, inputs: which one has the inputs?"),
            (&["one/a.png", "two/a.png", "gt/a.png"], "holds one, two: which one has the inputs?"),
            (&["input/a.png", "clean/a.png", "gt/a.png"], "holds clean, gt: which one has the ground truths?"),
        ] {
            let text = error(files);
            assert!(text.contains(part) && text.contains("set/input/ and set/gt/"), "{text}");
        }
        assert!(error(&["input/a.png", "input/b.png", "gt/a.png"]).contains("no ground truth for b.png"));
        let file = folder(&[("a.png", 2, 2)]);
        assert!(matches!(find_pairs(&file.path().join("b"), None), Err(Error::Io { .. })));
    }

    #[test]
    fn names_without_their_texture() {
        let cases = [("S3T7", Some("S3")), ("kodim02_T01", Some("kodim02")), ("S3T", None), ("S3", None), ("7", None)];
        for (name, expected) in cases {
            assert_eq!(without_texture(name), expected, "{name}");
        }
    }
}
