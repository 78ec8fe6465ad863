// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `--trace`: what happens, one line each, to standard error.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use rk3588_model::machine::Machine;

use super::say;
use super::symbols::Symbols;

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// Voltages, clocks, calls of the firmware, writes to media.
    Events,
    /// Also every access to a device register. Some 30 times slower.
    Mmio,
    /// Also every instruction's address.
    Instructions,
}

/// Prints what is new since the last look.
#[derive(Debug)]
pub struct Tracer<'a> {
    level: Option<Level>,
    symbols: &'a Symbols,
    events: usize,
    accesses: u64,
    /// When it last said that the model is at work; `None`: it never does.
    alive: Option<Instant>,
}

/// Time between two signs of life.
const ALIVE: Duration = Duration::from_secs(5);

impl<'a> Tracer<'a> {
    /// A tracer; `None` prints nothing.
    pub fn new(level: Option<Level>, symbols: &'a Symbols) -> Self {
        Self { level, symbols, events: 0, accesses: 0, alive: None }
    }

    /// The same, that says every few seconds how far it is: GRUB and the kernel's stub work without a word.
    #[must_use]
    pub fn with_signs_of_life(self) -> Self {
        Self { alive: Some(Instant::now()), ..self }
    }

    /// Instructions that may run between two looks, for nothing to be missed.
    pub fn slice(&self, otherwise: u64) -> u64 {
        if self.level >= Some(Level::Mmio) { 1 } else { otherwise }
    }

    /// Prints what is new.
    pub fn look(&mut self, machine: &Machine) {
        if self.alive.is_some_and(|last| last.elapsed() >= ALIVE) {
            self.alive = Some(Instant::now());
            say::talk(format_args!(
                "simulate: {} million instructions",
                machine.cpu.instructions() / 1_000_000
            ));
        }
        let Some(level) = self.level else { return };
        for event in &machine.soc.events.all()[self.events..] {
            say::talk(format_args!("[{}] {event:?}", machine.cpu.instructions()));
        }
        self.events = machine.soc.events.all().len();
        if level >= Level::Mmio && machine.soc.accesses() != self.accesses {
            self.accesses = machine.soc.accesses();
            if let Some(a) = machine.soc.last_access() {
                let (arrow, value) =
                    if let Some(v) = a.written { ("<-", v) } else { ("->", a.read.unwrap_or(0)) };
                let block = a.block.unwrap_or("?");
                say::talk(format_args!(
                    "[{}] {:#x} {arrow} {value:#x} {block} by {:#x}",
                    machine.cpu.instructions(),
                    a.address,
                    a.pc
                ));
            }
        }
        if level == Level::Instructions {
            let (pc, el) = (machine.cpu.pc(), machine.cpu.el());
            let name = self.symbols.name(pc).unwrap_or_default();
            say::talk(format_args!("[{}] EL{el} {pc:#x} {name}", machine.cpu.instructions()));
        }
    }
}
