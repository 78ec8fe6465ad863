// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The source trees that the board's device tree is compiled in, and compiling it there.
//!
//! What a compilation needs of a tree is a result of the store of its own (`dt-sources`), so that a check unpacks
//! no kernel. Must not judge what comes out.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::device_tree::{self, Sources, Warnings};
use fw_build::fetch::{FetchConfig, Fetcher, Network};
use fw_build::key::KeyInputs;
use fw_build::manifest::Pin;
use fw_build::run::Cmd;
use fw_build::status::{Phase, Status};
use fw_build::store::Built;
use fw_build::toolchain::Toolchain;
use fw_build::{Context as _, Failure, Result, unpack};
use fw_image::dt::Dt;
use serde::Deserialize;

use crate::context::Context;
use crate::screen::Screen;

/// Raise it when other files of a tree are kept.
const RECIPE_VERSION: u32 = 1;

/// What is kept of a kernel tree. `linux-event-codes.h` in dt-bindings is a link to the last one.
const LINUX: Layout = Layout {
    soc: "arch/arm64/boot/dts/rockchip",
    bindings: "include",
    kept: &["arch/arm64/boot/dts/rockchip", "include/dt-bindings", "include/uapi/linux/input-event-codes.h"],
};

/// The same of U-Boot, which has a copy of the kernel's files (OF_UPSTREAM).
const U_BOOT: Layout = Layout {
    soc: "dts/upstream/src/arm64/rockchip",
    bindings: "dts/upstream/include",
    kept: &["dts/upstream/src/arm64/rockchip", "dts/upstream/include"],
};

struct Layout {
    soc: &'static str,
    bindings: &'static str,
    kept: &'static [&'static str],
}

/// Whether a tree must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// A failure when it cannot be fetched.
    Required,
    /// Compiled where an earlier `cargo xtask fetch` brought it, never fetched for a check.
    IfFetched,
}

/// One row of `trees.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TreeRow {
    /// Folder of `dts/`.
    pub folder: String,
    /// Manifest of the pin.
    pub manifest: String,
    /// Label of the pin.
    pub pin: String,
    /// Whether it must be there.
    pub reach: Reach,
}

/// A source tree that is at hand.
#[derive(Debug, Clone)]
pub struct SourceTree {
    /// Folder of `dts/`, its name in messages.
    pub folder: String,
    soc: PathBuf,
    bindings: PathBuf,
}

/// Makes the part of a tree that compilations need, or finds it in the store.
///
/// # Errors
/// The source cannot be fetched or unpacked.
pub fn ensure(cx: &Context, row: &TreeRow, screen: &Screen) -> Result<SourceTree> {
    let pin = cx.manifests.pin(&row.manifest, Some(&row.pin))?.clone();
    let layout = if row.manifest == "u-boot" { &U_BOOT } else { &LINUX };
    if row.reach == Reach::IfFetched {
        fetcher(cx, &pin, row.reach)?.fetch(&pin, &())?;
    }
    let status = screen.step(&format!("dt {}", row.folder));
    let dir = sources(cx, &pin, layout.kept, row.reach, &status)?;
    Ok(SourceTree {
        folder: row.folder.clone(),
        soc: dir.join(layout.soc),
        bindings: dir.join(layout.bindings),
    })
}

/// The files of a pin below `kept`, from the store.
///
/// # Errors
/// As [`ensure`].
fn sources(cx: &Context, pin: &Pin, kept: &'static [&str], reach: Reach, status: &Status) -> Result<PathBuf> {
    let stage = "dt-sources";
    let mut inputs = KeyInputs::default();
    inputs.add("recipe", format!("{stage} {RECIPE_VERSION}"))?;
    inputs.add("pin", format!("{} {}", pin.id(), pin.identity()))?;
    inputs.add("kept", kept.join(" "))?;
    let outputs = [("tree".to_owned(), PathBuf::from("tree"))];
    let built = cx.store.ensure(
        stage,
        &inputs,
        &outputs,
        || status.phase(Phase::Waiting, None),
        |work| {
            status.phase(Phase::Fetching, None);
            let fetched = fetcher(cx, pin, reach)?.fetch(pin, status)?;
            status.phase(Phase::Building, None);
            status.step(&format!("unpack {}", pin.id()));
            let to = work.join("out/tree");
            fs::create_dir_all(&to)?;
            let wanted = |path: &Path| kept.iter().any(|k| path.starts_with(k));
            unpack::unpack(&fetched.path, fetched.format, &to, 1, Some(&wanted))?;
            Ok(Built::default())
        },
    );
    let (entry, origin) = built.inspect_err(|_| status.phase(Phase::Failed, None))?;
    status.phase(origin.into(), None);
    entry.path("tree")
}

