// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Data processing with registers (DDI 0487, C4.1, "Data Processing -- Register").

use super::super::op::{Kind, Op};
use super::{bit, bits, or_sp, reg, sized, to_zero, undefined};

pub(super) fn decode(word: u32) -> Op {
    let is64 = bit(word, 31);
    match (bit(word, 28), bits(word, 24, 21)) {
        (false, 0b0000..=0b0111) => logical(word, is64),
        (false, op) if op & 1 == 0 => add_sub_shifted(word, is64),
        (false, _) => add_sub_extended(word, is64),
        (true, 0b0000) => with_carry(word, is64),
        (true, 0b0010) => conditional_compare(word, is64),
        (true, 0b0100) => conditional_select(word, is64),
        (true, 0b0110) if bit(word, 30) => one_source(word, is64),
        (true, 0b0110) => two_sources(word, is64),
        (true, 0b1000..=0b1111) => three_sources(word, is64),
        _ => undefined(word),
    }
}

/// The operands of the shifted-register forms: `x` is the kind of shift, `a` its amount.
fn shifted(word: u32, kind: Kind) -> Op {
    Op {
        d: to_zero(reg(word, 0)),
        n: reg(word, 5),
        m: reg(word, 16),
        a: bits(word, 15, 10) as u8,
        x: bits(word, 23, 22) as u8,
        ..Op::new(kind)
    }
}

/// AND, ORR, EOR, ANDS; `y` of the general form is `opc` with the inversion of the operand in bit 2.
fn logical(word: u32, is64: bool) -> Op {
    let mut op = shifted(word, sized(is64, Kind::LogicSh64, Kind::LogicSh32));
    if !is64 && op.a > 31 {
        return undefined(word);
    }
    let (opc, inverted) = (bits(word, 30, 29), bit(word, 21));
    op.y = (opc | u32::from(inverted) << 2) as u16;
    if op.a == 0 && !inverted {
        op.kind = match opc {
            0b00 => sized(is64, Kind::And64, Kind::And32),
            0b01 if op.n == 31 => sized(is64, Kind::Mov64, Kind::Mov32),
            0b01 => sized(is64, Kind::Orr64, Kind::Orr32),
            0b10 => sized(is64, Kind::Eor64, Kind::Eor32),
            _ => sized(is64, Kind::Ands64, Kind::Ands32),
        };
    }
    op
}

/// `y` of the general form: bit 0 sets flags, bit 1 subtracts.
fn add_sub_shifted(word: u32, is64: bool) -> Op {
    let mut op = shifted(word, sized(is64, Kind::AddSubSh64, Kind::AddSubSh32));
    if op.x == 3 || (!is64 && op.a > 31) {
        return undefined(word);
    }
    op.y = bits(word, 30, 29) as u16;
    if op.a == 0 {
        op.kind = match op.y {
            0b00 => sized(is64, Kind::Add64, Kind::Add32),
            0b01 => sized(is64, Kind::Adds64, Kind::Adds32),
            0b10 => sized(is64, Kind::Sub64, Kind::Sub32),
            _ => sized(is64, Kind::Subs64, Kind::Subs32),
        };
    } else if is64 && op.y == 0 && op.x == 0 {
        op.kind = Kind::AddLsl64;
    }
    op
}

/// `x` is the extension, `a` the shift behind it, `y` as for the shifted form.
fn add_sub_extended(word: u32, is64: bool) -> Op {
    let shift = bits(word, 12, 10);
    if bits(word, 23, 22) != 0 || shift > 4 {
        return undefined(word);
    }
    let flags = bit(word, 29);
    Op {
        d: if flags { to_zero(reg(word, 0)) } else { or_sp(reg(word, 0)) },
        n: or_sp(reg(word, 5)),
        m: reg(word, 16),
        a: shift as u8,
        x: bits(word, 15, 13) as u8,
        y: bits(word, 30, 29) as u16,
        ..Op::new(sized(is64, Kind::AddSubExt64, Kind::AddSubExt32))
    }
}

/// ADC, ADCS, SBC, SBCS.
fn with_carry(word: u32, is64: bool) -> Op {
    if bits(word, 15, 10) != 0 {
        return undefined(word);
    }
    Op { y: bits(word, 30, 29) as u16, ..shifted(word, sized(is64, Kind::Adc64, Kind::Adc32)) }
}

