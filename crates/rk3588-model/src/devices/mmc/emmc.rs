// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An eMMC 5.1 that offers high speed (52 MHz) and no more: neither HS200 nor HS400, for nothing here could
//! tell a good tuning from a bad one.
//!
//! After JESD84-B51. Two boot partitions of 4 MiB, empty; no RPMB.

use super::{Card, OUT_OF_RANGE, Phase, READY_FOR_DATA, Reply, STATE_TRANSFER};
use crate::events::Events;
use crate::storage::{Disk, SECTOR_BYTES};

/// Ready, sector addresses, 1.7 to 1.95 V and 2.7 to 3.6 V.
const OCR: u32 = 0xc0ff_8080;
/// Manufacturer 0x52, "RKMODL".
const CID: [u32; 4] = [0x5201_0052, 0x4b4d_4f44, 0x4c10_0000, 0x0001_1d01];
/// CSD 1.2 of a card with sector addresses: the size is in EXT_CSD, the fields here are at their limit.
const CSD: [u32; 4] = [0xd027_0132, 0x0f59_03ff, 0xffff_ffef, 0x8a40_0001];
const BOOT_PARTITION_BYTES: u64 = 4 << 20;

/// Places in EXT_CSD (JESD84-B51, table 39 and section 7.4).
mod ext_csd {
    pub const PARTITION_CONFIG: usize = 179;
    pub const BUS_WIDTH: usize = 183;
    pub const HS_TIMING: usize = 185;
    pub const REVISION: usize = 192;
    pub const CSD_STRUCTURE: usize = 194;
    pub const DEVICE_TYPE: usize = 196;
    pub const PARTITION_SWITCH_TIME: usize = 199;
    pub const SECTOR_COUNT: usize = 212;
    pub const HC_WP_GROUP_SIZE: usize = 221;
    pub const HC_ERASE_GROUP_SIZE: usize = 224;
    pub const BOOT_SIZE_MULTIPLE: usize = 226;
    pub const GENERIC_CMD6_TIME: usize = 248;
}

/// The card.
#[derive(Debug)]
pub struct Emmc {
    disk: Disk,
    boot: [Disk; 2],
    ext_csd: Box<[u8; 512]>,
    relative_address: u32,
    phase: Phase,
}

impl Emmc {
    /// A card with `disk` as its user area.
    pub fn new(disk: Disk) -> Self {
        let mut ext_csd = Box::new([0; 512]);
        let sectors = (disk.size_bytes() / SECTOR_BYTES as u64).min(u32::MAX.into()) as u32;
        ext_csd[ext_csd::REVISION] = 8;
        ext_csd[ext_csd::CSD_STRUCTURE] = 2;
        ext_csd[ext_csd::DEVICE_TYPE] = 0x03;
        ext_csd[ext_csd::PARTITION_SWITCH_TIME] = 1;
        ext_csd[ext_csd::SECTOR_COUNT..ext_csd::SECTOR_COUNT + 4].copy_from_slice(&sectors.to_le_bytes());
        ext_csd[ext_csd::HC_WP_GROUP_SIZE] = 1;
        ext_csd[ext_csd::HC_ERASE_GROUP_SIZE] = 1;
        ext_csd[ext_csd::BOOT_SIZE_MULTIPLE] = (BOOT_PARTITION_BYTES / (128 * 1024)) as u8;
        ext_csd[ext_csd::GENERIC_CMD6_TIME] = 10;
        let boot = [Disk::blank(BOOT_PARTITION_BYTES), Disk::blank(BOOT_PARTITION_BYTES)];
        Self { disk, boot, ext_csd, relative_address: 1, phase: Phase::Idle }
    }

    fn status(&self) -> u32 {
        STATE_TRANSFER << 9 | READY_FOR_DATA
    }

    /// The area that `PARTITION_CONFIG` bits 2:0 select.
    fn area(&mut self) -> &mut Disk {
        match self.ext_csd[ext_csd::PARTITION_CONFIG] & 7 {
            1 => &mut self.boot[0],
            2 => &mut self.boot[1],
            _ => &mut self.disk,
        }
    }

    fn transfer(&mut self, phase: fn(u64) -> Phase, lba: u32) -> Reply {
        if u64::from(lba) * SECTOR_BYTES as u64 >= self.area().size_bytes() {
            return Reply::Short(self.status() | OUT_OF_RANGE);
        }
        self.phase = phase(lba.into());
        Reply::Short(self.status())
    }

    /// SWITCH: bits 25:24 how (1 set, 2 clear, 3 write), 23:16 which byte, 15:8 value.
    fn switch(&mut self, argument: u32) -> Reply {
        let [_, value, index, how] = argument.to_le_bytes();
        let writable =
            [ext_csd::PARTITION_CONFIG, ext_csd::BUS_WIDTH, ext_csd::HS_TIMING, 175, 177, 178, 162, 34, 33];
        let place = usize::from(index);
        if writable.contains(&place) {
            let old = self.ext_csd[place];
            self.ext_csd[place] = match how & 3 {
                1 => old | value,
                2 => old & !value,
                3 => value,
                _ => old,
            };
            return Reply::Short(self.status());
        }
        // SWITCH_ERROR, bit 7.
        Reply::Short(self.status() | 1 << 7)
    }
}

impl Card for Emmc {
    fn command(&mut self, index: u8, argument: u32, has_data: bool) -> Reply {
        match index {
            0 => {
                self.phase = Phase::Idle;
                self.ext_csd[ext_csd::BUS_WIDTH] = 0;
                self.ext_csd[ext_csd::HS_TIMING] = 0;
                Reply::Nothing
            }
            1 => Reply::Short(OCR),
            2 | 10 => Reply::Long(CID),
            3 => {
                self.relative_address = argument >> 16;
                Reply::Short(self.status())
            }
            6 if !has_data => self.switch(argument),
            7 if argument >> 16 != self.relative_address => Reply::Timeout,
            8 if has_data => {
                self.phase = Phase::Register(self.ext_csd.to_vec(), 0);
                Reply::Short(self.status())
            }
            9 => Reply::Long(CSD),
            12 => {
                self.phase = Phase::Idle;
                Reply::Short(self.status())
            }
            7 | 13 | 16 | 23 | 35 | 36 | 38 => Reply::Short(self.status()),
            17 | 18 => self.transfer(Phase::Read, argument),
            24 | 25 => self.transfer(Phase::Write, argument),
            _ => Reply::Timeout,
        }
    }

    fn read_block(&mut self, out: &mut [u8]) -> bool {
        let mut phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let ok = phase.read(self.area(), out);
        self.phase = phase;
        ok
    }

    fn write_block(&mut self, data: &[u8], events: &mut Events) -> bool {
        let mut phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let ok = phase.write(self.area(), "emmc", data, events);
        self.phase = phase;
        ok
    }

    fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }
}
