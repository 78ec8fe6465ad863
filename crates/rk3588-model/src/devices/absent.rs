// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Controllers with nothing behind them: PCIe without a link, its windows.

use super::{Cx, Device, Read, Write};

/// PCIe controller, client registers (0xfe180000, 0xfe190000): the link state machine stays in "detect".
///
/// `PCIE_CLIENT_LTSSM_STATUS` (0x300) reads zero (U-Boot `pcie_dw_rockchip.c`): link never up.
#[derive(Debug)]
pub struct PcieClient;

const LTSSM_STATUS: u32 = 0x300;

impl Device for PcieClient {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        if offset == LTSSM_STATUS { Read::Value(0) } else { Read::Plain }
    }

    fn write32(&mut self, _offset: u32, _value: u32, _cx: &mut Cx<'_>) -> Write {
        Write::Masked
    }
}

/// A window behind which nothing answers: ones, as PCIe gives them.
#[derive(Debug)]
pub struct Window;

impl Device for Window {
    fn read32(&mut self, _offset: u32, _cx: &mut Cx<'_>) -> Read {
        Read::Value(u32::MAX)
    }

    fn write32(&mut self, _offset: u32, _value: u32, _cx: &mut Cx<'_>) -> Write {
        Write::Done
    }
}
