// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The report: one line per check, and the sum at the end.
//!
//! Format, read by people on a serial line and by the rehearsal: `BRINGUP <name> pass|fail|skip <detail>`,
//! at last `BRINGUP RESULT pass=N fail=M skip=K features=P/Q`: P of Q features (they are among the N) passed. A name has no spaces; a detail is one line.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::publish::document::Check;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is there and works.
    Pass,
    /// It is there and does not work, or it must be there and is not.
    Fail,
    /// The machine lacks it.
    Skip,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Skip => "skip",
        })
    }
}

/// How many checks ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed.
    pub pass: usize,
    /// Failed.
    pub fail: usize,
    /// Skipped.
    pub skip: usize,
    /// Features among them, and those that passed.
    pub features: (usize, usize),
}

/// Writes the lines as the checks end, so that a check that never ends is seen by what comes before it.
pub struct Report<'a> {
    print: &'a mut dyn FnMut(&str),
    tally: Tally,
    checks: Vec<Check>,
}

impl<'a> Report<'a> {
    /// A report whose lines go to `print`, without line feed.
    pub fn new(print: &'a mut dyn FnMut(&str)) -> Self {
        Report { print, tally: Tally::default(), checks: Vec::new() }
    }

    /// Adds the line of one check.
    pub fn add(&mut self, name: &str, verdict: Verdict, detail: impl fmt::Display) {
        match verdict {
            Verdict::Pass => self.tally.pass += 1,
            Verdict::Fail => self.tally.fail += 1,
            Verdict::Skip => self.tally.skip += 1,
        }
        let check = Check { name: word(name), verdict, detail: one_line(&detail.to_string()) };
        (self.print)(&format!("BRINGUP {} {verdict} {}", check.name, check.detail));
        self.checks.push(check);
    }

    /// The checks so far.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The sum so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Adds a check of something that Kubernetes asks of the kernel; they are also counted for themselves.
    pub fn feature(&mut self, name: &str, verdict: Verdict, detail: impl fmt::Display) {
        self.tally.features.0 += 1;
        self.tally.features.1 += usize::from(verdict == Verdict::Pass);
        self.add(name, verdict, detail);
    }

    /// Adds a passed check.
    pub fn pass(&mut self, name: &str, detail: impl fmt::Display) {
        self.add(name, Verdict::Pass, detail);
    }

    /// Adds a failed check.
    pub fn fail(&mut self, name: &str, detail: impl fmt::Display) {
        self.add(name, Verdict::Fail, detail);
    }

    /// Adds a check for something that the machine lacks.
    pub fn skip(&mut self, name: &str, detail: impl fmt::Display) {
        self.add(name, Verdict::Skip, detail);
    }

    /// Prints the sum and returns it.
    pub fn finish(&mut self) -> Tally {
        let Tally { pass, fail, skip, features: (all, passed) } = self.tally;
        (self.print)(&format!("BRINGUP RESULT pass={pass} fail={fail} skip={skip} features={passed}/{all}"));
        self.tally
    }
}

/// Device names come from the kernel and could hold anything; the name column must stay one word.
fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}

fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_sum() {
        let mut lines = Vec::new();
        let mut print = |line: &str| lines.push(line.to_owned());
        let mut report = Report::new(&mut print);
        report.pass("a", "fine");
        report.fail("b c", "two\nlines\t\u{1b}[31m");
        report.skip("d", "");
        report.feature("e", Verdict::Skip, "none");
        report.feature("f", Verdict::Pass, "");
        assert_eq!(report.checks().len(), 5);
        assert_eq!(report.checks()[1].name, "b_c");
        let tally = report.finish();
        assert_eq!(tally, Tally { pass: 2, fail: 1, skip: 2, features: (2, 1) });
        assert_eq!(
            lines,
            [
                "BRINGUP a pass fine",
                "BRINGUP b_c fail two lines [31m",
                "BRINGUP d skip ",
                "BRINGUP e skip none",
                "BRINGUP f pass ",
                "BRINGUP RESULT pass=2 fail=1 skip=2 features=1/2"
            ]
        );
    }
}
