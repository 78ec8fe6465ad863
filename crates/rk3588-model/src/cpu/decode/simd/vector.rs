// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Vectors with vectors: "three same", "three different", "two-register miscellaneous", "across lanes", "pairwise".
//!
//! Each table says for `U:opcode` what it is and which sizes exist as vector and as scalar, one bit for each size.

use super::super::super::float::Rounding;
use super::super::super::op::{Kind, Op};
use super::super::super::simd::{
    Across, Float, FloatMisc, FloatPair, Misc, Narrow, Pair, Shape, Three, Wide,
};
use super::{allowed, bit, bits, fields, undefined};

/// Sizes: bytes, halves, words, doublewords.
const BHW: u8 = 0b0111;
const HW: u8 = 0b0110;
const ALL: u8 = 0b1111;
const BYTE: u8 = 0b0001;
const DOUBLE: u8 = 0b1000;

/// `U:opcode`.
fn code(word: u32, high: u32, low: u32) -> u32 {
    u32::from(bit(word, 29)) << (high - low + 1) | bits(word, high, low)
}

pub(super) fn three_same(word: u32, is_scalar: bool) -> Op {
    use Three::{
        Aba, Abd, Add, Cmeq, Cmge, Cmgt, Cmtst, Hadd, Hsub, Max, Min, Mla, Mls, Mul, Pmul, Qadd, Qdmulh,
        Qrdmulh, Qrshl, Qshl, Qsub, Rhadd, Rshl, Shl, Sub,
    };
    let opcode = bits(word, 15, 11);
    if opcode >= 0b11000 {
        return three_same_float(word, is_scalar);
    }
    let u = bit(word, 29);
    let (three, vector, scalar) = match opcode {
        0b00000 => (Hadd, BHW, 0),
        0b00001 => (Qadd, ALL, ALL),
        0b00010 => (Rhadd, BHW, 0),
        0b00011 if is_scalar => return undefined(word),
        0b00011 => return logic(word),
        0b00100 => (Hsub, BHW, 0),
        0b00101 => (Qsub, ALL, ALL),
        0b00110 => (Cmgt, ALL, DOUBLE),
        0b00111 => (Cmge, ALL, DOUBLE),
        0b01000 => (Shl, ALL, DOUBLE),
        0b01001 => (Qshl, ALL, ALL),
        0b01010 => (Rshl, ALL, DOUBLE),
        0b01011 => (Qrshl, ALL, ALL),
        0b01100 => (Max, BHW, 0),
        0b01101 => (Min, BHW, 0),
        0b01110 => (Abd, BHW, 0),
        0b01111 => (Aba, BHW, 0),
        0b10000 => (if u { Sub } else { Add }, ALL, DOUBLE),
        0b10001 => (if u { Cmeq } else { Cmtst }, ALL, DOUBLE),
        0b10010 => (if u { Mls } else { Mla }, BHW, 0),
        0b10011 if u => (Pmul, BYTE, 0),
        0b10011 => (Mul, BHW, 0),
        0b10110 => (if u { Qrdmulh } else { Qdmulh }, HW, HW),
        0b10100 => return pair(word, is_scalar, Pair::Max, BHW),
        0b10101 => return pair(word, is_scalar, Pair::Min, BHW),
        0b10111 if !u => return pair(word, is_scalar, Pair::Add, ALL),
        _ => return undefined(word),
    };
    if !allowed(word, bits(word, 23, 22), vector, scalar, is_scalar) {
        return undefined(word);
    }
    Op { y: three as u16, ..fields(word, Kind::VThree, is_scalar) }
}

fn pair(word: u32, is_scalar: bool, pair: Pair, sizes: u8) -> Op {
    if !allowed(word, bits(word, 23, 22), sizes, 0, is_scalar) {
        return undefined(word);
    }
    Op { y: pair as u16, ..fields(word, Kind::VPair, false) }
}

/// The size is part of the code; lanes do not matter.
fn logic(word: u32) -> Op {
    use Three::{And, Bic, Bif, Bit, Bsl, Eor, Orn, Orr};
    let three = [And, Bic, Orr, Orn, Eor, Bsl, Bit, Bif]
        [(u32::from(bit(word, 29)) << 2 | bits(word, 23, 22)) as usize];
    let op = fields(word, Kind::VThree, false);
    Op { x: op.x & !3 | 3, y: three as u16, ..op }
}

