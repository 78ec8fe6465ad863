// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Random valid instructions of floating point and SIMD.

mod rows;
pub mod values;

use super::random::Random;
use rows::*;

/// Instructions in a sequence.
const LENGTH: usize = 16;

/// One of a list.
fn one<T: Copy>(random: &mut Random, list: &[T]) -> T {
    list[random.below(list.len() as u32) as usize]
}

/// A size of a mask that is not empty.
fn size(random: &mut Random, mask: u32) -> u32 {
    loop {
        let size = random.below(4);
        if mask >> size & 1 != 0 {
            return size;
        }
    }
}

/// Chooses between the vector and the scalar form of a row: the bits for it, and a size. Doublewords need 128 bits.
fn form(random: &mut Random, (u, _, vector, scalar): Row) -> (u32, u32) {
    let is_scalar = vector == 0 || (scalar != 0 && random.below(3) == 0);
    let size = size(random, if is_scalar { scalar } else { vector });
    let q = u32::from(size == 3 || random.bit() == 1);
    (u << 29 | if is_scalar { 0x5000_0000 } else { q << 30 }, size)
}

fn registers(random: &mut Random) -> u32 {
    random.below(32) | random.below(32) << 5 | random.below(32) << 16
}

fn two_registers(random: &mut Random) -> u32 {
    random.below(32) | random.below(32) << 5
}

fn vector(random: &mut Random) -> u32 {
    match random.below(6) {
        0 | 1 => {
            let list: &[Row] = if random.below(8) == 0 { &PAIRS } else { &THREE_SAME };
            let row = one(random, list);
            let (top, size) = form(random, row);
            0x0e20_0400 | top | size << 22 | row.1 << 11 | registers(random)
        }
        2 => {
            // PMULL of bytes; doublewords are cryptography.
            if random.below(16) == 0 {
                return 0x0e20_e000 | random.bit() << 30 | registers(random);
            }
            let row = one(random, &THREE_DIFFERENT);
            let (top, size) = form(random, row);
            0x0e20_0000 | top | size << 22 | row.1 << 12 | registers(random)
        }
        3 | 4 => {
            let row = one(random, &TWO_REGISTER);
            let (top, size) = form(random, row);
            0x0e20_0800 | top | size << 22 | row.1 << 12 | two_registers(random)
        }
        _ => {
            let row = one(random, &ACROSS);
            let (top, size) = form(random, row);
            let top = if size == 2 { top | 1 << 30 } else { top };
            0x0e30_0800 | top | size << 22 | row.1 << 12 | two_registers(random)
        }
    }
}

fn vector_float(random: &mut Random) -> u32 {
    match random.below(8) {
        0..=2 => {
            let (u, code, _, scalar) = one(random, &THREE_SAME_FLOAT);
            let (top, size) = form(random, (u, code, SD, if scalar != 0 { SD } else { 0 }));
            0x0e20_0400 | top | (code >> 5) << 23 | (size & 1) << 22 | (code & 31) << 11 | registers(random)
        }
        3..=5 => {
            let row = one(random, &TWO_REGISTER_FLOAT);
            let (top, size) = form(random, row);
            0x0e20_0800
                | top
                | (row.1 >> 5) << 23
                | (size & 1) << 22
                | (row.1 & 31) << 12
                | two_registers(random)
        }
        6 => {
            // FMAXNMV, FMAXV and for the minimum.
            0x6e30_c800 | random.bit() << 23 | one(random, &[0, 3]) << 12 | two_registers(random)
        }
        _ => {
            // Scalar pairwise.
            let (code, size) = one(random, &[(12, 0), (12, 2), (13, 0), (15, 0), (15, 2)]);
            if random.below(6) == 0 {
                return 0x5ef1_b800 | two_registers(random);
            }
            0x7e30_0800 | (size | random.bit()) << 22 | code << 12 | two_registers(random)
        }
    }
}

fn element_or_shift(random: &mut Random) -> u32 {
    if random.bit() == 0 {
        let row = one(random, &ELEMENT);
        let (top, size) = form(random, row);
        let word = 0x0f00_0000 | top | size << 22 | row.1 << 12 | registers(random) | random.bit() << 11;
        // The index of a double has one bit.
        return if size == 3 { word } else { word | random.bit() << 21 };
    }
    let row = one(random, &SHIFT);
    let (top, size) = form(random, row);
    let top = top | if row.1 >= 28 { random.bit() << 29 } else { 0 };
    let amount = (8 << size) + random.below(8 << size);
    0x0f00_0400 | top | amount << 16 | row.1 << 11 | two_registers(random)
}

