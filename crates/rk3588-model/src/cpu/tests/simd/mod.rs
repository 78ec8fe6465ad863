// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Floating point and SIMD: instructions of each class against the host's integers and numbers, loads and stores,
//! traps. Random lanes, special numbers and all sizes are in `tests/differential`.

mod float;
mod integer;
mod memory;
mod traps;

use super::{Bench, Stop};

/// Eight halves in a register, the lowest first.
const N: [u16; 8] = [0x7788, 0x5566, 0x8001, 0x0022, 0xfffe, 0x0001, 0x7fff, 0x8000];
const M: [u16; 8] = [0x8001, 0x4000, 0x7f01, 0x80ff, 0x0008, 0x0006, 0x0004, 0x0002];
const OLD: [u16; 8] = [0x8888, 0x7777, 0x6666, 0x5555, 0x4444, 0x3333, 0x2222, 0x1111];

/// A register of bytes.
fn bytes(lanes: [u8; 16]) -> u128 {
    u128::from_le_bytes(lanes)
}

fn to_bytes(lanes: [u16; 8]) -> [u8; 16] {
    halves(lanes).to_le_bytes()
}

/// A register of halves.
fn halves(lanes: [u16; 8]) -> u128 {
    lanes.iter().rev().fold(0, |all, lane| all << 16 | u128::from(*lane))
}

/// A register of words.
fn words(lanes: [u32; 4]) -> u128 {
    lanes.iter().rev().fold(0, |all, lane| all << 32 | u128::from(*lane))
}

fn to_words(lanes: [u16; 8]) -> [u32; 4] {
    [0, 1, 2, 3].map(|at| u32::from(lanes[2 * at + 1]) << 16 | u32::from(lanes[2 * at]))
}

/// A register of doublewords.
fn doubles(low: u64, high: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// One instruction with these in V0, V1 and so on; the bench behind it.
fn execute(word: u32, vectors: &[u128], x: &[u64]) -> Bench {
    let mut bench = Bench::new(&[word]);
    bench.core().simd.v[..vectors.len()].copy_from_slice(vectors);
    for (number, value) in x.iter().enumerate() {
        bench.cpu.set_x(number as u8, *value);
    }
    assert_eq!(bench.run(1), Stop::Limit);
    assert_eq!(bench.cpu.last_exception(), None, "{word:#x}");
    bench
}

/// V0 behind an instruction on [`OLD`], [`N`] and [`M`].
fn v0(word: u32) -> u128 {
    execute(word, &[halves(OLD), halves(N), halves(M)], &[]).core().simd.v[0]
}
