//! Several processes that train together, here threads of one: the weights are those of one process, whatever the
//! timing.

mod support;

use sasnet::Result;
use sasnet::lab::dataset::source::Source;
use sasnet::lab::train::group::{Exchange, Thread, threads};
use sasnet::lab::train::run::{End, follow};
use sasnet::lab::train::step::{Optimizer, Settings, Trainer};
use sasnet::low_level::exec::Device;
use sasnet::low_level::net::{Network, Sasnet, Unet};
use sasnet::low_level::weights::Weights;
use std::ops::ControlFlow;
use std::sync::Arc;
use support::runs::{Data, settings, small, wide};

fn source(data: &Data, settings: &Settings) -> Arc<Source> {
    Arc::new(Source::blend(&data.path("structures"), &data.path("textures"), settings.strength).unwrap())
}

/// One rank's trainer; None: alone.
fn trainer(network: &Network, settings: &Settings, device: &Device, rank: Option<Thread>) -> Result<Trainer> {
    let exchange = rank.map(|rank| Exchange::join(move || Ok(Box::new(rank)))).transpose()?;
    let weights = support::with_latent(Weights::initial(network, settings.seed));
    Trainer::together(network, settings, &weights.params, device, exchange)
}

/// Loss and norm of each step, and the weights in the end, of each of so many ranks; 0: alone.
type Trained = (Vec<[f32; 2]>, Vec<f32>);