/// A fetcher that goes to the network for required trees only.
fn fetcher(cx: &Context, pin: &Pin, reach: Reach) -> Result<Fetcher> {
    let mut config = FetchConfig::from_env(&cx.root, cx.store.root())?;
    if reach == Reach::IfFetched {
        let because = format!("`cargo xtask fetch --all {}` fetches it", pin.manifest);
        config.network = Network::Forbidden { because };
    }
    Ok(Fetcher::new(config))
}

/// A source compiled as it ships.
pub struct Plain {
    /// The DTB.
    pub dtb: Vec<u8>,
    /// What `dtc` said, without file and line.
    pub warnings: Vec<String>,
}

impl SourceTree {
    /// A source of the SoC's own folder, such as another board.
    pub fn own(&self, name: &str) -> PathBuf {
        self.soc.join(name)
    }

    /// Compiles `source` for questions: with all labels and references. `dts` holds the board's common parts.
    ///
    /// # Errors
    /// The source does not compile in this tree.
    pub fn questions(&self, source: &Path, dts: &Path) -> Result<Dt> {
        let dir = tempfile::tempdir()?;
        let text = fs::read_to_string(self.preprocessed(source, dts, dir.path())?)?;
        let marked = dir.path().join("marked.dts");
        // A source with /plugin/ compiles to the same tree plus the list of its references. Every header must be
        // alike, and an included file may have one, too.
        fs::write(&marked, text.replace("/dts-v1/;", "/dts-v1/; /plugin/;"))?;
        let out = dir.path().join("out.dtb");
        device_tree::compile(&marked, &out, Warnings::Usual).output().context(self.what(source))?;
        Dt::parse(&fs::read(&out)?).map_err(|e| Failure::new(self.what(source)).why(e))
    }

    /// Compiles `source` as it ships, with the warnings of `W=1`.
    ///
    /// # Errors
    /// As [`SourceTree::questions`].
    pub fn plain(&self, source: &Path, dts: &Path) -> Result<Plain> {
        let dir = tempfile::tempdir()?;
        let preprocessed = self.preprocessed(source, dts, dir.path())?;
        let out = dir.path().join("out.dtb");
        let mut said = Lines::default();
        device_tree::compile(&preprocessed, &out, Warnings::Extra)
            .run(&mut said)
            .context(self.what(source))?;
        let warnings = said.0.iter().filter_map(|l| l.split_once(": Warning ").map(|(_, w)| w.to_owned()));
        Ok(Plain { dtb: fs::read(&out)?, warnings: warnings.collect() })
    }

    /// Compiles the SoC's file alone: what a board adds is the difference.
    ///
    /// # Errors
    /// As [`SourceTree::questions`].
    pub fn soc_alone(&self, soc: &str) -> Result<Dt> {
        let dir = tempfile::tempdir()?;
        let source = dir.path().join("soc.dts");
        fs::write(&source, format!("/dts-v1/;\n#include \"{soc}.dtsi\"\n"))?;
        self.questions(&source, dir.path())
    }

    fn preprocessed(&self, source: &Path, dts: &Path, dir: &Path) -> Result<PathBuf> {
        let out = dir.join("board.dts");
        let includes = vec![self.soc.clone(), self.bindings.clone(), dts.to_owned()];
        let sources = Sources { gcc: Toolchain::aarch64()?.gcc().to_owned(), includes };
        sources.preprocess(source, &out).output().context(self.what(source))?;
        Ok(out)
    }

    fn what(&self, source: &Path) -> String {
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        format!("`{name}` does not compile in `{}`", self.folder)
    }
}

/// Applies the overlay source `overlay` to a compiled tree.
///
/// # Errors
/// The overlay does not compile or does not fit.
pub fn overlaid(base: &[u8], overlay: &Path) -> Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    let [base_path, compiled, out] = ["base.dtb", "overlay.dtbo", "out.dtb"].map(|n| dir.path().join(n));
    fs::write(&base_path, base)?;
    device_tree::compile(overlay, &compiled, Warnings::Usual).output()?;
    device_tree::apply_overlay(&base_path, &compiled, &out).output()?;
    Ok(fs::read(&out)?)
}

#[derive(Default)]
struct Lines(Vec<String>);

impl fw_build::run::LineSink for Lines {
    fn line(&mut self, line: &str) {
        self.0.push(line.to_owned());
    }
}

/// `patch` for one file of a tree, used for the bindings.
pub(super) fn patch(patch: &Path, tree: &Path) -> Cmd {
    Cmd::new("patch").args(["-p1", "-F0", "--batch", "--forward", "-i"]).arg(patch).cwd(tree)
}
