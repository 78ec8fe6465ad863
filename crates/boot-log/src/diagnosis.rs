// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From what was seen to what it means.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use crate::lines::Lines;
use crate::rules::{Class, Rule, Rules, Stream};
use crate::scanner::State;
use crate::stage::Stage;

/// A rule that applies.
#[derive(Debug)]
pub struct Finding<'r> {
    /// Which.
    pub rule: &'r Rule,
    /// The line that shows it, from 1; none when it is an absence that shows it.
    pub line: Option<u64>,
    /// That line.
    pub text: Option<String>,
}

/// What a console says.
#[derive(Debug)]
pub struct Diagnosis<'r> {
    /// How many boots the log holds.
    pub boots: u32,
    /// The last stage that showed itself in the last boot.
    pub reached: Option<Stage>,
    /// The last line that is not empty.
    pub last_line: String,
    /// What applies: what ends the boot first, then what works badly, then notes; of each, the messages before
    /// the absences, and the latest message first.
    pub findings: Vec<Finding<'r>>,
}

impl<'r> Diagnosis<'r> {
    pub(crate) fn of(rules: &'r Rules, lines: &Lines, state: State) -> Self {
        let stream = if lines.is_garbage() {
            Some(Stream::Garbage)
        } else if state.line == 0 {
            Some(Stream::Silent)
        } else {
            None
        };
        let mut findings: Vec<Finding<'r>> = rules
            .rules
            .iter()
            .zip(&rules.uses)
            .filter(|(rule, (seen, absent))| {
                let when = &rule.when;
                seen.iter().all(|p| state.hits.contains_key(p))
                    && !absent.iter().any(|p| state.hits.contains_key(p))
                    && (when.last.is_empty() || state.reached.is_some_and(|s| when.last.contains(&s)))
                    && state.boots >= when.boots_at_least
                    && (when.stream.is_none() || when.stream == stream)
            })
            .map(|(rule, (seen, _))| {
                let hit = seen.iter().filter_map(|p| state.hits.get(p)).max_by_key(|h| h.line);
                Finding { rule, line: hit.map(|h| h.line), text: hit.map(|h| h.text.clone()) }
            })
            .collect();
        // A message says more than an absence: of the rules for silence, none when a message explains the end.
        if findings.iter().any(|f| f.rule.class == Class::Fatal && f.line.is_some()) {
            findings.retain(|f| f.rule.class != Class::Fatal || f.line.is_some());
        }
        // Nobody looks for the reason why a boot ended that did not end.
        if state.reached == Some(Stage::Ready) {
            findings.retain(|f| f.rule.class != Class::Fatal);
        }
        let explained: BTreeSet<&str> =
            findings.iter().flat_map(|f| f.rule.explains.iter().map(String::as_str)).collect();
        findings.retain(|f| !explained.contains(f.rule.id.as_str()));
        findings.sort_by_key(|f| (f.rule.class, Reverse(f.line)));
        Self { boots: state.boots, reached: state.reached, last_line: state.last_text, findings }
    }

    /// Whether the log is understood: the boot is complete, or a rule says why it is not.
    #[must_use]
    pub fn recognised(&self) -> bool {
        self.reached == Some(Stage::Ready) || self.findings.iter().any(|f| f.rule.class == Class::Fatal)
    }
}

impl fmt::Display for Diagnosis<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reached {
            Some(Stage::Ready) => writeln!(f, "the boot is complete")?,
            Some(stage) => writeln!(f, "last good stage: {stage}")?,
            None => writeln!(f, "no stage has shown itself")?,
        }
        if self.boots > 1 {
            writeln!(f, "the log holds {} boots; this is about the last", self.boots)?;
        }
        if !self.last_line.is_empty() {
            writeln!(f, "last line: `{}`", self.last_line.trim())?;
        }
        if !self.recognised() {
            writeln!(f, "not recognised: no rule knows why it ends here")?;
        }
        for finding in &self.findings {
            let rule = finding.rule;
            writeln!(f, "\n{}: {} ({}, {})", rule.id, rule.symptom, rule.class.name(), rule.stage)?;
            if let (Some(line), Some(text)) = (finding.line, &finding.text) {
                writeln!(f, "  line {line}: `{}`", text.trim())?;
            }
            for (n, cause) in rule.causes.iter().enumerate() {
                writeln!(f, "  {}. {}", n + 1, cause.cause)?;
                writeln!(f, "     test: {}", cause.test)?;
            }
            writeln!(f, "  fix: {}", rule.fix)?;
            writeln!(f, "  known from: {}", rule.source.join("; "))?;
        }
        Ok(())
    }
}
