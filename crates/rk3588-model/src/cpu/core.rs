// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The state of the core: registers, PSTATE, banked stack pointers, and the flags' arithmetic.

use super::op::{REGISTERS, SP};
use super::sysreg::{Registers, banked, name};
use super::timer::Clock;
use super::tlb::Tlb;
use crate::bus::{Access, Lines, Mmio};
use crate::ram::Ram;

/// What an instruction reaches outside the core.
pub struct Env<'a> {
    pub ram: &'a mut Ram,
    pub mmio: &'a mut dyn Mmio,
    /// A device asked to end the run.
    pub stop: bool,
    /// A write found no room, see [`super::Stop::MemoryLimit`].
    pub memory_limit: bool,
}

/// The instruction was not completed; [`Core::abort`] says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault;

/// A failed access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abort {
    /// Virtual address.
    pub address: u64,
    /// Fault status code, DDI 0487 table of `ISS` encodings for aborts.
    pub status: u32,
    /// A write, or maintenance that counts as one.
    pub write: bool,
}

/// Bits of the saved program status, DDI 0487 C5.2.18 `SPSR_EL1`.
mod spsr {
    pub const IL: u64 = 1 << 20;
    pub const AARCH32: u64 = 1 << 4;
}

/// The core without its decoded code.
#[derive(Debug)]
pub struct Core {
    /// Registers by the indices of [`super::op`].
    pub r: [u64; REGISTERS],
    /// Address of the next instruction; inside a block, that of its first one.
    pub pc: u64,
    /// N, Z, C, V in bits 3 to 0.
    pub nzcv: u32,
    /// Exception level.
    pub el: u8,
    /// `PSTATE.SP`: whether the level uses its own stack pointer.
    pub sp_sel: bool,
    /// `PSTATE.DAIF` in bits 3 to 0.
    pub daif: u8,
    /// `PSTATE.IL`.
    pub illegal: bool,
    /// `SP_EL0` to `SP_EL3`; that of the current stack pointer is out of date.
    pub sp_bank: [u64; 4],
    /// Instructions executed before the current block.
    pub instructions: u64,
    /// At this count the run loop looks at interrupts, time and its limits; 0 is at once.
    pub check_at: u64,
    /// Physical address and size of the last load-exclusive.
    pub monitor: Option<(u64, u8)>,
    pub clock: Clock,
    pub sys: Registers,
    pub simd: Box<super::simd::State>,
    pub tlb: Tlb,
    pub abort: Abort,
    /// `RMR_EL3` asked for a reset.
    pub warm_reset: bool,
    /// WFI waits.
    pub waiting: bool,
    /// Decoded code may no longer be where it was.
    pub remapped: bool,
    /// Pages whose translation was dropped since the last look.
    pub dropped: Vec<u64>,
    /// Interrupt inputs.
    pub pending: Lines,
    /// The last exception that is not a call, and whether the run has to stop for it.
    pub last_exception: Option<super::Exception>,
    pub stop_on_fault: [bool; 4],
    pub faulted: bool,
}

impl Core {
    pub fn new(pc: u64) -> Self {
        let mut core = Self {
            r: [0; REGISTERS],
            pc,
            nzcv: 0,
            el: 3,
            sp_sel: true,
            daif: 0xf,
            illegal: false,
            sp_bank: [0; 4],
            instructions: 0,
            check_at: 0,
            monitor: None,
            clock: Clock::default(),
            sys: Registers::new(),
            simd: Box::default(),
            tlb: Tlb::new(),
            abort: Abort::default(),
            warm_reset: false,
            waiting: false,
            remapped: false,
            dropped: Vec::new(),
            pending: Lines::default(),
            last_exception: None,
            stop_on_fault: [false; 4],
            faulted: false,
        };
        core.reset(pc);
        core
    }

    /// DDI 0487 D1.10: EL3h, everything masked, MMU and caches off.
    pub fn reset(&mut self, pc: u64) {
        self.switch(3, true);
        (self.pc, self.nzcv, self.daif, self.illegal) = (pc, 0, 0xf, false);
        (self.monitor, self.warm_reset, self.waiting, self.check_at) = (None, false, false, 0);
        self.sys.set(name::SCTLR_EL3, 0x30c5_0830);
        self.sys.set(name::SCR_EL3, 0);
        self.sys.set(name::HCR_EL2, 0);
        self.remap();
    }

    /// Changes level and stack pointer.
    pub fn switch(&mut self, el: u8, sp_sel: bool) {
        let bank = |el: u8, sel: bool| usize::from(if sel { el & 3 } else { 0 });
        self.sp_bank[bank(self.el, self.sp_sel)] = self.r[usize::from(SP)];
        (self.el, self.sp_sel) = (el, sp_sel);
        self.r[usize::from(SP)] = self.sp_bank[bank(el, sp_sel)];
        self.tlb.select(el);
    }

