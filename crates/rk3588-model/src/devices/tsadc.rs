// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Temperature sensors (0xfec00000): seven channels that always read what they read on a cool day.
//!
//! Registers and codes after Linux `rockchip_thermal.c` (`rk3588_tsadc_data`, `rk3588_code_table`): code 285 is 25 °C,
//! 350 is 85 °C. A sensor that is not converted has code 0, which the driver takes for none.

use super::{Cx, Device, Read, Write};

const AUTO_CON: u32 = 0x04;
const AUTO_SRC_CON: u32 = 0x0c;
const DATA0: u32 = 0x2c;
const CHANNELS: u32 = 7;
const BEHIND_DATA: u32 = DATA0 + 4 * CHANNELS;
const AUTO_EN: u32 = 1;
/// 39.8 °C; each channel has one code more than the one before, so that a mix-up shows.
const CODE: u32 = 301;

/// The sensors.
#[derive(Debug, Default)]
pub struct Tsadc {
    control: u32,
    sources: u32,
}

/// A register whose upper half is the write mask of the lower.
fn masked(old: u32, value: u32) -> u32 {
    old & !(value >> 16) | value & value >> 16
}

impl Device for Tsadc {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        match offset {
            DATA0..BEHIND_DATA => {
                let channel = (offset - DATA0) / 4;
                let converts = self.control & AUTO_EN != 0 && self.sources >> channel & 1 != 0;
                Read::Value(if converts { CODE + channel } else { 0 })
            }
            0..0x200 => Read::Plain,
            _ => Read::Unknown,
        }
    }

    fn write32(&mut self, offset: u32, value: u32, _cx: &mut Cx<'_>) -> Write {
        match offset {
            AUTO_CON => {
                self.control = masked(self.control, value);
                Write::Masked
            }
            AUTO_SRC_CON => {
                self.sources = masked(self.sources, value);
                Write::Masked
            }
            0..0x200 => Write::Plain,
            _ => Write::Unknown,
        }
    }
}
