// SPDX-License-Identifier: Apache-2.0 OR MIT
//! MRS, MSR and SYS: who may use which register, and what the special ones do.

pub use super::sysreg_table::{banked, name};

use super::core::{Core, Env};
use super::mmu::{self, Want};
use super::sysreg_table::{REGISTERS, Rule, is_storage, is_zero_id};
use super::timer;
use crate::bus::SysReg;

/// The instruction is undefined at this level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undefined;

/// Values by encoding, and which encodings are registers.
#[derive(Debug)]
pub struct Registers {
    values: Box<[u64]>,
    rules: Box<[Option<Rule>]>,
}

const ENCODINGS: usize = 1 << 16;

impl Registers {
    pub fn new() -> Self {
        let mut registers = Self {
            values: vec![0; ENCODINGS].into_boxed_slice(),
            rules: vec![None; ENCODINGS].into_boxed_slice(),
        };
        for code in 0..=u16::MAX {
            if is_storage(SysReg(code)) {
                registers.rules[usize::from(code)] = Some(Rule::Plain);
            } else if is_zero_id(SysReg(code)) {
                registers.rules[usize::from(code)] = Some(Rule::Constant);
            }
        }
        for (register, rule, reset) in REGISTERS {
            registers.rules[usize::from(register.0)] = Some(*rule);
            registers.values[usize::from(register.0)] = *reset;
        }
        registers
    }

    /// The stored value.
    #[inline(always)]
    pub fn get(&self, register: SysReg) -> u64 {
        self.values[usize::from(register.0)]
    }

    /// Stores a value without side effects.
    #[inline(always)]
    pub fn set(&mut self, register: SysReg, value: u64) {
        self.values[usize::from(register.0)] = value;
    }
}

/// The lowest exception level whose software may use an encoding (DDI 0487 D18.1); 4 is none.
pub const fn lowest_level(register: SysReg) -> u8 {
    match register.fields().1 {
        3 => 0,
        0..=2 | 7 => 1,
        4 => 2,
        6 => 3,
        // `EL12` and `EL02` names need the virtualisation host extensions.
        _ => 4,
    }
}

/// The CPU interface of a GICv3: `ICC_*` and `ICH_*`.
const fn is_interrupt_controller(register: SysReg) -> bool {
    matches!(register.fields(), (3, 0 | 4 | 6, 12, 8..=15, _) | (3, 0, 4, 6, 0))
}

/// Whether software at EL1 is under a hypervisor level: non-secure with EL2 there.
fn has_hypervisor(core: &Core) -> bool {
    core.el == 1 && core.sys.get(name::SCR_EL3) & 1 != 0
}

/// MRS.
pub fn read(core: &mut Core, env: &mut Env<'_>, register: SysReg, index: usize) -> Result<u64, Undefined> {
    if core.el < lowest_level(register) {
        return Err(Undefined);
    }
    if is_interrupt_controller(register) {
        let mut access = core.access(env.ram, index);
        return env.mmio.read_icc(&mut access, register).ok_or(Undefined);
    }
    match core.sys.rules[usize::from(register.0)] {
        Some(Rule::Plain | Rule::Constant) if core.el > 0 => Ok(core.sys.get(register)),
        Some(Rule::PlainAtEl0 | Rule::ReadAtEl0 | Rule::ConstantAtEl0) => Ok(core.sys.get(register)),
        Some(Rule::Special) if core.el > 0 => special_read(core, register, index),
        Some(Rule::SpecialAtEl0) => special_read(core, register, index),
        Some(_) => Err(Undefined),
        None => {
            let mut access = core.access(env.ram, index);
            if core.el > 0 && env.mmio.unknown_register(&mut access, register, None) {
                return Ok(core.sys.get(register));
            }
            Err(Undefined)
        }
    }
}

