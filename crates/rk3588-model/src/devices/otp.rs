// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One-time programmable memory (non-secure view, 0xfecc0000): chip identity and calibration.
//!
//! Registers after U-Boot `drivers/misc/rockchip-otp.c` (`RK3588_OTPC_*`): an index is written, a read started,
//! a done bit polled, a word read.

use super::{Cx, Device, Read, Write};
use crate::behaviour::Behaviour;

const AUTO_CTRL: u32 = 0x04;
const AUTO_EN: u32 = 0x08;
const DOUT0: u32 = 0x20;
const INT_ST: u32 = 0x84;
const READ_DONE: u32 = 1 << 1;

/// Word index of the non-secure area's first word: byte 0xc00 of the memory (U-Boot `rk3588_data.offset`).
pub const FIRST_WORD: u32 = 0x300;
/// Words of the non-secure area (0x400 bytes).
pub const WORDS: usize = 0x100;

/// The controller with its memory.
#[derive(Debug)]
pub struct Otp {
    words: Box<[u32; WORDS]>,
    index: u32,
    done: bool,
}

impl Otp {
    /// With the words of the non-secure area; what is not given is zero.
    pub fn new(given: &[u32]) -> Self {
        let mut words = Box::new([0; WORDS]);
        for (word, value) in words.iter_mut().zip(given) {
            *word = *value;
        }
        Self { words, index: 0, done: false }
    }
}

impl Device for Otp {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        match offset {
            INT_ST => Read::Value(if self.done && cx.has(Behaviour::OtpReady) { READ_DONE } else { 0 }),
            DOUT0 => {
                let at = self.index.wrapping_sub(FIRST_WORD) as usize;
                Read::Value(self.words.get(at).copied().unwrap_or(0))
            }
            AUTO_CTRL | AUTO_EN => Read::Plain,
            _ => Read::Unknown,
        }
    }

    fn write32(&mut self, offset: u32, value: u32, _cx: &mut Cx<'_>) -> Write {
        match offset {
            AUTO_CTRL => self.index = value >> 16,
            AUTO_EN => self.done |= value & 1 != 0,
            INT_ST => self.done &= value & READ_DONE == 0,
            _ => return Write::Unknown,
        }
        if offset == INT_ST { Write::Done } else { Write::Plain }
    }
}
