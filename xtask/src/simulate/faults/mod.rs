// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask simulate --faults`: puts known faults into the image or the board, one at a time, and looks
//! whether the verdict names the stage at fault and the reason.
//!
//! [`table`] lists them, [`subject`] knows where the image's parts lie; the rest puts them in.

mod hardware;
mod loader;
mod medium;
pub mod subject;
pub mod table;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use boot_log::{Class, Rules, Scanner};
use fw_build::Result;
use rayon::prelude::*;
use rk3588_model::machine::{Board, Machine};

use self::subject::Subject;
use self::table::{ALL, Expected, Fault};
use super::Until;
use super::grub::Typist;
use super::image;
use super::report;
use super::say;
use super::session::{End, Session};

/// Instructions of one run: none of the faults needs more, or it was not named.
const LIMIT: u64 = 6_000_000_000;

/// What became of a fault.
#[derive(Debug)]
pub struct Outcome {
    /// Name of the fault.
    pub name: &'static str,
    /// What is wrong.
    pub what: &'static str,
    /// What was expected, in words.
    pub expected: String,
    /// What was named.
    pub named: String,
    /// Whether they are the same.
    pub right: bool,
    /// Instructions executed.
    pub instructions: u64,
    /// Time taken.
    pub wall: Duration,
    /// The last lines of the console, for a wrong verdict.
    pub console: Vec<String>,
}

/// Runs all faults whose name contains `filter`, side by side.
///
/// # Errors
/// A fault cannot be put into the image.
pub fn run(subject: &Subject, filter: &str) -> Result<Vec<Outcome>> {
    let rules = Rules::builtin();
    let chosen: Vec<_> = ALL.iter().filter(|fault| fault.name.contains(filter)).collect();
    let done = AtomicUsize::new(0);
    let run = |fault: &&Fault| {
        let outcome = one(subject, &rules, fault)?;
        let n = done.fetch_add(1, Ordering::Relaxed) + 1;
        say::talk(format_args!("{n}/{} {}: {}", chosen.len(), outcome.name, outcome.named));
        Ok(outcome)
    };
    // One at a time for each thread: some take a hundred times longer than others.
    chosen.par_iter().with_max_len(1).map(run).collect()
}

fn one(subject: &Subject, rules: &Rules, fault: &Fault) -> Result<Outcome> {
    let mut board = subject.board();
    (fault.inject)(subject, &mut board)
        .map_err(|e| e.during(format!("cannot put in the fault `{}`", fault.name)))?;
    let began = Instant::now();
    let seen = boot(subject, rules, board, fault.until);
    let named = seen.verdict(&fault.expected);
    Ok(Outcome {
        name: fault.name,
        what: fault.what,
        right: named == fault.expected.to_string(),
        expected: fault.expected.to_string(),
        named,
        instructions: seen.instructions,
        wall: began.elapsed(),
        console: seen.console,
    })
}

/// What a boot showed.
struct Seen {
    reached: bool,
    /// Stage at fault and its rule.
    fault: Option<(boot_log::Stage, String)>,
    /// Stage that ran last.
    stage: boot_log::Stage,
    /// Rules of troubles.
    troubles: Vec<String>,
    instructions: u64,
    console: Vec<String>,
}

fn boot(subject: &Subject, rules: &Rules, mut board: Board, until: Until) -> Seen {
    // As the faulty FIT says, not the sound one.
    let mut fit = vec![0; subject.fit_bytes.len()];
    let start = image::FIT_LBA * image::SECTOR_BYTES;
    let read = board.sd.as_mut().is_some_and(|disk| disk.read_bytes(start, &mut fit));
    let loads = if read { image::loads_of(&fit, image::FIT_LBA) } else { Vec::new() };
    let machine = match Machine::power_on(board) {
        Ok(machine) => machine,
        Err(error) => {
            let mut scanner = Scanner::new(rules);
            scanner.note(&format!("model: {error}"));
            let fault = report::fault(&scanner.finish());
            let stage = boot_log::Stage::BootRom;
            let console = vec![error.to_string()];
            return Seen { reached: false, fault, stage, troubles: Vec::new(), instructions: 0, console };
        }
    };
    let mut session = Session::new(machine, loads, rules, LIMIT);
    session.at_menu(Typist::in_a_hurry());
    let end = session.run(&until.goal(), &mut |_| {});
    session.conclude(&end);
    let (reached, stage) = match &end {
        End::Reached => (true, boot_log::Stage::Ready),
        End::Stopped(stop) => (false, stop.stage),
    };
    let lines = session.lines();
    let console = lines[lines.len().saturating_sub(12)..].to_vec();
    let (machine, diagnosis) = session.diagnosis();
    let troubles = diagnosis.findings.iter().filter(|f| f.rule.class == Class::Trouble);
    Seen {
        reached,
        troubles: troubles.map(|f| f.rule.id.clone()).collect(),
        fault: report::fault(&diagnosis),
        stage,
        instructions: machine.cpu.instructions(),
        console,
    }
}

impl Seen {
    /// In the words of [`Expected`]; of several troubles the expected one, if it is among them.
    fn verdict(&self, expected: &Expected) -> String {
        if self.reached {
            return match (expected, self.troubles.as_slice()) {
                (Expected::GoesOn(rule), troubles) if troubles.iter().any(|t| t == rule) => {
                    expected.to_string()
                }
                (_, []) => "boots: nothing".to_owned(),
                (_, troubles) => format!("boots: {}", troubles.join(", ")),
            };
        }
        match &self.fault {
            Some((stage, rule)) => format!("{}: {rule}", stage.id()),
            None => format!("{}: not recognised", self.stage.id()),
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expected::Ends(stage, rule) => write!(f, "{}: {rule}", stage.id()),
            Expected::GoesOn(rule) => write!(f, "boots: {rule}"),
        }
    }
}
