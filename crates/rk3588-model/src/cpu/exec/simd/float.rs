// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lanes of floating-point numbers; a scalar is one lane.

use super::integer::neighbours;
use super::lane::{self, mask};
use crate::cpu::float::{
    self, DOUBLE, Env, Format, HALF, Rounding, SINGLE, add, compare, div, from_integer, max, max_number, min,
    min_number, mul, mul_add, mul_extended, recip_estimate, recip_exponent, recip_step, rsqrt_estimate,
    rsqrt_step, sqrt, to_integer,
};
use crate::cpu::op::Op;
use crate::cpu::simd::{Across, Float, FloatMisc, FloatPair, Shape, State};
use std::cmp::Ordering;

/// Two vectors to one.
pub fn two(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let (n, m, old) = (file.get(op.n), file.second(op), file.get(op.d));
    let (float, format) = (Float::of(op), Format::of(shape.log2()));
    let mut env = Env::new(file.control);
    let result = lane::each(shape, |at| {
        let [n, m, old] = [n, m, old].map(|value| lane::get(value, shape, at));
        two_lane(&mut env, float, format, [n, m, old])
    });
    file.status |= env.flags;
    file.set(op.d, result);
}

fn two_lane(env: &mut Env, float: Float, format: Format, [n, m, old]: [u64; 3]) -> u64 {
    let sign = format.sign();
    let mut holds = |n: u64, m: u64, signals: bool, wanted: fn(Ordering) -> bool| {
        mask(compare(env, n, m, signals, format).is_some_and(wanted))
    };
    match float {
        Float::CompareEq => holds(n, m, false, Ordering::is_eq),
        Float::CompareGe => holds(n, m, true, Ordering::is_ge),
        Float::CompareGt => holds(n, m, true, Ordering::is_gt),
        Float::AbsGe => holds(n & !sign, m & !sign, true, Ordering::is_ge),
        Float::AbsGt => holds(n & !sign, m & !sign, true, Ordering::is_gt),
        Float::Add => add(env, n, m, false, format),
        Float::Sub => add(env, n, m, true, format),
        Float::AbsDiff => add(env, n, m, true, format) & !sign,
        Float::Mul => mul(env, n, m, format),
        Float::NegMul => mul(env, n, m, format) ^ sign,
        Float::MulX => mul_extended(env, n, m, format),
        Float::Div => div(env, n, m, format),
        Float::Max => max(env, n, m, format),
        Float::Min => min(env, n, m, format),
        Float::MaxNumber => max_number(env, n, m, format),
        Float::MinNumber => min_number(env, n, m, format),
        Float::RecipStep => recip_step(env, n, m, format),
        Float::RsqrtStep => rsqrt_step(env, n, m, format),
        Float::Mla => mul_add(env, old, n, m, format),
        Float::Mls => mul_add(env, old, n ^ sign, m, format),
    }
}

/// FADDP and its like. A scalar result is of the two lanes of one register.
pub fn pair(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let (n, m) = (file.get(op.n), file.get(op.m));
    let format = Format::of(shape.log2());
    let mut env = Env::new(file.control);
    let result = lane::each(shape, |at| {
        let (a, b) = if shape.has(Shape::SCALAR) {
            (lane::get(n, shape, 0), lane::get(n, shape, 1))
        } else {
            neighbours(n, m, shape, at)
        };
        match FloatPair::of(op) {
            FloatPair::Add => add(&mut env, a, b, false, format),
            FloatPair::Max => max(&mut env, a, b, format),
            FloatPair::Min => min(&mut env, a, b, format),
            FloatPair::MaxNumber => max_number(&mut env, a, b, format),
            FloatPair::MinNumber => min_number(&mut env, a, b, format),
        }
    });
    file.status |= env.flags;
    file.set(op.d, result);
}

/// FMAXV and its like: by halves, as `Reduce` of the manual.
pub fn across(file: &mut State, op: &Op, across: Across) {
    let shape = Shape(op.x);
    let n = file.get(op.n);
    let format = Format::of(shape.log2());
    let mut env = Env::new(file.control);
    let mut reduce = |a, b| match across {
        Across::FMaxNumber => max_number(&mut env, a, b, format),
        Across::FMax => max(&mut env, a, b, format),
        Across::FMinNumber => min_number(&mut env, a, b, format),
        _ => min(&mut env, a, b, format),
    };
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| lane::get(n, shape, at));
    let (low, high) = (reduce(a, b), reduce(c, d));
    let result = reduce(low, high);
    file.status |= env.flags;
    file.set(op.d, result.into());
}

/// One vector to one.
pub fn misc(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let n = file.get(op.n);
    let misc = FloatMisc::of(op);
    let mut env = Env::new(file.control);
    let rounding = Rounding::numbered(op.imm);
    let format = Format::of(shape.log2());
    // Results of another width are scalar.
    let result_shape = match misc {
        FloatMisc::ToHalf => Shape(Shape::SCALAR | 1),
        FloatMisc::ToSingle => Shape(Shape::SCALAR | 2),
        FloatMisc::ToDouble => Shape(Shape::SCALAR | 3),
        _ => shape,
    };
    let integer = (shape.bits(), shape.has(Shape::U), u32::from(op.a));
    let result = lane::each(result_shape, |at| {
        let lane = lane::get(n, shape, at);
        let env = &mut env;
        match misc {
            FloatMisc::Round => float::round_to_integral(env, lane, rounding, false, format),
            FloatMisc::RoundExact => float::round_to_integral(env, lane, env.rounding, true, format),
            FloatMisc::RoundCurrent => float::round_to_integral(env, lane, env.rounding, false, format),
            FloatMisc::ToInt => to_integer(env, lane, format, integer, rounding),
            FloatMisc::FromInt => from_integer(env, lane, integer, format),
            FloatMisc::CompareGt => mask(compare(env, lane, 0, true, format).is_some_and(Ordering::is_gt)),
            FloatMisc::CompareGe => mask(compare(env, lane, 0, true, format).is_some_and(Ordering::is_ge)),
            FloatMisc::CompareEq => mask(compare(env, lane, 0, false, format).is_some_and(Ordering::is_eq)),
            FloatMisc::CompareLe => mask(compare(env, lane, 0, true, format).is_some_and(Ordering::is_le)),
            FloatMisc::CompareLt => mask(compare(env, lane, 0, true, format).is_some_and(Ordering::is_lt)),
            FloatMisc::Abs => lane & !format.sign(),
            FloatMisc::Neg => lane ^ format.sign(),
            FloatMisc::Recpe => recip_estimate(env, lane, format),
            FloatMisc::Rsqrte => rsqrt_estimate(env, lane, format),
            FloatMisc::Recpx => recip_exponent(env, lane, format),
            FloatMisc::Sqrt => sqrt(env, lane, format),
            FloatMisc::Move => lane,
            FloatMisc::ToHalf => float::convert(env, lane, format, HALF),
            FloatMisc::ToSingle => float::convert(env, lane, format, SINGLE),
            FloatMisc::ToDouble => float::convert(env, lane, format, DOUBLE),
        }
    });
    file.status |= env.flags;
    file.set(op.d, result);
}
