//! Training runs: the same from one seed whatever happens on the way, and clear about what goes wrong.

mod support;

use sasnet::lab::dataset::source::Batch;
use sasnet::lab::train::checkpoint::Checkpoint;
use sasnet::lab::train::run::{CHECKPOINT, SAMPLES, WEIGHTS};
use sasnet::lab::train::step::{Optimizer, Settings, Trainer};
use sasnet::low_level::exec::Device;
use sasnet::low_level::net::{Network, Sasnet};
use sasnet::low_level::tensor::Tensor;
use sasnet::low_level::weights::Weights;
use support::runs::{Data, NEW, same, settings, small, wide};
use support::{Ran, picture, sasnet, write_picture};

/// Everything that a complete run leaves.
const FILES: [&str; 6] = [CHECKPOINT, "loss.csv", "loss.svg", SAMPLES, "validation.csv", WEIGHTS];

#[test]
fn the_same_seed_gives_the_same_files() {
    let data = Data::new();
    let train = |out: &str, settings: &Settings| data.train(out, &small(2), settings, &Device::Cpu, 60).unwrap();
    train("a", &settings(200));
    train("b", &settings(200));
    same(&data.files("a"), &data.files("b"));
    assert_eq!(data.files("a").into_keys().collect::<Vec<_>>(), FILES);
    train("c", &Settings { seed: 8, ..settings(200) });
    let others = data.files("c");
    assert!(data.files("a").iter().all(|(name, bytes)| bytes != &others[name]), "another seed is another run");

    // The weights are those of the checkpoint, and say how they were trained.
    let checkpoint = Checkpoint::read(&data.path("a").join(CHECKPOINT)).unwrap();
    assert_eq!((checkpoint.step, &checkpoint.settings), (200, &settings(200)));
    let weights = Weights::read(&data.path("a").join(WEIGHTS)).unwrap();
    assert_eq!(weights, checkpoint.weights);
    assert_eq!((weights.noise().unwrap(), weights.network.clone()), (1.0, small(2)));
    assert_ne!(weights.params, Weights::initial(&small(2), 7).params);

    let losses = String::from_utf8(data.files("a").remove("loss.csv").unwrap()).unwrap();
    let steps: Vec<&str> = losses.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!((steps[0], steps.len(), steps[1], steps[200]), ("step", 201, "1", "200"));
    let validations = String::from_utf8(data.files("a").remove("validation.csv").unwrap()).unwrap();
    assert_eq!(validations.lines().count(), 1 + 4, "after steps 60, 120, 180 and 200");
}

#[test]
fn a_resumed_run_is_the_same_run() {
    for (store_activations, network, optimizer) in
        [(false, small(2), Optimizer::Adam), (true, small(2), Optimizer::Adam), (true, wide(), Optimizer::Muon)]
    {
        let data = Data::new();
        let settings = |steps| Settings { store_activations, optimizer, ..settings(steps) };
        let train = |out: &str, steps| data.train(out, &network, &settings(steps), &Device::Cpu, 50).unwrap();
        train("whole", 200);
        train("parts", 100);
        let checkpoint = Checkpoint::read(&data.path("parts").join(CHECKPOINT)).unwrap();
        assert_eq!((checkpoint.step, checkpoint.settings), (100, settings(100)));
        train("parts", 200);
        same(&data.files("whole"), &data.files("parts"));
        // A run that is done stays as it is.
        train("parts", 200);
        same(&data.files("whole"), &data.files("parts"));
    }
}

/// Column `rebuilt` of a run's loss.csv, by step.
fn rebuilt(data: &Data, out: &str) -> Vec<Option<f32>> {
    let text = String::from_utf8(data.files(out).remove("loss.csv").unwrap()).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    assert_eq!(header, "step,loss,gradient_norm,rate,rebuilt");
    rows.lines()
        .map(|row| row.split(',').nth(4).unwrap())
        .map(|v| (!v.is_empty()).then(|| v.parse().unwrap()))
        .collect()
}

