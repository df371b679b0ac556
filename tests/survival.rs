//! Training runs that are killed, stopped, or run out of disk, device or finite numbers: nothing is lost.

mod support;

use sasnet::Error;
use sasnet::lab::dataset::source::Batch;
use sasnet::lab::train::checkpoint::{Checkpoint, PARTS};
use sasnet::lab::train::run::{CHECKPOINT, WEIGHTS};
use sasnet::lab::train::step::Trainer;
use sasnet::low_level::exec::Device;
use sasnet::low_level::rng::Rng;
use sasnet::low_level::tensor::Tensor;
use sasnet::low_level::weights::Weights;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::runs::{Data, NEW, same, settings, small};
use support::{Ran, picture};

/// Ends a child whatever happens to the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kills runs at random times, and again as they go on, until 200 kills have hit: alone, or with the checkpoint in
/// parts, or with one now and the other then. In the end every run must have left what an uninterrupted one leaves.
#[test]
fn killed_runs_go_on_as_if_nothing_had_happened() {
    const KILLS: usize = 200;
    let data = Data::new();
    let arguments = [&NEW[..], &["--steps", "24", "--checkpoint-every", "3", "--ema", "0.9"]].concat();
    let began = Instant::now();
    Ran::of(&mut data.command("whole", &arguments)).ok();
    let took = began.elapsed();
    let want = data.files("whole");
    // SASNET_SEED=N draws what a run that failed has drawn; how far a child has come when it is killed, is the
    // machine's.
    let seed = match std::env::var("SASNET_SEED") {
        Ok(text) => text.parse().expect("SASNET_SEED is a number"),
        Err(_) => began.elapsed().subsec_nanos().into(),
    };
    println!("SASNET_SEED={seed}");
    let mut random = Rng::new(&[seed]);
    let (mut kills, mut runs, mut hit) = (0, 0, std::collections::BTreeSet::new());
    while kills < KILLS {
        let out = format!("killed {runs}");
        loop {
            let resume = Checkpoint::exists_in(&data.path(&out));
            // The first checkpoint may be missing only until it is written.
            let begin = if resume { vec!["--resume", "--checkpoint-every", "3"] } else { arguments.clone() };
            let part: &[&str] =
                if (runs + random.below(2)).is_multiple_of(3) { &["--checkpoint-part", "20kB"] } else { &[] };
            let mut command = data.command(&out, &[&begin, part].concat());
            let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let mut child = Running(child);
            let deadline = Instant::now() + took.mul_f32(random.between((0.0, 1.3)));
            let mut status = None;
            while status.is_none() && Instant::now() < deadline {
                status = child.0.try_wait().unwrap();
                std::thread::sleep(Duration::from_micros(200));
            }
            if status.is_none() {
                child.0.kill().unwrap(); // SIGKILL
                status = Some(child.0.wait().unwrap());
            }
            let status = status.unwrap();
            if status.success() {
                break;
            }
            let mut said = String::new();
            child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(status.code().is_none(), "the run failed: {said}");
            kills += 1;
            let step = Checkpoint::load(&data.path(&out)).expect("never half a checkpoint").map(|c| c.step);
            assert!(step.is_none_or(|step| step.is_multiple_of(3)), "{step:?}");
            hit.insert(step);
        }
        // One file again, where the last part of the run wrote several.
        Ran::of(&mut data.command(&out, &["--resume"])).ok();
        let mut left = data.files(&out);
        let checkpoint = Checkpoint::load(&data.path(&out)).unwrap().unwrap();
        if !left.contains_key(CHECKPOINT) {
            let path = data.path(&out).join(CHECKPOINT);
            checkpoint.write(&path).unwrap();
            left.retain(|name, _| name != PARTS && !name.contains(".part"));
            left.insert(CHECKPOINT.into(), std::fs::read(path).unwrap());
        }
        same(&want, &left);
        runs += 1;
    }
    println!("{kills} kills in {runs} runs, which left {} different steps behind: {hit:?}", hit.len());
    assert!(hit.len() > 4, "the kills hit only {hit:?}");
}

