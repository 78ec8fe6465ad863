// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board's device tree against the kernel's SoC files, with symbols so that overlays apply.
//!
//! It needs the kernel's *source* pin and not its build: editing `dts/` never builds a kernel.

use std::path::{Path, PathBuf};

use fw_build::device_tree::{self, Sources, Warnings};
use fw_build::key::files_below;
use fw_build::stage::{Inputs, StageSpec};
use fw_build::toolchain::Toolchain;
use fw_build::{Failure, Result};

/// What the preprocessor needs of the kernel tree. `linux-event-codes.h` in dt-bindings is a link to the
/// last one.
const NEEDED: [&str; 3] =
    ["arch/arm64/boot/dts/rockchip/", "include/dt-bindings/", "include/uapi/linux/input-event-codes.h"];

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let pin = inputs.pin("linux")?;
    let chain = Toolchain::aarch64()?;
    let dts = inputs.root.join("dts");
    let dtb = inputs.board.dtb.clone();
    let name = Path::new(&dtb).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let series = pin.version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    // Which optional parts the board's tree has depends on the SoC file of this kernel series.
    let source = dts.join(format!("linux-{series}/{name}.dts"));
    if !source.is_file() {
        return Err(Failure::new(format!("no device tree of the board for Linux {series}"))
            .why(format!("`{}` does not exist", source.display()))
            .hint("copy a neighbour's file, and include the optional parts whose nodes this kernel has"));
    }
    let variant = inputs.selected("dt-variant")?;
    let overlay = overlay(&dts, &name, &variant)?;
    let mut spec = StageSpec::new("dtb", 1)?;
    spec.pin(&pin)?.file("dts", &dts)?.toolchain(&chain)?.tool("dtc", "--version")?;
    spec.setting("dtb", &dtb)?.setting("variant", variant)?.output("dtb", &format!("{name}.dtb"));
    Ok(spec.recipe(move |cx| {
        let needed = |p: &Path| NEEDED.iter().any(|n| p.starts_with(n.trim_end_matches('/')));
        let tree = cx.unpack_filtered(&pin, 1, Some(&needed))?;
        // The board's own folder last: it has the parts that all trees share.
        let includes = vec![tree.join("arch/arm64/boot/dts/rockchip"), tree.join("include"), dts];
        let sources = Sources { gcc: chain.gcc().to_owned(), includes };
        let [preprocessed, plain, applied, overlaid] =
            ["board.dts", "board.dtb", "overlay.dtbo", "overlaid.dtb"].map(|n| cx.work.join(n));
        cx.run(sources.preprocess(&source, &preprocessed))?;
        cx.run(device_tree::compile(&preprocessed, &plain, Warnings::Usual))?;
        let Some(overlay) = overlay else { return cx.publish(&plain, &format!("{name}.dtb")) };
        cx.run(device_tree::compile(&overlay, &applied, Warnings::Usual))?;
        cx.run(device_tree::apply_overlay(&plain, &applied, &overlaid))?;
        cx.publish(&overlaid, &format!("{name}.dtb"))
    }))
}

/// The overlay of a variant; none for `none`.
fn overlay(dts: &Path, name: &str, variant: &str) -> Result<Option<PathBuf>> {
    if variant == "none" {
        return Ok(None);
    }
    let dir = dts.join("overlays");
    let path = dir.join(format!("{name}-{variant}.dtso"));
    if path.is_file() {
        return Ok(Some(path));
    }
    let known = files_below(&dir)?.into_iter().filter_map(|file| {
        let file = file.to_string_lossy().into_owned();
        Some(file.strip_prefix(&format!("{name}-"))?.strip_suffix(".dtso")?.to_owned())
    });
    Err(Failure::new(format!("there is no variant `{variant}` of the device tree"))
        .why(format!("there are: none, {}", known.collect::<Vec<_>>().join(", "))))
}
