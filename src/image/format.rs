//! The formats of pictures: names, what each holds, and what contents begin like.

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::file::is_stream;

/// A format of picture files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// PNG, animated too.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP, animated too.
    WebP,
    /// TIFF and BigTIFF.
    Tiff,
    /// BMP.
    Bmp,
    /// GIF, animated too.
    Gif,
    /// PBM, PGM, PPM.
    Pnm,
    /// TGA.
    Tga,
    /// QOI.
    Qoi,
    /// Radiance HDR.
    Hdr,
    /// OpenEXR.
    Exr,
}

/// Transparency that a format holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpha {
    None,
    /// A pixel is there, or not.
    OnOff,
    Full,
}

/// How many pictures a file of a format holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Several {
    One,
    Frames,
    Pages,
}

/// What a file of a format holds, as it is written here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abilities {
    /// One channel, without alpha and with.
    pub grey: [bool; 2],
    pub alpha: Alpha,
    pub sixteen: bool,
    pub float: bool,
    /// Its values are light.
    pub light: bool,
    pub icc: bool,
    pub exif: bool,
    pub xmp: bool,
    pub iptc: bool,
    pub resolution: bool,
    /// PNG's texts and JPEG's comments.
    pub texts: bool,
    pub comments: bool,
    pub several: Several,
    pub most_side: usize,
}

const NOTHING: Abilities = Abilities {
    grey: [false, false],
    alpha: Alpha::None,
    sixteen: false,
    float: false,
    light: false,
    icc: false,
    exif: false,
    xmp: false,
    iptc: false,
    resolution: false,
    texts: false,
    comments: false,
    several: Several::One,
    most_side: i32::MAX as usize,
};

/// Each format, its name, and its extensions, the usual one first.
const FORMATS: [(Format, &str, &[&str]); 11] = [
    (Format::Png, "PNG", &["png", "apng"]),
    (Format::Jpeg, "JPEG", &["jpg", "jpeg", "jfif", "jpe", "jif", "jfi"]),
    (Format::WebP, "WebP", &["webp"]),
    (Format::Tiff, "TIFF", &["tif", "tiff"]),
    (Format::Bmp, "BMP", &["bmp", "dib"]),
    (Format::Gif, "GIF", &["gif"]),
    (Format::Pnm, "PNM", &["ppm", "pgm", "pbm", "pnm"]),
    (Format::Tga, "TGA", &["tga"]),
    (Format::Qoi, "QOI", &["qoi"]),
    (Format::Hdr, "Radiance HDR", &["hdr"]),
    (Format::Exr, "OpenEXR", &["exr"]),
];

impl Format {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Format> {
        FORMATS.into_iter().map(|(format, ..)| format)
    }

    fn record(self) -> (&'static str, &'static [&'static str]) {
        let record = FORMATS.into_iter().find(|(format, ..)| *format == self);
        record.map(|(_, name, extensions)| (name, extensions)).expect("every format has a record")
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.record().0
    }

    /// The extensions of its files, the usual one first, without a dot.
    pub fn extensions(self) -> &'static [&'static str] {
        self.record().1
    }

    /// The format that an extension names, in any case, without a dot.
    pub fn from_extension(extension: &str) -> Option<Format> {
        Format::all().find(|format| format.extensions().iter().any(|known| known.eq_ignore_ascii_case(extension)))
    }

    /// The format that a path's extension names.
    pub fn from_path(path: impl AsRef<Path>) -> Option<Format> {
        Format::from_extension(path.as_ref().extension()?.to_str()?)
    }

