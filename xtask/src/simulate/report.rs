// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The end of a run, for people and as JSON: timeline, verdict, where it stopped, what that usually means.

use std::fmt;

use boot_log::{Class, Diagnosis, Stage};
use serde_json::json;

use super::drivers::{self, Drivers};
use super::selftest::SelfTest;
use super::session::{End, Point, Session};
use super::setup::Plugged;
use super::stop::{self, Stop, Why};
use super::symbols::Symbols;
use crate::diagnose;
use crate::exit::Exit;

/// Unknown registers that are listed by name.
const LISTED: usize = 12;

/// A report.
#[derive(Debug)]
pub struct Report<'r> {
    image: String,
    goal: &'static str,
    timeline: Vec<Point>,
    stop: Option<Stop>,
    stop_lines: Vec<String>,
    diagnosis: Diagnosis<'r>,
    passed: bool,
    figures: Option<Figures>,
    unknown: Vec<String>,
    drivers: Option<Drivers>,
    selftest: Option<SelfTest>,
}

/// What a run took.
#[derive(Debug)]
struct Figures {
    instructions: u64,
    accesses: u64,
    seconds: f64,
    guest_bytes: u64,
}

impl<'r> Report<'r> {
    /// Of a run that came to its end.
    pub fn new(
        goal: &'static str,
        plugged: &Plugged,
        mut session: Session<'r>,
        end: End,
        symbols: &mut Symbols,
    ) -> Report<'r> {
        let seconds = session.wall().as_secs_f64();
        let timeline = std::mem::take(&mut session.timeline);
        session.conclude(&end);
        let stop = match end {
            End::Reached => None,
            End::Stopped(stop) => Some(*stop),
        };
        let (mut machine, diagnosis) = session.diagnosis();
        let describe = |stop: &Stop| {
            let frames = stop::look_back(&mut machine, stop, symbols);
            stop.describe(symbols, &frames)
        };
        let stop_lines = stop.as_ref().map(describe).unwrap_or_default();
        Report {
            image: plugged.image.name().to_owned(),
            goal,
            timeline,
            stop_lines,
            passed: stop.is_none(),
            stop,
            diagnosis,
            figures: Some(Figures {
                instructions: machine.cpu.instructions(),
                accesses: machine.soc.accesses(),
                seconds,
                guest_bytes: machine.ram.resident_bytes(),
            }),
            unknown: machine.soc.reports.all().map(ToString::to_string).collect(),
            drivers: None,
            selftest: None,
        }
    }

    /// With the kernel's devices.
    #[must_use]
    pub fn with_drivers(self, drivers: Option<Drivers>) -> Report<'r> {
        Report { drivers, ..self }
    }

    /// With the self-test's report, which decides as well.
    #[must_use]
    pub fn with_selftest(self, selftest: Option<SelfTest>) -> Report<'r> {
        let passed = self.passed && selftest.as_ref().is_none_or(SelfTest::is_good);
        Report { selftest, passed, ..self }
    }

    /// Of a board whose boot ROM found nothing.
    pub fn refused(goal: &'static str, plugged: &Plugged, diagnosis: Diagnosis<'r>) -> Report<'r> {
        Report {
            image: plugged.image.name().to_owned(),
            goal,
            timeline: Vec::new(),
            stop: None,
            stop_lines: Vec::new(),
            diagnosis,
            passed: false,
            figures: None,
            unknown: Vec::new(),
            drivers: None,
            selftest: None,
        }
    }

    /// The stage that is at fault: what the rules say, else the one that ran last.
    pub fn failed_in(&self) -> Option<Stage> {
        if self.passed {
            return None;
        }
        fault(&self.diagnosis)
            .map(|(stage, _)| stage)
            .or(self.stop.as_ref().map(|s| s.stage))
            .or(self.selftest.as_ref().map(|_| Stage::Userland))
            .or(Some(Stage::BootRom))
    }

    /// The verb's exit code.
    pub fn exit(&self) -> Exit {
        match &self.stop {
            _ if self.passed => Exit::Done,
            Some(Stop { why: Why::Limit(_) | Why::Unknown | Why::Memory, .. }) => Exit::Failed,
            _ => Exit::DoNotFlash,
        }
    }

    /// As JSON: `image`, `goal`, `passed`, `failed_in` (a stage's id or null), `timeline`, `stop`, `diagnosis`
    /// (as `cargo xtask diagnose --json`), `figures`, `unknown`, `drivers` (null but for `--until init`), `selftest` (null but
    /// for `--until report`).
    pub fn json(&self) -> serde_json::Value {
        let timeline: Vec<_> = self
            .timeline
            .iter()
            .map(|p| {
                json!({
                    "what": p.what,
                    "instructions": p.instructions,
                    "register_accesses": p.accesses,
                    "seconds": p.wall.as_secs_f64(),
                })
            })
            .collect();
        let stop = self.stop.as_ref().map(|s| {
            json!({
                "why": s.why.to_string(),
                "stage": s.stage.id(),
                "el": s.el,
                "pc": s.pc,
                "last_line": s.last_line,
                "last_register": s.last_access.map(|a| a.address),
            })
        });
        let figures = self.figures.as_ref().map(|f| {
            json!({
                "instructions": f.instructions,
                "register_accesses": f.accesses,
                "seconds": f.seconds,
                "instructions_per_second": f.instructions as f64 / f.seconds.max(1e-9),
                "guest_bytes": f.guest_bytes,
            })
        });
        json!({
            "image": self.image,
            "goal": self.goal,
            "passed": self.passed,
            "failed_in": self.failed_in().map(Stage::id),
            "timeline": timeline,
            "stop": stop,
            "diagnosis": diagnose::json(&self.diagnosis),
            "figures": figures,
            "unknown": self.unknown,
            "drivers": self.drivers.as_ref().map(drivers::json),
            "selftest": self.selftest.as_ref().map(SelfTest::json),
        })
    }
}

