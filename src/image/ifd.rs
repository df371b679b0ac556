//! Directories of TIFF files, which EXIF blocks are, too: tags and their values, from bytes and back.

use std::collections::HashSet;

/// Tags that this room speaks of.
pub(super) mod tag {
    pub(in super::super) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(in super::super) const WIDTH: u16 = 256;
    pub(in super::super) const HEIGHT: u16 = 257;
    pub(in super::super) const BITS: u16 = 258;
    pub(in super::super) const COMPRESSION: u16 = 259;
    pub(in super::super) const PHOTOMETRIC: u16 = 262;
    pub(in super::super) const ORIENTATION: u16 = 274;
    pub(in super::super) const SAMPLES: u16 = 277;
    pub(in super::super) const X_RESOLUTION: u16 = 282;
    pub(in super::super) const Y_RESOLUTION: u16 = 283;
    pub(in super::super) const RESOLUTION_UNIT: u16 = 296;
    pub(in super::super) const COLOUR_MAP: u16 = 320;
    pub(in super::super) const EXTRA_SAMPLES: u16 = 338;
    pub(in super::super) const YCBCR_COEFFICIENTS: u16 = 529;
    pub(in super::super) const XMP: u16 = 700;
    pub(in super::super) const IPTC: u16 = 33723;
    pub(in super::super) const PHOTOSHOP: u16 = 34377;
    pub(in super::super) const EXIF: u16 = 34665;
    pub(in super::super) const ICC: u16 = 34675;
    pub(in super::super) const GPS: u16 = 34853;
    pub(in super::super) const INTEROPERABILITY: u16 = 40965;
    pub(in super::super) const DNG_VERSION: u16 = 50706;
}

/// A TIFF structure.
#[derive(Clone, Copy)]
pub(super) struct Directories<'a> {
    bytes: &'a [u8],
    big: bool,
    little_endian: bool,
    first: u64,
}

/// A tag and its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub tag: u16,
    /// The number of the values' type.
    pub kind: u16,
    /// The values, in this machine's byte order.
    pub data: Vec<u8>,
    /// Where the file holds the values.
    pub at: usize,
}

/// A directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ifd {
    pub entries: Vec<Entry>,
    /// Where it is in the file.
    pub at: u64,
    next: u64,
}

/// Bytes of a value of this type, and of the numbers that it consists of.
fn sizes(kind: u16) -> Option<(usize, usize)> {
    Some(match kind {
        1 | 2 | 6 | 7 => (1, 1),
        3 | 8 => (2, 2),
        4 | 9 | 11 | 13 => (4, 4),
        5 | 10 => (8, 4),
        12 | 16 | 17 | 18 => (8, 8),
        _ => return None,
    })
}

impl Entry {
    /// An entry of 16-bit values.
    #[cfg(test)]
    pub(super) fn shorts(tag: u16, values: &[u16]) -> Entry {
        Entry { tag, kind: 3, data: values.iter().flat_map(|v| v.to_ne_bytes()).collect(), at: 0 }
    }

    /// All of its values that are whole numbers.
    pub(super) fn integers(&self) -> Vec<u64> {
        let Some((_, size)) = sizes(self.kind) else { return vec![] };
        let number = |bytes: &[u8]| match *bytes {
            [a] => u64::from(a),
            [a, b] => u64::from(u16::from_ne_bytes([a, b])),
            [a, b, c, d] => u64::from(u32::from_ne_bytes([a, b, c, d])),
            _ => u64::from_ne_bytes(bytes.try_into().expect("eight bytes")),
        };
        self.data.chunks_exact(size).map(number).collect()
    }

    /// All of its values that are fractions of two whole numbers.
    pub(super) fn fractions(&self) -> Vec<f64> {
        self.integers().chunks_exact(2).map(|pair| pair[0] as f64 / pair[1] as f64).collect()
    }
}

impl Ifd {
    pub(super) fn entry(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// The first whole number of a tag.
    pub(super) fn integer(&self, tag: u16) -> Option<u64> {
        self.entry(tag)?.integers().first().copied()
    }
}

impl<'a> Directories<'a> {
    /// A TIFF or BigTIFF structure, where the bytes begin as one.
    pub(super) fn open(bytes: &'a [u8]) -> Option<Directories<'a>> {
        let little_endian = match bytes.get(..2)? {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let file = Directories { bytes, big: false, little_endian, first: 0 };
        match file.number(2, 2)? {
            42 => Some(Directories { first: file.number(4, 4)?, ..file }),
            43 => Some(Directories { big: true, first: file.number(8, 8)?, ..file }),
            _ => None,
        }
    }

    fn slice(&self, at: u64, size: usize) -> Option<&'a [u8]> {
        let at = usize::try_from(at).ok()?;
        self.bytes.get(at..at.checked_add(size)?)
    }

    fn number(&self, at: u64, size: usize) -> Option<u64> {
        let bytes = self.slice(at, size)?.iter();
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.little_endian { bytes.rev().fold(0, add) } else { bytes.fold(0, add) })
    }

