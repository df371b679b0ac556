//! Video as y4m, frame by frame: what is read, smoothed and written overlaps.

use super::frames::{Frame, MAGIC, Reader};
use super::jobs::{Job, STANDARD, name};
use super::report::{Frames, Report};
use super::yuv::Layout;
use crate::cli::output::{STDIN, STDOUT, check_stdout};
use sasnet::low_level::file::{atomic_write, open_stream};
use sasnet::low_level::smooth::{Options, Smoother};
use sasnet::low_level::tensor::Tensor;
use sasnet::{Error, Progress, Result};
use std::io::{BufWriter, Read, Write, stdout};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Frames that wait between reading, smoothing and writing.
const WAITING: usize = 2;
/// How often it is looked whether to stop, where no frame comes.
const LOOK: Duration = Duration::from_millis(100);

/// Smooths video. A file appears when it is complete; a stream gets frame after frame.
pub fn smooth(
    (smoother, options): (&mut Smoother, &Options),
    job: &Job,
    input: Box<dyn Read + Send>,
    report: &mut Report,
) -> Result<Frames> {
    let (from, output) = (name(&job.input, STDIN), &job.output);
    if job.format.is_some() {
        return Err(Error::file(from, "is video, which stays so: give a name that ends in .y4m, and no --format"));
    }
    let reader = Reader::new(from, input)?;
    let size = (reader.layout.h, reader.layout.w);
    smoother.make_room(size.0, size.1).map_err(Error::about(from))?;
    let pump = |out: &mut (dyn Write + Send), path| pump((smoother, options), reader, (out, path), report);
    let count = if output == Path::new(STANDARD) {
        check_stdout()?;
        pump(&mut BufWriter::new(stdout()), Path::new(STDOUT))?
    } else if let Some(stream) = open_stream(output)? {
        pump(&mut BufWriter::new(stream), output)?
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
    let header = reader.header.clone();
    let (to_smooth, read) = sync_channel(WAITING);
    // Until the end, an error, or nobody takes them; who is stopped does not wait for one that may never come.
    std::thread::spawn(move || reader.map_while(|frame| to_smooth.send(frame).ok()).for_each(drop));
    std::thread::scope(|scope| {
        let (to_write, smoothed) = sync_channel(WAITING);
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
    loop {
        let frame = match read.recv_timeout(LOOK) {
            // The end of a stream may be that of its writer, which the same signal stopped.
            _ if report.stop.asked() => return Err(Error::Cancelled),
            Ok(frame) => frame?,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let smooth = smoother.smooth_observed(&frame.colours, options, &mut |_: &Progress| report.stop.answer())?;
        if write.send((frame, smooth)).is_err() {
            // The writer knows why.
            break;
        }
        count += 1;
        report.frame(count);
    }
    Ok(count)
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
