// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The boots that the checks need, and what is kept of each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use boot_log::{Rules, Stage};
use fw_build::{Failure, Result};
use rayon::prelude::*;
use rk3588_model::events::Event;
use rk3588_model::machine::{Board, Machine};
use rk3588_model::storage::Disk;

use super::Wanted;
use super::order::{Content, Order};
use crate::simulate::Until;
use crate::simulate::drivers::{Drivers, log};
use crate::simulate::faults::subject::Subject;
use crate::simulate::grub::Typist;
use crate::simulate::kernel_tree;
use crate::simulate::say;
use crate::simulate::session::{End, Goal, Session};
use crate::simulate::setup::{Dram, otp_words};

/// Instructions that one boot may take.
const LIMIT: u64 = 12_000_000_000;
/// Two chips.
const CHIP: &str = "524b3588000102030405060708090a0b";
const OTHER_CHIP: &str = "524b3588000102030405060708090aff";

/// What one boot showed.
#[derive(Debug, Clone, Default)]
pub struct Boot {
    /// Lines of the console.
    pub lines: Vec<String>,
    /// Answers of the prompt, by command.
    pub answers: BTreeMap<String, Vec<String>>,
    /// Why it went no further than it should, if so.
    pub stopped: Option<String>,
    /// Media that the boot ROM passed over although something is plugged in, and the one that it took.
    pub boot_rom: Vec<String>,
    /// What happened on the board before the kernel took over.
    pub events: Vec<Event>,
    /// The device tree that the kernel was given.
    pub tree: Vec<u8>,
    /// Instructions up to the kernel's take-over; `None`: it did not.
    pub taken_over: Option<u64>,
    /// Why the kernel went no further than it should, if so.
    pub stopped_in_kernel: Option<String>,
    /// Which devices it found drivers for.
    pub drivers: Option<Drivers>,
    /// Instructions executed.
    pub instructions: u64,
}

impl Boot {
    /// The lines that begin so.
    pub fn starting(&self, prefix: &str) -> Vec<&str> {
        self.lines.iter().map(String::as_str).filter(|l| l.starts_with(prefix)).collect()
    }

    /// A variable of U-Boot's environment, asked for at the prompt.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let answer = self.answers.get(&format!("printenv {name}"))?;
        answer.iter().find_map(|l| l.strip_prefix(name)?.strip_prefix('='))
    }
}

/// All boots.
pub struct Seen {
    /// To the kernel, by way of the prompt.
    pub full: Boot,
    /// The same chip once more, to the prompt.
    pub again: Boot,
    /// Another chip.
    pub other_chip: Boot,
    /// Each size of memory, with and without the DDR blob's tag.
    pub memories: Vec<(Dram, bool, Boot)>,
    /// What boots from which media.
    pub orders: Vec<(Order, Boot)>,
}

/// What is asked at the prompt.
const QUESTIONS: [&str; 6] = [
    "printenv serial#",
    "printenv ethaddr",
    "printenv fdtfile",
    "printenv boot_targets",
    "mmc list",
    "bdinfo",
];

