// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Scalar floating point.

use super::super::super::float::{DOUBLE, Rounding, SINGLE};
use super::super::super::op::{Kind, Op};
use super::super::super::simd::{Float, FloatMisc, Immediate, Scalar, Shape};
use super::super::to_zero;
use super::immediate::expand_float;
use super::{bit, bits, reg, undefined};

/// The size of single and double by `ptype`; half precision only converts.
fn precision(word: u32) -> Option<u8> {
    match bits(word, 23, 22) {
        0 => Some(2),
        1 => Some(3),
        _ => None,
    }
}

fn fields(word: u32, kind: Kind, size: u8) -> Op {
    Op { d: reg(word, 0), n: reg(word, 5), m: reg(word, 16), x: Shape::SCALAR | size, ..Op::new(kind) }
}

fn scalar(word: u32, size: u8, scalar: Scalar) -> Op {
    Op { y: scalar as u16, ..fields(word, Kind::VScalar, size) }
}

pub(super) fn decode(word: u32) -> Op {
    if bit(word, 29) {
        return undefined(word);
    }
    if !bit(word, 21) {
        return fixed_point(word);
    }
    if bits(word, 15, 10) == 0 {
        return integer(word);
    }
    if bit(word, 31) {
        return undefined(word);
    }
    if bits(word, 14, 10) == 0b10000 {
        return one_source(word);
    }
    let Some(size) = precision(word) else { return undefined(word) };
    match bits(word, 11, 10) {
        0b01 => {
            let which =
                if bit(word, 4) { Scalar::ConditionalCompareSignal } else { Scalar::ConditionalCompare };
            Op { a: bits(word, 15, 12) as u8, imm: u64::from(bits(word, 3, 0)), ..scalar(word, size, which) }
        }
        0b10 => two_sources(word, size),
        0b11 => Op { a: bits(word, 15, 12) as u8, ..scalar(word, size, Scalar::Select) },
        _ if bits(word, 13, 10) == 0b1000 && bits(word, 15, 14) == 0 => match bits(word, 4, 0) {
            0b00000 => scalar(word, size, Scalar::Compare),
            0b01000 => scalar(word, size, Scalar::CompareZero),
            0b10000 => scalar(word, size, Scalar::CompareSignal),
            0b11000 => scalar(word, size, Scalar::CompareZeroSignal),
            _ => undefined(word),
        },
        _ if bit(word, 12) && bits(word, 9, 5) == 0 => {
            let imm = expand_float(bits(word, 20, 13), if size == 2 { SINGLE } else { DOUBLE });
            Op { y: Immediate::Move as u16, imm, ..fields(word, Kind::VImmediate, size) }
        }
        _ => undefined(word),
    }
}

fn two_sources(word: u32, size: u8) -> Op {
    use Float::{Add, Div, Max, MaxNumber, Min, MinNumber, Mul, NegMul, Sub};
    match [Mul, Div, Add, Sub, Max, Min, MaxNumber, MinNumber, NegMul].get(bits(word, 15, 12) as usize) {
        Some(float) => Op { y: *float as u16, ..fields(word, Kind::VFloat, size) },
        None => undefined(word),
    }
}

fn one_source(word: u32) -> Op {
    use FloatMisc::{Abs, Move, Neg, Round, RoundCurrent, RoundExact, Sqrt, ToDouble, ToHalf, ToSingle};
    let none = Rounding::Even;
    let ptype = bits(word, 23, 22);
    let opcode = bits(word, 20, 15);
    let size = match ptype {
        0 => 2,
        1 => 3,
        // From half precision.
        3 if matches!(opcode, 4 | 5) => 1,
        _ => return undefined(word),
    };
    let (misc, rounding) = match opcode {
        0 => (Move, none),
        1 => (Abs, none),
        2 => (Neg, none),
        3 => (Sqrt, none),
        4 if size != 2 => (ToSingle, none),
        5 if size != 3 => (ToDouble, none),
        7 => (ToHalf, none),
        8 => (Round, Rounding::Even),
        9 => (Round, Rounding::Up),
        10 => (Round, Rounding::Down),
        11 => (Round, Rounding::Zero),
        12 => (Round, Rounding::Away),
        14 => (RoundExact, none),
        15 => (RoundCurrent, none),
        _ => return undefined(word),
    };
    Op { y: misc as u16, imm: rounding as u64, ..fields(word, Kind::VFloatMisc, size) }
}

