// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Branches, exceptions and system instructions (DDI 0487, C4.1, "Branches, Exception Generating and System").
//!
//! Branch targets are kept as the distance from the start of the page that the instruction stands in.

use super::super::op::{Kind, Op};
use super::{bit, bits, reg, signed, sized, to_zero, undefined};

pub(super) fn decode(word: u32, offset: u64) -> Op {
    let target = |distance: u64| offset.wrapping_add(distance << 2);
    match bits(word, 31, 29) {
        0b000 | 0b100 => {
            let kind = if bit(word, 31) { Kind::Bl } else { Kind::B };
            Op { imm: target(signed(bits(word, 25, 0), 26)), ..Op::new(kind) }
        }
        0b001 | 0b101 if !bit(word, 25) => {
            let is64 = bit(word, 31);
            let kind = if bit(word, 24) {
                sized(is64, Kind::Cbnz64, Kind::Cbnz32)
            } else {
                sized(is64, Kind::Cbz64, Kind::Cbz32)
            };
            Op { n: reg(word, 0), imm: target(signed(bits(word, 23, 5), 19)), ..Op::new(kind) }
        }
        0b001 | 0b101 => {
            let kind = if bit(word, 24) { Kind::Tbnz } else { Kind::Tbz };
            let at = bits(word, 31, 31) << 5 | bits(word, 23, 19);
            Op { n: reg(word, 0), a: at as u8, imm: target(signed(bits(word, 18, 5), 14)), ..Op::new(kind) }
        }
        0b010 if bits(word, 25, 24) == 0 && !bit(word, 4) => {
            let imm = target(signed(bits(word, 23, 5), 19));
            Op { x: bits(word, 3, 0) as u8, imm, ..Op::new(Kind::BCond) }
        }
        0b110 if bits(word, 25, 24) == 0 => exception(word),
        0b110 if bits(word, 25, 22) == 0b0100 => system(word),
        0b110 if bit(word, 25) => to_register(word),
        _ => undefined(word),
    }
}

/// SVC, HVC, SMC, BRK, HLT with their 16-bit immediate.
fn exception(word: u32) -> Op {
    let kind = match (bits(word, 23, 21), bits(word, 4, 0)) {
        (0b000, 0b00001) => Kind::Svc,
        (0b000, 0b00010) => Kind::Hvc,
        (0b000, 0b00011) => Kind::Smc,
        (0b001, 0b00000) => Kind::Brk,
        (0b010, 0b00000) => Kind::Hlt,
        _ => return undefined(word),
    };
    Op { imm: u64::from(bits(word, 20, 5)), ..Op::new(kind) }
}

/// BR, BLR, RET, ERET.
fn to_register(word: u32) -> Op {
    if bits(word, 20, 16) != 31 || bits(word, 15, 10) != 0 || bits(word, 4, 0) != 0 {
        return undefined(word);
    }
    let n = reg(word, 5);
    match bits(word, 24, 21) {
        0b0000 => Op { n, ..Op::new(Kind::Br) },
        0b0001 => Op { n, ..Op::new(Kind::Blr) },
        0b0010 => Op { n, ..Op::new(Kind::Ret) },
        0b0100 if n == 31 => Op::new(Kind::Eret),
        _ => undefined(word),
    }
}

/// Hints, barriers, PSTATE, SYS, MRS and MSR. `imm` of the register forms is `op0:op1:CRn:CRm:op2`.
fn system(word: u32) -> Op {
    let (load, op0, op1) = (bit(word, 21), bits(word, 20, 19), bits(word, 18, 16));
    let (crn, crm, op2) = (bits(word, 15, 12), bits(word, 11, 8), bits(word, 7, 5));
    let imm = u64::from(bits(word, 20, 5));
    match op0 {
        0 if load => undefined(word),
        0 if bits(word, 4, 0) != 31 => undefined(word),
        0 => match (op1, crn, crm, op2) {
            (3, 2, 0, 2) => Op::new(Kind::Wfe),
            (3, 2, 0, 3) => Op::new(Kind::Wfi),
            // Every other hint is allowed to do nothing, also those of later versions.
            (3, 2, _, _) => Op::new(Kind::Nop),
            (3, 3, _, 2) => Op::new(Kind::Clrex),
            // DSB, DMB; one core whose accesses are in order needs nothing. op2 = 7 is SB of a later version.
            (3, 3, _, 4 | 5) => Op::new(Kind::Nop),
            (3, 3, _, 6) => Op::new(Kind::Isb),
            // SPSel, DAIFSet, DAIFClr; the others belong to features that are not there.
            (0, 4, _, 5) | (3, 4, _, 6 | 7) => {
                Op { a: crm as u8, y: (op1 << 3 | op2) as u16, imm: u64::from(word), ..Op::new(Kind::MsrImm) }
            }
            _ => undefined(word),
        },
        1 => Op {
            d: to_zero(reg(word, 0)),
            n: reg(word, 0),
            imm,
            y: load.into(),
            ..Op::new(sys_kind(op1, crn, crm, op2))
        },
        _ if load => Op { d: to_zero(reg(word, 0)), imm, ..Op::new(Kind::Mrs) },
        _ => Op { n: reg(word, 0), imm, ..Op::new(Kind::Msr) },
    }
}

/// SYS: cache maintenance by address and set/way has nothing to do where there is no cache.
fn sys_kind(op1: u32, crn: u32, crm: u32, op2: u32) -> Kind {
    match (op1, crn, crm, op2) {
        (3, 7, 4, 1) => Kind::DcZva,
        (3, 7, 10 | 11 | 12 | 14, 1) => Kind::Nop,
        _ => Kind::Sys,
    }
}
