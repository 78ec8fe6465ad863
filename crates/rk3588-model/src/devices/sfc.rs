// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Serial flash host (0xfe2b0000): a command, an address, then data through a port or by DMA.
//!
//! Registers after U-Boot `drivers/spi/rockchip_sfc.c`. The flash behind it is [`super::nor`]. How many lines carry
//! what, dummy cycles and delay lines mean nothing here: bytes arrive as they were sent.

use super::nor::Nor;
use super::{Cx, Device, Read, TRANSFER_LIMIT_BYTES, Write};

const IMR: u32 = 0x04;
const ICLR: u32 = 0x08;
const RCVR: u32 = 0x10;
const ISR: u32 = 0x1c;
const FSR: u32 = 0x20;
const SR: u32 = 0x24;
const RISR: u32 = 0x28;
const VER: u32 = 0x2c;
const DMA_TRIGGER: u32 = 0x80;
const DMA_ADDR: u32 = 0x84;
const LEN_EXT: u32 = 0x8c;
const CMD: u32 = 0x100;
const ADDR: u32 = 0x104;
const DATA: u32 = 0x108;
/// First byte behind the registers.
const END: u32 = 0x200;

/// A version whose lengths have a register of their own; not read from a board.
const VERSION: u32 = 5;
/// `SFC_RISR_TRAN_FINISH` and `SFC_RISR_DMA`.
const FINISHED: u32 = 1 << 4;
const DMA_DONE: u32 = 1 << 7;
/// `SFC_FSR`: places free for sending, words to be read, and the flags of empty queues.
const TX_LEVEL: u32 = 16 << 8 | 1 << 1;
const RX_LEVEL_SHIFT: u32 = 16;
const RX_LEVEL_LIMIT: usize = 16;
const RX_EMPTY: u32 = 1 << 2;
/// `SFC_CMD`: direction, address, chip select.
const WRITES: u32 = 1 << 12;
const ADDRESS_SHIFT: u32 = 14;
const SELECT_SHIFT: u32 = 30;
/// Bytes that one command moves at most: no flash of these boards is larger.
const LENGTH_LIMIT: u32 = TRANSFER_LIMIT_BYTES as u32;

/// The host with its flash.
#[derive(Debug)]
pub struct Sfc {
    irq: u32,
    flash: Option<Nor>,
    masked: u32,
    status: u32,
    length: u32,
    command: u32,
    address: u32,
    dma_address: u32,
    /// Bytes of the transfer that went through the port.
    done: u32,
}

impl Sfc {
    /// A host; `irq` is its SPI number.
    pub fn new(irq: u32, flash: Option<Nor>) -> Self {
        Self {
            irq,
            flash,
            masked: u32::MAX,
            status: 0,
            length: 0,
            command: 0,
            address: 0,
            dma_address: 0,
            done: 0,
        }
    }

    fn opcode(&self) -> u8 {
        self.command as u8
    }

    /// The flash, if it is the one that is selected.
    fn selected(&mut self) -> Option<&mut Nor> {
        if self.command >> SELECT_SHIFT == 0 { self.flash.as_mut() } else { None }
    }

    /// A transfer begins: what has no data happens now.
    fn start(&mut self, cx: &mut Cx<'_>) {
        self.done = 0;
        let (opcode, address) = (self.opcode(), self.address);
        if self.length == 0
            && let Some(flash) = self.selected()
        {
            flash.act(opcode, address, cx.events);
        }
        self.status |= FINISHED;
    }

    fn receive(&mut self, out: &mut [u8]) {
        let (opcode, address, done) = (self.opcode(), self.address, self.done);
        match self.selected() {
            Some(flash) => flash.read(opcode, address, done, out),
            // Nobody drives the line.
            None => out.fill(0xff),
        }
        self.done += out.len() as u32;
    }

    fn send(&mut self, bytes: &[u8], cx: &mut Cx<'_>) {
        let (opcode, address, done) = (self.opcode(), self.address, self.done);
        if let Some(flash) = self.selected() {
            flash.write(opcode, address, done, bytes, cx.events);
        }
        self.done += bytes.len() as u32;
        let is_over = self.done >= self.length;
        if is_over && let Some(flash) = self.selected() {
            flash.finish(opcode);
        }
    }

    fn transfer_by_dma(&mut self, cx: &mut Cx<'_>) {
        let mut piece = [0; 512];
        while self.done < self.length {
            let at = u64::from(self.dma_address) + u64::from(self.done);
            let now = &mut piece[..(self.length - self.done).min(512) as usize];
            if self.command & WRITES != 0 {
                // What is no memory reads as nothing.
                now.fill(0xff);
                cx.dma_read(at, now);
                self.send(now, cx);
            } else {
                self.receive(now);
                cx.dma_write(at, now);
            }
        }
        self.status |= DMA_DONE | FINISHED;
    }

    fn update_line(&self, cx: &mut Cx<'_>) {
        cx.lines.set(self.irq, self.status & !self.masked != 0);
    }
}

impl Device for Sfc {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        Read::Value(match offset {
            IMR => self.masked,
            // Reset and idle at once.
            RCVR | SR | DMA_TRIGGER | ICLR => 0,
            ISR => self.status & !self.masked,
            RISR => self.status,
            FSR => {
                let left = self.length.saturating_sub(self.done).div_ceil(4) as usize;
                let waits = self.command & WRITES == 0 && left > 0;
                let words = if waits { left.min(RX_LEVEL_LIMIT) as u32 } else { 0 };
                TX_LEVEL | words << RX_LEVEL_SHIFT | if waits { 0 } else { RX_EMPTY }
            }
            VER => VERSION,
            DMA_ADDR => self.dma_address,
            LEN_EXT => self.length,
            CMD => self.command,
            ADDR => self.address,
            DATA => {
                let mut bytes = [0; 4];
                let now = self.length.saturating_sub(self.done).min(4) as usize;
                self.receive(&mut bytes[..now]);
                u32::from_le_bytes(bytes)
            }
            _ if offset < END => return Read::Plain,
            _ => return Read::Unknown,
        })
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        match offset {
            IMR => self.masked = value,
            ICLR => self.status &= !value,
            RCVR | ISR | FSR | SR | RISR | VER => {}
            DMA_ADDR => self.dma_address = value,
            DMA_TRIGGER if value & 1 != 0 => self.transfer_by_dma(cx),
            DMA_TRIGGER => {}
            LEN_EXT => self.length = value.min(LENGTH_LIMIT),
            CMD => {
                self.command = value;
                if value >> ADDRESS_SHIFT & 3 == 0 {
                    self.address = 0;
                    self.start(cx);
                }
            }
            ADDR => {
                self.address = value;
                self.start(cx);
            }
            DATA => {
                let now = self.length.saturating_sub(self.done).min(4) as usize;
                self.send(&value.to_le_bytes()[..now], cx);
            }
            _ if offset < END => return Write::Plain,
            _ => return Write::Unknown,
        }
        self.update_line(cx);
        Write::Done
    }
}