#[test]
fn what_is_rebuilt_is_watched() {
    let data = Data::new();
    let warning = "--resume --store-activations";
    let ran = Ran::of(&mut data.command("run", &[&NEW[..], &["--steps", "200"]].concat())).ok();
    assert!(ran.stderr.contains("activations rebuilt to") && !ran.stderr.contains(warning), "{}", ran.stderr);
    for (i, error) in rebuilt(&data, "run").iter().enumerate() {
        match i + 1 {
            1 | 100 | 200 => assert!((1e-9..1e-5).contains(&error.unwrap()), "step {}: {error:?}", i + 1),
            _ => assert_eq!(*error, None),
        }
    }
    // A block that adds 1e6 and takes it away again leaves a few digits of the picture.
    let path = data.path("run").join(CHECKPOINT);
    let mut checkpoint = Checkpoint::read(&path).unwrap();
    let bias = checkpoint.weights.network.layout().get("blocks.0.g1.conv3.bias").unwrap().range();
    checkpoint.weights.params[bias].fill(1e6);
    checkpoint.write(&path).unwrap();
    let resume = ["--resume", "--rate", "1e-9", "--steps"];
    let ran = Ran::of(&mut data.command("run", &[&resume[..], &["300"]].concat())).ok();
    let warnings = ran.stderr.lines().filter(|line| line.contains("warning: step 300") && line.contains(warning));
    assert_eq!(warnings.count(), 1, "{}", ran.stderr);
    assert!(rebuilt(&data, "run")[299].unwrap() > 1e-3);
    // The way out, which the run remembers until it is told otherwise.
    let stores = || Checkpoint::read(&path).unwrap().settings.store_activations;
    for (steps, given, want) in
        [("310", "--store-activations", true), ("320", "--resume", true), ("330", "--store-activations=false", false)]
    {
        let given = if given == "--resume" { vec![] } else { vec![given] };
        let ran = Ran::of(&mut data.command("run", &[&resume[..], &[steps], &given].concat())).ok();
        assert!(!ran.stderr.contains(warning) && stores() == want, "{steps}: {}", ran.stderr);
    }
    assert_eq!(rebuilt(&data, "run")[300..], [None; 30]);
}

/// Runs from before activations were rebuilt and optimisers could be chosen: neither the settings nor loss.csv know of it.
#[test]
fn old_runs_go_on() {
    let data = Data::new();
    let resume = |out: &str| Ran::of(&mut data.command(out, &["--resume", "--steps", "20"])).ok();
    for out in ["old", "new"] {
        Ran::of(&mut data.command(out, &[&NEW[..], &["--steps", "10"]].concat())).ok();
    }
    let path = data.path("old").join(CHECKPOINT);
    let mut bytes = std::fs::read(&path).unwrap();
    for setting in [&br#",\"store_activations\":false"#[..], br#",\"optimizer\":\"adam\""#] {
        let at = bytes.windows(setting.len()).position(|window| window == setting).expect("the setting is written");
        bytes[at..at + setting.len()].fill(b' ');
    }
    std::fs::write(&path, bytes).unwrap();
    let losses = data.path("old").join("loss.csv");
    let text = std::fs::read_to_string(&losses).unwrap();
    let columns: String = text.lines().map(|line| format!("{}\n", line.rsplit_once(',').unwrap().0)).collect();
    std::fs::write(&losses, columns).unwrap();
    resume("old");
    resume("new");
    let (mut old, mut new) = (data.files("old"), data.files("new"));
    assert_eq!(rebuilt(&data, "old"), [None; 20]);
    for files in [&mut old, &mut new] {
        files.remove("loss.csv").unwrap();
    }
    same(&old, &new);
}

#[test]
fn the_gpu_gives_the_same_files_too() {
    let device = Device::Gpu(support::gpu());
    for (network, optimizer) in [(small(1), Optimizer::Adam), (wide(), Optimizer::Muon)] {
        let data = Data::new();
        let settings = |steps| Settings { optimizer, ..settings(steps) };
        let train = |out: &str, steps| data.train(out, &network, &settings(steps), &device, 4).unwrap();
        train("a", 8);
        train("b", 8);
        same(&data.files("a"), &data.files("b"));
        train("parts", 4);
        train("parts", 8);
        same(&data.files("a"), &data.files("parts"));

        // The CPU's losses are close to the GPU's, the noise's included.
        data.train("cpu", &network, &settings(8), &Device::Cpu, 4).unwrap();
        let losses = |out: &str| -> Vec<f64> {
            let text = String::from_utf8(data.files(out).remove("loss.csv").unwrap()).unwrap();
            text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect()
        };
        let (gpu, cpu) = (losses("a"), losses("cpu"));
        assert_eq!((gpu.len(), cpu.len()), (8, 8));
        let close = gpu.iter().zip(&cpu).all(|(a, b)| (a - b).abs() < 1e-4 * b);
        assert!(close, "{optimizer:?}: {gpu:?} on the GPU, {cpu:?} on the CPU");
    }
}

