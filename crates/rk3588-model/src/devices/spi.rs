// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The SPI hosts, `rockchip,rk3588-spi`, with at most one chip each.
//!
//! Registers after U-Boot `drivers/spi/rk_spi.h`. A byte that is sent has been exchanged at once. Chip select
//! (`SER`) frames a message; a message ends when the select is released.

use std::collections::VecDeque;

use super::{Cx, Device, Read, Write};
use crate::behaviour::Behaviour;
use crate::devices::rk806::Rk806;

const CTRLR0: u32 = 0x00;
const CTRLR1: u32 = 0x04;
const SSIENR: u32 = 0x08;
const SER: u32 = 0x0c;
const TXFLR: u32 = 0x1c;
const RXFLR: u32 = 0x20;
const SR: u32 = 0x24;
const ISR: u32 = 0x30;
const RISR: u32 = 0x34;
const IMR: u32 = 0x2c;
const VERSION: u32 = 0x48;
const TXDR: u32 = 0x400;
const RXDR: u32 = 0x800;

/// Transmit FIFO empty, receive FIFO empty (`SR_TF_EMPT`, `SR_RF_EMPT`).
const SR_TF_EMPTY: u32 = 1 << 2;
const SR_RF_EMPTY: u32 = 1 << 3;
/// Interrupts: transmit FIFO empty, receive FIFO full (Linux `spi-rockchip.c`, `INT_TF_EMPTY`, `INT_RF_FULL`).
const INT_TF_EMPTY: u32 = 1;
const INT_RF_FULL: u32 = 1 << 4;
/// FIFO depth of this version (Linux `ROCKCHIP_SPI_VER2_TYPE2`: 64).
const FIFO_BYTES: usize = 64;
/// `ROCKCHIP_SPI_VER2_TYPE2`.
const VERSION_VALUE: u32 = 0x0011_0002;
/// Transfer mode, `CTRLR0` bits 19:18: 2 = receive only; the count is in `CTRLR1`.
const RECEIVE_ONLY: u32 = 2;

/// One host.
#[derive(Debug)]
pub struct Spi {
    irq: u32,
    chip: Option<Rk806>,
    control: u32,
    frames: u32,
    enabled: bool,
    selected: bool,
    receive: VecDeque<u8>,
    owed: u32,
    interrupt_mask: u32,
}

impl Spi {
    /// A host with interrupt `irq` and perhaps a PMIC.
    pub fn new(irq: u32, chip: Option<Rk806>) -> Self {
        Self {
            irq,
            chip,
            control: 0,
            frames: 0,
            enabled: false,
            selected: false,
            receive: VecDeque::new(),
            owed: 0,
            interrupt_mask: 0,
        }
    }

    /// The PMIC of this host.
    pub fn pmic(&self) -> Option<&Rk806> {
        self.chip.as_ref()
    }

    fn exchange(&mut self, byte: u8, cx: &mut Cx<'_>) -> u8 {
        match &mut self.chip {
            Some(chip) if self.selected => chip.exchange(byte, cx.events),
            // Nothing drives the line: it reads as pulled up.
            _ => 0xff,
        }
    }

    fn mode(&self) -> u32 {
        self.control >> 18 & 3
    }

    /// Receives what the receive-only mode still owes, as far as the FIFO has room.
    fn pump(&mut self, cx: &mut Cx<'_>) {
        while self.enabled && self.owed > 0 && self.receive.len() < FIFO_BYTES {
            let byte = self.exchange(0, cx);
            self.receive.push_back(byte);
            self.owed -= 1;
        }
    }

    fn raw_interrupts(&self) -> u32 {
        let transmit = if self.enabled { INT_TF_EMPTY } else { 0 };
        transmit | if self.receive.is_empty() { 0 } else { INT_RF_FULL }
    }

    fn update_line(&self, cx: &mut Cx<'_>) {
        cx.lines.set(self.irq, self.raw_interrupts() & self.interrupt_mask != 0);
    }
}

impl Device for Spi {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        let works = cx.has(Behaviour::SpiProgress);
        let value = match offset {
            CTRLR0 => self.control,
            CTRLR1 => self.frames,
            SSIENR => self.enabled.into(),
            SER => self.selected.into(),
            TXFLR => 0,
            RXFLR if works => self.receive.len() as u32,
            RXFLR => 0,
            SR => SR_TF_EMPTY | if self.receive.is_empty() || !works { SR_RF_EMPTY } else { 0 },
            IMR => self.interrupt_mask,
            ISR => self.raw_interrupts() & self.interrupt_mask,
            RISR => self.raw_interrupts(),
            VERSION => VERSION_VALUE,
            RXDR..0xc00 => {
                let byte = self.receive.pop_front().unwrap_or(0);
                self.pump(cx);
                self.update_line(cx);
                byte.into()
            }
            0x10..0x50 => return Read::Plain,
            _ => return Read::Unknown,
        };
        Read::Value(value)
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        match offset {
            CTRLR0 => self.control = value,
            CTRLR1 => self.frames = value,
            SSIENR => {
                self.enabled = value & 1 != 0;
                if self.enabled {
                    self.owed =
                        if self.mode() == RECEIVE_ONLY { self.frames.wrapping_add(1) & 0xffff } else { 0 };
                    self.pump(cx);
                } else {
                    self.receive.clear();
                    self.owed = 0;
                }
            }
            SER => {
                let selected = value & 3 != 0;
                let released = self.selected && !selected;
                if let Some(chip) = self.chip.as_mut().filter(|_| released) {
                    chip.deselect();
                }
                self.selected = selected;
            }
            IMR => self.interrupt_mask = value,
            TXDR..RXDR => {
                // Transmit-only mode keeps nothing of what comes back.
                let byte = self.exchange(value as u8, cx);
                if self.mode() == 0 && self.receive.len() < FIFO_BYTES {
                    self.receive.push_back(byte);
                }
            }
            0x10..0x50 => return Write::Plain,
            _ => return Write::Unknown,
        }
        self.update_line(cx);
        Write::Done
    }
}
