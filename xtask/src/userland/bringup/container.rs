// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Puts the root file system into Talos's container: zstd around a cpio archive of `.`, `init` and
//! `rootfs.sqsh` (talos-contracts 5.1). What is in the root file system is not looked at.

use std::path::Path;

use fs_err as fs;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::{Failure, Result};
use fw_image::{cpio, initramfs};

/// Level that Talos uses.
const ZSTD_LEVEL: i32 = 18;

/// Writes the initramfs with `init` as its first program.
pub fn close(init: &Path, rootfs: &Path, out: &Path, threads: usize) -> Result<()> {
    let (init, rootfs) = (fs::read(init)?, fs::read(rootfs)?);
    let mtime = u32::try_from(SOURCE_DATE_EPOCH).map_err(|e| Failure::new("the fixed time").why(e))?;
    let mut writer = cpio::Writer::new(Vec::with_capacity(init.len() + rootfs.len() + 1024), mtime);
    writer.directory(".", 0o755)?;
    writer.file("init", 0o755, &init)?;
    writer.file("rootfs.sqsh", 0o644, &rootfs)?;
    let archive = writer.finish()?;
    let threads = u32::try_from(threads).unwrap_or(1);
    fs::write(out, initramfs::compress(&archive, ZSTD_LEVEL, threads)?)?;
    Ok(())
}
