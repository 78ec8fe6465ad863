// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the loader's part of an image says about itself: idblock, FIT, what is loaded where.
//!
//! Read for names and places only; whether it boots is for the model to say. An image without these parts, or
//! with damaged ones, is no error here.

use std::ops::Range;

use boot_log::Stage;
use fw_build::Result;
use fw_image::fit::Fit;
use fw_image::idblock;

use super::medium::Medium;

/// Where the boot ROM looks for the idblock, and mainline SPL for the FIT on cards and eMMC, in sectors of 512 bytes
/// (`CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR`).
pub const IDBLOCK_LBA: u64 = 64;
/// See [`IDBLOCK_LBA`].
pub const FIT_LBA: u64 = 16384;
/// And in serial flash (`CONFIG_SYS_SPI_U_BOOT_OFFS`).
pub const FLASH_FIT_LBA: u64 = 0x6_0000 / SECTOR_BYTES;
/// Bytes of a sector.
pub const SECTOR_BYTES: u64 = 512;
/// Bytes from the idblock's start that are read: its header.
const IDBLOCK_BYTES: u64 = idblock::HEADER_BYTES as u64;
/// Bytes from the FIT's start that are read: the loader's region ends at sector 20480 here, elsewhere at 16 MiB.
const FIT_BYTES: u64 = 8 << 20;

/// Where the boot ROM puts SPL: into DRAM from its start.
const SPL_ADDRESS: u64 = rk3588_model::bootrom::SPL_ADDRESS;

/// Code that the boot ROM or a FIT loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Whose.
    pub stage: Stage,
    /// Where.
    pub range: Range<u64>,
    /// Place of its bytes on the medium.
    pub offset_bytes: u64,
}

/// The code that the FIT at a sector of a medium loads, and SPL; nothing of what cannot be read.
///
/// # Errors
/// The medium cannot be read.
pub fn loads(medium: &Medium, fit_lba: u64) -> Result<Vec<Load>> {
    let mut loads = loads_of(&medium.read(fit_lba * SECTOR_BYTES, FIT_BYTES)?, fit_lba);
    let start = IDBLOCK_LBA * SECTOR_BYTES;
    if let Ok(block) = idblock::parse(&medium.read(start, IDBLOCK_BYTES)?)
        && let Some(spl) = block.entries.get(1)
    {
        let range = SPL_ADDRESS..SPL_ADDRESS + spl.size_bytes() as u64;
        let offset_bytes = start + spl.offset_bytes() as u64;
        loads.push(Load { stage: Stage::Spl, range, offset_bytes });
    }
    Ok(loads)
}

/// The code that a FIT loads, of its bytes.
pub fn loads_of(bytes: &[u8], fit_lba: u64) -> Vec<Load> {
    let start = fit_lba * SECTOR_BYTES;
    let Ok(fit) = Fit::parse(bytes) else { return Vec::new() };
    let load = |image: &fw_image::fit::Image| {
        let stage = match (image.kind.as_str(), image.os.as_str()) {
            ("firmware", "arm-trusted-firmware") => Stage::Bl31,
            ("standalone", _) => Stage::UBoot,
            _ => return None,
        };
        let at = image.load?;
        let range = at..at.checked_add(image.size_bytes as u64)?;
        Some(Load { stage, range, offset_bytes: start + image.offset_bytes as u64 })
    };
    fit.images.iter().filter_map(load).collect()
}
