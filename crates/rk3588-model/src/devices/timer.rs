// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Timers: the secure high-precision timer (0xfd8c8000) and the DesignWare-like channels at 0xfe3d0000,
//! 0xfed30000 and 0xfeae0000.
//!
//! All count the 24 MHz system counter. Offsets after TF-A `soc.h` (`TIMER_HP_*`, `TIMER_*`) and Linux
//! `timer-rockchip.c`.

use super::{Cx, Device, Read, Write};

const HP_CTRL: u32 = 0x04;
const HP_CURRENT0: u32 = 0x2c;
const HP_CURRENT1: u32 = 0x30;

/// The high-precision timer: the source of the architectural counter. Zero in its control register makes SPL
/// start it (U-Boot `rockchip_stimer_init`), one makes every loader leave it alone.
#[derive(Debug, Default)]
pub struct HpTimer;

impl Device for HpTimer {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        match offset {
            HP_CURRENT0 => Read::Value(cx.now_ticks as u32),
            HP_CURRENT1 => Read::Value((cx.now_ticks >> 32) as u32),
            0..HP_CURRENT0 | 0x34..0x50 => Read::Plain,
            _ => Read::Unknown,
        }
    }

    fn write32(&mut self, offset: u32, _value: u32, _cx: &mut Cx<'_>) -> Write {
        match offset {
            HP_CTRL | 0..0x50 => Write::Plain,
            _ => Write::Unknown,
        }
    }
}

const CURRENT0: u32 = 0x08;
const CURRENT1: u32 = 0x0c;
const CONTROL: u32 = 0x10;
const INTSTATUS: u32 = 0x18;

/// A block of timer channels, 0x20 bytes each. They count up from when they are enabled; no interrupt.
#[derive(Debug, Default)]
pub struct TimerBlock {
    enabled_at: [Option<u64>; 6],
}

impl Device for TimerBlock {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        let Some(channel) = self.enabled_at.get(offset as usize / 0x20) else { return Read::Unknown };
        let count = channel.map_or(0, |start| cx.now_ticks.wrapping_sub(start));
        match offset % 0x20 {
            CURRENT0 => Read::Value(count as u32),
            CURRENT1 => Read::Value((count >> 32) as u32),
            INTSTATUS => Read::Value(0),
            _ => Read::Plain,
        }
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        let Some(channel) = self.enabled_at.get_mut(offset as usize / 0x20) else { return Write::Unknown };
        if offset % 0x20 == CONTROL {
            *channel = (value & 1 != 0).then_some(cx.now_ticks);
        }
        Write::Plain
    }
}
