//! The fuzzer's corpus without a fuzzer: the seeds, what was found with them, and the pictures and fixtures of the other
//! tests go through the targets of `tests/fuzz`, which panic where a reader or writer does, or is inconsistent.

#[path = "fuzz/src/lib.rs"]
mod fuzz;

use fuzz::{TARGETS, Target};
use std::path::{Path, PathBuf};

/// How the names of seeds begin that once were handled wrongly; what is wrong with the file need not be accepted.
const FAULT: &str = "fault-";

/// All files below a folder of this package, in order.
fn files(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files(path) } else { vec![path] }).collect()
}

/// Runs a target on a file, whose name is shown where that panics.
fn accepted(target: Target, path: &Path) -> bool {
    eprintln!("{}", path.display());
    target(&std::fs::read(path).unwrap())
}

#[test]
fn seeds() {
    for (name, target) in TARGETS {
        let seeds = files(format!("tests/fuzz/seeds/{name}"));
        let is_fault = |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with(FAULT);
        assert!(seeds.iter().any(|path| !is_fault(path)), "{name} has seeds");
        for path in seeds {
            assert!(accepted(target, &path) || is_fault(&path), "{} is not accepted any more", path.display());
        }
    }
}

#[test]
fn pictures_and_fixtures() {
    let pictures = files("tests/pictures");
    let fixtures = files("tests/fixtures");
    assert!(pictures.len() > 10 && fixtures.len() > 5);
    for path in pictures {
        let read =
            TARGETS.iter().filter(|(name, _)| *name != "metadata").filter(|(_, target)| accepted(*target, &path));
        assert_eq!(read.count(), 1, "{} is a picture of one format", path.display());
    }
    let weights = TARGETS.iter().find(|(name, _)| *name == "weights").unwrap().1;
    // They hold more than weights, which is an error and no panic.
    for path in fixtures {
        accepted(weights, &path);
    }
}
