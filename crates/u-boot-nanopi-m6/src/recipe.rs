// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board's U-Boot: DDR blob and SPL as the boot ROM wants them, and a FIT of U-Boot, BL31 and device tree. Built once
//! for cards and eMMC and once for SPI flash: what differs is a [`Variant`] of the two stages.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::run::Cmd;
use fw_build::stage::{BuildCx, Inputs, StageSpec};
use fw_build::toolchain::Toolchain;
use fw_build::u_boot::UBoot;
use fw_build::{Failure, Result};
use fw_image::fit::Fit;
use fw_image::idblock;

/// The nearest board of U-Boot's tree; `defconfigs/nanopi-m6.config` says how ours differs.
const BASE: &str = "nanopi-r6c-rk3588s_defconfig";

/// Where U-Boot looks for the device tree that `CONFIG_DEFAULT_DEVICE_TREE` names (it selects OF_UPSTREAM).
const BOARD_DTS: &str = "dts/upstream/src/arm64/rockchip";

/// Where U-Boot looks for its own additions, `<name>-u-boot.dtsi` (scripts/Makefile.lib).
const U_BOOT_DTSI: &str = "arch/arm/dts";

/// One of the two builds.
pub struct Variant {
    /// Stage name.
    pub stage: &'static str,
    /// Fragments below `defconfigs/`, merged.
    pub fragments: &'static [&'static str],
    /// Folder of device trees, below that of the U-Boot release.
    pub trees: Option<&'static str>,
    /// What it gives; the first one is what the boot ROM reads.
    pub outputs: &'static [Output],
    /// Where the ID block begins in the first output, in bytes.
    pub idblock_at: usize,
    /// Where the FIT begins in the first output, in bytes.
    pub fit_at: usize,
}

/// Files with symbols: U-Boot's and SPL's, as they were linked.
const SYMBOLS: [Output; 2] =
    [("elf", "u-boot", "u-boot.elf"), ("spl-elf", "spl/u-boot-spl", "u-boot-spl.elf")];

/// Role, file in the tree, name in the entry.
pub type Output = (&'static str, &'static str, &'static str);

/// The recipe.
pub fn build(inputs: &Inputs, variant: &Variant) -> Result<StageSpec> {
    let pin = inputs.pin("u-boot")?;
    let chain = Toolchain::aarch64()?;
    let (ddr, bl31) = (inputs.upstream("rkbin-ddr")?, inputs.upstream("tf-a-bl31")?);
    let dts = inputs.root.join("dts");
    let fragments: Vec<PathBuf> =
        variant.fragments.iter().map(|name| inputs.root.join("defconfigs").join(name)).collect();
    let patches = inputs.root.join("crates/u-boot-nanopi-m6/patches");
    let of_tree = dts.join(format!("u-boot-{}", pin.version));
    if !of_tree.is_dir() {
        return Err(Failure::new(format!("no device tree of the board for U-Boot {}", pin.version))
            .why(format!("`{}` does not exist", of_tree.display()))
            .hint("copy a neighbour's folder, and include the optional parts whose nodes this U-Boot has"));
    }

    let mut tree_dirs = vec![dts.clone(), of_tree.clone()];
    tree_dirs.extend(variant.trees.map(|name| of_tree.join(name)));

    let mut spec = StageSpec::new(variant.stage, 2)?;
    // The version chooses the folder of the device tree.
    spec.pin(&pin)?.setting("version", &pin.version)?;
    spec.toolchain(&chain)?.upstream(&ddr)?.upstream(&bl31)?;
    spec.file("dts", &dts)?.file("patches", &patches)?;
    for (fragment, name) in fragments.iter().zip(variant.fragments) {
        spec.file(name, fragment)?;
    }
    let (outputs, idblock_at, fit_at) = (variant.outputs, variant.idblock_at, variant.fit_at);
    for (role, _, name) in outputs.iter().chain(&SYMBOLS) {
        spec.output(role, name);
    }
    spec.steps_estimate(880);
    Ok(spec.recipe(move |cx| {
        let tree = cx.unpack(&pin)?;
        let u_boot = UBoot::new(cx, &tree, &chain)?;
        cx.patch_all(&tree, &patches)?;
        add_device_tree(cx, &tree_dirs, &tree)?;
        u_boot.configure(BASE, &fragments)?;
        cx.run(
            u_boot
                .make()
                .arg(format!("BL31={}", bl31.path("bl31")?.display()))
                // RK3588 has no open DDR initialisation: the blob takes the place of U-Boot's own TPL.
                .arg(format!("ROCKCHIP_TPL={}", ddr.path("ddr")?.display()))
                .args(["all", "u-boot-initial-env"]),
        )?;
        if let Some((_, file, _)) = outputs.first() {
            check(&tree.join(file), idblock_at, fit_at)?;
        }
        // Debug sections hold the work folder's path, and are eight tenths of the files.
        let elves = SYMBOLS.map(|(_, file, _)| tree.join(file));
        cx.run(Cmd::new(chain.tool("strip")).arg("--strip-debug").args(elves))?;
        outputs.iter().chain(&SYMBOLS).try_for_each(|(_, file, name)| cx.publish(&tree.join(file), name))
    }))
}

/// What the boot ROM and SPL look for is where they look for it, and whole.
fn check(file: &Path, idblock_at: usize, fit_at: usize) -> Result<()> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::new(format!("`{}` is not laid out as the boot ROM and SPL read it", file.display())).why(why)
    };
    let bytes = fs::read(file)?;
    let (Some(first), Some(second)) = (bytes.get(idblock_at..), bytes.get(fit_at..)) else {
        return Err(wrong(&format!("it has only {} bytes", bytes.len())));
    };
    let block = idblock::verify(first).map_err(|e| wrong(&e))?;
    if idblock_at + block.end_bytes() > fit_at {
        return Err(wrong(&"the ID block reaches into the FIT"));
    }
    let fit = Fit::parse(second).map_err(|e| wrong(&e))?;
    fit.verify(second).map_err(|e| wrong(&e))
}

/// Puts the common part and what belongs to this tree where U-Boot compiles them.
fn add_device_tree(cx: &BuildCx, dirs: &[PathBuf], tree: &Path) -> Result<()> {
    let (mut additions, mut sources) = (Vec::new(), Vec::new());
    for dir in dirs {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with("-u-boot.dtsi") {
                additions.push(path);
            } else if name.ends_with(".dtsi") || name.ends_with(".dts") {
                sources.push(path);
            }
        }
    }
    cx.copy_into(&additions, &tree.join(U_BOOT_DTSI))?;
    cx.copy_into(&sources, &tree.join(BOARD_DTS))
}
