// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A board under power: core, memory and SoC together, from the boot ROM to the kernel.
//!
//! [`Board`] says what is plugged in, [`Machine::power_on`] plays the boot ROM, [`Machine::run`] executes. A
//! run is deterministic: the same board gives the same console and the same instruction counts. Every run ends
//! in a [`Pause`] within the instructions that were granted.

pub mod marks;

use crate::behaviour::Behaviours;
use crate::bootrom::{self, Boot, BootSource, tags};
use crate::console::Console;
use crate::cpu::{Cpu, Exception, Stop};
use crate::dram::DramSize;
use crate::events::Event;
use crate::ram::Ram;
use crate::soc::devices::{Parts, Supplies};
use crate::soc::{MOVED_PER_RUN_BYTES, Override, Soc, map};
use crate::storage::Disk;
use marks::{Mark, Stage};
use std::ops::Range;

/// UART of the console (`ttyS2`).
pub const CONSOLE: usize = 2;
/// Where a warm reset starts the core: the boot ROM's reset vector is remapped to PMU SRAM by then (TF-A
/// `rk3588/drivers/secure/secure.c`, `sgrf_init`; `PMUSRAM_BASE`).
const WARM_RESET_ADDRESS: u64 = 0xff10_0000;
/// Virtual addresses of a kernel: the upper half.
const KERNEL: Range<u64> = 0xffff_0000_0000_0000..u64::MAX;
/// Instructions between two looks at the console.
const SLICE: u64 = 1_000_000;
/// Bytes that a device moves in about the host's time for one instruction.
const BYTES_PER_INSTRUCTION: u64 = 16;
/// Host memory that a guest may use.
pub const MEMORY_LIMIT_BYTES: u64 = 4 << 30;

/// What is soldered and plugged, and which faults it has.
#[derive(Debug)]
pub struct Board {
    /// DRAM.
    pub dram: DramSize,
    /// The DDR blob leaves its memory tag (`DDR_MEM`); else U-Boot falls back to the geometry registers.
    pub ddr_tag: bool,
    /// The only medium that the boot ROM looks at; without it the order is SPI, eMMC, SD.
    pub boot_source: Option<BootSource>,
    /// Content of the serial flash.
    pub spi: Option<Disk>,
    /// Card in the slot.
    pub sd: Option<Disk>,
    /// eMMC.
    pub emmc: Option<Disk>,
    /// Words of the non-secure OTP area from its start.
    pub otp: Vec<u32>,
    /// Start of the "random" numbers.
    pub seed: u64,
    /// Voltages that the supplies of the cores start with.
    pub supplies: Supplies,
    /// Special behaviours that are on.
    pub behaviours: Behaviours,
    /// Faults on registers.
    pub overrides: Vec<Override>,
    /// Bytes to put into memory after the boot ROM: address and content.
    pub pokes: Vec<(u64, Vec<u8>)>,
    /// End the run at the first place that the model does not know.
    pub strict: bool,
    /// Host memory that the guest may use.
    pub memory_limit_bytes: u64,
}

impl Default for Board {
    /// A board with 8 GiB, its own chip identity, and nothing plugged in.
    fn default() -> Self {
        Self {
            dram: DramSize::default(),
            ddr_tag: true,
            boot_source: None,
            spi: None,
            sd: None,
            emmc: None,
            otp: default_otp(),
            seed: 0,
            supplies: Supplies::default(),
            behaviours: Behaviours::default(),
            overrides: Vec::new(),
            pokes: Vec::new(),
            strict: false,
            memory_limit_bytes: MEMORY_LIMIT_BYTES,
        }
    }
}

/// Some chip: the identity takes bytes 7 to 22 of the area.
fn default_otp() -> Vec<u32> {
    vec![0x3588_0000, 0x5a00_0000, 0x4b52_4d36, 0x3132_3334, 0x3536_3738, 0x0039_4142]
}