/// Ctrl-C, and what batch systems send.
#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_with_a_checkpoint() {
    let data = Data::new();
    let arguments = [&NEW[..], &["--steps", "3000"]].concat();
    for signal in ["-INT", "-TERM"] {
        let mut command = data.command(signal, &arguments);
        let mut child = Running(command.stderr(Stdio::piped()).spawn().unwrap());
        let table = data.path(signal).join("loss.csv");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !table.exists() {
            assert!(Instant::now() < deadline, "no steps within a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
        let kill = Command::new("sh").args(["-c", &format!("kill {signal} {}", child.0.id())]).status().unwrap();
        assert!(kill.success());
        let mut said = String::new();
        child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.0.wait().unwrap().code(), Some(130), "{said}");
        assert!(said.contains("stopped after step") && said.contains("go on with --resume"), "{said}");
        let step = Checkpoint::read(&data.path(signal).join(CHECKPOINT)).unwrap().step;
        assert!(said.contains(&format!("stopped after step {step} of 3000")), "{said}");
        // What the next steps make of it is what an uninterrupted run makes.
        let steps = (step + 3).to_string();
        Ran::of(&mut data.command(signal, &["--resume", "--steps", &steps])).ok();
        let out = format!("whole {signal}");
        Ran::of(&mut data.command(&out, &[&NEW[..], &["--steps", &steps]].concat())).ok();
        assert_eq!(data.files(signal)[WEIGHTS].len(), data.files(&out)[WEIGHTS].len());
        let params = |out: &str| Weights::read(&data.path(out).join(WEIGHTS)).unwrap().params;
        assert!(params(signal) == params(&out));
    }
}

#[test]
fn a_checkpoint_in_parts_is_the_checkpoint() {
    let data = Data::new();
    let arguments = [&NEW[..], &["--steps", "5"]].concat();
    Ran::of(&mut data.command("whole", &arguments)).ok();
    Ran::of(&mut data.command("parts", &[&arguments[..], &["--checkpoint-part", "15kB"]].concat())).ok();
    let (whole, parts) = (data.files("whole"), data.files("parts"));
    assert!(whole[CHECKPOINT].len() > 45_000 && !parts.contains_key(CHECKPOINT));
    let names: Vec<String> = parts.keys().filter(|name| name.contains(".part")).cloned().collect();
    assert_eq!(names[..2], ["checkpoint-5.part0", "checkpoint-5.part1"]);
    assert!(names.iter().all(|name| parts[name].len() <= 15_000), "no part is larger");
    assert!(names.iter().flat_map(|name| parts[name].clone()).eq(whole[CHECKPOINT].iter().copied()));
    // With and without parts, as each command says.
    Ran::of(&mut data.command("parts", &["--resume", "--steps", "7"])).ok();
    assert_eq!(data.files("parts").into_keys().collect::<Vec<_>>(), whole.keys().cloned().collect::<Vec<_>>());
    Ran::of(&mut data.command("parts", &["--resume", "--steps", "9", "--checkpoint-part", "40kB"])).ok();
    assert_eq!(Checkpoint::load(&data.path("parts")).unwrap().unwrap().step, 9);

    // A run that is killed as it goes from one to the other leaves both, and the next takes the older one away.
    let older = [&NEW[..], &["--steps", "3", "--checkpoint-part", "15kB"]].concat();
    Ran::of(&mut data.command("older", &older)).ok();
    let into = |from: &str, to: &str, which: &dyn Fn(&str) -> bool| {
        for (name, bytes) in data.files(from).iter().filter(|(name, _)| which(name.as_str())) {
            std::fs::write(data.path(to).join(name), bytes).unwrap();
        }
    };
    for (from, to, which) in [
        ("whole", "parts", &(|name: &str| name == CHECKPOINT) as &dyn Fn(&str) -> bool),
        ("older", "whole", &|name| name == PARTS || name.contains(".part")),
    ] {
        let before = data.files(to);
        into(from, to, which);
        assert!(data.files(to).len() > before.len());
        Ran::of(&mut data.command(to, &["--resume", "--checkpoint-part", "40kB"])).ok();
        same(&before, &data.files(to));
    }

    let last = data.path("parts").join("checkpoint-9.part1");
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[1..]).unwrap();
    Ran::of(&mut data.command("parts", &["--resume"])).fails(1, &["checkpoint-9.part1", "copy it again"]);
    std::fs::remove_file(&last).unwrap();
    Ran::of(&mut data.command("parts", &["--resume"])).fails(1, &["checkpoint-9.part1", "No such file"]);
    std::fs::write(data.path("parts").join(PARTS), b"[]").unwrap();
    Ran::of(&mut data.command("parts", &["--resume"])).fails(1, &[PARTS, "not a list of a checkpoint's parts"]);
}

