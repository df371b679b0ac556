//! Files that are never half-written.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// How the names of unfinished files begin; a killed process leaves one.
pub const TEMPORARY: &str = ".sasnet-";

/// Writes `path` through a temporary file in the same folder that replaces it only once it is complete and on disk:
/// whatever fails, and whenever, `path` holds the old contents or the new ones.
///
/// A link is followed. A new file gets the permissions of any new file, an existing one keeps its own.
///
/// # Errors
/// Whatever `fill` returns; [`Error::File`] where the folder does not exist; [`Error::Io`] where it cannot be written.
pub fn atomic_write(path: impl AsRef<Path>, fill: impl FnOnce(&mut BufWriter<&mut File>) -> Result<()>) -> Result<()> {
    let path = path.as_ref();
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(Error::file(path, format!("the folder {} does not exist: create it first", folder.display())));
    }

    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    // Without this the file would be readable by its owner alone; the umask still applies.
    #[cfg(unix)]
    builder.permissions(all);
    let mut file = builder.prefix(TEMPORARY).tempfile_in(folder).map_err(Error::io(path))?;

    let mut writer = BufWriter::new(file.as_file_mut());
    fill(&mut writer)?;
    writer.flush().map_err(Error::io(path))?;
    drop(writer);
    if let Ok(old) = target.metadata() {
        file.as_file().set_permissions(old.permissions()).map_err(Error::io(path))?;
    }
    file.as_file().sync_all().map_err(Error::io(path))?;
    file.persist(&target).map_err(|e| Error::io(path)(e.error))?;

    // The new name itself reaches the disk with its folder. Windows cannot open folders, and needs no such step.
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(path))?;
    Ok(())
}

/// Makes the folder that `path` goes into, and finds out now what would stop [`atomic_write`] there after hours of
/// work.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be made or written to, [`Error::File`] where `path` is a folder.
pub fn prepare(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    if path.is_dir() {
        return Err(Error::file(path, "is a folder; give the name of a file in it"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder).map(drop).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) -> Result<()> {
        atomic_write(path, |w| w.write_all(text.as_bytes()).map_err(Error::io(path)))
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, "old").unwrap();
        let failed = atomic_write(&path, |w| {
            w.write_all(&[b'x'; 100_000]).map_err(Error::io(&path))?;
            Err(Error::Invalid("no more".into()))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary file is gone");
        write(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_file_and_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let (plain, path) = (folder.path().join("plain"), folder.path().join("a.txt"));
        File::create(&plain).unwrap();
        write(&path, "new").unwrap();
        assert_eq!(mode(&path), mode(&plain));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, "newer").unwrap();
        assert_eq!(mode(&path), 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert!(link.symlink_metadata().unwrap().is_symlink());
    }

    #[test]
    fn prepared_files_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/er/a.txt");
        prepare(&path).unwrap();
        assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 0, "nothing is left there");
        write(&path, "new").unwrap();
        prepare(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        let text = |path: &Path| prepare(path).unwrap_err().to_string();
        assert!(text(folder.path()).contains("is a folder"));
        assert!(text(&path.join("b")).contains("a.txt"), "a file is in the folder's place");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("nowhere/a.txt"), "").unwrap_err().to_string();
        assert!(error.contains("nowhere does not exist"), "{error}");
    }
}