/// Why [`Machine::run`] came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// The instructions are used up.
    Limit,
    /// The kernel runs at its own virtual addresses.
    KernelTakeOver,
    /// The guest cannot go on.
    Dead(Death),
    /// The guest asked for a reset or for power off.
    Reset(&'static str),
    /// Strict mode met a place that the model does not know: see `soc.reports`.
    Unknown,
    /// The guest wants more memory than it may have.
    MemoryLimit,
}

/// How a guest died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// A fault in firmware.
    Fault(Exception),
    /// The core waits and nothing can wake it.
    Wait,
}

/// A board under power. The parts are public: a diagnosis looks everywhere.
#[derive(Debug)]
pub struct Machine {
    /// The core.
    pub cpu: Cpu,
    /// Devices, records, reports.
    pub soc: Soc,
    /// Memory.
    pub ram: Ram,
    /// Text of [`CONSOLE`].
    pub console: Console,
    boot: Boot,
    other_uarts: [u64; 10],
    marks: Vec<Mark>,
    events_seen: usize,
    kernel_fdt: Option<u64>,
}

impl Machine {
    /// Switches the board on: the boot ROM loads SPL, the DDR blob has done its work.
    ///
    /// # Errors
    ///
    /// [`bootrom::Error`] when there is nothing to boot.
    pub fn power_on(board: Board) -> Result<Self, bootrom::Error> {
        let Board { dram, mut spi, mut sd, mut emmc, otp, seed, supplies, .. } = board;
        let mut banks = tags::banks(dram);
        banks.extend(map::SRAM);
        let mut ram = Ram::new(&banks, board.memory_limit_bytes);
        let media = [
            (BootSource::Spi, spi.as_mut()),
            (BootSource::Emmc, emmc.as_mut()),
            (BootSource::Sd, sd.as_mut()),
        ];
        let boot = bootrom::start(media, board.boot_source, &mut ram)?;
        let no_room = |source| move |error: crate::ram::RamError| bootrom::Error::memory(source, error);
        if board.ddr_tag {
            tags::write(dram, &mut ram).map_err(no_room(boot.source))?;
        }
        for (address, bytes) in &board.pokes {
            ram.write_bytes(*address, bytes).map_err(no_room(boot.source))?;
        }
        let mut soc = Soc::new(Parts { dram, sd, emmc, spi, otp, seed, supplies });
        soc.behaviours = board.behaviours;
        soc.overrides = board.overrides;
        soc.strict = board.strict;
        let mut cpu = Cpu::new(bootrom::SPL_ADDRESS);
        // A fault in firmware is the end of it; from the kernel on, faults are part of life.
        cpu.stop_on_fault([false, true, true, true]);
        cpu.watch(&[KERNEL]);
        cpu.hurry_when_polled(true);
        let marks = vec![Mark { stage: Stage::Spl, instructions: 0, pc: bootrom::SPL_ADDRESS, el: 3 }];
        Ok(Self {
            cpu,
            soc,
            ram,
            console: Console::default(),
            boot,
            other_uarts: [0; 10],
            marks,
            events_seen: 0,
            kernel_fdt: None,
        })
    }

    /// What the boot ROM took.
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// Hand-overs so far.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// The last stage that was entered.
    pub fn stage(&self) -> Stage {
        self.marks.last().map_or(Stage::Spl, |mark| mark.stage)
    }

    /// Physical address of the device tree that the kernel was given, once it has taken over.
    pub fn kernel_fdt(&self) -> Option<u64> {
        self.kernel_fdt
    }

    /// Bytes that each UART has printed, the console's included.
    pub fn printed_bytes(&self) -> [u64; 10] {
        self.other_uarts
    }

    /// Types text on the console; the number of bytes that found room.
    pub fn type_text(&mut self, text: &[u8]) -> usize {
        self.soc.devices.uarts[CONSOLE].type_bytes(text)
    }

