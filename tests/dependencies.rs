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
const NOT_FOR_HOSTS: [&str; 17] = [
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
    assert!(all.len() <= 164, "{} packages", all.len());
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
const FORBIDDEN: [(&[&str], &str); 9] = [
    (&["graph", "autodiff", "ops", "plan", "exec", "gpu", "net", "kernel", "fit", "smooth", "weights", "embed"], "lab"),
    (&["graph", "autodiff", "ops", "plan", "exec", "gpu", "net", "kernel", "fit", "smooth", "weights", "lab"], "cli"),
    (&["applications"], "lab"),
    (&["applications"], "cli"),
    (&["applications"], "smooth"),
    (&["gpu", "graph", "tensor", "kernel"], "ops"),
    (&["graph", "ops", "plan", "gpu", "kernel"], "net"),
    (&["graph", "ops", "plan", "kernel"], "gpu"),
    (&["graph"], "plan"),
];

#[test]
fn no_room_knows_what_it_must_not() {
    let mut wrong = vec![];
    for (rooms, to) in FORBIDDEN {
        for file in rooms.iter().flat_map(|name| room(name)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let named = |line: &&str| line.contains(&format!("crate::{to}")) && !line.trim_start().starts_with("//");
            wrong.extend(code.lines().filter(named).map(|line| format!("{}: {}", file.display(), line.trim())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
