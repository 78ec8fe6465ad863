// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads a flattened device tree (DTB): nodes and properties by path, model, compatible.
//!
//! Flattened form after the Devicetree Specification 0.4, chapter 5, version 17. Names are not held to
//! the specification's 31 characters: the kernel's own trees have longer ones. This module must not edit
//! or compile device trees (the source trees' own `dtc` does).

use std::ffi::CStr;

use crate::bytes::array;

/// First four bytes (Devicetree Specification 5.2), big-endian.
pub const MAGIC: u32 = 0xd00d_feed;
const HEADER_BYTES: usize = 40;
/// The version every `dtc` of the last twenty years writes; 16 lacks only the structure's size.
const VERSION: u32 = 17;
/// Deeper than any tree; keeps a damaged one from exhausting the stack.
const DEPTH_LIMIT: usize = 64;
/// The largest trees of boards have some five thousand nodes; questions by path look at all of a level.
const NODE_LIMIT: usize = 1 << 16;
/// Names of the kernel's trees have up to some forty characters. A hostile tree could name each of a million
/// properties by the same megabyte of text.
const NAME_LIMIT_BYTES: usize = 255;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Why a device tree was refused or a question about it has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than a header, or than the header's total size.
    #[error("device tree is truncated: needs {need_bytes} bytes, there are {have_bytes}")]
    Truncated {
        /// Bytes the header asks for.
        need_bytes: usize,
        /// Bytes there are.
        have_bytes: usize,
    },
    /// The first four bytes are not 0xd00dfeed.
    #[error("device tree magic is {0:#010x}, not 0xd00dfeed")]
    Magic(u32),
    /// The structure is damaged.
    #[error("device tree is damaged: {0}")]
    Damaged(String),
    /// No such node.
    #[error("device tree has no node `{0}`")]
    NoNode(String),
    /// No such property.
    #[error("device tree node `{node}` has no property `{property}`")]
    NoProperty {
        /// Path of the node.
        node: String,
        /// Name of the property.
        property: String,
    },
    /// The property's bytes are not of the kind asked for.
    #[error("device tree property `{property}` of `{node}` is not {kind}")]
    Kind {
        /// Path of the node.
        node: String,
        /// Name of the property.
        property: String,
        /// What was asked for.
        kind: &'static str,
    },
}

/// A node: its own name, its properties, its children, all in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// Name with unit address; empty for the root.
    pub name: &'a str,
    /// Name and raw bytes of each property.
    pub properties: Vec<(&'a str, &'a [u8])>,
    /// The nodes below.
    pub children: Vec<Node<'a>>,
}

impl<'a> Node<'a> {
    /// The child of this full name; without a unit address also the only child of that name.
    pub fn child(&self, name: &str) -> Option<&Node<'a>> {
        if let Some(exact) = self.children.iter().find(|child| child.name == name) {
            return Some(exact);
        }
        let mut close = self.children.iter().filter(|child| child.name.split('@').next() == Some(name));
        close.next().filter(|_| close.next().is_none())
    }
}

/// A device tree whose structure was read from end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree<'a> {
    bytes: &'a [u8],
    root: Node<'a>,
}

