// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask verify`: says whether a finished thing is what was built, and would be accepted where it is used, without
//! running it.

mod disk;
mod image;
pub mod initramfs;
mod modules;
mod trusted;

use clap::{Args as ClapArgs, Subcommand};
use fw_build::Result;

pub use image::ImageFile;
pub use trusted::Trusted;

use crate::exit::Exit;

/// Checks finished things.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask verify /dev/sdX                            a card against the map of out/: which bytes differ, in what
  cargo xtask verify card.raw --map out/metal-arm64-nanopi-m6.map.json
  cargo xtask verify modules out/metal-arm64-nanopi-m6.raw.xz
  cargo xtask verify modules signed/                     what `cargo xtask sign kernel --out signed/` wrote
  cargo xtask verify initramfs initramfs-arm64.xz --kernel out/metal-arm64-nanopi-m6.raw.xz
  cargo xtask verify modules extra/ --kernel out/metal-arm64-nanopi-m6.raw.xz")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(flatten)]
    disk: disk::DiskArgs,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Whether the kernel would load each module: signature, certificate, release.
    Modules(modules::Args),
    /// Whether the modules of an initramfs, also of somebody else's, are those of a kernel.
    Initramfs(initramfs::Args),
}

/// Runs the verb.
///
/// # Errors
/// Something would not be accepted, or cannot be read.
pub fn run(args: &Args) -> Result<Exit> {
    match &args.what {
        Some(What::Modules(args)) => modules::run(args),
        Some(What::Initramfs(args)) => initramfs::run(args),
        None => disk::run(&args.disk),
    }
}
