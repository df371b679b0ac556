//! Training by several processes that MPI starts: the weights of one process, the same bytes from run to run, and what
//! happens when a process is lost.

mod support;

use sasnet::lab::train::checkpoint::Checkpoint;
use sasnet::lab::train::run::{CHECKPOINT, WEIGHTS};
use sasnet::low_level::weights::Weights;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::Ran;
use support::runs::{Data, NEW, same};

/// Starts a command as so many processes. By variables, which other MPIs than Open MPI ignore: root may start it, more
/// processes than cores, which let each other work, and containers that forbid processes to read each other's memory.
fn together(ranks: usize, command: &Command) -> Command {
    let mut mpirun = Command::new("mpirun");
    mpirun.args(["-n", &ranks.to_string()]).arg(command.get_program()).args(command.get_args());
    for variable in ["ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM", "MCA_rmaps_base_oversubscribe"] {
        mpirun.env(format!("OMPI_{variable}"), "1");
    }
    mpirun.env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe");
    mpirun.env("OMPI_MCA_mpi_yield_when_idle", "1").env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    mpirun.env("RAYON_NUM_THREADS", "1");
    mpirun
}

/// Ends a run whatever happens to the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Waits until it has ended; how, and what it said.
    fn ended(&mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it has not ended within a minute");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Number of the process that is a rank of the run in a folder.
fn process(folder: &str, rank: usize) -> u32 {
    let find = |entry: std::fs::DirEntry| {
        let read = |name: &str| std::fs::read(entry.path().join(name)).ok();
        let holds = |text: Vec<u8>, want: &str| text.split(|byte| *byte == 0).any(|word| word == want.as_bytes());
        let is_rank = |text: Vec<u8>| {
            ["OMPI_COMM_WORLD_RANK", "PMI_RANK"].iter().any(|name| holds(text.clone(), &format!("{name}={rank}")))
        };
        let fits = holds(read("cmdline")?, folder) && is_rank(read("environ")?);
        entry.file_name().to_str()?.parse().ok().filter(|_| fits)
    };
    let found = std::fs::read_dir("/proc").unwrap().filter_map(|entry| find(entry.ok()?)).next();
    found.unwrap_or_else(|| panic!("rank {rank} runs"))
}

fn kill(signal: &str, process: u32) {
    assert!(Command::new("sh").args(["-c", &format!("kill {signal} {process}")]).status().unwrap().success());
}

fn wait_for_step(data: &Data, out: &str, step: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !Checkpoint::load(&data.path(out)).is_ok_and(|found| found.is_some_and(|found| found.step >= step)) {
        assert!(Instant::now() < deadline, "no checkpoint of step {step} within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_weights_are_those_of_one_process_and_the_same_from_run_to_run() {
    let data = Data::new();
    // The paper's form, with its noise, and that which keeps a part of z.
    for (latent, noise, ranks) in [("drop", "1", 2), ("drop", "1", 4), ("keep", "0", 2), ("keep", "0", 4)] {
        let more = ["--latent", latent, "--noise", noise, "--steps", "20", "--validate-every", "10"];
        let arguments = [&NEW[..], &more].concat();
        let params = |out: &str| Weights::read(&data.path(out).join(WEIGHTS)).unwrap().params;
        let [one, first, second] = ["alone", "first", "second"].map(|run| format!("{latent}, {ranks} ranks, {run}"));
        Ran::of(&mut data.command_of("4", &one, &arguments)).ok();
        let ran = Ran::of(&mut together(ranks, &data.command_of("4", &first, &arguments))).ok();
        let said = format!("{ranks} processes, each with {} samples", 4 / ranks);
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        assert_eq!(ran.stderr.matches("wrote ").count(), 1, "one writes: {}", ran.stderr);
        let alone = params(&one);
        let off = alone.iter().zip(params(&first)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{ranks} ranks: off by {off:e}");
        assert!(off <= 1e-6, "{ranks} ranks: off by {off:e} after 20 steps");
        Ran::of(&mut together(ranks, &data.command_of("4", &second, &arguments))).ok();
        same(&data.files(&first), &data.files(&second));
    }
}

#[test]
fn a_lost_process_ends_all_and_the_last_checkpoint_is_good() {
    let data = Data::new();
    fn arguments(steps: &str) -> Vec<&str> {
        [&NEW[..], &["--checkpoint-every", "5", "--steps", steps]].concat()
    }
    for lost in [1, 0] {
        let out = format!("lost {lost}");
        let mut run = Running::start(&mut together(2, &data.command(&out, &arguments("100000"))));
        wait_for_step(&data, &out, 5);
        kill("-KILL", process(data.path(&out).to_str().unwrap(), lost));
        let (code, said) = run.ended();
        assert!(code != Some(0), "a run without rank {lost} went well: {said}");
        let checkpoint = Checkpoint::load(&data.path(&out)).unwrap().unwrap();
        assert!(checkpoint.step >= 5 && checkpoint.step.is_multiple_of(5), "{}", checkpoint.step);
        // Goes on as if nothing had happened.
        let steps = (checkpoint.step + 3).to_string();
        let resume = ["--resume", "--checkpoint-every", "5", "--steps", &steps];
        Ran::of(&mut together(2, &data.command(&out, &resume))).ok();
        let whole = format!("whole {lost}");
        Ran::of(&mut together(2, &data.command(&whole, &arguments(&steps)))).ok();
        assert!(data.files(&out)[CHECKPOINT] == data.files(&whole)[CHECKPOINT]);
    }
}

#[test]
fn a_signal_to_one_ends_all_with_a_checkpoint() {
    let data = Data::new();
    let mut run = Running::start(&mut together(2, &data.command("run", &[&NEW[..], &["--steps", "100000"]].concat())));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !data.path("run/loss.csv").exists() {
        assert!(Instant::now() < deadline, "no steps within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill("-TERM", process(data.path("run").to_str().unwrap(), 1));
    let (code, said) = run.ended();
    let step = Checkpoint::load(&data.path("run")).unwrap().unwrap().step;
    assert!(code == Some(130) && said.contains(&format!("stopped after step {step} of 100000")), "{code:?}: {said}");
}

#[test]
fn mistakes_end_all() {
    let data = Data::new();
    let new = |steps| [&NEW[..], &["--steps", steps]].concat();
    let fails = |command: &mut Command, part: &str| {
        let (code, said) = Running::start(command).ended();
        assert!(code != Some(0) && said.contains(part), "{code:?}: {said}");
    };
    fails(&mut together(2, &data.command_of("3", "run", &new("5"))), "a batch of 3 samples has no 2 equal parts");
    // What only the first process does: the others wait for it.
    std::fs::write(data.path("file"), b"").unwrap();
    fails(&mut together(2, &data.command("file/run", &new("5"))), "os error");
    // Two that are not of one run.
    let mut two = together(1, &data.command("run", &new("5")));
    let other = data.command("run", &new("6"));
    two.args([":", "-n", "1"]).arg(other.get_program()).args(other.get_args());
    fails(&mut two, "rank 1 does not have the weights, settings or data of rank 0");
    assert!(!Checkpoint::exists_in(&data.path("run")));
}