    /// The format of a file's contents; None where they do not show it, as those of a TGA do not.
    pub fn from_contents(bytes: &[u8]) -> Option<Format> {
        use image::ImageFormat;
        if bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+") {
            return Some(Format::Tiff);
        }
        Some(match image::guess_format(bytes).ok()? {
            ImageFormat::Png => Format::Png,
            ImageFormat::Jpeg => Format::Jpeg,
            ImageFormat::WebP => Format::WebP,
            ImageFormat::Tiff => Format::Tiff,
            ImageFormat::Bmp => Format::Bmp,
            ImageFormat::Gif => Format::Gif,
            ImageFormat::Pnm => Format::Pnm,
            ImageFormat::Qoi => Format::Qoi,
            ImageFormat::Hdr => Format::Hdr,
            ImageFormat::OpenExr => Format::Exr,
            _ => return None,
        })
    }

    /// Checks that a file of this format holds a picture of `h` x `w`: to be asked before a long computation.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what it holds.
    pub fn check_size(self, h: usize, w: usize) -> Result<()> {
        let most = self.abilities().most_side;
        if h.max(w) <= most && h * w > 0 {
            return Ok(());
        }
        Err(Error::Invalid(format!("{w}x{h} pixels do not fit a {self}, which holds at most {most} on a side")))
    }

    pub(super) fn abilities(self) -> Abilities {
        match self {
            Format::Png => Abilities {
                grey: [true, true],
                alpha: Alpha::Full,
                sixteen: true,
                icc: true,
                exif: true,
                xmp: true,
                resolution: true,
                texts: true,
                comments: true,
                several: Several::Frames,
                ..NOTHING
            },
            Format::Jpeg => Abilities {
                grey: [true, true],
                icc: true,
                exif: true,
                xmp: true,
                iptc: true,
                resolution: true,
                comments: true,
                most_side: 65535,
                ..NOTHING
            },
            Format::WebP => Abilities {
                alpha: Alpha::Full,
                icc: true,
                exif: true,
                xmp: true,
                several: Several::Frames,
                most_side: 16383,
                ..NOTHING
            },
            Format::Tiff => Abilities {
                grey: [true, true],
                alpha: Alpha::Full,
                sixteen: true,
                float: true,
                icc: true,
                exif: true,
                xmp: true,
                iptc: true,
                resolution: true,
                several: Several::Pages,
                ..NOTHING
            },
            Format::Bmp => Abilities { grey: [true, false], alpha: Alpha::Full, ..NOTHING },
            Format::Gif => Abilities { alpha: Alpha::OnOff, several: Several::Frames, most_side: 65535, ..NOTHING },
            Format::Pnm => Abilities { grey: [true, true], sixteen: true, ..NOTHING },
            Format::Tga => Abilities { grey: [true, true], alpha: Alpha::Full, most_side: 65535, ..NOTHING },
            Format::Qoi => Abilities { alpha: Alpha::Full, ..NOTHING },
            Format::Hdr => Abilities { float: true, light: true, ..NOTHING },
            Format::Exr => Abilities { float: true, light: true, alpha: Alpha::Full, ..NOTHING },
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a camera's raw file is no input.
pub(super) const RAW_REFUSED: &str = "a camera's raw file: it holds what the sensor saw, and only a preview of a picture. \
     Develop it first into a 16-bit TIFF, for example by darktable, RawTherapee or dcraw";

/// Says what a file is whose contents no reader here takes, and what to do with it.
pub(super) fn refusal(bytes: &[u8]) -> Option<&'static str> {
    let at = |place: usize, wanted: &[u8]| bytes.get(place..).is_some_and(|rest| rest.starts_with(wanted));
    let brand = |brands: &[&[u8]]| at(4, b"ftyp") && brands.iter().any(|brand| at(8, brand));
    let raw: [&[u8]; 8] =
        [b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"II*\0\x10\0\0\0CR"];
    Some(if raw.iter().any(|begin| at(0, begin)) || brand(&[b"crx "]) {
        RAW_REFUSED
    } else if brand(&[b"avif", b"avis"]) {
        "an AVIF picture, which is not supported: convert it first, for example by `avifdec in.avif out.png`"
    } else if brand(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) {
        "a HEIC picture, which is not supported: convert it first, for example by `heif-convert in.heic out.png`"
    } else if at(0, b"\xFF\x0A") || at(0, b"\0\0\0\x0CJXL ") {
        "a JPEG XL picture, which is not supported: convert it first, for example by `djxl in.jxl out.png`"
    } else if at(0, b"\0\0\0\x0CjP  ") || at(0, b"\xFF\x4F\xFF\x51") {
        "a JPEG 2000 picture, which is not supported: convert it first, for example by `opj_decompress -i in.jp2 -o out.png`"
    } else if at(0, b"8BPS") {
        "a Photoshop file, which is not supported: convert it first, for example by `magick 'in.psd[0]' out.png`"
    } else if at(0, b"%PDF") {
        "a PDF, which is not supported: turn its pages into pictures first, for example by `pdftoppm -png in.pdf page`"
    } else if at(0, b"\0\0\x01\0") {
        "an icon, which is not supported: convert it first, for example by `magick in.ico out.png`"
    } else if at(0, b"DDS ") {
        "a DDS texture, which is not supported: convert it first, for example by `magick in.dds out.png`"
    } else {
        return None;
    })
}

/// The names of all formats, as a message lists them.
pub(super) fn known_names() -> String {
    FORMATS.map(|(_, name, _)| name).join(", ")
}

/// The usual extensions, as a message lists them: `.png .jpg`.
pub(super) fn known_extensions() -> String {
    FORMATS.map(|(.., extensions)| format!(".{}", extensions[0])).join(" ")
}

/// Checks that [`write()`](super::write()) knows the format of the path's extension (of a device or pipe: PNG): to be
/// asked before a long computation.
///
/// # Errors
/// [`Error::File`] where the extension is none of those that can be written.
pub fn check_format(path: impl AsRef<Path>) -> Result<()> {
    format_of(path).map(drop)
}

/// The format that [`write()`](super::write()) chooses.
pub(super) fn format_of(path: impl AsRef<Path>) -> Result<Format> {
    let path = path.as_ref();
    // A device or pipe has a name of its own, and says nothing.
    Format::from_path(path).or_else(|| is_stream(path).then_some(Format::Png)).ok_or_else(|| {
        let known = known_extensions();
        Error::file(path, format!("the extension must say the picture's format, one of {known}"))
    })
}