fn copy(random: &mut Random) -> u32 {
    let size = random.below(4);
    let imm5 = (random.below(16 >> size) << 1 | 1) << size;
    let (d, n) = (random.below(32), random.below(32));
    let base = 0x0e00_0400 | imm5 << 16;
    let q = u32::from(size == 3 || random.bit() == 1) << 30;
    let vector_q = 1 << 30;
    match random.below(7) {
        0 => base | q | n << 5 | d,
        1 => base | q | 1 << 11 | random.source() << 5 | d,
        2 => base | vector_q | 3 << 11 | random.source() << 5 | d,
        3 => base | vector_q | 1 << 29 | (random.below(16 >> size) << size) << 11 | n << 5 | d,
        // SMOV of words is to 64 bits only.
        4 if size < 3 => {
            base | if size == 2 { vector_q } else { random.bit() << 30 } | 5 << 11 | n << 5 | random.target()
        }
        4 | 5 => base | u32::from(size == 3) << 30 | 7 << 11 | n << 5 | random.target(),
        _ => 0x5e00_0400 | imm5 << 16 | n << 5 | d,
    }
}

fn permute(random: &mut Random) -> u32 {
    let q = random.bit();
    match random.below(3) {
        0 => {
            let size = size(random, if q == 1 { ALL } else { BHW });
            0x0e00_0800 | q << 30 | size << 22 | one(random, &[1, 2, 3, 5, 6, 7]) << 12 | registers(random)
        }
        1 => 0x0e00_0000 | q << 30 | random.below(4) << 13 | random.bit() << 12 | registers(random),
        _ => 0x2e00_0000 | q << 30 | random.below(8 << q) << 11 | registers(random),
    }
}

fn immediate(random: &mut Random) -> u32 {
    let mode = random.below(32);
    // FMOV of a double needs 128 bits.
    let q = if mode == 31 { 1 } else { random.bit() };
    let imm8 = random.below(8) << 16 | random.below(32) << 5;
    0x0f00_0400 | q << 30 | (mode >> 4) << 29 | (mode & 15) << 12 | imm8 | random.below(32)
}

fn scalar_float(random: &mut Random) -> u32 {
    let precision = random.bit() << 22;
    match random.below(10) {
        0 | 1 => 0x1e20_0800 | precision | random.below(9) << 12 | registers(random),
        2 | 3 => {
            0x1f00_0000
                | precision
                | random.bit() << 21
                | random.bit() << 15
                | random.below(32) << 10
                | registers(random)
        }
        4 => {
            let opcode = one(random, &[0, 1, 2, 3, 8, 9, 10, 11, 12, 14, 15]);
            0x1e20_4000 | precision | opcode << 15 | two_registers(random)
        }
        5 => {
            // Precision: from single, double, half.
            let (ptype, opcode) = one(random, &[(0, 5), (0, 7), (1, 4), (1, 7), (3, 4), (3, 5)]);
            0x1e20_4000 | ptype << 22 | opcode << 15 | two_registers(random)
        }
        6 => {
            let compare = 0x1e20_2000 | precision | one(random, &[0, 8, 16, 24]);
            // Comparison with zero has no second register.
            let second = if compare & 8 != 0 { 0 } else { random.below(32) };
            compare | second << 16 | random.below(32) << 5
        }
        7 => {
            let conditional = random.below(16) << 12 | registers(random) | precision;
            if random.bit() == 0 {
                0x1e20_0c00 | conditional
            } else {
                0x1e20_0400 | conditional & !0x1f | random.bit() << 4 | random.below(16)
            }
        }
        8 => 0x1e20_1000 | precision | random.below(256) << 13 | random.below(32),
        _ => general(random, precision),
    }
}

/// Between V registers and general ones.
fn general(random: &mut Random, precision: u32) -> u32 {
    let is64 = random.bit();
    let to = random.below(32) << 5 | random.target();
    let from = random.source() << 5 | random.below(32);
    let unsigned = random.bit() << 16;
    let top = is64 << 31 | precision;
    let scale = if is64 == 1 { 1 + random.below(64) } else { 1 + random.below(32) };
    let fixed = 0x1e00_0000 | top | (64 - scale) << 10 | unsigned;
    match random.below(8) {
        0 | 1 => 0x1e20_0000 | top | random.below(4) << 19 | unsigned | to,
        2 => 0x1e20_0000 | top | 4 << 16 | unsigned | to,
        3 => 0x1e20_0000 | top | 2 << 16 | unsigned | from,
        4 => fixed | 2 << 16 | from,
        5 => fixed | 3 << 19 | to,
        6 => one(random, &[0x1e26_0000, 0x9e66_0000, 0x9eae_0000]) | to,
        _ => one(random, &[0x1e27_0000, 0x9e67_0000, 0x9eaf_0000]) | from,
    }
}

