// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The report of the self-test image on the model: what failed, and what the model does not have for it.
//!
//! A check that fails for want of a device is named with that device; any other one counts against the image. Pure.

use std::fmt;

use serde_json::json;

use crate::selftest_lines::{Outcome, RESULT, check_line, field};

/// What the model does not have, by the start of the names of the checks that fail for it.
const ABSENT: [(&str, &str); 3] = [
    ("cpus", "the other seven cores"),
    // The kernel leaves a task as it is when its new group has the processors of the old one (Linux
    // `kernel/cgroup/cpuset.c`, `cpuset_attach`); with one processor every group has.
    ("cgroup.cpuset", "a second processor"),
    ("net.", "an Ethernet PHY"),
];

/// A check that did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    name: String,
    detail: String,
    /// What the model would need.
    wants: Option<&'static str>,
}

/// The checks of one report.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SelfTest {
    passed: u64,
    failed: Vec<Finding>,
    skipped: Vec<Finding>,
    /// The sums of the report's last line: passed, failed, skipped.
    sums: Option<[u64; 3]>,
}

impl SelfTest {
    /// From the lines of the console; `None` if none is a check's.
    pub fn read<'l>(lines: impl Iterator<Item = &'l str>) -> Option<SelfTest> {
        let mut seen = SelfTest::default();
        for line in lines {
            if line.contains(RESULT) {
                let sum = |key| field(line, key);
                seen.sums = sum("pass=").zip(sum("fail=")).zip(sum("skip=")).map(|((p, f), s)| [p, f, s]);
            } else if let Some((name, outcome, detail)) = check_line(line) {
                let wants = ABSENT.iter().find(|(start, _)| name.starts_with(start)).map(|(_, what)| *what);
                let finding = Finding { name: name.to_owned(), detail: detail.to_owned(), wants };
                match outcome {
                    Outcome::Pass => seen.passed += 1,
                    Outcome::Fail => seen.failed.push(finding),
                    Outcome::Skip => seen.skipped.push(finding),
                }
            }
        }
        (seen != SelfTest::default()).then_some(seen)
    }

    /// Lines that were counted.
    fn counted(&self) -> [u64; 3] {
        [self.passed, self.failed.len() as u64, self.skipped.len() as u64]
    }

    /// Whether nothing failed but what needs a device that the model does not have, and every line was seen.
    pub fn is_good(&self) -> bool {
        self.sums == Some(self.counted()) && self.failed.iter().all(|finding| finding.wants.is_some())
    }

    /// As JSON: `passed` is a number, `failed` and `skipped` lists of `name`, `detail` and `wants`.
    pub fn json(&self) -> serde_json::Value {
        let list = |all: &[Finding]| -> Vec<_> {
            all.iter().map(|f| json!({ "name": f.name, "detail": f.detail, "wants": f.wants })).collect()
        };
        json!({ "passed": self.passed, "failed": list(&self.failed), "skipped": list(&self.skipped) })
    }
}

impl fmt::Display for SelfTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [passed, failed, skipped] = self.counted();
        writeln!(f, "checks       {passed} passed, {failed} failed, {skipped} skipped")?;
        if self.sums != Some(self.counted()) {
            writeln!(
                f,
                "incomplete   the last line counts {:?}: lines of the console are missing",
                self.sums
            )?;
        }
        for finding in self.failed.iter().filter(|finding| finding.wants.is_none()) {
            writeln!(f, "failed       {}: {}", finding.name, finding.detail)?;
        }
        for (start, what) in ABSENT {
            let names: Vec<_> = self
                .failed
                .iter()
                .filter(|finding| finding.wants == Some(what) && finding.name.starts_with(start))
                .map(|finding| finding.name.as_str())
                .collect();
            if !names.is_empty() {
                writeln!(f, "not there    {what}: {}", names.join(", "))?;
            }
        }
        let skipped: Vec<_> = self.skipped.iter().map(|f| format!("{} ({})", f.name, f.detail)).collect();
        if !skipped.is_empty() {
            writeln!(f, "skipped      {}", skipped.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<SelfTest> {
        SelfTest::read(lines.iter().copied())
    }

    const LINES: [&str; 6] = [
        "[    1.0] Run /init as init process",
        "BRINGUP led pass `sys_led` blinks",
        "BRINGUP cpus fail 1 online of 8 present",
        "BRINGUP net.eth0 fail cannot be raised",
        "BRINGUP pcie skip no ports",
        "BRINGUP RESULT pass=1 fail=2 skip=1 features=0/0",
    ];

    #[test]
    fn what_the_model_lacks_is_named() {
        let seen = read(&LINES).unwrap();
        assert!(seen.is_good());
        let text = seen.to_string();
        for line in [
            "checks       1 passed, 2 failed, 1 skipped",
            "not there    the other seven cores: cpus",
            "not there    an Ethernet PHY: net.eth0",
            "skipped      pcie (no ports)",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert_eq!(read(&LINES[..1]), None);
    }

    #[test]
    fn must_fail_a_check_that_needs_no_device() {
        let mut lines = LINES;
        lines[3] = "BRINGUP ns.net fail no";
        let seen = read(&lines).unwrap();
        assert!(!seen.is_good());
        assert!(seen.to_string().contains("failed       ns.net: no"));
    }

    #[test]
    fn must_fail_a_report_with_a_hole() {
        let mut lines = LINES;
        lines[1] = "BRINGUP led pa";
        assert!(!read(&lines).unwrap().is_good());
        assert!(!read(&LINES[..5]).unwrap().is_good());
    }
}
