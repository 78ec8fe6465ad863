// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The DesignWare mobile storage host of the SD slot (0xfe2c0000) and of SDIO (0xfe2d0000).
//!
//! Registers after U-Boot `include/dwmmc.h` and Linux `dw_mmc.h`. A command is over at once; data goes through
//! the FIFO or through the internal DMA with 32-bit descriptors. There is no notion of clock or bus width.

use std::collections::VecDeque;

use super::{Card, Reply};
use crate::behaviour::Behaviour;
use crate::devices::{Cx, Device, Read, TRANSFER_LIMIT_BYTES, Write};

const CTRL: u32 = 0x00;
const BLKSIZ: u32 = 0x1c;
const BYTCNT: u32 = 0x20;
const INTMASK: u32 = 0x24;
const CMDARG: u32 = 0x28;
const CMD: u32 = 0x2c;
const RESP0: u32 = 0x30;
const MINTSTS: u32 = 0x40;
const RINTSTS: u32 = 0x44;
const STATUS: u32 = 0x48;
const CDETECT: u32 = 0x50;
const TCBCNT: u32 = 0x5c;
const TBBCNT: u32 = 0x60;
const VERID: u32 = 0x6c;
const HCON: u32 = 0x70;
const BMOD: u32 = 0x80;
const PLDMND: u32 = 0x84;
const DBADDR: u32 = 0x88;
const IDSTS: u32 = 0x8c;
const IDINTEN: u32 = 0x90;
const DATA: u32 = 0x200;

/// Controller, FIFO and DMA reset bits of `CTRL`, which clear themselves.
const CTRL_RESETS: u32 = 7;
const CTRL_INTERRUPTS: u32 = 1 << 4;
const CTRL_USE_IDMAC: u32 = 1 << 25;
const BMOD_RESET: u32 = 1;
const BMOD_ENABLE: u32 = 1 << 7;

const CMD_RESPONSE: u32 = 1 << 6;
const CMD_DATA: u32 = 1 << 9;
const CMD_WRITE: u32 = 1 << 10;
const CMD_AUTO_STOP: u32 = 1 << 12;
const CMD_CLOCK_ONLY: u32 = 1 << 21;
const CMD_START: u32 = 1 << 31;

const INT_COMMAND_DONE: u32 = 1 << 2;
const INT_DATA_OVER: u32 = 1 << 3;
const INT_TRANSMIT_READY: u32 = 1 << 4;
const INT_RECEIVE_READY: u32 = 1 << 5;
const INT_RESPONSE_TIMEOUT: u32 = 1 << 8;
const INT_DATA_TIMEOUT: u32 = 1 << 9;
const INT_AUTO_STOP_DONE: u32 = 1 << 14;

const IDSTS_TRANSMIT: u32 = 1;
const IDSTS_RECEIVE: u32 = 1 << 1;
const IDSTS_BUS_ERROR: u32 = 1 << 2;
const IDSTS_UNAVAILABLE: u32 = 1 << 4;
const IDSTS_NORMAL: u32 = 1 << 8;
const IDSTS_ABNORMAL: u32 = 1 << 9;

const DESCRIPTOR_OWN: u32 = 1 << 31;
const DESCRIPTOR_RING_END: u32 = 1 << 5;
const DESCRIPTOR_CHAINED: u32 = 1 << 4;
const DESCRIPTOR_LAST: u32 = 1 << 2;
/// Descriptors of one transfer; Linux's list has 512.
const DESCRIPTOR_LIMIT: usize = 65_536;

/// FIFO of 256 words (`fifo-depth` of `rk3588-base.dtsi`).
const FIFO_BYTES: usize = 1024;
/// Version 2.70a, as Rockchip's hosts report it: the data port is at 0x200 from 2.40a on.
const VERID_VALUE: u32 = 0x5342_270a;
/// Internal DMA (bits 17:16 = 0) with 32-bit addresses (bit 27 = 0), 32-bit data (bits 9:7 = 1).
const HCON_VALUE: u32 = 1 << 7;

/// The host with its slot.
#[derive(Debug)]
pub struct DwMmc {
    irq: u32,
    card: Option<Box<dyn Card>>,
    control: u32,
    block_size: u32,
    byte_count: u32,
    interrupt_mask: u32,
    argument: u32,
    response: [u32; 4],
    raw: u32,
    bus_mode: u32,
    descriptors: u32,
    dma_status: u32,
    dma_mask: u32,
    fifo: VecDeque<u8>,
    /// Bytes that the card still owes or is still to get.
    left: usize,
    writing: bool,
    auto_stop: bool,
}

impl DwMmc {
    /// A host with interrupt `irq` and perhaps a card.
    pub fn new(irq: u32, card: Option<Box<dyn Card>>) -> Self {
        Self {
            irq,
            card,
            control: 0,
            block_size: 512,
            byte_count: 512,
            interrupt_mask: 0,
            argument: 0,
            response: [0; 4],
            raw: 0,
            bus_mode: 0,
            descriptors: 0,
            dma_status: 0,
            dma_mask: 0,
            fifo: VecDeque::new(),
            left: 0,
            writing: false,
            auto_stop: false,
        }
    }

