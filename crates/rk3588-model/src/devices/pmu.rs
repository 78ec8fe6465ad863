// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Power management unit, part 2 (0xfd8d8000): power gates, bus idle, core status.
//!
//! Everything that is asked for has happened by the next read. Offsets after TF-A
//! `rk3588/drivers/pmu/pmu.h`, bits per domain after Linux `pm-domains.c` (`DOMAIN_RK3588`).

use super::{Cx, Device, Read, Write};
use crate::behaviour::Behaviour;

/// `PMU2_CLUSTER_ST`: bits 7:1 set = the seven other cores are down (`CLUSTER_STS_NONBOOT_CPUS_DWN`).
const CLUSTER_ST: u32 = 0x80;
const NONBOOT_CORES_DOWN: u32 = 0xfe;
const BUS_IDLE_SFTCON: u32 = 0x10c;
const BUS_IDLE_ACK: u32 = 0x118;
const BUS_IDLE_ST: u32 = 0x120;
const PWR_GATE_SFTCON: u32 = 0x14c;
const PWR_GATE_ST: u32 = 0x180;
const MEMPWR_GATE_SFTCON: u32 = 0x1a0;
const QCHANNEL_PWR_SFTCON: u32 = 0x1d4;
const QCHANNEL_STATUS: u32 = 0x1d8;
const PWR_CHAIN1_ST: u32 = 0x1f0;
const PWR_MEM_ST: u32 = 0x1f8;
const BISR_STATUS_4: u32 = 0x290;

/// Per domain: bit of its gate, of its memory in chain and memory status, of its repair status.
struct Domain {
    gate: u32,
    memory: Option<u32>,
    repair: u32,
}

const fn domain(gate: u32, memory: u32, repair: u32) -> Domain {
    Domain { gate, memory: Some(memory), repair }
}

/// Domains whose state shows in the repair status, in the order of `DOMAIN_RK3588`: gpu, nputop, npu1, npu2,
/// venc0, venc1, rkvdec0, rkvdec1, vdpu, rga30, av1, vi, fec, isp1, rga31, vop, vo0, vo1, audio, php, gmac,
/// pcie, nvm0, sdio, usb, sdmmc.
const DOMAINS: [Domain; 26] = [
    Domain { gate: 0, memory: None, repair: 1 },
    domain(3, 11, 2),
    domain(4, 12, 3),
    domain(5, 13, 4),
    domain(6, 14, 5),
    domain(7, 15, 6),
    domain(8, 16, 7),
    domain(9, 17, 8),
    domain(10, 18, 9),
    domain(11, 19, 10),
    domain(12, 20, 11),
    domain(13, 21, 12),
    domain(14, 22, 13),
    domain(15, 23, 14),
    domain(16, 24, 15),
    domain(17, 25, 16),
    domain(18, 26, 17),
    domain(19, 27, 18),
    domain(20, 28, 19),
    domain(21, 29, 20),
    domain(22, 30, 21),
    domain(23, 31, 22),
    domain(25, 33, 23),
    domain(26, 34, 24),
    domain(27, 35, 25),
    domain(29, 37, 26),
];

/// Gates of domains inside of other domains, and the gates of those (nesting of `rk3588-base.dtsi`; nvm0 in nvm
/// after TF-A `pmu_power_domains_suspend`): nputop, npu1, npu2, venc0, venc1, rkvdec0, rkvdec1, rga30, av1, fec,
/// isp1, vo0, nvm0. Without power outside there is none inside: Linux switches `npu` off at its start and
/// refuses domains in it that still claim to be on.
const PARENTS: [(u32, u32); 13] = [
    (3, 1),
    (4, 3),
    (5, 3),
    (6, 2),
    (7, 6),
    (8, 2),
    (9, 2),
    (11, 10),
    (12, 10),
    (14, 13),
    (15, 13),
    (18, 17),
    (25, 24),
];

/// PMU part 2. Bits as written: 1 = off, or idle.
#[derive(Debug, Default)]
pub struct Pmu {
    bus_idle: [u16; 3],
    power_gate: [u16; 3],
    memory_gate: [u16; 3],
    q_channel: u16,
}

