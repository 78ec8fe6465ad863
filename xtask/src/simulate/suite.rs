// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `--check` and `--faults`: many boots of one image, side by side, and a table of what came of them.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use fw_build::Result;
use serde_json::json;

use super::check::{self, Wanted};
use super::faults::subject::Subject;
use super::faults::{self, table};
use super::medium::Medium;
use super::say;
use crate::context::Context;
use crate::exit::Exit;

/// Runs the assertions on an image.
///
/// # Errors
/// It is not an image of this project.
pub fn check(image: &Path, as_json: bool) -> Result<Exit> {
    let began = Instant::now();
    let cx = Context::load()?;
    let subject = Subject::new(Medium::open(image)?, &cx.board.dtb)?;
    let all = check::run(&Wanted { board: &cx.board, subject: &subject })?;
    let wrong = all.iter().filter(|j| j.verdict.is_err()).count();
    if as_json {
        let list: Vec<_> = all
            .iter()
            .map(|j| {
                let (Ok(detail) | Err(detail)) = &j.verdict;
                json!({ "what": j.what, "holds": j.verdict.is_ok(), "detail": detail })
            })
            .collect();
        say::data(format_args!(
            "{}",
            json!({ "image": subject.medium.name(), "passed": wrong == 0, "assertions": list })
        ));
    } else {
        for judged in &all {
            match &judged.verdict {
                Ok(detail) => say::data(format_args!("ok     {}: {detail}", judged.what)),
                Err(why) => say::data(format_args!("WRONG  {}: {why}", judged.what)),
            }
        }
        say::data(format_args!(
            "\n{} assertions, {wrong} wrong, in {:.1} s",
            all.len(),
            began.elapsed().as_secs_f64()
        ));
    }
    Ok(if wrong == 0 { Exit::Done } else { Exit::DoNotFlash })
}

/// Runs the fault matrix on an image.
///
/// # Errors
/// It is not an image of this project, or a fault cannot be put into it.
pub fn faults(image: &Path, filter: &str, as_json: bool) -> Result<Exit> {
    let began = Instant::now();
    let cx = Context::load()?;
    let subject = Subject::new(Medium::open(image)?, &cx.board.dtb)?;
    let all = faults::run(&subject, filter)?;
    let wrong = all.iter().filter(|o| !o.right).count();
    if as_json {
        let list: Vec<_> = all
            .iter()
            .map(|o| {
                json!({
                    "name": o.name, "what": o.what, "expected": o.expected, "named": o.named, "right": o.right,
                    "instructions": o.instructions, "seconds": o.wall.as_secs_f64(),
                })
            })
            .collect();
        say::data(format_args!(
            "{}",
            json!({ "image": subject.medium.name(), "passed": wrong == 0, "faults": list })
        ));
    } else {
        say::data(format_args!("{}", table_of(&all).trim_end()));
        let seconds = began.elapsed().as_secs_f64();
        say::data(format_args!(
            "\n{} faults of {}, {wrong} named wrongly, in {seconds:.1} s",
            all.len(),
            table::ALL.len()
        ));
    }
    // No fault of that name: nothing was shown.
    Ok(if wrong == 0 && !all.is_empty() { Exit::Done } else { Exit::Failed })
}

fn table_of(all: &[faults::Outcome]) -> String {
    let mut text = format!("{:24} {:30} {:30} {:>9} {:>6}\n", "fault", "expected", "named", "million", "s");
    for o in all {
        let (million, seconds) = (o.instructions / 1_000_000, o.wall.as_secs_f64());
        let named = if o.right { "the same" } else { &o.named };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:24} {:30} {named:30} {million:>9} {seconds:>6.2}", o.name, o.expected);
        if !o.right {
            let _ = writeln!(text, "  WRONG: {}; the console ends with:", o.what);
            for line in &o.console {
                let _ = writeln!(text, "  | {line}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::faults::Outcome;

    #[test]
    fn a_wrong_verdict_stands_out_with_its_console() {
        let outcome = |right| Outcome {
            name: "spl-byte",
            what: "one byte of SPL",
            expected: "boot-rom: model-boot-rom".into(),
            named: "spl: fit-hash".into(),
            right,
            instructions: 2_000_000,
            wall: std::time::Duration::from_millis(20),
            console: vec!["the last line".into()],
        };
        let text = table_of(&[outcome(true)]);
        assert!(text.contains("the same") && !text.contains("WRONG"), "{text}");
        let text = table_of(&[outcome(false)]);
        assert!(text.contains("spl: fit-hash") && text.contains("| the last line"), "{text}");
    }
}
