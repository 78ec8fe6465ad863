// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Small device trees for tests.

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// A node.
#[derive(Debug, Clone)]
pub struct Sketch {
    name: String,
    properties: Vec<(String, Vec<u8>)>,
    children: Vec<Sketch>,
}

impl Sketch {
    /// A node of this name; the root's is empty.
    pub fn new(name: &str) -> Sketch {
        Sketch { name: name.to_owned(), properties: Vec::new(), children: Vec::new() }
    }

    /// With a property.
    #[must_use]
    pub fn with(mut self, name: &str, value: &[u8]) -> Sketch {
        self.properties.push((name.to_owned(), value.to_vec()));
        self
    }

    /// With a property of text.
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Sketch {
        self.with(name, format!("{value}\0").as_bytes())
    }

    /// With a property of cells.
    #[must_use]
    pub fn cells(self, name: &str, values: &[u32]) -> Sketch {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
        self.with(name, &bytes)
    }

    /// With a node below.
    #[must_use]
    pub fn below(mut self, child: Sketch) -> Sketch {
        self.children.push(child);
        self
    }

    /// The tree with this node as its root.
    pub fn dtb(&self) -> Vec<u8> {
        let mut tree = DeviceTree::new();
        self.fill(&mut tree.root);
        tree.to_dtb()
    }

    fn fill(&self, node: &mut DeviceTreeNode) {
        for (name, value) in &self.properties {
            node.add_property(DeviceTreeProperty::new(name, value.as_slice()).expect("a legal name"));
        }
        for child in &self.children {
            let mut below = DeviceTreeNode::new(&child.name).expect("a legal name");
            child.fill(&mut below);
            node.add_child(below);
        }
    }
}
