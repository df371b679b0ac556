//! Random numbers that depend on a key alone: nothing to save, nothing to resume.
//!
//! Ours rather than a crate's, because a resumed run must draw the same numbers under any later version.

use std::f32::consts::TAU;

/// SplitMix64 (Steele, Lea and Flood 2014), started from a hash of its key.
pub struct Rng(u64);

impl Rng {
    /// The numbers of a key.
    pub fn new(key: &[u64]) -> Rng {
        Rng(key.iter().fold(0, |state, k| mix(state.wrapping_add(GAMMA) ^ mix(k.wrapping_add(GAMMA)))))
    }

    /// 64 random bits.
    #[expect(clippy::should_implement_trait, reason = "an iterator of random numbers would invite to loop over it")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// Uniform in 0..n; n from 1 to 2^32.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// Uniform between two bounds.
    pub fn between(&mut self, (low, high): (f32, f32)) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Normal, mean 0, standard deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_as_published() {
        let mut rng = Rng(1234567);
        let first: Vec<u64> = (0..3).map(|_| rng.next()).collect();
        assert_eq!(first, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let keys: [&[u64]; 7] = [&[0, 0, 0], &[1, 0, 0], &[0, 1, 0], &[0, 0, 1], &[1, 1, 0], &[0, 1, 1], &[2, 1, 0]];
        let mut firsts = keys.map(|key| Rng::new(key).next());
        firsts.sort();
        assert!(firsts.windows(2).all(|w| w[0] != w[1]), "{firsts:?}");
    }

    #[test]
    fn moments_and_bounds() {
        let mut rng = Rng::new(&[3]);
        let n = 40_000;
        let normals: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
        let mean = normals.iter().sum::<f32>() / n as f32;
        let variance = normals.iter().map(|x| x * x).sum::<f32>() / n as f32;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let mut counts = [0; 5];
        (0..n).for_each(|_| counts[rng.below(5)] += 1);
        assert!(counts.iter().all(|&c: &usize| c.abs_diff(n / 5) < 400), "{counts:?}");
        assert!((0..n).all(|_| (8.0..25.0).contains(&rng.between((8.0, 25.0)))));
    }
}