/// The size field's upper bit belongs to the code, the lower one chooses between single and double.
fn float_fields(word: u32, kind: Kind, is_scalar: bool) -> Op {
    let op = fields(word, kind, is_scalar);
    Op { x: op.x & !3 | 2 | bit(word, 22) as u8, ..op }
}

/// Doubles need 128 bits.
fn is_short_double(word: u32, is_scalar: bool) -> bool {
    !is_scalar && bit(word, 22) && !bit(word, 30)
}

fn three_same_float(word: u32, is_scalar: bool) -> Op {
    use Float::{
        AbsDiff, AbsGe, AbsGt, Add, CompareEq, CompareGe, CompareGt, Div, Max, MaxNumber, Min, MinNumber,
        Mla, Mls, Mul, MulX, RecipStep, RsqrtStep, Sub,
    };
    if is_short_double(word, is_scalar) {
        return undefined(word);
    }
    let pair = |pair: FloatPair| Op { y: pair as u16, ..float_fields(word, Kind::VFloatPair, false) };
    // U, the upper bit of the size, opcode; and whether there is a scalar form.
    let (float, scalar) = match (bit(word, 29), bit(word, 23), bits(word, 15, 11)) {
        (false, false, 0b11000) => (MaxNumber, false),
        (false, false, 0b11001) => (Mla, false),
        (false, false, 0b11010) => (Add, false),
        (false, false, 0b11011) => (MulX, true),
        (false, false, 0b11100) => (CompareEq, true),
        (false, false, 0b11110) => (Max, false),
        (false, false, 0b11111) => (RecipStep, true),
        (false, true, 0b11000) => (MinNumber, false),
        (false, true, 0b11001) => (Mls, false),
        (false, true, 0b11010) => (Sub, false),
        (false, true, 0b11110) => (Min, false),
        (false, true, 0b11111) => (RsqrtStep, true),
        (true, false, 0b11011) => (Mul, false),
        (true, false, 0b11100) => (CompareGe, true),
        (true, false, 0b11101) => (AbsGe, true),
        (true, false, 0b11111) => (Div, false),
        (true, true, 0b11010) => (AbsDiff, true),
        (true, true, 0b11100) => (CompareGt, true),
        (true, true, 0b11101) => (AbsGt, true),
        _ if is_scalar => return undefined(word),
        (true, false, 0b11000) => return pair(FloatPair::MaxNumber),
        (true, false, 0b11010) => return pair(FloatPair::Add),
        (true, false, 0b11110) => return pair(FloatPair::Max),
        (true, true, 0b11000) => return pair(FloatPair::MinNumber),
        (true, true, 0b11110) => return pair(FloatPair::Min),
        _ => return undefined(word),
    };
    if is_scalar && !scalar {
        return undefined(word);
    }
    Op { y: float as u16, ..float_fields(word, Kind::VFloat, is_scalar) }
}

pub(super) fn three_different(word: u32, is_scalar: bool) -> Op {
    use Wide::{
        AbaL, AbdL, AddHn, AddL, AddW, MlaL, MlsL, MulL, PmulL, QdmlaL, QdmlsL, QdmulL, RAddHn, RSubHn,
        SubHn, SubL, SubW,
    };
    let u = bit(word, 29);
    let (wide, vector, scalar) = match bits(word, 15, 12) {
        0b0000 => (AddL, BHW, 0),
        0b0001 => (AddW, BHW, 0),
        0b0010 => (SubL, BHW, 0),
        0b0011 => (SubW, BHW, 0),
        0b0100 => (if u { RAddHn } else { AddHn }, BHW, 0),
        0b0101 => (AbaL, BHW, 0),
        0b0110 => (if u { RSubHn } else { SubHn }, BHW, 0),
        0b0111 => (AbdL, BHW, 0),
        0b1000 => (MlaL, BHW, 0),
        0b1001 if !u => (QdmlaL, HW, HW),
        0b1010 => (MlsL, BHW, 0),
        0b1011 if !u => (QdmlsL, HW, HW),
        0b1100 => (MulL, BHW, 0),
        0b1101 if !u => (QdmulL, HW, HW),
        0b1110 if !u => (PmulL, BYTE, 0),
        _ => return undefined(word),
    };
    if !allowed(word, bits(word, 23, 22), vector, scalar, is_scalar) {
        return undefined(word);
    }
    Op { y: wide as u16, ..fields(word, Kind::VWide, is_scalar) }
}

