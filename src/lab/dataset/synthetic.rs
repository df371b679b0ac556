//! Training data without data: structures and textures drawn by a seeded generator.
//!
//! What is what, as far as the generator is concerned (the tests measure both):
//!
//! - A **structure** leaves most of the picture smooth: regions in which colours change slowly, edges between them
//!   (hard, anti-aliased or soft; many of low contrast, which is what networks miss first), and single thin things:
//!   lines, twigs, letters. Nothing repeats all over the picture.
//! - A **texture** repeats everywhere, at a period of at most [`texture::LARGEST`] pixels, and has no mean that changes
//!   over more than that: what is slower is taken out, since it would be structure.
//!
//! Everything is a function of the random numbers alone. A later version may draw other pictures from the same numbers:
//! a run that trains on folders goes on unchanged, one that trains on the generator goes on with its new pictures.

mod field;
mod raster;
pub mod structure;
pub mod texture;

pub use structure::structure;
pub use texture::texture;

#[cfg(test)]
mod tests;