#[cfg(unix)]
#[test]
fn two_runs_in_one_folder_are_refused() {
    let data = Data::new();
    let arguments = [&NEW[..], &["--steps", "100000"]].concat();
    let mut first = Running(data.command("run", &arguments).stderr(Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !Checkpoint::exists_in(&data.path("run")) {
        assert!(Instant::now() < deadline, "no checkpoint within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    let trained_on = std::fs::read(data.path("run/data.json")).unwrap();
    let second = ["--resume", "--structures", "synthetic"];
    Ran::of(&mut data.command("run", &second)).fails(1, &["run", "another process is training here"]);
    assert_eq!(std::fs::read(data.path("run/data.json")).unwrap(), trained_on);
    assert!(first.0.try_wait().unwrap().is_none(), "the first one goes on");
}

/// Root may write anywhere but there.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_is_an_error_before_the_first_step() {
    let data = Data::new();
    std::fs::write(data.path("file"), b"").unwrap();
    for out in ["/sys/run", data.path("file/run").to_str().unwrap()] {
        let ran = Ran::of(&mut data.command(out, &[&NEW[..], &["--steps", "100000"]].concat()));
        ran.fails(1, &["run", "os error"]);
    }
}

#[test]
fn a_lost_device_ends_a_run_clearly_and_loses_nothing() {
    let data = Data::new();
    let settings = settings(6);
    let open = || {
        let adapter = Some(support::gpu().info().name.clone());
        let Device::Gpu(gpu) = Device::open(adapter.as_deref()).unwrap() else { unreachable!("it is a GPU") };
        gpu
    };
    data.train("whole", &small(1), &settings, &Device::Gpu(open()), 2).unwrap();
    let gpu = open();
    let lost = std::thread::scope(|scope| {
        let run = scope.spawn(|| data.train("lost", &small(1), &settings, &Device::Gpu(gpu.clone()), 2));
        let deadline = Instant::now() + Duration::from_secs(120);
        while !Checkpoint::load(&data.path("lost")).is_ok_and(|c| c.is_some_and(|c| c.step >= 2)) {
            assert!(Instant::now() < deadline, "no checkpoint within two minutes");
            std::thread::sleep(Duration::from_millis(1));
        }
        gpu.device().destroy();
        run.join().unwrap()
    });
    match lost {
        Err(Error::Lost(message)) => assert!(message.contains("lost"), "{message}"),
        other => panic!("{other:?}"),
    }
    data.train("lost", &small(1), &settings, &Device::Gpu(open()), 2).unwrap();
    same(&data.files("whole"), &data.files("lost"));
}

#[test]
fn a_run_out_of_time_goes_on_as_if_nothing_had_happened() {
    let data = Data::new();
    let given = [&NEW[..], &["--steps", "6", "--checkpoint-every", "4"]].concat();
    Ran::of(&mut data.command("whole", &given)).ok();
    // So little time that one step is all there is.
    let limit = ["--max-time", "1e-6"];
    let ran = Ran::of(&mut data.command("parts", &[&given[..], &limit].concat())).ok();
    assert!(ran.stderr.contains("the time is up after step 1 of 6: go on with --resume"), "{}", ran.stderr);
    assert!(!data.files("parts").contains_key(WEIGHTS), "the run is not complete");
    Ran::of(&mut data.command("parts", &["--resume", "--max-time", "1e-6"])).ok();
    assert_eq!(Checkpoint::read(&data.path("parts").join(CHECKPOINT)).unwrap().step, 2);
    Ran::of(&mut data.command("parts", &["--resume", "--max-time", "1000"])).ok();
    same(&data.files("whole"), &data.files("parts"));
    for wrong in ["0", "-1", "nan", "some", "1e300"] {
        let limit = format!("--max-time={wrong}");
        Ran::of(&mut data.command("no", &[&NEW[..], &[&limit]].concat()))
            .fails(2, &["a number of minutes, more than 0"]);
    }
}

#[test]
fn a_checkpoint_onto_a_folder_is_an_error_that_leaves_nothing() {
    let data = Data::new();
    data.train("run", &small(1), &settings(3), &Device::Cpu, 10).unwrap();
    let checkpoint = Checkpoint::read(&data.path("run").join(CHECKPOINT)).unwrap();
    let target = data.path("elsewhere").join(CHECKPOINT);
    std::fs::create_dir_all(target.join("inside")).unwrap();
    let error = checkpoint.write(&target).unwrap_err().to_string();
    assert!(error.contains("elsewhere") && error.contains(CHECKPOINT), "{error}");
    assert_eq!(data.path("elsewhere").read_dir().unwrap().count(), 1, "no temporary file");
    // The folder was removed while the run was on.
    let error = checkpoint.write(&data.path("gone").join(CHECKPOINT)).unwrap_err().to_string();
    assert!(error.contains("gone does not exist: create it first"), "{error}");
}

#[test]
fn weights_that_are_not_finite_do_not_replace_a_good_checkpoint() {
    let data = Data::new();
    data.train("run", &small(1), &settings(3), &Device::Cpu, 10).unwrap();
    let path = data.path("run").join(CHECKPOINT);
    let good = Checkpoint::read(&path).unwrap();
    let at = good.weights.network.layout().get("blocks.0.g3.conv2.weight").unwrap().offset + 2;
    let mut bad = good.clone();
    bad.v[at] = f32::NAN;
    let error = bad.write(&path).unwrap_err().to_string();
    assert!(error.contains("the tensor adam.v.blocks.0.g3.conv2.weight has a NaN at element 2"), "{error}");
    assert_eq!(Checkpoint::read(&path).unwrap(), good);
}

/// A full disk, as far as one can be had without being root: no file may grow past 32 KB.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_last_one() {
    let data = Data::new();
    Ran::of(&mut data.command("run", &[&NEW[..], &["--steps", "20"]].concat())).ok();
    let before = data.files("run");
    assert!(before[CHECKPOINT].len() > 40_000, "{}", before[CHECKPOINT].len());
    let resume = data.command("run", &["--resume", "--steps", "40", "--checkpoint-every", "10"]);
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\""]);
    limited.arg(resume.get_program()).args(resume.get_args());
    Ran::of(&mut limited).fails(1, &[CHECKPOINT, "File too large"]);
    let after = data.files("run");
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "no temporary file");
    assert!(after[CHECKPOINT] == before[CHECKPOINT] && after[WEIGHTS] == before[WEIGHTS]);
    // Once there is room the run goes on as if nothing had happened.
    Ran::of(&mut data.command("run", &["--resume", "--steps", "40", "--checkpoint-every", "10"])).ok();
    Ran::of(&mut data.command("whole", &[&NEW[..], &["--steps", "40"]].concat())).ok();
    same(&data.files("whole"), &data.files("run"));
}

