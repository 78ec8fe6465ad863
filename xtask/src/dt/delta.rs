// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Differences of two device trees, property by property. Only lists them; whether they are right is for others.

use std::collections::BTreeSet;

use fw_image::dt::{Dt, Value};

/// One property that is not the same in two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Path of the node.
    pub path: String,
    /// The property; empty for a node that only one tree has and that has no property.
    pub property: String,
    /// As text, in the first tree.
    pub left: Option<String>,
    /// As text, in the second tree.
    pub right: Option<String>,
}

impl Difference {
    /// `&label property: left -> right`.
    pub fn line(&self, dt: &Dt) -> String {
        let place = dt.label_of(&self.path).map_or_else(|| self.path.clone(), |label| format!("&{label}"));
        let side = |v: &Option<String>| v.clone().unwrap_or_else(|| "-".to_owned());
        format!("{place} {}: {} -> {}", self.property, side(&self.left), side(&self.right))
    }
}

/// Every property that is in one tree only or has another value.
pub fn differences(left: &Dt, right: &Dt) -> Vec<Difference> {
    let paths: BTreeSet<&str> = left.nodes().chain(right.nodes()).map(|(path, _)| path).collect();
    let mut found = Vec::new();
    for path in paths {
        let (l, r) = (left.node(path), right.node(path));
        let names: BTreeSet<&String> =
            [l, r].into_iter().flatten().flat_map(|n| n.properties.keys()).collect();
        if names.is_empty() && l.is_some() != r.is_some() {
            let there = |side: Option<_>| side.map(|_| "(node)".to_owned());
            let (left, right) = (there(l), there(r));
            found.push(Difference { path: path.to_owned(), property: String::new(), left, right });
        }
        for name in names {
            let value = |dt: &Dt| dt.property(path, name).cloned();
            let (a, b) = (value(left), value(right));
            if a != b {
                let show = |dt: &Dt, v: &Option<Value>| v.as_ref().map(|v| dt.show(v));
                found.push(Difference {
                    path: path.to_owned(),
                    property: name.clone(),
                    left: show(left, &a),
                    right: show(right, &b),
                });
            }
        }
    }
    found
}
