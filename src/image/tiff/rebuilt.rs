//! Pages in another form, which the decoder takes: those compressed by Zstandard, decompressed, and samples of 10, 12, 14 and
//! other bits as the bytes that they are packed into.

use std::io::Read;

use super::jpeg::{CHUNKS, PLANAR_CONFIGURATION, ROWS_PER_STRIP, TILE, damaged};
use crate::error::{Error, Result};
use crate::image::ReadOptions;
use crate::image::ifd::{Directories, Entry, Ifd, directory, tag};

/// Zstandard as a compression.
pub(super) const ZSTD: u64 = 50000;
const FILL_ORDER: u16 = 266;
const PREDICTOR: u16 = 317;
const SAMPLE_FORMAT: u16 = 339;
/// The predictor of floating point, which puts bytes in an order of its own.
const BY_BYTES: u64 = 3;

/// A file of the one page.
pub(super) struct Rebuilt {
    pub(super) bytes: Vec<u8>,
    pub(super) ifd: Ifd,
}

/// Tells whether samples are packed so that the decoder does not take them, but can be read all the same: whole numbers of
/// fewer than 16 bits, pixel by pixel.
pub(super) fn is_packed(ifd: &Ifd) -> bool {
    let bits = ifd.entry(tag::BITS).map_or(vec![1], |entry| entry.integers());
    let is = |tag, usual: u64| ifd.integer(tag).is_none_or(|value| value == usual);
    let known = [1, 2, 4, 8];
    bits.iter().all(|b| *b == bits[0] && (1..16).contains(b) && !known.contains(b))
        && ifd.integer(tag::SAMPLES) != Some(0)
        && is(FILL_ORDER, 1)
        && is(PREDICTOR, 1)
        && is(SAMPLE_FORMAT, 1)
        && (is(PLANAR_CONFIGURATION, 1) || ifd.integer(tag::SAMPLES).unwrap_or(1) == 1)
}

/// A page of packed samples as one of bytes, grey, a row as many as it takes.
pub(super) fn as_bytes(bytes: &[u8], ifd: &Ifd) -> Result<Rebuilt> {
    let row = |tag| Some(row_bytes(ifd, ifd.integer(tag)?));
    let mut entries = vec![
        number(tag::WIDTH, row(tag::WIDTH).unwrap_or_default()),
        number(tag::BITS, 8),
        number(tag::PHOTOMETRIC, 1),
        number(tag::SAMPLES, 1),
    ];
    entries.extend(row(TILE[1]).map(|row| number(TILE[1], row)));
    let kept = [tag::HEIGHT, tag::COMPRESSION, ROWS_PER_STRIP, TILE[0]];
    entries.extend(kept.iter().filter_map(|tag| Some(number(*tag, ifd.integer(*tag)?))));
    build(entries, is_tiled(ifd), &chunks(bytes, ifd)?)
}

/// The bytes of a row of so many pixels.
pub(super) fn row_bytes(ifd: &Ifd, width: u64) -> u64 {
    let pixel = ifd.integer(tag::BITS).unwrap_or(1).saturating_mul(ifd.integer(tag::SAMPLES).unwrap_or(1));
    width.saturating_mul(pixel).div_ceil(8)
}

