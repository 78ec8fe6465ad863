// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The core's interface: `ICC_*` system registers, acknowledge, end of interrupt, priorities.
//!
//! Virtualisation registers (`ICH_*`) keep what is written and say that there are four list registers.

use std::collections::BTreeMap;

use super::Gic;
use super::state::{FIRST_SHARED, Group, PRIORITY_MASK, State};
use crate::bus::SysReg;

const PMR: SysReg = SysReg::new(3, 0, 4, 6, 0);
const IAR0: SysReg = SysReg::new(3, 0, 12, 8, 0);
const EOIR0: SysReg = SysReg::new(3, 0, 12, 8, 1);
const HPPIR0: SysReg = SysReg::new(3, 0, 12, 8, 2);
const BPR0: SysReg = SysReg::new(3, 0, 12, 8, 3);
const DIR: SysReg = SysReg::new(3, 0, 12, 11, 1);
const RPR: SysReg = SysReg::new(3, 0, 12, 11, 3);
const SGI1R: SysReg = SysReg::new(3, 0, 12, 11, 5);
const ASGI1R: SysReg = SysReg::new(3, 0, 12, 11, 6);
const SGI0R: SysReg = SysReg::new(3, 0, 12, 11, 7);
const IAR1: SysReg = SysReg::new(3, 0, 12, 12, 0);
const EOIR1: SysReg = SysReg::new(3, 0, 12, 12, 1);
const HPPIR1: SysReg = SysReg::new(3, 0, 12, 12, 2);
const BPR1: SysReg = SysReg::new(3, 0, 12, 12, 3);
const CTLR_EL1: SysReg = SysReg::new(3, 0, 12, 12, 4);
const SRE_EL1: SysReg = SysReg::new(3, 0, 12, 12, 5);
const IGRPEN0: SysReg = SysReg::new(3, 0, 12, 12, 6);
const IGRPEN1: SysReg = SysReg::new(3, 0, 12, 12, 7);
const SRE_EL2: SysReg = SysReg::new(3, 4, 12, 9, 5);
const ICH_VTR: SysReg = SysReg::new(3, 4, 12, 11, 1);
const CTLR_EL3: SysReg = SysReg::new(3, 6, 12, 12, 4);
const SRE_EL3: SysReg = SysReg::new(3, 6, 12, 12, 5);
const IGRPEN1_EL3: SysReg = SysReg::new(3, 6, 12, 12, 7);

/// No interrupt.
const SPURIOUS: u64 = 1023;
/// `ICC_CTLR_EL1`: five priority bits, affinity 3 valid.
const CTLR_FIXED: u64 = 4 << 8 | 1 << 15;
/// `ICC_CTLR_EL1.EOImode`: priority drop and deactivation are separate.
const CTLR_EOI_MODE: u64 = 1 << 1;
/// Four list registers, five priority and preemption bits.
const ICH_VTR_VALUE: u64 = 4 << 29 | 4 << 26 | 3;
const IDLE_PRIORITY: u8 = 0xff;

/// Registers of the interface.
#[derive(Debug, Default)]
pub struct CpuInterface {
    priority_mask: u8,
    /// Group 0, group 1 non-secure, group 1 secure.
    group_enable: [bool; 3],
    /// `ICC_CTLR_EL1`, non-secure and secure copy.
    control: [u64; 2],
    /// Priorities of the interrupts that were taken and not ended, highest priority last.
    running: Vec<u8>,
    stored: BTreeMap<SysReg, u64>,
}

impl CpuInterface {
    fn running_priority(&self) -> u8 {
        self.running.last().copied().unwrap_or(IDLE_PRIORITY)
    }

    /// The interrupt that would be signalled now.
    pub fn next(&self, state: &State) -> Option<(u32, Group)> {
        let enabled = |group| match group {
            Group::Zero => self.group_enable[0],
            Group::NonSecure => self.group_enable[1],
            Group::Secure => self.group_enable[2],
        };
        let (intid, priority) = state.best(enabled)?;
        (priority < self.priority_mask && priority < self.running_priority())
            .then(|| (intid, state.group_of(intid)))
    }
}

/// What a non-secure reader sees of a priority: the upper half, moved up.
fn non_secure_view(priority: u8) -> u8 {
    if priority & 0x80 != 0 { priority << 1 } else { 0 }
}

