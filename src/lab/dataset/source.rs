//! Training samples, drawn from pictures in memory and from the generator.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rayon::prelude::*;

use super::pairs::Pair;
use super::synthetic;
use crate::error::{Error, Result};
use crate::geometry::{Flip, Padding, reflect};
use crate::image::{self, pictures_below};
use crate::rng::Rng;
use crate::tensor::{Shape, Tensor};

mod augment;
mod blend;
pub use blend::Blend;

/// Inputs and what the network should make of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// (B, 3, crop, crop) in [0, 1], textured.
    pub input: Tensor,
    /// (B, 3, crop, crop) in [0, 1], smooth.
    pub target: Tensor,
}

/// The standard deviation of a blended texture, in code values of 0..255.
pub const STRENGTH: (f32, f32) = (8.0, 25.0);

/// How far a grey texture is coloured: the standard deviation of each channel's gain around 1, and of the gain by which
/// another place of the same texture is added to it. In `input - truth` of the NKS stand-ins the channels' gains
/// scatter by 0.1 around 1 (0.82 to 1.22), and up to 4 % of the variance is a smooth colour that no gain explains,
/// which is what the second term imitates. Somewhat more than seen, since a network should not rely on textures being
/// nearly grey.
const COLOUR: f32 = 0.15;

/// A place that structures or textures come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// A folder of pictures, with all its subfolders.
    Folder(PathBuf),
    /// The generator ([`synthetic`]).
    Synthetic,
}

/// Places to train on, each with a weight: a sample's target is drawn from structures and pairs together, by their
/// weights; a structure then gets a texture, by theirs. A weight of 0 leaves a place out, unread.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Structures, to be blended with textures. Of a folder each subfolder is drawn equally often, however many
    /// pictures it has: kinds of structure go into folders of their own.
    pub structures: Vec<(Origin, f32)>,
    /// Textures, half of the time in grey.
    pub textures: Vec<(Origin, f32)>,
    /// Pairs as they are, with what to call them ([`super::pairs::find_pairs`]).
    pub pairs: Vec<(String, Vec<Pair>, f32)>,
    /// Standard deviation of blended textures, from and to, in code values of 0..255 ([`STRENGTH`]).
    pub strength: (f32, f32),
    /// How textures are laid on structures.
    pub blend: Blend,
    /// Structures and textures also in other colours and sizes, at other angles, negative, and of parts of two.
    pub augment: bool,
}

/// Where training samples come from; holds all its pictures in memory, 3 bytes a pixel.
///
/// Structures are blended with textures on the fly, as [`Blend`] says, and clipped to [0, 1].
pub struct Source {
    targets: Mix<Target>,
    textures: Mix<Textures>,
    strength: (f32, f32),
    blend: Blend,
    augment: bool,
    border: usize,
}

enum Target {
    /// Structures by folder.
    Structures(Vec<Vec<Bitmap>>),
    SyntheticStructures,
    /// Inputs and truths.
    Pairs(Vec<(Bitmap, Bitmap)>),
}

enum Textures {
    Pictures(Vec<Texture>),
    Synthetic,
}

impl Textures {
    /// Adds one, so strong (0..1), to a (3, crop, crop) sample.
    fn add(&self, strength: impl Fn(&mut Rng) -> f32, crop: usize, rng: &mut Rng, out: &mut [f32]) {
        match self {
            Textures::Pictures(textures) => {
                let texture = &textures[rng.below(textures.len())];
                texture.add(strength(rng), crop, rng, out);
            }
            Textures::Synthetic => {
                let strength = strength(rng);
                let texture = synthetic::texture(rng, crop);
                out.iter_mut().zip(&texture).for_each(|(v, t)| *v += strength * t);
            }
        }
    }

    /// One (3, crop, crop), augmented, about of mean 0 and deviation 1.
    fn augmented(&self, crop: usize, rng: &mut Rng) -> Vec<f32> {
        augment::texture(rng, crop, &|rng: &mut Rng, side, out: &mut [f32]| self.add(|_| 1.0, side, rng, out))
    }
}

/// Things to draw from by weight.
struct Mix<T> {
    /// Names and numbers of pictures, for the reader of a log.
    names: Vec<String>,
    weights: Vec<f32>,
    items: Vec<T>,
}

impl<T> Mix<T> {
    fn new() -> Mix<T> {
        Mix { names: vec![], weights: vec![], items: vec![] }
    }

