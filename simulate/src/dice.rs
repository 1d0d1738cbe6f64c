//! Seeded dice: the same seed and purpose give the same throws, on any machine.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a row of dice is for. Each purpose has its own stream, so that one more throw in one does not move another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    World = 1,
    Lifecycle = 2,
    Traffic = 3,
    Oddities = 4,
    Sequel = 5,
}

/// Throws that are stretched from one word of ChaCha8. The development profile does not optimise ChaCha, where a word
/// takes 0.4 microseconds and the traffic takes five million throws.
const STRETCH: u64 = 16;

/// Dice over ChaCha8.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    source: ChaCha8Rng,
    word: u64,
    thrown: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose as u64);
        Self { source: rng, word: 0, thrown: STRETCH }
    }

    fn throw(&mut self) -> u64 {
        if self.thrown == STRETCH {
            (self.word, self.thrown) = (self.source.next_u64(), 0);
        }
        self.thrown += 1;
        // Steps of SplitMix64, whose outcome `scramble` is.
        scramble(self.word.wrapping_add(self.thrown.wrapping_mul(GOLDEN)))
    }

    /// A number below `end` (0 where `end` is 0). The bias of at most 2^-32 of 64 bits does not matter here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        u64::try_from((u128::from(self.throw()) * u128::from(end)) >> 64).unwrap_or(0)
    }

    /// A number in `[start, end)`; `start` where that is empty.
    pub(crate) fn between(&mut self, start: i64, end: i64) -> i64 {
        let width = u64::try_from(end.saturating_sub(start)).unwrap_or(0);
        start + i64::try_from(self.below(width)).unwrap_or(0)
    }

    /// True in `hits` of `of` cases.
    pub(crate) fn chance(&mut self, hits: u64, of: u64) -> bool {
        self.below(of) < hits
    }

    /// One of the faces. There must be one.
    pub(crate) fn pick<T: Copy>(&mut self, faces: &[T]) -> T {
        faces[usize::try_from(self.below(faces.len() as u64)).unwrap_or(0)]
    }

    /// Place of a face, each as likely as its weight; the last one where all weights are 0.
    pub(crate) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut rest = self.below(weights.iter().sum());
        for (at, weight) in weights.iter().enumerate() {
            if rest < *weight {
                return at;
            }
            rest -= weight;
        }
        weights.len().saturating_sub(1)
    }

    /// A lognormal weight in thousandths, with median 1000 and sigma 2. Only `+` and `*` of IEEE numbers are used, so
    /// that every machine gets the same bits. It shapes traffic; no figure is computed from it.
    pub(crate) fn lognormal(&mut self) -> u64 {
        // The sum of 12 uniform numbers is close to normal, and never beyond 6 sigma.
        let sum: i64 = (0..12).map(|_| self.between(0, 1001)).sum();
        let z = (sum - 6000) as f64 / 1000.0;
        let small = 2.0 * z / 1024.0;
        let mut exp = 1.0 + small + small * small / 2.0;
        for _ in 0..10 {
            exp *= exp;
        }
        (exp * 1000.0) as u64 + 1
    }
}

/// SplitMix64's step.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser: a one-to-one scramble of 64 bits, for ids and for noise that is looked up again.
pub(crate) fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_repeat_and_stay_in_range() {
        let throws = |seed, purpose| {
            let mut dice = Dice::new(seed, purpose);
            (0..100).map(|_| dice.below(6)).collect::<Vec<_>>()
        };
        assert_eq!(throws(1, Purpose::World), throws(1, Purpose::World));
        assert_ne!(throws(1, Purpose::World), throws(2, Purpose::World));
        assert_ne!(throws(1, Purpose::World), throws(1, Purpose::Traffic));
        assert!(throws(1, Purpose::World).iter().all(|throw| *throw < 6));
        let mut dice = Dice::new(1, Purpose::World);
        assert_eq!((dice.below(0), dice.between(5, 5), dice.between(7, 3)), (0, 5, 7));
        assert_eq!((dice.weighted(&[0, 0, 3]), dice.weighted(&[0, 0])), (2, 1));
    }

    #[test]
    fn weights_have_the_median_and_spread_of_a_lognormal() {
        let mut dice = Dice::new(7, Purpose::World);
        let mut weights: Vec<u64> = (0..4001).map(|_| dice.lognormal()).collect();
        weights.sort_unstable();
        // exp(0) and exp(2), in thousandths.
        assert!((800..1250).contains(&weights[2000]), "median {}", weights[2000]);
        assert!((6000..9000).contains(&weights[3364]), "one sigma up {}", weights[3364]);
    }
}
