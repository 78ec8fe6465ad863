// SPDX-License-Identifier: Apache-2.0 OR MIT
//! BL31, the EL3 firmware: PSCI and the SCMI clocks that cpufreq, GPU and RNG depend on.

use fw_build::Result;
use fw_build::stage::{Inputs, StageSpec};
use fw_build::toolchain::Toolchain;

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let pin = inputs.pin("tf-a")?;
    let chain = Toolchain::aarch64()?;
    let mut spec = StageSpec::new("tf-a-bl31", 1)?;
    spec.pin(&pin)?.toolchain(&chain)?.output("bl31", "bl31.elf").steps_estimate(142);
    Ok(spec.recipe(move |cx| {
        let tree = cx.unpack(&pin)?;
        cx.run(
            cx.make(&tree)
                .env("CROSS_COMPILE", chain.cross_compile())
                .arg("PLAT=rk3588")
                // The DEBUG build talks more and is larger than the PMU SRAM segment allows for.
                .arg("DEBUG=0")
                // Otherwise the version line holds the build host's clock and `git describe`.
                .arg("BUILD_MESSAGE_TIMESTAMP=\"reproducible\"")
                .arg(format!("BUILD_STRING={}", pin.version))
                .arg("bl31"),
        )?;
        let elf = tree.join("build/rk3588/release/bl31/bl31.elf");
        // Debug sections are not loaded, and they hold the work folder's path.
        cx.run(fw_build::run::Cmd::new(chain.tool("strip")).arg("--strip-debug").arg(&elf))?;
        fw_build::check::elf_aarch64(&elf)?;
        cx.publish(&elf, "bl31.elf")
    }))
}
