//! Data to train and to measure on: pairs of pictures, structures and textures blended on the fly, and a generator of
//! both.

pub mod pairs;
pub mod source;
pub mod synthetic;
