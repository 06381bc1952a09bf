//! Choices that a seed repeats.

/// SplitMix64: small, and good enough to choose with.
pub struct Chance(u64);

impl Chance {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least `least`, less than `end`.
    pub fn between(&mut self, least: u64, end: u64) -> u64 {
        least + self.next() % (end - least)
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.between(0, 100) < chance
    }

    /// The place of one of `count` things.
    pub fn index(&mut self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.between(0, count as u64) as usize)
    }
}

/// A seed for a run that repeats no other.
pub fn fresh() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_micros() as u64
}
