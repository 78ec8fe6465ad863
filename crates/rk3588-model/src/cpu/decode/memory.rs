// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loads and stores (DDI 0487, C4.1, "Loads and Stores"); the SIMD forms are in [`super::simd`].
//!
//! The size code of loads with an index or with write-back is `size << 2 | opc` of the encoding.

use super::super::op::{Kind, Op, UXTX, back};
use super::{bit, bits, or_sp, reg, signed, to_zero, undefined};

/// The size code of a load of 8 bytes.
pub const LOAD64: u8 = 0b1101;
/// The size code of a load of 4 bytes that clears the upper half.
pub const LOAD32: u8 = 0b1001;
/// The size code of a load of one byte that clears the rest.
pub const LOAD8: u8 = 0b0001;
pub const STORE8: u8 = 0b0000;

pub(super) fn decode(word: u32, offset: u64) -> Op {
    if bit(word, 26) {
        return super::simd::decode_memory(word, offset);
    }
    match (bits(word, 29, 28), bit(word, 24)) {
        (0b00, false) => exclusive(word),
        (0b01, false) => literal(word, offset),
        (0b10, _) => pair(word),
        (0b11, true) => unsigned_offset(word),
        (0b11, false) if bit(word, 21) && bits(word, 11, 10) == 0b10 => register_offset(word),
        (0b11, false) if bit(word, 21) && bits(word, 11, 10) == 0 => atomic(word),
        (0b11, false) if !bit(word, 21) => signed_offset(word),
        _ => undefined(word),
    }
}

/// What a size code means: `None` is unallocated, `Some(None)` a prefetch.
fn access(size: u32, opc: u32) -> Option<Option<(Kind, bool)>> {
    use Kind::{
        Ldr8, Ldr16, Ldr32, Ldr64, Ldrs8To32, Ldrs8To64, Ldrs16To32, Ldrs16To64, Ldrs32, Str8, Str16, Str32,
        Str64,
    };
    let load = |kind| Some(Some((kind, true)));
    match (size, opc) {
        (0, 0) => Some(Some((Str8, false))),
        (1, 0) => Some(Some((Str16, false))),
        (2, 0) => Some(Some((Str32, false))),
        (3, 0) => Some(Some((Str64, false))),
        (0, 1) => load(Ldr8),
        (1, 1) => load(Ldr16),
        (2, 1) => load(Ldr32),
        (3, 1) => load(Ldr64),
        (0, 2) => load(Ldrs8To64),
        (1, 2) => load(Ldrs16To64),
        (2, 2) => load(Ldrs32),
        (3, 2) => Some(None),
        (0, 3) => load(Ldrs8To32),
        (1, 3) => load(Ldrs16To32),
        _ => None,
    }
}

/// The transferred register of a load or store.
fn transfer(word: u32, load: bool) -> u8 {
    let register = reg(word, 0);
    if load { to_zero(register) } else { register }
}

fn unsigned_offset(word: u32) -> Op {
    let (size, opc) = (bits(word, 31, 30), bits(word, 23, 22));
    match access(size, opc) {
        Some(Some((kind, load))) => Op {
            d: transfer(word, load),
            n: or_sp(reg(word, 5)),
            imm: u64::from(bits(word, 21, 10)) << size,
            ..Op::new(kind)
        },
        Some(None) => Op::new(Kind::Nop),
        None => undefined(word),
    }
}

/// LDUR and STUR, pre-indexed, post-indexed, and the unprivileged forms.
fn signed_offset(word: u32) -> Op {
    let (size, opc) = (bits(word, 31, 30), bits(word, 23, 22));
    let Some(access) = access(size, opc) else { return undefined(word) };
    let form = bits(word, 11, 10);
    let Some((kind, load)) = access else {
        // PRFUM; there is no prefetch with write-back or unprivileged.
        return if form == 0 { Op::new(Kind::Nop) } else { undefined(word) };
    };
    let op = Op {
        d: transfer(word, load),
        n: or_sp(reg(word, 5)),
        x: (size << 2 | opc) as u8,
        imm: signed(bits(word, 20, 12), 9),
        ..Op::new(kind)
    };
    match form {
        0b00 => op,
        0b10 => Op { kind: if load { Kind::Ldtr } else { Kind::Sttr }, ..op },
        _ => Op {
            kind: if load { Kind::LdrBack } else { Kind::StrBack },
            y: if form == 0b01 { back::POST } else { back::PRE },
            ..op
        },
    }
}