    /// The card in the slot.
    pub fn card(&mut self) -> Option<&mut dyn Card> {
        match &mut self.card {
            Some(card) => Some(card.as_mut()),
            None => None,
        }
    }

    /// Bytes in the FIFO.
    pub fn waiting_bytes(&self) -> usize {
        self.fifo.len()
    }

    fn dma(&self) -> bool {
        self.control & CTRL_USE_IDMAC != 0 && self.bus_mode & BMOD_ENABLE != 0
    }

    fn start(&mut self, command: u32, cx: &mut Cx<'_>) {
        if command & CMD_CLOCK_ONLY != 0 {
            return;
        }
        let has_data = command & CMD_DATA != 0;
        let reply = match &mut self.card {
            Some(card) => card.command((command & 0x3f) as u8, self.argument, has_data),
            None => Reply::Timeout,
        };
        self.raw |= INT_COMMAND_DONE;
        match reply {
            Reply::Timeout if command & CMD_RESPONSE != 0 => {
                self.raw |= INT_RESPONSE_TIMEOUT;
                return;
            }
            Reply::Timeout | Reply::Nothing => {}
            Reply::Short(word) => self.response[0] = word,
            Reply::Long([a, b, c, d]) => self.response = [d, c, b, a],
        }
        if has_data {
            self.fifo.clear();
            self.left = (self.byte_count as usize).min(TRANSFER_LIMIT_BYTES);
            self.writing = command & CMD_WRITE != 0;
            self.auto_stop = command & CMD_AUTO_STOP != 0;
            if self.dma() {
                self.run_dma(cx);
            } else if self.writing {
                self.raw |= INT_TRANSMIT_READY;
            } else {
                self.refill();
            }
        }
    }

    fn block_bytes(&self) -> usize {
        (self.block_size as usize & 0xffff).clamp(1, FIFO_BYTES)
    }

    /// One block from the card; false ends the transfer with an error.
    fn next_block(&mut self) -> Option<Vec<u8>> {
        let mut block = vec![0; self.block_bytes().min(self.left)];
        let ok = self.card.as_mut().is_some_and(|card| card.read_block(&mut block));
        if !ok {
            self.left = 0;
            self.raw |= INT_DATA_TIMEOUT;
            return None;
        }
        self.left -= block.len();
        Some(block)
    }

