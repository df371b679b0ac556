//! The data to train on, as options.

use super::output;
use clap::Args;
use sasnet::image;
use sasnet::lab::dataset::pairs::{Pair, Pairing, find_pairs};
use sasnet::lab::dataset::source::{Blend, Origin, Recipe, Source};
use sasnet::low_level::file::atomic_write;
use sasnet::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A folder and how often it is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighted {
    folder: PathBuf,
    weight: f32,
}

impl Weighted {
    /// FOLDER or FOLDER=WEIGHT.
    fn parse(text: &str) -> Result<Weighted, String> {
        let whole = Weighted { folder: text.into(), weight: 1.0 };
        let Some((folder, weight)) = text.rsplit_once('=').filter(|_| !whole.folder.exists()) else { return Ok(whole) };
        let number = weight.parse().ok().filter(|w: &f32| *w >= 0.0 && w.is_finite());
        match number {
            Some(weight) if !folder.is_empty() => Ok(Weighted { folder: folder.into(), weight }),
            _ => Err(format!("after = there must be a weight, a number that is 0 or more, as in {folder}=2")),
        }
    }

    fn origin(&self) -> (Origin, f32) {
        let synthetic = self.folder == Path::new(SYNTHETIC);
        (if synthetic { Origin::Synthetic } else { Origin::Folder(self.folder.clone()) }, self.weight)
    }
}

/// The word that stands for the generator; a folder of that name is ./synthetic.
const SYNTHETIC: &str = "synthetic";

/// Structures and textures: the same for `train` and `synth`.
#[derive(Args, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Blended {
    /// Folder of structure images (all subfolders), blended on the fly with --textures; `synthetic` is the generator.
    /// Can be given several times, with weights by which samples are drawn [default: synthetic]
    #[arg(long, value_name = "FOLDER[=WEIGHT]", value_parser = Weighted::parse, help_heading = "Data")]
    structures: Vec<Weighted>,
    /// Folder of textures, grey or colour (all subfolders), in the same way [default: synthetic]
    #[arg(long, value_name = "FOLDER[=WEIGHT]", value_parser = Weighted::parse, help_heading = "Data")]
    textures: Vec<Weighted>,
    /// How textures are laid on structures: plain = added, as strong as --strength says; varied = also multiplied, cut
    /// as joints, stronger, larger, smaller, none; mixed = half of the samples each [default: varied; with --paper: plain]
    #[arg(long, value_name = "HOW", help_heading = "Data")]
    #[serde(default)]
    blend: Option<BlendArg>,
    /// Draw structures and textures also in other colours and sizes, at other angles, negative, and of parts of two, so
    /// that few pictures are not learnt by heart [default: train does so with folders, without --paper]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help_heading = "Data")]
    #[serde(default)]
    augment: Option<bool>,
}

/// [`Blend`] on the command line.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlendArg {
    Plain,
    Mixed,
    Varied,
}

impl Blended {
    /// The generator for what is not given.
    fn recipe(&self, strength: (f32, f32)) -> Recipe {
        let or_synthetic = |given: &[Weighted]| match given {
            [] => vec![(Origin::Synthetic, 1.0)],
            given => given.iter().map(Weighted::origin).collect(),
        };
        let (structures, textures) = (or_synthetic(&self.structures), or_synthetic(&self.textures));
        let blend = match self.blend {
            Some(BlendArg::Varied) => Blend::Varied,
            Some(BlendArg::Mixed) => Blend::Mixed,
            Some(BlendArg::Plain) | None => Blend::Plain,
        };
        Recipe { structures, textures, pairs: vec![], strength, blend, augment: self.augment.unwrap_or(false) }
    }

    /// Blends so where it is not said how.
    pub fn or_blend(&mut self, blend: BlendArg) {
        self.blend.get_or_insert(blend);
    }

    /// What a new run does where nothing else is said.
    fn or_defaults(&mut self, paper: bool) {
        self.or_blend(if paper { BlendArg::Plain } else { BlendArg::Varied });
        let mut given = self.structures.iter().chain(&self.textures);
        let folders = given.any(|weighted| matches!(weighted.origin(), (Origin::Folder(_), _)));
        self.augment.get_or_insert(folders && !paper);
    }

    /// Reads what is to be read, and says what it is.
    pub fn source(&self, strength: (f32, f32)) -> Result<Source> {
        Source::new(&self.recipe(strength))
    }

    fn is_empty(&self) -> bool {
        self.structures.is_empty() && self.textures.is_empty()
    }
}

/// Structures and textures, and pairs.
#[derive(Args, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Data {
    #[command(flatten)]
    blended: Blended,
    /// Folder of textured inputs, paired with --truths; without --truths, of side-by-side pictures (ground truth left),
    /// or with a folder of inputs and one of ground truths in it. Can be given several times, and beside --structures
    #[arg(long, value_name = "FOLDER[=WEIGHT]", value_parser = Weighted::parse, help_heading = "Data")]
    inputs: Vec<Weighted>,
    /// Folder of the inputs' ground truths; once for each --inputs, in the same order
    #[arg(long, value_name = "FOLDER", requires = "inputs", help_heading = "Data")]
    truths: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub order: PairByOrder,
}

