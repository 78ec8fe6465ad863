// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask diagnose LOG`: reads the log of a boot console and says how far it got and why it ended there.

use std::io::Read;
use std::path::{Path, PathBuf};

use boot_log::{Diagnosis, Rules, Scanner};
use clap::Args as ClapArgs;
use fs_err as fs;
use fw_build::{Failure, Result};

use crate::exit::Exit;

/// Says how far a boot got, and what is likely wrong.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask diagnose boot.log
  pbpaste | cargo xtask diagnose -         a log from the clipboard
  cargo xtask diagnose --json boot.log | jq .findings
  cargo xtask diagnose --rules             every symptom that is known

Exit code 1: the boot is not complete, or nothing is known about how it ended.")]
pub struct Args {
    /// Log of the serial console (1500000 8N1), `-` for standard input.
    #[arg(value_name = "LOG", required_unless_present = "rules")]
    log: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// List the known symptoms instead.
    #[arg(long, conflicts_with_all = ["log", "json"])]
    rules: bool,
}

/// Runs the verb.
///
/// # Errors
/// The log cannot be read.
pub fn run(args: &Args) -> Result<Exit> {
    let rules = Rules::builtin();
    let Some(log) = &args.log else {
        for rule in rules.all() {
            println!("{:20} {:12} {}", rule.id, rule.stage.id(), rule.symptom);
        }
        return Ok(Exit::Done);
    };
    let mut scanner = Scanner::new(&rules);
    feed(&mut scanner, log)?;
    let diagnosis = scanner.finish();
    if args.json {
        println!("{}", json(&diagnosis));
    } else {
        print!("{diagnosis}");
    }
    let complete = diagnosis.reached == Some(boot_log::Stage::Ready);
    Ok(if complete { Exit::Done } else { Exit::Failed })
}

fn feed(scanner: &mut Scanner<'_>, log: &Path) -> Result<()> {
    let mut source: Box<dyn Read> = if log == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(fs::File::open(log)?)
    };
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = source
            .read(&mut piece)
            .map_err(|e| Failure::new(format!("cannot read `{}`", log.display())).why(e))?;
        if read == 0 {
            return Ok(());
        }
        scanner.feed(&piece[..read]);
    }
}

/// The same as JSON: `reached` (a stage's id or null), `boots`, `recognised`, `last_line`, and `findings` with
/// `rule`, `class`, `stage`, `symptom`, `line` (from 1, or null), `text`, `causes`, `fix` and `source`.
#[must_use]
pub fn json(diagnosis: &Diagnosis<'_>) -> serde_json::Value {
    let findings: Vec<_> = diagnosis
        .findings
        .iter()
        .map(|f| {
            let causes: Vec<_> = f
                .rule
                .causes
                .iter()
                .map(|c| serde_json::json!({ "cause": c.cause, "test": c.test }))
                .collect();
            serde_json::json!({
                "rule": f.rule.id,
                "class": f.rule.class.name(),
                "stage": f.rule.stage.id(),
                "symptom": f.rule.symptom,
                "line": f.line,
                "text": f.text,
                "causes": causes,
                "fix": f.rule.fix,
                "source": f.rule.source,
            })
        })
        .collect();
    serde_json::json!({
        "reached": diagnosis.reached.map(boot_log::Stage::id),
        "boots": diagnosis.boots,
        "recognised": diagnosis.recognised(),
        "last_line": diagnosis.last_line,
        "findings": findings,
    })
}
