// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Interrupt translation services (0xfe640000, 0xfe660000): take commands and do nothing.
//!
//! Nothing on this board sends a message-signalled interrupt without a PCIe device. The registers are there
//! because the kernel sets them up and waits until its commands are consumed (IHI 0069, chapter 12).

const CTLR: u32 = 0x00;
const IIDR: u32 = 0x04;
const TYPER_LOW: u32 = 0x08;
const TYPER_HIGH: u32 = 0x0c;
const CBASER: u32 = 0x80;
const CWRITER: u32 = 0x88;
const CREADR: u32 = 0x90;
const BASER: u32 = 0x100;
const PIDR2: u32 = 0xffe8;
/// Quiescent.
const CTLR_QUIESCENT: u32 = 1 << 31;
/// Physical LPIs, 8-byte entries, 16 bits of event number and of device number.
const TYPER_LOW_VALUE: u32 = 1 | 7 << 4 | 15 << 8 | 15 << 13;
/// `GITS_BASER0`: a table of devices; `GITS_BASER1`: of collections; entries of 8 bytes.
const BASER_TYPES: [u32; 2] = [1, 4];

/// One service.
#[derive(Debug, Default)]
pub struct Its {
    enabled: bool,
    command_base: [u32; 2],
    command_write: u32,
    tables: [[u32; 2]; 2],
}

impl Its {
    /// Reads a word; `None` for a register that is not modelled.
    pub fn read(&self, offset: u32) -> Option<u32> {
        Some(match offset {
            CTLR => u32::from(self.enabled) | CTLR_QUIESCENT,
            IIDR => 0x0201_743b,
            TYPER_LOW => TYPER_LOW_VALUE,
            TYPER_HIGH => 0,
            0x10..0x40 => 0,
            CBASER | 0x84 => self.command_base[((offset - CBASER) / 4) as usize],
            // All commands are consumed as soon as they are there.
            CWRITER | CREADR => self.command_write,
            0x8c | 0x94 => 0,
            BASER..0x140 => {
                let (table, half) = ((offset - BASER) as usize / 8, (offset - BASER) as usize / 4 % 2);
                let Some(value) = self.tables.get(table) else { return Some(0) };
                if half == 1 {
                    // Type and entry size are fixed: bits 58:56 and 52:48 of the register.
                    value[1] & !0x071f_0000 | BASER_TYPES[table] << 24 | 7 << 16
                } else {
                    value[0]
                }
            }
            PIDR2 => super::distributor::PIDR2_VALUE,
            _ => return None,
        })
    }

    /// Writes a word; `None` for a register that is not modelled.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        match offset {
            CTLR => self.enabled = value & 1 != 0,
            CBASER | 0x84 => {
                self.command_base[((offset - CBASER) / 4) as usize] = value;
                self.command_write = 0;
            }
            CWRITER => self.command_write = value & 0xf_ffe0,
            0x8c | 0x10..0x40 => {}
            BASER..0x140 => {
                let (table, half) = ((offset - BASER) as usize / 8, (offset - BASER) as usize / 4 % 2);
                if let Some(words) = self.tables.get_mut(table) {
                    words[half] = value;
                }
            }
            _ => return None,
        }
        Some(())
    }
}