/// FMADD, FMSUB, FNMADD, FNMSUB; `a` is the addend.
pub(super) fn three(word: u32) -> Op {
    let Some(size) = precision(word).filter(|_| !bit(word, 29) && !bit(word, 31)) else {
        return undefined(word);
    };
    let which = match (bit(word, 21), bit(word, 15)) {
        (false, false) => Scalar::MulAdd,
        (false, true) => Scalar::MulSub,
        (true, false) => Scalar::NegMulAdd,
        (true, true) => Scalar::NegMulSub,
    };
    Op { a: reg(word, 10), ..scalar(word, size, which) }
}

/// To and from general registers: `d` or `n` is one.
fn general(word: u32, size: u8, which: Scalar, unsigned: bool, rounding: Rounding) -> Op {
    let op = scalar(word, size, which);
    let to_general = matches!(
        which,
        Scalar::ToGeneral64 | Scalar::ToGeneral32 | Scalar::MoveToGeneral | Scalar::MoveTopToGeneral
    );
    Op {
        d: if to_general { to_zero(op.d) } else { op.d },
        x: op.x | if unsigned { Shape::U } else { 0 },
        imm: rounding as u64,
        ..op
    }
}

fn fixed_point(word: u32) -> Op {
    let Some(size) = precision(word) else { return undefined(word) };
    let (is64, scale, unsigned) = (bit(word, 31), bits(word, 15, 10), bit(word, 16));
    if !is64 && scale < 32 {
        return undefined(word);
    }
    let op = match (bits(word, 20, 19), bits(word, 18, 17)) {
        (0, 1) if is64 => general(word, size, Scalar::FromGeneral64, unsigned, Rounding::Even),
        (0, 1) => general(word, size, Scalar::FromGeneral32, unsigned, Rounding::Even),
        (3, 0) if is64 => general(word, size, Scalar::ToGeneral64, unsigned, Rounding::Zero),
        (3, 0) => general(word, size, Scalar::ToGeneral32, unsigned, Rounding::Zero),
        _ => return undefined(word),
    };
    Op { a: 64 - scale as u8, ..op }
}

fn integer(word: u32) -> Op {
    let (is64, rmode, unsigned) = (bit(word, 31), bits(word, 20, 19), bit(word, 16));
    let opcode = bits(word, 18, 16);
    let even = Rounding::Even;
    // FMOV: widths have to fit.
    match (opcode, rmode, bits(word, 23, 22), is64) {
        (6, 0, 0, false) => return general(word, 2, Scalar::MoveToGeneral, false, even),
        (6, 0, 1, true) => return general(word, 3, Scalar::MoveToGeneral, false, even),
        (7, 0, 0, false) => return general(word, 2, Scalar::MoveFromGeneral, false, even),
        (7, 0, 1, true) => return general(word, 3, Scalar::MoveFromGeneral, false, even),
        (6, 1, 2, true) => return general(word, 3, Scalar::MoveTopToGeneral, false, even),
        (7, 1, 2, true) => return general(word, 3, Scalar::MoveTopFromGeneral, false, even),
        _ => {}
    }
    let Some(size) = precision(word) else { return undefined(word) };
    let to = if is64 { Scalar::ToGeneral64 } else { Scalar::ToGeneral32 };
    let from = if is64 { Scalar::FromGeneral64 } else { Scalar::FromGeneral32 };
    match (opcode >> 1, rmode) {
        (0, _) => general(word, size, to, unsigned, Rounding::of(rmode)),
        (1, 0) => general(word, size, from, unsigned, even),
        (2, 0) => general(word, size, to, unsigned, Rounding::Away),
        _ => undefined(word),
    }
}
