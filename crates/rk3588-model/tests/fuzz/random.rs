// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Numbers that follow from a round's number.

/// A generator (xorshift64*, Vigna 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Of a round.
    pub fn new(round: u64) -> Self {
        // Neighbouring rounds must not begin alike, and zero would stay zero.
        Self(round.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of them.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// A value as registers are written: small, a bit, a mask, or anything.
    pub fn value(&mut self) -> u64 {
        match self.below(6) {
            0 => self.below(16),
            1 => 1 << self.below(64),
            2 => u64::MAX,
            3 => self.below(1 << 16),
            4 => self.next() | 0xffff_0000,
            _ => self.next(),
        }
    }
}
