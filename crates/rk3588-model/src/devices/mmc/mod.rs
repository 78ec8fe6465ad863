// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Cards and their hosts: an SD card in the DesignWare host, an eMMC in the SDHCI host.
//!
//! A host moves bits, a card answers commands: [`Card`] is all that they share.

pub mod dw_mmc;
pub mod emmc;
pub mod sd;
pub mod sdhci;

use crate::events::{Event, Events};
use crate::storage::{Disk, SECTOR_BYTES};

/// Answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Nobody answers.
    Timeout,
    /// Response without content.
    Nothing,
    /// 48-bit response: its 32 bits of content.
    Short(u32),
    /// 136-bit response: bits 127:0 with the checksum in the lowest byte, highest word first.
    Long([u32; 4]),
}

/// A card.
pub trait Card: std::fmt::Debug + Send {
    /// A command; `has_data` when the host expects a data phase with it.
    fn command(&mut self, index: u8, argument: u32, has_data: bool) -> Reply;
    /// Fills one block of the data phase that the last command began; false is a data error.
    fn read_block(&mut self, out: &mut [u8]) -> bool;
    /// Takes one block; false is a data error.
    fn write_block(&mut self, data: &[u8], events: &mut Events) -> bool;
    /// The medium, for looking at it after a run.
    fn disk(&mut self) -> &mut Disk;
}

/// What the data lines carry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A register of the card, from this byte on.
    Register(Vec<u8>, usize),
    Read(u64),
    Write(u64),
}

/// Card states of the status word, bits 12:9 (SD physical layer 4.10.1, JESD84-B51 6.13).
const STATE_TRANSFER: u32 = 4;
const READY_FOR_DATA: u32 = 1 << 8;
/// Status: the address is past the end.
const OUT_OF_RANGE: u32 = 1 << 31;

impl Phase {
    fn read(&mut self, disk: &mut Disk, out: &mut [u8]) -> bool {
        match self {
            Self::Register(bytes, at) => {
                for (place, n) in out.iter_mut().zip(*at..) {
                    *place = bytes.get(n).copied().unwrap_or(0);
                }
                let is_there = *at < bytes.len();
                *at += out.len();
                is_there
            }
            Self::Read(lba) => {
                let mut ok = out.len().is_multiple_of(SECTOR_BYTES);
                for chunk in out.chunks_exact_mut(SECTOR_BYTES) {
                    let mut sector = [0; SECTOR_BYTES];
                    ok &= disk.read_sector(*lba, &mut sector);
                    chunk.copy_from_slice(&sector);
                    *lba += 1;
                }
                ok
            }
            Self::Idle | Self::Write(_) => false,
        }
    }

    fn write(&mut self, disk: &mut Disk, medium: &'static str, data: &[u8], events: &mut Events) -> bool {
        let Self::Write(lba) = self else { return false };
        let first = *lba;
        let mut ok = data.len().is_multiple_of(SECTOR_BYTES);
        for chunk in data.chunks_exact(SECTOR_BYTES) {
            let mut sector = [0; SECTOR_BYTES];
            sector.copy_from_slice(chunk);
            ok &= disk.write_sector(*lba, &sector);
            *lba += 1;
        }
        events.push(Event::MediumWrite { medium, lba: first, sectors: *lba - first });
        ok
    }
}