/// Results must not depend on how the work was divided.
#[test]
fn any_number_of_threads_gives_the_same_files() {
    let data = Data::new();
    for threads in ["1", "2", "3"] {
        let mut command = data.command(threads, &NEW);
        Ran::of(command.args(["--steps", "60"]).env("RAYON_NUM_THREADS", threads)).ok();
    }
    same(&data.files("1"), &data.files("2"));
    same(&data.files("1"), &data.files("3"));
}

#[test]
fn the_loss_falls() {
    let settings = Settings { rate: 2e-3, noise: 0.0, ..settings(150) };
    let batch = Batch {
        input: Tensor::stack(&[picture(16, 16, 1), picture(16, 16, 6)]),
        target: Tensor::stack(&[picture(16, 16, 2), picture(16, 16, 7)]),
    };
    for (features, attention, optimizer) in
        [(8, false, Optimizer::Adam), (8, true, Optimizer::Adam), (16, true, Optimizer::Muon)]
    {
        let settings = Settings { optimizer, ..settings.clone() };
        let config = Network::from(Sasnet::new(&[2], features).unwrap().with_attention(attention));
        let initial = Weights::initial(&config, settings.seed);
        let mut trainer = Trainer::new(&config, &settings, &initial.params, &Device::Cpu).unwrap();
        let losses: Vec<f32> = (0..150).map(|_| trainer.step(&batch).unwrap().loss).collect();
        let (first, last) = (losses[0], losses[149]);
        assert!(last < 0.7 * first, "from {first} to {last} with attention {attention} by {optimizer:?}");
    }
}

#[test]
fn rates_are_the_papers_and_fall_on_a_cosine() {
    let paper = Settings::paper();
    for (step, rate) in [(1, 2e-4), (10_000, 2e-4), (10_001, 1e-4), (20_000, 1e-4), (20_001, 5e-5), (50_000, 1.25e-5)] {
        assert_eq!(paper.rate_at(step), rate, "step {step}");
    }
    assert_eq!(paper.rate_at(u64::MAX), 0.0);
    let constant = Settings { halve_every: 0, ..Settings::paper() };
    assert_eq!([1, 10_001, 50_000].map(|step| constant.rate_at(step)), [2e-4; 3]);

    let cosine = Settings { rate: 1.0, halve_every: 0, decay_from: Some(100), steps: 299, ..Settings::paper() };
    let close = |step: u64, rate: f64| {
        let is = f64::from(cosine.rate_at(step));
        assert!((is - rate).abs() < 1e-6, "{is} at step {step}, not {rate}");
    };
    // 199 steps of decay, of which the 100th is the middle; the rate would be 0 one step after the last.
    close(1, 1.0);
    close(100, 1.0);
    close(150, 0.5 + 0.5 * (std::f64::consts::PI * 0.25).cos());
    close(200, 0.5);
    close(299, 0.5 + 0.5 * (std::f64::consts::PI * 0.995).cos());
    assert!(cosine.rate_at(299) > 0.0);
    close(300, 0.0);
    close(1000, 0.0);
    let rates: Vec<f32> = (1..=299).map(|step| cosine.rate_at(step)).collect();
    assert!(rates[99..].windows(2).all(|w| w[1] < w[0]), "it falls with every step");
    // Both at once.
    let both = Settings { halve_every: 150, ..cosine };
    assert_eq!(both.rate_at(200), 0.25);
}

