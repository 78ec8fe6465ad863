// SPDX-License-Identifier: Apache-2.0 OR MIT
//! True random number generator (0xfe378000), which here is neither: the same numbers in each run.
//!
//! Registers after U-Boot `drivers/rng/rockchip_rng.c` (`TRNG_V1_*`) and Linux `rockchip-rng.c`
//! (`rk3588_rng_*`).

use super::{Cx, Device, Read, Write};
use crate::behaviour::Behaviour;
use crate::events::Event;

const CTRL: u32 = 0x00;
const STAT: u32 = 0x04;
const MODE: u32 = 0x08;
const IE: u32 = 0x10;
const ISTAT: u32 = 0x14;
const RAND0: u32 = 0x20;
const RAND7: u32 = 0x3c;
const AUTO_RQSTS: u32 = 0x60;
const VERSION: u32 = 0xf0;
/// `TRNG_v1_VERSION_CODE`.
const VERSION_CODE: u32 = 0x46bc;
/// `TRNG_V1_ISTAT_RAND_RDY`.
const ISTAT_RAND_RDY: u32 = 1;
/// Seeded (Linux `TRNG_V1_STAT_SEEDED`).
const STAT_SEEDED: u32 = 1 << 9;

/// The generator.
#[derive(Debug)]
pub struct Trng {
    state: u64,
    words: [u32; 8],
}

impl Trng {
    /// A generator whose numbers follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut trng = Self { state: seed, words: [0; 8] };
        trng.draw();
        trng
    }

    /// SplitMix64: a public-domain mixer, enough to give numbers that are not equal.
    fn draw(&mut self) {
        for pair in self.words.chunks_exact_mut(2) {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.state;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            pair[0] = z as u32;
            pair[1] = (z >> 32) as u32;
        }
    }
}

impl Device for Trng {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        match offset {
            VERSION if cx.has(Behaviour::TrngVersion) => Read::Value(VERSION_CODE),
            ISTAT => Read::Value(ISTAT_RAND_RDY),
            STAT => Read::Value(STAT_SEEDED),
            RAND0..=RAND7 => Read::Value(self.words[((offset - RAND0) / 4) as usize]),
            CTRL => Read::Value(0),
            MODE | IE | AUTO_RQSTS | VERSION => Read::Plain,
            _ => Read::Unknown,
        }
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        match offset {
            CTRL => {
                // Any command but "nothing" gives fresh numbers.
                if value != 0 {
                    self.draw();
                    cx.events.push(Event::RandomRead);
                }
                Write::Done
            }
            ISTAT => Write::Done,
            MODE | IE | AUTO_RQSTS | STAT => Write::Plain,
            _ => Write::Unknown,
        }
    }
}
