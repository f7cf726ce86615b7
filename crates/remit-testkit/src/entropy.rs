//! Bytes that look random and come out the same for the same seed.

use std::sync::Mutex;

use remit_ports::Entropy;

/// SplitMix64 from a seed: fit for making tests repeatable and for nothing else.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<u64>);

impl SeededEntropy {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// The next 64 bits.
    ///
    /// # Panics
    /// Never in practice: nothing panics while it holds the lock.
    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Default for SeededEntropy {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_domain::Timestamp;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (a, b, c) = (
            SeededEntropy::new(7),
            SeededEntropy::new(7),
            SeededEntropy::new(8),
        );
        let draw = |from: &SeededEntropy| {
            let mut bytes = [0u8; 19];
            from.fill(&mut bytes);
            bytes
        };
        assert_eq!(draw(&a), draw(&b));
        assert_ne!(draw(&a), draw(&c));
        assert_ne!(
            a.uuid(Timestamp::from_secs(1)),
            a.uuid(Timestamp::from_secs(1))
        );
    }
}
