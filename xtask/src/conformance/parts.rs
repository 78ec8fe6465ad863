// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the checks need beside an image: the overlay in its three forms, systemd's programs, GRUB's modules.

use std::path::{Path, PathBuf};

use conformance::inputs;
use fs_err as fs;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::{Failure, Result, unpack};

use crate::context::Context;
use crate::overlay::{self, folder};
use crate::screen::Screen;

/// Files that are the same for every line, in a folder that goes with this value.
pub struct Parts {
    /// Kept for its end: the folder goes with it.
    _dir: tempfile::TempDir,
    /// The overlay.
    pub overlay: inputs::Overlay,
    /// systemd's stub for arm64.
    pub stub: PathBuf,
    /// systemd's boot manager for arm64.
    pub manager: PathBuf,
    /// GRUB's modules for arm64.
    pub grub_modules: PathBuf,
}

impl Parts {
    /// Makes the overlay and unpacks the pinned packages.
    ///
    /// # Errors
    /// A stage failed, or a pin cannot be had.
    pub fn make(cx: &Context) -> Result<Parts> {
        let dir = tempfile::tempdir()?;
        let overlay = write_overlay(cx, dir.path())?;
        let systemd = package(cx, "systemd-boot", "usr/lib/systemd/boot/efi", dir.path())?;
        let grub_modules = package(cx, "grub", "usr/lib/grub/arm64-efi", dir.path())?;
        Ok(Parts {
            overlay,
            stub: systemd.join("linuxaa64.efi.stub"),
            manager: systemd.join("systemd-bootaa64.efi"),
            grub_modules,
            _dir: dir,
        })
    }
}

fn write_overlay(cx: &Context, dir: &Path) -> Result<inputs::Overlay> {
    let screen = Screen::start()?;
    let built = overlay::build(cx, &overlay::Args::default(), &screen)?;
    drop(screen);
    let written = inputs::Overlay {
        name: cx.board.name.clone(),
        layout: dir.join("overlay-oci"),
        tree: dir.join("overlay"),
        tar: dir.join("overlay.tar"),
    };
    folder::replace(&written.layout, built.layout.files().map(|(path, content)| (path, 0o644, content)))?;
    let tree = built.trees.get("arm64").ok_or_else(|| Failure::new("the overlay has no tree for arm64"))?;
    folder::replace(&written.tree, tree.files())?;
    let tar = tree.tar(SOURCE_DATE_EPOCH).map_err(|e| Failure::new("cannot pack the overlay").why(e))?;
    fs::write(&written.tar, tar)?;
    Ok(written)
}

/// One folder of a pinned package; returns where it is.
fn package(cx: &Context, manifest: &str, wanted: &str, dir: &Path) -> Result<PathBuf> {
    let pin = cx.manifests.pin(manifest, cx.board.selected(manifest).ok().as_deref())?;
    let fetched = cx.fetcher()?.fetch(pin, &())?;
    let root = dir.join(manifest);
    unpack::unpack(&fetched.path, fetched.format, &root, 0, Some(&|path| path.starts_with(wanted)))?;
    Ok(root.join(wanted))
}
