// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The five GPIO banks, version 2: pins read back what is driven, or what the board ties them to.
//!
//! Registers after TF-A `soc.h` (`GPIO_*`) and Linux `gpio-rockchip.c`. Interrupts of pins are not raised:
//! nothing on this board changes a pin by itself.

use super::{Cx, Device, Read, Write};

const DR_L: u32 = 0x00;
const DR_H: u32 = 0x04;
const DDR_L: u32 = 0x08;
const DDR_H: u32 = 0x0c;
const INT_STATUS: u32 = 0x50;
const INT_RAWSTATUS: u32 = 0x58;
const PORT_EOI_L: u32 = 0x60;
const PORT_EOI_H: u32 = 0x64;
const EXT_PORT: u32 = 0x70;
const VER_ID: u32 = 0x78;
/// `GPIO_TYPE_V2_1` of Linux `gpio-rockchip.c`, the version of this SoC.
const VERSION: u32 = 0x0101_157c;

/// One bank of 32 pins.
#[derive(Debug)]
pub struct Gpio {
    output: u32,
    direction: u32,
    input: u32,
}

impl Gpio {
    /// A bank whose undriven pins read `input`, bit 0 = A0.
    pub fn new(input: u32) -> Self {
        Self { output: 0, direction: 0, input }
    }

    /// Levels of the pins.
    pub fn pins(&self) -> u32 {
        self.output & self.direction | self.input & !self.direction
    }
}

/// Merges a masked half-word write into the lower or upper half of `old`.
fn merge(old: u32, value: u32, high: bool) -> u32 {
    let shift = if high { 16 } else { 0 };
    let mask = (value >> 16) << shift;
    old & !mask | ((value & 0xffff) << shift) & mask
}

impl Device for Gpio {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        Read::Value(match offset {
            DR_L => self.output & 0xffff,
            DR_H => self.output >> 16,
            DDR_L => self.direction & 0xffff,
            DDR_H => self.direction >> 16,
            EXT_PORT => self.pins(),
            VER_ID => VERSION,
            INT_STATUS | INT_RAWSTATUS => 0,
            0x10..0x50 => return Read::Plain,
            _ => return Read::Unknown,
        })
    }

    fn write32(&mut self, offset: u32, value: u32, _cx: &mut Cx<'_>) -> Write {
        match offset {
            DR_L | DR_H => self.output = merge(self.output, value, offset == DR_H),
            DDR_L | DDR_H => self.direction = merge(self.direction, value, offset == DDR_H),
            PORT_EOI_L | PORT_EOI_H => {}
            0x10..0x50 => return Write::Masked,
            _ => return Write::Unknown,
        }
        Write::Done
    }
}
