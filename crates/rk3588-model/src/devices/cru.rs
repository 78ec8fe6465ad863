// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Clock and reset units: one window from 0xfd7c0000 to 0xfd81ffff with a unit per power island.
//!
//! Every register is write-masked; only PLLs answer with something else than what was written. Rates are
//! bookkeeping: nothing here runs slower or faster because of them.

use super::{Cx, Device, Read, Write};
use crate::behaviour::Behaviour;
use crate::events::{ClockSource, Event};

/// First byte of the window.
pub const BASE: u64 = 0xfd7c_0000;
/// Length of the window.
pub const SIZE: u64 = 0x6_0000;

/// Offset in the window of each PLL's `CON0` (TF-A `rk3588/drivers/soc/soc.h`, U-Boot
/// `cru_rk3588.h`: main unit 0x160 on, PPLL in the PHP unit, SPLL in the secure bus unit, then the
/// big cores, and LPLL in the DSU unit).
const PLLS: [u32; 10] = [0x160, 0x180, 0x1a0, 0x1c0, 0x1e0, 0x8200, 0x1_8220, 0x5_0000, 0x5_2020, 0x5_8040];
/// PLL `CON1` bit 13 powers it down (TF-A `CRU_PLLCON1_PWRDOWN`).
const PLL_POWER_DOWN: u32 = 1 << 13;
/// PLL `CON6` bit 15 says locked (TF-A `CRU_PLLCON6_LOCK_STATUS`).
const PLL_LOCKED: u32 = 1 << 15;
/// `CON6` from the start of a PLL's registers.
const CON6: u32 = 0x18;

/// Global software resets of the main unit (TF-A `CRU_GLB_SRST_FST`, `_SND`) and the value that fires them.
const GLB_SRST_FST: u32 = 0xc08;
const GLB_SRST_SND: u32 = 0xc0c;
const GLB_SRST_FST_VALUE: u32 = 0xfdb9;
const GLB_SRST_SND_VALUE: u32 = 0xeca8;

/// DSU unit and both units of the big cores, for their clock muxes.
const DSU: u32 = 0x5_8000;
const BIG0: u32 = 0x5_0000;
const BIG1: u32 = 0x5_2000;
const CLKSEL: u32 = 0x300;

/// The 24 MHz crystal in Hz.
const OSCILLATOR_HZ: u64 = 24_000_000;

/// All clock and reset units.
#[derive(Debug, Default)]
pub struct Cru {
    plls: [[u32; 8]; PLLS.len()],
    lit_mux: [u32; 2],
    big_mux: [u32; 2],
}

impl Cru {
    fn pll(offset: u32) -> Option<(usize, usize)> {
        let index = PLLS.iter().position(|base| (*base..*base + 0x20).contains(&offset))?;
        Some((index, (offset - PLLS[index]) as usize / 4))
    }

    /// Output in Hz of a PLL by its registers: `m / p / 2^s` of the crystal (TF-A `rk3588_lpll_get_rate`).
    fn pll_hz(&self, index: usize) -> u64 {
        let con = &self.plls[index];
        let m = u64::from(con[0] & 0x3ff);
        let p = u64::from(con[1] & 0x3f).max(1);
        let s = con[1] >> 6 & 7;
        (OSCILLATOR_HZ * m / p) >> s
    }

    fn little_source(&self) -> ClockSource {
        // CLKSEL_CON6 bits 6:5: 0 and 1 the PLL path, 2 the ring; CLKSEL_CON5 bits 15:14 name the PLL.
        match (self.lit_mux[1] >> 5 & 3, self.lit_mux[0] >> 14) {
            (2, _) => ClockSource::Ring(0),
            (_, 0) => ClockSource::Oscillator,
            (_, 1) => ClockSource::Gpll,
            _ => ClockSource::Pll(self.pll_hz(9)),
        }
    }

    fn big_source(&self, cluster: usize) -> ClockSource {
        // CLKSEL_CON0: bits 14:13 path (2 = ring), bits 7:6 PLL.
        match (self.big_mux[cluster] >> 13 & 3, self.big_mux[cluster] >> 6 & 3) {
            (2, _) => ClockSource::Ring(0),
            (_, 0) => ClockSource::Oscillator,
            (_, 1) => ClockSource::Gpll,
            _ => ClockSource::Pll(self.pll_hz(7 + cluster)),
        }
    }

    fn note_mux(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) {
        let merge = |old: u32| old & !(value >> 16) | value & (value >> 16) & 0xffff;
        let (cluster, source) = match offset {
            _ if offset == DSU + CLKSEL + 5 * 4 => {
                self.lit_mux[0] = merge(self.lit_mux[0]);
                return;
            }
            _ if offset == DSU + CLKSEL + 6 * 4 => {
                self.lit_mux[1] = merge(self.lit_mux[1]);
                ("cpul", self.little_source())
            }
            _ if offset == BIG0 + CLKSEL => {
                self.big_mux[0] = merge(self.big_mux[0]);
                ("cpub01", self.big_source(0))
            }
            _ if offset == BIG1 + CLKSEL => {
                self.big_mux[1] = merge(self.big_mux[1]);
                ("cpub23", self.big_source(1))
            }
            _ => return,
        };
        cx.events.push(Event::CpuClock { cluster, source });
    }
}

impl Device for Cru {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        if let Some((index, con)) = Self::pll(offset) {
            if con as u32 * 4 == CON6 {
                let running = self.plls[index][1] & PLL_POWER_DOWN == 0;
                let locked = running && cx.has(Behaviour::PllLock);
                return Read::Value(self.plls[index][con] & 0x7fff | if locked { PLL_LOCKED } else { 0 });
            }
            return Read::Value(self.plls[index][con]);
        }
        Read::Plain
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        if let Some((index, con)) = Self::pll(offset) {
            let old = &mut self.plls[index][con];
            *old = if cx.has(Behaviour::WriteMasks) && value >> 16 != 0 {
                *old & !(value >> 16) | value & (value >> 16)
            } else {
                value
            };
            return Write::Done;
        }
        match (offset, value) {
            (GLB_SRST_FST, GLB_SRST_FST_VALUE) | (GLB_SRST_SND, GLB_SRST_SND_VALUE) => {
                cx.events.push(Event::Reset { by: "cru global reset" });
            }
            _ => self.note_mux(offset, value, cx),
        }
        Write::Masked
    }
}