#[test]
fn a_run_that_diverges_says_where_and_keeps_its_checkpoint() {
    let data = Data::new();
    Ran::of(&mut data.command("run", &[&NEW[..], &["--steps", "10"]].concat())).ok();
    let before = data.files("run");
    let mut command = data.command("run", &["--resume", "--steps", "30", "--rate", "1e30"]);
    let ran = Ran::of(&mut command).fails(1, &["the loss is", "The last checkpoint is good", "than 1.0e30"]);
    let named = small(1).layout().entries().iter().any(|entry| ran.stderr.contains(&format!(": {} first", entry.name)));
    assert!(named, "{}", ran.stderr);
    let after = data.files("run");
    assert!(after[CHECKPOINT] == before[CHECKPOINT] && after[WEIGHTS] == before[WEIGHTS]);
    assert_eq!(Checkpoint::read(&data.path("run").join(CHECKPOINT)).unwrap().step, 10);
    // Its advice works.
    Ran::of(&mut data.command("run", &["--resume", "--steps", "30", "--rate", "1e-4"])).ok();
    assert_eq!(Checkpoint::read(&data.path("run").join(CHECKPOINT)).unwrap().step, 30);

    let mut bad = Weights::initial(&small(1), 1);
    let first = bad.network.layout().get("blocks.0.g3.conv3.bias").unwrap().range();
    bad.params[first].fill(f32::NAN);
    let mut trainer = Trainer::new(&small(1), &settings(5), &bad.params, &Device::Cpu).unwrap();
    let pictures = Tensor::stack(&[picture(16, 16, 1), picture(16, 16, 2)]);
    let batch = Batch { input: pictures.clone(), target: pictures };
    match trainer.step(&batch) {
        Err(Error::Diverged(diverged)) => {
            assert!(diverged.to_string().contains("step 1: the loss is NaN"), "{diverged}")
        }
        other => panic!("{other:?}"),
    }
}