pub(super) fn two_register(word: u32, is_scalar: bool) -> Op {
    use Misc::{
        Abs, AdaLp, AddLp, Cls, Clz, CmEq, CmGe, CmGt, CmLe, CmLt, Cnt, Neg, Not, Qabs, Qneg, Rbit, Rev16,
        Rev32, Rev64, SuQadd,
    };
    let size = bits(word, 23, 22);
    let (misc, vector, scalar) = match code(word, 16, 12) {
        0b0_00000 => (Rev64, BHW, 0),
        0b1_00000 => (Rev32, 0b0011, 0),
        0b0_00001 => (Rev16, BYTE, 0),
        0b0_00010 | 0b1_00010 => (AddLp, BHW, 0),
        0b0_00011 | 0b1_00011 => (SuQadd, ALL, ALL),
        0b0_00100 => (Cls, BHW, 0),
        0b1_00100 => (Clz, BHW, 0),
        0b0_00101 => (Cnt, BYTE, 0),
        0b1_00101 if size == 0 => (Not, BYTE, 0),
        // The size is part of the code: these are bytes too.
        0b1_00101 if size == 1 && !is_scalar => {
            let op = fields(word, Kind::VMisc, false);
            return Op { x: op.x & !3, y: Rbit as u16, ..op };
        }
        0b0_00110 | 0b1_00110 => (AdaLp, BHW, 0),
        0b0_00111 => (Qabs, ALL, ALL),
        0b1_00111 => (Qneg, ALL, ALL),
        0b0_01000 => (CmGt, ALL, DOUBLE),
        0b1_01000 => (CmGe, ALL, DOUBLE),
        0b0_01001 => (CmEq, ALL, DOUBLE),
        0b1_01001 => (CmLe, ALL, DOUBLE),
        0b0_01010 => (CmLt, ALL, DOUBLE),
        0b0_01011 => (Abs, ALL, DOUBLE),
        0b1_01011 => (Neg, ALL, DOUBLE),
        _ => return narrow_or_float(word, is_scalar),
    };
    if !allowed(word, size, vector, scalar, is_scalar) {
        return undefined(word);
    }
    Op { y: misc as u16, ..fields(word, Kind::VMisc, is_scalar) }
}

fn narrow_or_float(word: u32, is_scalar: bool) -> Op {
    use Narrow::{FcvtL, FcvtN, FcvtXn, Qxtn, Qxtun, Shll, Xtn};
    let (narrow, vector, scalar) = match code(word, 16, 12) {
        0b0_10010 => (Xtn, BHW, 0),
        0b1_10010 => (Qxtun, BHW, BHW),
        0b1_10011 => (Shll, BHW, 0),
        0b0_10100 | 0b1_10100 => (Qxtn, BHW, BHW),
        // From and to single or double: the narrow side is of 16 or 32 bits.
        0b0_10110 => (FcvtN, 0b0011, 0),
        0b1_10110 => (FcvtXn, 0b0010, 0b0010),
        0b0_10111 => (FcvtL, 0b0011, 0),
        _ => return two_register_float(word, is_scalar),
    };
    let size = bits(word, 23, 22);
    let sizes = if is_scalar { scalar } else { vector };
    if sizes >> size & 1 == 0 {
        return undefined(word);
    }
    let mut op = Op { y: narrow as u16, ..fields(word, Kind::VNarrow, is_scalar) };
    if matches!(narrow, FcvtN | FcvtXn | FcvtL) {
        op.x += 1;
    }
    op
}