impl Gic {
    /// MRS; `None` for a register that does not exist. `el` is the level of the instruction.
    pub fn read_icc(&mut self, register: SysReg, el: u8) -> Option<u64> {
        let secure = el == 3;
        Some(match register {
            PMR if secure => self.cpu.priority_mask.into(),
            PMR => non_secure_view(self.cpu.priority_mask).into(),
            IAR0 => self.acknowledge(|group| group == Group::Zero),
            IAR1 => self.acknowledge(group_one(secure)),
            HPPIR0 => self.highest(|group| group == Group::Zero),
            HPPIR1 => self.highest(group_one(secure)),
            RPR if secure => self.cpu.running_priority().into(),
            RPR => non_secure_view(self.cpu.running_priority()).into(),
            CTLR_EL1 => CTLR_FIXED | self.cpu.control[usize::from(secure)],
            CTLR_EL3 => CTLR_FIXED | self.cpu.stored.get(&CTLR_EL3).copied().unwrap_or(0),
            SRE_EL1 => 7,
            SRE_EL2 | SRE_EL3 => 0xf,
            IGRPEN0 => self.cpu.group_enable[0].into(),
            IGRPEN1 => self.cpu.group_enable[if secure { 2 } else { 1 }].into(),
            IGRPEN1_EL3 => u64::from(self.cpu.group_enable[1]) | u64::from(self.cpu.group_enable[2]) << 1,
            ICH_VTR => ICH_VTR_VALUE,
            EOIR0 | EOIR1 | DIR | SGI1R | ASGI1R | SGI0R => return None,
            // Binary points, active priorities, list registers.
            BPR0 | BPR1 => self.cpu.stored.get(&register).copied().unwrap_or(0),
            _ => self.cpu.stored.get(&register).copied().unwrap_or(0),
        })
    }

    /// MSR; `None` for a register that does not exist or cannot be written.
    pub fn write_icc(&mut self, register: SysReg, value: u64, el: u8) -> Option<()> {
        let secure = el == 3;
        match register {
            PMR if secure => self.cpu.priority_mask = value as u8 & PRIORITY_MASK,
            PMR => self.cpu.priority_mask = (value as u8 >> 1 | 0x80) & PRIORITY_MASK,
            EOIR0 | EOIR1 => self.end(value as u32 & 0xff_ffff, secure),
            DIR => self.state.deactivate(value as u32 & 0xff_ffff),
            SGI1R => self.generate(value, if secure { Group::Secure } else { Group::NonSecure }),
            ASGI1R => self.generate(value, if secure { Group::NonSecure } else { Group::Secure }),
            SGI0R => self.generate(value, Group::Zero),
            CTLR_EL1 => self.cpu.control[usize::from(secure)] = value & 3,
            SRE_EL1 | SRE_EL2 | SRE_EL3 => {}
            IGRPEN0 => self.cpu.group_enable[0] = value & 1 != 0,
            IGRPEN1 => self.cpu.group_enable[if secure { 2 } else { 1 }] = value & 1 != 0,
            IGRPEN1_EL3 => {
                self.cpu.group_enable[1] = value & 1 != 0;
                self.cpu.group_enable[2] = value & 2 != 0;
            }
            IAR0 | IAR1 | HPPIR0 | HPPIR1 | RPR | ICH_VTR => return None,
            _ => {
                self.cpu.stored.insert(register, value);
            }
        }
        Some(())
    }

    fn acknowledge(&mut self, wanted: impl Fn(Group) -> bool) -> u64 {
        match self.cpu.next(&self.state) {
            Some((intid, group)) if wanted(group) => {
                self.cpu.running.push(self.state.priority[intid as usize]);
                self.state.acknowledge(intid);
                intid.into()
            }
            _ => SPURIOUS,
        }
    }

    fn highest(&self, wanted: impl Fn(Group) -> bool) -> u64 {
        self.cpu
            .next(&self.state)
            .filter(|(_, group)| wanted(*group))
            .map_or(SPURIOUS, |(intid, _)| intid.into())
    }

    fn end(&mut self, intid: u32, secure: bool) {
        self.cpu.running.pop();
        let separate = self.cpu.control[usize::from(secure)] & CTLR_EOI_MODE != 0;
        if !separate {
            self.state.deactivate(intid);
        }
    }

    /// A software generated interrupt: to this core if its bit is in the target list of affinity 0, never for
    /// "all but this one".
    fn generate(&mut self, value: u64, group: Group) {
        let intid = (value >> 24 & 0xf) as u32;
        let all_others = value >> 40 & 1 != 0;
        let affinity = (value >> 16 & 0xff, value >> 32 & 0xff, value >> 48 & 0xff);
        if !all_others && affinity == (0, 0, 0) && value & 1 != 0 && self.state.group_of(intid) == group {
            self.state.latched[0] |= 1 << intid;
        }
        debug_assert!(intid < FIRST_SHARED);
    }
}

/// Group 1 as a level sees it: EL3 acknowledges both halves, others the non-secure one.
fn group_one(secure: bool) -> impl Fn(Group) -> bool {
    move |group| group == Group::NonSecure || secure && group == Group::Secure
}
