// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The `talos` userland: a release's own `initramfs-arm64.xz` with this project's signed modules in it.
//!
//! ```text
//! release's initramfs ─ zstd, cpio ─ rootfs.sqsh ─ sqfs2tar ─ filter ─ tar2sqfs ─ rootfs.sqsh ─ cpio, zstd
//! ```
//!
//! Only the tree below `usr/lib/modules` changes: `uname -r` of the kernel picks it, and official system
//! extensions can still be added later because they look for exactly one tree there (talos-contracts 5.5, 5.6).
//! The kernel itself and the disk image are not this module's business.

mod container;
mod inventory;
mod modules;
mod release;
mod squash;
mod tarstream;

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::fetch::{Fetcher, Progress};
use fw_build::key::sha256_file;
use fw_build::manifest::Releases;
use fw_build::{Context, Failure, Result};

use modules::ModuleTree;

pub use release::{ASSET, Asset, fetch as fetch_release, is_version};

/// What a composition is made from.
pub struct Inputs<'a> {
    /// Fetches the release.
    pub fetcher: &'a Fetcher,
    /// The manifest `talos`; a first fetch records a digest in its file.
    pub releases: &'a mut Releases,
    /// Release, `vX.Y.Z`.
    pub version: &'a str,
    /// Folder in which releases are kept, in a folder per version.
    pub assets_dir: &'a Path,
    /// Signed module tree after depmod: a folder named after the kernel release, with `modules.dep` in it.
    pub module_tree: &'a Path,
    /// Where progress goes.
    pub progress: &'a dyn Progress,
}

/// A composed initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The file.
    pub initramfs_path: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
    /// Release it was made from.
    pub talos_version: String,
    /// SHA-256 of the release's own initramfs.
    pub release_sha256: String,
    /// Kernel release whose modules are in it.
    pub kernel_release: String,
    /// Kernel releases of the trees that were replaced.
    pub stock_releases: Vec<String>,
    /// SELinux label of the new tree; none if the release carries no labels.
    pub module_label: Option<String>,
    /// Entries of the root file system that were taken over unchanged.
    pub kept_entries: usize,
}

/// Writes the composed initramfs to `out`, by a temporary folder beside it and a rename.
///
/// The same inputs and versions of the tools give the same bytes.
///
/// # Errors
/// The release cannot be had or is not the one recorded, the module tree is not fit for an image, a tool is
/// missing, or the disk is full. `out` is then as it was.
pub fn compose(inputs: Inputs<'_>, out: &Path) -> Result<Composed> {
    let Inputs { fetcher, releases, version, assets_dir, module_tree, progress } = inputs;
    // The cheap check first: a bad tree should not cost a download.
    let tree = ModuleTree::read(module_tree)?;
    let asset = release::fetch(fetcher, releases, version, assets_dir, progress)?;
    let what = || format!("cannot compose the initramfs of Talos {version} with modules of {}", tree.release);
    let parent = out.parent().ok_or_else(|| Failure::new(what()).why("the output has no folder"))?;
    fs::create_dir_all(parent).context(what())?;
    let work = tempfile::Builder::new().prefix(".talos-").tempdir_in(parent).context(what())?;
    let stock = work.path().join("stock.sqsh");
    let rootfs = work.path().join("rootfs.sqsh");
    let finished = work.path().join("initramfs.xz");
    progress.step("open the release's initramfs");
    let container = container::open(&asset.path, &stock).context(what())?;
    let replaced = squash::replace_modules(&stock, &tree, &rootfs, progress).context(what())?;
    progress.step("compress the initramfs");
    container.close(&rootfs, &finished).context(what())?;
    let sha256 = sha256_file(&finished)?;
    fs::rename(&finished, out).context(what())?;
    Ok(Composed {
        initramfs_path: out.to_owned(),
        sha256,
        talos_version: version.to_owned(),
        release_sha256: asset.sha256,
        kernel_release: tree.release,
        stock_releases: replaced.stock_releases,
        module_label: replaced.label,
        kept_entries: replaced.kept_entries,
    })
}
