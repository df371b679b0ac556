//! `sasnet tune` finds the setting that the ground truths were made with, goes on from its log, and says what is wrong.

mod support;

use sasnet::image::{self, Picture};
use sasnet::low_level::exec::Device;
use sasnet::{Filter, Options, Smoother};
use std::path::Path;
use std::process::Command;
use support::{Ran, picture, sasnet, write_picture};

/// Pictures whose ground truths are what the filter makes of them.
fn set(folder: &Path, filter: &Filter, pictures: usize) {
    for part in ["input", "gt"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    let mut smoother = Smoother::new(filter.clone(), Device::Cpu);
    for i in 0..pictures {
        let x = picture(24 + i, 31, i);
        let y = smoother.smooth(&x, &Options::default()).unwrap();
        image::write(folder.join(format!("input/{i}.png")), &Picture::from(x)).unwrap();
        image::write(folder.join(format!("gt/{i}.png")), &Picture::from(y)).unwrap();
    }
}

fn tune(folder: &Path, method: &str) -> Command {
    let mut command = sasnet();
    command.arg("tune").current_dir(folder).args(["--adapter", "cpu", "--method", method]);
    command.args(["--set", "a=a", "--set", "b"]);
    command
}

#[test]
fn the_setting_of_the_truths_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let filter = Filter::new("gf").unwrap().with("r", 3).unwrap().with("eps", 0.016).unwrap();
    set(&folder.path().join("a"), &filter, 3);
    set(&folder.path().join("b"), &filter, 4);

    // The method's own grid, on every second picture.
    let ran = Ran::of(tune(folder.path(), "gf").args(["--every", "2"])).ok();
    assert!(ran.stderr.contains("25 settings on 4 pictures"), "{}", ran.stderr);
    assert!(ran.stdout.ends_with("sasnet smooth --method gf --set r=3 --set eps=0.016\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("  100.000  100.000  gf r=3 eps=0.016 guide=colour\n"), "{}", ran.stdout);
    assert!(!ran.stderr.contains("border"), "{}", ran.stderr);

    // A grid of one's own, with a log.
    let tried = ["--try", "r=2,3", "--fix", "eps=0.016", "--log", "log.json"];
    let ran = Ran::of(tune(folder.path(), "gf").args(tried).args(["--every", "1"])).ok();
    assert!(ran.stderr.contains("2 settings on 7 pictures\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the best r lies at the border"), "{}", ran.stderr);
    assert!(ran.stdout.ends_with("sasnet smooth --method gf --set r=3 --set eps=0.016\n"), "{}", ran.stdout);
    let again = ["--try", "r=2,3,4", "--fix", "eps=0.016", "--log", "log.json", "--every", "1"];
    let ran = Ran::of(tune(folder.path(), "gf").args(again)).ok();
    assert!(ran.stderr.contains("3 settings on 7 pictures, 2 of them as in the log\n"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("border"), "{}", ran.stderr);

    // A golden section between the grid's values finds what lies between them, and goes on from its log.
    let golden =
        ["--try", "eps=0.005,0.01,0.03", "--fix", "r=3", "--every", "2", "--golden", "9", "--log", "golden.json"];
    let [first, second] = [(); 2].map(|()| Ran::of(tune(folder.path(), "gf").args(golden)).ok());
    let eps: f64 = first.stdout.trim_end().rsplit_once("eps=").unwrap().1.parse().unwrap();
    assert!((0.0155..0.0165).contains(&eps), "{}", first.stdout);
    assert_eq!(second.stdout, first.stdout);
    let log = std::fs::read_to_string(folder.path().join("golden.json")).unwrap();
    assert_eq!(log.matches("gf r=3").count(), 3 + 9, "{log}");

    // Squares from the middles: not exact at their borders, but all the same.
    let ran = Ran::of(tune(folder.path(), "gf").args(["--try", "r=3", "--crop", "16"])).ok();
    assert!(
        ran.stdout.contains(" gf r=3 eps=0.01 guide=colour\n") && !ran.stdout.contains("100.000"),
        "{}",
        ran.stdout
    );

    // The log is of these pictures alone.
    Ran::of(tune(folder.path(), "gf").args(tried)).fails(1, &["log.json: is of other pictures"]);
    let whole = [&tried[..], &["--every", "1"]].concat();
    std::fs::rename(folder.path().join("a/gt/0.png"), folder.path().join("0.png")).unwrap();
    write_picture(folder.path().join("a/gt/0.png"), 24, 31, 9);
    Ran::of(tune(folder.path(), "gf").args(&whole)).fails(1, &["log.json: is of other pictures"]);
    std::fs::rename(folder.path().join("0.png"), folder.path().join("a/gt/0.png")).unwrap();
    Ran::of(tune(folder.path(), "gf").args(&whole)).ok();
    std::fs::write(folder.path().join("log.json"), "{}").unwrap();
    Ran::of(tune(folder.path(), "gf").args(tried)).fails(1, &["log.json: is no log of settings"]);
}

#[test]
fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let filter = Filter::new("gf").unwrap();
    set(&folder.path().join("a"), &filter, 1);
    set(&folder.path().join("b"), &filter, 1);
    let fails = |arguments: &[&str], code, part: &str| {
        Ran::of(tune(folder.path(), "gf").args(arguments)).fails(code, &[part]);
    };
    fails(&["--try", "r=2,3", "--fix", "r=2"], 1, "r is both fixed and tried");
    fails(&["--try", "q=2,3"], 1, "no parameter q; it has r, eps, guide");
    fails(&["--try", "r=2,x"], 1, "r of the method gf is x; give 1 to 256");
    fails(&["--try", "r"], 2, "give a name and values, as in sigma=1,2,3");
    fails(&["--try", "r=2", "--try", "r=3"], 1, "r is tried twice: give all its values together");
    fails(&["--fix", "r=2", "--fix", "r=3"], 1, "r is given twice: give it once");
    fails(&["--set", "b"], 1, "two sets are called \"b\"");
}
