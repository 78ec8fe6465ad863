// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask kconfig`: what the kernel's configuration would be, checked and compared without a build.

mod check;
mod diff;
mod figures;
mod measure;
mod prove_warm;
mod source;

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use fs_err as fs;
use fw_build::Result;
use fw_build::board::Switch;
use fw_build::kconfig::Btf;
use fw_build::kconfig::folder::Folder;
use fw_build::manifest::Pin;

pub use diff::{DiffLine, differences};
pub use source::KernelSource;

use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;

/// Checks and compares kernel configurations without building a kernel.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask kconfig check                              the selected kernel, BTF on and off
  cargo xtask kconfig check --kernel lts-6.18 --kernel lts-6.12
  cargo xtask kconfig diff                               the last build and what the fragments say now
  cargo xtask kconfig diff --against armbian.config      any .config, config.gz or kernel with IKCONFIG
  cargo xtask kconfig diff --kernel lts-6.12             the selected kernel and another pin
  cargo xtask kconfig figures --write                    the table in docs/kernel.md
  cargo xtask kconfig figures --measure no-btf           builds this kernel without BTF first, to compare with
  cargo xtask kconfig prove-warm --btf                   that a warm tree changes no byte (nightly)")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Compare every request with what the kernel makes of it; check required options and hardening.
    Check {
        /// Pin of `vendor-manifests/linux.toml`; may be given several times.
        #[arg(long = "kernel", value_name = "PIN")]
        kernels: Vec<String>,
    },
    /// Show what differs between two configurations.
    Diff {
        /// Compare with this `.config`, `config.gz` or kernel image instead of the last build.
        #[arg(long, value_name = "FILE", conflicts_with = "kernel")]
        against: Option<PathBuf>,
        /// Compare the selected kernel with this pin.
        #[arg(long, value_name = "PIN")]
        kernel: Option<String>,
    },
    /// Print size and time of the built kernel, of the same without BTF and of arm64's defconfig.
    Figures {
        /// Write the table to `docs/kernel.md` instead.
        #[arg(long)]
        write: bool,
        /// Build this kernel first, to compare with; may be given several times. It stays in the store.
        #[arg(long = "measure", value_name = "KERNEL")]
        others: Vec<measure::Other>,
    },
    /// Build a small kernel warm and cold and compare every byte (some 10 CPU-minutes, twice that with --btf).
    ProveWarm {
        /// With BTF and the debug information it is made from.
        #[arg(long)]
        btf: bool,
    },
}

/// Runs the verb.
///
/// # Errors
/// A source is not to be had, a request was dropped, or an option is missing.
pub fn run(args: &Args) -> Result<Exit> {
    let cx = Context::load()?;
    match &args.action {
        Action::Check { kernels } => check::run(&cx, kernels),
        Action::Diff { against, kernel } => diff::run(&cx, against.as_deref(), kernel.as_deref()),
        Action::Figures { write, others } => figures::run(&cx, *write, others),
        Action::ProveWarm { btf } => prove_warm::run(&cx, if *btf { Btf::On } else { Btf::Off }),
    }
}

/// The pin with this label, or the selected one; says what its user should know.
fn pin<'a>(cx: &'a Context, label: Option<&str>) -> Result<&'a Pin> {
    let selected = cx.board.selected("linux")?;
    let pin = cx.manifests.pin("linux", Some(label.unwrap_or(&selected)))?;
    print_limits(pin);
    Ok(pin)
}

/// Prints the known limits of a pin.
pub fn print_limits(pin: &Pin) {
    for limit in &pin.limits {
        eprintln!("note: {}: {limit}", pin.id());
    }
}

fn folder(cx: &Context) -> Result<Folder> {
    Folder::load(&cx.root.join("kernel-config"))
}

fn board_btf(cx: &Context) -> Btf {
    match cx.board.kernel.btf {
        Switch::On => Btf::On,
        Switch::Off => Btf::Off,
    }
}

/// Changes the choice of BTF in the board's file below `root`, which is a copy.
fn set_btf(root: &Path, btf: Btf) -> Result<()> {
    let path = root.join("boards/nanopi-m6.toml");
    let board = fs::read_to_string(&path)?;
    let wanted = if btf == Btf::On { "btf = \"on\"" } else { "btf = \"off\"" };
    Ok(fs::write(path, board.replace("btf = \"on\"", wanted).replace("btf = \"off\"", wanted))?)
}

/// The configuration that the fragments make of a pin, as text.
fn requested(cx: &Context, pin: &Pin, btf: Btf, screen: &Screen) -> Result<String> {
    let source = KernelSource::open(cx, pin, screen)?;
    source.requested(&folder(cx)?.request(btf, &pin.version)?)
}
