// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A compiled device tree as a whole: every node by path, what is enabled, and what refers to what.
//!
//! A phandle in a DTB is a number like any other, so a reader must know each property to find the references.
//! `dtc` knows them all: for a source with `/plugin/` it lists them in `/__local_fixups__` (dtc's
//! `Documentation/dt-object-internal.txt`, section 3.d). [`Dt`] reads that list; no property has to be
//! known here. Trees are compared by the paths that references lead to, never by phandle numbers.
//!
//! Must not edit trees and must not know this board: what is right for it is data of the caller.

mod text;
mod value;

use std::collections::BTreeMap;

use crate::fdt::{Error, Node as RawNode, Tree};

pub use text::{Expected, TextError, parse_expected};
pub use value::Value;

/// Nodes that `dtc` adds for overlays; no part of the description.
const GENERATED: [&str; 3] = ["__symbols__", "__fixups__", "__local_fixups__"];

/// Numbers that `dtc` assigns: two equal trees may have others.
const PHANDLES: [&str; 2] = ["phandle", "linux,phandle"];

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Whether it and all nodes above it are enabled (`status` absent, `okay` or `ok`).
    pub enabled: bool,
    /// Properties by name, without the phandles.
    pub properties: BTreeMap<String, Value>,
}

impl Node {
    /// The strings of `compatible`, most specific first; empty when there is none.
    pub fn compatible(&self) -> Vec<&str> {
        self.properties.get("compatible").and_then(Value::strings).unwrap_or_default()
    }
}

/// One reference from a property to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Path of the node that refers.
    pub from: &'a str,
    /// The property that holds the reference.
    pub property: &'a str,
    /// Path of the node referred to.
    pub to: &'a str,
}

/// A device tree: nodes by path, labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dt {
    nodes: BTreeMap<String, Node>,
    labels: BTreeMap<String, String>,
}

impl Dt {
    /// Reads a DTB. References are known only if it was compiled from a source with `/plugin/`, labels only
    /// with `-@` (which `/plugin/` implies).
    ///
    /// # Errors
    /// The tree is damaged, or its list of references does not fit it.
    pub fn parse(dtb: &[u8]) -> Result<Dt, Error> {
        let tree = Tree::parse(dtb)?;
        let root = tree.node("/")?;
        let mut dt = Dt::default();
        let mut phandles = BTreeMap::new();
        dt.add(root, "/", true, &mut phandles);
        if let Some(symbols) = root.child("__symbols__") {
            for (label, path) in &symbols.properties {
                let path = path.strip_suffix(&[0]).and_then(|p| std::str::from_utf8(p).ok());
                let path = path.ok_or_else(|| Error::Damaged(format!("label `{label}` is not a path")))?;
                dt.labels.insert((*label).to_owned(), path.to_owned());
            }
        }
        if let Some(fixups) = root.child("__local_fixups__") {
            dt.add_references(fixups, "/", &phandles)?;
        }
        Ok(dt)
    }

    fn add(
        &mut self,
        raw: &RawNode<'_>,
        path: &str,
        parent_enabled: bool,
        phandles: &mut BTreeMap<u32, String>,
    ) {
        let mut properties = BTreeMap::new();
        for (name, bytes) in &raw.properties {
            if PHANDLES.contains(name) {
                if let Ok(word) = <[u8; 4]>::try_from(*bytes) {
                    phandles.insert(u32::from_be_bytes(word), path.to_owned());
                }
            } else {
                properties.insert((*name).to_owned(), Value::new(bytes));
            }
        }
        let status = properties.get("status").and_then(Value::string);
        let enabled = parent_enabled && matches!(status, None | Some("okay" | "ok"));
        self.nodes.insert(path.to_owned(), Node { enabled, properties });
        for child in &raw.children {
            if path != "/" || !GENERATED.contains(&child.name) {
                self.add(child, &join(path, child.name), enabled, phandles);
            }
        }
    }

    /// `__local_fixups__` repeats the tree's nodes; each property holds the offsets of the phandles in the
    /// property of that name.
    fn add_references(
        &mut self,
        fixups: &RawNode<'_>,
        path: &str,
        phandles: &BTreeMap<u32, String>,
    ) -> Result<(), Error> {
        for (name, offsets) in &fixups.properties {
            let odd = |why: &str| Error::Damaged(format!("references of `{name}` of `{path}`: {why}"));
            let (offsets, rest) = offsets.as_chunks::<4>();
            let node = self.nodes.get_mut(path).ok_or_else(|| odd("no such node"))?;
            let value = node.properties.get_mut(*name).filter(|_| rest.is_empty());
            let value = value.ok_or_else(|| odd("no such property"))?;
            for offset in offsets {
                let offset = u32::from_be_bytes(*offset) as usize;
                let number = value.cell_at(offset).ok_or_else(|| odd("offset past the end"))?;
                let target = phandles.get(&number).ok_or_else(|| odd("no node has the phandle"))?;
                value.add_reference(offset, target);
            }
        }
        for child in &fixups.children {
            self.add_references(child, &join(path, child.name), phandles)?;
        }
        Ok(())
    }

    /// Nodes by path, sorted.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// The node at a path.
    pub fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Path of a label.
    pub fn label(&self, label: &str) -> Option<&str> {
        self.labels.get(label).map(String::as_str)
    }

    /// The shortest label of a path, as people would write it.
    pub fn label_of(&self, path: &str) -> Option<&str> {
        let labels = self.labels.iter().filter(|(_, p)| *p == path).map(|(l, _)| l.as_str());
        labels.min_by_key(|l| l.len())
    }

    /// The path that a place names: a path, `&label`, or `&label/child/child`.
    ///
    /// `None` for a label that this tree does not have. The node may still be absent.
    pub fn resolve(&self, place: &str) -> Option<String> {
        let Some(rest) = place.strip_prefix('&') else { return Some(place.to_owned()) };
        let (label, below) = rest.split_once('/').map_or((rest, None), |(l, b)| (l, Some(b)));
        let path = self.label(label)?;
        Some(below.map_or_else(|| path.to_owned(), |below| join(path, below)))
    }

    /// A property of the node at a path.
    pub fn property(&self, path: &str, name: &str) -> Option<&Value> {
        self.node(path)?.properties.get(name)
    }

    /// All references, in the order of paths.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.nodes.iter().flat_map(|(from, node)| {
            node.properties.iter().flat_map(move |(property, value)| {
                value.references().map(move |to| Reference { from, property, to })
            })
        })
    }

    /// The interrupt parent of a node: its own or the nearest one above.
    pub fn interrupt_parent(&self, path: &str) -> Option<&str> {
        let mut at = path;
        loop {
            let own = self.property(at, "interrupt-parent");
            if let Some(parent) = own.and_then(|value| value.references().next()) {
                return Some(parent);
            }
            at = parent(at)?;
        }
    }

    /// A value as text: references as `&label` (or `&{/path}`), strings quoted, cells in hexadecimal.
    pub fn show(&self, value: &Value) -> String {
        value.show(&|path| match self.label_of(path) {
            Some(label) => format!("&{label}"),
            None => format!("&{{{path}}}"),
        })
    }
}

/// The path of a child.
fn join(path: &str, child: &str) -> String {
    if path == "/" { format!("/{child}") } else { format!("{path}/{child}") }
}

/// The path above; `None` for the root.
pub fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        at => Some(&path[..at]),
    }
}

#[cfg(test)]
mod tests;