/// The base back to the middle of the scratch area, but first to a register that is looked at.
fn base_again(random: &mut Random) -> [u32; 2] {
    // mov xN, x26; add x26, x28, #512
    [0xaa1a_03e0 | random.target(), 0x9108_039a]
}

fn load_store(random: &mut Random) -> Vec<u32> {
    // Sizes B, H, S, D, Q with the bits that say so.
    let log2 = random.below(5);
    let code = if log2 == 4 { 2 << 22 } else { log2 << 30 } | random.bit() << 22;
    let v = random.below(32);
    let offset = (random.below(9) as i32 - 4) * 8;
    let imm9 = (offset as u32 & 0x1ff) << 12;
    let mut words = match random.below(6) {
        0 => vec![0x3d00_0000 | code | random.below(1024 >> log2) << 10 | 28 << 5 | v],
        1 => {
            // Device memory: aligned.
            let offset = (random.below(16) as i32 - 8) * (1 << log2.min(3));
            vec![0x3c00_0000 | code | (offset as u32 & 0x1ff) << 12 | 26 << 5 | v]
        }
        2 => vec![0x3c00_0400 | random.bit() << 11 | code | imm9 | 26 << 5 | v],
        3 => {
            // and x25, xN, #0x38
            let option = one(random, &[2, 3, 6, 7]);
            let index = 0x3c20_0800 | code | 25 << 16 | option << 13 | random.bit() << 12 | 28 << 5 | v;
            vec![0x927d_0800 | random.source() << 5 | 25, index]
        }
        _ => {
            let (size, load) = (random.below(3), random.bit());
            // A pair never loads one register twice.
            let second = (v + 1 + random.below(31)) % 32;
            let imm7 = (random.below(5) as i32 - 2) * if size == 0 { 2 } else { 1 };
            let form = random.below(4) << 23;
            vec![
                0x2c00_0000
                    | size << 30
                    | form
                    | load << 22
                    | (imm7 as u32 & 0x7f) << 15
                    | second << 10
                    | 26 << 5
                    | v,
            ]
        }
    };
    words.extend(base_again(random));
    words
}

fn structure(random: &mut Random) -> Vec<u32> {
    let (q, load, v) = (random.bit(), random.bit(), random.below(32));
    // Without write-back, by the bytes, by X25.
    let back = one(random, &[0, 1 << 23 | 31 << 16, 1 << 23 | 25 << 16]);
    let common = load << 22 | back | 26 << 5 | v;
    let word = match random.below(5) {
        0 | 1 => {
            let opcode = one(random, &[0, 2, 4, 6, 7, 8, 10]);
            let size = size(random, if q == 1 || opcode & 2 != 0 { ALL } else { BHW });
            0x0c00_0000 | q << 30 | opcode << 12 | size << 10 | common
        }
        2 => {
            let replicate = random.below(4) << 10 | random.bit() << 13 | random.bit() << 21;
            0x0d40_c000 | q << 30 | replicate | common
        }
        _ => {
            let (size, element) = (random.below(4), random.below(4));
            let (s, low) = (element >> 1, element & 1);
            let place = match size {
                0 => s << 12 | random.below(4) << 10,
                1 => 1 << 14 | s << 12 | low << 11,
                2 => 2 << 14 | s << 12,
                _ => 2 << 14 | 1 << 10,
            };
            0x0d00_0000 | q << 30 | place | random.bit() << 13 | random.bit() << 21 | common
        }
    };
    let [first, second] = base_again(random);
    vec![word, first, second]
}

/// A literal in the code around, aligned to its size or to 8.
fn literal(random: &mut Random, address: u64) -> u32 {
    let opc = random.below(3);
    let distance = random.below(16) as i32 - 8;
    let odd = (address as i64 / 4 + i64::from(distance)) & 1 != 0;
    let distance = if opc > 0 && odd { distance + 1 } else { distance };
    0x1c00_0000 | opc << 30 | (distance as u32 & 0x7_ffff) << 5 | random.below(32)
}

/// A sequence that stands at `address`.
pub fn sequence(random: &mut Random, address: u64) -> Vec<u32> {
    let mut words = Vec::new();
    while words.len() < LENGTH {
        let at = address + 4 * words.len() as u64;
        match random.below(16) {
            0..=3 => words.push(vector(random)),
            4 | 5 => words.push(vector_float(random)),
            6 | 7 => words.push(element_or_shift(random)),
            8 => words.push(copy(random)),
            9 => words.push(permute(random)),
            10 => words.push(immediate(random)),
            11 | 12 => words.push(scalar_float(random)),
            13 => words.extend(load_store(random)),
            14 => words.extend(structure(random)),
            _ => words.push(literal(random, at)),
        }
    }
    words
}
