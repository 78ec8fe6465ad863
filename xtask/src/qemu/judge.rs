// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Judges a rehearsal from its console lines: a state machine without clock, process or screen.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fw_build::Failure;

use super::expect::{Expectation, Mode, MustPass, Step};
use crate::selftest_lines::{Outcome, RESULT, after, check_line, field};

/// How many console lines a failure quotes.
const QUOTED_LINES: usize = 20;

/// Whether to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided yet.
    Open,
    /// All was seen.
    Passed,
    /// It can no longer pass.
    Failed(Failure),
}

/// Why no more lines come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The machine was switched off from inside (QEMU ended with status 0).
    Off,
    /// QEMU ended with this status, or by a signal.
    Status(Option<i32>),
    /// It took longer than this.
    TimedOut(Duration),
}

/// The state machine.
#[derive(Debug)]
pub struct Judge<'a> {
    mode: Mode,
    release: &'a str,
    expected: &'a Expectation,
    /// How many of the mode's steps were seen.
    seen: usize,
    checks: BTreeMap<String, (Outcome, String)>,
    features: Option<String>,
    last_lines: VecDeque<String>,
}

impl<'a> Judge<'a> {
    /// A judge for one boot of the kernel `release`.
    pub fn new(mode: Mode, release: &'a str, expected: &'a Expectation) -> Self {
        Judge {
            mode,
            release,
            expected,
            seen: 0,
            checks: BTreeMap::new(),
            features: None,
            last_lines: VecDeque::new(),
        }
    }

    /// How many checks passed and were skipped, for the summary.
    pub fn tally(&self) -> (usize, usize) {
        let count = |outcome| self.checks.values().filter(|(o, _)| *o == outcome).count();
        (count(Outcome::Pass), count(Outcome::Skip))
    }

    /// The kernel that must come up.
    pub fn release(&self) -> &str {
        self.release
    }

    /// Names of the checks that were seen, with `pass`, `fail` or `skip`.
    pub fn verdicts(&self) -> impl Iterator<Item = (&str, String)> {
        self.checks.iter().map(|(name, (outcome, _))| (name.as_str(), outcome.to_string()))
    }

    /// Features passed and all of them, as the self-test counted them: `38/39`.
    pub fn features(&self) -> Option<&str> {
        self.features.as_deref()
    }