impl<'a> Tree<'a> {
    /// Reads the tree that `bytes` starts with; what follows its total size is ignored.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let word = |index: usize| {
            be32(bytes, index * 4)
                .ok_or(Error::Truncated { need_bytes: HEADER_BYTES, have_bytes: bytes.len() })
        };
        let magic = word(0)?;
        if magic != MAGIC {
            return Err(Error::Magic(magic));
        }
        let (need_bytes, structure, strings) = (word(1)? as usize, word(2)? as usize, word(3)? as usize);
        let (version, last_compatible, strings_bytes) = (word(5)?, word(6)?, word(8)? as usize);
        word(HEADER_BYTES / 4 - 1)?;
        if version < VERSION || last_compatible > VERSION {
            return Err(Error::Damaged(format!("version {version}, compatible down to {last_compatible}")));
        }
        let own = bytes.get(..need_bytes).ok_or(Error::Truncated { need_bytes, have_bytes: bytes.len() })?;
        let strings = strings.checked_add(strings_bytes).and_then(|end| own.get(strings..end));
        let strings = strings.ok_or_else(|| Error::Damaged("the strings lie past the end".to_owned()))?;
        let mut reader = Reader { bytes: own, strings, at: structure, nodes: 0 };
        let root = match (reader.token()?, reader.name()?) {
            (BEGIN_NODE, "") => reader.node("", 0)?,
            (token, name) => {
                return Err(reader.damaged(&format!("token {token} `{name}` instead of the root")));
            }
        };
        match reader.token()? {
            END => Ok(Self { bytes: own, root }),
            token => Err(reader.damaged(&format!("token {token} behind the root"))),
        }
    }

    /// Length of the tree in bytes, from its header.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The tree's own bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The node at an absolute path; a unit address may be left out where the name is unique.
    pub fn node(&self, path: &str) -> Result<&Node<'a>, Error> {
        let missing = || Error::NoNode(path.to_owned());
        let names = path.strip_prefix('/').ok_or_else(missing)?.split('/').filter(|name| !name.is_empty());
        let mut node = &self.root;
        for name in names {
            node = node.child(name).ok_or_else(missing)?;
        }
        Ok(node)
    }

    /// Full names (with unit address) of a node's children, in the order of the file.
    pub fn children(&self, path: &str) -> Result<Vec<String>, Error> {
        Ok(self.node(path)?.children.iter().map(|child| child.name.to_owned()).collect())
    }

    /// Raw bytes of a property.
    pub fn property(&self, path: &str, name: &str) -> Result<&'a [u8], Error> {
        self.optional(path, name)?
            .ok_or_else(|| Error::NoProperty { node: path.to_owned(), property: name.to_owned() })
    }

    /// Raw bytes of a property, `None` when the node does not have it.
    pub fn optional(&self, path: &str, name: &str) -> Result<Option<&'a [u8]>, Error> {
        Ok(self.node(path)?.properties.iter().find(|(found, _)| *found == name).map(|(_, value)| *value))
    }

    /// A string list, such as `compatible`.
    pub fn strings(&self, path: &str, name: &str) -> Result<Vec<String>, Error> {
        let kind =
            || Error::Kind { node: path.to_owned(), property: name.to_owned(), kind: "a list of strings" };
        let value = self.property(path, name)?;
        let body = value.strip_suffix(&[0]).ok_or_else(kind)?;
        body.split(|b| *b == 0).map(|part| String::from_utf8(part.to_vec()).map_err(|_| kind())).collect()
    }

    /// A single string, such as `model`.
    pub fn string(&self, path: &str, name: &str) -> Result<String, Error> {
        let mut all = self.strings(path, name)?;
        if all.len() == 1 {
            return Ok(all.remove(0));
        }
        Err(Error::Kind { node: path.to_owned(), property: name.to_owned(), kind: "one string" })
    }

    /// A list of 32-bit cells.
    pub fn cells(&self, path: &str, name: &str) -> Result<Vec<u32>, Error> {
        let value = self.property(path, name)?;
        let (words, rest) = value.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(Error::Kind {
                node: path.to_owned(),
                property: name.to_owned(),
                kind: "a list of cells",
            });
        }
        Ok(words.iter().map(|word| u32::from_be_bytes(*word)).collect())
    }

    /// A number of one or two cells.
    pub fn number(&self, path: &str, name: &str) -> Result<u64, Error> {
        match *self.cells(path, name)? {
            [low] => Ok(u64::from(low)),
            [high, low] => Ok(u64::from(high) << 32 | u64::from(low)),
            _ => Err(Error::Kind {
                node: path.to_owned(),
                property: name.to_owned(),
                kind: "a number of one or two cells",
            }),
        }
    }

    /// `model` of the root node.
    pub fn model(&self) -> Result<String, Error> {
        self.string("/", "model")
    }

    /// `compatible` of the root node, most specific first.
    pub fn compatible(&self) -> Result<Vec<String>, Error> {
        self.strings("/", "compatible")
    }
}