#[test]
fn the_papers_settings_are_one_flag_away() {
    let data = Data::new();
    let trained = |out: &str, arguments: &[&str]| {
        let network = ["--blocks", "1", "--features", "4", "--steps", "2"];
        Ran::of(&mut data.command(out, &[&network[..], arguments].concat())).ok();
        Checkpoint::load(&data.path(out)).unwrap().unwrap().settings
    };
    // `Data::command` makes batch and crop small.
    let small = |settings| Settings { batch: 2, crop: 16, steps: 2, ..settings };
    assert_eq!(trained("paper", &["--paper"]), small(Settings::paper()));
    let default = Settings { decay_from: Some(0), ..small(Settings::default()) };
    assert_eq!(trained("default", &[]), default);
    assert_ne!(default, small(Settings::paper()));
    assert_eq!(trained("clip", &["--paper", "--clip", "3"]), Settings { clip: 3.0, ..small(Settings::paper()) });
    let halved = Settings { halve_every: 7, decay_from: None, ..default };
    assert_eq!(trained("halved", &["--halve-every", "7"]), halved);
}

#[test]
fn settings_out_of_range_say_which() {
    let data = Data::new();
    for (arguments, part) in [
        (&["--batch", "0"][..], "the batch size is 0"),
        (&["--crop", "15"], "the crop is 15; give a multiple of 2"),
        (&["--crop", "12", "--blocks", "1,1,1"], "the crop is 12; give a multiple of 8"),
        (&["--rate", "0"], "the learning rate is 0"),
        (&["--rate", "-1"], "the learning rate is -1"),
        (&["--rate", "nan"], "the learning rate is NaN"),
        (&["--clip", "inf"], "the gradient clip is inf"),
        (&["--noise", "-0.5"], "the noise scale is -0.5"),
        (&["--decay-from", "9", "--steps", "9"], "the decay begins at step 9, not before the last, 9"),
        (&["--strength", "25,8"], "texture strength from 25 to 8"),
        (&["--steps", "0"], "the number of steps is 0"),
        (&["--batch", "4611686018427387904", "--crop", "2"], "are more than 1099511627776 pixels"),
        (&["--blocks", "0"], "the blocks are 0; give one"),
        (&["--blocks", "1,2,3,4"], "the blocks are 1,2,3,4;"),
        (&["--features", "0"], "features are 0"),
        (&["--optimizer", "muon"], "no 3x3 convolution with 16 to 256 channels on both sides"),
    ] {
        // Small, and what comes later is what counts.
        let mut command = sasnet();
        command.args(["train", "--adapter", "cpu", "--out"]).arg(data.path("none"));
        command.arg("--structures").arg(data.path("structures")).arg("--textures").arg(data.path("textures"));
        let small = [("--blocks", "1"), ("--features", "8"), ("--batch", "1"), ("--crop", "16")];
        for (option, value) in small.iter().filter(|(option, _)| !arguments.contains(option)) {
            command.args([option, value]);
        }
        Ran::of(command.args(arguments)).fails(1, &[part]);
        assert!(!data.path("none").exists(), "{part}: nothing is left behind");
    }
    for (arguments, part) in [(["--strength", "8"], "as in 8,25"), (["--strength", "a,b"], "as in 8,25")] {
        Ran::of(&mut data.command("none", &arguments)).fails(2, &[part]);
    }
}

/// A program without MPI that `mpirun` starts would train as many times, each alone.
#[test]
#[cfg(not(feature = "mpi"))]
fn one_of_several_processes_needs_mpi() {
    let data = Data::new();
    let mut command = data.command("run", &NEW);
    let started = command.env("OMPI_COMM_WORLD_RANK", "1").env("OMPI_COMM_WORLD_SIZE", "2");
    Ran::of(started).fails(1, &["one of 2 that MPI started", "built without MPI"]);
    assert!(!data.path("run").exists());
}

