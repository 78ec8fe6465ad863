// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Serial NOR flash: its commands, over a medium whose writes stay in memory.
//!
//! Command codes after U-Boot `include/linux/mtd/spi-nor.h`. It has no table of its parameters (SFDP): drivers then go
//! by its identity. It is never busy.

use crate::events::{Event, Events};
use crate::storage::{Disk, SECTOR_BYTES};

const WRITE_STATUS: u8 = 0x01;
const PAGE_PROGRAM: [u8; 4] = [0x02, 0x12, 0x32, 0x34];
/// Reads of one, two and four lines, with three and four bytes of address.
const READS: [u8; 12] = [0x03, 0x0b, 0x3b, 0x6b, 0xbb, 0xeb, 0x13, 0x0c, 0x3c, 0x6c, 0xbc, 0xec];
const WRITE_DISABLE: u8 = 0x04;
const READ_STATUS: u8 = 0x05;
const WRITE_ENABLE: u8 = 0x06;
const READ_STATUS_2: u8 = 0x35;
const READ_IDENTITY: u8 = 0x9f;
/// Erases of 4, 32 and 64 KiB.
const ERASES: [(u8, u64); 5] =
    [(0x20, 4 << 10), (0x21, 4 << 10), (0x52, 32 << 10), (0xd8, 64 << 10), (0xdc, 64 << 10)];
/// Status: write enable latch; second status byte: four lines are enabled.
const LATCH: u8 = 1 << 1;
const QUAD: u8 = 1 << 1;
/// Winbond's W25Q family (`spi-nor-ids.c`); the last byte is the binary logarithm of the size.
const MAKER: [u8; 2] = [0xef, 0x40];
/// Sizes of which the family has one each: 16 and 32 MiB.
const SIZE_LOG2: [u8; 2] = [24, 25];
/// Bytes of a page, at whose end a program command begins again at its start.
const PAGE_BYTES: u64 = 256;
const ERASED: u8 = 0xff;

/// A flash.
#[derive(Debug)]
pub struct Nor {
    disk: Disk,
    size_log2: u8,
    latch: bool,
}

impl Nor {
    /// A flash with the content of a medium: 16 MiB, or 32 MiB if that is longer; what is longer still is cut.
    pub fn new(disk: Disk) -> Self {
        let fits = |log2: &u8| disk.size_bytes() <= 1 << log2;
        let size_log2 = SIZE_LOG2.into_iter().find(fits).unwrap_or(SIZE_LOG2[1]);
        Self { disk: disk.grown_to(1 << size_log2), size_log2, latch: false }
    }

    fn place(&self, address: u32, done: u32) -> u64 {
        (u64::from(address) + u64::from(done)) & ((1 << self.size_log2) - 1)
    }

    /// Bytes that a command answers from its byte `done` on.
    pub fn read(&mut self, opcode: u8, address: u32, done: u32, out: &mut [u8]) {
        let identity = [MAKER[0], MAKER[1], self.size_log2];
        match opcode {
            READ_IDENTITY => {
                for (n, byte) in (done as usize..).zip(out) {
                    *byte = identity[n % identity.len()];
                }
            }
            READ_STATUS => out.fill(if self.latch { LATCH } else { 0 }),
            READ_STATUS_2 => out.fill(QUAD),
            _ if READS.contains(&opcode) => {
                let at = self.place(address, done);
                // Nothing is read beyond the end but erased cells.
                let inside = ((1_u64 << self.size_log2) - at).min(out.len() as u64) as usize;
                out[inside..].fill(ERASED);
                if !self.disk.read_bytes(at, &mut out[..inside]) {
                    out.fill(ERASED);
                }
            }
            _ => out.fill(ERASED),
        }
    }

    /// A command without data.
    pub fn act(&mut self, opcode: u8, address: u32, events: &mut Events) {
        match opcode {
            WRITE_ENABLE => self.latch = true,
            WRITE_DISABLE => self.latch = false,
            _ => {
                let erase = ERASES.iter().find(|(code, _)| *code == opcode);
                if let Some((_, bytes)) = erase.filter(|_| self.latch) {
                    let start = self.place(address, 0) & !(bytes - 1);
                    let cells = vec![ERASED; *bytes as usize];
                    self.disk.patch(start, &cells);
                    events.push(note(start, *bytes));
                    self.latch = false;
                }
            }
        }
    }

