// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The I2C hosts, `rockchip,rk3399-i2c`, and the chips on them.
//!
//! Registers after U-Boot `arch-rockchip/i2c.h`. Start, transfer and stop have happened by the next read. Who
//! does not answer leaves the NAK bit set.

use super::{Cx, Device, Read, Write};
use crate::behaviour::Behaviour;
use crate::events::Events;

const CON: u32 = 0x00;
const MRXADDR: u32 = 0x08;
const MRXRADDR: u32 = 0x0c;
const MTXCNT: u32 = 0x10;
const MRXCNT: u32 = 0x14;
const IEN: u32 = 0x18;
const IPD: u32 = 0x1c;
const FCNT: u32 = 0x20;
const TXDATA0: u32 = 0x100;
const RXDATA0: u32 = 0x200;

const CON_ENABLE: u32 = 1 << 0;
const CON_START: u32 = 1 << 3;
const CON_STOP: u32 = 1 << 4;
const MODE_TX: u32 = 0;
const MODE_TRX: u32 = 1;

const MBTF: u32 = 1 << 2;
const MBRF: u32 = 1 << 3;
const START: u32 = 1 << 4;
const STOP: u32 = 1 << 5;
const NAK: u32 = 1 << 6;

const BUFFER_BYTES: usize = 32;

/// A chip with an 8-bit register pointer.
pub trait Chip: std::fmt::Debug + Send {
    /// Its 7-bit address.
    fn address(&self) -> u8;
    /// Says how late it is, before a message: 24 MHz ticks.
    fn at(&mut self, _now_ticks: u64) {}
    /// Reads one register.
    fn read(&mut self, register: u8, events: &mut Events) -> u8;
    /// Writes one register.
    fn write(&mut self, register: u8, value: u8, events: &mut Events);
}

/// One host.
#[derive(Debug)]
pub struct I2c {
    irq: u32,
    chips: Vec<Box<dyn Chip>>,
    control: u32,
    receive_address: u32,
    receive_register: u32,
    interrupt_enable: u32,
    pending: u32,
    transmit: [u32; 8],
    receive: [u32; 8],
    /// Chip and register pointer of the running message.
    current: Option<(usize, u8)>,
    /// Start has been sent and no byte after it.
    fresh: bool,
}

impl I2c {
    /// A host with interrupt `irq` and the chips on it.
    pub fn new(irq: u32, chips: Vec<Box<dyn Chip>>) -> Self {
        Self {
            irq,
            chips,
            control: 0,
            receive_address: 0,
            receive_register: 0,
            interrupt_enable: 0,
            pending: 0,
            transmit: [0; 8],
            receive: [0; 8],
            current: None,
            fresh: false,
        }
    }

    fn select(&mut self, address: u8, now_ticks: u64) -> bool {
        let chip = self.chips.iter().position(|chip| chip.address() == address);
        if let Some(chip) = chip {
            self.chips[chip].at(now_ticks);
        }
        self.current = chip.map(|chip| (chip, self.current.map_or(0, |(_, register)| register)));
        chip.is_some()
    }

    fn transmit(&mut self, count: usize, cx: &mut Cx<'_>) {
        let mut bytes: Vec<u8> = self.transmit.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.truncate(count.min(BUFFER_BYTES));
        let mut data = bytes.as_slice();
        if self.fresh {
            self.fresh = false;
            let [address, rest @ ..] = data else { return };
            if !self.select(address >> 1, cx.now_ticks) {
                self.pending |= NAK;
                return;
            }
            data = rest;
            if let ([register, rest @ ..], Some(current)) = (data, &mut self.current) {
                current.1 = *register;
                data = rest;
            }
        }
        if let Some((chip, register)) = &mut self.current {
            for byte in data {
                self.chips[*chip].write(*register, *byte, cx.events);
                *register = register.wrapping_add(1);
            }
        }
    }

    fn receive(&mut self, count: usize, cx: &mut Cx<'_>) {
        if self.control >> 1 & 3 == MODE_TRX {
            self.fresh = false;
            if !self.select((self.receive_address & 0xff) as u8 >> 1, cx.now_ticks) {
                self.pending |= NAK;
                return;
            }
            // Bits 26:24 say how many bytes of register address are valid.
            if let Some(current) = &mut self.current
                && self.receive_register >> 24 & 7 != 0
            {
                current.1 = self.receive_register as u8;
            }
        }
        let mut bytes = [0xff; BUFFER_BYTES];
        if let Some((chip, register)) = &mut self.current {
            for byte in bytes.iter_mut().take(count) {
                *byte = self.chips[*chip].read(*register, cx.events);
                *register = register.wrapping_add(1);
            }
        }
        for (word, bytes) in self.receive.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }

    fn update_line(&self, cx: &mut Cx<'_>) {
        cx.lines.set(self.irq, self.pending & self.interrupt_enable != 0);
    }
}

impl Device for I2c {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        Read::Value(match offset {
            CON => self.control,
            MRXADDR => self.receive_address,
            MRXRADDR => self.receive_register,
            IEN => self.interrupt_enable,
            IPD if cx.has(Behaviour::I2cProgress) => self.pending,
            IPD => 0,
            FCNT => 0,
            TXDATA0..0x120 => self.transmit[((offset - TXDATA0) / 4) as usize],
            RXDATA0..0x220 => self.receive[((offset - RXDATA0) / 4) as usize],
            0x04 | MTXCNT | MRXCNT | 0x220..0x230 => return Read::Plain,
            _ => return Read::Unknown,
        })
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        match offset {
            CON => {
                self.control = value;
                if value & CON_START != 0 {
                    self.pending |= START;
                    self.fresh = true;
                }
                if value & CON_STOP != 0 {
                    self.pending |= STOP;
                    self.current = None;
                }
            }
            MRXADDR => self.receive_address = value,
            MRXRADDR => self.receive_register = value,
            IEN => self.interrupt_enable = value,
            IPD => self.pending &= !value,
            TXDATA0..0x120 => self.transmit[((offset - TXDATA0) / 4) as usize] = value,
            MTXCNT => {
                if self.control & CON_ENABLE != 0 && self.control >> 1 & 3 == MODE_TX {
                    self.transmit(value as usize, cx);
                    self.pending |= MBTF;
                }
                self.update_line(cx);
                return Write::Plain;
            }
            MRXCNT => {
                if self.control & CON_ENABLE != 0 {
                    self.receive((value as usize).min(BUFFER_BYTES), cx);
                    self.pending |= MBRF;
                }
                self.update_line(cx);
                return Write::Plain;
            }
            0x04 | 0x220..0x230 => return Write::Plain,
            _ => return Write::Unknown,
        }
        self.update_line(cx);
        Write::Done
    }
}
