// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The devices of the SoC and what is soldered to them, one module each.
//!
//! A device holds special behaviour only. A register that merely keeps what was written is answered with
//! [`Read::Plain`] and [`Write::Plain`]: the bus keeps it in its register file. A device must not reach
//! another device: interrupts go through [`Cx::lines`], memory through [`Cx::dma`].

pub mod absent;
pub mod cru;
pub mod dsu;
pub mod gic;
pub mod gmac;
pub mod gpio;
pub mod grf;
pub mod i2c;
pub mod i2c_chips;
pub mod mmc;
pub mod nor;
pub mod otp;
pub mod pl330;
pub mod pmu;
pub mod rk806;
pub mod saradc;
pub mod sfc;
pub mod spi;
pub mod timer;
pub mod trng;
pub mod tsadc;
pub mod uart;
pub mod usb;

use crate::behaviour::{Behaviour, Behaviours};
use crate::events::Events;
use crate::ram::Ram;

/// Answer to a 32-bit read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The device says what is read.
    Value(u32),
    /// A register that keeps its value: the register file answers.
    Plain,
    /// Not a register this model knows: the register file answers, strict mode reports it.
    Unknown,
}

/// Answer to a 32-bit write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The device took it.
    Done,
    /// A register that keeps its value: goes to the register file.
    Plain,
    /// The same, with the upper 16 bits as write mask for the lower 16 (Rockchip's "hiword" registers).
    Masked,
    /// Not a register this model knows: goes to the register file, strict mode reports it.
    Unknown,
}

/// Levels of the shared peripheral interrupts, by SPI number (not INTID: that is 32 more).
#[derive(Debug, Default)]
pub struct Lines {
    levels: [u32; Self::WORDS],
    changed: bool,
}

impl Lines {
    const WORDS: usize = 15;

    /// Sets the level of one line; numbers the SoC does not have are ignored.
    pub fn set(&mut self, spi: u32, high: bool) {
        let Some(word) = self.levels.get_mut(spi as usize / 32) else { return };
        let bit = 1 << (spi % 32);
        if (*word & bit != 0) != high {
            *word ^= bit;
            self.changed = true;
        }
    }

    /// Levels of 32 lines from `32 * word` on.
    pub fn word(&self, word: usize) -> u32 {
        self.levels.get(word).copied().unwrap_or(0)
    }

    /// True once after a line has changed.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// Bytes that one command of a driver may have a device move: drivers of media ask for at most 65,535 blocks of 512.
/// What is over it fails like a medium that answers no more, so that an access takes bounded time.
pub const TRANSFER_LIMIT_BYTES: usize = 64 << 20;

/// What a device may touch while it answers.
pub struct Cx<'a> {
    /// DRAM, for bus masters. Addresses are physical.
    pub ram: &'a mut Ram,
    /// Interrupt lines.
    pub lines: &'a mut Lines,
    /// Records for the observer.
    pub events: &'a mut Events,
    /// Which special behaviours are on.
    pub behaviours: Behaviours,
    /// System counter, 24 MHz.
    pub now_ticks: u64,
    /// Bytes that devices have moved so far.
    pub moved_bytes: &'a mut u64,
}

impl Cx<'_> {
    /// True while a special behaviour has not been switched off.
    pub fn has(&self, behaviour: Behaviour) -> bool {
        self.behaviours.has(behaviour)
    }

    /// Reads memory as a bus master; false when the range is not memory.
    pub fn dma_read(&mut self, address: u64, out: &mut [u8]) -> bool {
        *self.moved_bytes += out.len() as u64;
        self.ram.read_bytes(address, out).is_ok()
    }

    /// Writes memory as a bus master; false when the range is not memory or the bound on memory is reached.
    pub fn dma_write(&mut self, address: u64, bytes: &[u8]) -> bool {
        *self.moved_bytes += bytes.len() as u64;
        self.ram.write_bytes(address, bytes).is_ok()
    }
}

/// A block of registers.
pub trait Device {
    /// Reads the word at `offset` from the block's base; `offset` is a multiple of 4.
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read;

    /// Writes the word at `offset`.
    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write;

    /// Writes 1 or 2 bytes at `offset`. Most blocks see a word with the bytes in their place.
    fn write_narrow(&mut self, offset: u32, _size: usize, value: u32, cx: &mut Cx<'_>) -> Write {
        self.write32(offset & !3, value << (8 * (offset & 3)), cx)
    }
}
