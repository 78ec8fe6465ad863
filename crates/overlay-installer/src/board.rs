// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What this program knows of the board: the board file of the workspace, compiled in.
//!
//! Reads only the keys it needs; the whole file is judged where images are made.

use serde::Deserialize;

use crate::refusal::Refusal;

const BOARD_FILE: &str = include_str!("../../../boards/nanopi-m6.toml");

/// The board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Board {
    /// Board name: the overlay's name, and a folder of its artifacts.
    pub name: String,
    /// First `compatible` string of the board's device trees.
    pub compatible: String,
    /// Path below `dtb/` on the ESP; U-Boot looks for exactly this name.
    pub dtb: String,
    /// Kernel settings.
    pub kernel: Kernel,
    /// Disk layout.
    pub disk: Disk,
}

/// Kernel settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Kernel {
    /// Arguments of the overlay.
    pub args: Vec<String>,
}

/// Disk layout.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Disk {
    /// 512-byte sectors that Talos skips before the table's entries.
    pub offset_sectors: u64,
    /// Raw regions; the first one is U-Boot's.
    pub regions: Vec<Region>,
}

/// A raw region outside of partitions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Region {
    /// Region name.
    pub name: String,
    /// First sector.
    pub start_lba: u64,
    /// First sector that it must not touch.
    pub limit_lba: u64,
    /// Sector where the FIT begins.
    pub fit_lba: u64,
}

impl Board {
    /// The board that this program was built for.
    ///
    /// # Errors
    /// None that a tested build can have.
    pub fn of_this_overlay() -> Result<Board, Refusal> {
        toml::from_str(BOARD_FILE)
            .map_err(|e| Refusal::new("the board file in this program cannot be read").why(e))
    }

    /// Where U-Boot lies on the disk.
    ///
    /// # Errors
    /// As [`Board::of_this_overlay`].
    pub fn loader(&self) -> Result<&Region, Refusal> {
        let named = self.disk.regions.iter().find(|region| region.name == "u-boot");
        named.ok_or_else(|| Refusal::new("the board file in this program has no region `u-boot`"))
    }

    /// Where U-Boot lies below the artifacts, as Sidero's overlays have it.
    pub fn loader_artifact(&self) -> String {
        format!("arm64/u-boot/{}/u-boot-rockchip.bin", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_file_has_what_is_needed() {
        let board = Board::of_this_overlay().expect("the board file");
        assert_eq!(board.disk.offset_sectors, 20480);
        let loader = board.loader().expect("a region");
        assert_eq!((loader.start_lba * 512, loader.limit_lba), (32768, 20480));
        assert_eq!(board.loader_artifact(), "arm64/u-boot/nanopi-m6/u-boot-rockchip.bin");
    }
}
