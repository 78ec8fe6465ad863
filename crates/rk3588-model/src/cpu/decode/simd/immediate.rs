// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Constants: MOVI, MVNI, ORR, BIC, FMOV.

use super::super::super::float::{DOUBLE, Format, SINGLE};
use super::super::super::op::{Kind, Op};
use super::super::super::simd::Immediate;
use super::{bit, bits, fields, undefined};

/// `VFPExpandImm`: eight bits as a number.
pub(super) fn expand_float(imm8: u32, format: Format) -> u64 {
    let Format { fraction, exponent } = format;
    let b = u64::from(imm8 >> 6 & 1);
    let ones = if b == 1 { (1 << (exponent - 3)) - 1 } else { 0 };
    let exponent_bits = (b ^ 1) << (exponent - 1) | ones << 2 | u64::from(imm8 >> 4 & 3);
    let sign = if imm8 & 0x80 != 0 { format.sign() } else { 0 };
    sign | exponent_bits << fraction | u64::from(imm8 & 15) << (fraction - 4)
}

/// Every element of `bits` width filled with a value.
fn repeat(value: u64, width: u32) -> u64 {
    (0..64).step_by(width as usize).fold(0, |all, at| all | value << at)
}

/// `AdvSIMDExpandImm` and what is done with it.
pub(super) fn decode(word: u32) -> Op {
    let (q, inverted, cmode) = (bit(word, 30), bit(word, 29), bits(word, 15, 12));
    if bit(word, 11) {
        // FMOV of half precision.
        return undefined(word);
    }
    let imm8 = bits(word, 18, 16) << 5 | bits(word, 9, 5);
    let byte = u64::from(imm8);
    let constant = match cmode >> 1 {
        0..=3 => repeat(byte << (8 * (cmode >> 1)), 32),
        4 | 5 => repeat(byte << (8 * (cmode >> 1 & 1)), 16),
        6 if cmode & 1 == 0 => repeat(byte << 8 | 0xff, 32),
        6 => repeat(byte << 16 | 0xffff, 32),
        _ if cmode & 1 == 0 && !inverted => repeat(byte, 8),
        // Each bit a byte.
        _ if cmode & 1 == 0 => {
            (0..8).filter(|at| byte >> at & 1 != 0).fold(0, |all, at| all | 0xff << (8 * at))
        }
        _ if !inverted => repeat(expand_float(imm8, SINGLE), 32),
        _ if q => expand_float(imm8, DOUBLE),
        _ => return undefined(word),
    };
    // Odd modes below 12 change the register instead of replacing it; the last two take no inversion.
    let (immediate, imm) = match (cmode < 12 && cmode & 1 == 1, inverted) {
        (true, false) => (Immediate::Or, constant),
        (true, true) => (Immediate::Clear, constant),
        (false, true) if cmode < 14 => (Immediate::Move, !constant),
        (false, _) => (Immediate::Move, constant),
    };
    Op { y: immediate as u16, imm, ..fields(word, Kind::VImmediate, false) }
}
