// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask fetch`: fills the store with every source that a build would fetch.

use clap::Args as ClapArgs;
use fw_build::status::{Phase, bytes};
use fw_build::{Failure, Result};

use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::userland::talos;

/// The manifest of Talos releases: it has no pins, its digests are learnt at the first fetch.
const TALOS: &str = "talos";

/// Fetches sources beforehand, so that a later build needs no network.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask fetch                 the selected pin of every manifest, and the Talos release
  cargo xtask fetch linux u-boot    these manifests only
  cargo xtask fetch --all           every pin of every manifest
  FW_OFFLINE=1 cargo xtask image    then builds from the store alone")]
pub struct Args {
    /// Manifests to fetch; all when none is named.
    manifests: Vec<String>,
    /// Every pin, not only the selected one.
    #[arg(long)]
    all: bool,
}

/// Runs the verb.
///
/// # Errors
/// A pin could not be fetched from any origin; the others are fetched all the same.
pub fn run(args: &Args) -> Result<Exit> {
    let cx = Context::load()?;
    for name in args.manifests.iter().filter(|name| *name != TALOS) {
        cx.manifests.pin(name, None)?; // an unknown name is an error, not a fetch of nothing
    }
    let fetcher = cx.fetcher()?;
    let screen = Screen::start()?;
    let mut failures = Vec::new();
    let mut lines = Vec::new();
    for pin in cx.manifests.pins() {
        let named = args.manifests.is_empty() || args.manifests.contains(&pin.manifest);
        let selected = match cx.board.selected(&pin.manifest) {
            Ok(label) => label == pin.label,
            // Tools of checks are no selection: fetched when they are named.
            Err(_) => args.manifests.contains(&pin.manifest),
        };
        let chosen = args.all || selected;
        if !named || !chosen {
            continue;
        }
        let status = screen.step(&pin.id().replace('/', " "));
        status.phase(Phase::Fetching, None);
        match fetcher.fetch(pin, &status) {
            Ok(fetched) => {
                status.phase(Phase::Cached, None);
                let size = fs_err::metadata(&fetched.path)?.len();
                lines.push(format!("{:24} {:>10}  {}", pin.id(), bytes(size), fetched.origin_label));
            }
            Err(failure) => {
                status.phase(Phase::Failed, None);
                failures.push(failure);
            }
        }
    }
    // The self-test image needs no release, so a machine that cannot reach one is not held up by it.
    let wanted = args.manifests.is_empty() && cx.board.selected("userland")? == TALOS;
    if wanted || args.manifests.iter().any(|name| name == TALOS) {
        let version = cx.board.selected(TALOS)?;
        let status = screen.step(TALOS);
        status.phase(Phase::Fetching, None);
        let mut releases = cx.manifests.releases(TALOS)?.clone();
        let dir = cx.store.root().join(TALOS);
        match talos::fetch_release(&fetcher, &mut releases, &version, &dir, &status) {
            Ok(asset) => {
                status.phase(Phase::Cached, None);
                let size = bytes(fs_err::metadata(&asset.path)?.len());
                lines.push(format!("{:24} {size:>10}  {}", format!("{TALOS}/{version}"), talos::ASSET));
            }
            Err(failure) => {
                status.phase(Phase::Failed, None);
                failures.push(failure);
            }
        }
    }
    drop(screen);
    for line in lines {
        println!("{line}");
    }
    match failures.len() {
        0 => Ok(Exit::Done),
        n => {
            let text = failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            Err(Failure::new(format!("{n} of the pins could not be fetched")).why(text))
        }
    }
}
