// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Redistributors (0xfe680000), two frames of 64 KiB per core. Only the first core's interrupts live.

use super::Gic;
use super::distributor::{PIDR2_VALUE, PerInterrupt};
use super::state::State;
use crate::behaviour::{Behaviour, Behaviours};

/// Cores, and so redistributors.
pub const CORES: usize = 8;
/// Both frames of one.
pub const STRIDE: u32 = 0x2_0000;

const CTLR: u32 = 0x00;
const IIDR: u32 = 0x04;
const TYPER_LOW: u32 = 0x08;
const TYPER_HIGH: u32 = 0x0c;
const STATUSR: u32 = 0x10;
const WAKER: u32 = 0x14;
const PROPBASER: u32 = 0x70;
const PENDBASER_END: u32 = 0x80;
const PIDR2: u32 = 0xffe8;
const SECOND_FRAME: u32 = 0x1_0000;

/// `GICR_TYPER`: physical LPIs.
const TYPER_PLPIS: u32 = 1;
/// `GICR_TYPER`: last of the series.
const TYPER_LAST: u32 = 1 << 4;
const WAKER_PROCESSOR_SLEEP: u32 = 1 << 1;
const WAKER_CHILDREN_ASLEEP: u32 = 1 << 2;
/// GIC-600 redistributor by Arm.
const IIDR_VALUE: u32 = 0x0201_743b;

/// State of the redistributors beside that of the first core's interrupts.
#[derive(Debug)]
pub struct Redistributors {
    asleep: [bool; CORES],
    control: [u32; CORES],
    /// `PROPBASER` and `PENDBASER`.
    tables: [[u32; 4]; CORES],
    /// Private interrupts of the cores that do not run: registers that keep what is written.
    others: Vec<State>,
}

impl Default for Redistributors {
    fn default() -> Self {
        Self {
            asleep: [true; CORES],
            control: [0; CORES],
            tables: [[0; 4]; CORES],
            others: (1..CORES).map(|_| State::default()).collect(),
        }
    }
}

impl Gic {
    fn private_state(&self, core: usize) -> &State {
        if core == 0 { &self.state } else { &self.redistributors.others[core - 1] }
    }

    /// Reads a word; `None` for a register that is not modelled.
    pub fn read_redistributor(&self, offset: u32, secure: bool, behaviours: Behaviours) -> Option<u32> {
        let core = (offset / STRIDE) as usize;
        let offset = offset % STRIDE;
        if core >= CORES {
            return None;
        }
        if let Some(offset) = offset.checked_sub(SECOND_FRAME) {
            let register = PerInterrupt::decode(offset).filter(|r| own(*r));
            return match register {
                Some(register) => Some(register.read(self.private_state(core), secure)),
                None => (0xe00..0xe04).contains(&offset).then_some(0),
            };
        }
        let last = core == CORES - 1 && behaviours.has(Behaviour::GicLastFrame);
        Some(match offset {
            CTLR => self.redistributors.control[core],
            IIDR => IIDR_VALUE,
            TYPER_LOW => (core as u32) << 8 | TYPER_PLPIS | if last { TYPER_LAST } else { 0 },
            // Affinity 1 names the core on this SoC.
            TYPER_HIGH => (core as u32) << 8,
            STATUSR => 0,
            WAKER => {
                let asleep = self.redistributors.asleep[core];
                let children = asleep || !behaviours.has(Behaviour::GicWaker);
                (if asleep { WAKER_PROCESSOR_SLEEP } else { 0 })
                    | if children { WAKER_CHILDREN_ASLEEP } else { 0 }
            }
            // GICR_PWRR of GIC-600: powered.
            0x24 => 0,
            PROPBASER..PENDBASER_END => self.redistributors.tables[core][((offset - PROPBASER) / 4) as usize],
            PIDR2 => PIDR2_VALUE,
            _ => return None,
        })
    }

    /// Writes bytes of a word; `None` for a register that is not modelled.
    pub fn write_redistributor(
        &mut self,
        offset: u32,
        value: u32,
        bytes: [bool; 4],
        secure: bool,
    ) -> Option<()> {
        let core = (offset / STRIDE) as usize;
        let offset = offset % STRIDE;
        if core >= CORES {
            return None;
        }
        if let Some(offset) = offset.checked_sub(SECOND_FRAME) {
            let Some(register) = PerInterrupt::decode(offset).filter(|r| own(*r)) else {
                return (0xe00..0xe04).contains(&offset).then_some(());
            };
            let state = if core == 0 { &mut self.state } else { &mut self.redistributors.others[core - 1] };
            register.write(state, value, bytes, secure);
            return Some(());
        }
        match offset {
            CTLR => self.redistributors.control[core] = value & 1,
            WAKER => self.redistributors.asleep[core] = value & WAKER_PROCESSOR_SLEEP != 0,
            STATUSR | 0x24 => {}
            PROPBASER..PENDBASER_END => {
                self.redistributors.tables[core][((offset - PROPBASER) / 4) as usize] = value;
            }
            _ => return None,
        }
        Some(())
    }
}

/// Registers of interrupts 0 to 31 only.
fn own(register: PerInterrupt) -> bool {
    matches!(register, PerInterrupt::Bit(_, 0) | PerInterrupt::Priority(0..32) | PerInterrupt::Config(0..32))
}
