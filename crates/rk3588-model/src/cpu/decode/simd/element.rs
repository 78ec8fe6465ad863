// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Vectors with one element, and shifts by an amount.

use super::super::super::float::Rounding;
use super::super::super::op::{Kind, Op};
use super::super::super::simd::{Float, FloatMisc, Shape, Shift, ShiftNarrow, Three, Wide};
use super::{bit, bits, fields, reg, shape, undefined};

/// "Vector x indexed element".
pub(super) fn decode(word: u32, is_scalar: bool) -> Op {
    let (u, size) = (bit(word, 29), bits(word, 23, 22));
    let (h, l, m) = (bits(word, 11, 11), bits(word, 21, 21), bits(word, 20, 20));
    let same = |three: Three| (Kind::VThree, three as u16);
    let wide = |wide: Wide| (Kind::VWide, wide as u16);
    let float = |float: Float| (Kind::VFloat, float as u16);
    let ((kind, y), scalar) = match (bits(word, 15, 12), u) {
        (0b0000, true) => (same(Three::Mla), false),
        (0b0100, true) => (same(Three::Mls), false),
        (0b1000, false) => (same(Three::Mul), false),
        (0b0010, _) => (wide(Wide::MlaL), false),
        (0b0110, _) => (wide(Wide::MlsL), false),
        (0b1010, _) => (wide(Wide::MulL), false),
        (0b0011, false) => (wide(Wide::QdmlaL), true),
        (0b0111, false) => (wide(Wide::QdmlsL), true),
        (0b1011, false) => (wide(Wide::QdmulL), true),
        (0b1100, false) => (same(Three::Qdmulh), true),
        (0b1101, false) => (same(Three::Qrdmulh), true),
        (0b0001, false) => (float(Float::Mla), true),
        (0b0101, false) => (float(Float::Mls), true),
        (0b1001, false) => (float(Float::Mul), true),
        (0b1001, true) => (float(Float::MulX), true),
        _ => return undefined(word),
    };
    if is_scalar && !scalar {
        return undefined(word);
    }
    let op = fields(word, kind, is_scalar);
    let op = Op { y, x: op.x | Shape::ELEMENT, ..op };
    match (kind == Kind::VFloat, size) {
        (false, 1) => Op { m: op.m & 15, a: (h << 2 | l << 1 | m) as u8, ..op },
        (false, 2) | (true, 2) => Op { a: (h << 1 | l) as u8, ..op },
        (true, 3) if l == 0 && (is_scalar || bit(word, 30)) => Op { a: h as u8, ..op },
        _ => undefined(word),
    }
}

/// "Shift by immediate": `immh` is not 0.
pub(super) fn shift(word: u32, is_scalar: bool) -> Op {
    let amount = bits(word, 22, 16);
    let size = (amount >> 3).ilog2();
    let bits_wide = 8 << size;
    let (left, right) = (amount - bits_wide, 2 * bits_wide - amount);
    let u = bit(word, 29);
    let opcode = bits(word, 15, 11);
    let op = Op {
        d: reg(word, 0),
        n: reg(word, 5),
        x: shape(word, is_scalar) | size as u8,
        ..Op::new(Kind::VShift)
    };
    let is_short_double = size == 3 && !is_scalar && !bit(word, 30);
    let (shift, amount, every_scalar) = match (opcode, u) {
        (0b00000, _) => (Shift::Right, right, false),
        (0b00010, _) => (Shift::RightAdd, right, false),
        (0b00100, _) => (Shift::RoundRight, right, false),
        (0b00110, _) => (Shift::RoundRightAdd, right, false),
        (0b01000, true) => (Shift::RightInsert, right, false),
        (0b01010, false) => (Shift::Left, left, false),
        (0b01010, true) => (Shift::LeftInsert, left, false),
        (0b01100, true) => (Shift::QleftU, left, true),
        (0b01110, _) => (Shift::Qleft, left, true),
        (0b10000..=0b10100, _) => return narrow(word, is_scalar, op, left, right),
        (0b11100 | 0b11111, _) if size >= 2 && !is_short_double => {
            let misc = if opcode == 0b11100 { FloatMisc::FromInt } else { FloatMisc::ToInt };
            let imm = Rounding::Zero as u64;
            return Op { kind: Kind::VFloatMisc, y: misc as u16, a: right as u8, imm, ..op };
        }
        _ => return undefined(word),
    };
    if is_short_double || (is_scalar && !every_scalar && size != 3) {
        return undefined(word);
    }
    Op { y: shift as u16, a: amount as u8, ..op }
}

fn narrow(word: u32, is_scalar: bool, op: Op, left: u32, right: u32) -> Op {
    use ShiftNarrow::{Left, Qrshrn, Qrshrun, Qshrn, Qshrun, Rshrn, Shrn};
    let (narrow, amount, scalar) = match (bits(word, 15, 11), bit(word, 29)) {
        (0b10000, false) => (Shrn, right, false),
        (0b10000, true) => (Qshrun, right, true),
        (0b10001, false) => (Rshrn, right, false),
        (0b10001, true) => (Qrshrun, right, true),
        (0b10010, _) => (Qshrn, right, true),
        (0b10011, _) => (Qrshrn, right, true),
        _ => (Left, left, false),
    };
    if op.x & 3 == 3 || (is_scalar && !scalar) {
        return undefined(word);
    }
    Op { kind: Kind::VShiftNarrow, y: narrow as u16, a: amount as u8, ..op }
}