fn special_read(core: &mut Core, register: SysReg, index: usize) -> Result<u64, Undefined> {
    let now = core.instructions + index as u64;
    let sys = &core.sys;
    Ok(match register {
        name::MIDR_EL1 if has_hypervisor(core) => sys.get(name::VPIDR_EL2),
        name::MPIDR_EL1 if has_hypervisor(core) => sys.get(name::VMPIDR_EL2),
        name::CURRENT_EL => u64::from(core.el) << 2,
        name::SPSEL => u64::from(core.sp_sel),
        name::NZCV => u64::from(core.nzcv) << 28,
        name::DAIF => u64::from(core.daif) << 6,
        // The register of the current stack pointer cannot be named.
        name::SP_EL0 if core.sp_sel => core.sp(0),
        name::SP_EL0 => return Err(Undefined),
        name::SP_EL1 => core.sp(1),
        name::SP_EL2 => core.sp(2),
        name::ISR_EL1 => u64::from(core.pending.irq) << 7 | u64::from(core.pending.fiq) << 6,
        name::CNTPCT_EL0 | name::CNTVCT_EL0 => {
            if core.el == 0 {
                // CNTKCTL_EL1: EL0PCTEN, EL0VCTEN.
                let bit = if register == name::CNTPCT_EL0 { 1 } else { 2 };
                if sys.get(name::CNTKCTL_EL1) & bit == 0 {
                    return Err(Undefined);
                }
            }
            let offset = if register == name::CNTVCT_EL0 { sys.get(name::CNTVOFF_EL2) } else { 0 };
            let ticks = core.clock.read(now);
            // Time moved: a timer may have expired.
            core.check_at = 0;
            ticks.wrapping_sub(offset)
        }
        name::CNTP_CTL_EL0 | name::CNTV_CTL_EL0 | name::CNTHP_CTL_EL2 | name::CNTPS_CTL_EL1 => {
            timer::control(sys, register, core.clock.ticks(now))
        }
        name::CNTP_TVAL_EL0 | name::CNTV_TVAL_EL0 | name::CNTHP_TVAL_EL2 | name::CNTPS_TVAL_EL1 => {
            let (compare, count) = timer::relative(sys, register, core.clock.ticks(now));
            sys.get(compare).wrapping_sub(count) & 0xffff_ffff
        }
        _ => sys.get(register),
    })
}

/// MSR of a register.
pub fn write(
    core: &mut Core,
    env: &mut Env<'_>,
    register: SysReg,
    value: u64,
    index: usize,
) -> Result<(), Undefined> {
    if core.el < lowest_level(register) {
        return Err(Undefined);
    }
    core.check_at = 0;
    if is_interrupt_controller(register) {
        let mut access = core.access(env.ram, index);
        let written = env.mmio.write_icc(&mut access, register, value);
        env.stop |= access.stop;
        return written.ok_or(Undefined);
    }
    match core.sys.rules[usize::from(register.0)] {
        Some(Rule::Plain | Rule::ReadAtEl0) if core.el > 0 => core.sys.set(register, value),
        Some(Rule::PlainAtEl0) => core.sys.set(register, value),
        Some(Rule::Special) if core.el > 0 => return special_write(core, register, value, index),
        Some(Rule::SpecialAtEl0) => return special_write(core, register, value, index),
        Some(_) => return Err(Undefined),
        None => {
            let mut access = core.access(env.ram, index);
            if core.el == 0 || !env.mmio.unknown_register(&mut access, register, Some(value)) {
                return Err(Undefined);
            }
            core.sys.set(register, value);
        }
    }
    Ok(())
}

