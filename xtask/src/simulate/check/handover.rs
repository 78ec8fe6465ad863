// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the kernel is given: device tree, MAC address, command line; and that it takes over.

use std::collections::BTreeSet;

use fw_build::{Failure, Result};
use fw_image::fdt::{Node, Tree};
use fw_image::grubcfg::{self, Config};
use rk3588_model::events::Event;

use super::identity::mac;
use super::runs::Boot;
use super::{Judged, Wanted, judged};
use crate::simulate::drivers::log;

/// Nodes that loaders put into the tree: the rest must be the file's.
const ADDED: [&str; 4] = ["/chosen", "/memory", "/reserved-memory", "/firmware"];
/// What GRUB puts before the command line.
const BOOT_IMAGE: &str = "BOOT_IMAGE=";

/// The assertions.
///
/// # Errors
/// The image has no `grub.cfg` or no device tree to compare with.
pub fn judge(wanted: &Wanted<'_>, boot: &Boot) -> Result<Vec<Judged>> {
    let subject = wanted.subject;
    let dtb = subject.on_esp(&format!("dtb/{}", wanted.board.dtb))?;
    let config =
        String::from_utf8_lossy(&subject.on_boot(crate::simulate::faults::subject::GRUB_CFG)?).into_owned();
    let config = grubcfg::parse(&config).map_err(|e| Failure::new("cannot read `grub.cfg`").why(e))?;
    let taken_over = match (&boot.stopped, boot.taken_over) {
        (None, Some(instructions)) => Ok(format!("after {} million instructions", instructions / 1_000_000)),
        (why, _) => Err(why.clone().unwrap_or_else(|| "it did not".to_owned())),
    };
    let with_tree = |judge: &dyn Fn(&Tree<'_>) -> Result<String, String>| {
        Tree::parse(&boot.tree)
            .map_err(|e| format!("the kernel was given no device tree: {e}"))
            .and_then(|t| judge(&t))
    };
    let mut all = vec![
        judged("the kernel takes over", taken_over),
        judged("the kernel is given the ESP's device tree", with_tree(&|tree| same_tree(tree, &dtb))),
        judged("`ethernet0` has U-Boot's MAC address", with_tree(&|tree| ethernet(tree, boot))),
        judged(
            "the command line is GRUB's default entry's, and what was typed behind it",
            with_tree(&|tree| command_line(tree, &config)),
        ),
        judged("nothing is written to a medium", no_writes(&boot.events)),
    ];
    let names = config.entries.iter().map(|e| e.name.as_str()).chain([grubcfg::RESET_NAME]);
    all.extend(names.map(|name| judged(format!("GRUB shows `{name}`"), shown(boot, name))));
    Ok(all)
}

fn paths(node: &Node<'_>, prefix: &str, into: &mut BTreeSet<String>) {
    for child in &node.children {
        let path = format!("{prefix}/{}", child.name);
        paths(child, &path, into);
        into.insert(path);
    }
}

fn same_tree(given: &Tree<'_>, file: &[u8]) -> Result<String, String> {
    let file = Tree::parse(file).map_err(|e| e.to_string())?;
    let all = |tree: &Tree<'_>| {
        let mut set = BTreeSet::new();
        tree.node("/").map(|root| paths(root, "", &mut set)).map_err(|e| e.to_string()).map(|()| set)
    };
    let (given, file) = (all(given)?, all(&file)?);
    let added = |path: &&String| !ADDED.iter().any(|a| path.starts_with(a));
    let missing: Vec<_> = file.difference(&given).filter(added).collect();
    let foreign: Vec<_> = given.difference(&file).filter(added).collect();
    match (missing.first(), foreign.first()) {
        (None, None) => Ok(format!("{} nodes", file.len())),
        (Some(path), _) => Err(format!("{} nodes of the file are missing, such as `{path}`", missing.len())),
        (None, Some(path)) => Err(format!("{} nodes are not in the file, such as `{path}`", foreign.len())),
    }
}

fn ethernet(tree: &Tree<'_>, boot: &Boot) -> Result<String, String> {
    let path = tree.string("/aliases", "ethernet0").map_err(|e| e.to_string())?;
    let given = tree.property(&path, "local-mac-address").map_err(|e| e.to_string())?;
    let text = boot.variable("ethaddr").ok_or("`ethaddr` is not set")?;
    match mac(text) {
        Some(bytes) if bytes == given => Ok(format!("{text} in `{path}`")),
        _ => Err(format!("`{path}` has {given:02x?}, `ethaddr` is `{text}`")),
    }
}

fn command_line(tree: &Tree<'_>, config: &Config) -> Result<String, String> {
    let given = tree.string("/chosen", "bootargs").map_err(|e| e.to_string())?;
    let wanted = &config.entry(config.default).ok_or("`grub.cfg` has no default entry")?.cmdline;
    // GRUB's own word comes first.
    let arguments = match given.split_once(' ') {
        Some((first, rest)) if first.starts_with(BOOT_IMAGE) => rest,
        _ => given.as_str(),
    };
    let wanted = format!("{} {}", wanted.trim_end(), log::ARGUMENTS);
    if arguments.trim_end() == wanted {
        return Ok(format!("{} bytes", wanted.len()));
    }
    Err(format!("`{given}` and not `{wanted}`"))
}