fn joined(halves: &[u16; 3], word: u32) -> u32 {
    if word == 0 { u32::from(halves[0]) | u32::from(halves[1]) << 16 } else { halves[2].into() }
}

fn bit(halves: &[u16; 3], number: u32) -> bool {
    halves.get(number as usize / 16).is_some_and(|half| half & 1 << (number % 16) != 0)
}

impl Pmu {
    /// Whether a domain, or one that it lies in, is gated.
    fn is_off(&self, gate: u32) -> bool {
        let parent = PARENTS.iter().find(|(child, _)| *child == gate).map(|(_, parent)| *parent);
        bit(&self.power_gate, gate) || parent.is_some_and(|parent| self.is_off(parent))
    }

    /// Repair status: bit set = domain on.
    fn repair_status(&self) -> u32 {
        DOMAINS.iter().filter(|d| !self.is_off(d.gate)).fold(0, |all, d| all | 1 << d.repair)
    }

    /// Memory status: bit set = memory off.
    fn memory_status(&self, word: u32) -> u32 {
        DOMAINS
            .iter()
            .filter(|d| self.is_off(d.gate) || bit(&self.memory_gate, d.gate))
            .filter_map(|d| d.memory)
            .filter(|m| m / 32 == word)
            .fold(0, |all, m| all | 1 << (m % 32))
    }

    /// Chain status: bit set = power has reached the domain.
    fn chain_status(&self, word: u32) -> u32 {
        DOMAINS
            .iter()
            .filter(|d| !self.is_off(d.gate))
            .filter_map(|d| d.memory)
            .filter(|m| m / 32 == word)
            .fold(0, |all, m| all | 1 << (m % 32))
    }
}

impl Device for Pmu {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        let power = cx.has(Behaviour::PowerDomainStatus);
        let value = match offset {
            CLUSTER_ST if cx.has(Behaviour::ClusterStatus) => NONBOOT_CORES_DOWN,
            BUS_IDLE_ACK | 0x11c if power => joined(&self.bus_idle, (offset - BUS_IDLE_ACK) / 4),
            BUS_IDLE_ST | 0x124 if power => joined(&self.bus_idle, (offset - BUS_IDLE_ST) / 4),
            PWR_GATE_ST | 0x184 if power => joined(&self.power_gate, (offset - PWR_GATE_ST) / 4),
            QCHANNEL_STATUS if power => self.q_channel.into(),
            PWR_CHAIN1_ST | 0x1f4 if power => self.chain_status((offset - PWR_CHAIN1_ST) / 4),
            PWR_MEM_ST | 0x1fc if power => self.memory_status((offset - PWR_MEM_ST) / 4),
            BISR_STATUS_4 if power => self.repair_status(),
            BUS_IDLE_SFTCON..0x118 => self.bus_idle[((offset - BUS_IDLE_SFTCON) / 4) as usize].into(),
            PWR_GATE_SFTCON..0x158 => self.power_gate[((offset - PWR_GATE_SFTCON) / 4) as usize].into(),
            MEMPWR_GATE_SFTCON..0x1ac => {
                self.memory_gate[((offset - MEMPWR_GATE_SFTCON) / 4) as usize].into()
            }
            QCHANNEL_PWR_SFTCON => self.q_channel.into(),
            0..0x300 => return Read::Plain,
            _ => return Read::Unknown,
        };
        Read::Value(value)
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        let half = match offset {
            BUS_IDLE_SFTCON..0x118 => &mut self.bus_idle[((offset - BUS_IDLE_SFTCON) / 4) as usize],
            PWR_GATE_SFTCON..0x158 => &mut self.power_gate[((offset - PWR_GATE_SFTCON) / 4) as usize],
            MEMPWR_GATE_SFTCON..0x1ac => &mut self.memory_gate[((offset - MEMPWR_GATE_SFTCON) / 4) as usize],
            QCHANNEL_PWR_SFTCON => &mut self.q_channel,
            0..0x300 => return Write::Masked,
            _ => return Write::Unknown,
        };
        let mask = if cx.has(Behaviour::WriteMasks) { (value >> 16) as u16 } else { 0xffff };
        *half = *half & !mask | value as u16 & mask;
        Write::Done
    }
}