    /// Takes one line.
    pub fn line(&mut self, line: &str) -> Verdict {
        if self.last_lines.len() == QUOTED_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.to_owned());
        if let Some(sign) = fatal(line) {
            return self.failed(Failure::new(format!("{sign} while waiting for {}", self.awaited_name())));
        }
        if let Some((name, outcome, detail)) = check_line(line) {
            // The worse counts: a check that is reported twice must pass twice.
            let known = self.checks.entry(name.to_owned()).or_insert((outcome, detail.to_owned()));
            if outcome > known.0 {
                *known = (outcome, detail.to_owned());
            }
            return Verdict::Open;
        }
        match step_of(line) {
            Some(step) => self.step(step, line),
            None => Verdict::Open,
        }
    }

    /// No more lines come.
    pub fn end(&mut self, end: End) -> Verdict {
        if end == End::Off && self.awaited() == Some(Step::Off) {
            return self.advance();
        }
        let Some(awaited) = self.awaited() else { return Verdict::Passed };
        let what = match end {
            End::Off => format!("the machine went off while waiting for {}", awaited.name()),
            End::Status(Some(status)) => {
                format!("QEMU ended with status {status} while waiting for {}", awaited.name())
            }
            End::Status(None) => format!("QEMU was killed while waiting for {}", awaited.name()),
            End::TimedOut(time) => format!("no sign of {} in {} s", awaited.name(), time.as_secs()),
        };
        self.failed(Failure::new(what).hint(awaited.hint()))
    }

    fn awaited(&self) -> Option<Step> {
        self.mode.steps().get(self.seen).copied()
    }

    fn awaited_name(&self) -> &'static str {
        self.awaited().map_or("the end", Step::name)
    }

    fn step(&mut self, step: Step, line: &str) -> Verdict {
        let Some(awaited) = self.awaited() else { return Verdict::Passed };
        // The same banner is both.
        let step = if step == Step::FirstLoader && self.seen > 0 { Step::SecondLoader } else { step };
        if step != awaited {
            let already_seen = self.mode.steps()[..self.seen].contains(&step);
            return if already_seen { Verdict::Open } else { self.failed(self.out_of_order(step, awaited)) };
        }
        let wrong = match step {
            Step::Kernel => self.wrong_release(line),
            Step::Result => {
                self.features = after(line, "features=").and_then(|f| f.split(' ').next()).map(str::to_owned);
                self.wrong_result(line)
            }
            _ => None,
        };
        match wrong {
            Some(failure) => self.failed(failure),
            None => self.advance(),
        }
    }

    fn advance(&mut self) -> Verdict {
        self.seen += 1;
        if self.awaited().is_none() { Verdict::Passed } else { Verdict::Open }
    }

    fn out_of_order(&self, step: Step, awaited: Step) -> Failure {
        let what = match step {
            Step::SecondLoader => format!("the machine was reset before {}", awaited.name()),
            _ => format!("{} came before {}", step.name(), awaited.name()),
        };
        Failure::new(what).hint(awaited.hint())
    }

    fn wrong_release(&self, line: &str) -> Option<Failure> {
        let release = after(line, "Linux version ")?.split(' ').next()?;
        (release != self.release).then(|| {
            Failure::new("another kernel came up than the one in the image's map")
                .why(format!("running `{release}`, expected `{}`", self.release))
                .hint("the image and its `.map.json` are not from one build: `cargo xtask image --userland bringup`")
        })
    }

    fn wrong_result(&self, line: &str) -> Option<Failure> {
        let mut reasons: Vec<String> = self
            .checks
            .iter()
            .filter(|(_, (outcome, _))| *outcome == Outcome::Fail)
            .map(|(name, (_, detail))| format!("{name}: {detail}"))
            .collect();
        for must in &self.expected.must_pass {
            if let Some(reason) = self.not_passed(must) {
                reasons.push(reason);
            }
        }
        reasons.extend(self.unexpected_skips());
        match field(line, "fail=") {
            Some(0) => {}
            // A failed check whose own line was damaged on the wire.
            Some(n) if reasons.is_empty() => reasons.push(format!("{n} checks failed")),
            Some(_) => {}
            None => reasons.push(format!("the result cannot be read: `{line}`")),
        }
        if reasons.is_empty() {
            return None;
        }
        let failure = Failure::new("the self-test did not pass on what QEMU's machine has");
        Some(reasons.into_iter().fold(failure, Failure::why))
    }

    /// Why a required check does not count as passed; failed ones are listed already.
    fn not_passed(&self, must: &MustPass) -> Option<String> {
        let found: Vec<_> = self.checks.iter().filter(|(name, _)| must.matches(name)).collect();
        if found.iter().any(|(_, (outcome, _))| *outcome != Outcome::Skip) {
            return None;
        }
        Some(match found.first() {
            Some((name, (_, detail))) => format!("{name}: skipped ({detail}), but QEMU has it: {}", must.why),
            None => format!("{}: not reported, but QEMU has it: {}", must.check, must.why),
        })
    }

    /// Skips that are neither allowed nor told already.
    fn unexpected_skips(&self) -> Vec<String> {
        let told = |name: &str| self.expected.must_pass.iter().any(|m| m.matches(name));
        let skipped = self.checks.iter().filter(|(_, (outcome, _))| *outcome == Outcome::Skip);
        skipped
            .filter(|(name, _)| !self.expected.may_skip.contains(&name.as_str()) && !told(name))
            .map(|(name, (_, detail))| format!("{name}: skipped ({detail}), and nothing says that it may be"))
            .collect()
    }

    fn failed(&self, failure: Failure) -> Verdict {
        let quoted = self.last_lines.iter().map(|l| format!("| {l}"));
        let failure = failure.why(format!("the last {} console lines:", self.last_lines.len()));
        Verdict::Failed(quoted.fold(failure, Failure::why))
    }
}

/// Which step a line is a sign of.
fn step_of(line: &str) -> Option<Step> {
    // "U-Boot 2025.01 (Jan 01 2025 - ...)", and not "U-Boot SPL" or a line that only mentions it.
    let banner =
        |l: &str| l.strip_prefix("U-Boot ").is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
    if banner(line) {
        Some(Step::FirstLoader)
    } else if line.contains("Welcome to GRUB!") || line.contains("GNU GRUB  version") {
        Some(Step::Grub)
    } else if line.contains("Linux version ") {
        Some(Step::Kernel)
    } else if line.contains(RESULT) {
        Some(Step::Result)
    } else if line.contains("reboot: Power down") {
        Some(Step::PowerDown)
    } else if line.contains("reboot: Restarting system") {
        Some(Step::AskRestart)
    } else {
        None
    }
}

/// Lines after which waiting is in vain.
fn fatal(line: &str) -> Option<&'static str> {
    const FATAL: [(&str, &str); 7] = [
        ("Kernel panic - not syncing", "the kernel panicked"),
        ("\"Synchronous Abort\" handler", "U-Boot crashed"),
        ("### ERROR ### Please RESET the board ###", "U-Boot gave up"),
        ("Entering rescue mode...", "GRUB went into rescue mode"),
        ("selftest: restarting in ", "the bring-up userland could not start"),
        ("selftest: watchdog cannot be armed", "the watchdog could not be armed"),
        ("selftest: watchdog did not reset", "the watchdog did not reset the machine"),
    ];
    FATAL.iter().find(|(sign, _)| line.contains(sign)).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
