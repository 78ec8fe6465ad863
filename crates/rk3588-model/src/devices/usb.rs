// SPDX-License-Identifier: Apache-2.0 OR MIT
//! USB hosts with nothing plugged in: they come out of reset, start and halt, and no port is connected.
//!
//! Schedules and rings are not executed: without a device there is nothing on them. Registers after the EHCI 1.0,
//! OHCI 1.0a and xHCI 1.2 specifications; the core around xHCI after U-Boot `include/linux/usb/dwc3.h`.

use super::{Cx, Device, Read, Write};
use crate::behaviour::Behaviour;

/// High speed: `usb_host0_ehci`, `usb_host1_ehci`.
#[derive(Debug, Default)]
pub struct Ehci {
    command: u32,
}

mod ehci {
    pub const CAPABILITIES: u32 = 0x00;
    pub const STRUCTURE: u32 = 0x04;
    pub const PARAMETERS: u32 = 0x08;
    pub const COMMAND: u32 = 0x10;
    pub const STATUS: u32 = 0x14;
    pub const PORT: u32 = 0x54;
    /// Version 1.00; the operational registers begin at 0x10 (2.2.1, 2.2.2).
    pub const CAPABILITIES_VALUE: u32 = 0x0100_0010;
    /// One port, and one companion with one port (2.2.3).
    pub const STRUCTURE_VALUE: u32 = 0x1101;
    pub const RUN: u32 = 1 << 0;
    pub const RESET: u32 = 1 << 1;
    /// Periodic and asynchronous schedule: enabled in the command register, running in the status register (2.3.1,
    /// 2.3.2).
    pub const SCHEDULES: u32 = 0b11 << 4;
    pub const SCHEDULES_STATUS_SHIFT: u32 = 10;
    pub const HALTED: u32 = 1 << 12;
    /// After reset: eight microframes per interrupt (2.3.1).
    pub const COMMAND_RESET_VALUE: u32 = 0x0008_0000;
    /// Powered, as ports without a switch always are; not connected (2.3.9).
    pub const PORT_VALUE: u32 = 1 << 12;
}

impl Device for Ehci {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        let running = self.command & ehci::RUN != 0;
        Read::Value(match offset {
            ehci::CAPABILITIES => ehci::CAPABILITIES_VALUE,
            ehci::STRUCTURE => ehci::STRUCTURE_VALUE,
            ehci::PARAMETERS => 0,
            ehci::COMMAND => self.command,
            ehci::STATUS if running => (self.command & ehci::SCHEDULES) << ehci::SCHEDULES_STATUS_SHIFT,
            ehci::STATUS => ehci::HALTED,
            ehci::PORT => ehci::PORT_VALUE,
            _ if offset < 0x100 => return Read::Plain,
            _ => return Read::Unknown,
        })
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        match offset {
            ehci::COMMAND if value & ehci::RESET != 0 && cx.has(Behaviour::UsbReset) => {
                self.command = ehci::COMMAND_RESET_VALUE;
            }
            ehci::COMMAND => self.command = value,
            // Status bits are cleared by writing ones, and none is ever set; capabilities cannot be written.
            ehci::STATUS | ehci::PORT | ehci::CAPABILITIES..=ehci::PARAMETERS => {}
            _ if offset < 0x100 => return Write::Plain,
            _ => return Write::Unknown,
        }
        Write::Done
    }
}

/// Full and low speed: `usb_host0_ohci`, `usb_host1_ohci`.
#[derive(Debug, Default)]
pub struct Ohci {
    stuck_in_reset: bool,
}

mod ohci {
    pub const REVISION: u32 = 0x00;
    pub const COMMAND_STATUS: u32 = 0x08;
    pub const INTERRUPT_STATUS: u32 = 0x0c;
    pub const ROOT_HUB: u32 = 0x48;
    pub const ROOT_HUB_STATUS: u32 = 0x50;
    pub const PORT: u32 = 0x54;
    pub const REVISION_VALUE: u32 = 0x10;
    pub const RESET: u32 = 1;
    /// One port that is always powered (7.4.1: NDP 1, NPS).
    pub const ROOT_HUB_VALUE: u32 = 1 << 9 | 1;
    /// Powered, not connected (7.4.4).
    pub const PORT_VALUE: u32 = 1 << 8;
}

