// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask kconfig check`.

use fw_build::kconfig::folder::{Folder, expect_requested};
use fw_build::kconfig::required::{TALOS_LINES, expect_required};
use fw_build::kconfig::tree::Tree;
use fw_build::kconfig::{Btf, DotConfig};
use fw_build::manifest::Pin;
use fw_build::{Context as _, Failure, Result};

use super::{KernelSource, board_btf, folder, pin};
use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;

/// Checks each kernel; stops at the first that fails.
pub fn run(cx: &Context, kernels: &[String]) -> Result<Exit> {
    let folder = folder(cx)?;
    let mut pins = Vec::new();
    for label in kernels {
        pins.push(pin(cx, Some(label))?);
    }
    if pins.is_empty() {
        pins.push(pin(cx, None)?);
    }
    let screen = Screen::start()?;
    let mut lines = Vec::new();
    for pin in pins {
        let source = KernelSource::open(cx, pin, &screen)?;
        // The board's choice last: its configuration is what the hardening is checked on.
        let btf = board_btf(cx);
        let other = if btf == Btf::On { Btf::Off } else { Btf::On };
        for btf in [other, btf] {
            lines.extend(one(&folder, pin, &source, btf).context(format!("kernel `{}` fails", pin.label))?);
        }
        lines.extend(beyond(&folder, pin, &source, btf).context(format!("kernel `{}` fails", pin.label))?);
    }
    drop(screen);
    for line in lines {
        println!("{line}");
    }
    Ok(Exit::Done)
}

/// Requests and required options, with BTF on or off.
fn one(folder: &Folder, pin: &Pin, source: &KernelSource, btf: Btf) -> Result<Vec<String>> {
    let request = folder.request(btf, &pin.version)?;
    let config = DotConfig::parse(&source.requested(&request)?)?;
    expect_requested(&request, &config, source.tree())?;
    let required = folder.required(&pin.version);
    let (built_in, modules) = config.counts();
    let shown = if btf == Btf::On { "on" } else { "off" };
    let mut lines = vec![format!(
        "{} ({}), BTF {shown}: {} requests kept; {built_in} options built in, {modules} as modules",
        pin.label,
        pin.version,
        request.entries().count(),
    )];
    let mut needs = Vec::new();
    for line in TALOS_LINES {
        expect_required(&required.check_config(&config, btf, Some(line)))
            .context(format!("Talos {line} would not run"))?;
        needs.push(format!("{line} {}", required.of(btf, Some(line)).count()));
    }
    lines.push(format!("  required options, all there: Talos {}", needs.join(", ")));
    Ok(lines)
}

/// Hardening, and whether the table of versions is right.
fn beyond(folder: &Folder, pin: &Pin, source: &KernelSource, btf: Btf) -> Result<Vec<String>> {
    let config = DotConfig::parse(&source.requested(&folder.request(btf, &pin.version)?)?)?;
    let kspp = &folder.kspp;
    let findings: Vec<String> = kspp.check(&config).iter().map(ToString::to_string).collect();
    if !findings.is_empty() {
        let failure = Failure::new(format!("{} hardening findings", findings.len()));
        return Err(findings.iter().fold(failure, Failure::why).hint(
            "follow the recommendation, or give a waiver with its reason in `kernel-config/kspp.toml`",
        ));
    }
    let tree = Tree::load(source.tree())?;
    let wrong = folder.versions.check(&pin.version, &tree);
    if !wrong.is_empty() {
        return Err(wrong.iter().fold(Failure::new("the table of versions is wrong"), Failure::why));
    }
    let (all, waived) = kspp.counts();
    let awaited = kspp.sysctls.iter().filter(|s| !s.talos.is_empty()).count();
    let absent: Vec<&str> = folder.versions.absent(&pin.version).map(|o| o.name.as_str()).collect();
    let mut lines = vec![
        format!(
            "  hardening: {} of {all} KSPP recommendations followed, {waived} waived with a reason",
            all - waived
        ),
        format!("  sysctls: {} known, all {awaited} that Talos waits for are provided", kspp.sysctls.len()),
    ];
    if !absent.is_empty() {
        lines.push(format!("  left out, this version does not have them: {}", absent.join(", ")));
    }
    Ok(lines)
}