/// CCMP and CCMN: `x` is the condition, `a` the flags otherwise, `y` bit 0 the immediate form, bit 1 CCMP.
fn conditional_compare(word: u32, is64: bool) -> Op {
    if !bit(word, 29) || bit(word, 10) || bit(word, 4) {
        return undefined(word);
    }
    let immediate = bit(word, 11);
    Op {
        n: reg(word, 5),
        m: if immediate { 31 } else { reg(word, 16) },
        a: bits(word, 3, 0) as u8,
        x: bits(word, 15, 12) as u8,
        y: u16::from(immediate) | u16::from(bit(word, 30)) << 1,
        imm: if immediate { u64::from(reg(word, 16)) } else { 0 },
        ..Op::new(sized(is64, Kind::Ccmp64, Kind::Ccmp32))
    }
}

fn conditional_select(word: u32, is64: bool) -> Op {
    if bit(word, 29) || bit(word, 11) {
        return undefined(word);
    }
    let kind = match (bit(word, 30), bit(word, 10)) {
        (false, false) => sized(is64, Kind::Csel64, Kind::Csel32),
        (false, true) => sized(is64, Kind::Csinc64, Kind::Csinc32),
        (true, false) => sized(is64, Kind::Csinv64, Kind::Csinv32),
        (true, true) => sized(is64, Kind::Csneg64, Kind::Csneg32),
    };
    Op {
        d: to_zero(reg(word, 0)),
        n: reg(word, 5),
        m: reg(word, 16),
        x: bits(word, 15, 12) as u8,
        ..Op::new(kind)
    }
}

fn two_sources(word: u32, is64: bool) -> Op {
    if bit(word, 29) {
        return undefined(word);
    }
    let opcode = bits(word, 15, 10);
    let kind = match opcode {
        0b000010 => sized(is64, Kind::Udiv64, Kind::Udiv32),
        0b000011 => sized(is64, Kind::Sdiv64, Kind::Sdiv32),
        0b001000 => sized(is64, Kind::Lslv64, Kind::Lslv32),
        0b001001 => sized(is64, Kind::Lsrv64, Kind::Lsrv32),
        0b001010 => sized(is64, Kind::Asrv64, Kind::Asrv32),
        0b001011 => sized(is64, Kind::Rorv64, Kind::Rorv32),
        // CRC32 and CRC32C: `a` is the size's logarithm, `y` 1 for the Castagnoli polynomial.
        0b010000..=0b010111 if (opcode & 3 == 3) == is64 => Kind::Crc32,
        _ => return undefined(word),
    };
    Op {
        d: to_zero(reg(word, 0)),
        n: reg(word, 5),
        m: reg(word, 16),
        a: (opcode & 3) as u8,
        y: (opcode >> 2 & 1) as u16,
        ..Op::new(kind)
    }
}

fn one_source(word: u32, is64: bool) -> Op {
    if bit(word, 29) || bits(word, 20, 16) != 0 {
        return undefined(word);
    }
    let kind = match (bits(word, 15, 10), is64) {
        (0, _) => sized(is64, Kind::Rbit64, Kind::Rbit32),
        (1, _) => sized(is64, Kind::Rev16In64, Kind::Rev16In32),
        (2, false) => Kind::Rev32,
        (2, true) => Kind::Rev32In64,
        (3, true) => Kind::Rev64,
        (4, _) => sized(is64, Kind::Clz64, Kind::Clz32),
        (5, _) => sized(is64, Kind::Cls64, Kind::Cls32),
        _ => return undefined(word),
    };
    Op { d: to_zero(reg(word, 0)), n: reg(word, 5), ..Op::new(kind) }
}

fn three_sources(word: u32, is64: bool) -> Op {
    if bits(word, 30, 29) != 0 {
        return undefined(word);
    }
    let subtract = bit(word, 15);
    let kind = match (bits(word, 23, 21), subtract, is64) {
        (0b000, false, _) => sized(is64, Kind::Madd64, Kind::Madd32),
        (0b000, true, _) => sized(is64, Kind::Msub64, Kind::Msub32),
        (0b001, false, true) => Kind::Smaddl,
        (0b001, true, true) => Kind::Smsubl,
        (0b010, false, true) => Kind::Smulh,
        (0b101, false, true) => Kind::Umaddl,
        (0b101, true, true) => Kind::Umsubl,
        (0b110, false, true) => Kind::Umulh,
        _ => return undefined(word),
    };
    Op { d: to_zero(reg(word, 0)), n: reg(word, 5), m: reg(word, 16), a: reg(word, 10), ..Op::new(kind) }
}
