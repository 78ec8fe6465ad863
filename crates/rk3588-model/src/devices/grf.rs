// SPDX-License-Identifier: Apache-2.0 OR MIT
//! General register files: switches and status words of the SoC, most of them plain storage.
//!
//! Only the words that firmware waits for are special. Which files have write masks is told at construction.

use super::{Cx, Device, Read, Write};
use crate::behaviour::Behaviour;
use crate::dram::Geometry;

/// A register file that keeps what is written.
#[derive(Debug)]
pub struct Plain {
    masked: bool,
}

impl Plain {
    /// Upper 16 bits of a write are data.
    pub const WHOLE: Self = Self { masked: false };
    /// Upper 16 bits of a write name the bits to change.
    pub const MASKED: Self = Self { masked: true };
}

impl Device for Plain {
    fn read32(&mut self, _offset: u32, _cx: &mut Cx<'_>) -> Read {
        Read::Plain
    }

    fn write32(&mut self, _offset: u32, _value: u32, _cx: &mut Cx<'_>) -> Write {
        if self.masked { Write::Masked } else { Write::Plain }
    }
}

/// PMU1GRF (0xfd58a000): `os_reg2` to `os_reg5` are what the DDR blob leaves for the loaders.
#[derive(Debug)]
pub struct Pmu1Grf {
    os_reg: [u32; 4],
}

/// `PMU1GRF_OS_REG(2)` (TF-A `soc.h`; U-Boot `PMUGRF` in `sdram.c` reads `os_reg2` to `os_reg5`).
const OS_REG2: u32 = 0x208;

impl Pmu1Grf {
    /// With the registers that describe `geometry`.
    pub fn new(geometry: Geometry) -> Self {
        let [low, high] = geometry.os_regs();
        // Both channel pairs are populated alike.
        Self { os_reg: [low, high, low, high] }
    }
}

impl Device for Pmu1Grf {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        match offset {
            OS_REG2..0x218 if cx.has(Behaviour::DramGeometry) => {
                Read::Value(self.os_reg[((offset - OS_REG2) / 4) as usize])
            }
            _ => Read::Plain,
        }
    }

    fn write32(&mut self, offset: u32, value: u32, _cx: &mut Cx<'_>) -> Write {
        match offset {
            OS_REG2..0x218 => {
                self.os_reg[((offset - OS_REG2) / 4) as usize] = value;
                Write::Done
            }
            // The os_reg words are storage; the configuration words below have write masks.
            0x200..0x300 => Write::Plain,
            _ => Write::Masked,
        }
    }
}

/// SYS GRF (0xfd58c000).
#[derive(Debug)]
pub struct SysGrf;

/// `SYS_GRF_SOC_STATUS(3)` (TF-A `soc.h`).
const SOC_STATUS3: u32 = 0x38c;
/// `SYS_GRF_BIG_CPUS_WFE`.
const BIG_CORES_WFE: u32 = 0xf0;
/// Chip identification, `SYS_GRF_CHIP_ID` (U-Boot `sysgrf.chip_id`).
const CHIP_ID: u32 = 0x600;

impl Device for SysGrf {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        match offset {
            SOC_STATUS3 if cx.has(Behaviour::BigCoresWait) => Read::Value(BIG_CORES_WFE),
            CHIP_ID => Read::Value(0x3588),
            _ => Read::Plain,
        }
    }

    fn write32(&mut self, _offset: u32, _value: u32, _cx: &mut Cx<'_>) -> Write {
        Write::Masked
    }
}
