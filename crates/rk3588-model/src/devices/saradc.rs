// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Successive-approximation ADC, version 2 (0xfec10000): the recovery key hangs on channel 1.
//!
//! Registers after U-Boot `drivers/adc/rockchip-saradc.c` (`struct rockchip_saradc_v2` layout). A conversion
//! is over by the next read.

use super::{Cx, Device, Read, Write};

const CONV_CON: u32 = 0x00;
const END_INT_ST: u32 = 0x110;
const DATA0: u32 = 0x120;
const CONV_START: u32 = 1 << 4;
const INT_END: u32 = 1;
/// Full scale of 12 bits: no key pressed, the input is pulled up.
const RELEASED: u32 = 0xfff;

/// The converter.
#[derive(Debug, Default)]
pub struct Saradc {
    done: bool,
}

impl Device for Saradc {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        match offset {
            END_INT_ST => Read::Value(if self.done { INT_END } else { 0 }),
            DATA0..0x140 => Read::Value(RELEASED),
            0..DATA0 => Read::Plain,
            _ => Read::Unknown,
        }
    }

    fn write32(&mut self, offset: u32, value: u32, _cx: &mut Cx<'_>) -> Write {
        match offset {
            CONV_CON => {
                self.done |= value & CONV_START != 0;
                Write::Masked
            }
            END_INT_ST => {
                self.done &= value & INT_END == 0;
                Write::Done
            }
            0x04..DATA0 => Write::Plain,
            _ => Write::Unknown,
        }
    }
}
