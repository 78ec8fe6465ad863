// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask overlay`: what Talos's imager needs to make images and upgrades for this board.
//!
//! The tree of `installers/`, `artifacts/` and `profiles/`, the same as an OCI layout for linux/amd64 and
//! linux/arm64, and as plain tarballs. What is written was read again first, by the rules of Talos's unpacker.

mod compose;
pub mod folder;
mod origin;
mod publish;
mod sbom;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use fw_build::status::{Phase, bytes, seconds};
use fw_build::{Failure, Result};
use fw_image::oci::{Image, Layout, Tree};

pub use compose::CREATED;

use crate::context::Context;
use crate::exit::Exit;
use crate::image;
use crate::remote::Remote;
use crate::screen::Screen;
use crate::{board_binary, doctor, stages};

/// Makes the overlay.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask overlay                                     out/overlay-oci and the rest
  cargo xtask overlay --source https://example.org/repo   says in the image where its sources are
  cargo run -p xtask --features push -- overlay --push registry.example.org/nanopi-m6-overlay:v0.1.0

Results: out/overlay (the tree for linux/arm64), out/overlay-oci (OCI layout, both platforms),
out/overlay-rootfs-amd64.tar and -arm64.tar (plain tarballs, a profile's `tarballPath`).
docs/overlay.md tells how to use them with Talos's imager, and what `--push` does.")]
pub struct Args {
    /// Address of the sources for the image's annotations; without it that of git's remote `origin`.
    #[arg(long, value_name = "URL")]
    pub source: Option<String>,
    /// Send the layout to a registry, too, with the credentials of the docker configuration (feature `push`).
    #[arg(long, value_name = "REF")]
    pub push: Option<String>,
    /// Speak plain HTTP with that registry; with one on this machine that is so anyway.
    #[arg(long, requires = "push")]
    pub plain_http: bool,
}

/// The finished overlay.
pub struct Overlay {
    /// Trees by Go's name of the processor.
    pub trees: BTreeMap<&'static str, Tree>,
    /// The images, amd64 first.
    pub images: Vec<Image>,
    /// The layout of both.
    pub layout: Layout,
}

/// Runs the verb.
///
/// # Errors
/// A stage failed, or the overlay is not what Talos takes.
pub fn run(args: &Args) -> Result<Exit> {
    let cx = Context::load()?;
    // Before anything is built: a reference may be wrong, and this xtask may have no registry client.
    let remote =
        args.push.as_deref().map(|reference| Remote::open(reference, args.plain_http)).transpose()?;
    doctor::require()?;
    let screen = Screen::start()?;
    let overlay = build(&cx, args, &screen)?;
    let places = publish::publish(&cx, &overlay)?;
    let pushed = remote.map(|remote| remote.send(&overlay.layout, &screen)).transpose()?;
    let elapsed = screen.elapsed();
    drop(screen);
    for (what, path, size_bytes) in places {
        let shown = path.strip_prefix(&cx.root).unwrap_or(&path);
        println!("{what:9} {} ({})", shown.display(), bytes(size_bytes));
    }
    println!("digest    {}", overlay.layout.digest());
    if let Some(pushed) = pushed {
        println!("pushed    {pushed}");
    }
    println!("time      {}", seconds(elapsed));
    Ok(Exit::Done)
}

/// Builds the stages and programs, and composes and checks the overlay; writes nothing to `out/`.
///
/// # Errors
/// As [`run`].
pub fn build(cx: &Context, args: &Args, screen: &Screen) -> Result<Overlay> {
    let selection = image::Selection::of(&image::Args::default(), &cx.board)?;
    // The loader goes out to others' boards: what is known of its parts is judged as for an image.
    image::mix::judge(&selection, &cx.board, &cx.manifests, false)?;
    let wanted = ["u-boot-nanopi-m6", "dtb"];
    let results = stages::build(&cx.root, &wanted, screen.dir(), &selection.env())?;
    let variants = compose::device_trees(cx, &results, screen, &selection)?;
    let status = screen.step("overlay");
    status.phase(Phase::Building, Some(4));
    let made = (|| {
        status.step("compile the installer");
        let programs: [(&'static str, PathBuf); 2] = [
            ("amd64", board_binary::build_amd64_binary("overlay-installer", "overlay-installer")?),
            ("arm64", board_binary::build_board_binary("overlay-installer", "overlay-installer")?),
        ];
        status.step("trees");
        let parts = compose::Parts { cx, stages: &results, variants: &variants };
        let trees = compose::trees(&parts, &programs)?;
        status.step("images");
        let origin = origin::Origin::of(&cx.root, args.source.as_deref())?;
        let images = compose::images(&parts, &trees, &origin)?;
        status.step("read them again");
        let layout = Layout::new(&images, &BTreeMap::new()).map_err(|e| refused(&e))?;
        let read = fw_image::oci::open(&layout).map_err(|e| refused(&e))?;
        fw_image::overlay::check_images(&read, &cx.board.name).map_err(|e| refused(&e))?;
        Ok(Overlay { trees, images, layout })
    })();
    status.phase(if made.is_ok() { Phase::Built } else { Phase::Failed }, None);
    made
}

fn refused(e: &dyn std::fmt::Display) -> Failure {
    Failure::new("the overlay is not what Talos takes").why(e)
}
