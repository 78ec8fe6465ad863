// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The report as data. `docs/bringup.md` has the fields for people; a test compares.

use serde::{Deserialize, Serialize};

use super::interfaces::{self, Interface};
use crate::machine::Machine;
use crate::report::{Report, Verdict};

/// What the file calls itself.
pub const FORMAT: &str = "talos-nanopi-m6 bringup report";
/// Raised when a field changes its meaning or goes; a new field leaves it.
pub const VERSION: u32 = 1;

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// How far the self-test is.
    pub state: State,
    /// Release of the kernel that the image was made with.
    pub kernel: String,
    /// What the device tree calls the board.
    pub board: Option<String>,
    /// Seconds from the start of the kernel to this report.
    pub uptime_seconds: Option<f64>,
    /// The sum; absent before the end.
    pub result: Option<Sum>,
    /// Ethernet interfaces.
    pub interfaces: Vec<Interface>,
    /// One per line of the report.
    pub checks: Vec<Check>,
}

/// How far the self-test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The image was flashed and never came so far. What the image holds.
    NotRun,
    /// It runs. Only over the network.
    Running,
    /// It has ended.
    Finished,
}

/// How many checks ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Passed.
    pub pass: usize,
    /// Failed.
    pub fail: usize,
    /// Skipped: the machine lacks what they look at.
    pub skip: usize,
    /// Among them, features that Kubernetes asks of the kernel.
    pub features: usize,
    /// Those of the features that passed.
    pub features_passed: usize,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// One word, for example `net.end0`.
    pub name: String,
    /// What it came to.
    pub verdict: Verdict,
    /// One line.
    pub detail: String,
}

impl Document {
    fn empty(state: State, kernel: &str) -> Document {
        Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            state,
            kernel: kernel.to_owned(),
            board: None,
            uptime_seconds: None,
            result: None,
            interfaces: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// What lies in an image that was never booted.
    pub fn not_run(kernel: &str) -> Document {
        Document::empty(State::NotRun, kernel)
    }

    /// What is served while the self-test runs.
    pub fn running(machine: &Machine<'_>) -> Document {
        Document { board: board(machine), ..Document::empty(State::Running, &release(machine)) }
    }

    /// What a report has come to.
    pub fn finished(machine: &Machine<'_>, report: &Report<'_>) -> Document {
        let tally = report.tally();
        let (features, features_passed) = tally.features;
        let uptime = machine.read("/proc/uptime").unwrap_or_default();
        Document {
            board: board(machine),
            uptime_seconds: uptime.split_whitespace().next().and_then(|s| s.parse().ok()),
            result: Some(Sum {
                pass: tally.pass,
                fail: tally.fail,
                skip: tally.skip,
                features,
                features_passed,
            }),
            interfaces: interfaces::list(machine),
            checks: report.checks().to_vec(),
            ..Document::empty(State::Finished, &release(machine))
        }
    }

    /// Reads a document; `None` when the text is something else, or of another version.
    pub fn parse(text: &str) -> Option<Document> {
        let document: Document = serde_json::from_str(text).ok()?;
        (document.format == FORMAT && document.version == VERSION).then_some(document)
    }

    /// As text, for people, too.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists only: nothing that JSON has no form for.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

fn release(machine: &Machine<'_>) -> String {
    machine.read("/proc/sys/kernel/osrelease").unwrap_or_default()
}

fn board(machine: &Machine<'_>) -> Option<String> {
    machine.read("/sys/firmware/devicetree/base/model")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::Fixture;

    fn full(f: &Fixture) -> Document {
        f.file("/proc/sys/kernel/osrelease", "6.18.15-abc\n");
        f.file("/proc/uptime", "12.34 40.00\n");
        f.file("/sys/firmware/devicetree/base/model", "FriendlyElec NanoPi M6\0");
        f.file("/sys/class/net/eth0/device/x", "");
        f.file("/sys/class/net/eth0/type", "1\n");
        f.file("/sys/class/net/eth0/address", "52:54:00:12:34:56\n");
        let mut print = |_: &str| ();
        let mut report = Report::new(&mut print);
        report.pass("a", "fine <b> \"quoted\"");
        report.feature("b", Verdict::Fail, "not fine");
        report.skip("c", "absent");
        Document::finished(&f.machine(), &report)
    }

    #[test]
    fn a_report_comes_back_from_its_text() {
        let f = Fixture::new();
        let document = full(&f);
        assert_eq!(document.result, Some(Sum { pass: 1, fail: 1, skip: 1, features: 1, features_passed: 0 }));
        assert_eq!(document.uptime_seconds, Some(12.34));
        assert_eq!(document.interfaces.len(), 1);
        assert_eq!(Document::parse(&document.to_json()), Some(document));
        let not_run = Document::not_run("6.18.15-abc");
        assert_eq!(Document::parse(&not_run.to_json()), Some(not_run));
    }

    #[test]
    fn must_fail_what_is_no_report() {
        let text = Document::not_run("x").to_json();
        for bad in [
            String::new(),
            "{}".to_owned(),
            text.replace("talos-nanopi-m6", "other"),
            text.replace("\"version\": 1", "\"version\": 2"),
            text.replace("not-run", "maybe"),
        ] {
            assert!(bad != text && Document::parse(&bad).is_none(), "{bad}");
        }
    }

    /// Every name of a field, in whatever depth.
    fn names(value: &serde_json::Value, into: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                into.insert(name.clone());
                names(value, into);
            }),
            serde_json::Value::Array(items) => items.iter().for_each(|i| names(i, into)),
            _ => {}
        }
    }

    #[test]
    fn the_documentation_has_every_field() {
        let f = Fixture::new();
        let mut found = BTreeSet::new();
        names(&serde_json::from_str(&full(&f).to_json()).expect("JSON"), &mut found);
        let docs = include_str!("../../../../../docs/bringup.md");
        for name in found {
            assert!(docs.contains(&format!("`{name}`")), "docs/bringup.md has no `{name}`");
        }
    }
}
