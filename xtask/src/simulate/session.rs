// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One run of the model with its console: follows the stages, types, notices where it goes no further.
//!
//! Runs in slices of a fixed number of instructions, so that what is typed at a prompt is typed at the same
//! instruction in every run. The wall clock is read for the figures only.

use std::time::{Duration, Instant};

use boot_log::{Diagnosis, Event, Rules, Scanner, Stage};
use fw_image::fdt::Tree;
use rk3588_model::machine::marks::Stage as Entered;
use rk3588_model::machine::{CONSOLE, Death, Machine, Pause};

use super::drivers::{Drivers, Touched, log};
use super::grub::Typist;
use super::image::Load;
use super::kernel_tree;
use super::stop::{self, Stop, Why};
use super::symbols::Symbols;
use super::trace::Tracer;
use crate::console::Lines;

/// Instructions between two looks at the console.
const SLICE: u64 = 50_000;
/// Lines of the console that are kept.
const KEPT_LINES: usize = 20_000;
/// U-Boot's question before it boots, and its prompt (`CONFIG_SYS_PROMPT`).
const AUTOBOOT: &str = "Hit any key to stop autoboot";
const PROMPT: &str = "=>";

/// Lines after which nothing more is to be expected, at whatever stage. Upstream's own words.
const DEAD_ENDS: [&str; 10] = [
    "### ERROR ### Please RESET the board",
    "failed to boot from all boot devices",
    "grub rescue>",
    "grub>",
    "Press any key to continue",
    "BOOTP broadcast",
    // The EFI stub of a compressed kernel goes back to GRUB, which waits.
    "decompression failed",
    "Unhandled Exception in EL3",
    "PANIC at PC",
    "Kernel panic - not syncing",
];

/// Instructions without a word on the console after which a stage counts as hung. Each is several times what
/// the stage needs on an image that boots (docs/soc-model.md has the figures).
fn patience(reached: Option<Stage>) -> u64 {
    match reached {
        // SPL may print to another UART, and BL31 is the first to speak here: after 54 million.
        None => 150_000_000,
        // SPL computes SHA-256 over U-Boot: 50 million.
        Some(Stage::BootRom | Stage::Ddr | Stage::Spl) => 300_000_000,
        Some(Stage::Bl31) => 200_000_000,
        // A card that does not answer costs seconds of virtual time, and so do USB and network.
        Some(Stage::UBoot) => 800_000_000,
        // GRUB loads, and the stub unpacks, kernel and initramfs: 1 000 million.
        Some(_) => 12_000_000_000,
    }
}

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// The banner of a stage.
    Banner(Stage),
    /// U-Boot's prompt; autoboot is stopped on the way.
    Prompt,
    /// A line that contains this.
    Line(String),
    /// The same, and the line has come to its end.
    WholeLine(String),
    /// The first instruction at a kernel address.
    KernelTakesOver,
}

/// A point of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// What was reached.
    pub what: String,
    /// Instructions executed so far.
    pub instructions: u64,
    /// Accesses to device registers so far.
    pub accesses: u64,
    /// Time that this run has taken so far.
    pub wall: Duration,
}

/// How a run to a goal ended.
#[derive(Debug)]
pub enum End {
    /// The goal was reached.
    Reached,
    /// It will not be.
    Stopped(Box<Stop>),
}

/// A running model.
pub struct Session<'r> {
    /// The machine.
    pub machine: Machine,
    /// What was reached, in order.
    pub timeline: Vec<Point>,
    loads: Vec<Load>,
    scanner: Scanner<'r>,
    console: Lines,
    lines: Vec<String>,
    /// Lines that were there at the step before.
    looked: usize,
    began: Instant,
    last_output: u64,
    marks_seen: usize,
    limit: u64,
    stop_autoboot: bool,
    at_menu: Option<Typist>,
    taken_over: bool,
    /// What firmware has touched without a model.
    before_kernel: Touched,
}

impl<'r> Session<'r> {
    /// A machine that has been switched on; it may execute `limit` instructions in all.
    ///
    /// `loads`: which stage's code the image puts where.
    pub fn new(machine: Machine, loads: Vec<Load>, rules: &'r Rules, limit: u64) -> Self {
        Self {
            machine,
            loads,
            timeline: Vec::new(),
            scanner: Scanner::new(rules),
            console: Lines::default(),
            lines: Vec::new(),
            looked: 0,
            began: Instant::now(),
            last_output: 0,
            marks_seen: 0,
            limit,
            stop_autoboot: false,
            at_menu: None,
            taken_over: false,
            before_kernel: Touched::new(),
        }
    }

