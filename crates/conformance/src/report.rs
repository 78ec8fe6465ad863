// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the programs found, and what it amounts to.

use std::collections::BTreeMap;

use fw_build::{Failure, Result};
use serde::{Deserialize, Serialize};

/// What became of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Our file is as the release wants it, and every broken one was noticed.
    Passed,
    /// Not so.
    Failed,
    /// What it looks at was not made.
    Absent,
}

/// A broken input, and whether it was noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    /// What is wrong with it.
    pub input: String,
    /// Whether the release's code, or our comparison with what it gives, said so.
    pub caught: bool,
    /// Its words.
    pub how: String,
}

/// One check of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Name.
    pub check: String,
    /// Result.
    pub status: Status,
    /// What it shows when it passes.
    pub shows: String,
    /// What is wrong.
    pub problems: Vec<String>,
    /// Inputs that must be refused.
    pub broken: Vec<Broken>,
}

impl Check {
    /// Reads the output of a program.
    ///
    /// # Errors
    /// It is not of this form, a check is there twice, or one passes without a broken input.
    pub fn list(json: &[u8]) -> Result<Vec<Check>> {
        let wrong = |why: String| Failure::new("the checks' output cannot be read").why(why);
        let checks: Vec<Check> = serde_json::from_slice(json).map_err(|e| wrong(e.to_string()))?;
        for (i, check) in checks.iter().enumerate() {
            if checks[..i].iter().any(|c| c.check == check.check) {
                return Err(wrong(format!("`{}` is there twice", check.check)));
            }
            let sound = check.problems.is_empty()
                && !check.broken.is_empty()
                && check.broken.iter().all(|broken| broken.caught);
            if check.status == Status::Passed && !sound {
                return Err(wrong(format!(
                    "`{}` passed with problems, or without a broken input",
                    check.check
                )));
            }
        }
        Ok(checks)
    }
}

/// What became of a line.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Outcome {
    /// Its program ran.
    Checked {
        /// What it found.
        checks: Vec<Check>,
    },
    /// Go, a module, or an input is not to be had here. Never counts as passed.
    Ignored {
        /// Why, and what to do.
        reason: String,
    },
    /// The program does not build, or did not run to its end.
    Broken {
        /// The failing command and its last lines.
        reason: String,
    },
}

/// All lines, by name.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Line, release of the linked code, and outcome.
    pub lines: BTreeMap<String, (String, Outcome)>,
}

/// Whether an ignored line is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// It is.
    Strict,
    /// It is not.
    Lenient,
}

impl Report {
    /// Everything that is wrong, one line each; empty when all is well.
    pub fn complaints(&self, strictness: Strictness) -> Vec<String> {
        let mut complaints = Vec::new();
        let strict = strictness == Strictness::Strict;
        let mut passed = 0;
        for (line, (_, outcome)) in &self.lines {
            match outcome {
                Outcome::Broken { reason } => complaints.push(format!("{line}: {reason}")),
                Outcome::Ignored { reason } if strict => {
                    complaints.push(format!("{line}: ignored: {reason}"))
                }
                Outcome::Ignored { .. } => {}
                Outcome::Checked { checks } => {
                    for check in checks {
                        match check.status {
                            Status::Passed => passed += 1,
                            Status::Failed => complaints.push(format!(
                                "{line}: `{}` failed: {}",
                                check.check,
                                check.problems.join("; ")
                            )),
                            Status::Absent if strict => {
                                complaints.push(format!(
                                    "{line}: `{}` did not run: its input was not made",
                                    check.check
                                ));
                            }
                            Status::Absent => {}
                        }
                    }
                }
            }
        }
        if strict && passed == 0 {
            // Nothing was looked at: whatever the reason, that is no success.
            complaints.push("no check passed".to_owned());
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &str, caught: bool) -> String {
        format!(
            r#"{{"check":"meta","status":"{status}","shows":"x","problems":[],"broken":[{{"input":"i","caught":{caught},"how":"h"}}]}}"#
        )
    }

    fn report(outcome: Outcome) -> Report {
        Report { lines: BTreeMap::from([("v1.10".to_owned(), ("v1.10.6".to_owned(), outcome))]) }
    }

    #[test]
    fn a_pass_needs_caught_inputs() {
        let good = check("passed", true);
        assert_eq!(Check::list(format!("[{good}]").as_bytes()).expect("sound").len(), 1);
        for bad in [
            format!("[{}]", check("passed", false)),
            format!("[{good},{good}]"),
            r#"[{"check":"meta","status":"passed","shows":"x","problems":[],"broken":[]}]"#.to_owned(),
            format!("[{}]", check("fine", true)),
            String::new(),
        ] {
            assert!(Check::list(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_did_not_run_never_counts() {
        let ignored = report(Outcome::Ignored { reason: "no Go".to_owned() });
        assert!(ignored.complaints(Strictness::Lenient).is_empty());
        let text = ignored.complaints(Strictness::Strict).join("\n");
        assert!(text.contains("v1.10: ignored: no Go") && text.contains("no check passed"), "{text}");

        let absent = Check::list(format!("[{}]", check("absent", true)).as_bytes()).expect("read");
        let absent = report(Outcome::Checked { checks: absent });
        assert!(absent.complaints(Strictness::Lenient).is_empty());
        assert!(absent.complaints(Strictness::Strict)[0].contains("did not run"));

        let broken = report(Outcome::Broken { reason: "`go` ended with status 1".to_owned() });
        assert_eq!(broken.complaints(Strictness::Lenient), ["v1.10: `go` ended with status 1"]);
        assert!(!Report::default().complaints(Strictness::Strict).is_empty());
    }

    #[test]
    fn a_failed_check_is_named() {
        let failed = check("failed", false);
        let checks = Check::list(format!("[{failed}]").as_bytes()).expect("read");
        let complaints = report(Outcome::Checked { checks }).complaints(Strictness::Lenient);
        assert!(complaints[0].starts_with("v1.10: `meta` failed"), "{complaints:?}");
    }
}
