// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules as data: read, checked against each other, and their patterns compiled into one automaton.

use std::collections::BTreeSet;

use regex::RegexSet;
use serde::Deserialize;

use crate::stage::Stage;

/// What is wrong with a set of rules.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not TOML, or not of this form.
    #[error("the rules are not readable: {0}")]
    Form(#[from] toml::de::Error),
    /// A pattern is no regular expression.
    #[error("a pattern is not a regular expression: {0}")]
    Pattern(#[from] regex::Error),
    /// Two rules with one name, or a reference to none.
    #[error("rule `{0}`: {1}")]
    Rule(String, &'static str),
}

/// How much a symptom matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The boot ends here.
    Fatal,
    /// It boots, and something does not work.
    Trouble,
    /// Looks like a fault and is none, or is worth knowing.
    Note,
}

impl Class {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Fatal => "boot ends here",
            Class::Trouble => "works badly",
            Class::Note => "note",
        }
    }
}

/// A possible cause and how to find out whether it is the one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// What may be wrong.
    pub cause: String,
    /// The next thing to try.
    pub test: String,
}

/// One known symptom.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    /// Its name; the fixture of the same name shows it.
    pub id: String,
    /// How much it matters.
    pub class: Class,
    /// The stage at fault: not always the one that prints the message.
    pub stage: Stage,
    /// What is seen, in a sentence.
    pub symptom: String,
    /// Likeliest first.
    pub causes: Vec<Cause>,
    /// What helps when the first cause is confirmed.
    pub fix: String,
    /// Where this is known from.
    pub source: Vec<String>,
    /// Rules that are consequences of this one: not reported beside it.
    #[serde(default)]
    pub explains: Vec<String>,
    /// When it applies.
    pub(crate) when: When,
}

/// All conditions that are given must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct When {
    /// Each pattern matches some line of the last boot.
    #[serde(default)]
    pub(crate) seen: Vec<String>,
    /// No pattern matches any line of the last boot.
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    /// The last boot got exactly this far.
    #[serde(default)]
    pub(crate) last: Vec<Stage>,
    /// The log shows at least so many boots.
    #[serde(default)]
    pub(crate) boots_at_least: u32,
    /// What kind of stream it is.
    #[serde(default)]
    pub(crate) stream: Option<Stream>,
}

/// A stream that holds no log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stream {
    /// Nothing arrived.
    Silent,
    /// Bytes arrived that are no text.
    Garbage,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    stage: Vec<Banner>,
    rule: Vec<Rule>,
}

/// The line by which a stage shows itself, once a boot.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Banner {
    id: Stage,
    banner: String,
}

/// A checked set of rules.
#[derive(Debug)]
pub struct Rules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) patterns: RegexSet,
    /// Patterns `0..stages.len()` are the banners of these.
    pub(crate) stages: Vec<Stage>,
    /// Of each rule: indices of its `seen` and of its `absent` patterns.
    pub(crate) uses: Vec<(Vec<usize>, Vec<usize>)>,
}

impl Rules {
    /// The project's own rules.
    ///
    /// # Panics
    /// Never in a released build: a test reads the file.
    #[must_use]
    pub fn builtin() -> Self {
        Self::parse(include_str!("../rules.toml")).expect("the built-in rules were read by a test")
    }

    /// Reads rules.
    ///
    /// # Errors
    /// [`Error`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let File { stage, rule: rules } = toml::from_str(text)?;
        let ids: BTreeSet<&str> = rules.iter().map(|r| r.id.as_str()).collect();
        if ids.len() != rules.len() {
            let mut seen = BTreeSet::new();
            let twice = rules.iter().find(|r| !seen.insert(&r.id)).map_or("", |r| &r.id);
            return Err(Error::Rule(twice.into(), "there are two of this name"));
        }
        let mut patterns: Vec<String> = stage.iter().map(|s| s.banner.clone()).collect();
        let mut uses = Vec::with_capacity(rules.len());
        for rule in &rules {
            check(rule, &ids)?;
            let mut add = |list: &[String]| {
                let first = patterns.len();
                patterns.extend_from_slice(list);
                (first..patterns.len()).collect::<Vec<_>>()
            };
            uses.push((add(&rule.when.seen), add(&rule.when.absent)));
        }
        Ok(Self {
            patterns: RegexSet::new(&patterns)?,
            stages: stage.into_iter().map(|s| s.id).collect(),
            rules,
            uses,
        })
    }

    /// Every rule, in the order of the file.
    #[must_use]
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }
}

fn check(rule: &Rule, ids: &BTreeSet<&str>) -> Result<(), Error> {
    let wrong = |why| Err(Error::Rule(rule.id.clone(), why));
    let when = &rule.when;
    if when.seen.is_empty() && when.last.is_empty() && when.boots_at_least == 0 && when.stream.is_none() {
        return wrong(
            "it would always apply: `when` has neither `seen`, `last`, `boots-at-least` nor `stream`",
        );
    }
    if rule.causes.is_empty() || rule.source.is_empty() {
        return wrong("it has no cause, or no source");
    }
    if rule.explains.iter().any(|id| !ids.contains(id.as_str()) || *id == rule.id) {
        return wrong("`explains` names no other rule");
    }
    Ok(())
}