fn special_write(core: &mut Core, register: SysReg, value: u64, index: usize) -> Result<(), Undefined> {
    let ticks = core.clock.ticks(core.instructions + index as u64);
    match register {
        name::MIDR_EL1
        | name::MPIDR_EL1
        | name::CURRENT_EL
        | name::ISR_EL1
        | name::CNTPCT_EL0
        | name::CNTVCT_EL0 => {
            return Err(Undefined);
        }
        name::SPSEL => core.switch(core.el, value & 1 != 0),
        name::NZCV => core.nzcv = (value >> 28 & 15) as u32,
        name::DAIF => core.daif = (value >> 6 & 15) as u8,
        name::SP_EL0 if core.sp_sel => core.set_sp(0, value),
        name::SP_EL0 => return Err(Undefined),
        name::SP_EL1 => core.set_sp(1, value),
        name::SP_EL2 => core.set_sp(2, value),
        name::RMR_EL3 => core.warm_reset = value & 2 != 0,
        name::CNTP_TVAL_EL0 | name::CNTV_TVAL_EL0 | name::CNTHP_TVAL_EL2 | name::CNTPS_TVAL_EL1 => {
            let (compare, count) = timer::relative(&core.sys, register, ticks);
            core.sys.set(compare, count.wrapping_add(value as u32 as i32 as u64));
        }
        name::TTBR0_EL1 if core.sys.get(register) != value => {
            core.sys.set(register, value);
            core.tlb.flush_lower_half();
            core.remapped = true;
        }
        _ if core.sys.get(register) != value => {
            core.sys.set(register, value);
            let is_timer = register.fields().2 == 14;
            if !is_timer && register != name::SCR_EL3 {
                core.remap();
            }
        }
        _ => {}
    }
    Ok(())
}

/// MSR with an immediate: `op1:op2` is the field, `value` its four bits.
pub fn write_immediate(core: &mut Core, field: u16, value: u8) -> Result<(), Undefined> {
    // At EL0 only with SCTLR_EL1.UMA, which no software here sets.
    if core.el == 0 {
        return Err(Undefined);
    }
    match field {
        0b000_101 => core.switch(core.el, value & 1 != 0),
        0b011_110 => core.daif |= value,
        _ => core.daif &= !value,
    }
    core.check_at = 0;
    Ok(())
}

/// Pages that one TLBI by address may drop at once before everything is dropped.
const DROPS: usize = 16;

/// SYS: TLB and cache maintenance, address translation.
pub fn maintain(core: &mut Core, env: &mut Env<'_>, operation: SysReg, value: u64) -> Result<(), Undefined> {
    let (_, op1, crn, crm, op2) = operation.fields();
    // IC IVAU is op1 = 3 like the operations by address that decode to nothing.
    if core.el < lowest_level(operation) {
        return Err(Undefined);
    }
    match (op1, crn, crm, op2) {
        // IC IALLUIS, IALLU, IVAU; DC IVAC, ISW, CSW, CISW. There are no caches.
        (0, 7, 1 | 5, 0) | (3, 7, 5, 1) | (0, 7, 6, 1 | 2) | (0, 7, 10 | 14, 2)
            if core.el > 0 || op1 == 3 =>
        {
            Ok(())
        }
        (0, 7, 8, 0..=3) | (4, 7, 8, 0 | 1) | (6, 7, 8, 0 | 1) => {
            translate(core, env, op1, op2, value);
            Ok(())
        }
        // TLBI by address; the others drop everything.
        (0, 8, 3 | 7, 1 | 3 | 5 | 7) | (4 | 6, 8, 3 | 7, 1 | 5) => {
            let page = ((value << 20) as i64 >> 8) as u64;
            core.tlb.flush_region(page);
            if core.dropped.len() < DROPS {
                core.dropped.push(page);
            } else {
                core.remapped = true;
            }
            core.check_at = 0;
            Ok(())
        }
        (0, 8, 3 | 7, 0 | 2) | (4, 8, 3 | 7, 0 | 4 | 6) | (4, 8, 0 | 4, 1 | 5) | (6, 8, 3 | 7, 0) => {
            core.remap();
            Ok(())
        }
        _ => Err(Undefined),
    }
}

/// AT: the result goes to `PAR_EL1`.
fn translate(core: &mut Core, env: &Env<'_>, op1: u16, op2: u16, address: u64) {
    let want = if op2 & 1 == 0 { Want::Read } else { Want::Write };
    let el = match (op1, op2) {
        (6, _) => 3,
        (4, _) => 2,
        (_, 0 | 1) => 1,
        _ => 0,
    };
    let result = match mmu::translate(core, env, address, want, el) {
        Ok(place) => place.address & 0x000f_ffff_ffff_f000 | 0x0800 | 0xff << 56,
        Err(abort) => 0x0801 | u64::from(abort.status) << 1,
    };
    core.sys.set(name::PAR_EL1, result);
}
