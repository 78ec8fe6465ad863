// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file systems of the image.

use std::fs::File;
use std::io::Write;

use fw_build::{Failure, Result};
use fw_image::map::Region;
use fw_image::window::Window;
use fw_image::xfs::{EntryKind, Xfs};

use crate::artifacts::Artifacts;

/// A partition's region in the map.
///
/// # Errors
/// The map has no such region.
pub fn region<'a>(artifacts: &'a Artifacts, name: &str) -> Result<&'a Region> {
    artifacts.map.region(name).ok_or_else(|| Failure::new(format!("the map has no region `{name}`")))
}

/// The BOOT partition's file system.
///
/// # Errors
/// It is not a sound xfs.
pub fn boot(artifacts: &Artifacts) -> Result<Xfs<Window<File>>> {
    let region = region(artifacts, "BOOT")?;
    let window = Window::new(artifacts.raw()?, region.offset_bytes, region.length_bytes);
    Xfs::open(window).map_err(|e| Failure::new("BOOT is not a sound xfs").why(e))
}

/// Files of the BOOT partition: path, permission bits, size.
///
/// # Errors
/// The file system is damaged.
pub fn boot_list(xfs: &mut Xfs<Window<File>>) -> Result<Vec<(String, u16, u64)>> {
    let entries = xfs.list().map_err(|e| Failure::new("BOOT").why(e))?;
    let mut files: Vec<_> = entries
        .into_iter()
        .filter(|e| e.kind == EntryKind::File)
        .map(|e| (e.path, e.mode & 0o7777, e.size_bytes))
        .collect();
    files.sort();
    Ok(files)
}

/// The ESP as a file of its own (the FAT library wants to be able to write).
///
/// # Errors
/// It cannot be copied.
pub fn esp(artifacts: &Artifacts) -> Result<File> {
    let region = region(artifacts, "EFI")?;
    let mut file = tempfile::tempfile()?;
    file.write_all(&artifacts.bytes(region.offset_bytes, region.length_bytes)?)?;
    Ok(file)
}