    fn add(&mut self, weight: f32, name: &str, read: impl FnOnce() -> Result<(T, Option<usize>)>) -> Result<()> {
        if !(weight >= 0.0 && weight.is_finite()) {
            return Err(Error::Invalid(format!("the weight of {name} is {weight}; give a number, 0 or more")));
        }
        if weight > 0.0 {
            let (item, pictures) = read()?;
            self.names.push(pictures.map_or(name.to_string(), |n| format!("{name} ({n})")));
            self.weights.push(weight);
            self.items.push(item);
        }
        Ok(())
    }

    fn draw(&self, rng: &mut Rng) -> &T {
        let last = self.items.len() - 1;
        if last == 0 {
            // Takes no random number: runs that began before there were mixtures go on with the same samples.
            return &self.items[0];
        }
        let mut at = rng.unit() * self.weights.iter().sum::<f32>();
        let reached = self.weights.iter().position(|weight| {
            at -= weight;
            at < 0.0
        });
        &self.items[reached.unwrap_or(last)]
    }
}

impl<T> std::fmt::Display for Mix<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let total: f32 = self.weights.iter().sum();
        for (i, (name, weight)) in self.names.iter().zip(&self.weights).enumerate() {
            let share = if self.names.len() > 1 { format!("{:.3} % ", 100.0 * weight / total) } else { String::new() };
            write!(f, "{}{}{name}", if i > 0 { ", " } else { "" }, share.replace(".000", ""))?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Source {
    /// Says in one line what is drawn from where, how often and from how many pictures, and whether it is augmented.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", self.targets)?;
        if self.textures.items.is_empty() {
            return Ok(());
        }
        write!(f, "; textures: {}{}", self.textures, if self.augment { "; augmented" } else { "" })
    }
}