    /// Runs to a goal; `show` gets every byte of the console.
    pub fn run(&mut self, goal: &Goal, show: &mut dyn FnMut(&[u8])) -> End {
        self.run_traced(goal, &mut Tracer::new(None, &Symbols::default()), show)
    }

    /// The same with a trace.
    pub fn run_traced(&mut self, goal: &Goal, tracer: &mut Tracer<'_>, show: &mut dyn FnMut(&[u8])) -> End {
        self.stop_autoboot |= *goal == Goal::Prompt;
        self.looked = self.lines.len();
        loop {
            let stop = self.step(tracer.slice(SLICE), show);
            tracer.look(&self.machine);
            if self.met(goal) {
                return End::Reached;
            }
            if let Some(stop) = stop.or_else(|| self.dead_end()) {
                return End::Stopped(stop);
            }
            self.looked = self.lines.len();
        }
    }

    /// Executes up to `instructions`; what ended it, if it was not their number.
    pub fn step(&mut self, instructions: u64, show: &mut dyn FnMut(&[u8])) -> Option<Box<Stop>> {
        let left = self.limit.saturating_sub(self.machine.work());
        if left == 0 {
            return Some(self.stop(Why::Limit(self.limit)));
        }
        let pause = self.machine.run(left.min(instructions));
        self.note_marks();
        self.take_console(show);
        let why = match pause {
            Pause::Limit | Pause::KernelTakeOver => return None,
            Pause::Dead(Death::Fault(exception)) => Why::Exception(exception),
            Pause::Dead(Death::Wait) => Why::WaitsForEver,
            Pause::Reset(by) => Why::Reset(by),
            Pause::Unknown => Why::Unknown,
            Pause::MemoryLimit => Why::Memory,
        };
        Some(self.stop(why))
    }

    /// Whether a goal is reached, as far as the last step has shown.
    pub fn met(&self, goal: &Goal) -> bool {
        match goal {
            Goal::Banner(stage) => self.reached().is_some_and(|reached| reached >= *stage),
            Goal::Prompt => self.at_prompt(),
            Goal::Line(text) => self.new_lines().any(|line| line.contains(text.as_str())),
            Goal::WholeLine(text) => self.lines[self.looked.min(self.lines.len())..]
                .iter()
                .any(|line| line.contains(text.as_str())),
            Goal::KernelTakesOver => self.taken_over,
        }
    }

    /// A stop that only the console shows.
    fn dead_end(&self) -> Option<Box<Stop>> {
        let said = |end: &&&str| self.new_lines().any(|line| line.contains(**end));
        if let Some(end) = DEAD_ENDS.iter().find(said) {
            return Some(self.stop(Why::DeadEnd((*end).to_owned())));
        }
        if self.at_prompt() {
            return Some(self.stop(Why::DeadEnd(PROMPT.to_owned())));
        }
        let silent = self.machine.cpu.instructions() - self.last_output;
        (silent > patience(self.reached())).then(|| self.stop(Why::Silent(silent)))
    }

