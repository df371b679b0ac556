//! What hosts get: how many packages each set of features brings, none of those that hosts do not want, and no room of
//! the engine that knows the lab or the command line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages that are built with these features, this one included.
fn packages(features: &str) -> BTreeSet<String> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let tree = ["tree", "--manifest-path", manifest, "--offline", "--locked", "--edges", "normal", "--prefix", "none"];
    let output =
        Command::new(env!("CARGO")).args(tree).args(["--no-default-features", "--features", features]).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("names are text");
    lines.lines().filter_map(|line| line.split_whitespace().next()).map(String::from).collect()
}

/// What a host need not want.
const NOT_FOR_HOSTS: [&str; 18] = [
    "clap",
    "ctrlc",
    "env_logger",
    "indicatif",
    "plotters",
    "csv",
    "font8x8",
    "sysinfo",
    "image",
    "tempfile",
    "dirs",
    "png",
    "tiff",
    "zune-jpeg",
    "jpeg-encoder",
    "moxcms",
    "libwebp-sys",
    "ruzstd",
];

#[test]
fn hosts_get_what_they_ask_for() {
    for (features, most, without) in [
        ("", 70, &["rayon", "gemm", "pulp"][..]),
        ("builtin", 70, &["rayon", "gemm", "pulp"]),
        ("builtin,cpu", 92, &[]),
    ] {
        let packages = packages(features);
        println!("{features:?}: {} packages", packages.len());
        assert!(packages.len() <= most, "{features:?}: {} packages: {packages:?}", packages.len());
        for name in NOT_FOR_HOSTS.iter().chain(without) {
            assert!(!packages.contains(*name), "{features:?} brings {name}");
        }
    }
    let all = packages("cli,lossy-webp");
    println!("\"cli,lossy-webp\": {} packages", all.len());
    assert!(all.len() <= 165, "{} packages", all.len());
    assert!(!packages("cli").contains("libwebp-sys"), "C comes by its own feature only");
    assert!(!all.contains("mpi"), "a program brings MPI unasked");
}

/// The source files of a room: a file, and the folder of its name.
fn room(name: &str) -> Vec<PathBuf> {
    fn collect(path: &Path, files: &mut Vec<PathBuf>) {
        if path.is_dir() {
            path.read_dir().unwrap().for_each(|entry| collect(&entry.unwrap().path(), files));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path.into());
        }
    }
    let mut files = vec![];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    [source.join(format!("{name}.rs")), source.join(name)].iter().for_each(|path| collect(path, &mut files));
    files.retain(|file| file.exists());
    assert!(!files.is_empty(), "there is no room {name}");
    files
}

/// Which rooms must not know which: from, to. Tests may.
const FORBIDDEN: [(&[&str], &str); 12] = [
    (&["graph", "autodiff", "ops", "plan", "exec", "gpu", "net", "kernel", "fit", "smooth", "weights", "embed"], "lab"),
    (&["graph", "autodiff", "ops", "plan", "exec", "gpu", "net", "kernel", "fit", "smooth", "weights", "lab"], "cli"),
    (&["applications"], "lab"),
    (&["applications"], "cli"),
    (&["applications"], "smooth"),
    (&["gpu", "graph", "tensor", "kernel"], "ops"),
    (&["graph", "ops", "plan", "gpu", "kernel"], "net"),
    (&["graph", "ops", "plan", "kernel"], "gpu"),
    (&["graph"], "plan"),
    (&["filters"], "lab"),
    (&["filters"], "smooth"),
    (&["graph", "ops", "plan", "kernel", "gpu", "exec", "net"], "filters"),
];

/// The lines of a file's code: no comments, and none of its tests.
fn code(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(String::from).collect()
}

/// The type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
    words.next().filter(|word| ["struct", "enum", "union"].contains(word))?;
    words.next()?.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The type that a line begins an `impl` of, without a trait.
fn inherent(line: &str) -> Option<&str> {
    let (mut rest, mut depth) = (line.strip_prefix("impl")?, 0);
    if rest.starts_with('<') {
        let closes = |c| {
            depth += i32::from(c == '<') - i32::from(c == '>');
            depth == 0
        };
        rest = &rest[rest.find(closes)? + 1..];
    }
    let path = rest.strip_prefix(' ').filter(|rest| !rest.contains(" for "))?.split(['<', ' ']).next()?;
    path.rsplit("::").next()
}

#[test]
fn no_room_knows_what_it_must_not() {
    let mut wrong = vec![];
    for (rooms, to) in FORBIDDEN {
        for file in rooms.iter().flat_map(|name| room(name)) {
            let named = code(&file).into_iter().filter(|line| line.contains(&format!("crate::{to}")));
            wrong.extend(named.map(|line| format!("{}: {}", file.display(), line.trim())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A method that one room gives another's type is known to all who have the type: an arrow from the type's room to the
/// method's.
#[test]
fn no_room_gets_methods_of_what_it_must_not_know() {
    for (line, want) in [
        ("impl Kernels {", Some("Kernels")),
        ("impl<T: Into<f64>> crate::exec::CpuExecutor<T> {", Some("CpuExecutor")),
        ("impl From<Sasnet> for Network {", None),
        ("impl<T> Operator for Add<T>", None),
    ] {
        assert_eq!(inherent(line), want, "{line}");
    }
    let types = |room: Vec<PathBuf>| -> BTreeSet<String> {
        room.iter().flat_map(|file| code(file)).filter_map(|line| declared(&line).map(String::from)).collect()
    };
    let mut wrong = vec![];
    for (rooms, to) in FORBIDDEN {
        let (theirs, own) = (rooms.iter().flat_map(|name| types(room(name))).collect::<BTreeSet<_>>(), types(room(to)));
        for file in room(to) {
            let given = |line: &String| inherent(line).is_some_and(|of| theirs.contains(of) && !own.contains(of));
            let lines = code(&file).into_iter().filter(given);
            wrong.extend(lines.map(|line| format!("{}: {line}, a type of {}", file.display(), rooms.join(" or "))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