impl Source {
    /// Reads all that a recipe names.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::File`] for folders without pictures, unreadable ones and a texture of one colour, and
    /// those of [`Pair::read`]; [`Error::Invalid`] where `strength` is not two positive numbers in order, a weight is
    /// negative or no number, all are 0, and for a set without any pair.
    pub fn new(recipe: &Recipe) -> Result<Source> {
        let (low, high) = recipe.strength;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return Err(Error::Invalid(format!(
                "texture strength from {low} to {high}: give two positive numbers, the smaller first"
            )));
        }
        let mut source = Source {
            targets: Mix::new(),
            textures: Mix::new(),
            strength: recipe.strength,
            blend: recipe.blend,
            augment: recipe.augment,
            border: 0,
        };
        for (origin, weight) in &recipe.structures {
            match origin {
                Origin::Folder(path) => {
                    let read = || read_structures(path).map(|(s, count)| (Target::Structures(s), Some(count)));
                    source.targets.add(*weight, &format!("structures {}", path.display()), read)?;
                }
                Origin::Synthetic => {
                    source.targets.add(*weight, "synthetic structures", || Ok((Target::SyntheticStructures, None)))?;
                }
            }
        }
        let blends = !source.targets.items.is_empty();
        for (name, pairs, weight) in &recipe.pairs {
            let read = |pair: &Pair| pair.read().map(|(input, truth)| (Bitmap::new(&input), Bitmap::new(&truth)));
            let read_all = || Ok((Target::Pairs(load(pairs, read)?), Some(pairs.len())));
            if pairs.is_empty() {
                return Err(Error::Invalid("no pairs to train on: give at least one".into()));
            }
            source.targets.add(*weight, &format!("pairs {name}"), read_all)?;
        }
        for (origin, weight) in recipe.textures.iter().filter(|_| blends) {
            match origin {
                Origin::Folder(path) => {
                    let read = || {
                        let textures = load(&pictures_below(path)?, |path| Texture::read(path))?;
                        let count = textures.len();
                        Ok((Textures::Pictures(textures), Some(count)))
                    };
                    source.textures.add(*weight, &path.display().to_string(), read)?;
                }
                Origin::Synthetic => source.textures.add(*weight, "synthetic", || Ok((Textures::Synthetic, None)))?,
            }
        }
        let nothing = |what| Err(Error::Invalid(format!("no {what} to train on: give one, with a weight above 0")));
        if source.targets.items.is_empty() {
            return nothing("structures or pairs");
        }
        if blends && source.textures.items.is_empty() {
            return nothing("textures");
        }
        Ok(source)
    }

    /// Structures and textures of a folder each.
    ///
    /// # Errors
    /// Those of [`Source::new`].
    pub fn blend(structures: &Path, textures: &Path, strength: (f32, f32)) -> Result<Source> {
        let folder = |path: &Path| vec![(Origin::Folder(path.to_path_buf()), 1.0)];
        let (structures, textures) = (folder(structures), folder(textures));
        Source::new(&Recipe { structures, textures, pairs: vec![], strength, blend: Blend::Plain, augment: false })
    }

    /// One set of pairs.
    ///
    /// # Errors
    /// Those of [`Source::new`].
    pub fn pairs(pairs: &[Pair]) -> Result<Source> {
        let (pairs, blend) = (vec![("given".into(), pairs.to_vec(), 1.0)], Blend::Plain);
        let (structures, textures) = (vec![], vec![]);
        Source::new(&Recipe { structures, textures, pairs, strength: STRENGTH, blend, augment: false })
    }

    /// The generator's structures with the generator's textures.
    pub fn synthetic(strength: (f32, f32)) -> Result<Source> {
        let synthetic = vec![(Origin::Synthetic, 1.0)];
        let (structures, textures) = (synthetic.clone(), synthetic);
        Source::new(&Recipe { structures, textures, pairs: vec![], strength, blend: Blend::Plain, augment: false })
    }

    /// Samples that are surrounded by so many pixels of their reflection, an eighth of their side at most: as a picture is
    /// when it is smoothed ([`crate::smooth::BORDER`]).
    #[must_use]
    pub fn with_border(self, border: usize) -> Source {
        Source { border, ..self }
    }

    /// The `batch` samples of `crop` x `crop` of the step number `step`; those of folders flipped and rotated at
    /// random, smaller pictures extended by reflection. A function of its arguments alone: a resumed run draws what it
    /// would have drawn.
    pub fn batch(&self, seed: u64, step: u64, batch: usize, crop: usize) -> Batch {
        self.samples(seed, step, 0..batch, crop)
    }

    /// Some samples of [`Source::batch`], for one of several processes.
    pub fn samples(&self, seed: u64, step: u64, samples: Range<usize>, crop: usize) -> Batch {
        let shape = Shape::new(samples.len(), 3, crop, crop);
        let (mut input, mut target) = (Tensor::zeros(shape), Tensor::zeros(shape));
        let sample = 3 * crop * crop;
        (input.data.par_chunks_mut(sample), target.data.par_chunks_mut(sample)).into_par_iter().enumerate().for_each(
            |(i, (input, target))| {
                let number = (samples.start + i) as u64;
                self.sample(&mut Rng::new(&[seed, step, number]), crop, input, target);
            },
        );
        Batch { input, target }
    }

    fn sample(&self, rng: &mut Rng, crop: usize, input: &mut [f32], target: &mut [f32]) {
        let border = self.border.min(crop / 8);
        if border == 0 {
            return self.inner(rng, crop, input, target);
        }
        let side = crop - 2 * border;
        let [mut small_input, mut small_target] = [0; 2].map(|_| Tensor::zeros(Shape::new(1, 3, side, side)));
        self.inner(rng, side, &mut small_input.data, &mut small_target.data);
        let padding = Padding { border, multiple: 1 };
        for (small, whole) in [(small_input, input), (small_target, target)] {
            whole.copy_from_slice(&padding.flip_and_pad(&small, Flip::default(), 0..crop).data);
        }
    }

    /// The sample without its border.
    fn inner(&self, rng: &mut Rng, crop: usize, input: &mut [f32], target: &mut [f32]) {
        match self.targets.draw(rng) {
            Target::Pairs(pairs) => {
                let (textured, smooth) = &pairs[rng.below(pairs.len())];
                let window = Window::inside(smooth, crop, rng);
                window.read(smooth, target);
                return window.read(textured, input);
            }
            Target::Structures(folders) => {
                let draw = |rng: &mut Rng, side: usize, out: &mut [f32]| {
                    let folder = &folders[rng.below(folders.len())];
                    let structure = &folder[rng.below(folder.len())];
                    Window::inside(structure, side, rng).read(structure, out);
                };
                if self.augment {
                    augment::structure(rng, crop, target, &draw);
                } else {
                    draw(rng, crop, target);
                }
            }
            Target::SyntheticStructures => target.copy_from_slice(&synthetic::structure(rng, crop)),
        }
        let varied = match self.blend {
            Blend::Plain => false,
            Blend::Mixed => rng.below(2) == 0,
            Blend::Varied => true,
        };
        if varied {
            blend::flatten(rng, crop, target);
        }
        input.copy_from_slice(target);
        let textures = self.textures.draw(rng);
        if varied {
            blend::lay(rng, textures, self.augment, self.strength, crop, input);
        } else if self.augment {
            let strength = rng.between(self.strength) / 255.0;
            let texture = textures.augmented(crop, rng);
            input.iter_mut().zip(&texture).for_each(|(v, t)| *v += strength * t);
        } else {
            textures.add(|rng| rng.between(self.strength) / 255.0, crop, rng, input);
        }
        input.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
    }
}

