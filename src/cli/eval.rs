//! `sasnet eval`

use super::{Network, about, create_folder_of, progress, say};
use clap::Args;
use sasnet::file::atomic_write;
use sasnet::image::{Picture, write};
use sasnet::metrics::{Row, Scores, score};
use sasnet::train::pairs::find_pairs;
use sasnet::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Score the network on pictures with ground truths: PSNR and SSIM of each and their means, before and after.
#[derive(Args)]
pub struct Eval {
    /// Folder of inputs (or one); without TRUTHS, side-by-side pictures, ground truth left
    inputs: PathBuf,
    /// Folder of ground truths: of the same names, or an input's name without its texture (S3.png for S3T7.png)
    truths: Option<PathBuf>,
    /// Also write the table as CSV, in full precision
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Also write the results there, as PNG
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
    #[command(flatten)]
    network: Network,
}

impl Eval {
    /// Scores all pairs.
    pub fn run(self) -> Result<()> {
        let pairs = find_pairs(&self.inputs, self.truths.as_deref())?;
        if let Some(folder) = &self.save {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        self.csv.as_deref().map_or(Ok(()), create_folder_of)?;
        let (mut smoother, options) = (self.network.open()?, self.network.options());
        let bar = progress(pairs.len() * options.passes());
        let (mut rows, mut before, mut after) = (vec![], vec![], vec![]);
        for pair in &pairs {
            let name = pair.input.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            bar.set_message(name.clone());
            let (h, w) = pair.size()?;
            smoother.check(h, w).map_err(about(&pair.input))?;
            let (input, truth) = pair.read()?;
            let before_it = score(&input, &truth).map_err(about(&pair.input))?;
            let y = smoother.smooth(&input, &options, || bar.inc(1)).map_err(about(&pair.input))?;
            let after_it = score(&y, &truth).map_err(about(&pair.input))?;
            rows.push(Row::new(name.clone(), before_it, after_it));
            before.push(before_it);
            after.push(after_it);
            if let Some(folder) = &self.save {
                write(folder.join(format!("{name}.png")), &Picture::from(y))?;
            }
        }
        bar.finish_and_clear();
        if let Some(path) = &self.csv {
            write_csv(path, &rows)?;
        }
        print(&rows, &before, &after);
        Ok(())
    }
}

fn print(rows: &[Row], before: &[Scores], after: &[Scores]) {
    let mean = |scores| Scores::mean(scores).expect("at least one pair was found");
    let mean = Row::new("mean", mean(before), mean(after));
    let width = rows.iter().map(|row| row.image.chars().count()).max().unwrap_or(0).max("image".len());
    say!("{:width$}    input PSNR   SSIM     PSNR   SSIM   Y: input PSNR   SSIM     PSNR   SSIM", "image");
    for r in rows.iter().chain([&mean]) {
        say!(
            "{:width$}  {:12.2} {:.4}   {:6.2} {:.4}   {:13.2} {:.4}   {:6.2} {:.4}",
            r.image,
            r.psnr_in,
            r.ssim_in,
            r.psnr,
            r.ssim,
            r.psnr_y_in,
            r.ssim_y_in,
            r.psnr_y,
            r.ssim_y
        );
    }
}

fn write_csv(path: &Path, rows: &[Row]) -> Result<()> {
    atomic_write(path, |out| {
        let mut writer = csv::Writer::from_writer(&mut *out);
        rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|e| Error::file(path, e.to_string()))?;
        writer.flush().map_err(Error::io(path))?;
        drop(writer);
        out.flush().map_err(Error::io(path))
    })
}
