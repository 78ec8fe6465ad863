// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From the boot ROM to U-Boot's prompt: hashes, versions, the board's name, relocation, storage hosts.

use fw_image::fdt::Tree;

use super::runs::Boot;
use super::{Judged, Wanted, judged};

/// The assertions.
pub fn judge(wanted: &Wanted<'_>, boot: &Boot) -> Vec<Judged> {
    let names: Vec<_> = wanted.subject.fit.images.iter().map(|i| i.name.as_str()).collect();
    let load = wanted.subject.load(boot_log::Stage::UBoot).map(|l| l.range.start).map_err(|e| e.to_string());
    let tree = wanted.subject.fit.device_tree(&wanted.subject.fit_bytes).map_err(|e| e.to_string());
    let pin = wanted.board.selected("tf-a").map_err(|e| e.to_string());
    let mut all = vec![
        judged("the boot ROM takes the idblock: all three hashes", taken(boot)),
        judged("BL31 is the pinned one", pin.and_then(|pin| bl31(boot, &pin))),
        judged("the board's name", model(boot, &wanted.board.model)),
        judged("U-Boot moves to the end of the first bank", load.and_then(|load| relocated(boot, load))),
        judged("storage hosts have the numbers of the device tree", tree.and_then(|tree| hosts(boot, &tree))),
        judged("the device tree's name on the ESP", variable(boot, "fdtfile", &wanted.board.dtb)),
    ];
    all.extend(
        names.into_iter().map(|name| judged(format!("SPL checks the hash of `{name}`"), hash(boot, name))),
    );
    all
}

fn taken(boot: &Boot) -> Result<String, String> {
    match boot.boot_rom.split_last() {
        Some((source, passed)) if source == "sd" && passed.iter().all(|p| p.ends_with(": no medium")) => {
            Ok(format!("from {source}"))
        }
        _ => Err(boot.stopped.clone().unwrap_or_else(|| boot.boot_rom.join("; "))),
    }
}

fn hash(boot: &Boot, name: &str) -> Result<String, String> {
    let start = format!("## Checking hash(es) for Image {name} ...");
    match boot.starting(&start)[..] {
        [line] if line.ends_with("sha256+ OK") => Ok(line[start.len()..].trim().to_owned()),
        [] => Err("no such line".to_owned()),
        ref other => Err(other.join("; ")),
    }
}

fn bl31(boot: &Boot, pin: &str) -> Result<String, String> {
    let line = boot.starting("NOTICE:  BL31:").first().copied().ok_or("BL31 prints no line")?;
    // The pin is a tag, `lts-v2.12.1`; the banner says `v2.12.1(release):`.
    let version = pin.trim_start_matches("lts-");
    let said = line.trim_start_matches("NOTICE:  BL31:").trim().trim_start_matches("lts-");
    match said.strip_prefix(version) {
        Some(rest) if rest.starts_with(['(', ':']) => Ok(version.to_owned()),
        _ => Err(format!("`{line}`, the pin is `{pin}`")),
    }
}

fn model(boot: &Boot, wanted: &str) -> Result<String, String> {
    match boot.starting("Model:").first() {
        Some(line) if line.trim_start_matches("Model:").trim() == wanted => Ok(wanted.to_owned()),
        line => Err(format!("{line:?} instead of `{wanted}`")),
    }
}

fn relocated(boot: &Boot, load: u64) -> Result<String, String> {
    let bdinfo = boot.answers.get("bdinfo").map(Vec::as_slice).unwrap_or_default();
    let value = |name: &str| {
        let line = bdinfo.iter().find(|l| l.starts_with(name))?;
        u64::from_str_radix(line.split_once("= 0x")?.1.trim(), 16).ok()
    };
    match (value("relocaddr"), value("reloc off")) {
        // Within the last 16 MiB below the device registers, and from where the FIT put it.
        (Some(to), Some(by)) if to.wrapping_sub(by) == load && (0xef00_0000..0xf000_0000).contains(&to) => {
            Ok(format!("from {load:#x} to {to:#x}"))
        }
        other => Err(format!("relocaddr and offset are {other:x?}, loaded at {load:#x}")),
    }
}

fn hosts(boot: &Boot, tree: &Tree<'_>) -> Result<String, String> {
    let listed = boot.answers.get("mmc list").ok_or("`mmc list` was not answered")?;
    let mut seen = Vec::new();
    for n in 0..2 {
        let path = tree.string("/aliases", &format!("mmc{n}")).map_err(|e| e.to_string())?;
        let wanted = format!("{}: {n}", path.trim_start_matches('/'));
        // A card that is in use has its kind behind the number.
        if !listed.iter().any(|l| *l == wanted || l.starts_with(&format!("{wanted} "))) {
            return Err(format!("no `{wanted}` in {listed:?}"));
        }
        seen.push(wanted);
    }
    Ok(seen.join(", "))
}

fn variable(boot: &Boot, name: &str, wanted: &str) -> Result<String, String> {
    match boot.variable(name) {
        Some(value) if value == wanted => Ok(value.to_owned()),
        value => Err(format!("`{name}` is {value:?}, not `{wanted}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Boot {
        Boot { lines: lines.iter().map(|l| (*l).to_owned()).collect(), ..Boot::default() }
    }

    #[test]
    fn must_fail_a_hash_that_is_wrong_or_not_checked() {
        let good = "## Checking hash(es) for Image atf-1 ... sha256+ OK";
        assert!(hash(&lines(&[good]), "atf-1").is_ok());
        assert!(hash(&lines(&[good]), "atf-2").is_err());
        assert!(hash(&lines(&["## Checking hash(es) for Image atf-1 ... OK"]), "atf-1").is_err());
        assert!(hash(&lines(&["## Checking hash(es) for Image atf-1 ... sha256 error!"]), "atf-1").is_err());
    }

    #[test]
    fn must_fail_another_bl31_and_another_board() {
        let boot = lines(&["NOTICE:  BL31: v2.12.1(release):", "Model: FriendlyElec NanoPi M6"]);
        assert!(bl31(&boot, "lts-v2.12.1").is_ok() && bl31(&boot, "v2.12.1").is_ok());
        assert!(bl31(&boot, "lts-v2.12").is_err() && bl31(&boot, "lts-v2.12.10").is_err());
        assert!(
            model(&boot, "FriendlyElec NanoPi M6").is_ok() && model(&boot, "FriendlyElec NanoPi").is_err()
        );
    }

    #[test]
    fn must_fail_a_loader_that_stays_where_it_was_and_a_medium_that_was_passed_over() {
        let answer = |to: &str, by: &str| Boot {
            answers: [(
                "bdinfo".to_owned(),
                vec![format!("relocaddr   = {to}"), format!("reloc off   = {by}")],
            )]
            .into(),
            ..Boot::default()
        };
        assert!(relocated(&answer("0x00000000eff19000", "0x00000000ef519000"), 0xa0_0000).is_ok());
        assert!(relocated(&answer("0x0000000000a00000", "0x0000000000000000"), 0xa0_0000).is_err());
        assert!(relocated(&answer("0x00000000eff19000", "0x00000000ef519000"), 0xb0_0000).is_err());
        let rom = |list: &[&str]| Boot {
            boot_rom: list.iter().map(|l| (*l).to_owned()).collect(),
            ..Boot::default()
        };
        assert!(taken(&rom(&["spi: no medium", "sd"])).is_ok());
        assert!(taken(&rom(&["emmc: id block: SHA-256 of entry 1 is wrong", "sd"])).is_err());
        assert!(taken(&rom(&["emmc"])).is_err() && taken(&rom(&[])).is_err());
    }
}
