//! What is printed, and what becomes of it where nobody reads it.

use sasnet::low_level::file::is_stream;
use sasnet::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Arguments;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf, absolute};

/// Results on standard output, by [`print_line`].
macro_rules! say {
    ($($arguments:tt)*) => { $crate::cli::output::print_line(format_args!($($arguments)*)) };
}

/// Notes, warnings and errors on standard error, by [`print_note`].
macro_rules! note {
    ($($arguments:tt)*) => { $crate::cli::output::print_note(format_args!($($arguments)*)) };
}

/// Prints a line of results. Where nobody reads on (`sasnet plan | head`), the rest is not worth an error; any other
/// failure is.
pub fn print_line(line: Arguments) {
    let Err(error) = writeln!(std::io::stdout(), "{line}") else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        note!("error: standard output: {error}");
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// Prints a line for the person who waits. Work does not end because nobody reads it, or a log is full.
pub fn print_note(line: Arguments) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What was left out, by reason; a few names for each, or all.
pub fn left_out(list: &[(PathBuf, String)], all: bool) -> String {
    const NAMED: usize = 3;
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (path, why) in list {
        reasons.entry(why).or_default().push(path.display().to_string());
    }
    let reason = |(why, paths): (&str, Vec<String>)| {
        let shown = if all { paths.len() } else { paths.len().min(NAMED) };
        let more = if shown < paths.len() { format!(" and {} more", paths.len() - shown) } else { String::new() };
        format!("{}{more} ({why})", paths[..shown].join(", "))
    };
    let reasons: Vec<String> = reasons.into_iter().map(reason).collect();
    format!("{} left out: {}", list.len(), reasons.join("; "))
}

/// Tells whether an error says only that nobody reads the standard output on.
pub fn nobody_reads(error: &Error) -> bool {
    let is_stdout = |path: &Path| path == Path::new(STDOUT) || is_stdout(path);
    matches!(error.root(), Error::Io { path, source } if source.kind() == ErrorKind::BrokenPipe && is_stdout(path))
}

/// Tells whether a file that is to be written is the standard output.
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("/dev/stdout")
}

/// Makes sure that no result takes the place of another one, or of a file that is read.
///
/// # Errors
/// [`Error::File`] of the result.
pub fn keep_apart<R: AsRef<Path>, S: AsRef<Path>>(
    results: impl IntoIterator<Item = R>,
    read: impl IntoIterator<Item = S>,
) -> Result<()> {
    let read: HashSet<PathBuf> = read.into_iter().filter_map(|path| path.as_ref().canonicalize().ok()).collect();
    let mut taken = HashMap::new();
    for path in results.into_iter().filter(|path| !is_stream(path)) {
        let path = path.as_ref();
        let real = path.canonicalize().or_else(|_| absolute(path)).map_err(Error::io(path))?;
        if read.contains(&real) {
            return Err(Error::file(path, "is read, and would be overwritten: give another file or folder"));
        }
        if let Some(other) = taken.insert(real, path.to_path_buf()) {
            let message = format!("would be written twice, as {}, too: give two files", other.display());
            return Err(Error::file(path, message));
        }
    }
    Ok(())
}

/// How messages call the standard output.
pub const STDOUT: &str = "standard output";

/// How messages call the standard input.
pub const STDIN: &str = "standard input";

/// Checks that a picture or video would not land on a terminal.
pub fn check_stdout() -> Result<()> {
    match std::io::stdout().is_terminal() {
        true => Err(Error::file(STDOUT, "is a terminal; send it into a file or a program, as in -o - | display -")),
        false => Ok(()),
    }
}
