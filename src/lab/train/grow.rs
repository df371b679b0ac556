//! Enlarges a trained SASNet to more blocks and features without changing what it computes, so that a large network
//! need not begin where the small one did.
//!
//! - Block i of L goes to place i L' / L; the blocks between are the identity (their last convolutions are 0).
//! - A new feature is 0 at first, and nothing old reads it: conv2's new rows are 0, and 0 in its old rows stands where
//!   they would read conv1's new features. conv1's new features and conv3's new columns are random, so that all have
//!   gradients.
//! - The channel gates' entries for new features are random, as these are 0 before and behind the gate; where the
//!   hidden layer grows, too, the old gates do not read its new units.
//! - The mean over the features, which the spatial gate reads, is over more of them: its weights are scaled by F' / F.
//!
//! One thing may change: the maximum over the features, which the spatial gate reads, is that of the new zeros where
//! all old ones are negative. In the shipped model that is nowhere worth 0.01 dB.

use crate::error::{Error, Result};
use crate::graph::Entry;
use crate::net::{Architecture, Network, Sasnet, in_words, list};
use crate::weights::Weights;

/// The weights of a network of more blocks and features that computes the same; none given: as many as it has.
///
/// # Errors
/// [`Error::Invalid`] where the network is no SASNet, or the new one is smaller, of another scale, or not larger at
/// all.
pub fn grow(weights: &Weights, blocks: &[usize], features: Option<usize>, seed: u64) -> Result<Weights> {
    let Network::Sasnet(old) = &weights.network else {
        let name = weights.network.name();
        return Err(Error::Invalid(format!("an architecture {name} cannot be grown, only SASNet")));
    };
    let blocks = if blocks.is_empty() { old.blocks() } else { blocks };
    let features = features.unwrap_or(old.features());
    let new = Sasnet::new(blocks, features)?.with_attention(old.attention()).with_latent(old.latent());
    let shrinks = blocks.len() != old.blocks().len() || blocks.iter().zip(old.blocks()).any(|(new, old)| new < old);
    if shrinks || features < old.features() || new == *old {
        return Err(Error::Invalid(format!(
            "{} of {} features cannot be grown to {} of {features}: give as many numbers of blocks, none smaller, and \
             not fewer features, but more of one",
            in_words(old.blocks()),
            old.features(),
            list(blocks)
        )));
    }
    let (from, to) = (old.layout(), new.layout());
    let mut grown = Weights::initial(&new.clone().into(), seed);
    grown.metadata.clone_from(&weights.metadata);
    let was = format!("{} of {} features", in_words(old.blocks()), old.features());
    grown.metadata.insert("grown_from".into(), was);
    for entry in to.entries() {
        let values = &mut grown.params[entry.range()];
        match source(&entry.name, old, &new) {
            None if entry.name.contains(".conv3.") => values.fill(0.0),
            None => {}
            Some(name) => {
                let old_entry = from.get(&name).expect("the same layers in each block");
                embed(
                    entry,
                    values,
                    old_entry,
                    &weights.params[old_entry.range()],
                    features as f32 / old.features() as f32,
                );
            }
        }
    }
    Ok(grown)
}

/// The old parameter that a new one continues; None in a block that is new.
fn source(name: &str, old: &Sasnet, new: &Sasnet) -> Option<String> {
    let Some((l, rest)) = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) else {
        return Some(name.to_string()); // outside the blocks
    };
    let (mut place, mut first) = (l.parse::<usize>().expect("a block's number"), 0);
    for (&count, &more) in old.blocks().iter().zip(new.blocks()) {
        if place < more {
            let i = (0..count).find(|i| i * more / count == place)?;
            return Some(format!("blocks.{}.{rest}", first + i));
        }
        (place, first) = (place - more, first + count);
    }
    unreachable!("{name} is in one of the levels")
}

/// Puts the old values into the corner of the new ones, which are random, and 0 where something old would read
/// something new.
fn embed(entry: &Entry, values: &mut [f32], old: &Entry, old_values: &[f32], growth: f32) {
    let [rows, columns] = split(&entry.dims);
    let [old_rows, old_columns] = split(&old.dims);
    let plane: usize = entry.dims.iter().skip(2).product();
    let (conv2, fc2) = (entry.name.contains(".conv2."), entry.name.contains(".channel.fc2."));
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let cell = &mut values[(row * columns + column) * plane..][..plane];
        let (is_old, reads_new) = (row < old_rows, column >= old_columns);
        if is_old && !reads_new {
            cell.copy_from_slice(&old_values[(row * old_columns + column) * plane..][..plane]);
        } else if conv2 || fc2 && is_old {
            cell.fill(0.0);
        }
        // Of the maximum and the mean the second.
        if entry.name.ends_with(".spatial.weight") && column == 1 {
            cell.iter_mut().for_each(|v| *v *= growth);
        }
    }
}