/// The stage and the name of the rule that explain why a boot ended.
pub fn fault(diagnosis: &Diagnosis<'_>) -> Option<(Stage, String)> {
    let finding = diagnosis.findings.iter().find(|f| f.rule.class == Class::Fatal)?;
    Some((finding.rule.stage, finding.rule.id.clone()))
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.timeline.is_empty() {
            writeln!(f, "{:42} {:>14} {:>10} {:>9}", "timeline", "instructions", "registers", "seconds")?;
        }
        for p in &self.timeline {
            let seconds = p.wall.as_secs_f64();
            writeln!(
                f,
                "{:42} {:>14} {:>10} {seconds:>9.3}",
                p.what,
                grouped(p.instructions),
                grouped(p.accesses)
            )?;
        }
        if let Some(t) = &self.figures {
            let speed = t.instructions as f64 / t.seconds.max(1e-9) / 1e6;
            writeln!(
                f,
                "\nfigures      {} instructions in {:.2} s: {speed:.0} million a second; {} MB of the guest's memory",
                grouped(t.instructions),
                t.seconds,
                t.guest_bytes / 1_000_000
            )?;
        }
        if !self.unknown.is_empty() {
            writeln!(f, "\nnot modelled: {} places, each read as it was written", self.unknown.len())?;
            for line in self.unknown.iter().take(LISTED) {
                writeln!(f, "  {line}")?;
            }
            if self.unknown.len() > LISTED {
                writeln!(f, "  … and {} more (`--json` lists all)", self.unknown.len() - LISTED)?;
            }
        }
        if let Some(drivers) = &self.drivers {
            write!(f, "\nthe kernel's devices:\n{drivers}")?;
        }
        if let Some(selftest) = &self.selftest {
            write!(f, "\nthe self-test:\n{selftest}")?;
        }
        writeln!(f)?;
        if self.passed {
            writeln!(
                f,
                "passed       `{}` reached {}; this does not show that it boots on the board",
                self.image, self.goal
            )?;
            // Nobody looks for the end of a run that was ended because it had gone far enough.
            for finding in self.diagnosis.findings.iter().filter(|f| f.rule.class == Class::Trouble) {
                writeln!(f, "trouble      {}: {}", finding.rule.id, finding.rule.symptom)?;
            }
            return Ok(());
        }
        if self.stop.is_none() && self.selftest.is_some() {
            return writeln!(f, "failed       `{}`: its self-test, see above", self.image);
        }
        let stage = self.failed_in().map_or("nothing", Stage::name);
        writeln!(f, "failed       `{}` did not reach {}: it ends in {stage}", self.image, self.goal)?;
        for line in &self.stop_lines {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "\nwhat that usually means:\n{}", self.diagnosis)
    }
}

/// `2 168 000 000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let all = [0, 999, 1000, 2_168_000_000].map(grouped);
        assert_eq!(all, ["0", "999", "1 000", "2 168 000 000"]);
    }
}