impl Device for Ohci {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        Read::Value(match offset {
            ohci::REVISION => ohci::REVISION_VALUE,
            ohci::COMMAND_STATUS => u32::from(self.stuck_in_reset),
            ohci::INTERRUPT_STATUS | ohci::ROOT_HUB_STATUS => 0,
            ohci::ROOT_HUB => ohci::ROOT_HUB_VALUE,
            ohci::PORT => ohci::PORT_VALUE,
            _ if offset < 0x100 => return Read::Plain,
            _ => return Read::Unknown,
        })
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        match offset {
            ohci::COMMAND_STATUS => {
                self.stuck_in_reset |= value & ohci::RESET != 0 && !cx.has(Behaviour::UsbReset);
            }
            ohci::REVISION | ohci::INTERRUPT_STATUS | ohci::ROOT_HUB..=ohci::PORT => {}
            _ if offset < 0x100 => return Write::Plain,
            _ => return Write::Unknown,
        }
        Write::Done
    }
}

/// Super speed: xHCI inside of a DesignWare USB3 core (`usb_host0_xhci` to `usb_host2_xhci`).
#[derive(Debug, Default)]
pub struct Xhci {
    command: u32,
}

mod xhci {
    pub const CAPABILITIES: u32 = 0x00;
    pub const STRUCTURE_1: u32 = 0x04;
    pub const STRUCTURE_3: u32 = 0x0c;
    pub const PARAMETERS_1: u32 = 0x10;
    pub const DOORBELL_OFFSET: u32 = 0x14;
    pub const RUNTIME_OFFSET: u32 = 0x18;
    pub const COMMAND: u32 = 0x20;
    pub const STATUS: u32 = 0x24;
    pub const PAGE_SIZE: u32 = 0x28;
    pub const PORT_1: u32 = 0x420;
    pub const PORT_2: u32 = 0x430;
    /// Version 1.10; the operational registers begin at 0x20 (5.3.1, 5.3.2).
    pub const CAPABILITIES_VALUE: u32 = 0x0110_0020;
    /// 64 device slots, one interrupter, two ports (5.3.3).
    pub const STRUCTURE_1_VALUE: u32 = 2 << 24 | 1 << 8 | 64;
    /// 64-bit addresses; extended capabilities at [`PROTOCOLS`] (5.3.6: in words).
    pub const PARAMETERS_1_VALUE: u32 = ((PROTOCOLS / 4) << 16) | 1;
    pub const RUNTIME: u32 = 0x440;
    pub const DOORBELLS: u32 = 0x480;
    pub const RUN: u32 = 1 << 0;
    pub const RESET: u32 = 1 << 1;
    pub const HALTED: u32 = 1 << 0;
    /// Pages of 4 KiB (5.4.3).
    pub const PAGE_SIZE_VALUE: u32 = 1;
    /// Powered, link state "RxDetect", not connected (5.4.8).
    pub const PORT_VALUE: u32 = 1 << 9 | 5 << 5;
    /// Two "supported protocol" capabilities of 16 bytes (7.2): port 1 is USB 2.0, port 2 is USB 3.0.
    pub const PROTOCOLS: u32 = 0x880;
    pub const PROTOCOL_WORDS: [u32; 8] = [
        0x0200_0000 | 4 << 8 | 2,
        u32::from_le_bytes(*b"USB "),
        1 << 8 | 1,
        0,
        0x0300_0000 | 2,
        u32::from_le_bytes(*b"USB "),
        1 << 8 | 2,
        0,
    ];
}

