// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Puts the overlay into `out/` in its three forms; each changes at once.

use std::path::PathBuf;

use fs_err as fs;
use fw_build::Result;
use fw_build::run::SOURCE_DATE_EPOCH;

use super::folder::{replace, replace_file};
use super::{Overlay, refused};
use crate::context::Context;

/// What was written: what it is, where, how many bytes.
pub fn publish(cx: &Context, overlay: &Overlay) -> Result<Vec<(&'static str, PathBuf, u64)>> {
    let out = cx.out();
    fs::create_dir_all(&out)?;
    let mut written = Vec::new();
    if let Some(tree) = overlay.trees.get("arm64") {
        let path = out.join("overlay");
        written.push(("tree", path.clone(), replace(&path, tree.files())?));
    }
    let path = out.join("overlay-oci");
    let files = overlay.layout.files().map(|(path, content)| (path, 0o644, content));
    written.push(("layout", path.clone(), replace(&path, files)?));
    for (architecture, tree) in &overlay.trees {
        let path = out.join(format!("overlay-rootfs-{architecture}.tar"));
        let tar = tree.tar(SOURCE_DATE_EPOCH).map_err(|e| refused(&e))?;
        written.push(("tarball", path.clone(), replace_file(&path, &tar)?));
    }
    Ok(written)
}
