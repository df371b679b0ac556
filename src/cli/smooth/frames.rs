//! The frames of a y4m stream, as they come.

use super::yuv::{Layout, Planes};
use sasnet::low_level::tensor::Tensor;
use sasnet::{Error, Result};
use std::io::{BufRead, BufReader, Chain, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a y4m stream begins.
pub const MAGIC: &[u8] = b"YUV4MPEG2 ";

/// Most bytes of a header: more than the decoder takes.
const HEADER: u64 = 4096;

/// Least side that no frame has. The decoder multiplies sides before it compares a frame with its limit, and would overflow.
const TOO_LONG: u64 = 1 << 30;

/// A frame: its header and planes as they came, and its colours.
pub struct Frame {
    /// What stands behind FRAME.
    pub params: Vec<u8>,
    /// The codes.
    pub planes: Planes,
    /// (1, 3, H, W).
    pub colours: Tensor,
}

/// A y4m stream, frame after frame, until its end or an error.
pub struct Reader {
    /// What errors call it.
    pub from: PathBuf,
    /// How frames lie in it.
    pub layout: Layout,
    /// What stands behind [`MAGIC`].
    pub header: Vec<u8>,
    decoder: y4m::Decoder<Counted>,
    read: Arc<AtomicU64>,
    ended: bool,
}

impl Reader {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::File`] where it is damaged, or its frames cannot be smoothed.
    pub fn new(from: &Path, input: Box<dyn Read + Send>) -> Result<Reader> {
        let read = Arc::new(AtomicU64::new(0));
        let (mut input, mut header) = (BufReader::new(input), vec![]);
        (&mut input).take(HEADER).read_until(b'\n', &mut header).map_err(|e| Error::file(from, e.to_string()))?;
        let side = |word: &[u8]| match word {
            [b'W' | b'H', number @ ..] => std::str::from_utf8(number).ok()?.trim_end().parse::<u128>().ok(),
            _ => None,
        };
        if header.split(|byte| *byte == b' ').filter_map(side).any(|side| side >= TOO_LONG.into()) {
            return Err(Error::file(from, wrong(&y4m::Error::OutOfMemory)));
        }
        let counted = Counted { input: Cursor::new(header).chain(input), read: read.clone() };
        let decoder = y4m::Decoder::new(counted).map_err(|e| Error::file(from, wrong(&e)))?;
        let layout = Layout::new(&decoder).map_err(|message| Error::file(from, message))?;
        let header = decoder.get_raw_params().to_vec();
        Ok(Reader { from: from.into(), layout, header, decoder, read, ended: false })
    }

    fn read_frame(&mut self) -> Option<Result<Frame>> {
        let before = self.read.load(Ordering::Relaxed);
        match self.decoder.read_frame() {
            Ok(frame) => {
                let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()];
                let planes = self.layout.read(planes);
                let params = frame.get_raw_params().unwrap_or_default().to_vec();
                Some(Ok(Frame { params, colours: self.layout.colours(&planes), planes }))
            }
            // The decoder calls the middle of a frame an end, too.
            Err(y4m::Error::EOF) if self.read.load(Ordering::Relaxed) == before => None,
            Err(y4m::Error::EOF) => Some(Err(Error::Invalid("ends within a frame".into()))),
            Err(error) => Some(Err(Error::Invalid(wrong(&error)))),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Result<Frame>> {
        let frame = if self.ended { None } else { self.read_frame() };
        self.ended = !matches!(frame, Some(Ok(_)));
        frame
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

/// Counts the bytes that are read.
struct Counted {
    input: Chain<Cursor<Vec<u8>>, BufReader<Box<dyn Read + Send>>>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(into)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