/// How inputs and ground truths find each other: the same for `train` and `eval`.
#[derive(Args, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PairByOrder {
    /// Pair inputs and ground truths in their order (2 before 10) where their names do not say which belongs to which
    #[arg(long, help_heading = "Data")]
    #[serde(default)]
    pair_by_order: bool,
}

impl PairByOrder {
    /// The pairs; says what in their folders is left out. An error says where --pair-by-order would help.
    pub fn find(self, inputs: &Path, truths: Option<&Path>) -> Result<Vec<Pair>> {
        let pairs = self.pairs(inputs, truths)?;
        if inputs.is_dir() {
            let files = pairs.iter().flat_map(Pair::files);
            let folders: BTreeSet<&Path> = files.filter_map(|file| file.parent()).collect();
            let left_out = folders.into_iter().filter_map(|folder| image::list(folder, false, None).ok());
            let left_out = left_out.flat_map(|listing| listing.left_out);
            let left_out: Vec<(PathBuf, String)> = left_out.map(|(path, why)| (path, why.to_string())).collect();
            if !left_out.is_empty() {
                note!("{}: {}", inputs.display(), output::left_out(&left_out, false));
            }
        }
        Ok(pairs)
    }

    fn pairs(self, inputs: &Path, truths: Option<&Path>) -> Result<Vec<Pair>> {
        if self.pair_by_order {
            return find_pairs(inputs, truths, Pairing::Order);
        }
        find_pairs(inputs, truths, Pairing::Names).map_err(|error| match error {
            Error::File { path, message } if find_pairs(inputs, truths, Pairing::Order).is_ok() => {
                Error::file(path, message + "\nRename them, or pair them in their order by --pair-by-order")
            }
            error => error,
        })
    }
}

/// Name of the file that says what a run is trained on.
const FILE: &str = "data.json";

impl Data {
    /// Returns what is given, and for a run that goes on what it was trained on so far. `paper`: what is not said of a new
    /// run is the paper's.
    pub fn of_run(&self, folder: &Path, resume: bool, paper: bool) -> Result<Data> {
        let mut data = self.clone();
        if !resume {
            data.blended.or_defaults(paper);
            return Ok(data);
        }
        let path = folder.join(FILE);
        let known = if path.exists() { Some(Data::read(&path)?) } else { None };
        let before = known.as_ref().map(|known| (known.blended.blend, known.blended.augment)).unwrap_or_default();
        if self.is_empty() {
            data = known.ok_or_else(|| {
                let message = format!(
                    "has no {FILE} that says what it was trained on: give --structures, --textures or --inputs again \
                     (--structures {SYNTHETIC} is the generator)"
                );
                Error::file(folder, message)
            })?;
        }
        data.blended.blend = self.blended.blend.or(before.0);
        data.blended.augment = self.blended.augment.or(before.1);
        Ok(data)
    }

    fn read(path: &Path) -> Result<Data> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let wrong =
            |e| Error::file(path, format!("{e}: remove it, and give --structures, --textures or --inputs again"));
        serde_json::from_slice(&bytes).map_err(wrong)
    }

    /// Leaves for [`Data::of_run`] what a run is trained on.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut data = self.clone();
        let lists = [&mut data.blended.structures, &mut data.blended.textures, &mut data.inputs];
        let folders = lists.into_iter().flatten().map(|weighted| &mut weighted.folder);
        for path in folders.filter(|path| *path != Path::new(SYNTHETIC)).chain(&mut data.truths) {
            // It may go on from another folder.
            *path = std::path::absolute(&*path).map_err(Error::io(&*path))?;
        }
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let path = folder.join(FILE);
        let json = serde_json::to_vec_pretty(&data).expect("options are plain data");
        atomic_write(&path, |out| out.write_all(&json).map_err(Error::io(&path)))
    }

    /// Reads what is to be read.
    pub fn source(&self, strength: (f32, f32)) -> Result<Source> {
        if !self.truths.is_empty() && self.truths.len() != self.inputs.len() {
            let (inputs, truths) = (self.inputs.len(), self.truths.len());
            return Err(Error::Invalid(format!(
                "--inputs and --truths are given {inputs} and {truths} times: give one --truths for each --inputs, in the same \
                 order"
            )));
        }
        let mut recipe = self.blended.recipe(strength);
        if self.blended.is_empty() && !self.inputs.is_empty() {
            // Pairs alone.
            recipe.structures.clear();
        }
        for (i, Weighted { folder, weight }) in self.inputs.iter().enumerate() {
            let pairs = self.order.find(folder, self.truths.get(i).map(PathBuf::as_path))?;
            recipe.pairs.push((folder.display().to_string(), pairs, *weight));
        }
        Source::new(&recipe)
    }

    fn is_empty(&self) -> bool {
        self.blended.is_empty() && self.inputs.is_empty() && self.truths.is_empty()
    }
}
