// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Distributor registers (0xfe600000), and the per-interrupt registers that redistributors share with it.

use super::Gic;
use super::state::{Group, PRIORITY_MASK, State, WORDS};
use crate::behaviour::{Behaviour, Behaviours};

const CTLR: u32 = 0x0000;
const TYPER: u32 = 0x0004;
const IIDR: u32 = 0x0008;
const TYPER2: u32 = 0x000c;
const STATUSR: u32 = 0x0010;
const SETSPI_NSR: u32 = 0x0040;
const CLRSPI_NSR: u32 = 0x0048;
const IROUTER: u32 = 0x6000;
const PIDR0: u32 = 0xffe0;
const PIDR1: u32 = 0xffe4;
const PIDR2: u32 = 0xffe8;
const PIDR4: u32 = 0xffd0;

/// Affinity routing, both states: GIC-600 has nothing else (bits 4 and 5 of the secure view).
const CTLR_ARE: u32 = 0x30;
/// Non-secure view: enable bits 0 and 1 are the same group, bit 4 affinity routing.
const CTLR_NS_ARE: u32 = 0x10;
/// 480 interrupt numbers (field = n / 32 - 1), security extension, LPIs, 16 bits of interrupt number.
const TYPER_VALUE: u32 = (WORDS as u32 - 1) | 1 << 10 | 1 << 17 | 15 << 19;
/// GIC-600 by Arm (product 2, implementer 0x43b), as Linux's quirk table knows it (`0x0201743b` for r1p6).
const IIDR_VALUE: u32 = 0x0201_743b;
/// Architecture revision 3 in bits 7:4, JEDEC bit, Arm's identity code.
pub const PIDR2_VALUE: u32 = 0x3b;

/// A per-interrupt register, by its offset in the distributor or in a redistributor's second frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerInterrupt {
    /// One bit each, registers of word `0`.
    Bit(BitRegister, usize),
    /// One byte each; four from this number on.
    Priority(usize),
    /// Two bits each; sixteen from this number on.
    Config(usize),
}

/// Registers with a bit per interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitRegister {
    /// Group.
    Group,
    /// Group modifier.
    Modifier,
    /// Set enable.
    SetEnable,
    /// Clear enable.
    ClearEnable,
    /// Set pending.
    SetPending,
    /// Clear pending.
    ClearPending,
    /// Set active.
    SetActive,
    /// Clear active.
    ClearActive,
}

impl PerInterrupt {
    /// Decodes an offset of the distributor.
    pub fn decode(offset: u32) -> Option<Self> {
        let word = (offset & 0x7f) as usize / 4;
        let register = match offset & !0x7f {
            0x080 => BitRegister::Group,
            0x100 => BitRegister::SetEnable,
            0x180 => BitRegister::ClearEnable,
            0x200 => BitRegister::SetPending,
            0x280 => BitRegister::ClearPending,
            0x300 => BitRegister::SetActive,
            0x380 => BitRegister::ClearActive,
            0xd00 => BitRegister::Modifier,
            0x400..0x800 => return Some(Self::Priority((offset - 0x400) as usize & !3)),
            0xc00 | 0xc80 => return Some(Self::Config((offset - 0xc00) as usize * 4)),
            _ => return None,
        };
        Some(Self::Bit(register, word))
    }

    /// Reads it. A non-secure reader sees interrupts of the non-secure group only.
    pub fn read(self, state: &State, secure: bool) -> u32 {
        match self {
            Self::Bit(_, word) if word >= WORDS => 0,
            Self::Bit(register, word) => {
                let visible = if secure { u32::MAX } else { state.group[word] };
                visible
                    & match register {
                        BitRegister::Group if !secure => 0,
                        BitRegister::Modifier if !secure => 0,
                        BitRegister::Group => state.group[word],
                        BitRegister::Modifier => state.modifier[word],
                        BitRegister::SetEnable | BitRegister::ClearEnable => state.enabled[word],
                        BitRegister::SetPending | BitRegister::ClearPending => state.pending(word),
                        BitRegister::SetActive | BitRegister::ClearActive => state.active[word],
                    }
            }
            Self::Priority(first) => {
                let mut bytes = [0; 4];
                for (byte, intid) in bytes.iter_mut().zip(first..) {
                    if let Some(priority) = state.priority.get(intid) {
                        *byte = if secure {
                            *priority
                        } else if state.group_of(intid as u32) == Group::NonSecure {
                            priority << 1
                        } else {
                            0
                        };
                    }
                }
                u32::from_le_bytes(bytes)
            }
            Self::Config(first) => {
                let edges = state.edge.get(first / 32).copied().unwrap_or(0) >> (first % 32);
                (0..16).fold(0, |all, n| all | (edges >> n & 1) << (2 * n + 1))
            }
        }
    }

