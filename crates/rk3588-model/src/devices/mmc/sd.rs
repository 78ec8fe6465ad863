// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An SD card of version 3 without UHS: high speed, four bits, 3.3 V, so neither voltage switch nor tuning.
//!
//! After the SD physical layer simplified specification. The card has the size of its medium, rounded up to
//! half a MiB, the unit of its capacity.

use super::{Card, OUT_OF_RANGE, Phase, READY_FOR_DATA, Reply, STATE_TRANSFER};
use crate::events::Events;
use crate::storage::{Disk, SECTOR_BYTES};

const CAPACITY_UNIT_BYTES: u64 = 512 * 1024;
/// Ready, high capacity, 2.7 to 3.6 V.
const OCR: u32 = 0xc0ff_8000;
const RELATIVE_ADDRESS: u32 = 0x1234;
const APP_CMD: u32 = 1 << 5;
/// Manufacturer 0x52, "RK", "MODEL", revision 1.0, January 2026, with the stop bit.
const CID: [u32; 4] = [0x5252_4b4d, 0x4f44_454c, 0x1000_0000, 0x0101_a101];

/// The card.
#[derive(Debug)]
pub struct SdCard {
    disk: Disk,
    application: bool,
    phase: Phase,
}

impl SdCard {
    /// A card with `disk` as its content.
    pub fn new(disk: Disk) -> Self {
        let size = disk.size_bytes().next_multiple_of(CAPACITY_UNIT_BYTES);
        Self { disk: disk.grown_to(size), application: false, phase: Phase::Idle }
    }

    fn sectors(&self) -> u64 {
        self.disk.size_bytes() / SECTOR_BYTES as u64
    }

    fn status(&self) -> u32 {
        let application = if self.application { APP_CMD } else { 0 };
        STATE_TRANSFER << 9 | READY_FOR_DATA | application
    }

    /// CSD version 2: 25 MHz, read block length 512, command classes with block read, write, erase, switch.
    fn csd(&self) -> [u32; 4] {
        let size = (self.disk.size_bytes() / CAPACITY_UNIT_BYTES).saturating_sub(1) as u32;
        [0x400e_0032, 0x5b59_0000 | size >> 16, size << 16 | 0x7f80, 0x0a40_0001]
    }

    fn transfer(&mut self, phase: fn(u64) -> Phase, lba: u32) -> Reply {
        if u64::from(lba) >= self.sectors() {
            return Reply::Short(self.status() | OUT_OF_RANGE);
        }
        self.phase = phase(lba.into());
        Reply::Short(self.status())
    }

    fn register(&mut self, bytes: Vec<u8>) -> Reply {
        self.phase = Phase::Register(bytes, 0);
        Reply::Short(self.status())
    }

    /// Function switch: group 1 offers default and high speed, the others default only.
    fn switch(&mut self, argument: u32) -> Reply {
        let mut status = vec![0; 64];
        status[1] = 100; // mA
        for group in 0..6 {
            status[3 + 2 * group] = 1;
            status[2 + 2 * group] = 0x80;
        }
        status[13] = 0x03;
        let speed = match argument & 0xf {
            0xf | 0 => 0,
            1 => 1,
            _ => 0xf,
        };
        status[16] = speed;
        self.register(status)
    }

    fn application_command(&mut self, index: u8) -> Option<Reply> {
        Some(match index {
            6 | 42 => Reply::Short(self.status()),
            13 => self.register(vec![0; 64]),
            41 => Reply::Short(OCR),
            // SCR: version 3, one and four bits, no CMD20 and CMD23.
            51 => self.register(vec![0x02, 0x35, 0x80, 0, 0, 0, 0, 0]),
            _ => return None,
        })
    }
}

impl Card for SdCard {
    fn command(&mut self, index: u8, argument: u32, has_data: bool) -> Reply {
        if std::mem::take(&mut self.application)
            && let Some(reply) = self.application_command(index)
        {
            return reply;
        }
        match index {
            0 => {
                self.phase = Phase::Idle;
                Reply::Nothing
            }
            2 | 10 => Reply::Long(CID),
            3 => Reply::Short(RELATIVE_ADDRESS << 16 | 0x0500),
            6 if has_data => self.switch(argument),
            // With a data phase this is an eMMC's EXT_CSD, which no SD card has.
            8 if !has_data => Reply::Short(argument & 0xfff),
            7 if argument >> 16 != RELATIVE_ADDRESS => Reply::Timeout,
            9 => Reply::Long(self.csd()),
            7 | 16 | 32 | 33 | 38 => Reply::Short(self.status()),
            12 => {
                self.phase = Phase::Idle;
                Reply::Short(self.status())
            }
            13 => Reply::Short(self.status()),
            17 | 18 => self.transfer(Phase::Read, argument),
            24 | 25 => self.transfer(Phase::Write, argument),
            55 => {
                self.application = true;
                Reply::Short(self.status())
            }
            _ => Reply::Timeout,
        }
    }

    fn read_block(&mut self, out: &mut [u8]) -> bool {
        self.phase.read(&mut self.disk, out)
    }

    fn write_block(&mut self, data: &[u8], events: &mut Events) -> bool {
        self.phase.write(&mut self.disk, "sd", data, events)
    }

    fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }
}
