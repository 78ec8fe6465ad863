// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What enabled nodes refer to is enabled; lists and their names are of one length; no pin has two users.
//!
//! Knows the properties of the devicetree specification that pair up, and Rockchip's pin groups. What may be
//! disabled all the same is data (`dt-rules/references.toml`).

use std::collections::BTreeMap;

use fw_image::dt::{Dt, Node};
use serde::Deserialize;

use super::complaint::Complaint;

/// `references.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct References {
    /// References that may lead to a disabled node.
    #[serde(default)]
    pub may_be_disabled: Vec<Exception>,
}

/// One kind of reference.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exception {
    /// The property.
    pub property: String,
    /// The node, as path or `&label`; any when left out.
    pub node: Option<String>,
    /// Folders of the trees where that is so.
    pub trees: Vec<String>,
    /// Why.
    pub reason: String,
}

/// Lists of references with one entry per name.
const NAMED: [(&str, &str); 7] = [
    ("clocks", "clock-names"),
    ("resets", "reset-names"),
    ("phys", "phy-names"),
    ("dmas", "dma-names"),
    ("io-channels", "io-channel-names"),
    ("mboxes", "mbox-names"),
    ("nvmem-cells", "nvmem-cell-names"),
];

impl References {
    /// Judges all references of a tree.
    pub fn judge(&self, dt: &Dt, folder: &str) -> Vec<Complaint> {
        let mut complaints = self.to_disabled(dt, folder);
        complaints.extend(unequal_lists(dt));
        complaints.extend(shared_pins(dt));
        complaints
    }

    fn to_disabled(&self, dt: &Dt, folder: &str) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let enabled = |path: &str| dt.node(path).is_some_and(|n| n.enabled);
        let rows: Vec<&Exception> =
            self.may_be_disabled.iter().filter(|e| e.trees.iter().any(|t| t == folder)).collect();
        let mut used = vec![false; rows.len()];
        for reference in dt.references().filter(|r| enabled(r.from) && !enabled(r.to)) {
            let excused = rows.iter().position(|e| {
                e.property == reference.property
                    && e.node.as_ref().is_none_or(|n| dt.resolve(n).as_deref() == Some(reference.from))
            });
            match excused {
                Some(row) => used[row] = true,
                None => complaints.push(Complaint::because(
                    format!(
                        "`{}` of `{}` refers to `{}`, which is disabled",
                        reference.property,
                        name(dt, reference.from),
                        name(dt, reference.to)
                    ),
                    "an enabled device waits for ever for what a disabled one would give",
                )),
            }
        }
        for (path, node) in dt.nodes().filter(|(_, n)| n.enabled && n.properties.contains_key("interrupts")) {
            if node.properties.contains_key("interrupts-extended") {
                continue;
            }
            match dt.interrupt_parent(path) {
                Some(parent) if enabled(parent) => {}
                Some(parent) => complaints.push(Complaint::new(format!(
                    "`interrupts` of `{}` go to `{}`, which is disabled",
                    name(dt, path),
                    name(dt, parent)
                ))),
                None => complaints.push(Complaint::new(format!("`interrupts` of `{path}` have no parent"))),
            }
        }
        for (row, _) in rows.iter().zip(used).filter(|(_, used)| !used) {
            let what =
                format!("`references.toml` excuses `{}`, which needs no excuse in {folder}", row.property);
            complaints.push(Complaint::because(what, &row.reason));
        }
        complaints
    }
}

/// Label or path, for messages.
fn name(dt: &Dt, path: &str) -> String {
    dt.label_of(path).map_or_else(|| path.to_owned(), |label| format!("&{label}"))
}

fn unequal_lists(dt: &Dt) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, node) in dt.nodes().filter(|(_, n)| n.enabled) {
        let mut compare = |list: &str, names: &str, entries: usize| {
            let named = node.properties.get(names).and_then(|v| v.strings()).map_or(0, |s| s.len());
            if named != 0 && named != entries {
                let what =
                    format!("`{list}` of `{}` has {entries} entries, `{names}` has {named}", name(dt, path));
                complaints.push(Complaint::new(what));
            }
        };
        for (list, names) in NAMED {
            let entries = node.properties.get(list).map_or(0, |v| v.references().count());
            compare(list, names, entries);
        }
        let states = node.properties.keys().filter(|k| is_pin_state(k)).count();
        compare("pinctrl-N", "pinctrl-names", states);
    }
    complaints
}

fn is_pin_state(property: &str) -> bool {
    property.strip_prefix("pinctrl-").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
}

/// Two enabled devices that ask for one pin: only one of them gets it.
fn shared_pins(dt: &Dt) -> Vec<Complaint> {
    let mut users: BTreeMap<(u32, u32), Vec<&str>> = BTreeMap::new();
    for (path, node) in dt.nodes().filter(|(_, n)| n.enabled) {
        let mut own: Vec<(u32, u32)> = node
            .properties
            .iter()
            .filter(|(property, _)| is_pin_state(property))
            .flat_map(|(_, value)| value.references())
            .filter_map(|group| dt.node(group))
            .flat_map(pins)
            .collect();
        own.sort_unstable();
        own.dedup();
        own.into_iter().for_each(|pin| users.entry(pin).or_default().push(path));
    }
    let shared = users.iter().filter(|(_, paths)| paths.len() > 1);
    shared
        .map(|((bank, pin), paths)| {
            let paths: Vec<String> = paths.iter().map(|p| format!("`{}`", name(dt, p))).collect();
            let letter = char::from(b'A' + u8::try_from(pin / 8).unwrap_or(25));
            let what = format!("pin gpio{bank}_{letter}{} has {} users", pin % 8, paths.len());
            Complaint::because(
                format!("{what}: {}", paths.join(", ")),
                "`pinctrl-0`: only one of them gets the pin",
            )
        })
        .collect()
}

/// Bank and number of each pin of a group (`rockchip,pins`: bank, pin, function, configuration).
fn pins(group: &Node) -> Vec<(u32, u32)> {
    let cells = group.properties.get("rockchip,pins").and_then(|v| v.cells()).unwrap_or_default();
    cells.chunks_exact(4).map(|pin| (pin[0], pin[1])).collect()
}
