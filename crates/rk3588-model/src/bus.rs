// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The seam between the core and the rest of the SoC: accesses that are not to memory, interrupt lines, time.
//!
//! The core reaches DRAM and SRAM through [`Ram`] alone; everything else goes through [`Mmio`]. This module
//! knows no device and no address.

use crate::ram::Ram;

/// Width of one access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Width {
    /// Size in bytes: 1, 2, 4 or 8.
    pub const fn bytes(self) -> usize {
        1 << self as usize
    }

    /// The bits of a value that the access carries.
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// Nothing answers at the address, or not in this width: the core takes a synchronous external abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer from the bus")]
pub struct BusFault;

/// What an access finds beside its address: memory for devices that read and write it themselves, who asks, and when.
#[derive(Debug)]
pub struct Access<'a> {
    /// DRAM and SRAM. Writes through it are seen by the core as code changes where there is code.
    pub ram: &'a mut Ram,
    /// Address of the instruction.
    pub pc: u64,
    /// Exception level of the instruction, 0 to 3.
    pub el: u8,
    /// Virtual time in ticks of the 24 MHz counter.
    pub ticks: u64,
    /// Instructions executed before this one.
    pub instructions: u64,
    /// Set by a device to end the run with [`crate::cpu::Stop::Requested`] after the instruction.
    pub stop: bool,
}

/// A system register: `op0:op1:CRn:CRm:op2` in 16 bits, as bits 20:5 of MRS and MSR hold it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysReg(pub u16);

impl SysReg {
    /// From the five fields of the register's name `S<op0>_<op1>_C<crn>_C<crm>_<op2>`.
    pub const fn new(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> Self {
        Self((op0 & 3) << 14 | (op1 & 7) << 11 | (crn & 15) << 7 | (crm & 15) << 3 | (op2 & 7))
    }

    /// `op0`, `op1`, `CRn`, `CRm`, `op2`.
    pub const fn fields(self) -> (u16, u16, u16, u16, u16) {
        (self.0 >> 14, self.0 >> 11 & 7, self.0 >> 7 & 15, self.0 >> 3 & 15, self.0 & 7)
    }
}

impl std::fmt::Debug for SysReg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (op0, op1, crn, crm, op2) = self.fields();
        write!(f, "S{op0}_{op1}_C{crn}_C{crm}_{op2}")
    }
}

/// Interrupt inputs of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    /// IRQ.
    pub irq: bool,
    /// FIQ.
    pub fiq: bool,
}

/// Outputs of the core's generic timers, which are private interrupts of the GIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimerLines {
    /// Secure physical timer `CNTPS`, PPI 29.
    pub secure: bool,
    /// Non-secure physical timer `CNTP`, PPI 30.
    pub physical: bool,
    /// Virtual timer `CNTV`, PPI 27.
    pub virt: bool,
    /// EL2 physical timer `CNTHP`, PPI 26.
    pub hyp: bool,
}

/// A change of the exception level, by an exception or a return from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelChange {
    /// Level before.
    pub from_el: u8,
    /// Level after.
    pub to_el: u8,
    /// Address of the next instruction.
    pub pc: u64,
    /// Instructions executed.
    pub instructions: u64,
}

/// Everything outside core and memory.
pub trait Mmio {
    /// A load from an address that is not memory; the value is in the low bits.
    ///
    /// # Errors
    ///
    /// [`BusFault`] when nothing answers.
    fn read(&mut self, access: &mut Access<'_>, address: u64, width: Width) -> Result<u64, BusFault>;

    /// A store to an address that is not memory; the value is in the low bits, the rest is zero.
    ///
    /// # Errors
    ///
    /// [`BusFault`] when nothing answers.
    fn write(
        &mut self,
        access: &mut Access<'_>,
        address: u64,
        width: Width,
        value: u64,
    ) -> Result<(), BusFault>;

    /// MRS of a register of the interrupt controller's CPU interface (`ICC_*`, `ICH_*`). The core has checked
    /// the exception level and `ICC_SRE_ELx`. `None` is an undefined instruction.
    fn read_icc(&mut self, access: &mut Access<'_>, register: SysReg) -> Option<u64> {
        let _ = (access, register);
        None
    }

    /// MSR of such a register; `None` is an undefined instruction.
    fn write_icc(&mut self, access: &mut Access<'_>, register: SysReg, value: u64) -> Option<()> {
        let _ = (access, register, value);
        None
    }

    /// The state of the interrupt lines. Called after device accesses, at the time given by [`Mmio::next_event`],
    /// and when a timer's output changes.
    fn lines(&mut self, ram: &mut Ram, ticks: u64, timers: TimerLines) -> Lines {
        let _ = (ram, ticks, timers);
        Lines::default()
    }

    /// The next time in ticks at which a device wants [`Mmio::lines`] called without an access.
    fn next_event(&self) -> Option<u64> {
        None
    }

    /// The core is at another exception level, before its first instruction there; `x0` carries the function
    /// number of a call.
    fn level_changed(&mut self, ram: &mut Ram, change: LevelChange, x0: u64) {
        let _ = (ram, change, x0);
    }

    /// Whether the power controller switches the core off while it waits in WFI, and if so, whether an interrupt
    /// switches it on again now. `None`: it stays on.
    fn switched_off(&mut self) -> Option<bool> {
        None
    }

    /// A system register that the core does not know was used. `true` lets it be a register that reads as written,
    /// `false` makes the instruction undefined. Called on every use; the implementation reports once.
    fn unknown_register(&mut self, access: &mut Access<'_>, register: SysReg, write: Option<u64>) -> bool {
        let _ = (access, register, write);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_and_register_names() {
        let widths = [Width::Byte, Width::Half, Width::Word, Width::Double];
        assert_eq!(widths.map(Width::bytes), [1, 2, 4, 8]);
        assert_eq!(widths.map(Width::mask), [0xff, 0xffff, 0xffff_ffff, u64::MAX]);
        // CNTPCT_EL0 is S3_3_C14_C0_1.
        let counter = SysReg::new(3, 3, 14, 0, 1);
        assert_eq!(
            (format!("{counter:?}"), counter.fields()),
            ("S3_3_C14_C0_1".to_owned(), (3, 3, 14, 0, 1))
        );
    }
}