    /// What the run has cost so far: instructions, and the bytes that devices have moved for them.
    pub fn work(&self) -> u64 {
        self.cpu.instructions() + self.soc.moved_bytes() / BYTES_PER_INSTRUCTION
    }

    /// Executes up to about `instructions`, fewer where devices move very much.
    pub fn run(&mut self, instructions: u64) -> Pause {
        let end = self.cpu.instructions().saturating_add(instructions);
        let moved = self.soc.moved_bytes();
        loop {
            let left = end.saturating_sub(self.cpu.instructions());
            if left == 0 || self.soc.moved_bytes() - moved >= MOVED_PER_RUN_BYTES {
                return Pause::Limit;
            }
            let stop = self.cpu.run(&mut self.ram, &mut self.soc, left.min(SLICE));
            self.collect();
            if let Some(pause) = self.judge(stop) {
                return pause;
            }
        }
    }

    /// Executes until `pattern` comes on the console, behind the last pattern that came; at most `instructions`.
    ///
    /// # Errors
    ///
    /// The pause that came first.
    pub fn expect(&mut self, pattern: &str, instructions: u64) -> Result<(), Pause> {
        let end = self.cpu.instructions().saturating_add(instructions);
        loop {
            if self.console.find(pattern.as_bytes()) {
                return Ok(());
            }
            let left = end.saturating_sub(self.cpu.instructions());
            match self.run(left.min(SLICE)) {
                Pause::Limit if self.cpu.instructions() < end => {}
                pause => return if self.console.find(pattern.as_bytes()) { Ok(()) } else { Err(pause) },
            }
        }
    }

    /// Takes output of the UARTs and new hand-overs.
    fn collect(&mut self) {
        for (n, uart) in self.soc.devices.uarts.iter_mut().enumerate() {
            if uart.has_output() {
                let text = uart.take_output();
                self.other_uarts[n] += text.len() as u64;
                if n == CONSOLE {
                    self.console.push(&text);
                }
            }
        }
        self.marks.append(&mut self.soc.take_marks());
    }

    fn mark(&mut self, stage: Stage) {
        self.marks.push(Mark {
            stage,
            instructions: self.cpu.instructions(),
            pc: self.cpu.pc(),
            el: self.cpu.el(),
        });
    }

    fn judge(&mut self, stop: Stop) -> Option<Pause> {
        match stop {
            Stop::Limit => None,
            Stop::WarmReset => {
                self.cpu.reset(WARM_RESET_ADDRESS);
                self.mark(Stage::WarmReset);
                None
            }
            // Out of idle: BL31 finds its way back from the reset vector by itself.
            Stop::PowerUp => {
                self.cpu.reset(WARM_RESET_ADDRESS);
                None
            }
            Stop::Watch => {
                // The kernel's start code keeps the address of the device tree in x21 until it has stored it
                // (Linux `arch/arm64/kernel/head.S`, `__primary_switched`).
                self.kernel_fdt = Some(self.cpu.x(21));
                self.cpu.watch(&[]);
                self.cpu.hurry_when_polled(false);
                self.cpu.stop_on_fault([false, false, false, true]);
                self.mark(Stage::Kernel);
                Some(Pause::KernelTakeOver)
            }
            Stop::Requested => {
                if self.soc.take_unknown_hit() {
                    return Some(Pause::Unknown);
                }
                let new = &self.soc.events.all()[self.events_seen..];
                let reset = new.iter().find_map(|event| match event {
                    Event::Reset { by } => Some(*by),
                    _ => None,
                });
                self.events_seen = self.soc.events.all().len();
                reset.map(Pause::Reset)
            }
            Stop::Wait => Some(Pause::Dead(Death::Wait)),
            Stop::Fault => self.cpu.last_exception().map(|fault| Pause::Dead(Death::Fault(fault))),
            Stop::MemoryLimit => Some(Pause::MemoryLimit),
        }
    }
}
