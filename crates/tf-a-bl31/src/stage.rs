// SPDX-License-Identifier: Apache-2.0 OR MIT
//! BL31, the EL3 firmware: PSCI and the SCMI clocks that cpufreq, GPU and RNG depend on. Built from TF-A, or a file
//! that the user brings along (Rockchip's own); either is judged by where its segments load.

use std::path::Path;

use fw_build::manifest::Pin;
use fw_build::stage::{BuildCx, Inputs, Source, StageSpec};
use fw_build::toolchain::Toolchain;
use fw_build::{Failure, Result};
use fw_image::bl31;

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let mut spec = StageSpec::new("tf-a-bl31", 1)?;
    spec.output("bl31", "bl31.elf");
    match inputs.source("tf-a")? {
        Source::File(path) => {
            spec.file("bl31", &path)?;
            Ok(spec.recipe(move |cx| publish(cx, &path)))
        }
        Source::Pin(pin) => {
            let chain = Toolchain::aarch64()?;
            // It stands in the version line that BL31 prints.
            spec.pin(&pin)?.setting("version", &pin.version)?.toolchain(&chain)?.steps_estimate(142);
            Ok(spec.recipe(move |cx| build(cx, &pin, &chain)))
        }
    }
}

fn build(cx: &BuildCx, pin: &Pin, chain: &Toolchain) -> Result<()> {
    let tree = cx.unpack(pin)?;
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
    publish(cx, &elf)
}

fn publish(cx: &BuildCx, elf: &Path) -> Result<()> {
    bl31::parse(&std::fs::read(elf)?).map_err(|e| {
        Failure::new(format!("`{}` cannot be the BL31 of this board", elf.display()))
            .why(e)
            .hint("Rockchip's is `rk3588_bl31_v….elf` of its rkbin repository")
    })?;
    cx.publish(elf, "bl31.elf")
}