fn two_register_float(word: u32, is_scalar: bool) -> Op {
    use FloatMisc::{
        Abs, CompareEq, CompareGe, CompareGt, CompareLe, CompareLt, FromInt, Neg, Recpe, Recpx, Round,
        RoundCurrent, RoundExact, Rsqrte, Sqrt, ToInt,
    };
    if is_short_double(word, is_scalar) {
        return undefined(word);
    }
    let u = bit(word, 29);
    let none = Rounding::Even;
    // The upper bit of the size, opcode, U; whether there is a scalar form and a vector form.
    let (misc, rounding, scalar) = match (bit(word, 23), bits(word, 16, 12), u) {
        (false, 0b11000, false) => (Round, Rounding::Even, false),
        (false, 0b11000, true) => (Round, Rounding::Away, false),
        (false, 0b11001, false) => (Round, Rounding::Down, false),
        (false, 0b11001, true) => (RoundExact, none, false),
        (false, 0b11010, _) => (ToInt, Rounding::Even, true),
        (false, 0b11011, _) => (ToInt, Rounding::Down, true),
        (false, 0b11100, _) => (ToInt, Rounding::Away, true),
        (false, 0b11101, _) => (FromInt, none, true),
        (true, 0b01100, false) => (CompareGt, none, true),
        (true, 0b01100, true) => (CompareGe, none, true),
        (true, 0b01101, false) => (CompareEq, none, true),
        (true, 0b01101, true) => (CompareLe, none, true),
        (true, 0b01110, false) => (CompareLt, none, true),
        (true, 0b01111, false) => (Abs, none, false),
        (true, 0b01111, true) => (Neg, none, false),
        (true, 0b11000, false) => (Round, Rounding::Up, false),
        (true, 0b11001, false) => (Round, Rounding::Zero, false),
        (true, 0b11001, true) => (RoundCurrent, none, false),
        (true, 0b11010, _) => (ToInt, Rounding::Up, true),
        (true, 0b11011, _) => (ToInt, Rounding::Zero, true),
        // Integers of 32 bits only.
        (true, 0b11100, _) if !bit(word, 22) && !is_scalar => {
            let misc = if u { Misc::Ursqrte } else { Misc::Urecpe };
            return Op { y: misc as u16, ..fields(word, Kind::VMisc, false) };
        }
        (true, 0b11101, false) => (Recpe, none, true),
        (true, 0b11101, true) => (Rsqrte, none, true),
        (true, 0b11111, false) if is_scalar => (Recpx, none, true),
        (true, 0b11111, true) => (Sqrt, none, false),
        _ => return undefined(word),
    };
    if is_scalar && !scalar {
        return undefined(word);
    }
    Op { y: misc as u16, imm: rounding as u64, ..float_fields(word, Kind::VFloatMisc, is_scalar) }
}

pub(super) fn across(word: u32) -> Op {
    let (size, q) = (bits(word, 23, 22), bit(word, 30));
    let across = match code(word, 16, 12) {
        0b0_00011 | 0b1_00011 => Across::AddL,
        0b0_01010 | 0b1_01010 => Across::Max,
        0b0_11010 | 0b1_11010 => Across::Min,
        0b0_11011 => Across::Add,
        // Four singles.
        0b1_01100 | 0b1_01111 if q && size & 1 == 0 => {
            let across = match (size, bit(word, 12)) {
                (0, false) => Across::FMaxNumber,
                (0, true) => Across::FMax,
                (_, false) => Across::FMinNumber,
                (_, true) => Across::FMin,
            };
            return Op { y: across as u16, ..float_fields(word, Kind::VAcross, false) };
        }
        _ => return undefined(word),
    };
    // Two words are no vector to reduce.
    if size == 3 || (size == 2 && !q) {
        return undefined(word);
    }
    Op { y: across as u16, ..fields(word, Kind::VAcross, false) }
}

/// The two elements of one register to a scalar. The executor takes the upper half as the second one.
pub(super) fn scalar_pair(word: u32) -> Op {
    let pair = match (bit(word, 23), code(word, 16, 12)) {
        (true, 0b0_11011) if bit(word, 22) => {
            return Op { y: Pair::Add as u16, ..fields(word, Kind::VPair, true) };
        }
        (false, 0b1_01100) => FloatPair::MaxNumber,
        (true, 0b1_01100) => FloatPair::MinNumber,
        (false, 0b1_01101) => FloatPair::Add,
        (false, 0b1_01111) => FloatPair::Max,
        (true, 0b1_01111) => FloatPair::Min,
        _ => return undefined(word),
    };
    let op = float_fields(word, Kind::VFloatPair, true);
    Op { y: pair as u16, x: op.x & !Shape::U, ..op }
}
