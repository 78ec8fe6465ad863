// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs the topics of [`crate::features`], and sees to it that every check of each has a line.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::features::TOPICS;
use crate::machine::Machine;
use crate::report::{Report, Verdict};

/// One topic takes a second at most, even on an emulated machine; a hung one must not hold up the report.
const LIMIT: Duration = Duration::from_secs(20);

/// One line per check of every topic.
pub fn check(machine: &Machine<'_>, report: &mut Report<'_>) {
    for topic in TOPICS {
        let end = machine.ops.run_topic(topic.name, LIMIT);
        let mut found: BTreeMap<&str, (Verdict, &str)> = end.lines.iter().filter_map(|l| parse(l)).collect();
        for name in topic.checks {
            match found.remove(name) {
                Some((verdict, detail)) => report.feature(name, verdict, detail),
                None => {
                    let why = end.trouble.as_deref().unwrap_or("it printed no line");
                    report.feature(name, Verdict::Fail, format!("`selftest feature {}`: {why}", topic.name));
                }
            }
        }
        for (name, (verdict, detail)) in found {
            report.feature(name, Verdict::Fail, format!("is no check of its topic ({verdict} {detail})"));
        }
    }
}

/// `NAME pass|fail|skip DETAIL`.
fn parse(line: &str) -> Option<(&str, (Verdict, &str))> {
    let (name, rest) = line.split_once(' ')?;
    let (verdict, detail) = rest.split_once(' ').unwrap_or((rest, ""));
    let verdict =
        [Verdict::Pass, Verdict::Fail, Verdict::Skip].into_iter().find(|v| v.to_string() == verdict)?;
    Some((name, (verdict, detail)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::TopicEnd;
    use crate::testing::Fixture;

    #[test]
    fn every_check_has_a_line_whatever_the_topic_does() {
        let f = Fixture::new();
        let end = |lines: &[&str], trouble: Option<&str>| TopicEnd {
            lines: lines.iter().map(|l| (*l).to_owned()).collect(),
            trouble: trouble.map(str::to_owned),
        };
        f.ops.topics.borrow_mut().extend([
            ("nft".to_owned(), end(&["nft.filter pass works", "noise", "nft.other pass x"], None)),
            ("ipvs".to_owned(), end(&[], Some("signal: 11 (SIGSEGV)"))),
            ("thin".to_owned(), end(&["dm.thin skip none"], None)),
        ]);
        let lines = f.lines(check);
        for line in [
            "nft.filter pass works",
            "nft.nat fail `selftest feature nft`: it printed no line",
            "nft.other fail is no check of its topic (pass x)",
            "ipvs fail `selftest feature ipvs`: signal: 11 (SIGSEGV)",
            "dm.thin skip none",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line} in {lines:#?}");
        }
        let checks: usize = TOPICS.iter().map(|t| t.checks.len()).sum();
        assert_eq!(lines.len(), checks + 1);
    }
}
