// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask test`: runs `cargo test`, adds up what every test program reports, and with `--strict`
//! accepts no ignored test.
//!
//! Reads the summary lines of the standard test harness; which tests exist is none of its business.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use clap::Args as ClapArgs;
use fw_build::Result;
use fw_build::run::Cmd;

use crate::exit::Exit;
use crate::{context, stages};

/// Runs all tests and prints the counts.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask test                   as `cargo test`, with the sum at the end
  cargo xtask test --strict          an ignored test is a failure (CI)
  cargo xtask test -- -p fw-image    more arguments for `cargo test`")]
pub struct Args {
    /// Fail when any test was ignored.
    #[arg(long)]
    strict: bool,
    /// More arguments for `cargo test`.
    #[arg(last = true)]
    cargo_args: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// Cargo cannot be started or its output cannot be read.
pub fn run(args: &Args) -> Result<Exit> {
    let mut running = Cmd::with_callers_env(stages::cargo())
        .args(["test", "--no-fail-fast"])
        .args(&args.cargo_args)
        .cwd(context::root()?)
        .spawn(Stdio::null(), Stdio::piped(), Stdio::inherit())?;
    let mut counts = Counts::default();
    for line in running.child.stdout.take().into_iter().flat_map(|s| BufReader::new(s).lines()) {
        let line = line?;
        println!("{line}");
        counts.line(&line);
    }
    let success = running.child.wait()?.success();
    println!("\ntests: {} passed, {} failed, {} ignored", counts.passed, counts.failed, counts.ignored.len());
    let (exit, complaint) = counts.judge(success, args.strict);
    if let Some(complaint) = complaint {
        eprintln!("{complaint}");
    }
    Ok(exit)
}

/// What the test programs reported.
#[derive(Debug, Default)]
struct Counts {
    passed: u64,
    failed: u64,
    /// Names of the ignored tests, with the reasons that were given.
    ignored: Vec<String>,
    /// Sum of the summaries, to compare with the names.
    ignored_sum: u64,
    summaries: u64,
}

impl Counts {
    fn line(&mut self, line: &str) {
        if let Some(summary) = line.strip_prefix("test result: ") {
            self.summaries += 1;
            self.passed += count(summary, "passed");
            self.failed += count(summary, "failed");
            self.ignored_sum += count(summary, "ignored");
        } else if let Some((name, rest)) =
            line.strip_prefix("test ").and_then(|t| t.split_once(" ... ignored"))
        {
            self.ignored.push(format!("{name}{rest}"));
        }
    }

    fn judge(&self, cargo_succeeded: bool, strict: bool) -> (Exit, Option<String>) {
        if !cargo_succeeded || self.failed > 0 {
            return (Exit::Failed, Some("error: some tests failed or did not compile, see above".to_owned()));
        }
        if self.passed == 0 {
            // Counting nothing must not look like success, whatever the reason.
            let seen = self.summaries;
            return (Exit::Failed, Some(format!("error: no test ran\n  {seen} test programs reported")));
        }
        let ignored = self.ignored_sum.max(self.ignored.len() as u64);
        if strict && ignored > 0 {
            let mut text = format!("error: {ignored} tests were ignored");
            for name in &self.ignored {
                text.push_str("\n  ");
                text.push_str(name);
            }
            text.push_str("\nhint: a test that is ignored says which command enables it");
            return (Exit::Failed, Some(text));
        }
        (Exit::Done, None)
    }
}

/// The number before a word: `ok. 12 passed; 0 failed; ...`.
fn count(summary: &str, word: &str) -> u64 {
    let words: Vec<&str> = summary.split([' ', ';']).filter(|w| !w.is_empty()).collect();
    words.windows(2).find(|w| w[1] == word).and_then(|w| w[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> Counts {
        let mut counts = Counts::default();
        text.lines().for_each(|l| counts.line(l));
        counts
    }

    const GOOD: &str = "running 2 tests\ntest a ... ok\ntest b ... ok\n\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.00s\n\
        test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    const IGNORED: &str = "test qemu::boots ... ignored, run `cargo xtask image` first\n\
        test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

    #[test]
    fn adds_up() {
        let counts = counts(&format!("{GOOD}{IGNORED}"));
        assert_eq!((counts.passed, counts.failed, counts.ignored_sum), (6, 0, 1));
        assert_eq!(counts.ignored, ["qemu::boots, run `cargo xtask image` first"]);
    }

    #[test]
    fn strict_refuses_ignored_tests() {
        assert_eq!(counts(GOOD).judge(true, true), (Exit::Done, None));
        assert_eq!(counts(IGNORED).judge(true, false).0, Exit::Done);
        let (exit, complaint) = counts(IGNORED).judge(true, true);
        assert_eq!(exit, Exit::Failed);
        assert!(complaint.is_some_and(|c| c.contains("1 tests were ignored\n  qemu::boots, run")));
        // The harness with `--quiet` prints no names, only the sum.
        let (exit, _) = counts(IGNORED.lines().last().unwrap_or_default()).judge(true, true);
        assert_eq!(exit, Exit::Failed);
    }

    #[test]
    fn failures_and_silence_are_failures() {
        assert_eq!(counts(GOOD).judge(false, false).0, Exit::Failed);
        let failed = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(counts(failed).judge(true, false).0, Exit::Failed);
        assert_eq!(counts("").judge(true, false).0, Exit::Failed);
    }
}
