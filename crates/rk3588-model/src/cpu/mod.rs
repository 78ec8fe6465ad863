// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One A64 core: decoder, interpreter, exception levels, system registers, translation, timers.
//!
//! It knows memory and [`crate::bus::Mmio`] and no device of the SoC. What it leaves out it does not announce in its
//! identification registers, see [`sysreg_table`]; instructions of what is left out are undefined.

mod block;
mod core;
mod decode;
mod exception;
mod exec;
mod float;
mod mmu;
mod op;
mod simd;
mod sysreg;
mod sysreg_table;
#[cfg(test)]
mod tests;
mod timer;
mod tlb;

use self::block::{Block, Blocks};
use self::core::{Core, Env};
use self::exception::Cause;
use self::mmu::{Want, status};
use crate::bus::{LevelChange, Mmio, TimerLines};
use crate::ram::{PAGE_BYTES, Ram, RamError};
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
    /// The power controller had switched the core off in WFI and an interrupt switches it on: as for `WarmReset`.
    PowerUp,
    /// WFI and nothing can ever wake the core.
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
    /// Syndrome, as in `ESR_ELx`.
    pub esr: u64,
    /// Faulting address, as in `FAR_ELx`; 0 where the syndrome has none.
    pub far: u64,
    /// Instructions executed before it.
    pub instructions: u64,
}

/// The core.
#[derive(Debug)]
pub struct Cpu {
    core: Core,
    blocks: Blocks,
    watch: Vec<Range<u64>>,
    timers: TimerLines,
    /// Exception level that the bus was told of.
    seen_el: u8,
}

impl Cpu {
    /// A core after a cold reset, at EL3 with the MMU off.
    pub fn new(pc: u64) -> Self {
        Self {
            core: Core::new(pc),
            blocks: Blocks::new(),
            watch: Vec::new(),
            timers: TimerLines::default(),
            seen_el: 3,
        }
    }

    /// A warm reset: EL3, MMU off, interrupts masked; general registers, time and counts stay.
    pub fn reset(&mut self, pc: u64) {
        self.core.reset(pc);
    }

    /// Executes at least one instruction and up to `count`, or somewhat more: blocks are not cut.
    pub fn run(&mut self, ram: &mut Ram, mmio: &mut dyn Mmio, count: u64) -> Stop {
        let limit = self.core.instructions.saturating_add(count);
        let mut env = Env { ram, mmio, stop: false, memory_limit: false };
        self.core.check_at = 0;
        self.core.faulted = false;
        let mut is_first = true;
        loop {
            if self.core.instructions >= self.core.check_at {
                if !is_first && let Some(stop) = self.stop(&env, limit) {
                    return stop;
                }
                if let Some(stop) = self.look(&mut env, limit) {
                    return stop;
                }
                if self.core.faulted {
                    return Stop::Fault;
                }
            }
            let (pc, el) = (self.core.pc, self.core.el);
            let block = match self.blocks.shortcut(pc, el) {
                Some(block) => block,
                None => {
                    if !is_first && Blocks::is_watched(&self.watch, pc) {
                        return Stop::Watch;
                    }
                    match self.find(&mut env) {
                        Ok(block) => block,
                        Err(cause) => {
                            exception::take_synchronous(&mut self.core, pc, cause);
                            // A vector that cannot be fetched would never come here again.
                            self.core.instructions += 1;
                            is_first = false;
                            continue;
                        }
                    }
                }
            };
            is_first = false;
            let operations = self.blocks.operations(block);
            match exec::block(&mut self.core, &mut env, operations) {
                Ok(executed) => self.core.instructions += executed as u64,
                Err((index, cause)) => {
                    self.core.instructions += index as u64;
                    exception::take_synchronous(&mut self.core, pc.wrapping_add(4 * index as u64), cause);
                    self.core.instructions += 1;
                }
            }
        }
    }

    /// What ends the run between two blocks.
    fn stop(&mut self, env: &Env<'_>, limit: u64) -> Option<Stop> {
        if env.memory_limit {
            Some(Stop::MemoryLimit)
        } else if self.core.warm_reset {
            Some(Stop::WarmReset)
        } else if self.core.faulted {
            Some(Stop::Fault)
        } else if env.stop {
            Some(Stop::Requested)
        } else if self.core.instructions >= limit {
            Some(Stop::Limit)
        } else {
            None
        }
    }

