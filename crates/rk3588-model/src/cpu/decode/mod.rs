// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From instruction words to [`Op`]: the integer instructions of Armv8.2-A with LSE, CRC32 and RCPC, floating point and
//! SIMD of Armv8.0-A.
//!
//! Encodings are those of the Arm Architecture Reference Manual (DDI 0487), chapter C4, whose tables the modules
//! follow. Whatever is not listed there decodes to [`Kind::Undefined`]; a decoder never fails otherwise.

mod branch;
pub mod immediate;
mod memory;
mod register;
mod simd;

use super::op::{Kind, Op, SINK, SP, ZERO};

/// Bits `high` to `low` of a word.
const fn bits(word: u32, high: u32, low: u32) -> u32 {
    word >> low & (u32::MAX >> (31 - (high - low)))
}

/// One bit of a word.
const fn bit(word: u32, at: u32) -> bool {
    word >> at & 1 != 0
}

/// The register field at `low`.
const fn reg(word: u32, low: u32) -> u8 {
    bits(word, low + 4, low) as u8
}

/// A destination where 31 is the zero register.
const fn to_zero(register: u8) -> u8 {
    if register == ZERO { SINK } else { register }
}

/// A source or destination where 31 is the stack pointer.
const fn or_sp(register: u8) -> u8 {
    if register == 31 { SP } else { register }
}

/// Sign extension of the low `width` bits.
const fn signed(value: u32, width: u32) -> u64 {
    (((value << (32 - width)) as i32) >> (32 - width)) as i64 as u64
}

/// An instruction that is not allocated, with its word.
const fn undefined(word: u32) -> Op {
    let mut op = Op::new(Kind::Undefined);
    op.imm = word as u64;
    op
}

/// Picks the 64-bit or the 32-bit form.
const fn sized(is64: bool, kind64: Kind, kind32: Kind) -> Kind {
    if is64 { kind64 } else { kind32 }
}

/// Decodes a word that stands `offset` bytes into its page.
pub fn decode(word: u32, offset: u64) -> Op {
    // C4.1, table of the main encoding: bits 28:25.
    match bits(word, 28, 25) {
        0b1000 | 0b1001 => immediate::decode(word, offset),
        0b1010 | 0b1011 => branch::decode(word, offset),
        0b0100 | 0b0110 | 0b1100 | 0b1110 => memory::decode(word, offset),
        0b0101 | 0b1101 => register::decode(word),
        0b0111 | 0b1111 => simd::decode(word),
        _ => undefined(word),
    }
}
