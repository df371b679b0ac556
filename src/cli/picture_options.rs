//! How pictures are read and written: flags, and what is said of it.

use clap::{Args, ValueEnum};
use sasnet::image::{Chroma, Format, Note, PngEffort, ReadOptions, TiffCompression, WriteOptions, check};
use sasnet::{Error, Picture, Result};
use std::collections::BTreeMap;
use std::fs::{File, FileTimes};
use std::path::Path;

/// How results are written.
#[derive(Args)]
#[command(next_help_heading = "Results")]
pub struct PictureOptions {
    /// Quality of JPEG and WebP, 1 to 100 [default: 95 for JPEG, lossless for WebP]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,
    /// How finely a JPEG stores colours [default: as the picture's own file; 444 from quality 90 on, else 420]
    #[arg(long, value_enum, value_name = "KIND")]
    chroma: Option<ChromaName>,
    /// How hard to try to make a PNG small
    #[arg(long, value_enum, value_name = "EFFORT", default_value = "balanced")]
    png_effort: EffortName,
    /// How a TIFF is compressed
    #[arg(long, value_enum, value_name = "KIND", default_value = "deflate")]
    tiff_compression: CompressionName,
    /// Colour behind transparent pixels where the format has no transparency, as in ff8000 [default: ffffff]
    #[arg(long, value_name = "RRGGBB", value_parser = parse_colour)]
    background: Option<[f32; 3]>,
    /// Leave out all metadata (EXIF, GPS, XMP, IPTC, texts, resolution), but not what the colours need
    #[arg(long)]
    strip: bool,
    /// Give results the date of the picture's file
    #[arg(long)]
    keep_dates: bool,
    /// Write what can be read of damaged files, too; the exit code tells that there were some
    #[arg(long)]
    keep_going: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ChromaName {
    #[value(name = "444")]
    Full,
    #[value(name = "422")]
    HalfWidth,
    #[value(name = "440")]
    HalfHeight,
    #[value(name = "420")]
    Half,
}

#[derive(Clone, Copy, ValueEnum)]
enum EffortName {
    Fast,
    Balanced,
    Best,
}

#[derive(Clone, Copy, ValueEnum)]
enum CompressionName {
    None,
    Lzw,
    Deflate,
    Packbits,
}

fn parse_colour(text: &str) -> Result<[f32; 3], &'static str> {
    let error = "give red, green and blue in hexadecimal, as in ff8000";
    let digits = text.trim_start_matches('#');
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 6).ok_or(error)?;
    Ok([16, 8, 0].map(|shift| (number >> shift & 255) as f32 / 255.0))
}

impl PictureOptions {
    /// How to read.
    pub fn read(&self) -> ReadOptions {
        ReadOptions::default().with_damaged(self.keep_going)
    }

    /// How to write.
    pub fn write(&self) -> WriteOptions {
        let options = WriteOptions::default()
            .with_strip(self.strip)
            .with_png_effort(match self.png_effort {
                EffortName::Fast => PngEffort::Fast,
                EffortName::Balanced => PngEffort::Balanced,
                EffortName::Best => PngEffort::Best,
            })
            .with_tiff_compression(match self.tiff_compression {
                CompressionName::None => TiffCompression::None,
                CompressionName::Lzw => TiffCompression::Lzw,
                CompressionName::Deflate => TiffCompression::Deflate,
                CompressionName::Packbits => TiffCompression::PackBits,
            });
        let options = self.quality.map_or(options.clone(), |quality| options.with_quality(quality));
        let options = self.background.map_or(options.clone(), |colour| options.with_background(colour));
        self.chroma.map_or(options.clone(), |chroma| {
            options.with_chroma(match chroma {
                ChromaName::Full => Chroma::Full,
                ChromaName::HalfWidth => Chroma::HalfWidth,
                ChromaName::HalfHeight => Chroma::HalfHeight,
                ChromaName::Half => Chroma::Half,
            })
        })
    }

    /// Gives a result the dates of the picture's file, where that is asked for.
    pub fn keep_dates(&self, input: &Path, output: &Path) -> Result<()> {
        if !self.keep_dates {
            return Ok(());
        }
        let old = input.metadata().map_err(Error::io(input))?;
        let (modified, accessed) =
            (old.modified().map_err(Error::io(input))?, old.accessed().map_err(Error::io(input))?);
        let times = FileTimes::new().set_modified(modified).set_accessed(accessed);
        let file = File::options().append(true).open(output).map_err(Error::io(output))?;
        file.set_times(times).map_err(Error::io(output))
    }
}

/// What was told of pictures: each thing once, however many it is true of.
#[derive(Default)]
pub struct Notes {
    told: BTreeMap<String, usize>,
}

impl Notes {
    /// What is new of these pictures and their result, one line each; damage is new each time.
    ///
    /// # Errors
    /// Where the format cannot hold them, as [`check`].
    pub fn of(
        &mut self,
        input: &Path,
        pictures: &[Picture],
        format: Format,
        options: &WriteOptions,
    ) -> Result<Vec<String>> {
        let mut lines = vec![];
        let written = check(pictures, format, options)?;
        for note in pictures.iter().flat_map(|picture| &picture.notes).chain(&written) {
            if let Note::Damaged(text) = note {
                lines.push(format!("warning: {}: {text}; what could be read is written", input.display()));
                continue;
            }
            let count = self.told.entry(note.to_string()).or_default();
            if *count == 0 {
                lines.push(format!("note: {}: {note}", input.display()));
            }
            *count += 1;
        }
        Ok(lines)
    }

    /// How often each thing was true of another picture.
    pub fn others(&self) -> impl Iterator<Item = String> {
        let more = self.told.iter().filter(|(_, count)| **count > 1);
        more.map(|(text, count)| format!("note: {} more: {text}", count - 1))
    }
}