/// A page that Zstandard compressed, decompressed, and what is wrong with it.
pub(super) fn decompressed(
    bytes: &[u8],
    ifd: &Ifd,
    (h, w): (usize, usize),
    options: &ReadOptions,
) -> Result<(Rebuilt, Option<String>)> {
    let tiled = is_tiled(ifd);
    let side = |tag, or: usize| ifd.integer(tag).unwrap_or(or as u64);
    let (tall, wide) =
        if tiled { (side(TILE[0], 0), side(TILE[1], 0)) } else { (side(ROWS_PER_STRIP, h).min(h as u64), w as u64) };
    let planes = if ifd.integer(PLANAR_CONFIGURATION) == Some(2) { side(tag::SAMPLES, 1).max(1) } else { 1 };
    // No more than a strip or tile holds: the little that a bomb is would become any amount.
    let most = row_bytes(ifd, wide).saturating_mul(tall).div_ceil(planes);
    let own = h as u64 * row_bytes(ifd, w as u64);
    let mut left = own.saturating_mul(4).max(most.saturating_mul(2));
    let mut damage = None;
    let mut found = vec![];
    for chunk in chunks(bytes, ifd)? {
        let mut out = vec![];
        let decoder = ruzstd::decoding::StreamingDecoder::new(chunk).map_err(|e| e.to_string());
        let read = decoder.and_then(|d| d.take(most).read_to_end(&mut out).map_err(|e| e.to_string()));
        left = left
            .checked_sub(out.len() as u64)
            .ok_or_else(|| damaged("its strips or tiles are more than the picture"))?;
        let problem = match read {
            Ok(_) if out.is_empty() => Some("a strip or tile is empty".to_string()),
            Ok(_) => None,
            Err(e) => Some(e),
        };
        if let Some(problem) = problem {
            if !options.damaged {
                return Err(Error::Damaged(problem));
            }
            damage.get_or_insert(problem);
        }
        found.push(out);
    }
    let size = ifd.integer(tag::BITS).unwrap_or(1) as usize / 8;
    let other_order = Directories::open(bytes).is_some_and(|file| !file.is_native());
    if other_order && size > 1 && ifd.integer(PREDICTOR) != Some(BY_BYTES) {
        found.iter_mut().for_each(|chunk| chunk.chunks_exact_mut(size).for_each(<[u8]>::reverse));
    }
    let places = CHUNKS.concat();
    let kept = ifd.entries.iter().filter(|entry| entry.tag != tag::COMPRESSION && !places.contains(&entry.tag));
    let entries = kept.cloned().chain([number(tag::COMPRESSION, 1)]).collect();
    Ok((build(entries, tiled, &found)?, damage))
}

fn is_tiled(ifd: &Ifd) -> bool {
    ifd.entry(TILE[0]).is_some()
}

fn number(tag: u16, value: u64) -> Entry {
    Entry { tag, kind: 4, data: (value as u32).to_ne_bytes().to_vec(), at: 0 }
}

/// The strips or tiles of a page, as they lie in the file.
fn chunks<'a>(bytes: &'a [u8], ifd: &Ifd) -> Result<Vec<&'a [u8]>> {
    let tags = CHUNKS[usize::from(is_tiled(ifd))];
    let [places, lengths] = tags.map(|tag| ifd.entry(tag).map(|entry| entry.integers()).unwrap_or_default());
    if places.is_empty() || places.len() != lengths.len() {
        return Err(damaged("strips or tiles are missing"));
    }
    let chunk = |(place, length): (&u64, &u64)| {
        let range = usize::try_from(*place).ok()?..usize::try_from(place.checked_add(*length)?).ok()?;
        bytes.get(range)
    };
    let outside = || damaged("a strip or tile lies outside the file");
    places.iter().zip(&lengths).map(|pair| chunk(pair).ok_or_else(outside)).collect()
}

/// A file, in this machine's byte order, of one directory and these strips or tiles.
fn build(mut entries: Vec<Entry>, tiled: bool, chunks: &[impl AsRef<[u8]>]) -> Result<Rebuilt> {
    let mut bytes = if cfg!(target_endian = "little") { b"II".to_vec() } else { b"MM".to_vec() };
    bytes.extend(42u16.to_ne_bytes());
    bytes.extend([0; 4]);
    let (mut places, mut lengths) = (vec![], vec![]);
    for chunk in chunks {
        let chunk = chunk.as_ref();
        places.extend((bytes.len() as u32).to_ne_bytes());
        lengths.extend((chunk.len() as u32).to_ne_bytes());
        bytes.extend(chunk);
    }
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    let at = bytes.len();
    for (tag, data) in CHUNKS[usize::from(tiled)].into_iter().zip([places, lengths]) {
        entries.push(Entry { tag, kind: 4, data, at: 0 });
    }
    bytes.extend(directory(&entries, at));
    let place = u32::try_from(bytes.len()).map(|_| at as u32);
    let place =
        place.map_err(|_| Error::Invalid("a TIFF of more than 4 GB, which is not supported in this form".into()))?;
    bytes[4..8].copy_from_slice(&place.to_ne_bytes());
    let ifd = Directories::open(&bytes).and_then(|file| file.ifd(u64::from(place))).expect("it was just written");
    Ok(Rebuilt { bytes, ifd })
}
