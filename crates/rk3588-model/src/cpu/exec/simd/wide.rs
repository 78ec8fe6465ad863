// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From narrow to wide lanes and back. The shape is that of the narrow side; Q chooses its half of the register.

use super::lane::{self, number, saturate};
use crate::cpu::float::{Env, Format, Rounding, convert};
use crate::cpu::op::Op;
use crate::cpu::simd::{Narrow, Shape, State, Wide};

/// The half of a register that the shape chooses, as its lower half.
pub fn lengthened(value: u128, shape: Shape) -> u128 {
    if shape.has(Shape::Q) { value >> 64 } else { value }
}

/// The shape of the wide side.
fn wide_shape(shape: Shape) -> Shape {
    Shape(shape.wider().log2() | if shape.has(Shape::SCALAR) { Shape::SCALAR } else { Shape::Q })
}

/// Narrow lanes from `f`: as the lower half, the rest cleared, or as the upper half of `old`.
pub fn narrowed(old: u128, shape: Shape, f: impl FnMut(u32) -> u64) -> u128 {
    if shape.has(Shape::SCALAR) {
        return lane::each(shape, f);
    }
    let half = lane::each(Shape(shape.log2()), f);
    if shape.has(Shape::Q) { old & u128::from(u64::MAX) | half << 64 } else { half }
}

/// "Three different".
pub fn different(file: &mut State, op: &Op) {
    use Wide::{
        AbaL, AbdL, AddHn, AddL, AddW, MlaL, MlsL, MulL, PmulL, QdmlaL, QdmlsL, QdmulL, RAddHn, RSubHn,
        SubHn, SubL, SubW,
    };
    let shape = Shape(op.x);
    let (n, m, old) = (file.get(op.n), file.second(op), file.get(op.d));
    let (wide, which) = (wide_shape(shape), Wide::of(op));
    if matches!(which, AddHn | RAddHn | SubHn | RSubHn) {
        let half = if matches!(which, RAddHn | RSubHn) { 1 << (shape.bits() - 1) } else { 0_u64 };
        let result = narrowed(old, shape, |at| {
            let (a, b) = (lane::get(n, wide, at), lane::get(m, wide, at));
            let value = if matches!(which, AddHn | RAddHn) { a.wrapping_add(b) } else { a.wrapping_sub(b) };
            value.wrapping_add(half) >> shape.bits()
        });
        return file.set(op.d, result);
    }
    let unsigned = shape.has(Shape::U);
    // An element was put into all lanes, so that both halves have it.
    let (low_n, low_m) = (lengthened(n, shape), lengthened(m, shape));
    let mut saturated = false;
    let result = lane::each(wide, |at| {
        let narrow = |value: u128| number(lane::get(value, shape, at), shape, unsigned);
        let (a, b) = (narrow(low_n), narrow(low_m));
        let wide_n = lane::get(n, wide, at);
        let old = lane::get(old, wide, at);
        let mut keep = |value: i128| {
            let (value, is_saturated) = saturate(value, wide, false);
            saturated |= is_saturated;
            value
        };
        match which {
            AddL => (a + b) as u64,
            AddW => wide_n.wrapping_add(b as u64),
            SubL => (a - b) as u64,
            SubW => wide_n.wrapping_sub(b as u64),
            AbaL => old.wrapping_add((a - b).unsigned_abs() as u64),
            AbdL => (a - b).unsigned_abs() as u64,
            MlaL => old.wrapping_add((a * b) as u64),
            MlsL => old.wrapping_sub((a * b) as u64),
            MulL => (a * b) as u64,
            QdmulL => keep(2 * a * b),
            // The product is saturated, then the sum.
            QdmlaL | QdmlsL => {
                let product = number(keep(2 * a * b), wide, false);
                let old = number(old, wide, false);
                keep(if which == QdmlaL { old + product } else { old - product })
            }
            PmulL => super::integer::polynomial(a as u64 & 0xff, b as u64 & 0xff),
            AddHn | RAddHn | SubHn | RSubHn => 0,
        }
    });
    file.note_saturation(saturated);
    file.set(op.d, result);
}

/// XTN and its like, and changes of precision.
pub fn narrow(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let (n, old) = (file.get(op.n), file.get(op.d));
    let (wide, which) = (wide_shape(shape), Narrow::of(op));
    let unsigned = shape.has(Shape::U);
    let mut env = Env::new(file.control);
    if which == Narrow::FcvtXn {
        env.rounding = Rounding::Odd;
    }
    let (small, large) = (Format::of(shape.log2()), Format::of(wide.log2()));
    let low = lengthened(n, shape);
    let mut saturated = false;
    let mut keep = |value: i128, unsigned: bool| {
        let (value, is_saturated) = saturate(value, shape, unsigned);
        saturated |= is_saturated;
        value
    };
    let result = match which {
        Narrow::Shll => lane::each(wide, |at| lane::get(low, shape, at) << shape.bits()),
        Narrow::FcvtL => lane::each(wide, |at| convert(&mut env, lane::get(low, shape, at), small, large)),
        _ => narrowed(old, shape, |at| {
            let lane = lane::get(n, wide, at);
            match which {
                Narrow::FcvtN | Narrow::FcvtXn => convert(&mut env, lane, large, small),
                Narrow::Qxtun => keep(number(lane, wide, false), true),
                Narrow::Qxtn => keep(number(lane, wide, unsigned), unsigned),
                Narrow::Xtn | Narrow::Shll | Narrow::FcvtL => lane,
            }
        }),
    };
    file.note_saturation(saturated);
    file.status |= env.flags;
    file.set(op.d, result);
}
