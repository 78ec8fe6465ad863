// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sets one property in a flattened device tree and leaves every other byte's meaning as it was.
//!
//! Everything else about a tree is made by the source trees' own `dtc`; this is for the one value that only
//! the machine it is installed on can have (a MAC address). Format: Devicetree Specification 0.4, chapter 5.

use crate::fdt::{Error, Tree};

/// `FDT_PROP` and `FDT_NOP`, big-endian words of the structure block.
const PROPERTY: u32 = 3;
const NOP: [u8; 4] = 4_u32.to_be_bytes();

/// Bytes of a property's token, size and name offset.
const PROPERTY_HEAD_BYTES: usize = 12;

/// Words of the header by number (Devicetree Specification 0.4, 5.2).
const TOTAL_SIZE: usize = 1;
const STRUCTURE_OFFSET: usize = 2;
const STRINGS_OFFSET: usize = 3;
const RESERVATIONS_OFFSET: usize = 4;
const STRINGS_BYTES: usize = 8;
const STRUCTURE_BYTES: usize = 9;

/// The tree with `property` of the node at `path` set to `value`; what followed the tree is dropped.
///
/// The path is absolute, and not that of the root. A property that is there already is replaced.
///
/// # Errors
/// The tree is damaged, or it has no such node.
pub fn set_property(dtb: &[u8], path: &str, property: &str, value: &[u8]) -> Result<Vec<u8>, Error> {
    let tree = Tree::parse(dtb)?;
    let node = tree.node(path)?;
    if node.name.is_empty() || property.is_empty() || property.contains('\0') {
        return Err(Error::NoNode(format!("{path} (a node below the root, and a property with a name)")));
    }
    let start = tree.bytes().as_ptr().addr();
    // Names and values are parts of the tree's own bytes, so their distance from its start is their offset.
    let insert_at = (node.name.as_ptr().addr() - start + node.name.len() + 1).next_multiple_of(4);
    let old = node.properties.iter().find(|(name, _)| *name == property);
    let old = old.map(|(_, value)| (value.as_ptr().addr() - start, value.len()));
    let mut out = tree.bytes().to_vec();
    if let Some((at, size_bytes)) = old {
        if size_bytes == value.len() {
            out[at..at + size_bytes].copy_from_slice(value);
            return Ok(out);
        }
        let end = (at + size_bytes).next_multiple_of(4);
        for word in out[at - PROPERTY_HEAD_BYTES..end].chunks_exact_mut(4) {
            word.copy_from_slice(&NOP);
        }
    }
    let name_offset = name_offset(&mut out, property);
    // The strings may lie before the structure, and have just grown.
    let moved = word(&out, STRUCTURE_OFFSET) - word(tree.bytes(), STRUCTURE_OFFSET);
    let mut record = Vec::with_capacity(PROPERTY_HEAD_BYTES + value.len() + 3);
    for number in [PROPERTY, value.len() as u32, name_offset] {
        record.extend(number.to_be_bytes());
    }
    record.extend(value);
    record.resize(record.len().next_multiple_of(4), 0);
    insert(&mut out, insert_at + moved as usize, &record, STRUCTURE_BYTES);
    // Never hand out a tree that this crate's own reader would refuse.
    Tree::parse(&out)?;
    Ok(out)
}

/// Where the name stands in the strings block; added at its end if it is new.
fn name_offset(out: &mut Vec<u8>, name: &str) -> u32 {
    let (at, size) = (word(out, STRINGS_OFFSET) as usize, word(out, STRINGS_BYTES) as usize);
    let wanted = [name.as_bytes(), b"\0"].concat();
    let strings = &out[at..at + size];
    let starts = |i: usize| i == 0 || strings[i - 1] == 0;
    let found = (0..size).find(|i| starts(*i) && strings[*i..].starts_with(&wanted));
    if let Some(found) = found {
        return found as u32;
    }
    let mut added = wanted;
    // The reservations, which may follow, are aligned to 8 bytes.
    added.resize(added.len().next_multiple_of(8), 0);
    insert(out, at + size, &added, STRINGS_BYTES);
    size as u32
}

/// Inserts bytes at the end or inside of the block whose size the header has in `size_word`.
fn insert(out: &mut Vec<u8>, at: usize, bytes: &[u8], size_word: usize) {
    out.splice(at..at, bytes.iter().copied());
    let own = if size_word == STRINGS_BYTES { STRINGS_OFFSET } else { STRUCTURE_OFFSET };
    let added = bytes.len() as u32;
    for index in [STRUCTURE_OFFSET, STRINGS_OFFSET, RESERVATIONS_OFFSET] {
        if index != own && word(out, index) as usize >= at {
            grow(out, index, added);
        }
    }
    grow(out, size_word, added);
    grow(out, TOTAL_SIZE, added);
}