fn trained(ranks: usize, network: &Network, settings: &Settings, device: &Device) -> Vec<Trained> {
    let data = Data::new();
    let source = source(&data, settings);
    let train = |rank: Option<Thread>| {
        let mut trainer = trainer(network, settings, device, rank).unwrap();
        let step = |step| {
            let batch = source.samples(settings.seed, step, trainer.samples(), settings.crop);
            let progress = trainer.step(&batch).unwrap();
            [progress.loss, progress.norm]
        };
        let figures = (1..=settings.steps).map(step).collect();
        let params = trainer.params().unwrap();
        trainer.leave().unwrap();
        (figures, params)
    };
    if ranks == 0 {
        return vec![train(None)];
    }
    std::thread::scope(|scope| {
        let ranks: Vec<_> = threads(ranks).into_iter().map(|rank| scope.spawn(|| train(Some(rank)))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// With data in which no pixel crosses its target by a rounding: the loss's gradient jumps there, by 2 of 3072 here, and
/// the weights of two runs part by 1e-4. Of 20 seeds one does.
#[test]
fn the_weights_are_those_of_one_process() {
    let keep = Sasnet::new(&[2], 8).unwrap().with_latent(sasnet::Latent::Keep);
    let unet = Network::from(Unet::new(4, true).unwrap());
    let (adam, muon) = (Optimizer::Adam, Optimizer::Muon);
    for (network, optimizer) in [(small(2), adam), (keep.into(), adam), (unet, adam), (wide(), muon)] {
        let crop = network.scale().max(16);
        let settings = Settings { batch: 4, crop, ema: 0.9, seed: 1, optimizer, ..settings(20) }.of(&network);
        let (figures, alone) = trained(0, &network, &settings, &Device::Cpu).remove(0);
        for ranks in [1, 2, 4] {
            let all = trained(ranks, &network, &settings, &Device::Cpu);
            let again = trained(ranks, &network, &settings, &Device::Cpu);
            assert!(all == again, "{ranks} ranks: two runs differ");
            assert!(all.iter().all(|rank| *rank == all[0]), "{ranks} ranks differ from each other");
            let (figures_together, params) = &all[0];
            let off = farthest(&alone, params);
            println!("{}, {ranks} ranks: off by {off:e}", network.name());
            assert!(off <= 1e-6, "{}, {ranks} ranks: off by {off:e} after 20 steps", network.name());
            assert!(ranks > 1 || off == 0.0, "one rank computes what a process alone does");
            let close = |(a, b): (&[f32; 2], &[f32; 2])| (0..2).all(|i| (a[i] - b[i]).abs() <= 1e-4 * a[i]);
            assert!(figures.iter().zip(figures_together).all(close), "{figures:?}, not {figures_together:?}");
        }
    }
}

/// From the identity, too, where result and target agree to rounding in places: there the sign of the loss's gradient is
/// rounding's, so that the weights of two runs part after the first step.
#[test]
fn the_gradient_is_that_of_the_whole_batch() {
    let network = small(2);
    let settings = Settings { batch: 4, noise: 0.5, ..settings(1) };
    let weights = Weights::initial(&network, 3).with_identity_blocks();
    let data = Data::new();
    let source = source(&data, &settings);
    let moments = |rank: Option<Thread>| {
        let exchange = rank.map(|rank| Exchange::join(move || Ok(Box::new(rank)))).transpose().unwrap();
        let mut trainer = Trainer::together(&network, &settings, &weights.params, &Device::Cpu, exchange).unwrap();
        trainer.step(&source.samples(settings.seed, 1, trainer.samples(), settings.crop)).unwrap();
        let moments = trainer.moments().unwrap()[0].clone();
        trainer.leave().unwrap();
        moments
    };
    let alone = moments(None);
    let largest = alone.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
    let all: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let ranks: Vec<_> = threads(4).into_iter().map(|rank| scope.spawn(|| moments(Some(rank)))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    for rank in &all {
        let off = farthest(&alone, rank);
        assert!(largest > 0.0 && off <= 1e-6 * largest, "off by {off:e} of {largest:e}");
    }
}

#[test]
fn gpus_train_together_too() {
    let device = Device::Gpu(support::gpu());
    let settings = Settings { batch: 2, ..settings(3) };
    let alone = trained(0, &small(2), &settings, &device).remove(0).1;
    let all = trained(2, &small(2), &settings, &device);
    assert!(all[0] == all[1]);
    let off = farthest(&alone, &all[0].1);
    assert!(off <= 1e-6, "off by {off:e} after 3 steps");
}

#[test]
fn all_stop_at_the_step_at_which_one_is_asked_to() {
    let data = Data::new();
    let settings = Settings { batch: 3, ..settings(1000) };
    let source = source(&data, &settings);
    let work = |rank: Thread, stops: bool| {
        let mut trainer = trainer(&small(1), &settings, &Device::Cpu, Some(rank)).unwrap();
        let mut steps = 0;
        let mut observer = |_: &sasnet::Progress| {
            steps += 1;
            if stops && steps == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let end = follow(&mut trainer, source.clone(), &mut observer).unwrap();
        (end, trainer.steps())
    };
    let work = &work;
    let steps: Vec<(End, u64)> = std::thread::scope(|scope| {
        let ranks = threads(3).into_iter().enumerate();
        let ranks: Vec<_> = ranks.map(|(i, rank)| scope.spawn(move || work(rank, i == 1))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    assert_eq!(steps, [(End::Stopped, 5); 3]);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let on_two = |work: &(dyn Fn(usize, Thread) -> Result<()> + Sync)| -> Vec<String> {
        std::thread::scope(|scope| {
            let ranks = threads(2).into_iter().enumerate();
            let ranks: Vec<_> = ranks.map(|(i, rank)| scope.spawn(move || work(i, rank))).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap().unwrap_err().to_string()).collect()
        })
    };
    let uneven = on_two(&|_, rank| {
        let settings = Settings { batch: 3, ..settings(3) };
        trainer(&small(1), &settings, &Device::Cpu, Some(rank)).map(drop)
    });
    assert!(uneven.iter().all(|text| text.contains("3 samples has no 2 equal parts")), "{uneven:?}");
    // Another seed is other weights.
    let other = on_two(&|i, rank| {
        let settings = Settings { seed: i as u64, ..settings(3) };
        trainer(&small(1), &settings, &Device::Cpu, Some(rank))?.check_same("")
    });
    assert!(
        other.iter().all(|text| text.contains("rank 1 does not have the weights, settings or data of")),
        "{other:?}"
    );
    let other_data = on_two(&|i, rank| {
        trainer(&small(1), &settings(3), &Device::Cpu, Some(rank))?.check_same(&format!("{i} pictures"))
    });
    assert!(other_data.iter().all(|text| text.contains("rank 1 does not have")), "{other_data:?}");
}
