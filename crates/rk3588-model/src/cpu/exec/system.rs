// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Instructions that are rare, or that end in an exception: system registers, calls, unusual loads.

use super::simd;
use crate::bus::SysReg;
use crate::cpu::core::{Core, Env, Fault};
use crate::cpu::exception::Cause;
use crate::cpu::float::{control, flag};
use crate::cpu::op::{Kind, Op};
use crate::cpu::sysreg::{self, name};

fn aborted(_: Fault) -> Cause {
    Cause::DataAbort
}

/// A load by its size code `op.x`, `size << 2 | opc` of the encoding, into `op.d`.
pub fn load(core: &mut Core, env: &mut Env<'_>, op: &Op, address: u64, index: usize) -> Result<(), Cause> {
    let value = core.load_sized(env, address, 1 << (op.x >> 2), index).map_err(aborted)?;
    keep_loaded(core, op, value);
    Ok(())
}

/// Writes what a load read into `op.d`, extended as the size code in `op.x` says.
fn keep_loaded(core: &mut Core, op: &Op, value: u64) {
    let unused = 64 - (8 << (op.x >> 2));
    let signed = ((value << unused) as i64 >> unused) as u64;
    core.r[usize::from(op.d & 63)] = match op.x & 3 {
        2 => signed,
        3 => signed & 0xffff_ffff,
        _ => value,
    };
}

/// LDTR and its family.
pub fn load_unprivileged(
    core: &mut Core,
    env: &mut Env<'_>,
    op: &Op,
    address: u64,
    index: usize,
) -> Result<(), Cause> {
    let value = core.unprivileged(env, |core, env| core.load_sized(env, address, 1 << (op.x >> 2), index));
    keep_loaded(core, op, value.map_err(aborted)?);
    Ok(())
}

/// STTR and its family.
pub fn store_unprivileged(
    core: &mut Core,
    env: &mut Env<'_>,
    op: &Op,
    address: u64,
    index: usize,
) -> Result<(), Cause> {
    let value = core.r[usize::from(op.d & 63)];
    core.unprivileged(env, |core, env| core.store_sized(env, address, 1 << (op.x >> 2), value, index))
        .map_err(aborted)
}

/// DC ZVA: 64 bytes, as `DCZID_EL0` says.
pub fn zero_line(core: &mut Core, env: &mut Env<'_>, address: u64, index: usize) -> Result<(), Cause> {
    let line = address & !63;
    for at in 0..8 {
        core.store::<8>(env, line + 8 * at, 0, index).map_err(aborted)?;
    }
    Ok(())
}

/// MRS; the first arms are those that a kernel executes all the time.
#[inline]
pub fn read(core: &mut Core, env: &mut Env<'_>, register: SysReg, index: usize) -> Result<u64, Cause> {
    match register {
        name::SP_EL0 if core.sp_sel && core.el > 0 => Ok(core.sp_bank[0]),
        name::TPIDR_EL1 if core.el > 0 => Ok(core.sys.get(register)),
        name::DAIF if core.el > 0 => Ok(u64::from(core.daif) << 6),
        name::FPCR | name::FPSR => {
            simd::usable(core)?;
            let state = &core.simd;
            Ok(if register == name::FPCR { state.control } else { state.status }.into())
        }
        _ => sysreg::read(core, env, register, index).map_err(|_| Cause::Undefined),
    }
}

/// Everything that ends a block and is not a branch.
pub fn execute(core: &mut Core, env: &mut Env<'_>, op: &Op, index: usize) -> Result<(), Cause> {
    let value = core.r[usize::from(op.n & 63)];
    let done = match op.kind {
        Kind::Msr if matches!(SysReg(op.imm as u16), name::FPCR | name::FPSR) => {
            simd::usable(core)?;
            if SysReg(op.imm as u16) == name::FPCR {
                core.simd.control = value as u32 & control::ALL;
            } else {
                core.simd.status = value as u32 & flag::ALL;
            }
            Ok(())
        }
        Kind::Msr => sysreg::write(core, env, SysReg(op.imm as u16), value, index),
        Kind::MsrImm => sysreg::write_immediate(core, op.y, op.a),
        // SYSL reads nothing that exists.
        Kind::Sys if op.y != 0 => return Err(Cause::Undefined),
        Kind::Sys => sysreg::maintain(core, env, SysReg(op.imm as u16), value),
        Kind::Wfi => {
            core.waiting = true;
            core.check_at = 0;
            Ok(())
        }
        // WFE may end at any time. It takes as long as a read of the counter, so that loops around it end.
        Kind::Wfe => {
            core.clock.read(core.instructions);
            core.check_at = 0;
            Ok(())
        }
        Kind::Svc => return Err(Cause::Svc(op.imm as u16)),
        Kind::Hvc => return Err(Cause::Hvc(op.imm as u16)),
        Kind::Smc => return Err(Cause::Smc(op.imm as u16)),
        Kind::Brk => return Err(Cause::Brk(op.imm as u16)),
        // HLT without a debugger is undefined, as is ERET at EL0.
        _ => return Err(Cause::Undefined),
    };
    done.map_err(|_| Cause::Undefined)
}
