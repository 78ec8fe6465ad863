// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The value of a property: bytes, and which of its cells refer to nodes.
//!
//! Must not know what any property means.

use std::collections::BTreeMap;

/// Bytes of a property. Two values are equal when they hold the same data and refer to the same paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The bytes; a cell that refers to a node is zero here, as its number means nothing outside of its tree.
    bytes: Vec<u8>,
    /// Paths referred to, by offset in bytes.
    references: BTreeMap<usize, String>,
}

impl Value {
    /// A value without references.
    pub fn new(bytes: &[u8]) -> Value {
        Value { bytes: bytes.to_vec(), references: BTreeMap::new() }
    }

    pub(super) fn cell_at(&self, offset: usize) -> Option<u32> {
        let bytes = self.bytes.get(offset..offset.checked_add(4)?)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    pub(super) fn add_reference(&mut self, offset: usize, target: &str) {
        self.bytes[offset..offset + 4].fill(0);
        self.references.insert(offset, target.to_owned());
    }

    /// Appends a cell.
    pub(super) fn push_cell(&mut self, cell: u32) {
        self.bytes.extend(cell.to_be_bytes());
    }

    /// Appends a reference to a path.
    pub(super) fn push_reference(&mut self, path: &str) {
        self.references.insert(self.bytes.len(), path.to_owned());
        self.push_cell(0);
    }

    /// Appends a string with its end.
    pub(super) fn push_string(&mut self, text: &str) {
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    /// Whether it holds nothing, as a boolean property does.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Paths that it refers to, in order.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.references.values().map(String::as_str)
    }

    /// The value as strings, if it is a list of printable ones.
    pub fn strings(&self) -> Option<Vec<&str>> {
        let body = self.bytes.strip_suffix(&[0]).filter(|_| self.references.is_empty())?;
        let parts = body.split(|b| *b == 0).map(|part| {
            let printable = !part.is_empty() && part.iter().all(|b| (0x20..0x7f).contains(b));
            std::str::from_utf8(part).ok().filter(|_| printable)
        });
        parts.collect()
    }

    /// The value as one string.
    pub fn string(&self) -> Option<&str> {
        match self.strings()?.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// The value as 32-bit cells, references as zero.
    pub fn cells(&self) -> Option<Vec<u32>> {
        let (words, rest) = self.bytes.as_chunks::<4>();
        rest.is_empty().then(|| words.iter().map(|word| u32::from_be_bytes(*word)).collect())
    }

    pub(super) fn show(&self, name: &dyn Fn(&str) -> String) -> String {
        if self.is_empty() {
            return "(set)".to_owned();
        }
        if let Some(strings) = self.strings() {
            return strings.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(", ");
        }
        let Some(cells) = self.cells() else {
            let bytes: Vec<String> = self.bytes.iter().map(|b| format!("{b:02x}")).collect();
            return format!("[{}]", bytes.join(" "));
        };
        let cells = cells.iter().enumerate().map(|(index, cell)| match self.references.get(&(index * 4)) {
            Some(path) => name(path),
            None if *cell < 10 => cell.to_string(),
            None => format!("{cell:#x}"),
        });
        format!("<{}>", cells.collect::<Vec<_>>().join(" "))
    }
}
