// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Scalar floating point that meets flags and general registers.

use crate::cpu::core::{Core, holds};
use crate::cpu::float::{Env, Format, Rounding, compare, from_integer, mul_add, to_integer};
use crate::cpu::op::Op;
use crate::cpu::simd::{Scalar, Shape};
use std::cmp::Ordering;

/// NZCV of a comparison (DDI 0487, `FPCompare`).
const fn flags(order: Option<Ordering>) -> u32 {
    match order {
        Some(Ordering::Equal) => 0b0110,
        Some(Ordering::Less) => 0b1000,
        Some(Ordering::Greater) => 0b0010,
        None => 0b0011,
    }
}

/// Executes one of them.
pub fn execute(core: &mut Core, op: &Op) {
    use Scalar::{
        Compare, CompareSignal, CompareZero, CompareZeroSignal, ConditionalCompare, ConditionalCompareSignal,
        FromGeneral32, FromGeneral64, MoveFromGeneral, MoveToGeneral, MoveTopFromGeneral, MoveTopToGeneral,
        MulAdd, MulSub, NegMulAdd, NegMulSub, Select, ToGeneral32, ToGeneral64,
    };
    let shape = Shape(op.x);
    let format = Format::of(shape.log2());
    let read = |register: u8| super::lane::get(core.simd.get(register), shape, 0);
    let (n, m, a) = (read(op.n), read(op.m), read(op.a));
    let general = core.r[usize::from(op.n & 63)];
    let mut env = Env::new(core.simd.control);
    let sign = format.sign();
    let scalar = Scalar::of(op);
    let integer = |width: u32| (width, shape.has(Shape::U), u32::from(op.a));
    match scalar {
        Compare | CompareZero | CompareSignal | CompareZeroSignal => {
            let m = if matches!(scalar, CompareZero | CompareZeroSignal) { 0 } else { m };
            let signals = matches!(scalar, CompareSignal | CompareZeroSignal);
            core.nzcv = flags(compare(&mut env, n, m, signals, format));
        }
        ConditionalCompare | ConditionalCompareSignal => {
            core.nzcv = if holds(op.a, core.nzcv) {
                flags(compare(&mut env, n, m, scalar == ConditionalCompareSignal, format))
            } else {
                op.imm as u32
            };
        }
        Select => core.simd.set(op.d, if holds(op.a, core.nzcv) { n } else { m }.into()),
        MulAdd | MulSub | NegMulAdd | NegMulSub => {
            let addend = if matches!(scalar, NegMulAdd | NegMulSub) { a ^ sign } else { a };
            let factor = if matches!(scalar, MulSub | NegMulAdd) { n ^ sign } else { n };
            let result = mul_add(&mut env, addend, factor, m, format);
            core.simd.set(op.d, result.into());
        }
        ToGeneral64 | ToGeneral32 => {
            let width = if scalar == ToGeneral64 { 64 } else { 32 };
            let result = to_integer(&mut env, n, format, integer(width), Rounding::numbered(op.imm));
            core.r[usize::from(op.d & 63)] = result;
        }
        FromGeneral64 | FromGeneral32 => {
            let width = if scalar == FromGeneral64 { 64 } else { 32 };
            let result = from_integer(&mut env, general, integer(width), format);
            core.simd.set(op.d, result.into());
        }
        MoveToGeneral => core.r[usize::from(op.d & 63)] = n,
        MoveFromGeneral => {
            let value = super::lane::put(0, shape, 0, general);
            core.simd.set(op.d, value);
        }
        MoveTopToGeneral => core.r[usize::from(op.d & 63)] = (core.simd.get(op.n) >> 64) as u64,
        MoveTopFromGeneral => {
            let old = core.simd.get(op.d);
            core.simd.set(op.d, old & u128::from(u64::MAX) | u128::from(general) << 64);
        }
    }
    core.simd.status |= env.flags;
}
