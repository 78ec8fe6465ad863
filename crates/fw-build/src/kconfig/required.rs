// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of options this kernel must have (`kernel-config/required.toml`).
//!
//! It is checked against the fragments, without a build, and against the finished `.config`.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

use super::{Btf, DotConfig, Error, Request, Value};
use crate::failure::Failure;

/// Talos lines a kernel of this project serves.
pub const TALOS_LINES: [&str; 5] = ["v1.10", "v1.11", "v1.12", "v1.13", "v1.14"];

/// The table as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawTable {
    group: Vec<RawGroup>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawGroup {
    source: String,
    reason: String,
    values: Vec<String>,
    options: Vec<String>,
    lines: Option<Vec<String>>,
    #[serde(default)]
    selected: bool,
    when: Option<When>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum When {
    BtfOn,
    BtfOff,
}

/// One required option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Option, without `CONFIG_`.
    pub option: String,
    /// Allowed values.
    pub values: Vec<Value>,
    /// What breaks without it.
    pub reason: String,
    /// Document and section the reason is taken from.
    pub source: String,
    /// Talos lines it is for; empty: all of [`TALOS_LINES`].
    pub lines: Vec<String>,
    /// Something else selects it: no fragment asks for it by name.
    pub selected: bool,
    when: Option<When>,
}

impl Requirement {
    fn allows(&self, value: Option<&Value>) -> bool {
        self.values.contains(value.unwrap_or(&Value::No))
    }

    fn applies(&self, btf: Btf, line: Option<&str>) -> bool {
        let by_btf = match self.when {
            None => true,
            Some(When::BtfOn) => btf == Btf::On,
            Some(When::BtfOff) => btf == Btf::Off,
        };
        by_btf && (self.lines.is_empty() || line.is_none_or(|l| self.lines.iter().any(|own| own == l)))
    }
}

/// The table of required options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    requirements: Vec<Requirement>,
}

/// A required option that is missing or has a value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What is required, and why.
    pub requirement: Requirement,
    /// What was found; `None`: the option is not named.
    pub got: Option<Value>,
    /// Where it was looked for.
    pub place: Place,
}

/// Where a required option is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The fragments in `kernel-config/`.
    Fragments,
    /// The finished `.config`.
    Config,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requirement { option, values, reason, source, lines, .. } = &self.requirement;
        let wanted: Vec<String> = values.iter().map(|v| format!("`{v}`")).collect();
        write!(f, "`CONFIG_{option}`: wanted {}, ", wanted.join(" or "))?;
        match (&self.got, self.place) {
            (Some(got), Place::Fragments) => write!(f, "the fragments ask for `{got}`")?,
            (Some(got), Place::Config) => write!(f, "`.config` has `{got}`")?,
            (None, Place::Fragments) => f.write_str("no fragment asks for it")?,
            (None, Place::Config) => f.write_str("`.config` does not name it")?,
        }
        write!(f, ": {reason} ({source}")?;
        if !lines.is_empty() {
            write!(f, "; Talos {}", lines.join(", "))?;
        }
        f.write_str(")")
    }
}

impl Required {
    /// Reads the table. `file` is its name in messages.
    ///
    /// # Errors
    /// An unknown key, a value that Kconfig does not know, an unknown Talos line, an empty group, or an option
    /// that is named twice.
    pub fn parse(file: &str, text: &str) -> Result<Required, Error> {
        let wrong = |why: String| Error::Table { file: file.into(), why };
        let raw: RawTable = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let mut seen = BTreeSet::new();
        let mut requirements = Vec::new();
        for group in raw.group {
            let RawGroup { source, reason, values, options, lines, selected, when } = group;
            let value =
                |v: &String| Value::parse(v).ok_or_else(|| wrong(format!("`{v}` is no Kconfig value")));
            let values: Vec<Value> = values.iter().map(value).collect::<Result<_, _>>()?;
            let lines = lines.unwrap_or_default();
            if values.is_empty() || options.is_empty() || reason.is_empty() || source.is_empty() {
                return Err(wrong(format!("the group `{reason}` lacks values, options, reason or source")));
            }
            if let Some(line) = lines.iter().find(|l| !TALOS_LINES.contains(&l.as_str())) {
                return Err(wrong(format!("`{line}` is none of the Talos lines {}", TALOS_LINES.join(", "))));
            }
            for option in options {
                if !seen.insert(option.clone()) {
                    return Err(wrong(format!("`CONFIG_{option}` is named twice")));
                }
                requirements.push(Requirement {
                    option,
                    values: values.clone(),
                    reason: reason.clone(),
                    source: source.clone(),
                    lines: lines.clone(),
                    selected,
                    when,
                });
            }
        }
        Ok(Required { requirements })
    }

    /// Keeps the requirements whose option `wanted` says yes to.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.requirements.retain(|r| wanted(&r.option));
    }

    /// The requirements for a choice of BTF and a Talos line (`None`: every line at once).
    pub fn of(&self, btf: Btf, line: Option<&str>) -> impl Iterator<Item = &Requirement> {
        self.requirements.iter().filter(move |r| r.applies(btf, line))
    }

    /// Checks the finished `.config`. An option that may be `n` may also be absent.
    pub fn check_config(&self, config: &DotConfig, btf: Btf, line: Option<&str>) -> Vec<Violation> {
        let violation = |r: &Requirement| {
            let got = config.get(&r.option);
            let (requirement, place) = (r.clone(), Place::Config);
            (!r.allows(got)).then(|| Violation { requirement, got: got.cloned(), place })
        };
        self.of(btf, line).filter_map(violation).collect()
    }

    /// Checks the fragments, without a build: each required option must be asked for by name, even where
    /// something else selects it today, and even where it must be off. Those that cannot be asked for are left to
    /// [`Required::check_config`].
    pub fn check_fragments(&self, request: &Request, btf: Btf) -> Vec<Violation> {
        let violation = |r: &Requirement| {
            let got = request.get(&r.option).map(|e| &e.value);
            let (requirement, place) = (r.clone(), Place::Fragments);
            (got.is_none() || !r.allows(got)).then(|| Violation { requirement, got: got.cloned(), place })
        };
        self.of(btf, None).filter(|r| !r.selected).filter_map(violation).collect()
    }
}

/// Turns violations into a failure; `Ok` when there are none.
///
/// # Errors
/// One reason line per violation.
pub fn expect_required(violations: &[Violation]) -> crate::Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let failure =
        Failure::new(format!("the kernel configuration lacks {} required options", violations.len()));
    let failure = violations.iter().fold(failure, Failure::why);
    Err(failure
        .hint("add the option to its fragment in `kernel-config/`, or change `required.toml` with a reason"))
}