    /// Between two blocks, when something asked for it: changed code and translations, time, interrupts.
    fn look(&mut self, env: &mut Env<'_>, limit: u64) -> Option<Stop> {
        let core = &mut self.core;
        if core.el != self.seen_el {
            let (from_el, to_el) = (std::mem::replace(&mut self.seen_el, core.el), core.el);
            let change = LevelChange { from_el, to_el, pc: core.pc, instructions: core.instructions };
            env.mmio.level_changed(env.ram, change, core.r[0]);
        }
        for slot in env.ram.take_stale() {
            self.blocks.drop_page(slot);
        }
        if std::mem::take(&mut core.remapped) {
            self.blocks.forget_addresses();
            core.dropped.clear();
        }
        for address in core.dropped.drain(..) {
            self.blocks.forget_region(address);
        }
        loop {
            let ticks = core.clock.ticks(core.instructions);
            self.timers = timer::lines(&core.sys, ticks);
            core.pending = env.mmio.lines(env.ram, ticks, self.timers);
            let next = [timer::next(&core.sys, ticks), env.mmio.next_event().filter(|at| *at > ticks)];
            let next = next.into_iter().flatten().min();
            core.check_at = next.map_or(limit, |at| core.clock.instructions_at(at)).min(limit);
            let switched_off = if core.waiting { env.mmio.switched_off() } else { None };
            match switched_off {
                Some(true) => return Some(Stop::PowerUp),
                Some(false) => {}
                None if !core.waiting || core.pending.irq || core.pending.fiq => break,
                None => {}
            }
            let Some(next) = next else { return Some(Stop::Wait) };
            core.clock.skip_to(next, core.instructions);
        }
        core.waiting = false;
        if !exception::take_interrupt(core, core.pending) && core.illegal {
            exception::take_synchronous(core, core.pc, Cause::IllegalState);
        }
        None
    }

    /// Fetches from a place that the short cut does not know.
    fn find(&mut self, env: &mut Env<'_>) -> Result<Block, Cause> {
        let core = &mut self.core;
        let pc = core.pc;
        if !pc.is_multiple_of(4) {
            return Err(Cause::Misaligned);
        }
        let place = mmu::translate(core, env, pc, Want::Fetch, core.el).map_err(|abort| {
            core.abort = abort;
            Cause::FetchAbort
        })?;
        let slot = env.ram.slot_for_write(place.address).map_err(|error| {
            env.memory_limit |= matches!(error, RamError::Limit(_));
            core.abort = core::Abort { address: pc, status: status::EXTERNAL, write: false };
            Cause::FetchAbort
        })?;
        let (block, is_new) = self.blocks.find(env.ram, pc, core.el, slot, place.address % PAGE_BYTES);
        if is_new {
            core.tlb.protect(slot);
        }
        if Blocks::is_watched(&self.watch, pc) {
            // Without a short cut the next visit stops again.
            self.blocks.forget_region(pc);
        }
        Ok(block)
    }

    /// Stops before the first instruction of a block in these ranges of virtual addresses: at branch targets, not
    /// in the middle of straight code.
    pub fn watch(&mut self, ranges: &[Range<u64>]) {
        self.watch = ranges.to_vec();
        self.blocks.forget_addresses();
    }

    /// Lets time hurry while the software polls the counter and does nothing else, see [`timer`]. For firmware: an
    /// operating system's clock should not jump.
    pub fn hurry_when_polled(&mut self, hurries: bool) {
        self.core.clock.hurry(hurries);
    }

    /// For each target level: [`Stop::Fault`] behind synchronous exceptions other than SVC, HVC and SMC.
    pub fn stop_on_fault(&mut self, levels: [bool; 4]) {
        self.core.stop_on_fault = levels;
    }

    /// The last synchronous exception other than an SVC, HVC or SMC.
    pub fn last_exception(&self) -> Option<Exception> {
        self.core.last_exception
    }

    /// A general register, 0 to 30.
    pub fn x(&self, number: u8) -> u64 {
        self.core.r[usize::from(number.min(30))]
    }

    /// Sets a general register, 0 to 30.
    pub fn set_x(&mut self, number: u8, value: u64) {
        self.core.r[usize::from(number.min(30))] = value;
    }

    /// The current stack pointer.
    pub fn sp(&self) -> u64 {
        self.core.r[usize::from(op::SP)]
    }

    /// Address of the next instruction.
    pub fn pc(&self) -> u64 {
        self.core.pc
    }

    /// Current exception level, 0 to 3.
    pub fn el(&self) -> u8 {
        self.core.el
    }

    /// Instructions executed since the cold reset.
    pub fn instructions(&self) -> u64 {
        self.core.instructions
    }

    /// Virtual time in ticks of 24 MHz.
    pub fn ticks(&self) -> u64 {
        self.core.clock.ticks(self.core.instructions)
    }

    /// Where a virtual address is in physical memory, for a read at the current level.
    pub fn physical(&self, ram: &mut Ram, mmio: &mut dyn Mmio, address: u64) -> Option<u64> {
        let env = Env { ram, mmio, stop: false, memory_limit: false };
        mmu::translate(&self.core, &env, address, Want::Read, self.core.el).ok().map(|place| place.address)
    }
}
