// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads the overlay's artifacts and judges them before anything is written: that they are whole, as the overlay
//! lists them, and for this board.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use fw_image::fit::Fit;
use fw_image::lba::SECTOR_BYTES;
use fw_image::{fdt, fdt_edit, idblock};

use crate::board::{Board, Region};
use crate::refusal::Refusal;
use crate::sums::{self, Sums};

/// A device tree of this board has some 100 KiB.
const MAX_DTB_BYTES: u64 = 4 << 20;

/// Some hundred bytes for each artifact.
const MAX_SUMS_BYTES: u64 = 64 << 10;

/// The alias that U-Boot and the kernel know the board's Ethernet by.
const ETHERNET_ALIAS: &str = "ethernet0";

/// Where all artifacts come from: the hint of every refusal here.
const HINT: &str = "use the artifacts of the overlay that this program came with";

/// The folder of the artifacts.
pub struct Artifacts<'a> {
    folder: &'a Path,
    sums: Sums,
}

impl<'a> Artifacts<'a> {
    /// Reads what the overlay lists of its artifacts.
    ///
    /// # Errors
    /// The list is not there or not one.
    pub fn open(folder: &'a Path) -> Result<Artifacts<'a>, Refusal> {
        let path = folder.join(sums::NAME);
        let list = read(&path, MAX_SUMS_BYTES, "no overlay has as many artifacts")?;
        let sums = Sums::parse(&list).map_err(|why| {
            Refusal::new(format!("`{}` is not a list of digests", path.display())).why(why).hint(HINT)
        })?;
        Ok(Artifacts { folder, sums })
    }

    /// U-Boot with its idblock and FIT.
    ///
    /// # Errors
    /// It is not there, damaged, of another board or too long.
    pub fn loader(&self, board: &Board) -> Result<Vec<u8>, Refusal> {
        let region = board.loader()?;
        let room = (region.limit_lba - region.start_lba) * SECTOR_BYTES;
        let reason = format!(
            "it must end before sector {}, where the partition table's entries follow",
            region.limit_lba
        );
        let (path, bytes) = self.listed(&board.loader_artifact(), room, &reason)?;
        check_loader(board, region, &bytes).map_err(|why| {
            Refusal::new(format!("`{}` is not a U-Boot that this board could start", path.display()))
                .why(why)
                .hint(HINT)
        })?;
        Ok(bytes)
    }

    /// The device tree for the kernel, with the MAC address if one is given.
    ///
    /// # Errors
    /// It is not there, damaged, of another board or has no place for the address.
    pub fn device_tree(
        &self,
        board: &Board,
        chosen: Option<&str>,
        mac: Option<[u8; 6]>,
    ) -> Result<Vec<u8>, Refusal> {
        let name = format!("arm64/dtb/{}", chosen.unwrap_or(&board.dtb));
        let (path, bytes) = self.listed(&name, MAX_DTB_BYTES, "no device tree is as large")?;
        let refused = |why: String| {
            Refusal::new(format!("`{}` is not a device tree of this board", path.display()))
                .why(why)
                .hint(HINT)
        };
        let tree = fdt::Tree::parse(&bytes).map_err(|e| refused(e.to_string()))?;
        for_board(board, &tree).map_err(refused)?;
        let Some(mac) = mac else { return Ok(bytes) };
        let no_ethernet = |why: String| {
            Refusal::new(format!("`{}` has no place for the MAC address", path.display()))
                .why(why)
                .hint("leave the overlay option `mac` away, or name another `dtb`")
        };
        let node = tree.string("/aliases", ETHERNET_ALIAS).map_err(|e| no_ethernet(e.to_string()))?;
        fdt_edit::set_property(&bytes, &node, "local-mac-address", &mac)
            .map_err(|e| no_ethernet(e.to_string()))
    }

    /// Path and content of an artifact that is what the overlay lists.
    fn listed(&self, name: &str, limit: u64, limit_reason: &str) -> Result<(PathBuf, Vec<u8>), Refusal> {
        let path = self.folder.join(name);
        let bytes = read(&path, limit, limit_reason)?;
        match self.sums.check(name, &bytes) {
            Ok(()) => Ok((path, bytes)),
            Err(why) => Err(unusable(&path, why)),
        }
    }
}

/// The boot ROM and SPL skip what is damaged, silently: the board would look dead.
fn check_loader(board: &Board, region: &Region, bytes: &[u8]) -> Result<(), String> {
    let block = idblock::verify(bytes).map_err(|e| e.to_string())?;
    let fit_at = ((region.fit_lba - region.start_lba) * SECTOR_BYTES) as usize;
    if block.end_bytes() > fit_at {
        return Err("the idblock reaches into the FIT".to_owned());
    }
    let rest = bytes.get(fit_at..).ok_or_else(|| format!("it ends before its FIT at byte {fit_at}"))?;
    let fit = Fit::parse(rest).map_err(|e| e.to_string())?;
    fit.verify(rest).map_err(|e| e.to_string())?;
    let config = fit.default_configuration().map_err(|e| e.to_string())?;
    for image in config.firmware.iter().chain(&config.loadables).chain(&config.fdt) {
        fit.image(image).map_err(|e| e.to_string())?;
    }
    let tree = fit.device_tree(rest).map_err(|e| e.to_string())?;
    for_board(board, &tree)
}

fn for_board(board: &Board, tree: &fdt::Tree<'_>) -> Result<(), String> {
    let compatible = tree.compatible().map_err(|e| e.to_string())?;
    match compatible.first() {
        Some(first) if *first == board.compatible => Ok(()),
        _ => {
            Err(format!("its device tree is for `{}`, not for `{}`", compatible.join(", "), board.compatible))
        }
    }
}

/// A regular file of at most `limit` bytes.
fn read(path: &Path, limit: u64, limit_reason: &str) -> Result<Vec<u8>, Refusal> {
    let refused = |why: String| unusable(path, why);
    let file = File::open(path).map_err(|e| refused(e.to_string()))?;
    let meta = file.metadata().map_err(|e| refused(e.to_string()))?;
    if !meta.is_file() {
        return Err(refused("it is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| refused(e.to_string()))?;
    if bytes.len() as u64 > limit {
        return Err(refused(format!("it has {} bytes: {limit_reason}", meta.len())));
    }
    if bytes.is_empty() {
        return Err(refused("it is empty".to_owned()));
    }
    Ok(bytes)
}

fn unusable(path: &Path, why: String) -> Refusal {
    Refusal::new(format!("artifact `{}` cannot be used", path.display())).why(why).hint(HINT)
}
