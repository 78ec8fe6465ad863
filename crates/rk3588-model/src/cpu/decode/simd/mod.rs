// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Floating point and Advanced SIMD of Armv8.0 (DDI 0487, C4.1, "Data Processing -- Scalar Floating-Point and Advanced
//! SIMD"). What later versions added (half precision, dot product, RDM, cryptography) is undefined.

mod element;
mod float;
mod immediate;
mod memory;
mod register;
mod vector;

pub(super) use memory::decode as decode_memory;

use super::super::op::{Kind, Op};
use super::super::simd::Shape;
use super::{bit, bits, reg, undefined};

/// Decodes a word of this class.
pub(super) fn decode(word: u32) -> Op {
    let (is_scalar, top) = (bit(word, 28), bits(word, 31, 30));
    match (is_scalar, bit(word, 24)) {
        (true, false) if !bit(word, 30) => float::decode(word),
        (true, true) if !bit(word, 30) => float::three(word),
        (false, _) if top & 2 != 0 => undefined(word),
        (true, _) if top != 1 => undefined(word),
        (_, false) if bit(word, 21) && bit(word, 10) => vector::three_same(word, is_scalar),
        (_, false) if bit(word, 21) => match (bit(word, 11), bits(word, 20, 17)) {
            (false, _) => vector::three_different(word, is_scalar),
            (true, 0b0000) => vector::two_register(word, is_scalar),
            (true, 0b1000) if is_scalar => vector::scalar_pair(word),
            (true, 0b1000) => vector::across(word),
            _ => undefined(word),
        },
        (_, false) if bit(word, 15) => undefined(word),
        (false, false) => register::decode(word),
        (true, false) => register::scalar_copy(word),
        (_, true) if !bit(word, 10) => element::decode(word, is_scalar),
        (false, true) if bits(word, 23, 19) == 0 => immediate::decode(word),
        (_, true) if !bit(word, 23) && bits(word, 22, 19) != 0 => element::shift(word, is_scalar),
        _ => undefined(word),
    }
}

/// The usual fields: registers, and the shape with `size` in bits 23:22.
fn fields(word: u32, kind: Kind, is_scalar: bool) -> Op {
    Op {
        d: reg(word, 0),
        n: reg(word, 5),
        m: reg(word, 16),
        x: shape(word, is_scalar) | bits(word, 23, 22) as u8,
        ..Op::new(kind)
    }
}

/// Q and U, or the scalar form, without a size.
fn shape(word: u32, is_scalar: bool) -> u8 {
    let length = if is_scalar {
        Shape::SCALAR
    } else if bit(word, 30) {
        Shape::Q
    } else {
        0
    };
    length | if bit(word, 29) { Shape::U } else { 0 }
}

/// Whether lanes of `size` are allowed by a mask over the sizes; doublewords only in 128 bits or scalar.
fn allowed(word: u32, size: u32, vector: u8, scalar: u8, is_scalar: bool) -> bool {
    let sizes = if is_scalar { scalar } else { vector };
    sizes >> size & 1 != 0 && (is_scalar || size != 3 || bit(word, 30))
}
