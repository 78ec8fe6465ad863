// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Decoded code: straight runs of operations that end at an unconditional branch or at the end of a page.
//!
//! Blocks are found by physical place; beside them is a table by virtual address, which is only a short cut and is
//! dropped whenever translation changes.

use super::decode::decode;
use super::op::{Kind, Op};
use super::tlb::REGION_LOG2;
use crate::ram::{PAGE_BYTES, Ram};
use std::collections::HashMap;
use std::ops::Range;

/// Entries of the short cut; a power of two.
const SHORTCUTS: usize = 1 << 14;
/// Instructions in one block at most: the run loop looks at interrupts between blocks only.
const LENGTH: usize = 64;
/// Operations kept before all are dropped: 64 MiB.
const OPERATIONS: usize = 4 << 20;

/// One block.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    start: u32,
    end: u32,
}

#[derive(Debug, Clone, Copy)]
struct Shortcut {
    pc: u64,
    /// Generation and exception level for which it holds.
    key: u32,
    block: Block,
}

const NOWHERE: Shortcut = Shortcut { pc: u64::MAX, key: 0, block: Block { start: 0, end: 0 } };

/// Joins two operations, if there is a joined form; the first one takes the kind.
fn pair(first: &mut Op, second: &Op, behind: u64) -> bool {
    let kind = match (first.kind, second.kind) {
        (Kind::LdrReg8, Kind::StrReg8) => Kind::LdrReg8StrReg8,
        (Kind::MovImm, Kind::MovImm) => Kind::MovImmMovImm,
        (Kind::SubsImm64, Kind::BCond) => Kind::SubsImm64BCond,
        (Kind::SubsImm32, Kind::BCond) => Kind::SubsImm32BCond,
        (Kind::Subs64, Kind::BCond) => Kind::Subs64BCond,
        (Kind::Subs32, Kind::BCond) => Kind::Subs32BCond,
        _ => return false,
    };
    if second.kind == Kind::BCond {
        // Too far for the field: each by itself.
        let Ok(distance) = i16::try_from(second.imm.wrapping_sub(behind) as i64 / 4) else { return false };
        (first.x, first.y) = (second.x, distance as u16);
    }
    first.kind = kind;
    true
}

/// All decoded code.
#[derive(Debug)]
pub struct Blocks {
    operations: Vec<Op>,
    /// By page of memory's arena: offset in the page, and the block.
    pages: HashMap<u32, Vec<(u16, Block)>>,
    shortcuts: Box<[Shortcut; SHORTCUTS]>,
    generation: u32,
}

const fn index(pc: u64) -> usize {
    ((pc >> 2) as usize) & (SHORTCUTS - 1)
}

impl Blocks {
    pub fn new() -> Self {
        let shortcuts = vec![NOWHERE; SHORTCUTS].into_boxed_slice();
        let shortcuts = shortcuts.try_into().unwrap_or_else(|_| Box::new([NOWHERE; SHORTCUTS]));
        Self { operations: Vec::new(), pages: HashMap::new(), shortcuts, generation: 1 }
    }

    /// The block at a virtual address, if the short cut knows it.
    #[inline(always)]
    pub fn shortcut(&self, pc: u64, el: u8) -> Option<Block> {
        let entry = &self.shortcuts[index(pc)];
        (entry.pc == pc && entry.key == self.generation << 2 | u32::from(el)).then_some(entry.block)
    }

    /// The operations of a block.
    #[inline(always)]
    pub fn operations(&self, block: Block) -> &[Op] {
        &self.operations[block.start as usize..block.end as usize]
    }

    /// Finds or decodes the block at `pc`, which stands at `offset` of the page `slot`. Also says whether code was
    /// decoded, so that the page needs protection.
    pub fn find(&mut self, ram: &mut Ram, pc: u64, el: u8, slot: u32, offset: u64) -> (Block, bool) {
        let known =
            self.pages.get(&slot).and_then(|page| page.iter().find(|(at, _)| u64::from(*at) == offset));
        let (block, is_new) = match known {
            Some((_, block)) => (*block, false),
            None => (self.decode(ram, slot, offset), true),
        };
        self.shortcuts[index(pc)] = Shortcut { pc, key: self.generation << 2 | u32::from(el), block };
        (block, is_new)
    }

    fn decode(&mut self, ram: &mut Ram, slot: u32, offset: u64) -> Block {
        if self.operations.len() > OPERATIONS {
            self.operations.clear();
            self.pages.clear();
            self.forget_addresses();
        }
        let start = self.operations.len();
        let base = u64::from(slot) * PAGE_BYTES;
        let words = ((PAGE_BYTES - offset) / 4).min(LENGTH as u64);
        let mut count = 0;
        while count < words {
            let at = offset + 4 * count;
            let place = (base + at) as usize;
            let word =
                ram.arena()[place..place + 4].iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
            let op = decode(word, at);
            count += 1;
            self.join(start, &op, offset + 4 * count);
            self.operations.push(op);
            if op.kind.ends_block() {
                break;
            }
        }
        ram.mark_code(slot, offset as usize, 4 * count as usize);
        let block = Block { start: start as u32, end: self.operations.len() as u32 };
        self.pages.entry(slot).or_default().push((offset as u16, block));
        block
    }

    /// Lets the operation before take this one with it, which stays behind it for whoever branches there. `behind` is
    /// the offset behind this one.
    fn join(&mut self, start: usize, op: &Op, behind: u64) {
        let [.., earlier, before] = &mut self.operations[start..] else {
            if let [before] = &mut self.operations[start..] {
                pair(before, op, behind);
            }
            return;
        };
        if pair(before, op, behind) && (earlier.kind, before.kind) == (Kind::AddImm64, Kind::Subs64BCond) {
            earlier.kind = Kind::AddImm64Subs64BCond;
        }
    }

    /// Decoded code of a page is no longer true.
    pub fn drop_page(&mut self, slot: u32) {
        if self.pages.remove(&slot).is_some() {
            self.forget_addresses();
        }
    }

    /// Virtual addresses may mean other places now.
    pub fn forget_addresses(&mut self) {
        self.generation = (self.generation + 1) & 0x3fff_ffff;
        if self.generation == 0 {
            self.shortcuts.fill(NOWHERE);
            self.generation = 1;
        }
    }

    /// As [`Blocks::forget_addresses`], for the 2 MiB around one address.
    pub fn forget_region(&mut self, address: u64) {
        for entry in self.shortcuts.iter_mut().filter(|e| (e.pc ^ address) << 8 >> (8 + REGION_LOG2) == 0) {
            *entry = NOWHERE;
        }
    }

    /// Whether an address is in one of the ranges at which a run stops.
    pub fn is_watched(watch: &[Range<u64>], pc: u64) -> bool {
        watch.iter().any(|range| range.contains(&pc))
    }
}
