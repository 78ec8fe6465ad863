// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The overlay's trees and images, out of what the stages made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::board::select_var;
use fw_build::key::sha256_bytes;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::{Failure, Result};
use fw_image::oci::{Compression, Config, Image, Layer, Platform, Tree, annotations};
use fw_image::profile::Profile;

use super::origin::Origin;
use super::{refused, sbom};
use crate::context::Context;
use crate::image::Selection;
use crate::screen::Screen;
use crate::stages::{self, Results};

/// [`SOURCE_DATE_EPOCH`] as text.
pub const CREATED: &str = "2025-01-01T00:00:00Z";

/// Where the SBOM lies in the overlay; it comes along into installer images.
pub const SBOM_PATH: &str = "artifacts/sbom.spdx.json";

/// The folder that Talos hands to the installer as `artifactsPath`.
const ARTIFACTS: &str = "artifacts/";

/// What the installer compares the artifacts with, in the format of `sha256sum`: Talos takes a damaged layer of an OCI
/// layout.
const SUMS_PATH: &str = "artifacts/SHA256SUMS";

/// What trees are made of.
pub struct Parts<'a> {
    /// Board and manifests.
    pub cx: &'a Context,
    /// Stage results.
    pub stages: &'a Results,
    /// Device trees by path below `dtb/`.
    pub variants: &'a BTreeMap<String, PathBuf>,
}

/// The board's device tree, and one for each overlay of `dts/overlays`: what the option `dtb` can choose.
///
/// # Errors
/// A variant cannot be built.
pub fn device_trees(
    cx: &Context,
    results: &Results,
    screen: &Screen,
    selection: &Selection,
) -> Result<BTreeMap<String, PathBuf>> {
    let usual = cx.board.dtb.clone();
    let stem = usual.trim_end_matches(".dtb").to_owned();
    let mut found = BTreeMap::from([(usual, results.get("dtb")?.path("dtb")?)]);
    let name = Path::new(&stem).file_name().unwrap_or_default().to_string_lossy().into_owned();
    for file in fw_build::key::files_below(&cx.root.join("dts/overlays"))? {
        let file = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some(variant) = file.strip_prefix(&format!("{name}-")) else { continue };
        let mut env = selection.env();
        env.insert(select_var("dt-variant"), variant.to_owned());
        let built = stages::build(&cx.root, &["dtb"], screen.dir(), &env)?;
        found.insert(format!("{stem}-{variant}.dtb"), built.get("dtb")?.path("dtb")?);
    }
    Ok(found)
}

/// The trees by processor: they differ in the installer only.
///
/// # Errors
/// A part cannot be read.
pub fn trees(parts: &Parts, programs: &[(&'static str, PathBuf)]) -> Result<BTreeMap<&'static str, Tree>> {
    let board = &parts.cx.board;
    let loader = fs::read(parts.stages.get("u-boot-nanopi-m6")?.path("u-boot-rockchip")?)?;
    let profile = Profile::sbc(board.disk.size_bytes).to_yaml();
    // Read again by rules that are stricter than Talos's: it would ignore a misspelt key.
    Profile::read(&profile).map_err(|e| refused(&e))?;
    let mut trees = BTreeMap::new();
    for (architecture, program) in programs {
        let mut tree = Tree::new();
        let mut add =
            |path: &str, mode: u32, content: Vec<u8>| tree.file(path, mode, content).map_err(|e| refused(&e));
        let loader_path = format!("artifacts/arm64/u-boot/{}/u-boot-rockchip.bin", board.name);
        add(&loader_path, 0o644, loader.clone())?;
        for (path, file) in parts.variants {
            add(&format!("artifacts/arm64/dtb/{path}"), 0o644, fs::read(file)?)?;
        }
        add(&format!("installers/{}", board.name), 0o755, fs::read(program)?)?;
        add(&format!("profiles/{}.yaml", board.name), 0o644, profile.clone().into_bytes())?;
        let sbom = sbom::document(parts, &tree)?;
        tree.file(SBOM_PATH, 0o644, sbom).map_err(|e| refused(&e))?;
        let sums = sums(&tree);
        tree.file(SUMS_PATH, 0o644, sums.into_bytes()).map_err(|e| refused(&e))?;
        trees.insert(*architecture, tree);
    }
    Ok(trees)
}

/// A line for each artifact.
fn sums(tree: &Tree) -> String {
    let artifacts =
        tree.files().filter_map(|(path, _, content)| Some((path.strip_prefix(ARTIFACTS)?, content)));
    artifacts.map(|(name, content)| format!("{}  {name}\n", sha256_bytes(content))).collect()
}

/// One image for each tree.
///
/// # Errors
/// A manifest is missing.
pub fn images(parts: &Parts, trees: &BTreeMap<&'static str, Tree>, origin: &Origin) -> Result<Vec<Image>> {
    let mut images = Vec::new();
    for (architecture, tree) in trees {
        let sbom = tree.files().find(|(path, ..)| *path == SBOM_PATH).map(|(_, _, content)| content);
        let sbom = sbom.ok_or_else(|| Failure::new("the overlay has no SBOM"))?;
        let mut notes = BTreeMap::new();
        let mut note = |key: &str, value: String| notes.insert(key.to_owned(), value);
        note(annotations::CREATED, CREATED.to_owned());
        note(annotations::TITLE, format!("Talos overlay for the {}", parts.cx.board.model));
        note(
            annotations::DESCRIPTION,
            format!("installer, U-Boot, device tree and profile `{}`", parts.cx.board.name),
        );
        note(annotations::VERSION, env!("CARGO_PKG_VERSION").to_owned());
        note(annotations::LICENSES, sbom::licences(parts)?);
        note("spdx.sbom.path", SBOM_PATH.to_owned());
        note("spdx.sbom.digest", fw_image::oci::digest(sbom));
        if let Some(source) = &origin.source {
            note(annotations::SOURCE, source.clone());
        }
        if let Some(revision) = &origin.revision {
            note(annotations::REVISION, revision.clone());
        }
        let tar = tree.tar(SOURCE_DATE_EPOCH).map_err(|e| refused(&e))?;
        let config = Config { run: serde_json::json!({ "Labels": notes }), created: CREATED.to_owned() };
        let layers = vec![Layer::new(tar, Compression::Gzip)];
        let image = Image::new(Platform::linux(architecture), &config, layers, &notes);
        images.push(image.map_err(|e| refused(&e))?);
    }
    Ok(images)
}
