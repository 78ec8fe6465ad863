// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sparse memory: banks of DRAM and SRAM whose pages exist once they were written.
//!
//! It remembers which lines of a page the core has decoded, so that a write to them, by the core or by a device,
//! drops the decoded form. It knows nothing of what the banks are for.

use crate::bus::Width;
use std::ops::Range;

/// Size of a page in bytes: the smallest granule of the page tables.
pub const PAGE_BYTES: u64 = 4096;

const PAGE: usize = PAGE_BYTES as usize;

/// Size in bytes of the lines in which decoded code is remembered: 64 of them in a page, one bit each.
const LINE_BYTES: usize = PAGE / 64;

/// No page yet.
const ABSENT: u32 = 0;

#[derive(Debug)]
struct Bank {
    range: Range<u64>,
    /// Index of the page in the arena, per page of the bank.
    slots: Vec<u32>,
}

/// Memory with an upper limit of what it may really take.
#[derive(Debug)]
pub struct Ram {
    banks: Vec<Bank>,
    /// The pages, in the order in which they were first written; the first is never used.
    arena: Vec<u8>,
    /// Lines with decoded code, per page of the arena.
    code: Vec<u64>,
    /// Pages of the arena whose decoded code was overwritten.
    stale: Vec<u32>,
    limit_pages: usize,
}

/// An access that memory cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RamError {
    /// Not inside one bank.
    #[error("no memory at {0:#x}")]
    Outside(u64),
    /// The image wants more memory than the run may take.
    #[error("the limit of {0} bytes of written memory is reached")]
    Limit(u64),
}

impl Ram {
    /// Memory of the given banks, whose bounds are multiples of [`PAGE_BYTES`], and the limit of written bytes.
    ///
    /// # Panics
    ///
    /// If a bank is not made of whole pages or overlaps another: these are constants of the model.
    pub fn new(banks: &[Range<u64>], limit_bytes: u64) -> Self {
        let mut banks: Vec<_> = banks
            .iter()
            .map(|range| {
                assert!(
                    range.start % PAGE_BYTES == 0 && range.end % PAGE_BYTES == 0 && range.start < range.end
                );
                let pages = ((range.end - range.start) / PAGE_BYTES) as usize;
                Bank { range: range.clone(), slots: vec![ABSENT; pages] }
            })
            .collect();
        banks.sort_by_key(|bank| bank.range.start);
        assert!(banks.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "banks overlap");
        let limit_pages = (limit_bytes / PAGE_BYTES).min(u64::from(u32::MAX) - 1) as usize;
        Self { banks, arena: vec![0; PAGE], code: vec![0], stale: Vec::new(), limit_pages }
    }

    /// Whether the whole range is inside one bank.
    pub fn contains(&self, address: u64, length: u64) -> bool {
        let end = address.checked_add(length);
        self.bank(address).is_some_and(|b| end.is_some_and(|end| end <= self.banks[b].range.end))
    }

    /// Bytes of pages that exist.
    pub fn resident_bytes(&self) -> u64 {
        (self.arena.len() - PAGE) as u64
    }