/// Structures by folder, and how many they are.
fn read_structures(path: &Path) -> Result<(Vec<Vec<Bitmap>>, usize)> {
    let mut folders: BTreeMap<Option<PathBuf>, Vec<PathBuf>> = BTreeMap::new();
    for path in pictures_below(path)? {
        folders.entry(path.parent().map(Path::to_path_buf)).or_default().push(path);
    }
    let bitmap = |path: &PathBuf| Ok(Bitmap::new(&image::read(path)?.tensor));
    let structures = folders.values().map(|paths| load(paths, bitmap)).collect::<Result<Vec<_>>>()?;
    Ok((structures, folders.values().map(Vec::len).sum()))
}

fn load<P: Sync, T: Send>(paths: &[P], read: impl Fn(&P) -> Result<T> + Sync + Send) -> Result<Vec<T>> {
    paths.par_iter().map(read).collect()
}

/// A picture of 8 bits a value, pixel by pixel.
struct Bitmap {
    h: usize,
    w: usize,
    pixels: Vec<[u8; 3]>,
}

impl Bitmap {
    fn new(x: &Tensor) -> Bitmap {
        let Shape { h, w, .. } = x.shape;
        let codes = image::quantise(x);
        let pixels = (0..h * w).map(|i| [0, 1, 2].map(|c| codes[c * h * w + i])).collect();
        Bitmap { h, w, pixels }
    }
}

/// Which pixels of a bitmap make a square crop: the one at (y, x) is number `down[y] + across[x]`.
struct Window {
    down: Vec<usize>,
    across: Vec<usize>,
}

impl Window {
    /// A random place and flip; what a small bitmap lacks is reflected.
    fn inside(bitmap: &Bitmap, crop: usize, rng: &mut Rng) -> Window {
        let (h, w) = (bitmap.h, bitmap.w);
        let (y, x) = (rng.below(h.saturating_sub(crop) + 1), rng.below(w.saturating_sub(crop) + 1));
        Self::new(w, crop, rng, |row| reflect((y + row) as isize, h), |column| reflect((x + column) as isize, w))
    }

    /// A random place and flip of the bitmap repeated without end.
    fn tiled(bitmap: &Bitmap, crop: usize, rng: &mut Rng) -> Window {
        let (h, w) = (bitmap.h, bitmap.w);
        let (y, x) = (rng.below(h), rng.below(w));
        Self::new(w, crop, rng, |row| (y + row) % h, |column| (x + column) % w)
    }

    fn new(
        w: usize,
        crop: usize,
        rng: &mut Rng,
        row: impl Fn(usize) -> usize,
        column: impl Fn(usize) -> usize,
    ) -> Window {
        let flip = Flip::new(rng.below(Flip::COUNT));
        let source = |i| flip.source(i, i, crop, crop);
        let rows = (0..crop).map(|i| row(source(i).0) * w).collect();
        let columns = (0..crop).map(|i| column(source(i).1)).collect();
        if flip.transpose { Window { down: columns, across: rows } } else { Window { down: rows, across: columns } }
    }

    /// Adds `gain (pixel - mean)` of each channel to a (3, crop, crop) sample.
    fn add(&self, bitmap: &Bitmap, gain: [f32; 3], mean: [f32; 3], out: &mut [f32]) {
        let crop = self.down.len();
        let (red, rest) = out.split_at_mut(crop * crop);
        let (green, blue) = rest.split_at_mut(crop * crop);
        let mut i = 0;
        for down in &self.down {
            for across in &self.across {
                let [r, g, b] = bitmap.pixels[down + across];
                red[i] += gain[0] * (f32::from(r) - mean[0]);
                green[i] += gain[1] * (f32::from(g) - mean[1]);
                blue[i] += gain[2] * (f32::from(b) - mean[2]);
                i += 1;
            }
        }
    }

