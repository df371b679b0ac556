//! JPEG within TIFF: a file for each strip or tile, whose tables all may share.

use crate::error::{Error, Result};
use crate::image::ifd::{Ifd, tag};
use crate::image::jpeg;

pub(super) const ROWS_PER_STRIP: u16 = 278;
pub(super) const PLANAR_CONFIGURATION: u16 = 284;
const TABLES: u16 = 347;
/// Places and lengths of strips, and of tiles.
pub(super) const CHUNKS: [[u16; 2]; 2] = [[273, 279], [324, 325]];
pub(super) const TILE: [u16; 2] = [323, 322];

pub(super) fn damaged(what: &str) -> Error {
    Error::Invalid(format!("not a TIFF that can be read: {what}"))
}

/// The samples as they are stored, interleaved, and how many there are of a pixel.
pub(super) fn samples(bytes: &[u8], ifd: &Ifd, (h, w): (usize, usize)) -> Result<(Vec<u8>, usize)> {
    let channels = ifd.integer(tag::SAMPLES).unwrap_or(1) as usize;
    if ifd.integer(PLANAR_CONFIGURATION) == Some(2) && channels > 1 {
        return Err(Error::Invalid("a TIFF of JPEG in separate planes, which is not supported".into()));
    }
    let is_tiled = ifd.entry(TILE[0]).is_some();
    let side = |tag| ifd.integer(tag).map_or(usize::MAX, |side| side as usize);
    let (tall, wide) = if is_tiled { (side(TILE[0]), side(TILE[1])) } else { (side(ROWS_PER_STRIP).min(h), w) };
    if tall == 0 || wide == 0 || h == 0 || w == 0 {
        return Err(damaged("a strip or tile has no pixels"));
    }
    let tables = ifd.entry(TABLES).map(|entry| entry.data.as_slice()).unwrap_or_default();
    let [places, lengths] =
        CHUNKS[usize::from(is_tiled)].map(|tag| ifd.entry(tag).map(|e| e.integers()).unwrap_or_default());
    let across = w.div_ceil(wide);
    if places.len() < across * h.div_ceil(tall) || places.len() != lengths.len() {
        return Err(damaged("strips or tiles are missing"));
    }
    let mut out = vec![0; h * w * channels];
    for (i, (&place, &length)) in places.iter().zip(&lengths).take(across * h.div_ceil(tall)).enumerate() {
        let end = place.checked_add(length).and_then(|end| usize::try_from(end).ok());
        let chunk = end.and_then(|end| bytes.get(place as usize..end));
        let chunk = chunk.ok_or_else(|| damaged("a strip or tile lies outside the file"))?;
        // Both begin and end as files do.
        let file = match tables.len().checked_sub(2) {
            Some(end) => [&tables[..end], chunk.get(2..).unwrap_or_default()].concat(),
            None => chunk.to_vec(),
        };
        let (samples, (rows, columns), space) = jpeg::stored(&file).map_err(|e| damaged(&e))?;
        let found = space.num_components();
        if found != channels {
            return Err(damaged(&format!("{found} channels of JPEG where {channels} are said to be")));
        }
        let (top, left) = (i / across * tall, i % across * wide);
        let width = columns.min(w - left) * channels;
        for (row, from) in samples.chunks_exact(columns * channels).take(rows.min(h - top)).enumerate() {
            let at = ((top + row) * w + left) * channels;
            out[at..at + width].copy_from_slice(&from[..width]);
        }
    }
    Ok((out, channels))
}