/// Walks the structure block.
struct Reader<'a> {
    bytes: &'a [u8],
    strings: &'a [u8],
    at: usize,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn damaged(&self, why: &str) -> Error {
        Error::Damaged(format!("{why} at {:#x}", self.at))
    }

    fn word(&mut self) -> Result<u32, Error> {
        let word = be32(self.bytes, self.at).ok_or_else(|| self.damaged("the structure ends early"))?;
        self.at += 4;
        Ok(word)
    }

    /// The next token that says something.
    fn token(&mut self) -> Result<u32, Error> {
        loop {
            match self.word()? {
                NOP => {}
                token => return Ok(token),
            }
        }
    }

    fn name(&mut self) -> Result<&'a str, Error> {
        let name = text(self.bytes.get(self.at..).unwrap_or_default())
            .ok_or_else(|| self.damaged("a node's name is not text"))?;
        self.at = (self.at + name.len() + 1).next_multiple_of(4);
        Ok(name)
    }

    /// What follows a node's name, up to and including its end.
    fn node(&mut self, name: &'a str, depth: usize) -> Result<Node<'a>, Error> {
        if depth > DEPTH_LIMIT {
            return Err(self.damaged("nodes are nested too deep"));
        }
        self.nodes += 1;
        if self.nodes > NODE_LIMIT {
            return Err(self.damaged(&format!("more than {NODE_LIMIT} nodes")));
        }
        let mut node = Node { name, properties: Vec::new(), children: Vec::new() };
        loop {
            match self.token()? {
                PROPERTY => node.properties.push(self.property()?),
                BEGIN_NODE => {
                    let child = self.name()?;
                    node.children.push(self.node(child, depth + 1)?);
                }
                END_NODE => return Ok(node),
                token => return Err(self.damaged(&format!("unknown token {token}"))),
            }
        }
    }

    fn property(&mut self) -> Result<(&'a str, &'a [u8]), Error> {
        let (size_bytes, name_offset) = (self.word()? as usize, self.word()? as usize);
        let name = self.strings.get(name_offset..).and_then(text);
        let name = name.ok_or_else(|| self.damaged("a property's name is not text"))?;
        let value = self.at.checked_add(size_bytes).and_then(|end| self.bytes.get(self.at..end));
        let value = value.ok_or_else(|| self.damaged("a property lies past the end"))?;
        self.at = (self.at + size_bytes).next_multiple_of(4);
        Ok((name, value))
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    let near = bytes.get(..=NAME_LIMIT_BYTES).unwrap_or(bytes);
    CStr::from_bytes_until_nul(near).ok()?.to_str().ok()
}

fn be32(bytes: &[u8], offset_bytes: usize) -> Option<u32> {
    array(bytes, offset_bytes).map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

    fn sample() -> Vec<u8> {
        let mut tree = DeviceTree::new();
        let property = |name: &str, value: &[u8]| DeviceTreeProperty::new(name, value).expect("a legal name");
        tree.root.add_property(property("model", b"FriendlyElec NanoPi M6\0"));
        tree.root.add_property(property("compatible", b"friendlyarm,nanopi-m6\0rockchip,rk3588s\0"));
        let mut child = DeviceTreeNode::new("mmc@fe2c0000").expect("a legal name");
        child.add_property(property("reg", &[0, 0, 0, 0, 0xfe, 0x2c, 0, 0]));
        child.add_property(property("odd", &[1, 2, 3]));
        let long = DeviceTreeProperty::new_unchecked("rockchip,a-name-of-more-than-31-characters", [0_u8; 0]);
        child.add_property(long);
        tree.root.add_child(child);
        tree.to_dtb()
    }

    #[test]
    fn reads_by_path() {
        let bytes = [sample(), vec![0xff; 7]].concat();
        let tree = Tree::parse(&bytes).expect("a tree with bytes after it");
        assert_eq!(tree.model().expect("model"), "FriendlyElec NanoPi M6");
        assert_eq!(tree.compatible().expect("compatible"), ["friendlyarm,nanopi-m6", "rockchip,rk3588s"]);
        assert_eq!(tree.children("/").expect("root"), ["mmc@fe2c0000"]);
        assert_eq!(tree.number("/mmc@fe2c0000", "reg").expect("reg"), 0xfe2c_0000);
        assert_eq!(tree.cells("/mmc@fe2c0000", "reg").expect("reg"), [0, 0xfe2c_0000]);
        assert_eq!(tree.size_bytes(), bytes.len() - 7);
        let long = "rockchip,a-name-of-more-than-31-characters";
        assert_eq!(tree.property("/mmc", long).expect("without the unit address"), b"");
        assert_eq!(tree.optional("/", "absent").expect("the node is there"), None);
    }

    #[test]
    fn must_fail_01_bad_magic() {
        let mut bytes = sample();
        bytes[0] = 0;
        assert!(matches!(Tree::parse(&bytes), Err(Error::Magic(_))));
    }

    #[test]
    fn must_fail_02_truncated() {
        let bytes = sample();
        for len in [0, 3, 7, 39, bytes.len() - 1] {
            assert!(matches!(Tree::parse(&bytes[..len]), Err(Error::Truncated { .. })), "length {len}");
        }
    }

    #[test]
    fn must_fail_03_damaged_structure() {
        let good = sample();
        let word = |at: usize| be32(&good, at).expect("in the header") as usize;
        let (structure, strings) = (word(8), word(12));
        // An unknown token, a size and a name offset past the end, strings past the end, an old version.
        let changes =
            [(structure + 3, 7), (structure + 12, 0x7f), (structure + 16, 0x7f), (12, 0x7f), (23, 2)];
        for (at, byte) in changes {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert!(matches!(Tree::parse(&bytes), Err(Error::Damaged(_))), "byte {at:#x}");
        }
        // No end: the last token of the structure is overwritten.
        let mut bytes = good.clone();
        let end = (structure..strings).rev().find(|at| good[*at] == 9).expect("an end token");
        bytes[end] = 4;
        assert!(matches!(Tree::parse(&bytes), Err(Error::Damaged(_))));
    }

    #[test]
    fn must_fail_04_missing_or_of_another_kind() {
        let bytes = sample();
        let tree = Tree::parse(&bytes).expect("a good tree");
        assert!(matches!(tree.node("/nothing"), Err(Error::NoNode(_))));
        assert!(matches!(tree.property("/", "nothing"), Err(Error::NoProperty { .. })));
        assert!(matches!(tree.cells("/mmc@fe2c0000", "odd"), Err(Error::Kind { .. })));
        assert!(matches!(tree.string("/", "compatible"), Err(Error::Kind { .. })));
        assert!(matches!(tree.strings("/mmc@fe2c0000", "odd"), Err(Error::Kind { .. })));
    }
}
