//! The pictures of a folder.

use std::path::{Path, PathBuf};

use super::format::{Format, known_extensions};
use crate::error::{Error, Result};

/// The pictures that a path names: a file itself, a folder's picture files (by extension) sorted by name.
///
/// # Errors
/// [`Error::Io`] where the path cannot be read, [`Error::File`] for a folder without pictures.
pub fn pictures(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    list(path.as_ref(), false)
}

/// As [`pictures`], folders within folders included.
///
/// # Errors
/// As [`pictures`].
pub fn pictures_below(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    list(path.as_ref(), true)
}

fn list(path: &Path, recursive: bool) -> Result<Vec<PathBuf>> {
    fn collect(folder: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> Result<()> {
        for entry in folder.read_dir().map_err(Error::io(folder))? {
            let path = entry.map_err(Error::io(folder))?.path();
            // Other systems leave "._photo.jpg" and the like beside the pictures.
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            if path.is_dir() {
                if recursive {
                    collect(&path, recursive, found)?;
                }
            } else if Format::from_path(&path).is_some() {
                found.push(path);
            }
        }
        Ok(())
    }

    if !path.metadata().map_err(Error::io(path))?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    collect(path, recursive, &mut found)?;
    found.sort();
    if found.is_empty() {
        return Err(Error::file(path, format!("the folder holds no pictures ({})", known_extensions())));
    }
    Ok(found)
}
