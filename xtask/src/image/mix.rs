// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names the loader parts and the kernel that an image is about to get, and asks the board file what is known about
//! them together. Files of the user's are read and judged here, before anything is built.

use std::path::Path;

use fs_err as fs;
use fw_build::board::Board;
use fw_build::key::sha256_bytes;
use fw_build::manifest::Manifests;
use fw_build::mix::{self, Class, Mix};
use fw_build::{Failure, Result};
use fw_image::map::Evidence;
use fw_image::{bl31, ddr};

use super::select::{Bootloader, Selection};

/// What is known about the parts of an image.
#[derive(Debug, Clone)]
pub struct Known {
    /// The parts, by name.
    pub parts: String,
    /// Class for the map.
    pub evidence: Evidence,
    /// Where that is known from, or why it is not.
    pub reason: String,
}

/// Finds the set of the selected parts.
///
/// # Errors
/// A file is refused, or the mix is in no set and `untested` does not allow that.
pub fn judge(selection: &Selection, board: &Board, manifests: &Manifests, untested: bool) -> Result<Known> {
    let linux = selection.selected(board, "linux")?;
    if selection.bootloader == Bootloader::None {
        let reason = "the loader is the board's own, and not known here".to_owned();
        return Ok(Known { parts: format!("Linux {linux}"), evidence: Evidence::BuiltOnly, reason });
    }
    let mix = Mix {
        ddr: ddr_label(&selection.selected(board, "rkbin")?, manifests)?,
        bl31: bl31_label(&selection.selected(board, "tf-a")?)?,
        u_boot: selection.selected(board, "u-boot")?,
        linux,
    };
    match mix::find(&board.sets, &mix) {
        Ok(set) => {
            let evidence = match set.evidence {
                Class::BootedOnThisBoard => Evidence::BootedOnThisBoard,
                Class::BootedOnOtherBoards => Evidence::BootedOnOtherBoards,
                Class::BuiltOnly => Evidence::BuiltOnly,
            };
            Ok(Known { parts: mix.to_string(), evidence, reason: set.reason.clone() })
        }
        Err(unknown) if untested => {
            eprintln!("untested: {unknown}");
            let why: Vec<String> =
                unknown.lines().iter().skip(1).map(|line| line.trim().to_owned()).collect();
            Ok(Known { parts: mix.to_string(), evidence: Evidence::Untested, reason: why.join("; ") })
        }
        Err(unknown) => Err(unknown.hint(
            "`--untested` builds it all the same, and the map says so; have a way back before flashing it",
        )),
    }
}

/// Label of the DDR blob: of the pin, also for a file with a pin's bytes; else the version with a mark that it is a
/// file, which no set has.
fn ddr_label(selected: &str, manifests: &Manifests) -> Result<String> {
    if !selected.contains('/') {
        return Ok(selected.to_owned());
    }
    let bytes = read(selected)?;
    let blob = ddr::parse(&bytes)
        .and_then(ddr::Blob::accepted)
        .map_err(|e| Failure::new(format!("the DDR blob `{selected}` is refused")).why(e))?;
    let digest = sha256_bytes(&bytes);
    let pin =
        manifests.pins().find(|p| p.manifest == "rkbin" && p.identity().split(',').any(|d| d == digest));
    Ok(pin.map_or_else(|| format!("file-{}", blob.version), |pin| pin.label.clone()))
}

/// Label of the BL31: of the pin, else what the file says about itself.
fn bl31_label(selected: &str) -> Result<String> {
    if !selected.contains('/') {
        return Ok(selected.to_owned());
    }
    let found = bl31::parse(&read(selected)?)
        .map_err(|e| Failure::new(format!("`{selected}` cannot be the BL31 of this board")).why(e))?;
    Ok(found.maker.to_string())
}

fn read(path: &str) -> Result<Vec<u8>> {
    Ok(fs::read(Path::new(path))?)
}

#[cfg(test)]
#[path = "mix_tests.rs"]
mod tests;
