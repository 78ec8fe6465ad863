// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Changes inputs the way that hurts parsers: lengths that overflow, cuts, repetitions. The same seed gives the same run.

/// Numbers at which arithmetic breaks.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x8000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];
/// Inputs do not grow beyond this.
const MAX_BYTES: usize = 4 << 20;

/// A source of inputs.
pub struct Mutator(u64);

impl Mutator {
    /// From a seed.
    pub fn new(seed: u64) -> Mutator {
        Mutator(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    /// One of the seeds, changed in one to eight places.
    pub fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(8) {
            self.change(&mut input, seeds);
        }
        input
    }

    /// A place; every other time one near the start, where headers are.
    fn place(&mut self, length: usize) -> usize {
        let near = if self.below(2) == 0 { length.min(512) } else { length };
        self.below(near)
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        if input.is_empty() {
            input.extend([0; 64]);
        }
        let at = self.place(input.len());
        match self.below(8) {
            0 => input[at] ^= 1 << self.below(8),
            1 => input[at] = self.below(256) as u8,
            2 | 3 => {
                // A number of 2, 4 or 8 bytes, in either order, on its natural place as a rule.
                let width = [2, 4, 8][self.below(3)];
                let at = if self.below(4) > 0 { at / width * width } else { at };
                let edge = EDGES[self.below(EDGES.len())];
                let (bytes, from) = if self.below(2) == 0 {
                    (edge.to_le_bytes(), 0)
                } else {
                    (edge.to_be_bytes(), 8 - width)
                };
                for (place, byte) in input.iter_mut().skip(at).take(width).zip(&bytes[from..]) {
                    *place = *byte;
                }
            }
            4 => input.truncate(at + 1),
            5 => {
                let length = self.below(256).min(input.len() - at);
                let piece = input[at..at + length].to_vec();
                let to = self.place(input.len());
                for (place, byte) in input.iter_mut().skip(to).zip(piece) {
                    *place = byte;
                }
            }
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len().max(1));
                let length = self.below(4096).min(other.len().saturating_sub(from));
                for (place, byte) in input.iter_mut().skip(at).zip(&other[from..from + length]) {
                    *place = *byte;
                }
            }
            _ => {
                let piece = input[at..(at + 1 + self.below(512)).min(input.len())].to_vec();
                for _ in 0..self.below(64) {
                    if input.len() < MAX_BYTES {
                        input.extend(&piece);
                    }
                }
            }
        }
    }
}
