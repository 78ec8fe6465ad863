// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Boards on the USB of this machine, by `nusb`: no C library, no kernel driver, on Linux only `/dev/bus/usb`.

use std::time::{Duration, Instant};

use nusb::descriptors::TransferType;
use nusb::transfer::{Buffer, Bulk, ControlOut, ControlType, Direction, In, Out, Recipient, TransferError};
use nusb::{DeviceInfo, Endpoint, ErrorKind, Interface, MaybeFuture};

use crate::Device;
use crate::wire::{Control, Link, Wire, WireError};

/// Rockchip's vendor ID.
pub const VENDOR: u16 = 0x2207;
/// RK3588 and RK3588S, in MaskROM and in rockusb mode alike.
pub const RK3588: u16 = 0x350b;
/// An erase of 8 MiB on a worn eMMC is the longest command there is.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Between two looks at the bus.
const POLL: Duration = Duration::from_millis(250);

/// What a board does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Its boot ROM waits for a loader.
    MaskRom,
    /// A usbplug or a loader serves rockusb.
    Loader,
}

impl Mode {
    /// By bit 0 of `bcdUSB`, as Rockchip's tools have it (rkdeveloptool, `RKScan.cpp`): clear in the boot ROM,
    /// set in loaders.
    #[must_use]
    pub fn of(bcd_usb: u16) -> Mode {
        if bcd_usb & 1 == 0 { Mode::MaskRom } else { Mode::Loader }
    }

    /// As users read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::MaskRom => "MaskROM",
            Mode::Loader => "rockusb",
        }
    }
}

/// A board.
#[derive(Debug, Clone)]
pub struct Board {
    /// What it does.
    pub mode: Mode,
    /// Product ID; [`RK3588`] for this board.
    pub product: u16,
    /// Bus and address as `lsusb` shows them, such as `001:007`.
    pub place: String,
    info: DeviceInfo,
}

/// Why a board cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The user may not.
    #[error("this user may not open USB devices: {0}")]
    Permission(nusb::Error),
    /// Another program or driver has it.
    #[error("another program has it: {0}")]
    Busy(nusb::Error),
    /// Something else.
    #[error("{0}")]
    Usb(nusb::Error),
    /// Not a rockusb device.
    #[error("it has no pair of bulk endpoints, which rockusb needs")]
    NoEndpoints,
}

impl From<nusb::Error> for OpenError {
    fn from(e: nusb::Error) -> Self {
        match e.kind() {
            ErrorKind::PermissionDenied => OpenError::Permission(e),
            ErrorKind::Busy => OpenError::Busy(e),
            _ => OpenError::Usb(e),
        }
    }
}

/// Every Rockchip device, by place.
///
/// # Errors
/// The system's list of USB devices cannot be read.
pub fn boards() -> Result<Vec<Board>, nusb::Error> {
    let mut boards: Vec<Board> = nusb::list_devices()
        .wait()?
        .filter(|d| d.vendor_id() == VENDOR)
        .map(|info| Board {
            mode: Mode::of(info.usb_version()),
            product: info.product_id(),
            place: format!("{:0>3}:{:03}", info.bus_id(), info.device_address()),
            info,
        })
        .collect();
    boards.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(boards)
}

/// Waits until an RK3588 board is in this mode; it leaves the bus in between and comes back under another address.
///
/// # Errors
/// The system's list of USB devices cannot be read.
pub fn wait_for(mode: Mode, limit: Duration) -> Result<Option<Board>, nusb::Error> {
    let began = Instant::now();
    loop {
        let found = boards()?.into_iter().find(|b| b.mode == mode && b.product == RK3588);
        if found.is_some() || began.elapsed() >= limit {
            return Ok(found);
        }
        std::thread::sleep(POLL);
    }
}

impl Board {
    /// Opens it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&self) -> Result<Device<Usb>, OpenError> {
        let device = self.info.open().wait()?;
        let mut found = None;
        for setting in device.configurations().flat_map(|c| c.interface_alt_settings().collect::<Vec<_>>()) {
            let bulk = |direction| {
                let mut all = setting.endpoints();
                all.find(|e| e.direction() == direction && e.transfer_type() == TransferType::Bulk)
            };
            if let (Some(input), Some(output)) = (bulk(Direction::In), bulk(Direction::Out)) {
                found = found.or(Some((setting.interface_number(), input.address(), output.address())));
            }
        }
        let (number, input, output) = found.ok_or(OpenError::NoEndpoints)?;
        let interface = device.claim_interface(number).wait()?;
        let (input, output) = (interface.endpoint(input)?, interface.endpoint(output)?);
        Ok(Device::new(Link(Usb { interface, input, output })))
    }
}

/// The wire.
pub struct Usb {
    interface: Interface,
    input: Endpoint<Bulk, In>,
    output: Endpoint<Bulk, Out>,
}

fn wire_error(e: TransferError) -> WireError {
    match e {
        TransferError::Cancelled => WireError::Silent(TIMEOUT.as_secs()),
        TransferError::Stall => WireError::Stall,
        TransferError::Disconnected => WireError::Gone,
        other => WireError::Other(other.to_string()),
    }
}

impl Wire for Usb {
    fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let sent = self.output.transfer_blocking(bytes.to_vec().into(), TIMEOUT);
        sent.into_result().map(drop).map_err(wire_error)
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<usize, WireError> {
        // The system takes whole packets only; a short one ends the transfer.
        let length = into.len().next_multiple_of(self.input.max_packet_size().max(1));
        let got = self.input.transfer_blocking(Buffer::new(length), TIMEOUT);
        let got = got.into_result().map_err(wire_error)?;
        let length = into.len().min(got.len());
        into[..length].copy_from_slice(&got[..length]);
        Ok(length)
    }

    fn control(&mut self, control: Control<'_>) -> Result<(), WireError> {
        // Bits 5 and 6 of `bmRequestType` are the type, bits 0 to 4 the recipient (USB 2.0, table 9-2); the boot
        // ROM's requests are 0x40: vendor, device.
        let control_type = match (control.request_type >> 5) & 3 {
            1 => ControlType::Class,
            2 => ControlType::Vendor,
            _ => ControlType::Standard,
        };
        let Control { request, value, index, data, .. } = control;
        let out = ControlOut { control_type, recipient: Recipient::Device, request, value, index, data };
        self.interface.control_out(out, TIMEOUT).wait().map_err(wire_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_bit_0_of_the_usb_version() {
        let modes = [0x0200, 0x0201, 0x0300, 0x0301].map(Mode::of);
        assert_eq!(modes, [Mode::MaskRom, Mode::Loader, Mode::MaskRom, Mode::Loader]);
    }

    #[test]
    fn what_the_system_says_of_a_transfer_is_told_apart() {
        let all = [TransferError::Cancelled, TransferError::Stall, TransferError::Disconnected];
        let known = [WireError::Silent(20), WireError::Stall, WireError::Gone];
        assert_eq!(all.map(wire_error), known);
        assert!(matches!(wire_error(TransferError::Fault), WireError::Other(_)));
    }
}
