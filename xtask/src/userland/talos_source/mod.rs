// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The `talos-source` userland: a release's own `init` and `machined`, compiled from its published Go module, with Debian's
//! programs around them, in Talos's container.
//!
//! ```text
//! Go modules ─ go build ─ init, machined, containerd, talosctl ─┐
//! Debian packages ─ udev, runc, mkfs.xfs … and their libraries ─┼─ tar ─ tar2sqfs ─ rootfs.sqsh ─ cpio, zstd
//! signed modules ───────────────────────────────────────────────┘
//! ```
//!
//! It is for the rehearsal: it shows what Talos's own code says of this kernel, this disk and these modules, on a machine
//! that cannot reach Talos's releases. It is not an official build of Talos, says so in `/etc/os-release`, and is not
//! meant for a board. Nothing of Talos is patched here.

mod layout;
mod libraries;
mod programs;
mod rootfs;

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::fetch::{Fetched, Progress};
use fw_build::manifest::Pin;
use fw_build::{Context as _, Failure, Result, unpack};

use super::pack::{Part, container};
use super::tree;

pub use programs::{Programs, programs, release};

/// The manifest of the packages around `machined`; every pin of it is used.
pub const PACKAGES: &str = "debian-13";

/// What is added to `/etc/os-release`, so that nobody takes the userland for what it is not.
pub const LABEL: &str = "rehearsal userland compiled by talos-nanopi-m6, not an official build of Talos";

/// What a composition is made from.
pub struct Inputs<'a> {
    /// The compiled programs.
    pub programs: &'a Programs,
    /// The fetched packages, with the pin of each.
    pub packages: &'a [(Pin, Fetched)],
    /// Signed module tree after depmod: a folder named after the kernel release. None where a layer brings it.
    pub module_tree: Option<&'a Path>,
    /// Where progress goes.
    pub progress: &'a dyn Progress,
}

/// Writes the composed initramfs to `out`; `work` is a folder for what is made on the way.
///
/// # Errors
/// A program or a library of one is in none of the packages, a tool is missing, or the disk is full.
pub fn compose(inputs: &Inputs<'_>, work: &Path, out: &Path) -> Result<()> {
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    let debian = work.join("debian");
    for (pin, package) in inputs.packages {
        inputs.progress.step(&format!("unpack {}", pin.label));
        unpack_package(package, &debian).context(format!("cannot unpack the package `{}`", pin.label))?;
    }
    let [tar, image] = ["rootfs.tar", "rootfs.sqsh"].map(|name| work.join(name));
    inputs.progress.step("pack the root file system");
    rootfs::plan(inputs, &debian, work)?.write(&tar)?;
    tree::pack(&tar, &image, jobs)?;
    fs::remove_file(&tar)?;
    inputs.progress.step("compress the initramfs");
    let (init, rootfs) = (fs::read(inputs.programs.path("init")?)?, fs::read(&image)?);
    let init = Part { data: &init, permissions: 0o755 };
    let rootfs = Part { data: &rootfs, permissions: 0o644 };
    container(0o755, init, rootfs, out, jobs)
}

/// Programs and libraries of a package, and nothing that runs when it is installed.
fn unpack_package(package: &Fetched, dest: &Path) -> Result<()> {
    let wanted = |path: &Path| {
        ["usr/bin", "usr/sbin", "usr/lib", layout::MKFS_XFS].iter().any(|folder| path.starts_with(folder))
    };
    unpack::unpack(&package.path, package.format, dest, 0, Some(&wanted))
}

/// A file of the unpacked packages, whatever links lead to it.
fn file_of(debian: &Path, path: &str) -> Result<PathBuf> {
    let found = debian.join(path);
    fs::canonicalize(&found).map_err(|_| {
        Failure::new(format!("no package of `{PACKAGES}` has `{path}`"))
            .why("the manifest and the list of programs in `userland/talos_source/layout.rs` belong together")
    })
}