/// `y` is the extension of the index `m`, `a` the shift behind it.
fn register_offset(word: u32) -> Op {
    let (size, opc) = (bits(word, 31, 30), bits(word, 23, 22));
    let option = bits(word, 15, 13);
    let Some(access) = access(size, opc) else { return undefined(word) };
    if option & 0b010 == 0 {
        return undefined(word);
    }
    let Some((_, load)) = access else { return Op::new(Kind::Nop) };
    let mut op = Op {
        d: transfer(word, load),
        n: or_sp(reg(word, 5)),
        m: reg(word, 16),
        a: if bit(word, 12) { size as u8 } else { 0 },
        x: (size << 2 | opc) as u8,
        y: option as u16,
        ..Op::new(if load { Kind::LdrReg } else { Kind::StrReg })
    };
    if option as u8 == UXTX {
        op.kind = match op.x {
            LOAD64 => Kind::LdrReg64,
            LOAD32 => Kind::LdrReg32,
            LOAD8 => Kind::LdrReg8,
            STORE8 => Kind::StrReg8,
            _ => op.kind,
        };
    }
    op
}

/// LDR literal: `imm` is the distance from the page, `x` the size code.
fn literal(word: u32, offset: u64) -> Op {
    let x = match bits(word, 31, 30) {
        0 => LOAD32,
        1 => LOAD64,
        2 => 0b1010,
        _ => return Op::new(Kind::Nop),
    };
    let imm = offset.wrapping_add(signed(bits(word, 23, 5), 19) << 2);
    Op { d: to_zero(reg(word, 0)), x, imm, ..Op::new(Kind::LdrLiteral) }
}

/// LDP, STP, LDNP, STNP, LDPSW: `a` is the second register, `y` the write-back, `x` 1 for sign extension.
fn pair(word: u32) -> Op {
    let (opc, load) = (bits(word, 31, 30), bit(word, 22));
    let form = bits(word, 24, 23);
    let is64 = opc == 2;
    if opc == 3 || (opc == 1 && (!load || form == 0)) {
        return undefined(word);
    }
    let fix = |register| if load { to_zero(register) } else { register };
    Op {
        kind: match (load, is64) {
            (true, true) => Kind::Ldp64,
            (true, false) => Kind::LdpOther,
            (false, true) => Kind::Stp64,
            (false, false) => Kind::StpOther,
        },
        d: fix(reg(word, 0)),
        a: fix(reg(word, 10)),
        n: or_sp(reg(word, 5)),
        x: (opc == 1).into(),
        y: match form {
            0b01 => back::POST,
            0b11 => back::PRE,
            _ => back::NONE,
        },
        imm: signed(bits(word, 21, 15), 7) << if is64 { 3 } else { 2 },
        ..Op::new(Kind::Nop)
    }
}

/// Exclusive, ordered and compare-and-swap forms; `x` is the size's logarithm, `m` the status or compared register.
fn exclusive(word: u32) -> Op {
    let (size, load, pair, ordered) = (bits(word, 31, 30), bit(word, 22), bit(word, 21), bit(word, 23));
    let (d, n) = (transfer(word, load), or_sp(reg(word, 5)));
    let op = Op { d, n, m: reg(word, 16), a: reg(word, 10), x: size as u8, ..Op::new(Kind::Undefined) };
    let is_compare = bits(word, 14, 10) == 31;
    match (ordered, pair) {
        (false, false) if load => Op { kind: Kind::Ldxr, ..op },
        (false, false) => Op { kind: Kind::Stxr, m: to_zero(op.m), ..op },
        (false, true) if size >= 2 && load => Op { kind: Kind::Ldxp, a: to_zero(op.a), ..op },
        (false, true) if size >= 2 => Op { kind: Kind::Stxp, m: to_zero(op.m), ..op },
        // CASP: even registers only; the low bit of `size` is the width.
        (false, true) if is_compare && op.m.is_multiple_of(2) && op.d.is_multiple_of(2) => {
            Op { kind: Kind::Casp, d: reg(word, 0), x: 2 | (size & 1) as u8, ..op }
        }
        (true, false) => Op { kind: if load { Kind::Ldar } else { Kind::Stlr }, ..op },
        (true, true) if is_compare => Op { kind: Kind::Cas, d: reg(word, 0), ..op },
        _ => undefined(word),
    }
}

/// LDADD and its family, SWP, LDAPR: `y` is the operation, `x` the size's logarithm.
fn atomic(word: u32) -> Op {
    let op = Op {
        d: to_zero(reg(word, 0)),
        n: or_sp(reg(word, 5)),
        m: reg(word, 16),
        x: bits(word, 31, 30) as u8,
        y: bits(word, 14, 12) as u16,
        ..Op::new(Kind::LdAdd)
    };
    match (bit(word, 15), op.y) {
        (false, _) => op,
        (true, 0) => Op { kind: Kind::Swp, ..op },
        (true, 4) if bit(word, 23) && !bit(word, 22) && op.m == 31 => Op { kind: Kind::Ldar, ..op },
        _ => undefined(word),
    }
}
