// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the kernel starts: one module per userland, each giving an initramfs in Talos's container.
//!
//! Here they become results of the store, keyed by what they are made of.

pub mod bringup;
pub mod extended;
mod pack;
pub mod talos;
pub mod talos_source;
mod tree;

use std::path::{Path, PathBuf};

use fw_build::key::{KeyInputs, sha256_bytes, sha256_file};
use fw_build::run::Cmd;
use fw_build::status::{Phase, Status};
use fw_build::store::{Built, Entry, Origin, PinUsed};
use fw_build::toolchain::first_line;
use fw_build::{Context as _, Result};

use crate::board_binary::build_board_binary;
use crate::context::Context;
use crate::image::{Selection, Userland};
use crate::screen::Screen;
use crate::sign::SignedKernel;
use crate::stages::Results;

/// Kernel arguments of images for the rehearsal beside the board's: the serial console of QEMU's `virt` machine. The
/// board has no such device, and a console that never appears is ignored.
pub const BRINGUP_KERNEL_ARGS: [&str; 1] = ["console=ttyAMA0"];

/// Raise one when the composing code changes what it makes.
const BRINGUP_RECIPE_VERSION: u32 = 3;
const TALOS_RECIPE_VERSION: u32 = 1;
const TALOS_SOURCE_RECIPE_VERSION: u32 = 1;

/// Composes the selected userland, or finds it in the store. Its initramfs has the role `initramfs`.
///
/// # Errors
/// A part cannot be had, or a tool failed.
pub fn compose(
    cx: &Context,
    selection: &Selection,
    stages: &Results,
    kernel: &SignedKernel,
    screen: &Screen,
) -> Result<Entry> {
    let status = screen.step("userland");
    let composed = match selection.userland {
        Userland::Bringup => compose_bringup(cx, stages, kernel, &status),
        Userland::Talos => compose_talos(cx, selection, kernel, &status),
        Userland::TalosSource => compose_talos_source(cx, selection, kernel, &status),
    };
    // With nothing to append the entry is the userland's own.
    let composed = match composed {
        Ok((base, _)) if !selection.additions.is_empty() => {
            extended::extend(cx, selection, kernel, &base, &status)
        }
        composed => composed,
    };
    let (entry, origin) = composed
        .inspect_err(|_| status.phase(Phase::Failed, None))
        .context(format!("cannot make the userland `{}`", selection.userland.name()))?;
    status.phase(origin.into(), None);
    Ok(entry)
}

fn outputs() -> [(String, PathBuf); 1] {
    [("initramfs".to_owned(), PathBuf::from("initramfs.xz"))]
}

/// The tools and libraries that pack squashfs and initramfs; their versions decide the bytes.
fn packers(inputs: &mut KeyInputs) -> Result<()> {
    inputs.add("tool:tar2sqfs", first_line(&Cmd::new("tar2sqfs").arg("--version"))?)?;
    // tar2sqfs links the system's libzstd and does not say which; distributions build both from one source.
    inputs.add("tool:zstd", first_line(&Cmd::new("zstd").arg("--version"))?)?;
    inputs.add("zstd", zstd::zstd_safe::version_string())
}

fn module_tree(kernel: &SignedKernel, modules: &Path) -> PathBuf {
    modules.join("usr/lib/modules").join(&kernel.release)
}

fn compose_bringup(
    cx: &Context,
    stages: &Results,
    kernel: &SignedKernel,
    status: &Status,
) -> Result<(Entry, Origin)> {
    status.phase(Phase::Building, None);
    status.step("compile the self-test program");
    let selftest = build_board_binary("bringup-selftest", "selftest")?;
    let busybox = stages.get("bringup")?;
    let linux = stages.get("linux-collabora")?;
    let mut inputs = KeyInputs::default();
    inputs.add("recipe", format!("userland-bringup {BRINGUP_RECIPE_VERSION}"))?;
    inputs.add("selftest", sha256_file(&selftest)?)?;
    inputs.add("file:luks2", sha256_bytes(bringup_selftest::luks2::FIXTURE))?;
    inputs.add("stage:bringup", busybox.record.key.as_str())?;
    inputs.add("stage:signed-kernel", kernel.entry.record.key.as_str())?;
    packers(&mut inputs)?;
    inputs.add("tool:mke2fs", first_line(&Cmd::new("mke2fs").arg("-V"))?)?;
    cx.store.ensure(
        "userland-bringup",
        &inputs,
        &outputs(),
        || status.phase(Phase::Waiting, None),
        |work| {
            let parts = bringup::Inputs {
                busybox: &busybox.path("busybox")?,
                selftest: &selftest,
                module_tree: &module_tree(kernel, &kernel.entry.path("modules")?),
                unsigned_tree: &module_tree(kernel, &linux.path("modules")?),
                progress: status,
            };
            bringup::compose(&parts, &work.join("out/initramfs.xz"))?;
            Ok(Built::default())
        },
    )
}

