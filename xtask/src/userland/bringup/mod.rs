// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The `bringup` userland: busybox and the self-test program in Talos's container.
//!
//! ```text
//! busybox, selftest, signed modules, test modules, ext4 ─ tar ─ tar2sqfs ─ rootfs.sqsh ─┐
//!                                                        selftest as `init` ─ cpio, zstd ┴─ initramfs.xz
//! ```
//!
//! The same inputs and versions of the tools give the same bytes, on any number of processors. It builds
//! nothing and signs nothing.

pub mod evidence;
mod ext4;
mod rootfs;
mod testmodule;

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::fetch::Progress;
use fw_build::key::sha256_file;
use fw_build::{Context, Failure, Result};

use super::pack::{Part, container};
use super::tree;
use testmodule::TestModule;

/// What a composition is made from.
pub struct Inputs<'a> {
    /// busybox, static, for aarch64.
    pub busybox: &'a Path,
    /// The self-test program, static, for aarch64: both inits.
    pub selftest: &'a Path,
    /// Signed module tree after depmod: a folder named after the kernel release, with `modules.dep` in it.
    pub module_tree: &'a Path,
    /// The same tree before signing; the test needs one module of it.
    pub unsigned_tree: &'a Path,
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
    /// Kernel release whose modules are in it, and which the self-test expects.
    pub kernel_release: String,
    /// How many modules are in it.
    pub module_count: usize,
    /// The module whose altered copies the kernel must refuse, relative to the tree.
    pub test_module: String,
}

/// Writes the composed initramfs to `out`, by a temporary folder beside it and a rename.
///
/// # Errors
/// The trees do not fit each other or the self-test, `tar2sqfs` is missing or fails, or the disk is full. `out`
/// is then as it was.
pub fn compose(inputs: &Inputs<'_>, out: &Path) -> Result<Composed> {
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    compose_with(inputs, out, jobs).context("cannot compose the bring-up userland")
}

fn compose_with(inputs: &Inputs<'_>, out: &Path, jobs: usize) -> Result<Composed> {
    let release =
        inputs.module_tree.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Failure::new(format!("`{}` names no kernel release", inputs.module_tree.display()))
        })?;
    let test = TestModule::make(inputs.module_tree, inputs.unsigned_tree)?;
    let parent = out.parent().ok_or_else(|| Failure::new(format!("`{}` has no folder", out.display())))?;
    fs::create_dir_all(parent)?;
    let work = tempfile::Builder::new().prefix(".bringup-").tempdir_in(parent)?;
    let [ext4, tar, image, finished] =
        ["ext4.img", "rootfs.tar", "rootfs.sqsh", "initramfs.xz"].map(|name| work.path().join(name));
    inputs.progress.step("pack the root file system");
    ext4::make(&ext4)?;
    let tree = rootfs::plan(inputs, release, &test, &ext4)?;
    tree.write(&tar)?;
    tree::pack(&tar, &image, jobs)?;
    inputs.progress.step("compress the initramfs");
    let (init, rootfs) = (fs::read(inputs.selftest)?, fs::read(&image)?);
    let init = Part { data: &init, permissions: 0o755 };
    let rootfs = Part { data: &rootfs, permissions: 0o644 };
    container(0o755, init, rootfs, &finished, jobs)?;
    let composed = Composed {
        initramfs_path: out.to_owned(),
        sha256: sha256_file(&finished)?,
        kernel_release: release.to_owned(),
        module_count: tree.module_count(),
        test_module: test.path,
    };
    fs::rename(&finished, out)?;
    Ok(composed)
}

#[cfg(test)]
mod tests;
