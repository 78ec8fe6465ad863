// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Data processing with immediates (DDI 0487, C4.1, "Data Processing -- Immediate").

use super::super::op::{Kind, Op};
use super::{bit, bits, or_sp, reg, signed, sized, to_zero, undefined};

/// The low `count` bits, 0 to 64.
const fn ones(count: u32) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// The value of a bit-mask immediate, `DecodeBitMasks` of the manual; `None` where the encoding is reserved.
pub const fn bit_mask(is64: bool, n: bool, imms: u32, immr: u32) -> Option<u64> {
    let selector = (n as u32) << 6 | (!imms & 0x3f);
    if selector == 0 || (n && !is64) {
        return None;
    }
    let length = 31 - selector.leading_zeros();
    if length == 0 {
        return None;
    }
    let size = 1 << length;
    let (s, r) = (imms & (size - 1), immr & (size - 1));
    if s == size - 1 {
        return None;
    }
    // An element of s+1 ones, rotated right inside its size, repeated over the register.
    let mut element = ones(s + 1);
    if r != 0 {
        element = (element >> r | element << (size - r)) & ones(size);
    }
    let (mut value, mut width) = (element, size);
    while width < 64 {
        value |= value << width;
        width *= 2;
    }
    Some(if is64 { value } else { value & 0xffff_ffff })
}

pub(super) fn decode(word: u32, offset: u64) -> Op {
    match bits(word, 25, 23) {
        0b000 | 0b001 => page_relative(word, offset),
        0b010 => add_sub(word),
        0b100 => logical(word),
        0b101 => wide_move(word),
        0b110 => bit_field(word),
        0b111 => extract(word),
        _ => undefined(word),
    }
}

/// ADR and ADRP: both are a distance from the start of the page, since `offset` is known.
fn page_relative(word: u32, offset: u64) -> Op {
    let distance = signed(bits(word, 23, 5) << 2 | bits(word, 30, 29), 21);
    let imm = if bit(word, 31) { distance << 12 } else { offset.wrapping_add(distance) };
    Op { d: to_zero(reg(word, 0)), imm, ..Op::new(Kind::PageRelative) }
}

fn add_sub(word: u32) -> Op {
    let (is64, subtract, flags) = (bit(word, 31), bit(word, 30), bit(word, 29));
    let imm = u64::from(bits(word, 21, 10)) << if bit(word, 22) { 12 } else { 0 };
    let n = or_sp(reg(word, 5));
    if !flags {
        let imm = if subtract { imm.wrapping_neg() } else { imm };
        return Op { d: or_sp(reg(word, 0)), n, imm, ..Op::new(sized(is64, Kind::AddImm64, Kind::AddImm32)) };
    }
    let kind = if subtract {
        sized(is64, Kind::SubsImm64, Kind::SubsImm32)
    } else {
        sized(is64, Kind::AddsImm64, Kind::AddsImm32)
    };
    Op { d: to_zero(reg(word, 0)), n, imm, ..Op::new(kind) }
}

fn logical(word: u32) -> Op {
    let is64 = bit(word, 31);
    let Some(imm) = bit_mask(is64, bit(word, 22), bits(word, 15, 10), bits(word, 21, 16)) else {
        return undefined(word);
    };
    let n = reg(word, 5);
    let (kind, d) = match bits(word, 30, 29) {
        0b00 => (Kind::AndImm, or_sp(reg(word, 0))),
        0b01 => (sized(is64, Kind::OrrImm64, Kind::OrrImm32), or_sp(reg(word, 0))),
        0b10 => (sized(is64, Kind::EorImm64, Kind::EorImm32), or_sp(reg(word, 0))),
        _ => (sized(is64, Kind::AndsImm64, Kind::AndsImm32), to_zero(reg(word, 0))),
    };
    Op { d, n, imm, ..Op::new(kind) }
}

fn wide_move(word: u32) -> Op {
    let is64 = bit(word, 31);
    let shift = bits(word, 22, 21) * 16;
    if !is64 && shift > 16 {
        return undefined(word);
    }
    let value = u64::from(bits(word, 20, 5)) << shift;
    let d = to_zero(reg(word, 0));
    match bits(word, 30, 29) {
        0b00 => Op { d, imm: if is64 { !value } else { !value & 0xffff_ffff }, ..Op::new(Kind::MovImm) },
        0b10 => Op { d, imm: value, ..Op::new(Kind::MovImm) },
        // `n` is the register whose other bits stay.
        0b11 => Op {
            d,
            n: reg(word, 0),
            a: shift as u8,
            imm: value,
            ..Op::new(sized(is64, Kind::MovK64, Kind::MovK32))
        },
        _ => undefined(word),
    }
}

/// SBFM, BFM, UBFM and their many aliases.
///
/// - `Ubfx`: shift right by `a`, mask with `imm`. `Ubfiz`: mask with `imm`, shift left by `a`.
/// - `Sbfm`: shift left by `a`, arithmetically right by `x`, both in 64 bits.
/// - `BfmRight`: shift right by `a`; `BfmLeft`: left by `a`; then the bits of `imm` replace those of the target.
fn bit_field(word: u32) -> Op {
    let is64 = bit(word, 31);
    let (r, s) = (bits(word, 21, 16), bits(word, 15, 10));
    if is64 != bit(word, 22) || (!is64 && (r > 31 || s > 31)) {
        return undefined(word);
    }
    let size = if is64 { 64 } else { 32 };
    let (d, n) = (to_zero(reg(word, 0)), reg(word, 5));
    match bits(word, 30, 29) {
        0b00 => {
            // The field's top bit goes to bit 63, then the field to its place.
            let left = 63 - s;
            let right = if s >= r { left + r } else { left + r - size };
            let kind = sized(is64, Kind::Sbfm64, Kind::Sbfm32);
            Op { d, n, a: left as u8, x: right as u8, ..Op::new(kind) }
        }
        0b01 => {
            // `m` is the register whose other bits stay.
            let m = reg(word, 0);
            if s >= r {
                let kind = sized(is64, Kind::BfmRight64, Kind::BfmRight32);
                Op { d, n, m, a: r as u8, imm: ones(s - r + 1), ..Op::new(kind) }
            } else {
                let left = size - r;
                let kind = sized(is64, Kind::BfmLeft64, Kind::BfmLeft32);
                Op { d, n, m, a: left as u8, imm: ones(s + 1) << left, ..Op::new(kind) }
            }
        }
        0b10 if s >= r => Op { d, n, a: r as u8, imm: ones(s - r + 1), ..Op::new(Kind::Ubfx) },
        0b10 => Op { d, n, a: (size - r) as u8, imm: ones(s + 1), ..Op::new(Kind::Ubfiz) },
        _ => undefined(word),
    }
}

/// EXTR: `a` is the distance, below the register's width.
fn extract(word: u32) -> Op {
    let is64 = bit(word, 31);
    let distance = bits(word, 15, 10);
    if bits(word, 30, 29) != 0 || is64 != bit(word, 22) || bit(word, 21) || (!is64 && distance > 31) {
        return undefined(word);
    }
    let kind = sized(is64, Kind::Extr64, Kind::Extr32);
    Op { d: to_zero(reg(word, 0)), n: reg(word, 5), m: reg(word, 16), a: distance as u8, ..Op::new(kind) }
}
