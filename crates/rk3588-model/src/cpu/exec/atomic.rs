// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Exclusive, ordered and atomic accesses. One core in program order: ordering needs nothing.

use super::alu;
use crate::cpu::core::{Core, Env, Fault};
use crate::cpu::mmu::Want;
use crate::cpu::op::{Kind, Op, SINK, ZERO};

fn get(core: &Core, register: u8) -> u64 {
    core.r[usize::from(register & 63)]
}

fn set(core: &mut Core, register: u8, value: u64) {
    core.r[usize::from(register & 63)] = value;
}

/// A register as a destination where 31 is the zero register.
fn target(register: u8) -> u8 {
    if register == ZERO { SINK } else { register }
}

/// Executes one of them.
pub fn execute(core: &mut Core, env: &mut Env<'_>, op: &Op, index: usize) -> Result<(), Fault> {
    let bytes = 1 << (op.x & 3);
    let mask = u64::MAX >> (64 - 8 * bytes);
    let address = get(core, op.n);
    match op.kind {
        Kind::Ldar => {
            core.exclusive(env, address, bytes, Want::Read)?;
            let value = core.load_sized(env, address, bytes, index)?;
            set(core, op.d, value);
        }
        Kind::Stlr => {
            core.exclusive(env, address, bytes, Want::Write)?;
            core.store_sized(env, address, bytes, get(core, op.d), index)?;
        }
        Kind::Ldxr => {
            let physical = core.exclusive(env, address, bytes, Want::Read)?;
            let value = core.load_sized(env, address, bytes, index)?;
            set(core, op.d, value);
            core.monitor = Some((physical, bytes as u8));
        }
        Kind::Ldxp => {
            let physical = core.exclusive(env, address, 2 * bytes, Want::Read)?;
            let low = core.load_sized(env, address, bytes, index)?;
            let high = core.load_sized(env, address + bytes, bytes, index)?;
            set(core, op.d, low);
            set(core, op.a, high);
            core.monitor = Some((physical, 2 * bytes as u8));
        }
        Kind::Stxr | Kind::Stxp => {
            let total = if op.kind == Kind::Stxp { 2 * bytes } else { bytes };
            let physical = core.exclusive(env, address, total, Want::Write)?;
            let granted = core.monitor.take() == Some((physical, total as u8));
            if granted {
                core.store_sized(env, address, bytes, get(core, op.d), index)?;
                if op.kind == Kind::Stxp {
                    core.store_sized(env, address + bytes, bytes, get(core, op.a), index)?;
                }
            }
            set(core, op.m, u64::from(!granted));
        }
        Kind::Cas => {
            core.exclusive(env, address, bytes, Want::Write)?;
            let old = core.load_sized(env, address, bytes, index)?;
            if old == get(core, op.m) & mask {
                core.store_sized(env, address, bytes, get(core, op.d), index)?;
            }
            set(core, target(op.m), old);
        }
        Kind::Casp => {
            core.exclusive(env, address, 2 * bytes, Want::Write)?;
            let low = core.load_sized(env, address, bytes, index)?;
            let high = core.load_sized(env, address + bytes, bytes, index)?;
            if low == get(core, op.m) & mask && high == get(core, op.m + 1) & mask {
                core.store_sized(env, address, bytes, get(core, op.d), index)?;
                core.store_sized(env, address + bytes, bytes, get(core, op.d + 1), index)?;
            }
            set(core, op.m, low);
            set(core, target(op.m + 1), high);
        }
        // SWP, LDADD and its family.
        _ => {
            core.exclusive(env, address, bytes, Want::Write)?;
            let old = core.load_sized(env, address, bytes, index)?;
            let operand = get(core, op.m);
            let new = if op.kind == Kind::Swp { operand } else { alu::atomic(old, operand, op.y, bytes) };
            core.store_sized(env, address, bytes, new, index)?;
            set(core, op.d, old);
        }
    }
    Ok(())
}