/// Registers of the core itself, from 0xc100 on.
mod core {
    pub const RANGE: std::ops::Range<u32> = 0xc100..0xcd00;
    pub const ID: u32 = 0xc120;
    pub const PARAMETERS_0: u32 = 0xc140;
    pub const DEVICE_CONTROL: u32 = 0xc704;
    /// Host and device (`DWC3_GHWPARAMS0_MODE_DRD`), as the controller of a port with `dr_mode = "otg"` must be.
    pub const PARAMETERS_0_VALUE: u32 = 2;
    /// "U3": a DesignWare USB3 core (`DWC3_GSNPSID_MASK`). The revision was not read from a board.
    pub const ID_VALUE: u32 = 0x5533_310a;
    /// `DWC3_DCTL_CSFTRST` clears itself.
    pub const SOFT_RESET: u32 = 1 << 30;
}

impl Device for Xhci {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        Read::Value(match offset {
            xhci::CAPABILITIES => xhci::CAPABILITIES_VALUE,
            xhci::STRUCTURE_1 => xhci::STRUCTURE_1_VALUE,
            // No scratch pads (5.3.4), no latencies.
            0x08 | xhci::STRUCTURE_3 | 0x1c => 0,
            xhci::PARAMETERS_1 => xhci::PARAMETERS_1_VALUE,
            xhci::DOORBELL_OFFSET => xhci::DOORBELLS,
            xhci::RUNTIME_OFFSET => xhci::RUNTIME,
            xhci::COMMAND => self.command,
            xhci::STATUS if self.command & xhci::RUN == 0 => xhci::HALTED,
            xhci::STATUS => 0,
            xhci::PAGE_SIZE => xhci::PAGE_SIZE_VALUE,
            xhci::PORT_1 | xhci::PORT_2 => xhci::PORT_VALUE,
            xhci::PROTOCOLS..0x8a0 => xhci::PROTOCOL_WORDS[((offset - xhci::PROTOCOLS) / 4) as usize],
            core::ID => core::ID_VALUE,
            core::PARAMETERS_0 => core::PARAMETERS_0_VALUE,
            _ if offset < 0x8a0 => return Read::Plain,
            _ if core::RANGE.contains(&offset) => return Read::Plain,
            _ => return Read::Unknown,
        })
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        match offset {
            xhci::COMMAND if value & xhci::RESET != 0 && cx.has(Behaviour::UsbReset) => self.command = 0,
            xhci::COMMAND => self.command = value,
            xhci::CAPABILITIES..xhci::COMMAND | xhci::STATUS | xhci::PAGE_SIZE => {}
            xhci::PORT_1 | xhci::PORT_2 => {}
            core::DEVICE_CONTROL if value & core::SOFT_RESET != 0 => {}
            _ if offset < 0x8a0 => return Write::Plain,
            _ if core::RANGE.contains(&offset) => return Write::Plain,
            _ => return Write::Unknown,
        }
        Write::Done
    }
}

/// The combined PHY of a Type-C port (0xfed80000, 0xfed90000): its PLL is locked, both lanes have found a clock.
///
/// Offsets and bits after U-Boot `include/linux/usb/phy-rockchip-usbdp.h`.
#[derive(Debug)]
pub struct UsbDpPhy;

mod phy {
    /// Each of the two PHYs, and its second part.
    pub const SIZE: u32 = 0x1_0000;
    pub const PMA: u32 = 0x8000;
    pub const LCPLL_DONE: u32 = PMA + 0x350;
    pub const LANE_0_CLOCK: u32 = PMA + 0xb84;
    pub const LANE_2_CLOCK: u32 = PMA + 0x1b84;
    /// Locked, and frequency found.
    pub const LCPLL_DONE_VALUE: u32 = 1 << 7 | 1 << 6;
}

impl Device for UsbDpPhy {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        match offset % phy::SIZE {
            phy::LCPLL_DONE => Read::Value(phy::LCPLL_DONE_VALUE),
            phy::LANE_0_CLOCK | phy::LANE_2_CLOCK => Read::Value(1),
            _ => Read::Plain,
        }
    }

    fn write32(&mut self, _offset: u32, _value: u32, _cx: &mut Cx<'_>) -> Write {
        Write::Plain
    }
}
