// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the self-test writes on the console, one line a check and one for the result: read by the rehearsal in QEMU
//! and on the model of the SoC.

/// Begins the last line of a report: `crates/bringup/selftest`, `Report::finish`.
pub(crate) const RESULT: &str = "BRINGUP RESULT ";

/// What a check of the self-test came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Pass,
    Skip,
    Fail,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Outcome::Pass => "pass",
            Outcome::Skip => "skip",
            Outcome::Fail => "fail",
        })
    }
}

/// `BRINGUP <name> pass|fail|skip <detail>`.
pub(crate) fn check_line(line: &str) -> Option<(&str, Outcome, &str)> {
    let (name, rest) = after(line, "BRINGUP ")?.split_once(' ')?;
    let (outcome, detail) = rest.split_once(' ').unwrap_or((rest, ""));
    let outcome = match outcome {
        "pass" => Outcome::Pass,
        "skip" => Outcome::Skip,
        "fail" => Outcome::Fail,
        _ => return None,
    };
    Some((name, outcome, detail))
}

/// The number behind `key` (with its `=`), as in `BRINGUP RESULT pass=101 fail=3`.
pub(crate) fn field(line: &str, key: &str) -> Option<u64> {
    after(line, key)?.split(' ').next()?.parse().ok()
}

/// The text behind a marker anywhere in the line: the kernel puts a time stamp before its own.
pub(crate) fn after<'l>(line: &'l str, marker: &str) -> Option<&'l str> {
    line.find(marker).map(|at| &line[at + marker.len()..])
}