#[test]
fn data_is_read_before_a_device_is_opened() {
    let data = Data::new();
    write_picture(data.path("broken/good.png"), 20, 20, 1);
    std::fs::write(data.path("broken/bad.png"), b"no picture").unwrap();
    for (arguments, part) in [
        (&["--structures", "none", "--textures", "textures"][..], "none"),
        (&["--structures", "structures", "--textures", "broken"], "bad.png"),
        (&["--inputs", "broken"], "bad.png"),
        (&["--inputs", "validation", "--validate", "broken"], "bad.png"),
        (&["--inputs", "validation", "--validate", "none"], "none"),
        (&["--inputs", "validation", "--resume"], "has no checkpoint.safetensors"),
        (&["--inputs", "validation", "--batch", "0"], "the batch size is 0"),
        // Nothing else is wrong here.
        (&["--inputs", "validation"], "no such adapter"),
    ] {
        let mut command = sasnet();
        command.current_dir(data.path("")).args(["train", "--out", "run", "--adapter", "no such adapter"]);
        let ran = Ran::of(command.args(arguments)).fails(1, &[part]);
        assert!(part == "no such adapter" || !ran.stderr.contains("adapter"), "{}", ran.stderr);
        assert!(!data.path("run").exists());
    }
}

#[test]
fn validation_pictures_are_checked_before_the_first_step() {
    let data = Data::new();
    write_picture(data.path("small/tiny.png"), 10, 20, 1);
    let mut command = data.command("out", &NEW);
    command.args(["--steps", "50", "--validate"]).arg(data.path("small"));
    Ran::of(&mut command).fails(1, &["tiny.png", "SSIM needs 11 x 11 pixels"]);
    assert!(!data.path("out").join(CHECKPOINT).exists());
}

#[test]
fn beginning_and_going_on_where_that_is_wrong() {
    let data = Data::new();
    let resume = |out: &str| Ran::of(&mut data.command(out, &["--resume", "--steps", "4"]));
    resume("none").fails(1, &["none", "has no checkpoint.safetensors to go on from", "without --resume"]);
    assert!(!data.path("none").exists());

    Ran::of(&mut data.command("run", &[&NEW[..], &["--steps", "2"]].concat())).ok();
    let before = data.files("run");
    let again = Ran::of(&mut data.command("run", &[&NEW[..], &["--steps", "4"]].concat()));
    again.fails(1, &["run", "has a run already (a checkpoint)", "--resume"]);
    same(&before, &data.files("run"));

    // Without its checkpoint its results are there still.
    std::fs::rename(data.path("run").join(CHECKPOINT), data.path("kept")).unwrap();
    let again = Ran::of(&mut data.command("run", &[&NEW[..], &["--steps", "4"]].concat()));
    again.fails(1, &["run/weights.safetensors: is of an earlier run"]);
    std::fs::rename(data.path("kept"), data.path("run").join(CHECKPOINT)).unwrap();
    let done = Ran::of(&mut data.command("run", &["--resume"])).ok();
    assert!(done.stderr.contains("has done all of its 2 steps: nothing is trained"), "{}", done.stderr);

    let put = |out: &str, bytes: &[u8]| {
        std::fs::create_dir_all(data.path(out)).unwrap();
        std::fs::write(data.path(out).join(CHECKPOINT), bytes).unwrap();
    };
    put("weights", &before[WEIGHTS]);
    resume("weights").fails(1, &["weights/checkpoint.safetensors: not a checkpoint", "adam.m."]);
    put("cut", &before[CHECKPOINT][..before[CHECKPOINT].len() - 5]);
    resume("cut").fails(1, &["cut/checkpoint.safetensors: not a complete safetensors file"]);
    put("text", b"no checkpoint");
    resume("text").fails(1, &["text/checkpoint.safetensors"]);
    // The network and the seed are the run's.
    for given in [["--blocks", "2"], ["--features", "4"], ["--seed", "2"], ["--optimizer", "muon"]] {
        let arguments = [&["--resume"], &given[..]].concat();
        Ran::of(&mut data.command("run", &arguments)).fails(2, &[given[0], "--resume"]);
    }
    // A checkpoint will do as a weights file.
    let checkpoint = data.path("run").join(CHECKPOINT);
    assert_eq!(Weights::read(&checkpoint).unwrap(), Checkpoint::read(&checkpoint).unwrap().weights);
    // The run's steps are not undone.
    let fewer = [&["--resume", "--steps", "1"][..]].concat();
    Ran::of(&mut data.command("run", &fewer)).fails(1, &["has done", "more than the 1 asked for"]);
}
