// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The firmware of the rehearsal: U-Boot's EFI on QEMU's `virt` machine, from the same source as the board's.

use fw_build::Result;
use fw_build::stage::{Inputs, StageSpec};
use fw_build::toolchain::Toolchain;
use fw_build::u_boot::UBoot;

/// U-Boot's own configuration for the machine; `defconfigs/qemu.config` says how ours differs.
const BASE: &str = "qemu_arm64_defconfig";

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let pin = inputs.pin("u-boot")?;
    let chain = Toolchain::aarch64()?;
    let fragment = inputs.root.join("defconfigs/qemu.config");
    let mut spec = StageSpec::new("u-boot-qemu", 1)?;
    spec.pin(&pin)?.toolchain(&chain)?.file("defconfig", &fragment)?;
    spec.output("firmware", "u-boot.bin").output("config", "config").steps_estimate(680);
    Ok(spec.recipe(move |cx| {
        let tree = cx.unpack(&pin)?;
        let u_boot = UBoot::new(cx, &tree, &chain)?;
        u_boot.configure(BASE, std::slice::from_ref(&fragment))?;
        cx.run(u_boot.make().arg("all"))?;
        cx.publish(&tree.join("u-boot.bin"), "u-boot.bin")?;
        cx.publish(&tree.join(".config"), "config")
    }))
}
