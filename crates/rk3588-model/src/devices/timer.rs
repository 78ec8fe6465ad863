// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Timers: the secure high-precision timer (0xfd8c8000) and the DesignWare-like channels at 0xfe3d0000,
//! 0xfed30000 and 0xfeae0000.
//!
//! All count the 24 MHz system counter. Offsets after TF-A `soc.h` (`TIMER_HP_*`, `TIMER_*`) and Linux
//! `timer-rockchip.c`.

use super::{Cx, Device, Lines, Read, Write};

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

const LOAD0: u32 = 0x00;
const LOAD1: u32 = 0x04;
const CURRENT0: u32 = 0x08;
const CURRENT1: u32 = 0x0c;
const CONTROL: u32 = 0x10;
const INTSTATUS: u32 = 0x18;
/// Control: running, periodic is 0 in bit 1, interrupt not masked (Linux `TIMER_ENABLE`, `TIMER_INT_UNMASK`).
const ENABLE: u32 = 1;
const UNMASKED: u32 = 1 << 2;

/// One timer: counts from its start to the load value, then raises its interrupt and begins again.
#[derive(Debug, Default, Clone, Copy)]
struct Channel {
    load: u64,
    control: u32,
    started: u64,
    fired: bool,
}

impl Channel {
    fn due(&self) -> Option<u64> {
        (self.control & ENABLE != 0 && !self.fired).then(|| self.started.saturating_add(self.load))
    }
}

/// A block of timer channels, 0x20 bytes each.
#[derive(Debug, Default)]
pub struct TimerBlock {
    first_irq: Option<u32>,
    channels: [Channel; 6],
}

impl TimerBlock {
    /// A block whose channels have consecutive interrupts from `first_irq` on, or none.
    pub fn new(first_irq: Option<u32>) -> Self {
        Self { first_irq, ..Self::default() }
    }

    /// When the next channel is due, in ticks; channels that nobody can hear are left out.
    pub fn next_event(&self) -> Option<u64> {
        let heard = |channel: &&Channel| channel.control & UNMASKED != 0;
        self.first_irq.and_then(|_| self.channels.iter().filter(heard).filter_map(Channel::due).min())
    }

    /// Fires what is due, and sets the lines.
    pub fn update(&mut self, now: u64, lines: &mut Lines) {
        for (n, channel) in self.channels.iter_mut().enumerate() {
            channel.fired |= channel.due().is_some_and(|due| due <= now);
            if let Some(first) = self.first_irq {
                lines.set(first + n as u32, channel.fired && channel.control & UNMASKED != 0);
            }
        }
    }
}

impl Device for TimerBlock {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        self.update(cx.now_ticks, cx.lines);
        let Some(channel) = self.channels.get(offset as usize / 0x20) else { return Read::Unknown };
        let passed = cx.now_ticks.wrapping_sub(channel.started);
        let count =
            if channel.control & ENABLE != 0 { channel.load.saturating_sub(passed) } else { channel.load };
        Read::Value(match offset % 0x20 {
            LOAD0 => channel.load as u32,
            LOAD1 => (channel.load >> 32) as u32,
            CURRENT0 => count as u32,
            CURRENT1 => (count >> 32) as u32,
            CONTROL => channel.control,
            INTSTATUS => channel.fired.into(),
            _ => return Read::Plain,
        })
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        self.update(cx.now_ticks, cx.lines);
        let Some(channel) = self.channels.get_mut(offset as usize / 0x20) else { return Write::Unknown };
        match offset % 0x20 {
            LOAD0 => channel.load = channel.load & !0xffff_ffff | u64::from(value),
            LOAD1 => channel.load = channel.load & 0xffff_ffff | u64::from(value) << 32,
            CONTROL => {
                if value & ENABLE != 0 && channel.control & ENABLE == 0 {
                    channel.started = cx.now_ticks;
                }
                channel.control = value;
            }
            INTSTATUS => {
                if channel.fired && value & 1 != 0 {
                    (channel.fired, channel.started) = (false, cx.now_ticks);
                }
            }
            _ => return Write::Plain,
        }
        self.update(cx.now_ticks, cx.lines);
        Write::Done
    }
}
