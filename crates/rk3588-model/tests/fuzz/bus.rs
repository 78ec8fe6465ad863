// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Random accesses of every width to every block, from every level.

use std::hash::{DefaultHasher, Hash, Hasher};

use rk3588_model::bus::{Access, BusFault, Mmio, SysReg, TimerLines, Width};
use rk3588_model::devices::TRANSFER_LIMIT_BYTES;
use rk3588_model::ram::Ram;
use rk3588_model::soc::Soc;
use rk3588_model::soc::devices::Parts;
use rk3588_model::soc::map::{BLOCKS, REGISTER_SPACE};

use super::random::Random;
use super::{medium, rounds};

const RAM_BYTES: u64 = 64 << 20;
const RAM_LIMIT_BYTES: u64 = 32 << 20;
const WIDTHS: [Width; 4] = [Width::Byte, Width::Half, Width::Word, Width::Double];
const ACCESSES: u64 = 4000;
/// What one access may move: a transfer with its descriptors, twice as much for a write of 8 bytes to two registers.
const MOVED_LIMIT: u64 = 2 * (TRANSFER_LIMIT_BYTES as u64 + 65_536 * 32);

/// A board with something on every bus.
pub struct Bench {
    pub soc: Soc,
    pub ram: Ram,
    ticks: u64,
    /// Of all answers: two runs of a round must have the same.
    pub answers: DefaultHasher,
}

impl Bench {
    pub fn new() -> Self {
        let parts = Parts {
            sd: Some(medium(3 << 20).0),
            emmc: Some(medium(2 << 20).0),
            spi: Some(medium(1 << 20).0),
            otp: vec![0x3588; 8],
            ..Parts::default()
        };
        Self {
            soc: Soc::new(parts),
            ram: Ram::new(&[0..RAM_BYTES, 0xff00_0000..0xff20_0000], RAM_LIMIT_BYTES),
            ticks: 0,
            answers: DefaultHasher::new(),
        }
    }

    fn access<R>(&mut self, el: u8, act: impl FnOnce(&mut Soc, &mut Access<'_>) -> R) -> R {
        self.ticks += 24;
        let before = self.soc.moved_bytes();
        let mut access =
            Access { ram: &mut self.ram, pc: 0x1000, el, ticks: self.ticks, instructions: 0, stop: false };
        let result = act(&mut self.soc, &mut access);
        let moved = self.soc.moved_bytes() - before;
        assert!(moved <= MOVED_LIMIT, "one access moved {moved} bytes");
        assert!(self.ram.resident_bytes() <= RAM_LIMIT_BYTES);
        result
    }

    pub fn read(&mut self, el: u8, address: u64, width: Width) -> Result<u64, BusFault> {
        let result = self.access(el, |soc, access| soc.read(access, address, width));
        if let Ok(value) = result {
            assert_eq!(value & !width.mask(), 0, "{address:#x} {width:?}");
        }
        result.ok().hash(&mut self.answers);
        result
    }

    pub fn write(&mut self, el: u8, address: u64, width: Width, value: u64) -> Result<(), BusFault> {
        let result = self.access(el, |soc, access| soc.write(access, address, width, value & width.mask()));
        result.is_ok().hash(&mut self.answers);
        result
    }

    /// What the core asks for between accesses.
    pub fn lines(&mut self) {
        let lines = self.soc.lines(&mut self.ram, self.ticks, TimerLines::default());
        (lines.irq, lines.fiq, self.soc.next_event(), self.soc.switched_off()).hash(&mut self.answers);
    }
}

fn address(random: &mut Random, near: &[u64]) -> u64 {
    match random.below(8) {
        0 => REGISTER_SPACE.start + random.below(REGISTER_SPACE.end - REGISTER_SPACE.start),
        1 => random.next(),
        // Where there was something before.
        2..=4 if !near.is_empty() => random.of(near).wrapping_add(4 * random.below(4)),
        _ => {
            let block = &BLOCKS[random.below(BLOCKS.len() as u64) as usize];
            let reach = if random.one_in(4) { block.size } else { block.size.min(0x200) };
            block.base + random.below(reach)
        }
    }
}

fn round(random: &mut Random) -> u64 {
    let mut bench = Bench::new();
    let mut near = Vec::new();
    for _ in 0..ACCESSES {
        let width = random.of(&WIDTHS);
        // The core hands on aligned accesses only.
        let address = address(random, &near) & !(width.bytes() as u64 - 1);
        let el = random.below(4) as u8;
        let answered = if random.one_in(2) {
            bench.read(el, address, width).is_ok()
        } else {
            bench.write(el, address, width, random.value()).is_ok()
        };
        let is_block = BLOCKS.iter().any(|b| (b.base..b.base + b.size).contains(&address));
        assert_eq!(answered, is_block || REGISTER_SPACE.contains(&address), "{address:#x}");
        if answered && random.one_in(8) {
            near.push(address);
        }
        if random.one_in(8) {
            let (register, value) = (SysReg(0xc000 | random.below(0x4000) as u16), random.value());
            let write = random.one_in(2);
            bench.access(el.max(1), |soc, access| match write {
                true => soc.write_icc(access, register, value).is_some(),
                false => soc.read_icc(access, register).is_some(),
            });
        }
        if random.one_in(4) {
            bench.lines();
        }
    }
    bench.answers.finish()
}

#[test]
fn any_access_is_answered_or_refused() {
    rounds(|random| {
        let again = random.clone();
        let first = round(random);
        // The model has no other source of numbers.
        assert_eq!(first, round(&mut again.clone()), "the same accesses, other answers");
    });
}
