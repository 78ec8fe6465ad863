// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lanes of a register.

use crate::cpu::simd::Shape;

/// One lane, zero-extended.
pub fn get(value: u128, shape: Shape, number: u32) -> u64 {
    let bits = shape.bits();
    (value >> ((number * bits) & 127)) as u64 & u64::MAX >> (64 - bits)
}

/// A register with one lane replaced.
pub fn put(value: u128, shape: Shape, number: u32, lane: u64) -> u128 {
    let (bits, at) = (shape.bits(), (number * shape.bits()) & 127);
    let mask = u128::from(u64::MAX >> (64 - bits));
    value & !(mask << at) | (u128::from(lane) & mask) << at
}

/// A lane as a number: of its sign, or not.
pub fn number(lane: u64, shape: Shape, unsigned: bool) -> i128 {
    let unused = 64 - shape.bits();
    if unsigned { lane.into() } else { ((lane << unused) as i64 >> unused).into() }
}

/// The lanes `f` gives for their numbers; the rest is zero.
pub fn each(shape: Shape, mut f: impl FnMut(u32) -> u64) -> u128 {
    (0..shape.lanes()).fold(0, |all, number| put(all, shape, number, f(number)))
}

/// One value in all lanes of 128 bits.
pub fn fill(shape: Shape, lane: u64) -> u128 {
    each(Shape(shape.log2() | Shape::Q), |_| lane)
}

/// The part of a value that an operation of this shape writes; the rest is cleared.
pub fn cut(shape: Shape, value: u128) -> u128 {
    if shape.has(Shape::SCALAR) {
        value & u128::from(u64::MAX >> (64 - shape.bits()))
    } else if shape.has(Shape::Q) {
        value
    } else {
        value & u128::from(u64::MAX)
    }
}

/// The nearest number that a lane can hold, and whether it is another one.
pub fn saturate(value: i128, shape: Shape, unsigned: bool) -> (u64, bool) {
    let top = 1_i128 << (shape.bits() - 1);
    let (lowest, highest) = if unsigned { (0, 2 * top - 1) } else { (-top, top - 1) };
    let kept = value.clamp(lowest, highest);
    (kept as u64, kept != value)
}

/// All ones for true.
pub const fn mask(condition: bool) -> u64 {
    if condition { u64::MAX } else { 0 }
}
