// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The SoC outside of the core: address decoding, the register file, strict mode, injected faults.
//!
//! [`map`] says what lies where, [`devices`] holds what answers. An address in no block keeps what is written
//! and reads zero at first, as the prototype of this model showed to be enough; strict mode reports it.

pub mod devices;
pub mod map;
pub mod registers;
pub mod reports;
pub mod scmi;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::behaviour::{Behaviour, Behaviours};
use crate::bus::{Access, BusFault, LevelChange, Lines, Mmio, SysReg, TimerLines, Width};
use crate::devices::{Cx, Lines as DeviceLines, Read, Write};
use crate::events::{Event, Events};
use crate::machine::marks::{Mark, Stage};
use crate::ram::Ram;
use devices::{Devices, Parts};
use map::{Block, Kind};
use registers::Registers;
use reports::{Place, Report, Reports};

/// `PMU2_CPU_AUTO_PWR_CON(0)` (TF-A `rk3588/drivers/pmu/pmu.h`).
const CORE0_AUTO_POWER: u64 = 0xfd8d_8010;
/// Its bits `core_pm_en` and `core_pm_int_wakeup_en`: off in WFI, on by an interrupt.
const AUTO_POWER_BY_INTERRUPT: u32 = 3;

/// Bytes after which [`Soc`] asks for a pause of the run: a transfer takes time that is in no instruction count.
pub const MOVED_PER_RUN_BYTES: u64 = 64 << 20;

/// A fault put on a register: what reads of it give, and what becomes of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Override {
    /// Address of the word.
    pub address: u64,
    /// Bits that the fault decides.
    pub mask: u32,
    /// What they read.
    pub value: u32,
}

/// One access, kept for the diagnosis of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastAccess {
    /// Address.
    pub address: u64,
    /// Bytes.
    pub bytes: usize,
    /// Value written, or `None` for a read.
    pub written: Option<u64>,
    /// Value read.
    pub read: Option<u64>,
    /// Address of the instruction.
    pub pc: u64,
    /// Name of the block.
    pub block: Option<&'static str>,
}

/// Everything outside of core and memory.
#[derive(Debug)]
pub struct Soc {
    /// The devices.
    pub devices: Devices,
    /// Records.
    pub events: Events,
    /// What was not known.
    pub reports: Reports,
    /// Which special behaviours are on.
    pub behaviours: Behaviours,
    /// End the run at the first unknown place.
    pub strict: bool,
    /// Faults on registers.
    pub overrides: Vec<Override>,
    registers: Registers,
    lines: DeviceLines,
    last: Option<LastAccess>,
    accesses: u64,
    unmodelled: BTreeMap<u64, u64>,
    moved_bytes: u64,
    unknown_hit: bool,
    scmi: scmi::Scmi,
    marks: Vec<Mark>,
    seen_bl31: bool,
    seen_u_boot: bool,
}

impl Soc {
    /// The SoC on a board with `parts`.
    pub fn new(parts: Parts) -> Self {
        Self {
            devices: Devices::new(parts),
            events: Events::default(),
            reports: Reports::default(),
            behaviours: Behaviours::default(),
            strict: false,
            overrides: Vec::new(),
            registers: Registers::default(),
            lines: DeviceLines::default(),
            last: None,
            accesses: 0,
            unmodelled: BTreeMap::new(),
            moved_bytes: 0,
            unknown_hit: false,
            scmi: scmi::Scmi::default(),
            marks: Vec::new(),
            seen_bl31: false,
            seen_u_boot: false,
        }
    }

    /// The last access to a register.
    pub fn last_access(&self) -> Option<LastAccess> {
        self.last
    }

    /// Accesses to registers so far.
    pub fn accesses(&self) -> u64 {
        self.accesses
    }

    /// Accesses so far to registers that only keep what is written, by the address of their page of 4 KiB.
    pub fn unmodelled(&self) -> &BTreeMap<u64, u64> {
        &self.unmodelled
    }

    /// Bytes that devices have moved between memory and media so far.
    pub fn moved_bytes(&self) -> u64 {
        self.moved_bytes
    }

