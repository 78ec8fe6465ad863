// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ethernet MAC (DesignWare EQoS, 0xfe1c0000): present, with nothing on its management bus and no link.
//!
//! Registers after U-Boot `dwc_eth_qos.h`.

use super::{Cx, Device, Read, Write};

const MAC_VERSION: u32 = 0x110;
const MDIO_ADDRESS: u32 = 0x200;
const MDIO_DATA: u32 = 0x204;
const DMA_MODE: u32 = 0x1000;
/// Busy, and software reset: both clear themselves.
const BUSY: u32 = 1;
/// Version 5.10 of the core, user version 3.0.
const VERSION_VALUE: u32 = 0x3051;
/// No PHY drives the line.
const NO_PHY: u32 = 0xffff;

/// The MAC.
#[derive(Debug, Default)]
pub struct Gmac {
    mdio_address: u32,
    dma_mode: u32,
}

impl Device for Gmac {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        Read::Value(match offset {
            MAC_VERSION => VERSION_VALUE,
            MDIO_ADDRESS => self.mdio_address & !BUSY,
            MDIO_DATA => NO_PHY,
            DMA_MODE => self.dma_mode & !BUSY,
            0..0x1200 => return Read::Plain,
            _ => return Read::Unknown,
        })
    }

    fn write32(&mut self, offset: u32, value: u32, _cx: &mut Cx<'_>) -> Write {
        match offset {
            MDIO_ADDRESS => self.mdio_address = value,
            DMA_MODE => self.dma_mode = value,
            0..0x1200 => return Write::Plain,
            _ => return Write::Unknown,
        }
        Write::Done
    }
}
