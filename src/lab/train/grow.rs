//! Enlarges a trained network to more blocks and features without changing what it computes, so that a large network
//! need not begin where the small one did. How, each network knows ([`crate::low_level::net::Architecture::grow`]).

use crate::error::{Error, Result};
use crate::net::{Network, Sizes};
use crate::weights::Weights;
use std::collections::BTreeMap;

/// The weights of a network of more blocks and features that computes the same; none given: as many as it has.
///
/// # Errors
/// [`Error::Invalid`] where the network cannot be grown, or the new one is smaller, of another scale, or not larger at
/// all.
pub fn grow(weights: &Weights, blocks: &[usize], features: Option<usize>, seed: u64) -> Result<Weights> {
    let old = &weights.network;
    let was = old.sizes();
    let blocks = if blocks.is_empty() { was.blocks.clone() } else { Some(blocks.to_vec()) };
    let sizes = Sizes { blocks, features: features.or(was.features), ..was.clone() };
    let new = Network::build(old.name(), &sizes)?;
    let [from, to] = [&was, &sizes].map(|sizes| sizes.blocks.as_deref().unwrap_or_default());
    let shrinks = from.len() != to.len() || from.iter().zip(to).any(|(old, new)| new < old);
    if shrinks || sizes.features < was.features || new == *old {
        return Err(Error::Invalid(format!(
            "{} cannot be grown to {}: give as many numbers of blocks, none smaller, and not fewer features, but more \
             of one",
            old.describe(),
            new.describe()
        )));
    }
    let params = old.grow(&weights.params, &sizes, &|| Weights::initial(&new, seed).params)?;
    // How the old network was trained is not how the new one was; the noise it wants is.
    let of_new = |key: &str| if key == "noise" { key.into() } else { format!("grown_from.{key}") };
    let mut metadata: BTreeMap<String, String> =
        weights.metadata.iter().map(|(key, value)| (of_new(key), value.clone())).collect();
    metadata.insert("grown_from".into(), old.describe());
    Ok(Weights { network: new, params, metadata })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Device;
    use crate::net::{Latent, Sasnet, Unet};
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
