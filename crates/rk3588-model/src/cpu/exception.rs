// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Exceptions: which level takes one, what it finds in its registers, where it starts (DDI 0487 D1.3).

use super::Exception;
use super::core::{Abort, Core};
use super::mmu::status;
use super::sysreg::{banked, name};
use crate::bus::Lines;

/// Why an instruction did not complete, or what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Not allocated, or not at this level.
    Undefined,
    /// `PSTATE.IL` is set.
    IllegalState,
    /// [`Core::abort`], by a load or store.
    DataAbort,
    /// [`Core::abort`], by the fetch.
    FetchAbort,
    /// The program counter is no multiple of 4.
    Misaligned,
    /// SVC with its immediate.
    Svc(u16),
    /// HVC with its immediate.
    Hvc(u16),
    /// SMC with its immediate.
    Smc(u16),
    /// BRK with its immediate.
    Brk(u16),
    /// Floating point or SIMD, which the trap of this level catches.
    FloatTrap(u8),
}

/// Exception classes of `ESR_ELx`.
mod class {
    pub const UNKNOWN: u64 = 0x00;
    pub const FLOAT_TRAP: u64 = 0x07;
    pub const ILLEGAL: u64 = 0x0e;
    pub const SVC: u64 = 0x15;
    pub const HVC: u64 = 0x16;
    pub const SMC: u64 = 0x17;
    pub const FETCH_ABORT: u64 = 0x20;
    pub const PC_ALIGNMENT: u64 = 0x22;
    pub const DATA_ABORT: u64 = 0x24;
    pub const BRK: u64 = 0x3c;
}

/// `SCR_EL3` bits.
mod scr {
    pub const NS: u64 = 1;
    pub const IRQ: u64 = 1 << 1;
    pub const FIQ: u64 = 1 << 2;
    pub const EA: u64 = 1 << 3;
    pub const SMD: u64 = 1 << 7;
    pub const HCE: u64 = 1 << 8;
}

/// `HCR_EL2` bits.
mod hcr {
    pub const FMO: u64 = 1 << 3;
    pub const IMO: u64 = 1 << 4;
    pub const TSC: u64 = 1 << 19;
    pub const TGE: u64 = 1 << 27;
}

/// Offset of the interrupt vectors from the synchronous one.
const IRQ: u64 = 0x80;
const FIQ: u64 = 0x100;

/// `PSTATE.DAIF`: masks of FIQ and IRQ.
const MASK_F: u8 = 1;
const MASK_I: u8 = 2;

/// `HCR_EL2` as far as it is in force: in secure state it is not.
fn hypervisor(core: &Core) -> u64 {
    if core.sys.get(name::SCR_EL3) & scr::NS != 0 { core.sys.get(name::HCR_EL2) } else { 0 }
}

/// Takes the exception of the instruction at `pc`.
pub fn take_synchronous(core: &mut Core, pc: u64, cause: Cause) {
    let (secure, hyp) = (core.sys.get(name::SCR_EL3), hypervisor(core));
    let general = if core.el == 0 && hyp & hcr::TGE != 0 { 2 } else { core.el.max(1) };
    let next = pc.wrapping_add(4);
    let undefined = (general, class::UNKNOWN, 0, pc, None);
    let lower = |to: u8, class: u64| if to > core.el { class } else { class + 1 };
    let Abort { address, status, write } = core.abort;
    let (to, class, iss, elr, far) = match cause {
        Cause::Undefined => undefined,
        Cause::IllegalState => (general, class::ILLEGAL, 0, pc, None),
        Cause::Misaligned => (general, class::PC_ALIGNMENT, 0, pc, Some(pc)),
        // With TGE the trap of EL1 is an undefined instruction at EL2.
        Cause::FloatTrap(1) if general == 2 => undefined,
        // ISS: CV is set, the condition is "always".
        Cause::FloatTrap(to) => (to, class::FLOAT_TRAP, 1 << 24 | 0xe << 20, pc, None),
        Cause::Svc(imm) => (general, class::SVC, imm.into(), next, None),
        Cause::Brk(imm) => (general, class::BRK, imm.into(), pc, None),
        Cause::Hvc(_)
            if core.el == 0 || secure & scr::HCE == 0 || (core.el == 1 && secure & scr::NS == 0) =>
        {
            undefined
        }
        Cause::Hvc(imm) => (core.el.max(2), class::HVC, imm.into(), next, None),
        Cause::Smc(_) if core.el == 0 => undefined,
        Cause::Smc(imm) if core.el == 1 && hyp & hcr::TSC != 0 => (2, class::SMC, imm.into(), pc, None),
        Cause::Smc(_) if secure & scr::SMD != 0 => undefined,
        Cause::Smc(imm) => (3, class::SMC, imm.into(), next, None),
        Cause::DataAbort | Cause::FetchAbort => {
            let external = matches!(status & !3, status::EXTERNAL | status::EXTERNAL_ON_WALK);
            let to = if external && secure & scr::EA != 0 { 3 } else { general };
            let class =
                lower(to, if cause == Cause::DataAbort { class::DATA_ABORT } else { class::FETCH_ABORT });
            (to, class, u64::from(status) | u64::from(write) << 6, pc, Some(address))
        }
    };
    let esr = class << 26 | 1 << 25 | iss;
    if !matches!(cause, Cause::Svc(_) | Cause::Hvc(_) | Cause::Smc(_)) || class == class::UNKNOWN {
        core.last_exception = Some(Exception {
            from_el: core.el,
            to_el: to,
            elr,
            esr,
            far: far.unwrap_or(0),
            instructions: core.instructions,
        });
        core.faulted |= core.stop_on_fault[usize::from(to)];
    }
    core.sys.set(banked::esr(to), esr);
    if let Some(far) = far {
        core.sys.set(banked::far(to), far);
    }
    enter(core, to, elr, 0);
}

/// Takes a pending interrupt if one is enabled; whether it did.
pub fn take_interrupt(core: &mut Core, pending: Lines) -> bool {
    let (secure, hyp) = (core.sys.get(name::SCR_EL3), hypervisor(core));
    for (line, route, to_hyp, mask, vector) in
        [(pending.fiq, scr::FIQ, hcr::FMO, MASK_F, FIQ), (pending.irq, scr::IRQ, hcr::IMO, MASK_I, IRQ)]
    {
        let to = if secure & route != 0 {
            3
        } else if hyp & (to_hyp | hcr::TGE) != 0 {
            2
        } else {
            1
        };
        // A higher level's interrupt cannot be masked below it; that of a lower one waits.
        let masked = to < core.el || (to == core.el && core.daif & mask != 0);
        if line && !masked {
            let pc = core.pc;
            enter(core, to, pc, vector);
            return true;
        }
    }
    false
}

fn enter(core: &mut Core, to: u8, elr: u64, vector: u64) {
    let origin = if to > core.el {
        0x400
    } else if core.sp_sel {
        0x200
    } else {
        0
    };
    core.sys.set(banked::spsr(to), core.pstate());
    core.sys.set(banked::elr(to), elr);
    core.switch(to, true);
    (core.daif, core.illegal, core.monitor) = (0xf, false, None);
    core.pc = (core.sys.get(banked::vbar(to)) & !0x7ff) + origin + vector;
    core.check_at = 0;
}