    /// Writes it. `bytes` says which bytes of the word are written.
    pub fn write(self, state: &mut State, value: u32, bytes: [bool; 4], secure: bool) {
        match self {
            Self::Bit(_, word) if word >= WORDS => {}
            Self::Bit(register, word) => {
                let lane =
                    bytes.iter().enumerate().fold(0, |m, (n, on)| m | if *on { 0xff << (8 * n) } else { 0 });
                let reach = lane & if secure { u32::MAX } else { state.group[word] };
                let value = value & reach;
                match register {
                    BitRegister::Group if secure => state.group[word] = state.group[word] & !lane | value,
                    BitRegister::Modifier if secure => {
                        state.modifier[word] = state.modifier[word] & !lane | value;
                    }
                    BitRegister::Group | BitRegister::Modifier => {}
                    BitRegister::SetEnable => state.enabled[word] |= value,
                    BitRegister::ClearEnable => state.enabled[word] &= !value,
                    BitRegister::SetPending => state.latched[word] |= value,
                    BitRegister::ClearPending => state.latched[word] &= !value,
                    BitRegister::SetActive => state.active[word] |= value,
                    BitRegister::ClearActive => state.active[word] &= !value,
                }
            }
            Self::Priority(first) => {
                for (n, byte) in value.to_le_bytes().into_iter().enumerate().filter(|(n, _)| bytes[*n]) {
                    let intid = first + n;
                    if intid >= state.priority.len() {
                        return;
                    }
                    if secure {
                        state.priority[intid] = byte & PRIORITY_MASK;
                    } else if state.group_of(intid as u32) == Group::NonSecure {
                        state.priority[intid] = (byte >> 1 | 0x80) & PRIORITY_MASK;
                    }
                }
            }
            Self::Config(first) => {
                let Some(edge) = state.edge.get_mut(first / 32) else { return };
                for n in (0..16).filter(|n| bytes[*n as usize / 4]) {
                    let bit = 1 << (first as u32 % 32 + n);
                    // Software generated interrupts stay edges.
                    if first != 0 {
                        *edge = if value >> (2 * n + 1) & 1 != 0 { *edge | bit } else { *edge & !bit };
                    }
                }
            }
        }
    }
}

impl Gic {
    /// Reads a word of the distributor; `None` for a register that is not modelled.
    pub fn read_distributor(&self, offset: u32, secure: bool, behaviours: Behaviours) -> Option<u32> {
        Some(match offset {
            CTLR if secure => CTLR_ARE | self.state.group_enable,
            CTLR => {
                if self.state.group_enable & 2 != 0 {
                    CTLR_NS_ARE | 3
                } else {
                    CTLR_NS_ARE
                }
            }
            TYPER if behaviours.has(Behaviour::GicLineCount) => TYPER_VALUE,
            TYPER => TYPER_VALUE & !0x1f,
            IIDR => IIDR_VALUE,
            TYPER2 | STATUSR => 0,
            PIDR2 if behaviours.has(Behaviour::GicArchitecture) => PIDR2_VALUE,
            PIDR2 => 0,
            PIDR0 => 0x92,
            PIDR1 => 0xb4,
            PIDR4 => 0x44,
            IROUTER..0x7f00 => {
                let route = self.state.route.get((offset - IROUTER) as usize / 8).copied().unwrap_or(0);
                if offset & 4 == 0 { route as u32 } else { (route >> 32) as u32 }
            }
            _ => PerInterrupt::decode(offset).filter(|r| !private(*r)).map_or_else(
                || zero_for_private(offset),
                |register| Some(register.read(&self.state, secure)),
            )?,
        })
    }

    /// Writes bytes of a word of the distributor; `None` for a register that is not modelled.
    pub fn write_distributor(
        &mut self,
        offset: u32,
        value: u32,
        bytes: [bool; 4],
        secure: bool,
    ) -> Option<()> {
        match offset {
            CTLR if secure => self.state.group_enable = value & 7,
            CTLR => {
                let on = value & 3 != 0;
                self.state.group_enable = self.state.group_enable & !2 | u32::from(on) << 1;
            }
            TYPER | IIDR | STATUSR => {}
            SETSPI_NSR => self.message(value, true),
            CLRSPI_NSR => self.message(value, false),
            IROUTER..0x7f00 => {
                let route = self.state.route.get_mut((offset - IROUTER) as usize / 8)?;
                let shift = if offset & 4 == 0 { 0 } else { 32 };
                *route = *route & !(0xffff_ffff << shift) | u64::from(value) << shift;
            }
            _ => {
                let register = PerInterrupt::decode(offset);
                match register.filter(|r| !private(*r)) {
                    Some(register) => register.write(&mut self.state, value, bytes, secure),
                    None => return zero_for_private(offset).map(|_| ()),
                }
            }
        }
        Some(())
    }

    fn message(&mut self, intid: u32, set: bool) {
        let (word, bit) = ((intid & 0x3ff) as usize / 32, 1 << (intid % 32));
        if let Some(latched) = self.state.latched.get_mut(word).filter(|_| word > 0) {
            *latched = if set { *latched | bit } else { *latched & !bit };
        }
    }
}

/// Interrupts 0 to 31 belong to the redistributors under affinity routing.
fn private(register: PerInterrupt) -> bool {
    matches!(register, PerInterrupt::Bit(_, 0) | PerInterrupt::Priority(0..32) | PerInterrupt::Config(0..32))
}

/// The distributor's places of private interrupts read zero; `NSACR` (0xe00) and `SGIR` (0xf00) exist too.
fn zero_for_private(offset: u32) -> Option<u32> {
    (PerInterrupt::decode(offset).is_some() || (0xe00..0xf30).contains(&offset)).then_some(0)
}
