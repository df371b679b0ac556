//! What a file says about its picture beyond pixels and colours.

use super::ifd::{Entry, Exif, tag};
use crate::geometry::Flip;

/// What a file says about its picture beyond pixels and colours, as bytes of the standards' own forms.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Metadata {
    /// EXIF, GPS included: a TIFF structure. Its orientation is 1.
    pub exif: Option<Vec<u8>>,
    /// XMP: a packet of XML. Its orientation is 1.
    pub xmp: Option<Vec<u8>>,
    /// Photoshop's image resources, among them IPTC's records.
    pub photoshop: Option<Vec<u8>>,
    /// How large it is on paper.
    pub resolution: Option<Resolution>,
    /// Comments of a JPEG.
    pub comments: Vec<Vec<u8>>,
    /// Chunks of a PNG that hold text and time: name and contents.
    pub texts: Vec<([u8; 4], Vec<u8>)>,
    /// Chunks of a PNG that say what its colours mean (gAMA, cHRM, sRGB, cICP, mDCV, cLLI).
    pub colour_chunks: Vec<([u8; 4], Vec<u8>)>,
    /// How often an animation is shown; 0 = for ever.
    pub loops: u32,
}

/// Pixels per length.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Resolution {
    /// Columns per inch.
    pub x: f64,
    /// Rows per inch.
    pub y: f64,
    /// Otherwise the two are a ratio only.
    pub absolute: bool,
}

impl Resolution {
    /// Columns and rows per inch, or in a ratio only; None unless both are numbers above 0.
    pub fn new(x: f64, y: f64, absolute: bool) -> Option<Resolution> {
        (x > 0.0 && y > 0.0 && x.is_finite() && y.is_finite()).then_some(Resolution { x, y, absolute })
    }

    pub(super) fn transposed(self) -> Resolution {
        Resolution { x: self.y, y: self.x, ..self }
    }
}

/// Inches in a metre.
pub(super) const INCHES: f64 = 1.0 / 0.0254;

impl Metadata {
    /// Keeps an EXIF block; its orientation becomes 1, and is returned: how to flip the picture.
    pub(super) fn set_exif(&mut self, mut exif: Vec<u8>) -> Flip {
        let orientation = image::metadata::Orientation::remove_from_exif_chunk(&mut exif);
        self.exif = Some(exif);
        orientation.map_or(Flip::default(), |orientation| flip_of(orientation.to_exif()))
    }

    /// Keeps an XMP packet; its orientation becomes 1.
    pub(super) fn set_xmp(&mut self, mut xmp: Vec<u8>) {
        for before in ["tiff:Orientation=\"", "tiff:Orientation='", "<tiff:Orientation>"] {
            let before = before.as_bytes();
            for at in 0..xmp.len().saturating_sub(before.len()) {
                if xmp[at..].starts_with(before) && matches!(xmp[at + before.len()], b'2'..=b'8') {
                    xmp[at + before.len()] = b'1';
                }
            }
        }
        self.xmp = Some(xmp);
    }

    /// Keeps IPTC's records that come without Photoshop's resources around them.
    pub(super) fn set_iptc(&mut self, records: &[u8]) {
        // A resource: signature, number, an empty name, length, contents, padded to an even length.
        let mut resource = b"8BIM\x04\x04\0\0".to_vec();
        resource.extend((records.len() as u32).to_be_bytes());
        resource.extend(records);
        resource.resize(resource.len().next_multiple_of(2), 0);
        self.photoshop = Some(resource);
    }

    /// IPTC's records among Photoshop's resources.
    pub(super) fn iptc(&self) -> Option<&[u8]> {
        let mut rest = self.photoshop.as_deref()?;
        loop {
            let (head, name) = rest.strip_prefix(b"8BIM")?.split_at_checked(2)?;
            // The name has its length before it, and is padded to an even length with it.
            let after = name.get((usize::from(*name.first()?) + 1).next_multiple_of(2)..)?;
            let (length, contents) = after.split_first_chunk::<4>()?;
            let length = u32::from_be_bytes(*length) as usize;
            if head == [4, 4] {
                return contents.get(..length);
            }
            rest = contents.get(length.next_multiple_of(2)..)?;
        }
    }

    /// Keeps what a TIFF's directory says: without what describes the file's own layout.
    pub(super) fn set_tags(&mut self, mut exif: Exif) {
        exif.main.retain(|entry| DESCRIPTIVE.contains(&entry.tag));
        if !exif.is_empty() {
            self.exif = Some(exif.bytes());
        }
    }

    /// The tags that a TIFF can hold of the EXIF block.
    pub(super) fn tags(&self) -> Exif {
        let mut exif = self.exif.as_deref().and_then(Exif::parse).unwrap_or_default();
        exif.main.retain(|entry: &Entry| DESCRIPTIVE.contains(&entry.tag));
        exif
    }

    /// Nothing but what the colours need, and an animation's loops.
    pub(super) fn stripped(&self) -> Metadata {
        Metadata { colour_chunks: self.colour_chunks.clone(), loops: self.loops, ..Metadata::default() }
    }
}

/// Tags of a main directory that describe a picture and not how its file is laid out: its description, maker, model,
/// software, date, artist, host, copyright, rating.
const DESCRIPTIVE: [u16; 14] = [269, 270, 271, 272, 285, 305, 306, 315, 316, 18246, 18249, 33432, tag::EXIF, tag::GPS];

/// The flip that an orientation of EXIF or TIFF asks for.
pub(super) fn flip_of(orientation: u8) -> Flip {
    let (transpose, rows, columns) = match orientation {
        2 => (false, false, true),
        3 => (false, true, true),
        4 => (false, true, false),
        5 => (true, false, false),
        6 => (true, false, true),
        7 => (true, true, true),
        8 => (true, true, false),
        _ => (false, false, false),
    };
    Flip { transpose, rows, columns }
}
