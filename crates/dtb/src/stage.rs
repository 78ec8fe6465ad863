// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board's device tree against the kernel's SoC files, with symbols so that overlays apply.
//!
//! It needs the kernel's *source* pin and not its build: editing `dts/` never builds a kernel.

use std::path::Path;

use fw_build::run::Cmd;
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
    let mut spec = StageSpec::new("dtb", 1)?;
    spec.pin(&pin)?.file("dts", &dts)?.toolchain(&chain)?.tool("dtc", "--version")?;
    spec.setting("dtb", &dtb)?.output("dtb", &format!("{name}.dtb"));
    Ok(spec.recipe(move |cx| {
        let needed = |p: &Path| NEEDED.iter().any(|n| p.starts_with(n.trim_end_matches('/')));
        let tree = cx.unpack_filtered(&pin, 1, Some(&needed))?;
        let soc = tree.join("arch/arm64/boot/dts/rockchip");
        let preprocessed = cx.work.join("board.dts");
        cx.run(
            Cmd::new(chain.gcc())
                // As the kernel's cmd_dtc does: no host headers, no predefined macros (`linux` is a name in
                // device trees), comments and line markers as dtc understands them.
                .args(["-E", "-nostdinc", "-undef", "-D__DTS__", "-x", "assembler-with-cpp"])
                .arg("-I")
                .arg(&soc)
                .arg("-I")
                .arg(tree.join("include"))
                // The parts that all trees share.
                .arg("-I")
                .arg(&dts)
                .arg("-o")
                .arg(&preprocessed)
                .arg(&source),
        )?;
        let out = cx.work.join("board.dtb");
        cx.run(
            Cmd::new("dtc")
                // -@: symbols for overlays; -b 0: boot CPU, as the kernel does.
                .args(["-@", "-b", "0", "-I", "dts", "-O", "dtb", "-o"])
                .arg(&out)
                // The SoC files of the kernel warn in the same way in the kernel's own build.
                .args([
                    "-Wno-unit_address_vs_reg",
                    "-Wno-avoid_unnecessary_addr_size",
                    "-Wno-graph_child_address",
                ])
                .args(["-Wno-unique_unit_address", "-Wno-interrupt_provider", "-Wno-simple_bus_reg"])
                .arg(&preprocessed),
        )?;
        cx.publish(&out, &format!("{name}.dtb"))
    }))
}
