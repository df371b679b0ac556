//! Pictures in and out: [`read`] and [`write()`] of files, [`decode`] and [`encode`] of bytes. Formats, and what each
//! keeps, converts and refuses, are in `docs/formats.md`.

mod alpha;
mod colour;
mod decoder;
mod format;
mod hdr;
mod ifd;
mod jpeg;
mod list;
mod metadata;
mod note;
mod picture;
mod plain;
mod png;
mod read;
mod tiff;
mod webp;
mod write;

pub use format::{Format, check_format};
pub use hdr::LogScale;
pub use list::{Listing, Why, list, no_pictures, pictures, pictures_below};
pub use metadata::{Metadata, Resolution};
pub use note::Note;
pub use picture::{Chroma, Depth, Picture, quantise};
pub use read::{ReadOptions, decode, decode_pages, decode_size, read, read_pages, size};
#[cfg(feature = "lab")]
pub(crate) use write::write_codes;
pub use write::{PngEffort, TiffCompression, WriteOptions, check, encode, encode_pages, write, write_pages};

#[cfg(test)]
mod tests;
