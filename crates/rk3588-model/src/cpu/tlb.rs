// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The software TLB: from virtual pages to pages of memory, for reads and for writes, per exception level.
//!
//! Only memory is in it, and for writes only pages without decoded code, so that a hit needs no other question.

/// Entries per level; a power of two.
const ENTRIES: usize = 1024;
const LEVELS: usize = 4;
/// No virtual page has this tag: it is not a multiple of the page size.
const EMPTY: u64 = 1;
/// The largest block that one invalidation by address is taken to mean, beside a page: 2 MiB.
pub const REGION_LOG2: u32 = 21;
const PAGE_MASK: u64 = !0xfff;

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u64,
    slot: u32,
    /// Address bits that must be zero as far as the access is wide: all where accesses must be aligned, else none.
    strict: u32,
}

const NONE: Entry = Entry { tag: EMPTY, slot: 0, strict: 0 };

type Table = Box<[Entry; ENTRIES * LEVELS]>;

/// Both tables.
#[derive(Debug)]
pub struct Tlb {
    read: Table,
    write: Table,
    base: usize,
}

const fn index(base: usize, address: u64) -> usize {
    (base + ((address >> 12) as usize & (ENTRIES - 1))) & (ENTRIES * LEVELS - 1)
}

/// The place in memory's arena, if the entry is that of the access.
#[inline(always)]
const fn hit(entry: Entry, address: u64, size: u64) -> Option<usize> {
    let last = address.wrapping_add(size - 1) & PAGE_MASK;
    if last | (address & (size - 1) & entry.strict as u64) == entry.tag {
        Some(((entry.slot as usize) << 12) | (address & 0xfff) as usize)
    } else {
        None
    }
}

impl Tlb {
    pub fn new() -> Self {
        Self { read: Box::new([NONE; ENTRIES * LEVELS]), write: Box::new([NONE; ENTRIES * LEVELS]), base: 0 }
    }

    /// Makes an exception level the current one.
    pub fn select(&mut self, el: u8) {
        self.base = usize::from(el & 3) * ENTRIES;
    }

    #[inline(always)]
    pub fn read(&self, address: u64, size: u64) -> Option<usize> {
        hit(self.read[index(self.base, address)], address, size)
    }

    #[inline(always)]
    pub fn write(&self, address: u64, size: u64) -> Option<usize> {
        hit(self.write[index(self.base, address)], address, size)
    }

    /// Enters a page for the current level.
    pub fn insert(&mut self, write: bool, address: u64, slot: u32, strict: bool) {
        let entry = Entry { tag: address & PAGE_MASK, slot, strict: if strict { u32::MAX } else { 0 } };
        let table = if write { &mut self.write } else { &mut self.read };
        table[index(self.base, address)] = entry;
    }

    /// Forgets everything.
    pub fn flush(&mut self) {
        self.read.fill(NONE);
        self.write.fill(NONE);
    }

    /// Forgets what the EL1&0 regime maps through `TTBR0_EL1`.
    pub fn flush_lower_half(&mut self) {
        for table in [&mut self.read, &mut self.write] {
            for entry in &mut table[..2 * ENTRIES] {
                if entry.tag >> 55 & 1 == 0 {
                    *entry = NONE;
                }
            }
        }
    }

    /// Forgets the 2 MiB around an address at every level: the address may be any one of a block that was mapped at
    /// once. Blocks of 1 GiB are not broken up by software without dropping everything.
    pub fn flush_region(&mut self, address: u64) {
        for table in [&mut self.read, &mut self.write] {
            for entry in table.iter_mut().filter(|entry| (entry.tag ^ address) << 8 >> (8 + REGION_LOG2) == 0)
            {
                *entry = NONE;
            }
        }
    }

    /// A page of memory now has decoded code: writes to it must be seen.
    pub fn protect(&mut self, slot: u32) {
        for entry in self.write.iter_mut().filter(|entry| entry.slot == slot) {
            *entry = NONE;
        }
    }
}
