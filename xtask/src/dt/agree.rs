// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One description, several source trees: what the board says of a node is the same in all of them.
//!
//! SoC files differ from release to release, so whole trees cannot be equal. What the board adds to the SoC's file
//! alone must be: for every property that it touches in either tree, both must end with one value, or the table
//! (`dt-rules/trees.toml`) says which part that tree's SoC files have no nodes for.

use std::collections::BTreeSet;

use fw_image::dt::{Dt, Value};
use serde::Deserialize;

use super::complaint::Complaint;
use super::delta::differences;
use super::tree::TreeRow;

/// `trees.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trees {
    /// The trees; the first one is what the others are held against.
    pub tree: Vec<TreeRow>,
    /// What some of them leave out.
    pub omission: Vec<Omission>,
}

/// Nodes that some trees leave out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Omission {
    /// Folders of these trees.
    pub trees: Vec<String>,
    /// The nodes with all below them, as paths or `&label` of the first tree.
    pub nodes: Vec<String>,
    /// The file of `dts/` that these trees do not include.
    pub part: String,
    /// Why.
    pub reason: String,
}

/// A tree with the board and without.
pub struct Pair {
    /// Folder of `dts/`.
    pub folder: String,
    /// The SoC's file alone.
    pub soc: Dt,
    /// With the board.
    pub board: Dt,
}

/// What holding one tree against the first gave.
pub struct Agreement {
    /// Properties of the board that were compared.
    pub compared: usize,
    /// Nodes left out, with the reason.
    pub omitted: Vec<(String, String)>,
    /// What is wrong.
    pub complaints: Vec<Complaint>,
}

impl Trees {
    /// Holds `other` against `first`.
    pub fn judge(&self, first: &Pair, other: &Pair) -> Agreement {
        let mut result = Agreement { compared: 0, omitted: Vec::new(), complaints: Vec::new() };
        let rows: Vec<&Omission> = self.omission.iter().filter(|o| o.trees.contains(&other.folder)).collect();
        let excused: Vec<(String, &Omission)> = rows
            .iter()
            .flat_map(|row| row.nodes.iter().filter_map(|n| Some((first.board.resolve(n)?, *row))))
            .collect();
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let touched: BTreeSet<(String, String)> = [first, other]
            .iter()
            .flat_map(|pair| differences(&pair.soc, &pair.board))
            .map(|d| (d.path, d.property))
            .collect();
        for (path, property) in touched {
            result.compared += 1;
            let value = |pair: &Pair| pair.board.property(&path, &property).cloned();
            let (one, two) = (value(first), value(other));
            if one == two {
                continue;
            }
            let under =
                |node: &str| path == node || path.strip_prefix(node).is_some_and(|r| r.starts_with('/'));
            if let Some((node, _)) = excused.iter().find(|(node, _)| under(node)) {
                used.insert(node);
                continue;
            }
            let show = |pair: &Pair, v: &Option<Value>| match v {
                Some(v) => pair.board.show(v),
                None if pair.board.node(&path).is_some() => "-".to_owned(),
                None => "(no such node)".to_owned(),
            };
            result.complaints.push(Complaint::because(
                format!(
                    "`{property}` of `{path}` is `{}` in {}, `{}` in {}",
                    show(first, &one),
                    first.folder,
                    show(other, &two),
                    other.folder
                ),
                "kernel and loader must describe one board; what a tree cannot describe is an omission of the table",
            ));
        }
        for (node, row) in &excused {
            let name = first.board.label_of(node).map_or_else(|| node.clone(), |l| format!("&{l}"));
            if used.contains(node.as_str()) {
                result.omitted.push((name, row.reason.clone()));
            } else {
                result.complaints.push(Complaint::because(
                    format!("`{name}` is no omission of {}: both trees have it alike", other.folder),
                    &row.reason,
                ));
            }
        }
        let known: usize = rows.iter().map(|row| row.nodes.len()).sum();
        if known != excused.len() {
            result.complaints.push(Complaint::new(format!(
                "`trees.toml` names a label that {} does not have",
                first.folder
            )));
        }
        result
    }
}