    /// A banked stack pointer by its level.
    pub fn sp(&self, el: u8) -> u64 {
        let current = if self.sp_sel { self.el } else { 0 };
        if el == current { self.r[usize::from(SP)] } else { self.sp_bank[usize::from(el & 3)] }
    }

    /// Sets a banked stack pointer.
    pub fn set_sp(&mut self, el: u8, value: u64) {
        let current = if self.sp_sel { self.el } else { 0 };
        if el == current {
            self.r[usize::from(SP)] = value;
        } else {
            self.sp_bank[usize::from(el & 3)] = value;
        }
    }

    /// PSTATE in the form of `SPSR_ELx`.
    pub fn pstate(&self) -> u64 {
        u64::from(self.nzcv) << 28
            | if self.illegal { spsr::IL } else { 0 }
            | u64::from(self.daif) << 6
            | u64::from(self.el) << 2
            | u64::from(self.sp_sel)
    }

    /// ERET: restores PSTATE and the program counter; an illegal return stays at its level and sets `PSTATE.IL`.
    pub fn exception_return(&mut self) {
        let (spsr, elr) = (self.sys.get(banked::spsr(self.el)), self.sys.get(banked::elr(self.el)));
        let el = (spsr >> 2 & 3) as u8;
        let lower_is_secure = self.sys.get(name::SCR_EL3) & 1 == 0;
        let legal = spsr & spsr::AARCH32 == 0
            && spsr & 0b10 == 0
            && el <= self.el
            && !(el == 0 && spsr & 1 != 0)
            && !(el == 2 && lower_is_secure);
        self.nzcv = (spsr >> 28) as u32;
        self.daif = (spsr >> 6 & 15) as u8;
        self.monitor = None;
        self.pc = elr;
        if legal {
            self.illegal = spsr & spsr::IL != 0;
            self.switch(el, spsr & 1 != 0);
        } else {
            self.illegal = true;
        }
        self.check_at = 0;
    }

    /// What a device gets to see of an access by the instruction `index` of the block.
    pub fn access<'a>(&self, ram: &'a mut Ram, index: usize) -> Access<'a> {
        let instructions = self.instructions + index as u64;
        Access {
            ram,
            pc: self.pc + 4 * index as u64,
            el: self.el,
            ticks: self.clock.ticks(instructions),
            instructions,
            stop: false,
        }
    }

    /// All translations may have changed.
    pub fn remap(&mut self) {
        self.tlb.flush();
        self.remapped = true;
        self.check_at = 0;
    }
}

/// N and Z of a 64-bit result.
#[inline(always)]
pub const fn nz64(result: u64) -> u32 {
    ((result >> 63) as u32) << 3 | ((result == 0) as u32) << 2
}

/// N and Z of a 32-bit result.
#[inline(always)]
pub const fn nz32(result: u32) -> u32 {
    (result >> 31) << 3 | ((result == 0) as u32) << 2
}

/// `AddWithCarry` of the manual in 64 bits: the sum and NZCV.
#[inline(always)]
pub const fn add64(a: u64, b: u64, carry: bool) -> (u64, u32) {
    let (half, c1) = a.overflowing_add(b);
    let (sum, c2) = half.overflowing_add(carry as u64);
    let overflow = ((a ^ sum) & (b ^ sum)) >> 63;
    (sum, nz64(sum) | ((c1 | c2) as u32) << 1 | overflow as u32)
}

/// `AddWithCarry` of the manual in 32 bits.
#[inline(always)]
pub const fn add32(a: u32, b: u32, carry: bool) -> (u32, u32) {
    let wide = a as u64 + b as u64 + carry as u64;
    let sum = wide as u32;
    let overflow = ((a ^ sum) & (b ^ sum)) >> 31;
    (sum, nz32(sum) | ((wide >> 32) as u32) << 1 | overflow)
}

/// Whether a condition holds for NZCV, as bit masks over the sixteen states of the flags (DDI 0487 C1.2.4).
const CONDITIONS: [u16; 16] = {
    let mut table = [0; 16];
    let mut condition = 0;
    while condition < 16 {
        let mut flags = 0;
        while flags < 16 {
            let (n, z, c, v) = (flags & 8 != 0, flags & 4 != 0, flags & 2 != 0, flags & 1 != 0);
            let holds = match condition >> 1 {
                0 => z,
                1 => c,
                2 => n,
                3 => v,
                4 => c && !z,
                5 => n == v,
                6 => n == v && !z,
                _ => true,
            };
            // The last bit inverts, except that 15 is "always" too.
            if holds != (condition & 1 == 1 && condition != 15) {
                table[condition] |= 1 << flags;
            }
            flags += 1;
        }
        condition += 1;
    }
    table
};

/// Whether `condition` holds for `nzcv`.
#[inline(always)]
pub const fn holds(condition: u8, nzcv: u32) -> bool {
    CONDITIONS[(condition & 15) as usize] >> (nzcv & 15) & 1 != 0
}
