// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lanes of integers to lanes of the same width, and reductions.

use super::lane::{self, mask, number, saturate};
use super::{float, shift};
use crate::cpu::float::{unsigned_recip, unsigned_rsqrt};
use crate::cpu::op::Op;
use crate::cpu::simd::{Across, Misc, Pair, Shape, State, Three};

/// Product without carries, of 8 bits.
pub fn polynomial(a: u64, b: u64) -> u64 {
    (0..8).filter(|at| b >> at & 1 != 0).fold(0, |all, at| all ^ a << at)
}

/// Two vectors to one.
pub fn three(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let (n, m, old) = (file.get(op.n), file.second(op), file.get(op.d));
    let three = Three::of(op);
    let result = match three {
        Three::And => lane::cut(shape, n & m),
        Three::Bic => lane::cut(shape, n & !m),
        Three::Orr => lane::cut(shape, n | m),
        Three::Orn => lane::cut(shape, n | !m),
        Three::Eor => lane::cut(shape, n ^ m),
        Three::Bsl => lane::cut(shape, old & n | !old & m),
        Three::Bit => lane::cut(shape, m & n | !m & old),
        Three::Bif => lane::cut(shape, !m & n | m & old),
        _ => {
            let mut saturated = false;
            let result = lane::each(shape, |at| {
                let lanes = [n, m, old].map(|value| lane::get(value, shape, at));
                three_lane(three, shape, lanes, &mut saturated)
            });
            file.note_saturation(saturated);
            result
        }
    };
    file.set(op.d, result);
}

/// One lane of them.
fn three_lane(three: Three, shape: Shape, [n, m, old]: [u64; 3], saturated: &mut bool) -> u64 {
    let unsigned = shape.has(Shape::U);
    let (a, b) = (number(n, shape, unsigned), number(m, shape, unsigned));
    let mut keep = |value: i128, unsigned: bool| {
        let (value, is_saturated) = saturate(value, shape, unsigned);
        *saturated |= is_saturated;
        value
    };
    match three {
        Three::Hadd => ((a + b) >> 1) as u64,
        Three::Rhadd => ((a + b + 1) >> 1) as u64,
        Three::Hsub => ((a - b) >> 1) as u64,
        Three::Qadd => keep(a + b, unsigned),
        Three::Qsub => keep(a - b, unsigned),
        Three::Cmgt => mask(a > b),
        Three::Cmge => mask(a >= b),
        Three::Cmeq => mask(n == m),
        Three::Cmtst => mask(n & m != 0),
        Three::Shl => shift::by(a, m as i8, false) as u64,
        Three::Rshl => shift::by(a, m as i8, true) as u64,
        Three::Qshl => keep(shift::by(a, m as i8, false), unsigned),
        Three::Qrshl => keep(shift::by(a, m as i8, true), unsigned),
        Three::Max => a.max(b) as u64,
        Three::Min => a.min(b) as u64,
        Three::Abd => (a - b).unsigned_abs() as u64,
        Three::Aba => old.wrapping_add((a - b).unsigned_abs() as u64),
        Three::Add => n.wrapping_add(m),
        Three::Sub => n.wrapping_sub(m),
        Three::Mul => n.wrapping_mul(m),
        Three::Mla => old.wrapping_add(n.wrapping_mul(m)),
        Three::Mls => old.wrapping_sub(n.wrapping_mul(m)),
        Three::Pmul => polynomial(n, m),
        // Signed, whatever U says: that is the rounding.
        Three::Qdmulh | Three::Qrdmulh => {
            let (a, b) = (number(n, shape, false), number(m, shape, false));
            let half = if three == Three::Qrdmulh { 1 << (shape.bits() - 1) } else { 0 };
            keep((2 * a * b + half) >> shape.bits(), false)
        }
        // Done on whole registers.
        Three::And
        | Three::Bic
        | Three::Orr
        | Three::Orn
        | Three::Eor
        | Three::Bsl
        | Three::Bit
        | Three::Bif => 0,
    }
}

/// The lane `at` of the concatenation of two registers, `m` above `n`, and the one behind it.
pub fn neighbours(n: u128, m: u128, shape: Shape, at: u32) -> (u64, u64) {
    let lanes = shape.lanes();
    let get = |at: u32| if at < lanes { lane::get(n, shape, at) } else { lane::get(m, shape, at - lanes) };
    (get(2 * at), get(2 * at + 1))
}

