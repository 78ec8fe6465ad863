// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the userlands are packed, in one place: the initramfs as Talos makes it (talos-contracts 5.1).
//!
//! What goes in is the business of each userland.

use std::path::Path;

use fs_err as fs;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::{Failure, Result};
use fw_image::{cpio, initramfs};
use talos_initramfs::squash::ZSTD_LEVEL;

pub use talos_initramfs::squash::tar2sqfs;

/// A member of the initramfs and its permission bits.
pub struct Part<'a> {
    /// Content.
    pub data: &'a [u8],
    /// Permission bits.
    pub permissions: u32,
}

/// Writes an initramfs of `.`, `init` and `rootfs.sqsh`: imager looks for exactly these names.
///
/// # Errors
/// `out` cannot be written.
pub fn container(root_permissions: u32, init: Part, rootfs: Part, out: &Path, threads: usize) -> Result<()> {
    // Room for three headers and their padding, so that the archive is never moved while it grows.
    let mut archive = Vec::with_capacity(rootfs.data.len() + init.data.len() + 1024);
    let mtime = u32::try_from(SOURCE_DATE_EPOCH).map_err(|e| Failure::new("the fixed time").why(e))?;
    let mut writer = cpio::Writer::new(&mut archive, mtime);
    writer.directory(".", root_permissions)?;
    writer.file("init", init.permissions, init.data)?;
    writer.file("rootfs.sqsh", rootfs.permissions, rootfs.data)?;
    writer.finish()?;
    let threads = u32::try_from(threads).unwrap_or(1);
    fs::write(out, initramfs::compress(&archive, ZSTD_LEVEL, threads)?)?;
    Ok(())
}