    /// Reads a little-endian value.
    ///
    /// # Errors
    ///
    /// [`RamError::Outside`].
    pub fn read(&self, address: u64, width: Width) -> Result<u64, RamError> {
        let mut bytes = [0; 8];
        self.read_bytes(address, &mut bytes[..width.bytes()])?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes the low bits of a value, little-endian.
    ///
    /// # Errors
    ///
    /// [`RamError`]; nothing was written then unless the value crosses a page.
    pub fn write(&mut self, address: u64, width: Width, value: u64) -> Result<(), RamError> {
        self.write_bytes(address, &value.to_le_bytes()[..width.bytes()])
    }

    /// Reads bytes; pages that were never written are zero.
    ///
    /// # Errors
    ///
    /// [`RamError::Outside`].
    pub fn read_bytes(&self, address: u64, mut into: &mut [u8]) -> Result<(), RamError> {
        if !self.contains(address, into.len() as u64) {
            return Err(RamError::Outside(address));
        }
        let mut at = address;
        while !into.is_empty() {
            let offset = (at % PAGE_BYTES) as usize;
            let (now, rest) = into.split_at_mut(into.len().min(PAGE - offset));
            match self.slot(at) {
                Some(slot) => {
                    let start = slot as usize * PAGE + offset;
                    now.copy_from_slice(&self.arena[start..start + now.len()]);
                }
                None => now.fill(0),
            }
            at += now.len() as u64;
            into = rest;
        }
        Ok(())
    }

    /// Writes bytes.
    ///
    /// # Errors
    ///
    /// [`RamError::Outside`] before anything is written, [`RamError::Limit`] possibly after some pages.
    pub fn write_bytes(&mut self, address: u64, mut bytes: &[u8]) -> Result<(), RamError> {
        if !self.contains(address, bytes.len() as u64) {
            return Err(RamError::Outside(address));
        }
        let mut at = address;
        while !bytes.is_empty() {
            let offset = (at % PAGE_BYTES) as usize;
            let (now, rest) = bytes.split_at(bytes.len().min(PAGE - offset));
            let slot = self.slot_for_write(at)?;
            let start = slot as usize * PAGE + offset;
            self.arena[start..start + now.len()].copy_from_slice(now);
            self.touch(slot, offset, now.len());
            at += now.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    fn bank(&self, address: u64) -> Option<usize> {
        self.banks.iter().position(|bank| bank.range.contains(&address))
    }

    /// The arena page of an address, if it exists.
    pub(crate) fn slot(&self, address: u64) -> Option<u32> {
        let bank = &self.banks[self.bank(address)?];
        Some(bank.slots[((address - bank.range.start) / PAGE_BYTES) as usize]).filter(|slot| *slot != ABSENT)
    }

    /// The arena page of an address, made if need be.
    pub(crate) fn slot_for_write(&mut self, address: u64) -> Result<u32, RamError> {
        let index = self.bank(address).ok_or(RamError::Outside(address))?;
        let bank = &mut self.banks[index];
        let slot = &mut bank.slots[((address - bank.range.start) / PAGE_BYTES) as usize];
        if *slot == ABSENT {
            if self.code.len() > self.limit_pages {
                return Err(RamError::Limit(self.limit_pages as u64 * PAGE_BYTES));
            }
            *slot = self.code.len() as u32;
            self.code.push(0);
            self.arena.resize(self.arena.len() + PAGE, 0);
        }
        Ok(*slot)
    }

    /// All pages, for accesses whose page the core knows.
    pub(crate) fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// All pages, for writes that the core knows to touch no decoded code.
    pub(crate) fn arena_mut(&mut self) -> &mut [u8] {
        &mut self.arena
    }

    /// Whether a page has decoded code.
    pub(crate) fn has_code(&self, slot: u32) -> bool {
        self.code[slot as usize] != 0
    }

    /// Remembers that code in a page was decoded.
    pub(crate) fn mark_code(&mut self, slot: u32, offset: usize, length: usize) {
        self.code[slot as usize] |= lines(offset, length);
    }

    /// Tells of a write: if it hits decoded code, the page is listed in [`Ram::take_stale`].
    pub(crate) fn touch(&mut self, slot: u32, offset: usize, length: usize) {
        if self.code[slot as usize] & lines(offset, length) != 0 {
            self.code[slot as usize] = 0;
            self.stale.push(slot);
        }
    }

    /// Whether decoded code was overwritten since the last [`Ram::take_stale`].
    pub(crate) fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// The pages whose decoded code is no longer true.
    pub(crate) fn take_stale(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.stale)
    }
}

/// The lines that `length` bytes, at least one, from `offset` of a page touch.
fn lines(offset: usize, length: usize) -> u64 {
    let (first, last) = (offset / LINE_BYTES, (offset + length - 1) / LINE_BYTES);
    (u64::MAX << first) & (u64::MAX >> (63 - last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ram() -> Ram {
        Ram::new(&[0x10_0000..0x20_0000, 0..0x1_0000], 3 * PAGE_BYTES)
    }

    #[test]
    fn pages_exist_once_written_and_cross_their_borders() {
        let mut ram = ram();
        assert_eq!((ram.read(0x1ffc, Width::Double), ram.resident_bytes()), (Ok(0), 0));
        ram.write(0x1ffc, Width::Double, 0x1122_3344_5566_7788).unwrap();
        assert_eq!(ram.read(0x1ffe, Width::Word), Ok(0x3344_5566));
        assert_eq!(ram.resident_bytes(), 2 * PAGE_BYTES);
        ram.write(0x10_0000, Width::Byte, 0xfff).unwrap();
        assert_eq!(ram.read(0x10_0000, Width::Half), Ok(0xff));
    }

    #[test]
    fn must_fail_outside_and_over_the_limit() {
        let mut ram = ram();
        assert_eq!(ram.read(0xfffc, Width::Double), Err(RamError::Outside(0xfffc)));
        assert_eq!(ram.write(u64::MAX, Width::Byte, 0), Err(RamError::Outside(u64::MAX)));
        ram.write_bytes(0, &[1; 3 * PAGE]).unwrap();
        assert_eq!(ram.write(0x5000, Width::Byte, 0), Err(RamError::Limit(3 * PAGE_BYTES)));
    }

    #[test]
    fn a_write_to_decoded_lines_makes_the_page_stale() {
        let mut ram = ram();
        let slot = ram.slot_for_write(0x2000).unwrap();
        ram.mark_code(slot, 0x40, 4);
        ram.write(0x2080, Width::Double, 1).unwrap();
        ram.write(0x203f, Width::Byte, 1).unwrap();
        assert!(ram.has_code(slot) && !ram.is_stale());
        ram.write(0x203f, Width::Half, 1).unwrap();
        assert_eq!((ram.has_code(slot), ram.take_stale()), (false, vec![slot]));
    }
}
