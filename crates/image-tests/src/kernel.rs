// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The kernel that ships: unwrapped, with the certificates that it will trust.

use fw_build::{Failure, Result};
use fw_image::cert::Certificate;
use fw_image::kernel::slot::Slot;
use fw_image::kernel::symbols::Symbols;
use fw_image::kernel::zboot;

use crate::artifacts::Artifacts;

/// The raw kernel inside the shipped `A/vmlinuz`.
///
/// # Errors
/// The wrap cannot be opened.
pub fn image(artifacts: &Artifacts) -> Result<Vec<u8>> {
    let efi = artifacts.boot_file("A/vmlinuz")?;
    zboot::decompress(&efi).map_err(|e| Failure::new("`A/vmlinuz`").why(e))
}

/// The certificates inside a raw kernel, found by the symbols of the kernel stage.
///
/// # Errors
/// The kernel and the symbols do not belong together, or a certificate cannot be read.
pub fn certificates(artifacts: &Artifacts, image: &[u8]) -> Result<Vec<Certificate>> {
    let map = String::from_utf8_lossy(&artifacts.read("linux-collabora", "system-map")?).into_owned();
    let wrong = |e: &dyn std::fmt::Display| Failure::new("certificates of the kernel").why(e);
    let symbols = Symbols::from_system_map(&map).map_err(|e| wrong(&e))?;
    let slot = Slot::locate(&symbols).map_err(|e| wrong(&e))?;
    let ders = slot.certificates(image).map_err(|e| wrong(&e))?;
    ders.iter().map(|der| Certificate::from_der(der).map_err(|e| wrong(&e))).collect()
}
