// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board's U-Boot: DDR blob and SPL as the boot ROM wants them, and a FIT of U-Boot, BL31 and device tree.

use std::path::Path;

use fs_err as fs;
use fw_build::stage::{BuildCx, Inputs, StageSpec};
use fw_build::toolchain::Toolchain;
use fw_build::u_boot::UBoot;
use fw_build::{Failure, Result};

/// The nearest board of U-Boot's tree; `defconfigs/nanopi-m6.config` says how ours differs.
const BASE: &str = "nanopi-r6c-rk3588s_defconfig";

/// Where U-Boot looks for the device tree that `CONFIG_DEFAULT_DEVICE_TREE` names (it selects OF_UPSTREAM).
const BOARD_DTS: &str = "dts/upstream/src/arm64/rockchip";

/// Where U-Boot looks for its own additions, `<name>-u-boot.dtsi` (scripts/Makefile.lib).
const U_BOOT_DTSI: &str = "arch/arm/dts";

/// What the board's U-Boot gives: role, file in the tree, name in the entry.
const OUTPUTS: [(&str, &str, &str); 6] = [
    ("u-boot-rockchip", "u-boot-rockchip.bin", "u-boot-rockchip.bin"),
    ("idbloader", "idbloader.img", "idbloader.img"),
    ("fit", "u-boot.itb", "u-boot.itb"),
    ("dtb", "u-boot.dtb", "u-boot.dtb"),
    ("config", ".config", "config"),
    // The built-in environment as text: the order of boot targets is read from it, not retyped.
    ("environment", "u-boot-initial-env", "u-boot-initial-env"),
];

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let pin = inputs.pin("u-boot")?;
    let chain = Toolchain::aarch64()?;
    let (ddr, bl31) = (inputs.upstream("rkbin-ddr")?, inputs.upstream("tf-a-bl31")?);
    let dts = inputs.root.join("dts");
    let fragment = inputs.root.join("defconfigs/nanopi-m6.config");
    let patches = inputs.crate_dir.join("patches");
    let of_tree = dts.join(format!("u-boot-{}", pin.version));
    if !of_tree.is_dir() {
        return Err(Failure::new(format!("no device tree of the board for U-Boot {}", pin.version))
            .why(format!("`{}` does not exist", of_tree.display()))
            .hint("copy a neighbour's folder, and include the optional parts whose nodes this U-Boot has"));
    }

    let mut spec = StageSpec::new("u-boot-nanopi-m6", 1)?;
    spec.pin(&pin)?.toolchain(&chain)?.upstream(&ddr)?.upstream(&bl31)?;
    spec.file("dts", &dts)?.file("defconfig", &fragment)?.file("patches", &patches)?;
    for (role, _, name) in OUTPUTS {
        spec.output(role, name);
    }
    spec.steps_estimate(880);
    Ok(spec.recipe(move |cx| {
        let tree = cx.unpack(&pin)?;
        let u_boot = UBoot::new(cx, &tree, &chain)?;
        cx.patch_all(&tree, &patches)?;
        add_device_tree(cx, &dts, &of_tree, &tree)?;
        u_boot.configure(BASE, &fragment)?;
        cx.run(
            u_boot
                .make()
                .arg(format!("BL31={}", bl31.path("bl31")?.display()))
                // RK3588 has no open DDR initialisation: the blob takes the place of U-Boot's own TPL.
                .arg(format!("ROCKCHIP_TPL={}", ddr.path("ddr")?.display()))
                .args(["all", "u-boot-initial-env"]),
        )?;
        OUTPUTS.iter().try_for_each(|(_, file, name)| cx.publish(&tree.join(file), name))
    }))
}

/// Puts the common part and what belongs to this tree where U-Boot compiles them.
fn add_device_tree(cx: &BuildCx, common: &Path, of_tree: &Path, tree: &Path) -> Result<()> {
    let (mut additions, mut sources) = (Vec::new(), Vec::new());
    for dir in [common, of_tree] {
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