    /// Hand-overs since the last call.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        std::mem::take(&mut self.marks)
    }

    /// True once after strict mode has met an unknown place.
    pub fn take_unknown_hit(&mut self) -> bool {
        std::mem::take(&mut self.unknown_hit)
    }

    fn unknown(
        &mut self,
        place: Place,
        block: Option<&'static str>,
        written: Option<u64>,
        access: &mut Access<'_>,
    ) {
        let report = Report { place, block, written, pc: access.pc, el: access.el };
        if self.reports.note(report) && self.strict {
            self.unknown_hit = true;
            access.stop = true;
        }
    }

    /// The word at `address`, a multiple of 4.
    fn read_word(&mut self, block: Option<&Block>, address: u64, access: &mut Access<'_>) -> u32 {
        let Some(block) = block else {
            self.unknown(Place::Block(address & !0xfff), None, None, access);
            return self.registers.read(address);
        };
        let offset = (address - block.base) as u32;
        let secure = access.el == 3;
        let answer = match block.kind {
            Kind::GicDistributor => {
                self.devices.gic.read_distributor(offset, secure, self.behaviours).map(Read::Value)
            }
            Kind::GicRedistributors => {
                self.devices.gic.read_redistributor(offset, secure, self.behaviours).map(Read::Value)
            }
            Kind::Its(n) => self.devices.gic.its[usize::from(n)].read(offset).map(Read::Value),
            kind => {
                let mut cx = Cx {
                    ram: access.ram,
                    lines: &mut self.lines,
                    events: &mut self.events,
                    behaviours: self.behaviours,
                    now_ticks: access.ticks,
                    moved_bytes: &mut self.moved_bytes,
                };
                self.devices.with(kind, |device| device.read32(offset, &mut cx))
            }
        };
        match answer.unwrap_or(Read::Unknown) {
            Read::Value(value) => value,
            Read::Plain => self.registers.read(address),
            Read::Unknown => {
                self.unknown(Place::Register(address), Some(block.name), None, access);
                self.registers.read(address)
            }
        }
    }

    /// Writes `size` bytes, all in one word.
    fn write_word(
        &mut self,
        block: Option<&Block>,
        address: u64,
        size: usize,
        value: u32,
        access: &mut Access<'_>,
    ) {
        let shift = 8 * (address as u32 & 3);
        let lane = (u32::MAX >> (32 - 8 * size)) << shift;
        let Some(block) = block else {
            self.unknown(Place::Block(address & !0xfff), None, Some(value.into()), access);
            return self.registers.write(address, value << shift, lane);
        };
        let offset = (address - block.base) as u32;
        let secure = access.el == 3;
        let mut bytes = [false; 4];
        bytes[(offset & 3) as usize..(offset & 3) as usize + size].fill(true);
        let done = |taken: Option<()>| taken.map(|()| Write::Done);
        let answer = match block.kind {
            Kind::GicDistributor => {
                done(self.devices.gic.write_distributor(offset & !3, value << shift, bytes, secure))
            }
            Kind::GicRedistributors => {
                done(self.devices.gic.write_redistributor(offset & !3, value << shift, bytes, secure))
            }
            Kind::Its(n) => done(self.devices.gic.its[usize::from(n)].write(offset & !3, value << shift)),
            kind => {
                let mut cx = Cx {
                    ram: access.ram,
                    lines: &mut self.lines,
                    events: &mut self.events,
                    behaviours: self.behaviours,
                    now_ticks: access.ticks,
                    moved_bytes: &mut self.moved_bytes,
                };
                self.devices.with(kind, |device| match size {
                    4 => device.write32(offset, value, &mut cx),
                    _ => device.write_narrow(offset, size, value, &mut cx),
                })
            }
        };
        let mut mask = lane;
        match answer.unwrap_or(Write::Unknown) {
            Write::Done => return,
            Write::Plain => {}
            // Upper half: which bits of the lower half change. Without a mask the word is written whole: some
            // plain words lie among masked ones (observed: thresholds and counters of PMU and clock units).
            Write::Masked => {
                if size == 4 && value >> 16 != 0 && self.behaviours.has(Behaviour::WriteMasks) {
                    mask = value >> 16;
                }
            }
            Write::Unknown => {
                self.unknown(Place::Register(address), Some(block.name), Some(value.into()), access)
            }
        }
        self.registers.write(address, value << shift, mask);
    }

    fn apply_overrides(&self, address: u64, value: u32) -> u32 {
        self.overrides
            .iter()
            .filter(|fault| fault.address == address)
            .fold(value, |value, fault| value & !fault.mask | fault.value & fault.mask)
    }

    fn note(&mut self, access: &Access<'_>, block: Option<&Block>, last: LastAccess) {
        self.accesses += 1;
        if block.is_none_or(|block| block.kind == Kind::Plain) {
            *self.unmodelled.entry(last.address & !0xfff).or_default() += 1;
        }
        self.last = Some(LastAccess { pc: access.pc, block: block.map(|b| b.name), ..last });
    }
}