    fn refill(&mut self) {
        while self.left > 0 && self.fifo.len() + self.block_bytes() <= FIFO_BYTES {
            let Some(block) = self.next_block() else { return };
            self.fifo.extend(block);
        }
        if !self.fifo.is_empty() {
            self.raw |= INT_RECEIVE_READY;
        }
        if self.left == 0 {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if std::mem::take(&mut self.auto_stop) {
            if let Some(card) = &mut self.card {
                card.command(12, 0, false);
            }
            self.raw |= INT_AUTO_STOP_DONE;
        }
        self.raw |= INT_DATA_OVER;
    }

    /// Hands whole blocks of the FIFO to the card.
    fn drain(&mut self, cx: &mut Cx<'_>) {
        while self.left > 0 && self.fifo.len() >= self.block_bytes().min(self.left) {
            let block: Vec<u8> = self.fifo.drain(..self.block_bytes().min(self.left)).collect();
            let ok = self.card.as_mut().is_some_and(|card| card.write_block(&block, cx.events));
            if !ok {
                self.left = 0;
                self.raw |= INT_DATA_TIMEOUT;
                return;
            }
            self.left -= block.len();
            if self.left == 0 {
                self.finish();
            }
        }
    }

    /// Walks the descriptors until the byte count is done.
    fn run_dma(&mut self, cx: &mut Cx<'_>) {
        let mut at = self.descriptors;
        for _ in 0..DESCRIPTOR_LIMIT {
            let mut raw = [0; 16];
            if !cx.dma_read(at.into(), &mut raw) {
                self.dma_status |= IDSTS_BUS_ERROR | IDSTS_ABNORMAL;
                return;
            }
            let [control, sizes, first, second] =
                [0, 4, 8, 12].map(|n| u32::from_le_bytes([raw[n], raw[n + 1], raw[n + 2], raw[n + 3]]));
            if control & DESCRIPTOR_OWN == 0 {
                self.dma_status |= IDSTS_UNAVAILABLE | IDSTS_ABNORMAL;
                return;
            }
            let chained = control & DESCRIPTOR_CHAINED != 0;
            let mut ok = self.move_buffer(first, (sizes & 0x1fff) as usize, cx);
            if ok && !chained {
                ok = self.move_buffer(second, (sizes >> 13 & 0x1fff) as usize, cx);
            }
            if !ok {
                self.dma_status |= IDSTS_BUS_ERROR | IDSTS_ABNORMAL;
                return;
            }
            if !cx.dma_write(at.into(), &(control & !DESCRIPTOR_OWN).to_le_bytes()) {
                self.dma_status |= IDSTS_BUS_ERROR | IDSTS_ABNORMAL;
                return;
            }
            // What is left in the FIFO of a write that is over goes nowhere.
            if control & DESCRIPTOR_LAST != 0 || self.left == 0 && (self.writing || self.fifo.is_empty()) {
                break;
            }
            at = match (chained, control & DESCRIPTOR_RING_END != 0) {
                (_, true) => self.descriptors,
                (true, _) => second,
                (false, _) => at.wrapping_add(16),
            };
        }
        if self.left == 0 && self.raw & INT_DATA_TIMEOUT == 0 {
            let done = if self.writing { IDSTS_TRANSMIT } else { IDSTS_RECEIVE };
            self.dma_status |= done | IDSTS_NORMAL;
            self.raw |= INT_DATA_OVER;
        }
    }

    /// Moves `len` bytes between memory and card; false when the memory is none.
    fn move_buffer(&mut self, address: u32, len: usize, cx: &mut Cx<'_>) -> bool {
        if self.writing {
            let mut bytes = vec![0; len];
            if !cx.dma_read(address.into(), &mut bytes) {
                return false;
            }
            self.fifo.extend(bytes);
            self.drain(cx);
            return true;
        }
        while self.fifo.len() < len && self.left > 0 {
            let Some(block) = self.next_block() else { return true };
            self.fifo.extend(block);
        }
        if self.left == 0 && self.raw & INT_DATA_OVER == 0 {
            self.finish();
        }
        let len = len.min(self.fifo.len());
        let bytes: Vec<u8> = self.fifo.drain(..len).collect();
        cx.dma_write(address.into(), &bytes)
    }

    fn update_line(&self, cx: &mut Cx<'_>) {
        let pending = self.raw & self.interrupt_mask | self.dma_status & self.dma_mask;
        cx.lines.set(self.irq, self.control & CTRL_INTERRUPTS != 0 && pending != 0);
    }
}

impl Device for DwMmc {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        let value = match offset {
            CTRL => self.control,
            BLKSIZ => self.block_size,
            BYTCNT => self.byte_count,
            INTMASK => self.interrupt_mask,
            CMDARG => self.argument,
            CMD => 0,
            RESP0..MINTSTS => self.response[((offset - RESP0) / 4) as usize],
            MINTSTS => self.raw & self.interrupt_mask,
            RINTSTS => self.raw,
            STATUS => {
                let words = (self.fifo.len().div_ceil(4) as u32).min(0x1fff);
                let (empty, full) = (self.fifo.is_empty(), self.fifo.len() >= FIFO_BYTES);
                words << 17 | u32::from(empty) << 2 | u32::from(full) << 3
            }
            CDETECT => self.card.is_none().into(),
            TCBCNT | TBBCNT => (self.byte_count as usize - self.left.min(self.byte_count as usize)) as u32,
            VERID => VERID_VALUE,
            HCON => HCON_VALUE,
            BMOD => self.bus_mode,
            DBADDR => self.descriptors,
            IDSTS => self.dma_status,
            IDINTEN => self.dma_mask,
            DATA..0x400 => {
                let mut word = [0; 4];
                for byte in &mut word {
                    *byte = self.fifo.pop_front().unwrap_or(0);
                }
                if self.left > 0 && !self.writing {
                    self.refill();
                }
                u32::from_le_bytes(word)
            }
            0x04..CTRL_END => return Read::Plain,
            _ => return Read::Unknown,
        };
        self.update_line(cx);
        Read::Value(value)
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        match offset {
            CTRL => {
                let keep = if cx.has(Behaviour::DwMmcReset) { !CTRL_RESETS } else { u32::MAX };
                self.control = value & keep;
                if value & CTRL_RESETS != 0 {
                    // A transfer does not survive it.
                    self.fifo.clear();
                    self.left = 0;
                }
            }
            BLKSIZ => self.block_size = value,
            BYTCNT => self.byte_count = value,
            INTMASK => self.interrupt_mask = value,
            CMDARG => self.argument = value,
            CMD => {
                if value & CMD_START != 0 {
                    self.start(value, cx);
                }
            }
            RINTSTS => {
                self.raw &= !value;
                // The FIFO still holds data: the request comes back at once.
                if self.left > 0 && !self.writing && !self.fifo.is_empty() {
                    self.raw |= INT_RECEIVE_READY;
                }
            }
            BMOD => self.bus_mode = value & !BMOD_RESET,
            PLDMND => {
                if self.left > 0 && self.dma() {
                    self.run_dma(cx);
                }
            }
            DBADDR => self.descriptors = value,
            IDSTS => self.dma_status &= !value,
            IDINTEN => self.dma_mask = value,
            DATA..0x400 => {
                if self.writing && self.fifo.len() < FIFO_BYTES {
                    self.fifo.extend(value.to_le_bytes());
                    self.drain(cx);
                }
            }
            0x04..CTRL_END => return Write::Plain,
            _ => return Write::Unknown,
        }
        self.update_line(cx);
        Write::Done
    }
}

/// Registers end here; what is not special below keeps its value (clocks, thresholds, power, timing).
const CTRL_END: u32 = 0x140;
