// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Secure register file of the core cluster (DSU SGRF, 0xfd587000).
//!
//! BL31 reads bit 4 of `soc_con4` at its entry (TF-A `rk3588/drivers/pmu/pmu.c`, `ddr_resume`, and the
//! start-up code that calls it): set means cold boot, BL31 saves the arguments of SPL, clears the bit and asks
//! for a warm reset through `RMR_EL3`; clear means that this reset has happened. So the bit must be set once.

use super::{Cx, Device, Read, Write};
use crate::behaviour::Behaviour;

/// `DSU_SGRF_SOC_CON(4)` (TF-A `rk3588/drivers/secure/secure.h`).
const SOC_CON4: u32 = 0x10;
const CRYPTO_OFF: u32 = 1 << 4;

/// The register file.
#[derive(Debug)]
pub struct DsuSgrf {
    soc_con4: u32,
}

impl DsuSgrf {
    /// State after a cold reset.
    pub fn new() -> Self {
        Self { soc_con4: CRYPTO_OFF }
    }
}

impl Default for DsuSgrf {
    fn default() -> Self {
        Self::new()
    }
}

impl Device for DsuSgrf {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        match offset {
            SOC_CON4 if cx.has(Behaviour::DsuWarmReset) => Read::Value(self.soc_con4),
            SOC_CON4 => Read::Value(self.soc_con4 & !CRYPTO_OFF),
            _ => Read::Plain,
        }
    }

    fn write32(&mut self, offset: u32, value: u32, _cx: &mut Cx<'_>) -> Write {
        if offset != SOC_CON4 {
            return Write::Masked;
        }
        let mask = value >> 16;
        self.soc_con4 = self.soc_con4 & !mask | value & mask;
        Write::Done
    }
}
