//! `sasnet synth`

use super::data::{BlendArg, Blended};
use super::stop::Stop;
use super::{count_of, parse_size, parse_strength};
use clap::Args;
use indicatif::{ParallelProgressIterator, ProgressBar, ProgressStyle};
use rayon::prelude::*;
use sasnet::image::write;
use sasnet::lab::dataset::source::{STRENGTH, Source};
use sasnet::lab::sheet::ContactSheet;
use sasnet::low_level::file::{TEMPORARY, open_stream};
use sasnet::low_level::geometry::crop;
use sasnet::low_level::tensor::{Shape, Tensor};
use sasnet::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Write training pairs to disk, as `train` makes them: OUT/input/0000.png, OUT/gt/0000.png and so on, and
/// OUT/overview.jpg with the first of them. `train --inputs OUT` and `eval OUT` read them.
#[derive(Args)]
pub struct Synth {
    /// Folder to write into, made where it does not exist
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// Number of pairs
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,
    /// Size of the pictures
    #[arg(long, value_name = "WIDTHxHEIGHT|SIDE", default_value = "256", value_parser = parse_size_or_side)]
    size: (usize, usize),
    /// Seed: the same one gives the same pairs
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    blended: Blended,
    /// Standard deviation of the textures, of 255 [default: 8,25]
    #[arg(long, value_name = "FROM,TO", value_parser = parse_strength, help_heading = "Data")]
    strength: Option<(f32, f32)>,
    /// Write into a folder that is not empty; its folders input and gt are replaced
    #[arg(long)]
    force: bool,
}

const PARTS: [&str; 3] = ["input", "gt", "overview.jpg"];
/// Pairs beside each other in the overview, rows of them, and largest side of a picture.
const ACROSS: usize = 4;
const DOWN: usize = 4;
const CELL: usize = 128;

fn parse_size_or_side(text: &str) -> Result<(usize, usize), String> {
    let size = if text.contains('x') { text.to_string() } else { format!("{text}x{text}") };
    let (w, h) = parse_size(&size).map_err(|_| "give a side or two, as in 256 or 512x384")?;
    let fits = (8..=8192).contains(&w) && (8..=8192).contains(&h);
    if fits { Ok((w, h)) } else { Err("sides are from 8 to 8192 pixels".into()) }
}

impl Synth {
    /// Writes all pairs, or none.
    pub fn run(self) -> Result<()> {
        let out = &self.out;
        self.check_folder()?;
        let mut blended = self.blended.clone();
        blended.or_blend(BlendArg::Varied);
        let source = blended.source(self.strength.unwrap_or(STRENGTH))?;
        note!("pairs of {source}");
        let is_new = !out.exists();
        std::fs::create_dir_all(out).map_err(Error::io(out))?;
        let written = self.write(&source);
        if written.is_err() && is_new {
            // Fails where something is in it, which is then not ours.
            let _ = std::fs::remove_dir(out);
        }
        written.map(|()| note!("wrote {} into {}", count_of(self.count as usize, "pair"), out.display()))
    }

    fn check_folder(&self) -> Result<()> {
        let out = &self.out;
        if !out.exists() {
            return Ok(());
        }
        if !out.is_dir() {
            return Err(Error::file(out, "is a file; the pairs go into a folder"));
        }
        let is_empty = out.read_dir().map_err(Error::io(out))?.next().is_none();
        if !is_empty && !self.force {
            let message =
                "is not empty: give another folder, or --force, which replaces the folders input and gt in it";
            return Err(Error::file(out, message));
        }
        Ok(())
    }

    fn write(&self, source: &Source) -> Result<()> {
        // Before there is something that a signal would leave behind.
        let stop = Stop::listen(None);
        stop.working(true);
        // Complete in a folder of their own first; what stops half-way leaves the pairs of before.
        let folder = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&self.out).map_err(Error::io(&self.out))?;
        let [inputs, truths, overview] = PARTS.map(|name| folder.path().join(name));
        for path in [&inputs, &truths] {
            std::fs::create_dir(path).map_err(Error::io(path))?;
        }
        let digits = (self.count - 1).to_string().len().max(4);
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} pairs, {eta} left");
        let bar = ProgressBar::new(self.count).with_style(style.expect("the template is valid"));
        (0..self.count).into_par_iter().progress_with(bar.clone()).try_for_each(|i| {
            if stop.asked() {
                return Err(Error::Cancelled);
            }
            let [input, truth] = self.pair(source, i);
            let name = format!("{i:0digits$}.png");
            write(inputs.join(&name), &input.into())?;
            write(truths.join(&name), &truth.into())
        })?;
        bar.finish_and_clear();
        self.overview(source)?.write(&overview)?;
        for name in PARTS {
            let (from, to) = (folder.path().join(name), self.out.join(name));
            replace(&from, &to, &folder.path().join(format!("old-{name}")))?;
        }
        Ok(())
    }

    /// Input and ground truth number `i`.
    fn pair(&self, source: &Source, i: u64) -> [Tensor; 2] {
        let (w, h) = self.size;
        let batch = source.batch(self.seed, i, 1, w.max(h));
        [batch.input, batch.target].map(|x| crop(&x, h, w))
    }

    /// The first pairs.
    fn overview(&self, source: &Source) -> Result<ContactSheet> {
        let shown = self.count.min((ACROSS * DOWN) as u64);
        let across = ACROSS.min(shown as usize);
        let mut sheet = ContactSheet::new(&["input", "ground truth"].repeat(across), CELL)?;
        let pairs: Vec<u64> = (0..shown).collect();
        for row in pairs.chunks(across) {
            let pictures: Vec<Tensor> = row.iter().flat_map(|i| self.pair(source, *i)).collect();
            let white = Tensor::new(Shape::new(1, 3, 1, 1), vec![1.0; 3]);
            let all: Vec<&Tensor> = pictures.iter().chain(std::iter::repeat(&white)).take(2 * across).collect();
            sheet.row(&format!("{} to {}", row[0], row[row.len() - 1]), &all)?;
        }
        Ok(sheet)
    }
}

/// Renames `from` to `to`; what is there goes to `old` before, to be removed with it. A device or FIFO stays.
fn replace(from: &Path, to: &Path, old: &Path) -> Result<()> {
    if let Some(mut stream) = open_stream(to)? {
        let written = std::fs::read(from).and_then(|bytes| stream.write_all(&bytes));
        return written.map_err(Error::io(to));
    }
    if to.exists() {
        std::fs::rename(to, old).map_err(Error::io(to))?;
    }
    std::fs::rename(from, to).map_err(Error::io(to))
}
