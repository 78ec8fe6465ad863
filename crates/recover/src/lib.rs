// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A Rockchip board on USB: in MaskROM mode (its boot ROM found no loader, or was kept from one) a loader can be
//! started from memory; with a usbplug running, its flash can be read, saved, written and erased.
//!
//! | Module | For |
//! | --- | --- |
//! | [`wire`] | bulk and control transfers as a trait, and what a transfer that ended wrong means |
//! | [`usb`] | the wire of this machine, and which boards are on it |
//! | [`loader`] | what to start: out of an image, Rockchip's container, or two files |
//! | [`flash`] | information, reading, writing, erasing; everything that was changed is read back |
//! | [`found`] | which loaders a flash holds |
//! | [`backup`] | the loader area in a file, and whether a sector is in it |
//!
//! The protocol itself is crate `rockusb`. Nothing here prints, asks or decides what may be lost, and
//! **nothing here has been run on a board**: the tests have a model of boot ROM and usbplug.

pub mod backup;
pub mod flash;
pub mod found;
pub mod loader;
pub mod usb;
pub mod wire;

/// Unit of the rockusb protocol.
pub const SECTOR_BYTES: u64 = 512;

/// A board with its protocol.
pub type Device<W> = rockusb::device::Device<wire::Link<W>>;
