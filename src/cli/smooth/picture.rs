//! One job: reads a picture, smooths it, makes of it what is wanted, writes it; on files as on pipes.

use super::effect::Effect;
use super::frames::MAGIC;
use super::jobs::{Job, STANDARD, name};
use super::report::{Frames, Report};
use super::video;
use crate::cli::output::{STDIN, STDOUT, check_stdout};
use crate::cli::picture_options::{Notes, PictureOptions};
use sasnet::image::{Format, decode_pages, decode_size, encode_pages};
use sasnet::low_level::file::atomic_write;
use sasnet::low_level::smooth::{Options, Smoother};
use sasnet::{Error, Result, Shape, Tensor};
use std::fs::File;
use std::io::{Cursor, IsTerminal, Read, Write, stdin, stdout};
use std::path::Path;

/// What is read and written how.
pub struct Worker {
    /// The network on its device.
    pub smoother: Smoother,
    /// How it smooths.
    pub options: Options,
    /// What is made of it.
    pub effect: Effect,
    /// How pictures are read and written.
    pub pictures: PictureOptions,
    /// What was said of them.
    pub notes: Notes,
}

/// What a job turned out to be.
pub enum Done {
    /// A picture of so many rows and columns.
    Picture(usize, usize),
    /// What could be read of a damaged picture.
    Damaged,
    /// Video.
    Video(Frames),
}

impl Worker {
    /// Does a job. An output appears when it is complete, or not at all; a stream gets a picture when it is complete,
    /// video frame by frame.
    pub fn run(&mut self, job: &Job, report: &mut Report) -> Result<Done> {
        let about = Error::about(name(&job.input, STDIN));
        // Who sends nothing must not keep us here.
        report.stop.working(false);
        let contents = open(&job.input)?;
        report.stop.working(true);
        let bytes = match contents {
            Contents::Video(_) if self.effect != Effect::Smooth => {
                return Err(about(Error::Invalid("it is video, which only sasnet smooth takes; give pictures".into())));
            }
            Contents::Video(input) => {
                return video::smooth((&mut self.smoother, &self.options), job, input, report).map(Done::Video);
            }
            Contents::Bytes(bytes) => bytes,
        };
        let hint = Format::from_path(&job.input);
        let format = job.format.or_else(|| Format::from_contents(&bytes)).or(hint);
        let (h, w) = decode_size(&bytes, hint).map_err(&about)?;
        if super::jobs::is_video(&job.output) {
            return Err(Error::file(&job.output, "is a name for video, but the input is a picture"));
        }
        let format = format.ok_or_else(|| about(Error::Invalid("unknown format; --format chooses one".into())))?;
        format.check_size(h, w).map_err(&about)?;
        self.smoother.make_room(h, w).map_err(&about)?;
        let mut pages = decode_pages(&bytes, hint, &self.pictures.read()).map_err(&about)?;
        drop(bytes);
        let scales: Vec<_> = pages.iter().map(|page| page.log).collect();
        pages.iter_mut().try_for_each(|page| self.effect.declare(page)).map_err(&about)?;
        let (options, about_output) = (self.pictures.write(), Error::about(name(&job.output, STDOUT)));
        let told = self.notes.of(name(&job.input, STDIN), &pages, format, &options).map_err(&about_output)?;
        told.iter().for_each(|line| report.note(line));
        let damaged = pages.iter().any(|page| page.damage().is_some());
        for (page, log) in pages.iter_mut().zip(scales) {
            let x = std::mem::replace(&mut page.tensor, Tensor::zeros(Shape::new(1, 3, 0, 0)));
            let y = self.smoother.smooth_observed(&x, &self.options, report).map_err(&about)?;
            page.tensor = self.effect.apply(x, y, log).map_err(&about)?;
        }
        write(&job.output, &encode_pages(&pages, format, &options).map_err(&about_output)?)?;
        if job.input != Path::new(STANDARD) && job.output.is_file() {
            self.pictures.keep_dates(&job.input, &job.output)?;
        }
        if damaged {
            return Ok(Done::Damaged);
        }
        Ok(Done::Picture(h, w))
    }
}

/// What an input holds.
enum Contents {
    Bytes(Vec<u8>),
    /// Video, from its first byte on.
    Video(Box<dyn Read + Send>),
}

fn open(input: &Path) -> Result<Contents> {
    let error = Error::io(name(input, STDIN));
    let mut reader: Box<dyn Read + Send> = match input == Path::new(STANDARD) {
        true if stdin().is_terminal() => {
            let message = "is a terminal; send a picture or video into it, as in cat a.png | sasnet smooth - -o b.png";
            return Err(Error::file(STDIN, message));
        }
        true => Box::new(stdin()),
        false => Box::new(File::open(input).map_err(Error::io(input))?),
    };
    let mut bytes = vec![];
    let begin = |bytes: &mut Vec<u8>| -> std::io::Result<bool> {
        (&mut reader).take(MAGIC.len() as u64).read_to_end(bytes)?;
        let is_video = bytes == MAGIC;
        if !is_video {
            reader.read_to_end(bytes)?;
        }
        Ok(is_video)
    };
    let mut begin = begin;
    match begin(&mut bytes).map_err(error)? {
        true => Ok(Contents::Video(Box::new(Cursor::new(bytes).chain(reader)))),
        false => Ok(Contents::Bytes(bytes)),
    }
}

fn write(output: &Path, bytes: &[u8]) -> Result<()> {
    if output != Path::new(STANDARD) {
        return atomic_write(output, |out| out.write_all(bytes).map_err(Error::io(output)));
    }
    check_stdout()?;
    let mut out = stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Error::io(STDOUT))
}
