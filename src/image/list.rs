//! The pictures of a folder, and what is left out.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::format::{Format, known_extensions};
use crate::error::{Error, Result};

/// The pictures of a folder, and what else is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The pictures, by extension, in natural order: 2 before 10.
    pub pictures: Vec<PathBuf>,
    /// What is no picture, or is not looked into.
    pub left_out: Vec<(PathBuf, Why)>,
}

/// Why something in a folder is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Why {
    /// Its extension is none of a picture that can be read.
    Extension,
    /// A picture, but by its name hidden; other systems leave "._photo.jpg" and the like beside the pictures.
    Hidden,
    /// A device, a FIFO or a socket.
    NoFile,
    /// A folder, where folders are not gone into.
    Folder,
    /// A folder that was gone into already, by another name: a link.
    Again,
    /// The folder that the results go into.
    Results,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Why::Extension => "no pictures by their extension",
            Why::Hidden => "hidden",
            Why::NoFile => "no regular files",
            Why::Folder => "folders",
            Why::Again => "links to folders that are done anyway",
            Why::Results => "the results",
        })
    }
}

/// Lists a folder, with the folders in it where `recursive`; `results` is a folder not to go into.
///
/// # Errors
/// [`Error::Io`] where a folder cannot be read.
pub fn list(folder: impl AsRef<Path>, recursive: bool, results: Option<&Path>) -> Result<Listing> {
    let mut walk = Walk {
        recursive,
        results: results.and_then(|results| results.canonicalize().ok()),
        seen: HashSet::new(),
        links: vec![],
        found: Listing::default(),
    };
    walk.folder(folder.as_ref())?;
    while let Some(link) = walk.links.pop() {
        walk.entry(link)?;
    }
    let mut found = walk.found;
    found.pictures.sort_by(|a, b| alphanumeric_sort::compare_path(a, b));
    found.left_out.sort_by(|(a, _), (b, _)| alphanumeric_sort::compare_path(a, b));
    Ok(found)
}

struct Walk {
    recursive: bool,
    results: Option<PathBuf>,
    /// The folders that were gone into, without links: of links in a circle each is gone into once.
    seen: HashSet<PathBuf>,
    /// Links to folders, for the end: what has a name of its own in the folder is called by that.
    links: Vec<PathBuf>,
    found: Listing,
}

impl Walk {
    fn folder(&mut self, folder: &Path) -> Result<()> {
        self.seen.insert(folder.canonicalize().map_err(Error::io(folder))?);
        for entry in folder.read_dir().map_err(Error::io(folder))? {
            let entry = entry.map_err(Error::io(folder))?;
            let (path, is_link) = (entry.path(), entry.file_type().is_ok_and(|kind| kind.is_symlink()));
            if is_link && path.is_dir() { self.links.push(path) } else { self.entry(path)? }
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf) -> Result<()> {
        let is_picture = Format::from_path(&path).is_some();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let why = match path.metadata() {
            Ok(entry) if entry.is_dir() => match self.why_not_into(&path) {
                _ if hidden && !self.recursive => return Ok(()),
                _ if hidden => Why::Hidden,
                Some(why) => why,
                None => return self.folder(&path),
            },
            _ if hidden && !is_picture => return Ok(()),
            _ if hidden => Why::Hidden,
            _ if !is_picture => Why::Extension,
            Ok(entry) if !entry.is_file() => Why::NoFile,
            // What cannot even be looked at is an error when it is read.
            _ => {
                self.found.pictures.push(path);
                return Ok(());
            }
        };
        self.found.left_out.push((path, why));
        Ok(())
    }

    fn why_not_into(&self, folder: &Path) -> Option<Why> {
        let real = folder.canonicalize().ok();
        match real {
            Some(real) if self.results.as_ref() == Some(&real) => Some(Why::Results),
            _ if !self.recursive => Some(Why::Folder),
            Some(real) if self.seen.contains(&real) => Some(Why::Again),
            _ => None,
        }
    }
}

/// The pictures that a path names: a file itself, a folder's picture files (by extension) in natural order.
///
/// # Errors
/// [`Error::Io`] where the path cannot be read, [`Error::File`] for a folder without pictures.
pub fn pictures(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    all(path.as_ref(), false)
}

/// As [`pictures`], folders within folders included, in the order of their paths' bytes.
///
/// # Errors
/// As [`pictures`].
pub fn pictures_below(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let mut found = all(path.as_ref(), true)?;
    // What training draws, depends on this order.
    found.sort();
    Ok(found)
}

fn all(path: &Path, recursive: bool) -> Result<Vec<PathBuf>> {
    if !path.metadata().map_err(Error::io(path))?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let found = list(path, recursive, None)?.pictures;
    if found.is_empty() { Err(no_pictures(path)) } else { Ok(found) }
}

/// The error for a folder without pictures.
pub fn no_pictures(folder: &Path) -> Error {
    Error::file(folder, format!("the folder holds no pictures ({})", known_extensions()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path, paths: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
        let name = |path: PathBuf| path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
        paths.into_iter().map(name).collect()
    }

    fn make(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn what_is_left_out_and_why() {
        let files = ["p10.png", "p9.png", "p1.JPG", "b.HEIC", "notes", ".p.png", ".profile", "sub/s.png", "out/p1.png"];
        let folder = make(&files);
        let at = folder.path();
        let flat = list(at, false, Some(&at.join("out"))).unwrap();
        assert_eq!(names(at, flat.pictures), ["p1.JPG", "p9.png", "p10.png"]);
        let (paths, whys): (Vec<_>, Vec<_>) = flat.left_out.into_iter().unzip();
        assert_eq!(names(at, paths), [".p.png", "b.HEIC", "notes", "out", "sub"]);
        assert_eq!(whys, [Why::Hidden, Why::Extension, Why::Extension, Why::Results, Why::Folder]);
        let deep = list(at, true, Some(&at.join("out"))).unwrap();
        assert_eq!(names(at, deep.pictures), ["p1.JPG", "p9.png", "p10.png", "sub/s.png"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end() {
        use std::os::unix::fs::symlink;
        let folder = make(&["a/p.png", "b/q.png"]);
        let at = folder.path();
        symlink(at, at.join("a/up")).unwrap();
        symlink(at.join("b"), at.join("a/other")).unwrap();
        symlink("loop.png", at.join("loop.png")).unwrap();
        let found = list(at, true, None).unwrap();
        assert_eq!(names(at, found.pictures), ["a/p.png", "b/q.png", "loop.png"]);
        assert!(found.left_out.iter().all(|(_, why)| *why == Why::Again) && found.left_out.len() == 2);
    }
}
