// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Talos's initramfs: zstd around a cpio archive of exactly `.`, `init` and `rootfs.sqsh` (talos-contracts 5.1).
//!
//! Opens one and makes one. The container, some 80 MB, passes through memory; the root file system inside it is
//! several times that and never does. What is inside `rootfs.sqsh` is not looked at.

use std::path::Path;

use fs_err as fs;
use fw_build::{Failure, Result};
use fw_image::initramfs;

use super::super::pack::{Part, container};

const ROOT: &str = ".";
const INIT: &str = "init";
const ROOTFS: &str = "rootfs.sqsh";

/// First bytes of a squashfs 4 image (Linux, include/uapi/linux/magic.h and fs/squashfs).
const SQUASHFS_MAGIC: &[u8] = b"hsqs";

/// What an initramfs holds beside the root file system.
pub struct Opened {
    /// The program the kernel starts.
    init: Vec<u8>,
    init_permissions: u32,
    rootfs_permissions: u32,
    root_permissions: u32,
}

/// Reads the initramfs at `path` and writes its root file system to `rootfs`.
///
/// # Errors
/// It is damaged, or holds anything else than the three members once each.
pub fn open(path: &Path, rootfs: &Path) -> Result<Opened> {
    let what = || format!("`{}` is not an initramfs of Talos", path.display());
    let bytes = fs::read(path)?;
    let segments = initramfs::segments(&bytes).map_err(|e| Failure::new(what()).why(e))?;
    drop(bytes);
    let mut members = Vec::new();
    for segment in &segments {
        members.extend(segment.members().map_err(|e| Failure::new(what()).why(e))?);
    }
    let mut names: Vec<&str> = members.iter().map(|m| m.name).collect();
    names.sort_unstable();
    let [root, init, image] = [ROOT, INIT, ROOTFS].map(|n| members.iter().find(|m| m.name == n));
    let (Some(root), Some(init), Some(image), [ROOT, INIT, ROOTFS]) = (root, init, image, names.as_slice())
    else {
        return Err(Failure::new(what())
            .why(format!("it holds `{}`", names.join("`, `")))
            .why(format!("expected `{ROOT}`, `{INIT}` and `{ROOTFS}`"))
            .hint("one with system extensions in it cannot be used: they are added to the finished image"));
    };
    if !image.data.starts_with(SQUASHFS_MAGIC) {
        return Err(Failure::new(what()).why(format!("`{ROOTFS}` in it is no squashfs image")));
    }
    fs::write(rootfs, image.data)?;
    Ok(Opened {
        init: init.data.to_vec(),
        init_permissions: init.mode & 0o7777,
        rootfs_permissions: image.mode & 0o7777,
        root_permissions: root.mode & 0o7777,
    })
}

impl Opened {
    /// Writes an initramfs with `rootfs` as its root file system to `out`.
    ///
    /// # Errors
    /// A read or write failed.
    pub fn close(&self, rootfs: &Path, out: &Path) -> Result<()> {
        let image = fs::read(rootfs)?;
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let init = Part { data: &self.init, permissions: self.init_permissions };
        let rootfs = Part { data: &image, permissions: self.rootfs_permissions };
        container(self.root_permissions, init, rootfs, out, threads)
    }
}
