//! Video as y4m, frame by frame: what is read, smoothed and written overlaps.

use super::jobs::{Job, STANDARD, is_video, name};
use super::report::{Frames, Report};
use super::yuv::{Layout, Planes};
use crate::cli::output::{STDIN, STDOUT, check_stdout};
use sasnet::low_level::file::{atomic_write, open_stream};
use sasnet::low_level::smooth::{Options, Smoother};
use sasnet::low_level::tensor::Tensor;
use sasnet::{Error, Result};
use std::io::{BufReader, BufWriter, Read, Write, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How a y4m stream begins.
pub const MAGIC: &[u8] = b"YUV4MPEG2 ";

/// Frames that wait between reading, smoothing and writing.
const WAITING: usize = 2;

/// A frame on its way: its header and planes as they came, and its colours.
struct Frame {
    params: Vec<u8>,
    planes: Planes,
    colours: Tensor,
}

/// Smooths video. A file appears when it is complete; a stream gets frame after frame.
pub fn smooth(
    (smoother, options): (&mut Smoother, &Options),
    job: &Job,
    input: Box<dyn Read + Send>,
    report: &mut Report,
) -> Result<Frames> {
    let (from, output) = (name(&job.input, STDIN), &job.output);
    let reader = Reader::new(from, input)?;
    let size = (reader.layout.h, reader.layout.w);
    smoother.make_room(size.0, size.1).map_err(Error::about(from))?;
    let pump = |out: &mut (dyn Write + Send), path| pump((smoother, options), reader, (out, path), report);
    let count = if output == Path::new(STANDARD) {
        check_stdout()?;
        pump(&mut BufWriter::new(stdout()), Path::new(STDOUT))?
    } else if let Some(stream) = open_stream(output)? {
        pump(&mut BufWriter::new(stream), output)?
    } else if !is_video(output) {
        return Err(Error::file(output, "is no name for video: end it in .y4m, or give -"));
    } else {
        let mut count = 0;
        atomic_write(output, |out| {
            count = pump(out, output)?;
            Ok(())
        })?;
        count
    };
    Ok(Frames { count, size })
}

/// Reads on one thread, smooths on this one, writes on another; returns the number of frames.
fn pump(
    network: (&mut Smoother, &Options),
    reader: Reader,
    out: (&mut (dyn Write + Send), &Path),
    report: &mut Report,
) -> Result<usize> {
    let layout = reader.layout.clone();
    let from = reader.from.clone();
    std::thread::scope(|scope| {
        let (to_smooth, read) = sync_channel(WAITING);
        let (to_write, smoothed) = sync_channel(WAITING);
        let header = reader.header.clone();
        scope.spawn(move || reader.run(&to_smooth));
        let writer = scope.spawn(move || write(&layout, &header, &smoothed, out));
        let result = frames(network, &read, &to_write, report);
        // Each end sees that the other is gone.
        drop((read, to_write));
        writer.join().expect("the writer does not panic")?;
        result.map_err(Error::about(from))
    })
}

fn frames(
    (smoother, options): (&mut Smoother, &Options),
    read: &Receiver<Result<Frame>>,
    write: &SyncSender<(Frame, Tensor)>,
    report: &mut Report,
) -> Result<usize> {
    let mut count = 0;
    for frame in read {
        let frame = frame?;
        let smooth = smoother.smooth(&frame.colours, options)?;
        if write.send((frame, smooth)).is_err() {
            // The writer knows why.
            break;
        }
        count += 1;
        report.frame(count);
    }
    Ok(count)
}

/// A y4m stream.
struct Reader {
    from: std::path::PathBuf,
    decoder: y4m::Decoder<Counted>,
    layout: Layout,
    header: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl Reader {
    /// Reads the header.
    fn new(from: &Path, input: Box<dyn Read + Send>) -> Result<Reader> {
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted { input: BufReader::new(input), read: read.clone() };
        let decoder = y4m::Decoder::new(counted).map_err(|e| Error::file(from, wrong(&e)))?;
        let layout = Layout::new(&decoder).map_err(|message| Error::file(from, message))?;
        let header = decoder.get_raw_params().to_vec();
        Ok(Reader { from: from.into(), decoder, layout, header, read })
    }

    /// Sends frame after frame, until the end, an error, or nobody takes them.
    fn run(mut self, to: &SyncSender<Result<Frame>>) {
        loop {
            let before = self.read.load(Ordering::Relaxed);
            let next = match self.decoder.read_frame() {
                Ok(frame) => {
                    let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()];
                    let planes = self.layout.read(planes);
                    let params = frame.get_raw_params().unwrap_or_default().to_vec();
                    Ok(Frame { params, colours: self.layout.colours(&planes), planes })
                }
                // The decoder calls the middle of a frame an end, too.
                Err(y4m::Error::EOF) if self.read.load(Ordering::Relaxed) == before => return,
                Err(y4m::Error::EOF) => Err(Error::Invalid("ends within a frame".into())),
                Err(error) => Err(Error::Invalid(wrong(&error))),
            };
            let is_last = next.is_err();
            if to.send(next).is_err() || is_last {
                return;
            }
        }
    }
}

/// The decoder's error, in words.
fn wrong(error: &y4m::Error) -> String {
    match error {
        y4m::Error::UnknownColorspace => {
            "y4m of another kind than 4:2:0, 4:2:2, 4:4:4 or grey, of 8, 10 or 12 bits; ffmpeg converts it by \
             -pix_fmt yuv420p"
                .into()
        }
        y4m::Error::OutOfMemory => "y4m whose frames are larger than 1 GiB".into(),
        y4m::Error::EOF => "y4m that ends within its header".into(),
        y4m::Error::IoError(error) => error.to_string(),
        y4m::Error::BadInput | y4m::Error::ParseError(_) => "not y4m that can be read: a header is damaged".into(),
    }
}

fn write(
    layout: &Layout,
    header: &[u8],
    frames: &Receiver<(Frame, Tensor)>,
    (out, path): (&mut (dyn Write + Send), &Path),
) -> Result<()> {
    let mut write = |parts: &[&[u8]]| -> Result<()> {
        let written = parts.iter().try_for_each(|part| out.write_all(part)).and_then(|()| out.flush());
        written.map_err(Error::io(path))
    };
    // As it came, with what only players know.
    write(&[MAGIC, header, b"\n"])?;
    for (frame, smooth) in frames {
        let space: &[u8] = if frame.params.is_empty() { b"" } else { b" " };
        let codes = layout.write(&layout.changed(&frame.planes, &frame.colours, &smooth));
        write(&[b"FRAME", space, &frame.params, b"\n", &codes])?;
    }
    Ok(())
}

/// Counts the bytes that are read.
struct Counted {
    input: BufReader<Box<dyn Read + Send>>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(into)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