    /// Lines since the step before, and the one that is not complete.
    fn new_lines(&self) -> impl Iterator<Item = String> + '_ {
        self.lines[self.looked.min(self.lines.len())..].iter().cloned().chain(self.console.rest())
    }

    /// Types a command at U-Boot's prompt and returns what it printed.
    ///
    /// # Errors
    /// The prompt does not come back.
    pub fn command(&mut self, command: &str, show: &mut dyn FnMut(&[u8])) -> Result<Vec<String>, Box<Stop>> {
        let from = self.lines.len();
        self.type_line(command);
        // The echo ends the line that has the prompt now; the next prompt comes when the command is done.
        match self.run(&Goal::Prompt, show) {
            End::Reached => {
                let mut lines = self.lines[from.min(self.lines.len())..].to_vec();
                // The first line is the echo.
                if lines.first().is_some_and(|l| l.contains(command)) {
                    lines.remove(0);
                }
                Ok(lines)
            }
            End::Stopped(stop) => Err(stop),
        }
    }

    /// Queues a key, if there is room for it.
    pub fn type_key(&mut self, key: u8) -> bool {
        self.machine.type_text(&[key]) == 1
    }

    /// Queues a line of input.
    pub fn type_line(&mut self, line: &str) {
        self.machine.type_text(format!("{line}\r").as_bytes());
    }

    /// Lets U-Boot go on with its boot command from its prompt.
    pub fn boot(&mut self) {
        self.stop_autoboot = false;
        self.type_line("boot");
    }

    /// Makes the next boot's question be answered, so that it ends at the prompt.
    pub fn stop_autoboot(&mut self) {
        self.stop_autoboot = true;
    }

    /// Has somebody sit at GRUB's menu.
    pub fn at_menu(&mut self, typist: Typist) {
        self.at_menu = Some(typist);
    }

    /// Which devices the kernel found drivers for so far; nothing before it has taken over.
    pub fn drivers(&self) -> Option<Drivers> {
        let given = kernel_tree::read(&self.machine)?;
        let tree = Tree::parse(&given).ok()?;
        let touched = self.machine.soc.unmodelled().iter().filter_map(|(page, all)| {
            let of_kernel = all - self.before_kernel.get(page).unwrap_or(&0);
            (of_kernel > 0).then_some((*page, of_kernel))
        });
        let log = log::read(self.lines.iter().map(String::as_str));
        Some(Drivers::of(&log, &tree, &touched.collect()))
    }

    /// Complete lines of the console so far, without escape sequences.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The console as one text, with the line that is not complete.
    pub fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        if let Some(rest) = self.console.rest() {
            text.push('\n');
            text.push_str(&rest);
        }
        text
    }

    /// The last stage whose banner was seen.
    pub fn reached(&self) -> Option<Stage> {
        self.scanner.reached()
    }

    /// Time so far.
    pub fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether the kernel has taken over.
    pub fn taken_over(&self) -> bool {
        self.taken_over
    }

    /// Tells the rules what the model knows of the end of a run.
    pub fn conclude(&mut self, end: &End) {
        for (uart, bytes) in self.machine.printed_bytes().into_iter().enumerate() {
            if uart != CONSOLE && bytes > 0 {
                self.scanner
                    .note(&format!("model: UART{uart} printed {bytes} bytes, the console is UART{CONSOLE}"));
            }
        }
        let given = kernel_tree::read(&self.machine);
        if given.is_some_and(|bytes| Tree::parse(&bytes).is_ok_and(|tree| kernel_tree::is_u_boots(&tree))) {
            self.scanner.note("model: the kernel is given the device tree of U-Boot");
        }
        if let End::Stopped(stop) = end {
            self.scanner.note(&stop.statement());
        }
    }

    /// What the console and the model's statements say, taken as ended here.
    pub fn diagnosis(self) -> (Machine, Diagnosis<'r>) {
        (self.machine, self.scanner.finish())
    }

    /// U-Boot waits at its prompt, and has read what was typed.
    fn at_prompt(&self) -> bool {
        let read = self.machine.soc.devices.uarts[CONSOLE].pending_input() == 0;
        read && self.console.rest().as_deref() == Some(PROMPT)
    }

    fn stop(&self, why: Why) -> Box<Stop> {
        let last_line = self.console.rest().or_else(|| self.lines.last().cloned());
        Box::new(Stop::of(&self.machine, &self.loads, why, self.reached(), last_line))
    }

    fn note_marks(&mut self) {
        for mark in &self.machine.marks()[self.marks_seen..] {
            if mark.stage == Entered::Kernel {
                self.taken_over = true;
                self.before_kernel.clone_from(self.machine.soc.unmodelled());
            }
            self.timeline.push(Point {
                what: format!("{} at EL{}, {:#x}", stop::entered(mark.stage), mark.el, mark.pc),
                instructions: mark.instructions,
                accesses: self.machine.soc.accesses(),
                wall: self.began.elapsed(),
            });
        }
        self.marks_seen = self.machine.marks().len();
    }

    fn take_console(&mut self, show: &mut dyn FnMut(&[u8])) {
        let bytes = self.machine.console.take();
        if bytes.is_empty() {
            return;
        }
        let instructions = self.machine.cpu.instructions();
        self.last_output = instructions;
        show(&bytes);
        for event in self.scanner.feed(&bytes) {
            if let Event::Stage { stage, .. } = event {
                let what = format!("{} speaks", stage.name());
                if self.timeline.last().is_some_and(|point| point.what == what) {
                    continue;
                }
                if stage == Stage::UBoot {
                    // From here on U-Boot has vectors: it prints the registers and resets the board.
                    self.machine.cpu.stop_on_fault([false, true, false, true]);
                }
                self.timeline.push(Point {
                    what,
                    instructions,
                    accesses: self.machine.soc.accesses(),
                    wall: self.began.elapsed(),
                });
            }
        }
        if let Some(keys) = self.at_menu.as_mut().and_then(|typist| typist.feed(&bytes)) {
            self.machine.type_text(&keys);
        }
        let new = self.console.feed(&bytes);
        let room = KEPT_LINES - self.lines.len().min(KEPT_LINES);
        self.lines.extend(new.into_iter().take(room));
        if self.stop_autoboot && self.console.rest().is_some_and(|r| r.contains(AUTOBOOT)) {
            self.stop_autoboot = false;
            self.machine.type_text(b" ");
        }
    }
}