/// Whether something may answer at all: the register space, and what PCIe has above DRAM.
fn answers(block: Option<&Block>, address: u64) -> Result<(), BusFault> {
    (block.is_some() || map::REGISTER_SPACE.contains(&address)).then_some(()).ok_or(BusFault)
}

impl Mmio for Soc {
    fn read(&mut self, access: &mut Access<'_>, address: u64, width: Width) -> Result<u64, BusFault> {
        let block = map::find(address);
        answers(block, address)?;
        let low = self.read_word(block, address & !3, access);
        let low = self.apply_overrides(address & !3, low);
        let mut value = u64::from(low) >> (8 * (address & 3));
        if width == Width::Double {
            let high = self.read_word(block, address | 4, access);
            value = u64::from(low) | u64::from(self.apply_overrides(address | 4, high)) << 32;
        }
        let value = value & width.mask();
        if block.is_some_and(|b| b.kind == Kind::DsuSgrf) && !std::mem::replace(&mut self.seen_bl31, true) {
            let mark =
                Mark { stage: Stage::Bl31, instructions: access.instructions, pc: access.pc, el: access.el };
            self.marks.push(mark);
        }
        let last = LastAccess {
            address,
            bytes: width.bytes(),
            written: None,
            read: Some(value),
            pc: 0,
            block: None,
        };
        self.note(access, block, last);
        Ok(value)
    }

    fn write(
        &mut self,
        access: &mut Access<'_>,
        address: u64,
        width: Width,
        value: u64,
    ) -> Result<(), BusFault> {
        let block = map::find(address);
        answers(block, address)?;
        let events_before = self.events.all().len();
        let pieces_before = self.moved_bytes / MOVED_PER_RUN_BYTES;
        self.write_word(block, address, width.bytes().min(4), value as u32, access);
        if width == Width::Double {
            self.write_word(block, address | 4, 4, (value >> 32) as u32, access);
        }
        let last = LastAccess {
            address,
            bytes: width.bytes(),
            written: Some(value),
            read: None,
            pc: 0,
            block: None,
        };
        self.note(access, block, last);
        // A reset or power off ends the run after this instruction.
        let events = self.events.all();
        access.stop |=
            events[events_before.min(events.len())..].iter().any(|e| matches!(e, Event::Reset { .. }));
        access.stop |= self.moved_bytes / MOVED_PER_RUN_BYTES != pieces_before;
        Ok(())
    }

    fn read_icc(&mut self, access: &mut Access<'_>, register: SysReg) -> Option<u64> {
        self.devices.gic.read_icc(register, access.el)
    }

    fn write_icc(&mut self, access: &mut Access<'_>, register: SysReg, value: u64) -> Option<()> {
        self.devices.gic.write_icc(register, value, access.el)
    }

    fn lines(&mut self, _ram: &mut Ram, ticks: u64, timers: TimerLines) -> Lines {
        for timer in &mut self.devices.timers {
            timer.update(ticks, &mut self.lines);
        }
        if self.lines.take_changed() {
            for word in 0..14 {
                self.devices.gic.state.set_shared_levels(word, self.lines.word(word));
            }
        }
        self.devices.gic.lines(timers)
    }

    fn switched_off(&mut self) -> Option<bool> {
        let armed =
            self.registers.read(CORE0_AUTO_POWER) & AUTO_POWER_BY_INTERRUPT == AUTO_POWER_BY_INTERRUPT;
        // The core's interface is off by then; the controller wakes it for whatever it would forward.
        armed.then(|| self.devices.gic.state.best(|_| true).is_some())
    }

    fn next_event(&self) -> Option<u64> {
        self.devices.timers.iter().filter_map(|timer| timer.next_event()).min()
    }

    fn level_changed(&mut self, ram: &mut Ram, change: LevelChange, x0: u64) {
        if change.to_el == 3 {
            self.scmi.called(x0, ram);
        } else if change.from_el == 3 {
            self.scmi.returned(ram, &mut self.events);
            if !std::mem::replace(&mut self.seen_u_boot, true) {
                let LevelChange { to_el: el, pc, instructions, .. } = change;
                self.marks.push(Mark { stage: Stage::UBoot, instructions, pc, el });
            }
        }
    }

    fn unknown_register(&mut self, access: &mut Access<'_>, register: SysReg, write: Option<u64>) -> bool {
        self.unknown(Place::System(register), None, write, access);
        true
    }
}
