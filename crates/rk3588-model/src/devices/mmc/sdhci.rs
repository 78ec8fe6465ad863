// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The eMMC host (0xfe2e0000): a standard SDHCI version 4 with DesignWare and Rockchip additions.
//!
//! After the SD host controller simplified specification, Linux `sdhci.h` and `sdhci-of-dwcmshc.c`. Registers
//! are kept as bytes, for drivers access them in three widths. A command is over at once.

use super::{Card, Reply};
use crate::behaviour::Behaviour;
use crate::devices::{Cx, Device, Read, TRANSFER_LIMIT_BYTES, Write};

const SDMA_ADDRESS: usize = 0x00;
const BLOCK_SIZE: usize = 0x04;
const BLOCK_COUNT: usize = 0x06;
const ARGUMENT: usize = 0x08;
const TRANSFER_MODE: usize = 0x0c;
const COMMAND: usize = 0x0e;
const RESPONSE: usize = 0x10;
const BUFFER: usize = 0x20;
const PRESENT_STATE: usize = 0x24;
const HOST_CONTROL: usize = 0x28;
const CLOCK_CONTROL: usize = 0x2c;
const SOFTWARE_RESET: usize = 0x2f;
const INT_STATUS: usize = 0x30;
const INT_ENABLE: usize = 0x34;
const SIGNAL_ENABLE: usize = 0x38;
const HOST_CONTROL2: usize = 0x3e;
const CAPABILITIES: usize = 0x40;
const ADMA_ADDRESS: usize = 0x58;
const VENDOR_POINTER: usize = 0xe8;
const VERSION: usize = 0xfe;
/// Rockchip's delay line: status 0 (Linux `DWCMSHC_EMMC_DLL_STATUS0`), bit 8 = locked.
const DLL_STATUS0: u32 = 0x840;
const DLL_LOCKED: u32 = 1 << 8;

const INT_COMMAND: u32 = 1;
const INT_TRANSFER: u32 = 1 << 1;
const INT_WRITE_READY: u32 = 1 << 4;
const INT_READ_READY: u32 = 1 << 5;
const INT_ERROR: u32 = 1 << 15;
const INT_COMMAND_TIMEOUT: u32 = 1 << 16;
const INT_DATA_TIMEOUT: u32 = 1 << 20;
const INT_ADMA_ERROR: u32 = 1 << 25;

/// Lines high, card stable and present, not write protected: an eMMC is soldered, empty or not.
const PRESENT: u32 = 0x01ff_0000;
const PRESENT_WRITE_BUFFER: u32 = 1 << 10;
const PRESENT_READ_BUFFER: u32 = 1 << 11;
/// 1 MHz timeout clock, 200 MHz base clock, 8 bits, ADMA2, high speed, SDMA, 3.3 V, 1.8 V, 64-bit (v3 and v4).
/// Faster modes (second word) are not offered, see `emmc`.
const CAPABILITIES_VALUE: u32 =
    0xc881 | 1 << 18 | 1 << 19 | 1 << 21 | 1 << 22 | 1 << 24 | 1 << 26 | 1 << 27 | 1 << 28;
/// Specification version 4.20.
const VERSION_VALUE: u16 = 5;
/// Where DesignWare's own registers begin.
const VENDOR_AREA: u16 = 0x500;

const DESCRIPTOR_LIMIT: usize = 65_536;

/// The host with its card.
#[derive(Debug)]
pub struct Sdhci {
    irq: u32,
    card: Option<Box<dyn Card>>,
    registers: [u8; 0x100],
    status: u32,
    buffer: Vec<u8>,
    buffer_at: usize,
    blocks_left: u32,
    writing: bool,
}

impl Sdhci {
    /// A host with interrupt `irq` and perhaps a card.
    pub fn new(irq: u32, card: Option<Box<dyn Card>>) -> Self {
        let mut host = Self {
            irq,
            card,
            registers: [0; 0x100],
            status: 0,
            buffer: Vec::new(),
            buffer_at: 0,
            blocks_left: 0,
            writing: false,
        };
        host.registers[CAPABILITIES..CAPABILITIES + 4].copy_from_slice(&CAPABILITIES_VALUE.to_le_bytes());
        host.registers[VERSION..].copy_from_slice(&VERSION_VALUE.to_le_bytes());
        host.registers[VENDOR_POINTER..VENDOR_POINTER + 2].copy_from_slice(&VENDOR_AREA.to_le_bytes());
        host
    }