fn no_writes(events: &[Event]) -> Result<String, String> {
    match events.iter().find(|e| matches!(e, Event::MediumWrite { .. })) {
        None => Ok("none".to_owned()),
        Some(event) => Err(format!("{event:?}")),
    }
}

fn shown(boot: &Boot, name: &str) -> Result<String, String> {
    if boot.lines.iter().any(|l| l.trim_start_matches(['*', ' ']).starts_with(name)) {
        return Ok("in the menu".to_owned());
    }
    Err("not in the menu".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::simulate::sketch::Sketch;

    fn parse(bytes: &[u8]) -> Tree<'_> {
        Tree::parse(bytes).expect("a device tree")
    }

    #[test]
    fn must_fail_a_menu_without_the_entry() {
        let boot = Boot { lines: vec!["*A - Talos v1.10.9      ".to_owned()], ..Boot::default() };
        assert!(shown(&boot, "A - Talos v1.10.9").is_ok());
        assert!(shown(&boot, "B - Talos v1.10.9").is_err());
    }

    #[test]
    fn must_fail_a_write_to_a_medium() {
        assert!(no_writes(&[Event::RandomRead]).is_ok());
        assert!(no_writes(&[Event::MediumWrite { medium: "sd", lba: 1, sectors: 1 }]).is_err());
    }

    #[test]
    fn must_fail_a_tree_that_lacks_a_node_of_the_file_or_has_another() {
        let cpus = |cpu: bool| {
            let node = Sketch::new("cpus");
            if cpu { node.below(Sketch::new("cpu@0")) } else { node }
        };
        let root = |cpu, soc: Sketch| Sketch::new("").below(cpus(cpu)).below(soc);
        let chosen = Sketch::new("chosen").below(Sketch::new("framebuffer"));
        let file = root(true, Sketch::new("soc")).dtb();
        let fixed_up = root(true, Sketch::new("soc")).below(chosen).dtb();
        let short = root(false, Sketch::new("soc")).dtb();
        let other = root(true, Sketch::new("soc").below(Sketch::new("usb"))).dtb();
        assert_eq!(same_tree(&parse(&fixed_up), &file), Ok("3 nodes".to_owned()));
        let lacks = same_tree(&parse(&short), &file).expect_err("a node is missing");
        assert!(lacks.contains("`/cpus/cpu@0`"), "{lacks}");
        let foreign = same_tree(&parse(&other), &file).expect_err("a foreign node");
        assert!(foreign.contains("`/soc/usb`"), "{foreign}");
    }

    #[test]
    fn must_fail_another_mac_address_than_u_boots_or_none() {
        let answers = |ethaddr: &str| {
            let answer = vec![format!("ethaddr={ethaddr}")];
            Boot { answers: BTreeMap::from([("printenv ethaddr".into(), answer)]), ..Boot::default() }
        };
        let eth = |mac: &[u8]| Sketch::new("eth").with("local-mac-address", mac);
        let with = |mac: &[u8]| {
            let aliases = Sketch::new("aliases").text("ethernet0", "/eth");
            Sketch::new("").below(aliases).below(eth(mac)).dtb()
        };
        let ours = [0x32, 1, 2, 3, 4, 5];
        assert!(ethernet(&parse(&with(&ours)), &answers("32:01:02:03:04:05")).is_ok());
        assert!(ethernet(&parse(&with(&ours)), &answers("32:01:02:03:04:06")).is_err());
        assert!(ethernet(&parse(&with(&[0; 6])), &answers("32:01:02:03:04:05")).is_err());
        assert!(ethernet(&parse(&with(&ours)), &Boot::default()).is_err());
        let nowhere = Sketch::new("").below(eth(&ours)).dtb();
        assert!(ethernet(&parse(&nowhere), &answers("32:01:02:03:04:05")).is_err());
    }

    #[test]
    fn must_fail_another_command_line_than_the_default_entrys() {
        let config = Config::image("v1.10.9", "talos.platform=metal console=ttyS2");
        let given = |line: &str| Sketch::new("").below(Sketch::new("chosen").text("bootargs", line)).dtb();
        let right = &format!("BOOT_IMAGE=/A/vmlinuz talos.platform=metal console=ttyS2 {}", log::ARGUMENTS);
        assert!(command_line(&parse(&given(right)), &config).is_ok());
        let short = right.replace(" console=ttyS2", "");
        assert!(command_line(&parse(&given(&short)), &config).is_err());
        assert!(command_line(&parse(&given("BOOT_IMAGE=/A/vmlinuz talos.platform=metal")), &config).is_err());
        assert!(command_line(&parse(&given(&format!("{right} init=/bin/sh"))), &config).is_err());
        assert!(command_line(&parse(&Sketch::new("").below(Sketch::new("chosen")).dtb()), &config).is_err());
    }
}
