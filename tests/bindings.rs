//! The C library as C, C++ and Python programs meet it, built and installed as its users do; and the code in
//! docs/embedding.md. Needs cc, c++, pkg-config, and python3 with numpy.
#![cfg(unix)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use support::{Ran, started, words};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"];

/// Where the library is installed.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c");
        Ran::of(Command::new(Path::new(ROOT).join("bindings/c/install.sh")).arg(&prefix)).ok();
        prefix
    })
}

/// What pkg-config says of it.
fn flags(arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")).args(arguments).arg("sasnet");
    Ran::of(&mut command).ok().stdout.split_whitespace().map(String::from).collect()
}

/// What links a program with it, wherever the library lies.
fn linked() -> Vec<String> {
    let search = format!("-Wl,-rpath,{}", prefix().join("lib").display());
    [flags(&["--cflags", "--libs"]), vec![search, "-lm".into()]].concat()
}

fn compile(compiler: &str, arguments: &[&str], flags: &[String]) {
    Ran::of(Command::new(compiler).args(STRICT).args(arguments).args(flags).current_dir(prefix())).ok();
}

/// Runs a program that says that all is well.
fn run(program: &str, device: &str) {
    let ran = Ran::of(started(&prefix().join(program).display().to_string()).arg(device)).ok();
    assert!(ran.stdout.contains("all well"), "{ran:?}");
}

fn source(name: &str) -> String {
    format!("{ROOT}/bindings/c/tests/{name}")
}

fn gpu() -> String {
    support::gpu().info().name.clone()
}

#[test]
fn a_c_program_smooths() {
    let source = source("smooth.c");
    compile("cc", &["-std=c99", &source, "-o", "shared"], &linked());
    run("shared", "cpu");
    run("shared", &gpu());
    // The same without a library to find.
    let archive = prefix().join("lib/libsasnet_c.a");
    let private: Vec<String> = flags(&["--static", "--libs"]).into_iter().filter(|f| f != "-lsasnet_c").collect();
    let link = [flags(&["--cflags"]), vec![archive.display().to_string()], private].concat();
    compile("cc", &["-std=c99", &source, "-o", "static"], &link);
    run("static", "cpu");
}

/// The blocks of a language in docs/embedding.md.
fn blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{ROOT}/docs/embedding.md")).unwrap();
    let begin = format!("```{language}\n");
    let blocks = text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_string());
    let blocks: Vec<String> = blocks.collect();
    assert!(!blocks.is_empty(), "docs/embedding.md has no {language}");
    blocks
}

#[test]
fn the_code_for_hosts_compiles() {
    let hosts = format!("-I{}", source("hosts"));
    for (language, compiler, standard) in [("c", "cc", "-std=c99"), ("cpp", "c++", "-std=c++11")] {
        for (i, block) in blocks(language).iter().enumerate() {
            let file = format!("host-{i}.{language}");
            std::fs::write(prefix().join(&file), block).unwrap();
            compile(compiler, &[standard, "-fsyntax-only", &hosts, &file], &flags(&["--cflags"]));
        }
    }
    // The header alone, too.
    std::fs::write(prefix().join("header.c"), "#include <sasnet.h>\nint none;\n").unwrap();
    compile("cc", &["-std=c99", "-fsyntax-only", "header.c"], &flags(&["--cflags"]));
    compile("c++", &["-std=c++11", "-fsyntax-only", "-xc++", "header.c"], &flags(&["--cflags"]));
}

#[test]
fn a_cpp_program_smooths() {
    let class = blocks("cpp").into_iter().find(|block| block.contains("class Smoother")).unwrap();
    std::fs::write(prefix().join("engine.h"), class).unwrap();
    let arguments = ["-std=c++11", "-I.", &source("engine.cpp"), "-o", "engine"];
    compile("c++", &arguments, &linked());
    run("engine", "cpu");
    run("engine", &gpu());
}

fn python() -> Command {
    let library =
        prefix().join("lib").join(if cfg!(target_os = "macos") { "libsasnet_c.dylib" } else { "libsasnet_c.so" });
    // Itself, not a script that chooses one, which no runner takes.
    let executable = Ran::of(Command::new("python3").args(["-c", "import sys; print(sys.executable)"])).ok().stdout;
    let mut command = started(executable.trim());
    command.env("SASNET_LIBRARY", library).env("PYTHONPATH", format!("{ROOT}/bindings/python"));
    command
}

#[test]
fn python_smooths_as_the_command_does() {
    let test = format!("{ROOT}/bindings/python/test_sasnet.py");
    for device in ["cpu".to_string(), gpu()] {
        let ran = Ran::of(python().args([&test, &device]).args(words(env!("CARGO_BIN_EXE_sasnet")))).ok();
        assert!(ran.stderr.contains("Ran 7 tests"), "{ran:?}");
    }
    blocks("python").iter().for_each(|block| drop(Ran::of(python().args(["-c", block])).ok()));
}
