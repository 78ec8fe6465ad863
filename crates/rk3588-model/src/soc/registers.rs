// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The register file: words that keep what was written, by address.

use std::collections::HashMap;

const PAGE_WORDS: usize = 1024;
/// Pages kept: 16 MiB of registers, more than all blocks of the SoC that are not windows.
const PAGE_LIMIT: usize = 4096;

/// Registers without behaviour.
#[derive(Debug, Default)]
pub struct Registers {
    pages: HashMap<u64, Box<[u32; PAGE_WORDS]>>,
}

fn place(address: u64) -> (u64, usize) {
    (address >> 12, (address >> 2) as usize % PAGE_WORDS)
}

impl Registers {
    /// The word at `address`; zero before it was written.
    pub fn read(&self, address: u64) -> u32 {
        let (page, word) = place(address);
        self.pages.get(&page).map_or(0, |page| page[word])
    }

    /// Changes the bits of `mask`. Past the bound on pages the write is lost: a guest that sprays the whole
    /// register space is not kept from doing so, only from using the host's memory for it.
    pub fn write(&mut self, address: u64, value: u32, mask: u32) {
        let (page, word) = place(address);
        if self.pages.len() >= PAGE_LIMIT && !self.pages.contains_key(&page) {
            return;
        }
        let word = &mut self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE_WORDS]))[word];
        *word = *word & !mask | value & mask;
    }
}
