// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Shifts.

use super::lane::{self, number, saturate};
use crate::cpu::op::Op;
use crate::cpu::simd::{Shape, Shift, ShiftNarrow, State};

/// To the left, or by a negative amount to the right with or without rounding. What leaves 128 bits on the left is
/// more than any lane holds, and is kept as such.
pub fn by(value: i128, amount: i8, rounds: bool) -> i128 {
    match amount {
        0.. if amount < 64 => value << amount,
        0.. => {
            // A multiple of every lane's modulus, with the sign, and too large for each.
            value.signum() << 100
        }
        _ => right(value, u32::from(amount.unsigned_abs()), rounds),
    }
}

/// To the right; `amount` is not 0.
pub fn right(value: i128, amount: u32, rounds: bool) -> i128 {
    let amount = amount.min(126);
    let half = if rounds { 1 << (amount - 1) } else { 0 };
    (value + half) >> amount
}

/// By an amount.
pub fn same(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let (n, old) = (file.get(op.n), file.get(op.d));
    let amount = u32::from(op.a);
    let unsigned = shape.has(Shape::U);
    let ones = u64::MAX >> (64 - shape.bits());
    let mut saturated = false;
    let result = lane::each(shape, |at| {
        let (lane, old) = (lane::get(n, shape, at), lane::get(old, shape, at));
        let value = number(lane, shape, unsigned);
        let mut keep = |value: i128, unsigned: bool| {
            let (value, is_saturated) = saturate(value, shape, unsigned);
            saturated |= is_saturated;
            value
        };
        match Shift::of(op) {
            Shift::Right => right(value, amount, false) as u64,
            Shift::RoundRight => right(value, amount, true) as u64,
            Shift::RightAdd => old.wrapping_add(right(value, amount, false) as u64),
            Shift::RoundRightAdd => old.wrapping_add(right(value, amount, true) as u64),
            Shift::RightInsert => {
                let kept = if amount == shape.bits() { u64::MAX } else { !(ones >> amount) };
                old & kept | right(lane.into(), amount, false) as u64
            }
            Shift::Left => lane << amount,
            Shift::LeftInsert => old & !(ones << amount) | lane << amount,
            Shift::QleftU => keep(number(lane, shape, false) << amount, true),
            Shift::Qleft => keep(value << amount, unsigned),
        }
    });
    file.note_saturation(saturated);
    file.set(op.d, result);
}

/// By an amount, to half or twice the width.
pub fn narrow(file: &mut State, op: &Op) {
    use ShiftNarrow::{Left, Qrshrn, Qrshrun, Qshrn, Qshrun, Rshrn, Shrn};
    let shape = Shape(op.x);
    let wide = shape.wider();
    let (n, old) = (file.get(op.n), file.get(op.d));
    let amount = u32::from(op.a);
    let unsigned = shape.has(Shape::U);
    let narrow = ShiftNarrow::of(op);
    if narrow == Left {
        let lengthened = super::wide::lengthened(n, shape);
        let result = lane::each(Shape(wide.log2() | Shape::Q), |at| {
            (number(lane::get(lengthened, shape, at), shape, unsigned) << amount) as u64
        });
        return file.set(op.d, result);
    }
    let rounds = matches!(narrow, Rshrn | Qrshrun | Qrshrn);
    let mut saturated = false;
    let result = super::wide::narrowed(old, shape, |at| {
        // SQSHRUN has U, and takes signed values all the same.
        let value = number(lane::get(n, wide, at), wide, unsigned && matches!(narrow, Qshrn | Qrshrn));
        let shifted = right(value, amount, rounds);
        let (value, is_saturated) = match narrow {
            Shrn | Rshrn | Left => (shifted as u64, false),
            Qshrun | Qrshrun => saturate(shifted, shape, true),
            Qshrn | Qrshrn => saturate(shifted, shape, unsigned),
        };
        saturated |= is_saturated;
        value
    });
    file.note_saturation(saturated);
    file.set(op.d, result);
}