    /// Bytes that a command carries, from its byte `done` on: programming clears bits and never sets one.
    pub fn write(&mut self, opcode: u8, address: u32, done: u32, bytes: &[u8], events: &mut Events) {
        if !PAGE_PROGRAM.contains(&opcode) || !self.latch {
            return;
        }
        let page = self.place(address, 0) & !(PAGE_BYTES - 1);
        let mut cells = [0; PAGE_BYTES as usize];
        if self.disk.read_bytes(page, &mut cells) {
            for (n, byte) in bytes.iter().enumerate() {
                cells[((u64::from(address) + u64::from(done) + n as u64) % PAGE_BYTES) as usize] &= byte;
            }
            self.disk.patch(page, &cells);
        }
        if done == 0 {
            events.push(note(page, PAGE_BYTES));
        }
    }

    /// All data of a command has come.
    pub fn finish(&mut self, opcode: u8) {
        if PAGE_PROGRAM.contains(&opcode) || opcode == WRITE_STATUS {
            self.latch = false;
        }
    }
}

fn note(start: u64, bytes: u64) -> Event {
    let sector = SECTOR_BYTES as u64;
    Event::MediumWrite { medium: "spi", lba: start / sector, sectors: bytes.div_ceil(sector) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn flash() -> Nor {
        let content: Vec<u8> = (0..8192_u32).map(|n| (n % 251) as u8).collect();
        Nor::new(Disk::new(Cursor::new(content), 8192))
    }

    fn read(flash: &mut Nor, opcode: u8, address: u32, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        flash.read(opcode, address, 0, &mut out);
        out
    }

    #[test]
    fn it_says_what_it_is_and_reads_its_content() {
        let mut flash = flash();
        assert_eq!(read(&mut flash, READ_IDENTITY, 0, 6), [0xef, 0x40, 24, 0xef, 0x40, 24]);
        assert_eq!(read(&mut flash, 0x03, 250, 3), [250, 0, 1]);
        assert_eq!(read(&mut flash, 0x6b, 0xff_ffff, 3), [0, ERASED, ERASED], "and ends");
        assert_eq!(read(&mut flash, 0x5a, 0, 4), [ERASED; 4], "no parameters");
        let large = Nor::new(Disk::blank(17 << 20));
        assert_eq!(large.size_log2, 25);
    }

    #[test]
    fn cells_are_erased_and_programmed_only_while_writing_is_enabled() {
        let (mut flash, mut events) = (flash(), Events::default());
        flash.act(0x20, 0x1000, &mut events);
        assert_eq!(read(&mut flash, 0x03, 0x1000, 1), [(4096 % 251) as u8], "not enabled");
        flash.act(WRITE_ENABLE, 0, &mut events);
        assert_eq!(read(&mut flash, READ_STATUS, 0, 1), [LATCH]);
        flash.act(0x20, 0x1234, &mut events);
        assert_eq!(read(&mut flash, 0x03, 0x1000, 4096), [ERASED; 4096]);
        assert_eq!(read(&mut flash, READ_STATUS, 0, 1), [0], "each time anew");
        for byte in [0x0f, 0x3c] {
            flash.act(WRITE_ENABLE, 0, &mut events);
            flash.write(0x02, 0x10ff, 0, &[byte, byte], &mut events);
            flash.finish(0x02);
        }
        assert_eq!(read(&mut flash, 0x03, 0x10ff, 2), [0x0c, ERASED], "bits are only cleared");
        assert_eq!(read(&mut flash, 0x03, 0x1000, 1), [0x0c], "at the end of a page it begins again");
        let places: Vec<_> = events
            .all()
            .iter()
            .map(|e| match e {
                Event::MediumWrite { medium: "spi", lba, sectors } => (*lba, *sectors),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(places, [(8, 8), (8, 1), (8, 1)]);
    }
}
