// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The image's own kernel with a second certificate in its slot: one that has expired.
//!
//! It shows two things that the shipped image cannot show by itself. Two certificates in the slot both count,
//! which is how a key is changed. And the kernel never looks at the dates of a certificate, which is why
//! `cargo xtask sign` and `verify` do. Every byte of the kernel but those of the slot and its two counters is the
//! image's. Since the EFI wrap would have to be made again, QEMU starts the unwrapped kernel itself: no U-Boot and
//! no GRUB in this mode, and since the kernel's arguments are free here, AppArmor runs in SELinux's place: each must have
//! been seen to work, and no kernel runs both.

use std::path::Path;

use fs_err as fs;
use fw_build::{Failure, Result};
use fw_image::grubcfg;
use fw_image::kernel::zboot;

use super::machine::Start;
use crate::userland::bringup::evidence;
use crate::verify::{ImageFile, Trusted};

/// The kernel's argument (`Documentation/admin-guide/kernel-parameters.txt`).
const APPARMOR: &str = "security=apparmor";

/// Unpacks kernel and initramfs of the image into `dir`, with the second certificate.
///
/// # Errors
/// The image has no kernel of ours, or the slot has no room.
pub fn start(dir: &Path, raw: &Path) -> Result<Start> {
    let wrong =
        |e: &dyn std::fmt::Display| Failure::new("cannot put a second certificate into the kernel").why(e);
    let mut image =
        ImageFile::open(raw)?.ok_or_else(|| wrong(&format!("`{}` is no image", raw.display())))?;
    let mut kernel = zboot::decompress(&image.boot_file("A/vmlinuz")?).map_err(|e| wrong(&e))?;
    let slot = Trusted::slot(&kernel)?;
    let shipped = slot.certificates(&kernel).map_err(|e| wrong(&e))?;
    let expired = evidence::expired()?;
    let mut all: Vec<&[u8]> = shipped.iter().map(Vec::as_slice).collect();
    all.push(expired.certificate().der());
    slot.insert(&mut kernel, &all).map_err(|e| wrong(&e))?;
    let config = String::from_utf8_lossy(&image.boot_file("grub/grub.cfg")?).into_owned();
    let config = grubcfg::parse(&config).map_err(|e| wrong(&e))?;
    let entry = config.entry(config.default).ok_or_else(|| wrong(&"`grub.cfg` has no default entry"))?;
    let (kernel_path, initramfs) = (dir.join("rotation.image"), dir.join("rotation.initramfs"));
    fs::write(&kernel_path, kernel)?;
    fs::write(&initramfs, image.boot_file("A/initramfs.xz")?)?;
    Ok(Start::Kernel { image: kernel_path, initramfs, arguments: format!("{} {APPARMOR}", entry.cmdline) })
}