    /// The card.
    pub fn card(&mut self) -> Option<&mut dyn Card> {
        match &mut self.card {
            Some(card) => Some(card.as_mut()),
            None => None,
        }
    }

    fn word16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.registers[at], self.registers[at + 1]])
    }

    fn word32(&self, at: usize) -> u32 {
        u32::from(self.word16(at)) | u32::from(self.word16(at + 2)) << 16
    }

    fn set32(&mut self, at: usize, value: u32) {
        self.registers[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn block_bytes(&self) -> usize {
        usize::from(self.word16(BLOCK_SIZE) & 0xfff).clamp(1, 2048)
    }

    fn fail(&mut self, bit: u32) {
        self.status |= bit;
    }

    /// Bits that are enabled; bit 15 sums up the errors among them.
    fn visible_status(&self) -> u32 {
        let enabled = self.status & self.word32(INT_ENABLE);
        enabled | if enabled >> 16 != 0 { INT_ERROR } else { 0 }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let command = self.word16(COMMAND);
        let mode = self.word16(TRANSFER_MODE);
        let has_data = command & 1 << 5 != 0;
        let argument = self.word32(ARGUMENT);
        let reply = match &mut self.card {
            Some(card) => card.command((command >> 8 & 0x3f) as u8, argument, has_data),
            None => Reply::Timeout,
        };
        match reply {
            Reply::Timeout if command & 3 != 0 => return self.fail(INT_COMMAND_TIMEOUT),
            Reply::Timeout | Reply::Nothing => {}
            Reply::Short(word) => self.set32(RESPONSE, word),
            Reply::Long([a, b, c, d]) => {
                // The host drops the checksum: bits 127:8 stand in 119:0.
                let shifted = [d >> 8 | c << 24, c >> 8 | b << 24, b >> 8 | a << 24, a >> 8];
                for (n, word) in shifted.into_iter().enumerate() {
                    self.set32(RESPONSE + 4 * n, word);
                }
            }
        }
        self.status |= INT_COMMAND;
        if !has_data {
            // A response with busy ends with "transfer complete".
            if command & 3 == 3 {
                self.status |= INT_TRANSFER;
            }
            return;
        }
        self.writing = mode & 1 << 4 == 0;
        let multiple = mode & 1 << 5 != 0;
        let count = match (self.word16(BLOCK_COUNT), self.word32(SDMA_ADDRESS)) {
            _ if !multiple => 1,
            (0, wide) if self.version_4() => wide,
            (count, _) => count.into(),
        };
        self.blocks_left = count.min((TRANSFER_LIMIT_BYTES / self.block_bytes()) as u32);
        if mode & 1 == 0 {
            self.next_buffer();
        } else {
            match self.registers[HOST_CONTROL] >> 3 & 3 {
                0 => self.run_sdma(cx),
                select => self.run_adma(select == 3, cx),
            }
            // A part of a block that memory had no place for is not for the data port.
            self.buffer.clear();
        }
    }

    fn version_4(&self) -> bool {
        self.word16(HOST_CONTROL2) & 1 << 12 != 0
    }

    fn finish(&mut self) {
        // Auto CMD12, mode bits 3:2 = 1.
        let stop = self.word16(TRANSFER_MODE) >> 2 & 3 == 1;
        if let Some(card) = self.card.as_mut().filter(|_| stop) {
            card.command(12, 0, false);
        }
        self.status |= INT_TRANSFER;
    }

    /// Programmed transfers: the next block becomes readable or writable.
    fn next_buffer(&mut self) {
        self.buffer_at = 0;
        self.buffer.clear();
        if self.blocks_left == 0 {
            return self.finish();
        }
        self.buffer.resize(self.block_bytes(), 0);
        if self.writing {
            self.status |= INT_WRITE_READY;
            return;
        }
        if !self.card.as_mut().is_some_and(|card| card.read_block(&mut self.buffer)) {
            self.buffer.clear();
            return self.fail(INT_DATA_TIMEOUT);
        }
        self.blocks_left -= 1;
        self.status |= INT_READ_READY;
    }

    fn read_buffer(&mut self) -> u32 {
        if self.writing {
            return 0;
        }
        let mut word = [0; 4];
        for byte in &mut word {
            *byte = self.buffer.get(self.buffer_at).copied().unwrap_or(0);
            self.buffer_at += 1;
        }
        if !self.buffer.is_empty() && self.buffer_at >= self.buffer.len() {
            self.next_buffer();
        }
        u32::from_le_bytes(word)
    }

    fn write_buffer(&mut self, value: u32, cx: &mut Cx<'_>) {
        if !self.writing {
            return;
        }
        for byte in value.to_le_bytes() {
            if let Some(place) = self.buffer.get_mut(self.buffer_at) {
                *place = byte;
            }
            self.buffer_at += 1;
        }
        if !self.buffer.is_empty() && self.buffer_at >= self.buffer.len() {
            let block = std::mem::take(&mut self.buffer);
            if !self.card.as_mut().is_some_and(|card| card.write_block(&block, cx.events)) {
                return self.fail(INT_DATA_TIMEOUT);
            }
            self.blocks_left -= 1;
            self.next_buffer();
        }
    }

    /// Moves up to `len` bytes in whole blocks; `None` after an error.
    fn move_bytes(&mut self, address: u64, len: usize, cx: &mut Cx<'_>) -> Option<usize> {
        let size = self.block_bytes();
        let mut done = 0;
        while done < len && (self.blocks_left > 0 || !self.buffer.is_empty()) {
            if self.buffer.is_empty() {
                self.buffer.resize(size, 0);
                self.buffer_at = 0;
                if !self.writing && !self.card.as_mut()?.read_block(&mut self.buffer) {
                    self.fail(INT_DATA_TIMEOUT);
                    return None;
                }
                self.blocks_left -= 1;
            }
            let part = (len - done).min(size - self.buffer_at);
            let window = &mut self.buffer[self.buffer_at..self.buffer_at + part];
            let at = address.wrapping_add(done as u64);
            let ok = if self.writing { cx.dma_read(at, window) } else { cx.dma_write(at, window) };
            if !ok {
                self.fail(INT_ADMA_ERROR);
                return None;
            }
            self.buffer_at += part;
            done += part;
            if self.buffer_at == size {
                let block = std::mem::take(&mut self.buffer);
                if self.writing && !self.card.as_mut()?.write_block(&block, cx.events) {
                    self.fail(INT_DATA_TIMEOUT);
                    return None;
                }
            }
        }
        Some(done)
    }

    /// Simple DMA: one buffer. The pause at each boundary is skipped, for it only asks for the next address.
    fn run_sdma(&mut self, cx: &mut Cx<'_>) {
        let address = if self.version_4() {
            u64::from(self.word32(ADMA_ADDRESS)) | u64::from(self.word32(ADMA_ADDRESS + 4)) << 32
        } else {
            self.word32(SDMA_ADDRESS).into()
        };
        let len = self.blocks_left as usize * self.block_bytes();
        self.buffer.clear();
        if self.move_bytes(address, len, cx).is_some() {
            self.finish();
        }
    }

    /// Descriptors: 8 bytes, 12 with 64-bit addresses, 16 of them in version 4 mode.
    fn run_adma(&mut self, wide: bool, cx: &mut Cx<'_>) {
        let wide = wide || self.version_4() && self.word16(HOST_CONTROL2) & 1 << 13 != 0;
        let length = match (wide, self.version_4()) {
            (false, _) => 8,
            (true, false) => 12,
            (true, true) => 16,
        };
        let mut at = u64::from(self.word32(ADMA_ADDRESS)) | u64::from(self.word32(ADMA_ADDRESS + 4)) << 32;
        self.buffer.clear();
        for _ in 0..DESCRIPTOR_LIMIT {
            let mut raw = [0; 16];
            if !cx.dma_read(at, &mut raw[..length]) || raw[0] & 1 == 0 {
                return self.fail(INT_ADMA_ERROR);
            }
            let attributes = raw[0];
            let bytes = match u16::from_le_bytes([raw[2], raw[3]]) {
                0 => 65_536,
                bytes => usize::from(bytes),
            };
            let mut address = u64::from(u32::from_le_bytes([raw[4], raw[5], raw[6], raw[7]]));
            if wide {
                address |= u64::from(u32::from_le_bytes([raw[8], raw[9], raw[10], raw[11]])) << 32;
            }
            at = at.wrapping_add(length as u64);
            let action = attributes >> 4 & 3;
            if action == 3 {
                at = address;
            } else if action == 2 && self.move_bytes(address, bytes, cx).is_none() {
                return;
            }
            if attributes & 2 != 0 {
                return if self.blocks_left == 0 { self.finish() } else { self.fail(INT_ADMA_ERROR) };
            }
        }
        self.fail(INT_ADMA_ERROR);
    }

    fn update_line(&self, cx: &mut Cx<'_>) {
        cx.lines.set(self.irq, self.visible_status() & self.word32(SIGNAL_ENABLE) != 0);
    }

    fn store(&mut self, offset: usize, bytes: &[u8], cx: &mut Cx<'_>) {
        for (n, byte) in bytes.iter().enumerate() {
            match offset + n {
                // Cleared by writing ones.
                at @ INT_STATUS..INT_ENABLE => self.status &= !(u32::from(*byte) << (8 * (at - INT_STATUS))),
                at @ (RESPONSE..HOST_CONTROL | CAPABILITIES..0x50 | 0xe8..0x100) => {
                    // Read only; the buffer is handled as a word.
                    let _ = at;
                }
                at => self.registers[at] = *byte,
            }
        }
        let touches = |at: usize| (offset..offset + bytes.len()).contains(&at);
        if touches(SOFTWARE_RESET) && self.registers[SOFTWARE_RESET] != 0 {
            if self.registers[SOFTWARE_RESET] & 1 != 0 {
                let keep = (self.registers[SOFTWARE_RESET], self.word32(CAPABILITIES));
                self.registers[..HOST_CONTROL2 + 2].fill(0);
                self.registers[SOFTWARE_RESET] = keep.0;
                self.set32(CAPABILITIES, keep.1);
            }
            self.status = 0;
            self.buffer.clear();
            self.blocks_left = 0;
            if cx.has(Behaviour::SdhciReset) {
                self.registers[SOFTWARE_RESET] = 0;
            }
        }
        if touches(COMMAND + 1) {
            self.start(cx);
        }
    }
}

impl Device for Sdhci {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        let value = match offset as usize {
            BUFFER => self.read_buffer(),
            PRESENT_STATE => {
                let ready = match (self.buffer.is_empty(), self.writing) {
                    (true, _) => 0,
                    (false, true) => PRESENT_WRITE_BUFFER,
                    (false, false) => PRESENT_READ_BUFFER,
                };
                PRESENT | ready
            }
            INT_STATUS => self.visible_status(),
            CLOCK_CONTROL => {
                // Bit 1: the internal clock that bit 0 enables is stable.
                let word = self.word32(CLOCK_CONTROL);
                let stable = word & 1 != 0 && cx.has(Behaviour::SdhciClock);
                word & !2 | u32::from(stable) << 1
            }
            at @ 0..0x100 => self.word32(at),
            _ if offset == DLL_STATUS0 => DLL_LOCKED,
            0x500..0x900 => return Read::Plain,
            _ => return Read::Unknown,
        };
        self.update_line(cx);
        Read::Value(value)
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        match offset as usize {
            BUFFER => self.write_buffer(value, cx),
            at @ 0..0x100 => self.store(at, &value.to_le_bytes(), cx),
            0x500..0x900 => return Write::Plain,
            _ => return Write::Unknown,
        }
        self.update_line(cx);
        Write::Done
    }

    fn write_narrow(&mut self, offset: u32, size: usize, value: u32, cx: &mut Cx<'_>) -> Write {
        match offset as usize {
            at @ 0..0x100 => self.store(at, &value.to_le_bytes()[..size], cx),
            0x500..0x900 => return Write::Plain,
            _ => return Write::Unknown,
        }
        self.update_line(cx);
        Write::Done
    }
}
