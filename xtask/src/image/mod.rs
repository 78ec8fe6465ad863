// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask image`: from pinned sources to `out/metal-arm64-nanopi-m6.raw.xz`.
//!
//! Stages, signing, userland and disk are four results in the store, each with its own key; with nothing
//! changed the verb only looks them up.

mod assemble;
mod boot;
pub(crate) mod mix;
mod publish;
mod select;

use std::path::PathBuf;

use clap::Args as ClapArgs;
use fw_build::status::{bytes, seconds};
use fw_build::store::Entry;
use fw_build::{Context as _, Result};

pub use select::{Bootloader, Selection, Userland};

use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::userland::extended::Modules;
use crate::{doctor, dt, kconfig, setup, sign, stages, userland};

/// Builds the disk image.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask image                                     Talos, the release of the board file
  cargo xtask image --userland bringup --install-deps   the self-test image, with all set-up
  cargo xtask image --signing-key key.pem --signing-cert cert.pem
  cargo xtask image --bootloader none                   for a board that has its loader in SPI or eMMC
  cargo xtask image --bootloader spi                    the loader beside it, for SPI flash (docs/hardware.md)
  cargo xtask image --talos v1.13.9                     another release; its line's layout and arguments
  cargo xtask image --meta \"metal-network=$(cat network.yaml)\" --extra-kernel-arg=-init_on_alloc
  cargo xtask image --extension gvisor.tar --modules layer
  cargo xtask image --bl31 rk3588_bl31_v1.48.elf        Rockchip's BL31 in the place of TF-A

Results are in out/: the image, its .map.json (what lies where, versions, digests) and SHA256SUMS.")]
pub struct Args {
    /// What runs after the kernel.
    #[arg(long, value_enum)]
    pub userland: Option<Userland>,
    /// Whether the image carries U-Boot.
    #[arg(long, value_enum)]
    pub bootloader: Option<Bootloader>,
    /// Talos release, v1.10.9 to v1.14; it decides disk layout and kernel arguments with either userland.
    #[arg(long, value_name = "VERSION")]
    pub talos: Option<String>,
    /// Kernel pin of `vendor-manifests/linux.toml`.
    #[arg(long, value_name = "PIN")]
    pub kernel: Option<String>,
    /// Variant of the device tree: an overlay of `dts/overlays`, such as `emmc-hs400` (see docs/device-tree.md).
    #[arg(long, value_name = "VARIANT")]
    pub dt_variant: Option<String>,
    /// DDR blob: a pin of `vendor-manifests/rkbin.toml`, or a file.
    #[arg(long, value_name = "PIN|PATH")]
    pub ddr: Option<String>,
    /// BL31: `tf-a` builds the open one, a path takes Rockchip's (its ELF file).
    #[arg(long, value_name = "tf-a|PATH")]
    pub bl31: Option<String>,
    /// Build a mix of DDR blob, BL31, U-Boot and kernel that nothing is known about.
    #[arg(long)]
    pub untested: bool,
    /// Further kernel argument; may be given several times. A leading `-` removes one.
    #[arg(long = "extra-kernel-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub extra_kernel_args: Vec<String>,
    /// Value for the META partition, key by number (12, 0xc) or name (metal-network); may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub meta: Vec<String>,
    /// How this kernel's modules get into Talos's initramfs (default: repack).
    #[arg(long, value_enum)]
    pub modules: Option<Modules>,
    /// System extension of Talos: an OCI layout folder, or a plain tar of its image's root file system; may be given several times.
    #[arg(long = "extension", value_name = "PATH")]
    pub extensions: Vec<PathBuf>,
    /// Machine configuration that Talos v1.12 and later take from the image. Everybody who has the image has it.
    #[arg(long, value_name = "FILE")]
    pub embedded_config: Option<PathBuf>,
    /// How modules are signed.
    #[command(flatten)]
    pub signing: sign::KeyArgs,
    /// Install what the host lacks first (asks nothing; sudo only when not root).
    #[arg(long)]
    pub install_deps: bool,
}

/// Runs the verb.
///
/// # Errors
/// A tool is missing, a stage failed, or the layout is refused.
pub fn run(args: &Args) -> Result<Exit> {
    build(args)?;
    Ok(Exit::Done)
}

/// An image in the store, with what it was made of.
pub struct Made {
    /// The image: roles `raw-xz` and `map`.
    pub entry: Entry,
    /// What was chosen.
    pub selection: Selection,
    /// The stages' results.
    pub stages: stages::Results,
    kernel: sign::SignedKernel,
    known: mix::Known,
    seconds: f64,
}

/// Makes the image, or finds it in the store; publishes nothing.
///
/// # Errors
/// As [`run`].
pub fn make(cx: &Context, args: &Args) -> Result<Made> {
    let mut selection = Selection::of(args, &cx.board)?;
    if selection.userland == Userland::TalosSource {
        let compiled = userland::talos_source::release(cx, args.talos.as_deref())?;
        selection = selection.of_compiled(&compiled, &cx.board)?;
    }
    let pin = selection.kernel(cx)?;
    kconfig::print_limits(pin);
    selection.require_kernel(&pin.version)?;
    if args.install_deps {
        setup::ensure()?;
    }
    doctor::require()?;
    let known = mix::judge(&selection, &cx.board, &cx.manifests, args.untested)?;
    let screen = Screen::start()?;
    let stages = stages::build(&cx.root, &selection.stages(), screen.dir(), &selection.env())?;
    dt::coverage::require(&cx.root, stages.get("dtb")?, stages.get("linux-collabora")?)?;
    let kernel = sign::signed_kernel(cx, &stages, &args.signing, &screen)?;
    let userland = userland::compose(cx, &selection, &stages, &kernel, &screen)?;
    let parts = assemble::Parts { stages: &stages, kernel: &kernel, userland: &userland, known: &known };
    let entry = assemble::ensure(cx, &selection, &parts, &screen).context("cannot make the disk image")?;
    let seconds = screen.elapsed();
    Ok(Made { entry, selection, stages, kernel, known, seconds })
}

/// Builds the image and prints what it is.
///
/// # Errors
/// As [`run`].
pub fn build(args: &Args) -> Result<()> {
    let cx = Context::load()?;
    let made = make(&cx, args)?;
    let path = publish::publish(&cx, &made.entry, &made.stages)?;
    println!("{}", summary(&cx, &path, &made.selection, &made.kernel, made.seconds)?);
    println!("parts     {} ({})", made.known.parts, made.known.reason);
    if made.selection.bootloader == Bootloader::UBoot {
        // Nothing on a card can change it, and it is the first suspect when a good card does not boot.
        eprintln!(
            "hint: a loader in the board's SPI flash or eMMC runs before the card's: docs/hardware.md, section 2"
        );
    }
    Ok(())
}

fn summary(
    cx: &Context,
    path: &std::path::Path,
    selection: &Selection,
    kernel: &sign::SignedKernel,
    elapsed: f64,
) -> Result<String> {
    let shown = path.strip_prefix(&cx.root).unwrap_or(path);
    let size = fs_err::metadata(path)?.len();
    Ok(format!(
        "image     {} ({}, {} on the medium)\nuserland  {}\nkernel    {} ({} signed modules, certificate {})\ntime      {}",
        shown.display(),
        bytes(size),
        bytes(selection.disk.size_bytes),
        selection.describe(),
        kernel.release,
        kernel.module_count,
        &kernel.certificate_sha256[..16],
        seconds(elapsed),
    ))
}
