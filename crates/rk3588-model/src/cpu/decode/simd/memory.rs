// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loads and stores of SIMD and floating-point registers.

use super::super::super::op::{Kind, Op};
use super::super::super::simd::{Shape, Structure, place};
use super::super::{or_sp, signed};
use super::{bit, bits, reg, undefined};

pub(in super::super) fn decode(word: u32, offset: u64) -> Op {
    match (bits(word, 29, 28), bit(word, 24)) {
        (0b00, false) if !bit(word, 31) => multiple(word),
        (0b00, true) if !bit(word, 31) => single(word),
        (0b01, false) => literal(word, offset),
        (0b10, _) => pair(word),
        (0b11, _) => one(word),
        _ => undefined(word),
    }
}

/// B, H, S, D, Q with an offset, write-back or an index; `x` is the logarithm of the bytes.
fn one(word: u32) -> Op {
    let (size, opc) = (bits(word, 31, 30), bits(word, 23, 22));
    let log2 = match (size, opc >> 1) {
        (size, 0) => size,
        (0, _) => 4,
        _ => return undefined(word),
    };
    let op = Op {
        d: reg(word, 0),
        n: or_sp(reg(word, 5)),
        x: log2 as u8,
        ..Op::new(if opc & 1 != 0 { Kind::VLoad } else { Kind::VStore })
    };
    if bit(word, 24) {
        return Op { imm: u64::from(bits(word, 21, 10)) << log2, ..op };
    }
    let imm = signed(bits(word, 20, 12), 9);
    let option = bits(word, 15, 13);
    match (bit(word, 21), bits(word, 11, 10)) {
        (false, 0b00) => Op { imm, ..op },
        (false, 0b01) => Op { y: place::POST, imm, ..op },
        (false, 0b11) => Op { y: place::PRE, imm, ..op },
        (true, 0b10) if option & 2 != 0 => {
            let a = if bit(word, 12) { log2 as u8 } else { 0 };
            Op { y: place::INDEX, m: reg(word, 16), a, imm: option.into(), ..op }
        }
        _ => undefined(word),
    }
}

fn literal(word: u32, offset: u64) -> Op {
    let size = bits(word, 31, 30);
    if size == 3 {
        return undefined(word);
    }
    let imm = offset.wrapping_add(signed(bits(word, 23, 5), 19) << 2);
    Op { d: reg(word, 0), x: size as u8 + 2, y: place::LITERAL, imm, ..Op::new(Kind::VLoad) }
}

/// LDP, STP, LDNP, STNP; `a` is the second register.
fn pair(word: u32) -> Op {
    let size = bits(word, 31, 30);
    if size == 3 {
        return undefined(word);
    }
    Op {
        d: reg(word, 0),
        a: reg(word, 10),
        n: or_sp(reg(word, 5)),
        x: size as u8 + 2,
        y: match bits(word, 24, 23) {
            0b01 => place::POST,
            0b11 => place::PRE,
            _ => place::OFFSET,
        },
        imm: signed(bits(word, 21, 15), 7) << (size + 2),
        ..Op::new(if bit(word, 22) { Kind::VLoadPair } else { Kind::VStorePair })
    }
}

/// What both forms of structures share; `imm` is the number of registers of a structure, that of structures, and
/// whether the base moves.
fn structure(word: u32, which: Structure, registers: u32, repeats: u32) -> Op {
    Op {
        d: reg(word, 0),
        n: or_sp(reg(word, 5)),
        m: reg(word, 16),
        y: which as u16,
        imm: u64::from(registers | repeats << 4 | bits(word, 23, 23) << 8),
        ..Op::new(Kind::VStructure)
    }
}

fn multiple(word: u32) -> Op {
    let (size, q, post) = (bits(word, 11, 10), bit(word, 30), bit(word, 23));
    let (registers, repeats) = match bits(word, 15, 12) {
        0b0000 => (4, 1),
        0b0010 => (1, 4),
        0b0100 => (3, 1),
        0b0110 => (1, 3),
        0b0111 => (1, 1),
        0b1000 => (2, 1),
        0b1010 => (1, 2),
        _ => return undefined(word),
    };
    // One doubleword cannot be interleaved.
    if bit(word, 21) || (!post && reg(word, 16) != 0) || (size == 3 && !q && registers > 1) {
        return undefined(word);
    }
    let which = if bit(word, 22) { Structure::LoadMultiple } else { Structure::StoreMultiple };
    let x = size as u8 | if q { Shape::Q } else { 0 };
    Op { x, ..structure(word, which, registers, repeats) }
}

fn single(word: u32) -> Op {
    let (opcode, s, size) = (bits(word, 15, 13), bits(word, 12, 12), bits(word, 11, 10));
    let (q, load) = (bits(word, 30, 30), bit(word, 22));
    let registers = (opcode & 1) << 1 | bits(word, 21, 21);
    if !bit(word, 23) && reg(word, 16) != 0 {
        return undefined(word);
    }
    let (which, log2, element) = match (opcode >> 1, size) {
        (0, _) => (Structure::StoreSingle, 0, q << 3 | s << 2 | size),
        (1, 0 | 2) => (Structure::StoreSingle, 1, q << 2 | s << 1 | size >> 1),
        (2, 0) => (Structure::StoreSingle, 2, q << 1 | s),
        (2, 1) if s == 0 => (Structure::StoreSingle, 3, q),
        (3, _) if load && s == 0 => (Structure::LoadReplicate, size, 0),
        _ => return undefined(word),
    };
    let which = if load && which == Structure::StoreSingle { Structure::LoadSingle } else { which };
    let x = log2 as u8 | if q != 0 { Shape::Q } else { 0 };
    Op { x, a: element as u8, ..structure(word, which, registers + 1, 1) }
}
