// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Puts results into `out/`, each by copy and rename, so that a reader never sees half a file.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::Result;
use fw_build::key::sha256_file;
use fw_build::store::Entry;

use crate::context::Context;
use crate::stages::Results;

/// The stage whose loader lies beside an image and not in it.
const SPI_LOADER: &str = "u-boot-spi";

/// Copies image, map and the stages' artifacts that people look at, and writes `SHA256SUMS`.
///
/// # Errors
/// `out/` cannot be written.
pub fn publish(cx: &Context, image: &Entry, stages: &Results) -> Result<PathBuf> {
    let out = cx.out();
    fs::create_dir_all(&out)?;
    let name = &cx.board.disk.image;
    let raw = format!("{name}.raw.xz");
    let map = format!("{name}.map.json");
    let mut sums = String::new();
    for (role, file) in [("raw-xz", &raw), ("map", &map)] {
        let sha256 = &image.record.outputs[role].sha256;
        copy_if_different(&image.path(role)?, &out.join(file), sha256)?;
        sums.push_str(&format!("{sha256}  {file}\n"));
    }
    if let Ok(loader) = stages.get(SPI_LOADER) {
        let role = "u-boot-rockchip-spi";
        let (file, sha256) = (format!("{}-spi.bin", cx.board.name), &loader.record.outputs[role].sha256);
        copy_if_different(&loader.path(role)?, &out.join(&file), sha256)?;
        sums.push_str(&format!("{sha256}  {file}\n"));
    }
    // Compared by content and not by "something was copied": a run that was killed before this line left the
    // sums of an older image.
    write(&out.join("SHA256SUMS"), sums.as_bytes())?;
    let mut listing = String::new();
    for (stage, entry) in stages.iter() {
        for role in entry.record.outputs.keys() {
            listing.push_str(&format!("{stage}\t{role}\t{}\n", entry.path(role)?.display()));
        }
    }
    for role in image.record.outputs.keys() {
        listing.push_str(&format!("image\t{role}\t{}\n", image.path(role)?.display()));
    }
    // Where each artifact lies in the store: `cargo test` and people find them by this list.
    write(&out.join("artifacts.tsv"), listing.as_bytes())?;
    Ok(out.join(raw))
}

fn copy_if_different(from: &Path, to: &Path, sha256: &str) -> Result<()> {
    if to.is_file() && sha256_file(to)? == sha256 {
        return Ok(());
    }
    let temp = to.with_extension("part");
    fs::copy(from, &temp)?;
    fs::rename(&temp, to)?;
    Ok(())
}

fn write(to: &Path, content: &[u8]) -> Result<()> {
    if fs::read(to).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let temp = to.with_extension("part");
    fs::write(&temp, content)?;
    fs::rename(&temp, to)?;
    Ok(())
}