/// Outputs and inputs of a weight; a bias has one input.
fn split(dims: &[usize]) -> [usize; 2] {
    [dims[0], dims.get(1).copied().unwrap_or(1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Device;
    use crate::net::{Latent, Unet};
    use crate::smooth::{Options, Smoother};
    use crate::tensor::{Shape, Tensor};

    fn network(blocks: &[usize], features: usize, attention: bool, latent: Latent) -> Network {
        Sasnet::new(blocks, features).unwrap().with_attention(attention).with_latent(latent).into()
    }

    fn smooth(weights: &Weights) -> Tensor {
        let shape = Shape::new(1, 3, 40, 56);
        let value = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as u32 % 1009;
        let x = Tensor::new(shape, (0..shape.len()).map(|i| value(i) as f32 / 1009.0).collect());
        let options = Options::default().with_noise(0.0);
        Smoother::new(weights.clone(), Device::Cpu).smooth(&x, &options).unwrap()
    }

    /// Every tensor has something to say, the biases keep a feature positive (see the maximum above).
    fn strong(blocks: &[usize], features: usize, attention: bool, latent: Latent) -> Weights {
        let network = network(blocks, features, attention, latent);
        let mut weights = Weights::initial(&network, 3);
        for entry in network.layout().entries() {
            let values = weights.params[entry.range()].iter_mut();
            if entry.name.contains("latent.conv3") {
                values.enumerate().for_each(|(i, v)| *v = ((7 * i) % 11) as f32 / 110.0 - 0.05);
            } else if entry.name.ends_with("conv2.bias") {
                values.take(1).for_each(|v| *v = 2.0);
            }
        }
        weights
    }

    #[test]
    fn a_grown_network_computes_the_same() {
        for (old, new, attention, latent) in [
            (&[2][..], &[4][..], true, Latent::Keep),
            (&[2], &[5], true, Latent::Drop),
            (&[1, 2], &[3, 2], false, Latent::Keep),
            (&[1], &[1], true, Latent::Keep),
        ] {
            let small = strong(old, 5, attention, latent);
            // The hidden layer of the channel gates grows from 4 to 5.
            for features in [8, 80] {
                let large = grow(&small, new, Some(features), 7).unwrap();
                assert_eq!(large.network, network(new, features, attention, latent));
                let (before, after) = (smooth(&small), smooth(&large));
                let off = before.data.iter().zip(&after.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 2e-5, "{old:?} to {new:?} of {features}: {off}");
            }
        }
    }

    /// All of the larger network learns: no parameter's gradient is 0 everywhere.
    #[test]
    fn a_grown_network_has_gradients() {
        use crate::lab::{dataset::source::Source, train::step::Settings, train::step::Trainer};
        let large = grow(&strong(&[1], 5, true, Latent::Keep), &[1], Some(8), 7).unwrap();
        let settings = Settings { batch: 2, crop: 16, noise: 0.0, steps: 9, decay_from: None, ..Settings::default() };
        let mut trainer = Trainer::new(&large.network, &settings, &large.params, &Device::Cpu).unwrap();
        let source = Source::synthetic(settings.strength).unwrap();
        for i in 1..=3 {
            trainer.step(&source.batch(1, i, 2, 16)).unwrap();
        }
        let [m, _] = trainer.moments().unwrap();
        for entry in large.network.layout().entries() {
            assert!(m[entry.range()].iter().all(|m| *m != 0.0) || entry.name.contains("channel"), "{}", entry.name);
            assert!(m[entry.range()].iter().any(|m| *m != 0.0), "{}", entry.name);
        }
    }

    #[test]
    fn what_cannot_be_grown_is_refused() {
        let small = strong(&[2], 8, true, Latent::Drop);
        let unet = Weights::initial(&Unet::new(2, true).unwrap().into(), 1);
        for (weights, blocks, features) in
            [(&small, &[1][..], 8), (&small, &[2], 7), (&small, &[2], 8), (&small, &[2, 2], 8), (&unet, &[2], 8)]
        {
            assert!(
                matches!(grow(weights, blocks, Some(features), 1), Err(Error::Invalid(_))),
                "{blocks:?} {features}"
            );
        }
    }
}
