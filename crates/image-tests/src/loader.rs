// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The loader region: idblock, DDR blob and FIT.

use fw_build::board::{Board, Region, SECTOR_BYTES};
use fw_build::{Failure, Result};
use fw_image::fit::Fit;
use fw_image::{ddr, idblock};

/// Checks the bytes from a region's start to its limit: what SPL and the boot ROM will look for is there.
///
/// # Errors
/// Names the first thing that is wrong.
pub fn check(board: &Board, region: &Region, bytes: &[u8], ddr_version: &str) -> Result<()> {
    let wrong = |what: &str, e: &dyn std::fmt::Display| Failure::new(what.to_owned()).why(e);
    let block = idblock::verify(bytes).map_err(|e| wrong("idblock", &e))?;
    let first = block.entries.first().ok_or_else(|| Failure::new("idblock: no payload"))?;
    let payload = first.payload(bytes).map_err(|e| wrong("idblock payload", &e))?;
    let blob = ddr::parse(payload).and_then(ddr::Blob::accepted).map_err(|e| wrong("DDR blob", &e))?;
    if blob.version.to_string() != ddr_version {
        return Err(Failure::new(format!("DDR blob {} instead of {ddr_version}", blob.version)));
    }
    let at = ((region.fit_lba - region.start_lba) * SECTOR_BYTES) as usize;
    if block.end_bytes() > at {
        return Err(Failure::new("the idblock reaches into the FIT"));
    }
    let rest = bytes.get(at..).ok_or_else(|| Failure::new("the region ends before the FIT"))?;
    let fit = Fit::parse(rest).map_err(|e| wrong("FIT", &e))?;
    fit.verify(rest).map_err(|e| wrong("FIT", &e))?;
    if fit.end_bytes() > rest.len() {
        return Err(Failure::new("the FIT reaches over the region's limit"));
    }
    let config = fit.default_configuration().map_err(|e| wrong("FIT", &e))?;
    let firmware = config.firmware.iter().chain(&config.loadables).map(String::as_str).collect::<Vec<_>>();
    for wanted in ["atf-1", "u-boot"] {
        if !firmware.contains(&wanted) {
            return Err(Failure::new(format!("FIT: the configuration does not load `{wanted}`"))
                .why(format!("it loads {}", firmware.join(", "))));
        }
    }
    let tree = fit.device_tree(rest).map_err(|e| wrong("FIT", &e))?;
    let model = tree.model().map_err(|e| wrong("device tree in the FIT", &e))?;
    let compatible = tree.compatible().map_err(|e| wrong("device tree in the FIT", &e))?;
    if model != board.model || compatible.first() != Some(&board.compatible) {
        return Err(Failure::new("the FIT's device tree is for another board")
            .why(format!("`{model}`, {compatible:?}")));
    }
    Ok(())
}