fn word(bytes: &[u8], index: usize) -> u32 {
    // `Tree::parse` saw the whole header.
    bytes[index * 4..index * 4 + 4].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

fn grow(out: &mut [u8], index: usize, added: u32) {
    let grown = word(out, index) + added;
    out[index * 4..index * 4 + 4].copy_from_slice(&grown.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

    const PATH: &str = "/ethernet@fe1c0000";
    const MAC: [u8; 6] = [2, 0, 0, 0xaa, 0xbb, 0xcc];

    fn sample() -> Vec<u8> {
        let property = |name: &str, value: &[u8]| DeviceTreeProperty::new(name, value).expect("a legal name");
        let mut tree = DeviceTree::new();
        tree.root.add_property(property("model", b"board\0"));
        let mut ethernet = DeviceTreeNode::new("ethernet@fe1c0000").expect("a legal name");
        ethernet.add_property(property("reg", &[0, 0, 0, 0, 0xfe, 0x1c, 0, 0]));
        ethernet.add_property(property("odd", &[1, 2, 3]));
        let mut phy = DeviceTreeNode::new("phy").expect("a legal name");
        phy.add_property(property("reg", &[0, 0, 0, 1]));
        ethernet.add_child(phy);
        tree.root.add_child(ethernet);
        tree.to_dtb()
    }

    /// Everything but the property that was set must be as before.
    fn others_kept(edited: &[u8]) {
        let original = sample();
        let (before, after) = (Tree::parse(&original).expect("a tree"), Tree::parse(edited).expect("a tree"));
        assert_eq!(after.model().expect("model"), "board");
        for (path, name) in [(PATH, "reg"), (PATH, "odd"), ("/ethernet@fe1c0000/phy", "reg")] {
            if after.optional(path, name).expect("the node") != before.optional(path, name).expect("node") {
                assert_eq!(name, "odd", "only `odd` is set by a test");
            }
        }
        assert_eq!(after.children(PATH).expect("children"), ["phy"]);
    }

    #[test]
    fn adds_and_replaces() {
        let with_mac = set_property(&sample(), PATH, "local-mac-address", &MAC).expect("a node is there");
        let value = |dtb: &[u8], name: &str| {
            Tree::parse(dtb).expect("a tree").property(PATH, name).expect("set").to_vec()
        };
        assert_eq!(value(&with_mac, "local-mac-address"), MAC);
        others_kept(&with_mac);
        // The same length stays in place: the file has the same size.
        let other = set_property(&with_mac, PATH, "local-mac-address", &[6; 6]).expect("replaced");
        assert_eq!((value(&other, "local-mac-address"), other.len()), (vec![6; 6], with_mac.len()));
        // Another length: the old one is blanked out, and is not there twice.
        let longer = set_property(&sample(), PATH, "odd", &[9; 9]).expect("replaced");
        assert_eq!(value(&longer, "odd"), [9; 9]);
        let tree = Tree::parse(&longer).expect("a tree");
        let count =
            tree.node(PATH).expect("node").properties.iter().filter(|(name, _)| *name == "odd").count();
        assert_eq!(count, 1);
        others_kept(&longer);
        // A second time with the same value changes nothing.
        assert_eq!(set_property(&with_mac, PATH, "local-mac-address", &MAC).expect("again"), with_mac);
    }

    #[test]
    fn strings_before_the_structure() {
        let dtb = sample();
        let number = |index| word(&dtb, index) as usize;
        let strings = dtb[number(STRINGS_OFFSET)..][..number(STRINGS_BYTES)].to_vec();
        let structure = dtb[number(STRUCTURE_OFFSET)..][..number(STRUCTURE_BYTES)].to_vec();
        let mut swapped = dtb[..number(STRUCTURE_OFFSET).min(number(STRINGS_OFFSET))].to_vec();
        let strings_at = swapped.len();
        swapped.extend(&strings);
        swapped.resize(swapped.len().next_multiple_of(8), 0);
        let structure_at = swapped.len();
        swapped.extend(&structure);
        let total = swapped.len();
        for (index, value) in
            [(STRINGS_OFFSET, strings_at), (STRUCTURE_OFFSET, structure_at), (TOTAL_SIZE, total)]
        {
            swapped[index * 4..index * 4 + 4].copy_from_slice(&(value as u32).to_be_bytes());
        }
        let edited = set_property(&swapped, PATH, "local-mac-address", &MAC).expect("a node is there");
        assert_eq!(
            Tree::parse(&edited).expect("a tree").property(PATH, "local-mac-address").expect("set"),
            MAC
        );
        others_kept(&edited);
    }

    #[test]
    fn must_fail_01_no_such_node() {
        for path in ["/", "/nothing", "nothing"] {
            assert!(set_property(&sample(), path, "local-mac-address", &MAC).is_err(), "{path}");
        }
        assert!(set_property(&sample(), PATH, "", &MAC).is_err());
        assert!(set_property(b"no tree", PATH, "x", &MAC).is_err());
    }
}
