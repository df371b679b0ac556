//! The shipped model is as good as it was: a floor for its PSNR on a few pictures.
//!
//! `tests/pictures/` has six pairs of 128x128: smoothed Kodak photographs (free of rights) with generated textures,
//! `sasnet synth --blend plain --count 6 --size 128 --seed 5 --structures DIR --textures synthetic`. None was trained
//! on.

use sasnet::lab::dataset::pairs::{Pairing, find_pairs};
use sasnet::lab::metrics::{Scores, score};
use sasnet::low_level::tensor::{Shape, Tensor};
use sasnet::{Device, Options, Smoother, Weights};
use std::path::Path;

/// Mean PSNR of the inputs, and what every shipped model reaches, in dB. Raised when a better model is shipped: less is
/// a mistake, in the file or in what smooths with it.
const INPUT: f64 = 24.98;
const FLOOR: f64 = 33.9;

#[test]
fn the_shipped_model_is_as_good_as_it_was() {
    let pairs = find_pairs(Path::new("tests/pictures"), None, Pairing::Names).unwrap();
    assert_eq!(pairs.len(), 6);
    let mut smoother = Smoother::new(Weights::builtin(), Device::Cpu);
    let mut scores = vec![];
    for pair in &pairs {
        let (input, truth) = pair.read().unwrap();
        let smoothed = smoother.smooth(&input, &Options::default()).unwrap();
        scores.push([score(&input, &truth).unwrap(), score(&smoothed, &truth).unwrap()]);
    }
    let [before, after] = [0, 1].map(|i| {
        let column: Vec<Scores> = scores.iter().map(|row| row[i]).collect();
        Scores::mean(&column).expect("six pictures").psnr
    });
    println!("{before:.2} dB before, {after:.2} after");
    assert!((before - INPUT).abs() < 0.01, "other pictures: {before:.2} dB before");
    assert!(after > FLOOR, "{after:.2} dB, less than {FLOOR}");
}

/// Without the border of reflection around it, a white picture gets a frame that is off by 16 of 255, a black one by 20.
#[test]
fn flat_pictures_stay_flat_up_to_their_edges() {
    let mut smoother = Smoother::new(Weights::builtin(), Device::Cpu);
    let shape = Shape::new(1, 3, 61, 90);
    for (value, most) in [(1.0, 2.0), (0.0, 4.0), (0.35, 2.0)] {
        let flat = Tensor::new(shape, vec![value; shape.len()]);
        let smoothed = smoother.smooth(&flat, &Options::default()).unwrap();
        let off = smoothed.data.iter().fold(0f32, |most, v| most.max((v - value).abs() * 255.0));
        assert!(off <= most, "a picture of {value} is off by {off:.1} of 255");
    }
}
