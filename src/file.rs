//! Files that are never half-written, and what is no file: devices, FIFOs, the standard output.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Cursor, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// How the names of unfinished files begin; a killed process leaves one.
pub const TEMPORARY: &str = ".sasnet-";

/// What [`atomic_write`] fills.
pub trait Sink: Write + Seek + Send {}

impl<T: Write + Seek + Send> Sink for T {}

/// Writes `path` through a temporary file in the same folder that replaces it only once it is complete and on disk:
/// whatever fails, and whenever, `path` holds the old contents or the new ones.
///
/// A link is followed. A new file gets the permissions of any new file, an existing one keeps its own. What exists and
/// is no regular file ([`is_stream`]) is not replaced: it gets the bytes once all of them are there.
///
/// # Errors
/// Whatever `fill` returns; [`Error::File`] where the folder does not exist; [`Error::Io`] where it cannot be written.
pub fn atomic_write(path: impl AsRef<Path>, fill: impl FnOnce(&mut dyn Sink) -> Result<()>) -> Result<()> {
    let path = path.as_ref();
    let target = match Target::of(path)? {
        Target::File(target) => target,
        Target::Stream(stream) => {
            let mut bytes = Cursor::new(vec![]);
            fill(&mut bytes)?;
            let written = open(&stream).and_then(|mut stream| stream.write_all(bytes.get_ref()));
            return written.map_err(Error::io(path));
        }
    };
    let folder = folder_of(&target);
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
    // To open a FIFO waits for its reader.
    let Target::File(target) = Target::of(path)? else { return Ok(()) };
    prepare_folder(folder_of(&target))
}

/// Makes a folder, and finds out now whether files can be written into it.
///
/// # Errors
/// [`Error::Io`] where it cannot be made or written to.
pub fn prepare_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder).map(drop).map_err(Error::io(folder))
}

/// Tells whether something exists at `path` that is neither a regular file nor a folder: a device, a FIFO, or a name of
/// what a process has open, as /dev/stdout.
pub fn is_stream(path: impl AsRef<Path>) -> bool {
    matches!(Target::of(path.as_ref()), Ok(Target::Stream(_)))
}

/// Opens what [`is_stream`] to be written from where it is; None for anything else. A FIFO waits for its reader.
///
/// # Errors
/// [`Error::Io`] where it cannot be opened.
pub fn open_stream(path: impl AsRef<Path>) -> Result<Option<File>> {
    let path = path.as_ref();
    match Target::of(path)? {
        Target::File(_) => Ok(None),
        Target::Stream(stream) => open(&stream).map(Some).map_err(Error::io(path)),
    }
}

/// Where the links of a path lead.
enum Target {
    /// To a regular file, to nothing yet, or to a folder.
    File(PathBuf),
    /// To something that is only written into.
    Stream(PathBuf),
}

impl Target {
    fn of(path: &Path) -> Result<Target> {
        match path.metadata() {
            // Links that lead in a circle.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io(path)(error)),
            _ => {}
        }
        let mut at = path.to_path_buf();
        // A name of what a process has open is itself a link, perhaps to a regular file; whoever opened that goes on
        // writing to it, and another file of its name would be lost to them.
        while let Ok(next) = at.read_link() {
            if names_open_files(folder_of(&at)) {
                return Ok(Target::Stream(at));
            }
            at = folder_of(&at).join(next);
        }
        let is_stream = at.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir());
        Ok(if is_stream || names_open_files(folder_of(&at)) { Target::Stream(at) } else { Target::File(at) })
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Tells whether the names in a folder stand for what a process has open.
fn names_open_files(folder: &Path) -> bool {
    let real = |folder: &Path| folder.canonicalize().is_ok_and(|f| f.starts_with("/proc") || f == Path::new("/dev/fd"));
    cfg!(unix) && real(folder)
}

/// Opens a stream to be written from where it is.
fn open(stream: &Path) -> std::io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let own = || folder_of(stream).canonicalize().ok() == Path::new("/dev/fd").canonicalize().ok();
        // To open a file anew would begin at its start again.
        if stream.ends_with("1") && own() {
            std::io::stdout().flush()?;
            return Ok(std::io::stdout().as_fd().try_clone_to_owned()?.into());
        }
        if stream.ends_with("2") && own() {
            return Ok(std::io::stderr().as_fd().try_clone_to_owned()?.into());
        }
    }
    OpenOptions::new().append(true).open(stream)
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

    /// Makes a node with `mkfifo` or `mknod`; false, and a word, where that is not permitted.
    #[cfg(unix)]
    fn node(command: &str, arguments: &[&str]) -> bool {
        let made = std::process::Command::new(command).args(arguments).status().is_ok_and(|status| status.success());
        if !made {
            println!("NOT TESTED: {command} {arguments:?} is not permitted");
        }
        made
    }

    #[cfg(unix)]
    #[test]
    fn a_fifo_is_written_into_also_through_a_link() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let (fifo, link) = (folder.path().join("fifo"), folder.path().join("link"));
        std::os::unix::fs::symlink("fifo", &link).unwrap();
        assert!(!is_stream(&link), "there is nothing yet");
        if !node("mkfifo", &[fifo.to_str().unwrap()]) {
            return;
        }
        for path in [&fifo, &link] {
            assert!(is_stream(path));
            prepare(path).unwrap();
            let reader = std::thread::spawn({
                let fifo = fifo.clone();
                move || std::fs::read_to_string(fifo).unwrap()
            });
            write(path, "through").unwrap();
            assert_eq!(reader.join().unwrap(), "through");
            assert!(fifo.metadata().unwrap().file_type().is_fifo(), "it is still there");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "and nothing else");
    }

    /// The numbers are those of /dev/null and /dev/full.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_written_into() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let [null, full] = ["null", "full"].map(|name| folder.path().join(name));
        for (path, minor) in [(&null, "3"), (&full, "7")] {
            // A file system may be mounted without devices.
            if !node("mknod", &[path.to_str().unwrap(), "c", "1", minor])
                || OpenOptions::new().write(true).open(path).is_err()
            {
                return;
            }
            prepare(path).unwrap();
        }
        write(&null, "gone").unwrap();
        let error = write(&full, "no").unwrap_err().to_string();
        assert!(error.contains("full: No space left"), "{error}");
        // What fails before it is complete reaches no device.
        let failed = atomic_write(&full, |w| {
            w.write_all(b"half").map_err(Error::io(&full))?;
            Err(Error::Invalid("no more".into()))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        for path in [null, full] {
            assert!(path.symlink_metadata().unwrap().file_type().is_char_device(), "it is still there");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_process_has_open_is_no_file_to_replace() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"before ").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(format!("/dev/fd/{}", file.as_raw_fd()), &link).unwrap();
        assert!(is_stream("/dev/stdout") && is_stream("/dev/fd/1") && is_stream(&link) && !is_stream(&path));
        write(&link, "through").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before through");
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_new_files_and_not_in_circles() {
        let folder = tempfile::tempdir().unwrap();
        let [new, link, one, two] = ["new", "link", "one", "two"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink("new", &link).unwrap();
        write(&link, "made").unwrap();
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "made");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        std::os::unix::fs::symlink("two", &one).unwrap();
        std::os::unix::fs::symlink("one", &two).unwrap();
        for result in [write(&one, "no"), prepare(&one)] {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("one: Too many levels"), "{error}");
        }
        assert!(one.symlink_metadata().unwrap().is_symlink());
    }
}
