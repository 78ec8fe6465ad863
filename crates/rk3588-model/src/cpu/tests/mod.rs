// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The core against the architecture's documented semantics: words in, registers out.
//!
//! Words were assembled by hand from the encodings, and read back with a disassembler.

mod alu;
mod blocks;
mod fuzz;
mod levels;
mod memory;
mod simd;
mod translation;

use super::core::Core;
use super::{Cpu, Stop};
use crate::bus::{Access, BusFault, Lines, Mmio, SysReg, TimerLines, Width};
use crate::ram::Ram;

/// Where programs stand.
const CODE: u64 = 0x1_0000;

/// A bus with one register, that reads as the last write, and a count of accesses.
#[derive(Debug, Default)]
struct Device {
    value: u64,
    accesses: Vec<(u64, Width, Option<u64>)>,
    timers: TimerLines,
    unknown: Vec<SysReg>,
    lines: Lines,
    off: bool,
}

/// The address of the device's register.
const DEVICE: u64 = 0xfeb5_0000;

impl Mmio for Device {
    fn read(&mut self, _: &mut Access<'_>, address: u64, width: Width) -> Result<u64, BusFault> {
        self.accesses.push((address, width, None));
        if address & !7 == DEVICE { Ok(self.value) } else { Err(BusFault) }
    }

    fn write(
        &mut self,
        access: &mut Access<'_>,
        address: u64,
        width: Width,
        value: u64,
    ) -> Result<(), BusFault> {
        self.accesses.push((address, width, Some(value)));
        if address & !7 != DEVICE {
            return Err(BusFault);
        }
        self.value = value;
        access.stop = value == 0xdead;
        Ok(())
    }

    fn lines(&mut self, _: &mut Ram, _: u64, timers: TimerLines) -> Lines {
        self.timers = timers;
        // The virtual timer is the only source that is wired.
        Lines { irq: self.lines.irq || timers.virt, fiq: self.lines.fiq }
    }

    fn switched_off(&mut self) -> Option<bool> {
        // Only the EL2 timer is wired to the power controller.
        self.off.then_some(self.timers.hyp)
    }

    fn unknown_register(&mut self, _: &mut Access<'_>, register: SysReg, _: Option<u64>) -> bool {
        self.unknown.push(register);
        false
    }
}

/// A core with 16 MiB of memory and the device.
struct Bench {
    cpu: Cpu,
    ram: Ram,
    device: Device,
}

impl Bench {
    /// The words at [`CODE`], and a branch to itself behind them.
    fn new(words: &[u32]) -> Self {
        let mut bench = Self {
            cpu: Cpu::new(CODE),
            ram: Ram::new(std::slice::from_ref(&(0..0x100_0000)), 0x100_0000),
            device: Device::default(),
        };
        bench.put(CODE, words);
        bench.put(CODE + 4 * words.len() as u64, &[0x1400_0000]);
        bench
    }

    fn put(&mut self, address: u64, words: &[u32]) {
        for (at, word) in words.iter().enumerate() {
            self.ram.write(address + 4 * at as u64, Width::Word, (*word).into()).expect("inside memory");
        }
    }

    fn core(&mut self) -> &mut Core {
        &mut self.cpu.core
    }

    fn run(&mut self, count: u64) -> Stop {
        self.cpu.run(&mut self.ram, &mut self.device, count)
    }
}

/// Runs the words with X0.. set; the core.
fn run(words: &[u32], registers: &[u64]) -> Cpu {
    run_with_flags(words, registers, 0)
}

/// The same with NZCV.
fn run_with_flags(words: &[u32], registers: &[u64], nzcv: u32) -> Cpu {
    let mut bench = Bench::new(words);
    bench.core().nzcv = nzcv;
    for (number, value) in registers.iter().enumerate() {
        bench.cpu.set_x(number as u8, *value);
    }
    assert_eq!(bench.run(words.len() as u64), Stop::Limit);
    bench.cpu
}
