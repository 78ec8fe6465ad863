// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask verify initramfs`: whether the modules of an initramfs are those of a kernel. The image verb asks the same
//! before it writes an image.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use fs_err as fs;
use fw_build::{Context as _, Failure, Result};
use talos_initramfs::{Agreed, agree};

use super::{ImageFile, Trusted};
use crate::exit::Exit;

/// `cargo xtask verify initramfs`.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Initramfs in Talos's form, also one that Talos's imager made; or an image with one.
    #[arg(value_name = "INITRAMFS|IMAGE")]
    what: PathBuf,
    /// Kernel, or image with the kernel, that shall load the modules. Default: the image's own.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    let (initramfs, own) = match ImageFile::open(&args.what)? {
        Some(mut image) => (image.boot_file("A/initramfs.xz")?, Some(image.boot_file("A/vmlinuz")?)),
        None => (fs::read(&args.what)?, None),
    };
    let trusted = match (&args.kernel, own) {
        (Some(kernel), _) => Trusted::of(kernel)?,
        (None, Some(kernel)) => Trusted::of_kernel(&kernel)?,
        (None, None) => {
            return Err(Failure::new(format!("no kernel to compare `{}` with", args.what.display()))
                .hint("name the kernel or its image with `--kernel FILE`"));
        }
    };
    let agreed = fits(&initramfs, &trusted).context(format!("`{}`", args.what.display()))?;
    println!("kernel    {}", trusted.release);
    println!("modules   {} fit: release, `modules.dep`, files and signatures", agreed.modules);
    for layer in &agreed.layers {
        println!("layer     {layer}");
    }
    for other in &agreed.other_releases {
        println!("beside    modules of {other}, which this kernel does not look at");
    }
    Ok(Exit::Done)
}

/// Whether the modules of an initramfs are those of a kernel.
///
/// # Errors
/// They are not; the release, files or signatures that differ are named.
pub fn fits(initramfs: &[u8], trusted: &Trusted) -> Result<Agreed> {
    agree(initramfs, &trusted.release, &|module| trusted.check(module).map(drop))
}

/// [`fits`] for two files, before they go into an image.
///
/// # Errors
/// As [`fits`], or a file cannot be read.
pub fn require(initramfs: &Path, kernel: &Path) -> Result<Agreed> {
    let trusted = Trusted::of_kernel(&fs::read(kernel)?)?;
    fits(&fs::read(initramfs)?, &trusted)
}
