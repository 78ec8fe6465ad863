// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The kernel's drivers on the kernel's device tree: what has a model is bound, nothing is left waiting, and the card
//! that was booted from is seen.

use fw_image::fdt::Tree;

use super::runs::Boot;
use super::{Judged, judged};
use crate::simulate::drivers::log::{self, Outcome};
use crate::simulate::drivers::{Drivers, Row};

/// The assertions; `partitions`: how many the image has.
pub fn judge(boot: &Boot, partitions: usize) -> Vec<Judged> {
    let reached = match &boot.stopped_in_kernel {
        None => Ok(format!("after {} million instructions", boot.instructions / 1_000_000)),
        Some(why) => Err(why.clone()),
    };
    let with = |judge: &dyn Fn(&Drivers) -> Result<String, String>| {
        let drivers = boot.drivers.as_ref().ok_or_else(|| "the kernel did not take over".to_owned())?;
        if !drivers.complete {
            return Err(format!("the kernel did not get `{}` from GRUB's editor", log::ARGUMENTS));
        }
        judge(drivers)
    };
    vec![
        judged("the kernel starts its first program", reached),
        judged(
            "no device waits for another",
            with(&|drivers| none(drivers, |row| row.outcome == Some(Outcome::Deferred))),
        ),
        judged("no driver fails on what the model has", with(&|drivers| none(drivers, Row::is_failure))),
        judged(
            "what the aliases name is bound",
            with(&|drivers| {
                Tree::parse(&boot.tree).map_err(|e| e.to_string()).and_then(|tree| aliases(drivers, &tree))
            }),
        ),
        judged("the kernel sees the card's partitions", seen(&boot.lines, partitions)),
    ]
}

fn none(drivers: &Drivers, is_wrong: impl Fn(&Row) -> bool) -> Result<String, String> {
    let wrong: Vec<String> = drivers.with(is_wrong).map(ToString::to_string).collect();
    if wrong.is_empty() { Ok(format!("{} devices", drivers.rows.len())) } else { Err(wrong.join("; ")) }
}

/// Consoles, media, buses: whatever has a number that software relies on.
fn aliases(drivers: &Drivers, tree: &Tree<'_>) -> Result<String, String> {
    let aliases = tree.node("/aliases").map_err(|e| e.to_string())?;
    let mut bound = Vec::new();
    for (alias, path) in &aliases.properties {
        let path = String::from_utf8_lossy(path.strip_suffix(&[0]).unwrap_or(path)).into_owned();
        // Disabled nodes have aliases too: those of the SoC's files name all that there is.
        let Some(row) = drivers.rows.iter().find(|row| row.path.as_ref() == Some(&path)) else { continue };
        if row.outcome != Some(Outcome::Bound) {
            let state = if row.outcome.is_none() { ": no built-in driver" } else { "" };
            return Err(format!("`{alias}`, {row}{state}"));
        }
        bound.push(*alias);
    }
    if bound.is_empty() { Err("no alias names an enabled device".to_owned()) } else { Ok(bound.join(" ")) }
}

/// ` mmcblk0: p1 p2 p3 p4` (Linux `block/partitions/core.c`).
fn seen(lines: &[String], partitions: usize) -> Result<String, String> {
    let wanted: String = (1..=partitions).map(|n| format!(" p{n}")).collect();
    let line = lines
        .iter()
        .find(|l| l.split_once("mmcblk").is_some_and(|(_, l)| l.ends_with(&format!(":{wanted}"))));
    match line {
        Some(_) => Ok(format!("{partitions}")),
        None => Err(format!("no line `mmcblk…:{wanted}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::drivers::Touched;
    use crate::simulate::sketch::Sketch;

    fn boot(mmc: &str) -> Boot {
        let tree = Sketch::new("")
            .cells("#address-cells", &[2])
            .cells("#size-cells", &[2])
            .below(Sketch::new("aliases").text("mmc1", "/mmc@fe2c0000").text("i2c1", "/i2c@fea90000"))
            .below(
                Sketch::new("mmc@fe2c0000")
                    .text("compatible", "rockchip,rk3588-dw-mshc")
                    .cells("reg", &[0, 0xfe2c_0000, 0, 0x4000]),
            )
            .dtb();
        let text = format!("[    1.000000] probe of reg-dummy returned 0 after 1 usecs\n{mmc}");
        let log = log::read(text.lines());
        let drivers = Drivers::of(&log, &Tree::parse(&tree).expect("a tree"), &Touched::new());
        let lines = vec!["[   38.871126]  mmcblk0: p1 p2 p3 p4".to_owned()];
        Boot { drivers: Some(drivers), tree, lines, ..Boot::default() }
    }

    fn wrong(boot: &Boot) -> Vec<String> {
        judge(boot, 4).into_iter().filter(|j| j.verdict.is_err()).map(|j| j.what).collect()
    }

    #[test]
    fn a_bound_card_holds() {
        let all = judge(&boot("[    1.000001] probe of fe2c0000.mmc returned 0 after 1 usecs"), 4);
        assert_eq!(all.iter().find_map(|j| j.verdict.clone().err()), None);
        assert!(all.iter().any(|j| j.verdict == Ok("mmc1".to_owned())));
    }

    #[test]
    fn must_fail_a_card_that_waits_fails_or_has_no_driver() {
        let aliases = "what the aliases name is bound";
        let waits = boot("[    1.000001] probe of fe2c0000.mmc returned -517 after 1 usecs");
        assert_eq!(wrong(&waits), ["no device waits for another", aliases]);
        let fails = boot("[    1.000001] probe of fe2c0000.mmc returned 22 after 1 usecs");
        assert_eq!(wrong(&fails), ["no driver fails on what the model has", aliases]);
        assert_eq!(wrong(&boot("")), [aliases]);
    }

    #[test]
    fn must_fail_without_partitions_reports_or_first_program() {
        let sound = boot("[    1.000001] probe of fe2c0000.mmc returned 0 after 1 usecs");
        assert_eq!(
            wrong(&Boot { lines: Vec::new(), ..sound.clone() }),
            ["the kernel sees the card's partitions"]
        );
        let three = Boot { lines: vec!["[ 1.0]  mmcblk0: p1 p2 p3".to_owned()], ..sound.clone() };
        assert_eq!(wrong(&three), ["the kernel sees the card's partitions"]);
        let stopped = Boot { stopped_in_kernel: Some("panic".to_owned()), ..sound.clone() };
        assert_eq!(wrong(&stopped), ["the kernel starts its first program"]);
        let mut silent = sound;
        silent.drivers.iter_mut().for_each(|drivers| drivers.complete = false);
        assert_eq!(wrong(&silent).len(), 3);
        silent.drivers = None;
        assert_eq!(wrong(&silent).len(), 3);
    }
}
