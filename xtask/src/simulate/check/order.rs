// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What boots when card and eMMC hold what they may hold.
//!
//! The boot ROM takes the eMMC's loader before the card's; U-Boot takes the card's system before the eMMC's.

use super::runs::Boot;
use super::{Judged, judged};

/// What a medium holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// This image.
    Ours,
    /// Nothing is plugged in.
    Empty,
    /// Another system's disk: partitions, no loader, nothing that U-Boot could start.
    Foreign,
}

/// What both media hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Card.
    pub sd: Content,
    /// eMMC.
    pub emmc: Content,
}

/// What U-Boot prints when it starts a boot file, with the device before the dot (`boot/bootflow.c`).
const BOOTING: &str = "** Booting bootflow '";
/// The hosts by the names of the device tree's nodes.
const SD: &str = "mmc@fe2c0000";
const EMMC: &str = "mmc@fe2e0000";

impl Order {
    /// Every combination.
    pub fn all() -> Vec<Order> {
        let contents = [Content::Ours, Content::Empty, Content::Foreign];
        contents.iter().flat_map(|sd| contents.map(|emmc| Order { sd: *sd, emmc })).collect()
    }

    /// Whose loader and whose system must run.
    fn expected(self) -> Option<(&'static str, &'static str)> {
        use Content::Ours;
        match (self.sd, self.emmc) {
            (Ours, Ours) => Some(("emmc", SD)),
            (Ours, _) => Some(("sd", SD)),
            (_, Ours) => Some(("emmc", EMMC)),
            _ => None,
        }
    }
}

/// One assertion for each combination.
pub fn judge(boots: &[(Order, Boot)]) -> Vec<Judged> {
    boots.iter().map(|(order, boot)| judged(what(*order), one(*order, boot))).collect()
}

fn what(order: Order) -> String {
    format!("boot order with SD {}, eMMC {}", name(order.sd), name(order.emmc))
}

fn name(content: Content) -> &'static str {
    match content {
        Content::Ours => "ours",
        Content::Empty => "empty",
        Content::Foreign => "foreign",
    }
}

fn one(order: Order, boot: &Boot) -> Result<String, String> {
    let Some((loader, system)) = order.expected() else {
        return match (&boot.stopped, boot.boot_rom.last()) {
            (Some(why), None) => Ok(format!("nothing to boot: {why}")),
            (_, taken) => Err(format!("something boots from {taken:?}")),
        };
    };
    let from = boot.boot_rom.last().map_or("nothing", String::as_str);
    if from != loader {
        return Err(format!("the loader comes from {from}, not from {loader}"));
    }
    let booted = boot.lines.iter().rev().find_map(|l| l.split_once(BOOTING)).map(|(_, rest)| rest);
    match (booted, &boot.stopped) {
        (Some(flow), None) if flow.starts_with(system) => {
            Ok(format!("loader from {loader}, system from {system}"))
        }
        (Some(flow), None) => Err(format!("the system comes from {flow}, not from {system}")),
        (_, Some(why)) => Err(why.clone()),
        (None, None) => Err("U-Boot does not say what it boots".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(loader: &str, system: &str) -> Boot {
        Boot {
            boot_rom: vec![loader.to_owned()],
            lines: vec![format!("** Booting bootflow '{system}.bootdev.part_1' with efi")],
            ..Boot::default()
        }
    }

    #[test]
    fn must_fail_the_wrong_loader_the_wrong_system_and_none() {
        let ours = Order { sd: Content::Ours, emmc: Content::Ours };
        assert!(one(ours, &boot("emmc", SD)).is_ok());
        assert!(one(ours, &boot("sd", SD)).is_err());
        assert!(one(ours, &boot("emmc", EMMC)).is_err());
        let stopped = Boot { stopped: Some("model: stopped".into()), ..boot("emmc", SD) };
        assert!(one(ours, &stopped).is_err());
        let none = Order { sd: Content::Foreign, emmc: Content::Empty };
        assert!(one(none, &boot("sd", SD)).is_err());
        assert!(one(none, &Boot { stopped: Some("nothing".into()), ..Boot::default() }).is_ok());
        assert_eq!(Order::all().len(), 9);
    }
}