/// ADDP and its like. A scalar result is of the two lanes of one register.
pub fn pair(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let (n, m) = (file.get(op.n), file.get(op.m));
    let unsigned = shape.has(Shape::U);
    let result = lane::each(shape, |at| {
        let (a, b) = if shape.has(Shape::SCALAR) {
            (lane::get(n, shape, 0), lane::get(n, shape, 1))
        } else {
            neighbours(n, m, shape, at)
        };
        let (x, y) = (number(a, shape, unsigned), number(b, shape, unsigned));
        match Pair::of(op) {
            Pair::Add => a.wrapping_add(b),
            Pair::Max => x.max(y) as u64,
            Pair::Min => x.min(y) as u64,
        }
    });
    file.set(op.d, result);
}

/// The bytes of each unit of `1 << unit` bytes in lanes of another order.
fn reverse(n: u128, shape: Shape, unit: u8) -> u128 {
    let lanes = 1 << (unit - shape.log2());
    lane::each(shape, |at| lane::get(n, shape, at ^ (lanes - 1)))
}

/// One vector to one.
pub fn misc(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let (n, old) = (file.get(op.n), file.get(op.d));
    let misc = Misc::of(op);
    let mut saturated = false;
    let result = match misc {
        Misc::Rev64 => reverse(n, shape, 3),
        Misc::Rev32 => reverse(n, shape, 2),
        Misc::Rev16 => reverse(n, shape, 1),
        Misc::AddLp | Misc::AdaLp => {
            let (wide, unsigned) = (shape.wider(), shape.has(Shape::U));
            lane::each(wide, |at| {
                let part = |at: u32| number(lane::get(n, shape, at), shape, unsigned);
                let sum = (part(2 * at) + part(2 * at + 1)) as u64;
                if misc == Misc::AdaLp { sum.wrapping_add(lane::get(old, wide, at)) } else { sum }
            })
        }
        _ => lane::each(shape, |at| {
            misc_lane(misc, shape, lane::get(n, shape, at), lane::get(old, shape, at), &mut saturated)
        }),
    };
    file.note_saturation(saturated);
    file.set(op.d, result);
}

fn misc_lane(misc: Misc, shape: Shape, n: u64, old: u64, saturated: &mut bool) -> u64 {
    let signed = number(n, shape, false);
    let unused = 64 - shape.bits();
    let mut keep = |value: i128, unsigned: bool| {
        let (value, is_saturated) = saturate(value, shape, unsigned);
        *saturated |= is_saturated;
        value
    };
    match misc {
        // SUQADD is signed with an unsigned addend, USQADD the other way round.
        Misc::SuQadd => {
            let unsigned = shape.has(Shape::U);
            keep(number(n, shape, !unsigned) + number(old, shape, unsigned), unsigned)
        }
        Misc::Cls => {
            let value = if signed < 0 { !n } else { n };
            u64::from((value << unused).leading_zeros().min(shape.bits()) - 1)
        }
        Misc::Clz => u64::from((n << unused).leading_zeros().min(shape.bits())),
        Misc::Cnt => n.count_ones().into(),
        Misc::Not => !n,
        Misc::Rbit => n.reverse_bits() >> 56,
        Misc::Qabs => keep(signed.abs(), false),
        Misc::Qneg => keep(-signed, false),
        Misc::CmGt => mask(signed > 0),
        Misc::CmGe => mask(signed >= 0),
        Misc::CmEq => mask(signed == 0),
        Misc::CmLe => mask(signed <= 0),
        Misc::CmLt => mask(signed < 0),
        Misc::Abs => signed.unsigned_abs() as u64,
        Misc::Neg => n.wrapping_neg(),
        Misc::Urecpe => unsigned_recip(n as u32).into(),
        Misc::Ursqrte => unsigned_rsqrt(n as u32).into(),
        // Done on whole registers.
        Misc::Rev64 | Misc::Rev32 | Misc::Rev16 | Misc::AddLp | Misc::AdaLp => 0,
    }
}

/// A vector to one element.
pub fn across(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let n = file.get(op.n);
    let unsigned = shape.has(Shape::U);
    let numbers = || (0..shape.lanes()).map(|at| number(lane::get(n, shape, at), shape, unsigned));
    let (value, result) = match Across::of(op) {
        Across::AddL => (numbers().sum(), shape.wider()),
        Across::Add => (numbers().sum(), shape),
        Across::Max => (numbers().max().unwrap_or(0), shape),
        Across::Min => (numbers().min().unwrap_or(0), shape),
        across => return float::across(file, op, across),
    };
    file.set(op.d, lane::put(0, result, 0, value as u64));
}
