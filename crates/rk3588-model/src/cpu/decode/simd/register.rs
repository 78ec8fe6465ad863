// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Copies, permutations, tables, extraction.

use super::super::super::op::{Kind, Op};
use super::super::super::simd::{Copy, Permute, Shape};
use super::super::to_zero;
use super::{bit, bits, fields, undefined};

/// The vector classes with bits 21 and 15 clear.
pub(super) fn decode(word: u32) -> Op {
    let (op, plain) = (bit(word, 29), bits(word, 23, 22) == 0);
    match (bits(word, 11, 10), op) {
        (0b01 | 0b11, _) if plain => copy(word),
        (0b10, false) => permute(word),
        (0b00, false) if plain => table(word),
        (0b00 | 0b10, true) if plain => extract(word),
        _ => undefined(word),
    }
}

/// The element that `imm5` names: logarithm of its size, and its number.
fn element(imm5: u32) -> Option<(u8, u8)> {
    let size = imm5.trailing_zeros();
    (size < 4).then(|| (size as u8, (imm5 >> (size + 1)) as u8))
}

fn copy(word: u32) -> Op {
    let Some((size, number)) = element(bits(word, 20, 16)) else { return undefined(word) };
    let (q, imm4) = (bit(word, 30), bits(word, 14, 11));
    let op = fields(word, Kind::VCopy, false);
    let op = Op { x: op.x & !(3 | Shape::U) | size, a: number, ..op };
    let general = |copy: Copy| Op { d: to_zero(op.d), y: copy as u16, ..op };
    match (bit(word, 29), imm4) {
        (true, _) if q => Op { y: Copy::InsertElement as u16, imm: u64::from(imm4 >> size), ..op },
        (false, 0b0000) if q || size < 3 => Op { y: Copy::DupElement as u16, ..op },
        (false, 0b0001) if q || size < 3 => Op { y: Copy::DupGeneral as u16, ..op },
        (false, 0b0011) if q => Op { y: Copy::InsertGeneral as u16, ..op },
        (false, 0b0101) if q && size < 3 => general(Copy::ToSigned64),
        (false, 0b0101) if !q && size < 2 => general(Copy::ToSigned32),
        (false, 0b0111) if q == (size == 3) => general(Copy::ToUnsigned),
        _ => undefined(word),
    }
}

/// DUP of an element to a scalar.
pub(super) fn scalar_copy(word: u32) -> Op {
    let plain = bits(word, 23, 21) == 0 && !bit(word, 29) && bits(word, 14, 10) == 1;
    match element(bits(word, 20, 16)) {
        Some((size, number)) if plain => {
            let op = fields(word, Kind::VCopy, true);
            Op { x: op.x & !3 | size, a: number, y: Copy::DupElement as u16, ..op }
        }
        _ => undefined(word),
    }
}

fn permute(word: u32) -> Op {
    let permute = match bits(word, 14, 12) {
        1 => Permute::Uzp1,
        2 => Permute::Trn1,
        3 => Permute::Zip1,
        5 => Permute::Uzp2,
        6 => Permute::Trn2,
        7 => Permute::Zip2,
        _ => return undefined(word),
    };
    if bits(word, 23, 22) == 3 && !bit(word, 30) {
        return undefined(word);
    }
    Op { y: permute as u16, ..fields(word, Kind::VPermute, false) }
}

fn table(word: u32) -> Op {
    let permute = if bit(word, 12) { Permute::TableExtend } else { Permute::Table };
    Op { y: permute as u16, a: bits(word, 14, 13) as u8 + 1, ..fields(word, Kind::VPermute, false) }
}

fn extract(word: u32) -> Op {
    let position = bits(word, 14, 11);
    if bit(word, 10) || (position > 7 && !bit(word, 30)) {
        return undefined(word);
    }
    Op { y: Permute::Extract as u16, a: position as u8, ..fields(word, Kind::VPermute, false) }
}