/// One boot to be made.
enum Plan {
    Full,
    Chip(&'static str),
    Memory(Dram, bool),
    Order(Order),
}

impl Seen {
    /// Makes all boots, side by side.
    ///
    /// # Errors
    /// A medium cannot be prepared.
    pub fn gather(wanted: &Wanted<'_>) -> Result<Seen> {
        let rules = Rules::builtin();
        // The longest first, so that it does not run alone at the end.
        let mut plans = vec![Plan::Full, Plan::Chip(CHIP), Plan::Chip(OTHER_CHIP)];
        plans.extend(Order::all().into_iter().map(Plan::Order));
        plans.extend(Dram::ALL.into_iter().flat_map(|d| [Plan::Memory(d, true), Plan::Memory(d, false)]));
        let done = AtomicUsize::new(0);
        let one = |plan: &Plan| {
            let boot = boot(wanted.subject, &rules, plan)?;
            let n = done.fetch_add(1, Ordering::Relaxed) + 1;
            say::talk(format_args!(
                "{n}/{} boots, {} million instructions",
                plans.len(),
                boot.instructions / 1_000_000
            ));
            Ok(boot)
        };
        let boots: Vec<Boot> = plans.par_iter().with_max_len(1).map(one).collect::<Result<_>>()?;
        let (mut chips, mut memories, mut orders, mut full) = (Vec::new(), Vec::new(), Vec::new(), None);
        for (plan, boot) in plans.into_iter().zip(boots) {
            match plan {
                Plan::Full => full = Some(boot),
                Plan::Chip(_) => chips.push(boot),
                Plan::Memory(size, tag) => memories.push((size, tag, boot)),
                Plan::Order(order) => orders.push((order, boot)),
            }
        }
        let other_chip = chips.pop();
        match (full, chips.pop(), other_chip) {
            (Some(full), Some(again), Some(other_chip)) => {
                Ok(Seen { full, again, other_chip, memories, orders })
            }
            _ => Err(Failure::new("a boot of the checks is missing")),
        }
    }
}

fn boot(subject: &Subject, rules: &Rules, plan: &Plan) -> Result<Boot> {
    let mut board = Board { otp: otp_words(CHIP)?, ..subject.board() };
    match plan {
        Plan::Full => {}
        Plan::Chip(chip) => board.otp = otp_words(chip)?,
        Plan::Memory(size, tag) => (board.dram, board.ddr_tag) = (size.of_the_model(), *tag),
        Plan::Order(order) => {
            board.sd = content(subject, order.sd)?;
            board.emmc = content(subject, order.emmc)?;
        }
    }
    let machine = match Machine::power_on(board) {
        Ok(machine) => machine,
        Err(error) => return Ok(Boot { stopped: Some(error.to_string()), ..Boot::default() }),
    };
    let mut seen = Boot::default();
    let taken = machine.boot();
    seen.boot_rom = taken.refused.iter().map(|r| format!("{}: {}", r.source, r.reason)).collect();
    seen.boot_rom.push(taken.source.to_string());
    let mut session = Session::new(machine, subject.loads.clone(), rules, LIMIT);
    let stop = match plan {
        Plan::Full => ask(&mut session, &mut seen, &QUESTIONS).or_else(|| {
            session.at_menu(Typist::with_arguments(log::ARGUMENTS));
            session.boot();
            to(&mut session, &Goal::KernelTakesOver)
        }),
        Plan::Chip(_) => ask(&mut session, &mut seen, &QUESTIONS[..2]),
        Plan::Memory(..) => ask(&mut session, &mut seen, &QUESTIONS[5..]),
        Plan::Order(_) => to(&mut session, &Goal::Banner(Stage::Grub)),
    };
    seen.stopped = stop;
    seen.events = session.machine.soc.events.all().to_vec();
    seen.tree = kernel_tree::read(&session.machine).unwrap_or_default();
    if session.taken_over() {
        seen.taken_over = Some(session.machine.cpu.instructions());
        seen.stopped_in_kernel = to(&mut session, &Until::Init.goal());
        seen.drivers = session.drivers();
    }
    seen.lines = session.lines().to_vec();
    seen.instructions = session.machine.cpu.instructions();
    Ok(seen)
}

fn to(session: &mut Session<'_>, goal: &Goal) -> Option<String> {
    match session.run(goal, &mut |_| {}) {
        End::Reached => None,
        End::Stopped(stop) => Some(stop.statement()),
    }
}

/// Asks at the prompt.
fn ask(session: &mut Session<'_>, seen: &mut Boot, questions: &[&str]) -> Option<String> {
    if let Some(stop) = to(session, &Goal::Prompt) {
        return Some(stop);
    }
    for question in questions {
        match session.command(question, &mut |_| {}) {
            Ok(answer) => {
                seen.answers.insert((*question).to_owned(), answer);
            }
            Err(stop) => return Some(stop.statement()),
        }
    }
    None
}

fn content(subject: &Subject, content: Content) -> Result<Option<Disk>> {
    Ok(match content {
        Content::Empty => None,
        Content::Ours => Some(subject.medium.disk()),
        Content::Foreign => Some(subject.foreign_disk()?),
    })
}
