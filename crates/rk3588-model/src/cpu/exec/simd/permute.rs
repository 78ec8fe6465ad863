// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Elements that move.

use super::lane;
use crate::cpu::core::Core;
use crate::cpu::op::Op;
use crate::cpu::simd::{Copy, Permute, Shape, State};

/// Elements of two registers in another order, and look-ups in tables.
pub fn execute(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let (n, m, old) = (file.get(op.n), file.get(op.m), file.get(op.d));
    let lanes = shape.lanes();
    let of = |value: u128, at: u32| lane::get(value, shape, at);
    // Lane `at` of both registers behind each other.
    let both = |at: u32| if at < lanes { of(n, at) } else { of(m, at - lanes) };
    let half = lanes / 2;
    let zip = |at: u32| of(if at & 1 == 0 { n } else { m }, at / 2);
    let transpose = |at: u32, odd: u32| of(if at & 1 == 0 { n } else { m }, at & !1 | odd);
    let bytes = Shape(shape.0 & Shape::Q);
    let result = match Permute::of(op) {
        Permute::Uzp1 => lane::each(shape, |at| both(2 * at)),
        Permute::Uzp2 => lane::each(shape, |at| both(2 * at + 1)),
        Permute::Zip1 => lane::each(shape, zip),
        Permute::Zip2 => lane::each(shape, |at| zip(at + 2 * half)),
        Permute::Trn1 => lane::each(shape, |at| transpose(at, 0)),
        Permute::Trn2 => lane::each(shape, |at| transpose(at, 1)),
        Permute::Extract => {
            let width = bytes.lanes();
            lane::each(bytes, |at| match at + u32::from(op.a) {
                at if at < width => lane::get(n, bytes, at),
                at => lane::get(m, bytes, at - width),
            })
        }
        permute @ (Permute::Table | Permute::TableExtend) => lane::each(bytes, |at| {
            let index = lane::get(m, bytes, at) as u8;
            if index < 16 * op.a {
                lane::get(file.get((op.n + index / 16) & 31), bytes, u32::from(index & 15))
            } else if permute == Permute::TableExtend {
                lane::get(old, bytes, at)
            } else {
                0
            }
        }),
    };
    file.set(op.d, result);
}

/// DUP, INS, SMOV, UMOV.
pub fn copy(core: &mut Core, op: &Op) {
    let shape = Shape(op.x);
    let number = u32::from(op.a);
    let vector = core.simd.get(op.n);
    let general = core.r[usize::from(op.n & 63)];
    let result = match Copy::of(op) {
        Copy::DupElement => {
            let lane = lane::get(vector, shape, number);
            lane::each(shape, |_| lane)
        }
        Copy::DupGeneral => lane::each(shape, |_| general),
        Copy::InsertGeneral => lane::put(core.simd.get(op.d), shape, number, general),
        Copy::InsertElement => {
            let lane = lane::get(vector, shape, op.imm as u32);
            lane::put(core.simd.get(op.d), shape, number, lane)
        }
        to_general => {
            let lane = lane::get(vector, shape, number);
            let signed = lane::number(lane, shape, false) as u64;
            core.r[usize::from(op.d & 63)] = match to_general {
                Copy::ToSigned64 => signed,
                Copy::ToSigned32 => signed & 0xffff_ffff,
                _ => lane,
            };
            return;
        }
    };
    core.simd.set(op.d, result);
}