fn compose_talos(
    cx: &Context,
    selection: &Selection,
    kernel: &SignedKernel,
    status: &Status,
) -> Result<(Entry, Origin)> {
    let mut releases = cx.manifests.releases("talos")?.clone();
    let fetcher = cx.fetcher()?;
    let assets_dir = cx.store.root().join("talos");
    status.phase(Phase::Fetching, None);
    // First: its digest is part of the key, and the first fetch is what records it.
    let asset = talos::fetch_release(&fetcher, &mut releases, &selection.talos, &assets_dir, status)?;
    let mut inputs = KeyInputs::default();
    inputs.add("recipe", format!("userland-talos {TALOS_RECIPE_VERSION}"))?;
    inputs.add("talos", selection.talos.as_str())?;
    inputs.add("release", asset.sha256.as_str())?;
    let used = PinUsed {
        version: selection.talos.clone(),
        origin: releases.url(&selection.talos, talos::ASSET)?,
        sha256: asset.sha256.clone(),
    };
    inputs.add("stage:signed-kernel", kernel.entry.record.key.as_str())?;
    packers(&mut inputs)?;
    let unchanged = selection.additions.modules == extended::Modules::Layer;
    if unchanged {
        inputs.add("modules", "stock")?;
    }
    cx.store.ensure(
        "userland-talos",
        &inputs,
        &outputs(),
        || status.phase(Phase::Waiting, None),
        |work| {
            status.phase(Phase::Building, None);
            if unchanged {
                fs_err::copy(&asset.path, work.join("out/initramfs.xz"))?;
                return Ok(Built { origins: [("talos".to_owned(), used)].into(), ..Built::default() });
            }
            let parts = talos::Inputs {
                fetcher: &fetcher,
                releases: &mut releases,
                version: &selection.talos,
                assets_dir: &assets_dir,
                module_tree: &module_tree(kernel, &kernel.entry.path("modules")?),
                progress: status,
            };
            talos::compose(parts, &work.join("out/initramfs.xz"))?;
            Ok(Built { origins: [("talos".to_owned(), used)].into(), ..Built::default() })
        },
    )
}

fn compose_talos_source(
    cx: &Context,
    selection: &Selection,
    kernel: &SignedKernel,
    status: &Status,
) -> Result<(Entry, Origin)> {
    let (programs, _) = talos_source::programs(cx, &selection.talos, status)?;
    let fetcher = cx.fetcher()?;
    let mut inputs = KeyInputs::default();
    inputs.add("recipe", format!("userland-talos-source {TALOS_SOURCE_RECIPE_VERSION}"))?;
    inputs.add("stage:talos-source-programs", programs.key())?;
    inputs.add("modules", selection.additions.modules.name())?;
    for pin in cx.manifests.pins_of(talos_source::PACKAGES)? {
        inputs.add(format!("pin:{}", pin.id()), format!("{} {}", pin.version, pin.identity()))?;
    }
    inputs.add("stage:signed-kernel", kernel.entry.record.key.as_str())?;
    packers(&mut inputs)?;
    cx.store.ensure(
        "userland-talos-source",
        &inputs,
        &outputs(),
        || status.phase(Phase::Waiting, None),
        |work| {
            status.phase(Phase::Fetching, None);
            let mut built = Built { origins: programs.origins().clone(), ..Built::default() };
            let mut packages = Vec::new();
            for pin in cx.manifests.pins_of(talos_source::PACKAGES)? {
                let package = fetcher.fetch(pin, status)?;
                let used = PinUsed {
                    version: pin.version.clone(),
                    origin: package.origin_label.clone(),
                    sha256: package.sha256.clone(),
                };
                built.origins.insert(pin.id(), used);
                packages.push((pin.clone(), package));
            }
            status.phase(Phase::Building, None);
            let tree = module_tree(kernel, &kernel.entry.path("modules")?);
            let parts = talos_source::Inputs {
                programs: &programs,
                packages: &packages,
                module_tree: (selection.additions.modules == extended::Modules::Repack).then_some(&tree),
                progress: status,
            };
            talos_source::compose(&parts, work, &work.join("out/initramfs.xz"))?;
            Ok(built)
        },
    )
}