    /// Writes the crop, scaled to [0, 1], into a (3, crop, crop) sample.
    fn read(&self, bitmap: &Bitmap, out: &mut [f32]) {
        let plane = self.down.len() * self.across.len();
        let pixels = self.down.iter().flat_map(|down| self.across.iter().map(move |across| down + across));
        for (i, pixel) in pixels.enumerate() {
            let codes = bitmap.pixels[pixel];
            for c in 0..3 {
                // Divided, so that a target equals the same pixel read by `image::read` to the last bit.
                out[c * plane + i] = f32::from(codes[c]) / 255.0;
            }
        }
    }
}

/// A bitmap to be tiled, with each channel's mean and the root mean square of their standard deviations (0..255).
struct Tile {
    bitmap: Bitmap,
    mean: [f32; 3],
    deviation: f32,
}

impl Tile {
    fn new(bitmap: Bitmap) -> Tile {
        let n = bitmap.pixels.len() as f64;
        let total =
            |f: &dyn Fn(f64) -> f64, c: usize| bitmap.pixels.iter().map(|p| f(f64::from(p[c]))).sum::<f64>() / n;
        let mean = [0, 1, 2].map(|c| total(&|v| v, c));
        let variance = (0..3).map(|c| total(&|v| (v - mean[c]).powi(2), c)).sum::<f64>() / 3.0;
        Tile { mean: mean.map(|m| m as f32), deviation: variance.sqrt() as f32, bitmap }
    }
}

struct Texture {
    grey: Tile,
    /// Where the file has colours of its own.
    colour: Option<Tile>,
}

impl Texture {
    fn read(path: &Path) -> Result<Texture> {
        let bitmap = Bitmap::new(&image::read(path)?.tensor);
        let grey_pixels = bitmap.pixels.iter().map(|p| [(p.iter().map(|&v| u16::from(v)).sum::<u16>() / 3) as u8; 3]);
        let grey = Tile::new(Bitmap { pixels: grey_pixels.collect(), ..bitmap });
        if grey.deviation == 0.0 {
            return Err(Error::file(path, "a texture of one brightness everywhere: remove it"));
        }
        let colour = bitmap.pixels.iter().any(|p| p[0] != p[1] || p[1] != p[2]).then(|| Tile::new(bitmap));
        Ok(Texture { grey, colour })
    }

    /// Adds the texture, `strength` strong (0..1), to a (3, crop, crop) sample: grey or coloured, a toss-up.
    fn add(&self, strength: f32, crop: usize, rng: &mut Rng, out: &mut [f32]) {
        let coloured = rng.below(2) == 1;
        let tile = self.colour.as_ref().filter(|_| coloured).unwrap_or(&self.grey);
        let gain = strength / tile.deviation;
        let mut add = |rng: &mut Rng, gains: [f32; 3]| {
            Window::tiled(&tile.bitmap, crop, rng).add(&tile.bitmap, gains.map(|g| g * gain), tile.mean, out);
        };
        if !coloured || self.colour.is_some() {
            return add(rng, [1.0; 3]);
        }
        let first = [(); 3].map(|()| 1.0 + COLOUR * rng.normal());
        let second = [(); 3].map(|()| COLOUR * rng.normal());
        let norm = (first.iter().chain(&second).map(|g| g * g).sum::<f32>() / 3.0).sqrt();
        add(rng, first.map(|g| g / norm));
        add(rng, second.map(|g| g / norm));
    }
}

/// Builds the batches of consecutive steps on a thread of its own, a few ahead of the one in use.
pub struct Prefetch {
    // Dropped first, which is what ends the thread.
    batches: Option<Receiver<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetch {
    /// Starts with the step number `step`; the other arguments are those of [`Source::samples`].
    pub fn new(source: Arc<Source>, seed: u64, step: u64, samples: Range<usize>, crop: usize) -> Prefetch {
        let (sender, batches) = sync_channel(2);
        let work = move || {
            // Sending fails once the receiver is gone.
            let _ = (step..).try_for_each(|step| sender.send(source.samples(seed, step, samples.clone(), crop)));
        };
        Prefetch { batches: Some(batches), thread: Some(std::thread::spawn(work)) }
    }
}

impl Iterator for Prefetch {
    type Item = Batch;

    /// The next step's batch; never `None`.
    fn next(&mut self) -> Option<Batch> {
        let batch = self.batches.as_ref()?.recv().ok();
        if batch.is_none()
            && let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
        {
            std::panic::resume_unwind(panic);
        }
        batch
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