    /// The directory at an offset; entries that point outside the file are left out.
    pub(super) fn ifd(&self, at: u64) -> Option<Ifd> {
        let (count_size, entry_size, inline) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.number(at, count_size)?;
        let entries_at = at.checked_add(count_size as u64)?;
        let end = entries_at.checked_add(count.checked_mul(entry_size)?)?;
        // A count that the file cannot hold would be a long loop.
        self.slice(entries_at, usize::try_from(end - entries_at).ok()?)?;
        let entry = |i: u64| {
            let at = entries_at + i * entry_size;
            let (tag, kind) = (self.number(at, 2)? as u16, self.number(at + 2, 2)? as u16);
            let (size, unit) = sizes(kind)?;
            let length = usize::try_from(self.number(at + 4, inline)?).ok()?.checked_mul(size)?;
            let values_at = at + 4 + inline as u64;
            let values_at = if length <= inline { values_at } else { self.number(values_at, inline)? };
            let mut data = self.slice(values_at, length)?.to_vec();
            if !self.is_native() {
                data.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
            }
            Some(Entry { tag, kind, data, at: values_at as usize })
        };
        let next = self.number(end, inline).unwrap_or(0);
        Some(Ifd { entries: (0..count).filter_map(entry).collect(), at, next })
    }

    /// The chain of directories from the first one on; a chain that bites its tail ends there.
    pub(super) fn chain(&self) -> Vec<Ifd> {
        let (mut seen, mut found, mut at) = (HashSet::new(), vec![], self.first);
        while at != 0 && seen.insert(at) {
            let Some(ifd) = self.ifd(at) else { break };
            at = ifd.next;
            found.push(ifd);
        }
        found
    }

    /// The directory that a tag of another one points to.
    pub(super) fn below(&self, ifd: &Ifd, tag: u16) -> Option<Ifd> {
        self.ifd(ifd.integer(tag)?)
    }

    /// Tells whether its numbers are in this machine's byte order.
    pub(super) fn is_native(&self) -> bool {
        self.little_endian == cfg!(target_endian = "little")
    }

    /// A copy of the file in which a tag of one 16-bit value has another one.
    pub(super) fn patched(&self, entry: &Entry, value: u16) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        let value = if self.little_endian { value.to_le_bytes() } else { value.to_be_bytes() };
        bytes[entry.at..entry.at + 2].copy_from_slice(&value);
        bytes
    }
}

/// A directory and those that its tags point to, as an EXIF block.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Exif {
    /// About the picture: who, when, with what.
    pub main: Vec<Entry>,
    /// About the exposure.
    pub exif: Vec<Entry>,
    /// Where it was taken.
    pub gps: Vec<Entry>,
}

impl Exif {
    /// Reads a block.
    pub(super) fn parse(bytes: &[u8]) -> Option<Exif> {
        let file = Directories::open(bytes)?;
        Some(Exif::of(&file, &file.ifd(file.first)?))
    }

    /// What a directory says about a picture.
    pub(super) fn of(file: &Directories, ifd: &Ifd) -> Exif {
        let below = |tag| file.below(ifd, tag).unwrap_or_default().entries;
        let (exif, gps) = (below(tag::EXIF), below(tag::GPS));
        let plain = |entries: Vec<Entry>| {
            let points = |entry: &Entry| [tag::EXIF, tag::GPS, tag::INTEROPERABILITY].contains(&entry.tag);
            entries.into_iter().filter(|entry| !points(entry)).collect()
        };
        Exif { main: plain(ifd.entries.clone()), exif: plain(exif), gps: plain(gps) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.main.is_empty() && self.exif.is_empty() && self.gps.is_empty()
    }

    /// Writes a block.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = if cfg!(target_endian = "little") { b"II".to_vec() } else { b"MM".to_vec() };
        out.extend(42u16.to_ne_bytes());
        out.extend(8u32.to_ne_bytes());
        // The main directory comes first and points to the others, whose place its own size decides.
        let mut main = self.main.clone();
        let pointer = |tag, at: usize| Entry { tag, kind: 4, data: (at as u32).to_ne_bytes().to_vec(), at: 0 };
        for (tag, entries) in [(tag::EXIF, &self.exif), (tag::GPS, &self.gps)] {
            if !entries.is_empty() {
                main.push(pointer(tag, 0));
            }
        }
        let mut place = 8 + directory(&main, 8).len();
        for (tag, entries) in [(tag::EXIF, &self.exif), (tag::GPS, &self.gps)] {
            if let Some(entry) = main.iter_mut().find(|entry| entry.tag == tag) {
                *entry = pointer(tag, place);
                place += directory(entries, place).len();
            }
        }
        out.extend(directory(&main, 8));
        for entries in [&self.exif, &self.gps] {
            if !entries.is_empty() {
                out.extend(directory(entries, out.len()));
            }
        }
        out
    }
}

/// A directory that is to lie at an offset, and after it those of its values that do not fit into it.
pub(super) fn directory(entries: &[Entry], at: usize) -> Vec<u8> {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by_key(|entry| entry.tag);
    let mut out = (entries.len() as u16).to_ne_bytes().to_vec();
    let mut values = vec![];
    let values_at = at + 2 + 12 * entries.len() + 4;
    for entry in entries {
        let count = entry.data.len() / sizes(entry.kind).map_or(1, |(size, _)| size);
        out.extend(entry.tag.to_ne_bytes());
        out.extend(entry.kind.to_ne_bytes());
        out.extend((count as u32).to_ne_bytes());
        if entry.data.len() <= 4 {
            out.extend(&entry.data);
            out.resize(out.len() + 4 - entry.data.len(), 0);
        } else {
            out.extend(((values_at + values.len()) as u32).to_ne_bytes());
            values.extend(&entry.data);
            // Values begin at even offsets.
            values.resize(values.len().next_multiple_of(2), 0);
        }
    }
    out.extend([0; 4]);
    out.extend(values);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}
