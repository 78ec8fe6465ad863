// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Kernel configuration as data: fragments, the finished `.config`, and whether one kept what the others asked for.
//!
//! `make olddefconfig` silently drops a request whose dependencies are not met. [`check_requested`] compares every
//! requested value with the result; [`required`] holds the table of options this kernel may not lose.
//! Text in, findings out: this module reads no file and starts no process; [`folder`] reads `kernel-config/`, [`tree`] a
//! kernel's Kconfig files.

use std::collections::BTreeMap;
use std::fmt;

use crate::board::Switch;
use crate::failure::Failure;

pub mod explain;
pub mod expr;
pub mod folder;
pub mod kspp;
pub mod pahole;
pub mod required;
pub mod tree;
pub mod versions;

/// Fragments in `kernel-config/` that are always merged, in this order.
pub const FRAGMENTS: [&str; 10] = [
    "base.config",
    "soc.config",
    "board.config",
    "talos.config",
    "kubernetes.config",
    "storage.config",
    "network.config",
    "hardening.config",
    "qemu.config",
    "signing.config",
];

/// Whether the kernel carries type information (BTF).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Btf {
    /// With BTF, made by pahole from DWARF.
    On,
    /// Without, and without any debug information.
    Off,
}

impl Btf {
    /// The fragment that is merged after [`FRAGMENTS`] for this choice.
    pub fn fragment(self) -> &'static str {
        match self {
            Btf::On => "btf.config",
            Btf::Off => "debug-none.config",
        }
    }
}

impl From<Switch> for Btf {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Btf::On,
            Switch::Off => Btf::Off,
        }
    }
}

/// A value of an option, as Kconfig knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `=y`.
    Yes,
    /// `=m`.
    Module,
    /// `# CONFIG_X is not set`, or no line at all.
    No,
    /// A decimal or hexadecimal number, spelt as in the file.
    Number(String),
    /// A quoted string, without its quotes.
    Text(String),
}

impl Value {
    /// Reads the part after `=`. `n` is accepted; Kconfig itself writes a comment instead.
    pub fn parse(text: &str) -> Option<Value> {
        match text {
            "y" => return Some(Value::Yes),
            "m" => return Some(Value::Module),
            "n" => return Some(Value::No),
            _ => {}
        }
        if let Some(inner) = text.strip_prefix('"') {
            return inner.strip_suffix('"').map(|t| Value::Text(t.to_owned()));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let number = match digits.strip_prefix("0x") {
            Some(hex) => !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()),
            None => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()),
        };
        number.then(|| Value::Number(text.to_owned()))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Yes => f.write_str("y"),
            Value::Module => f.write_str("m"),
            Value::No => f.write_str("n"),
            Value::Number(n) => f.write_str(n),
            Value::Text(t) => write!(f, "\"{t}\""),
        }
    }
}

/// What is wrong with a configuration text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line that is neither option, comment nor blank.
    #[error(
        "`{file}` line {line}: `{text}` is neither `CONFIG_X=value`, `# CONFIG_X is not set` nor a comment"
    )]
    Malformed {
        /// File name.
        file: String,
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// An option without a comment in its block: fragments give a reason for each option.
    #[error("`{file}` line {line}: no comment above `CONFIG_{option}` gives its reason")]
    NoReason {
        /// File name.
        file: String,
        /// Line number, from 1.
        line: usize,
        /// Option, without `CONFIG_`.
        option: String,
    },
    /// An option that is named twice, with the same value or another.
    #[error("`CONFIG_{option}` is asked for twice: {first} and {second}")]
    Twice {
        /// Option, without `CONFIG_`.
        option: String,
        /// File, line and value of the first place.
        first: String,
        /// File, line and value of the second place.
        second: String,
    },
    /// The table of required options is not in its form.
    #[error("`{file}`: {why}")]
    Table {
        /// File name.
        file: String,
        /// What is wrong.
        why: String,
    },
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::new("the kernel configuration cannot be used").why(e)
    }
}

/// One option line of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Option, without `CONFIG_`.
    pub option: String,
    /// What is asked for.
    pub value: Value,
    /// The comment above it or above its group.
    pub reason: String,
    /// File name of the fragment.
    pub file: String,
    /// Line number, from 1.
    pub line: usize,
}

impl Entry {
    fn place(&self) -> String {
        format!("`{}` line {} (`{}`)", self.file, self.line, self.value)
    }
}

/// `Some((option, value))` of an option line, `None` of any other.
fn option_line(line: &str) -> Option<(&str, Option<Value>)> {
    let named = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if let Some(rest) = line.strip_prefix("# CONFIG_") {
        let option = rest.strip_suffix(" is not set")?;
        return named(option).then_some((option, Some(Value::No)));
    }
    let (option, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
    named(option).then(|| (option, Value::parse(value)))
}

/// Reads one fragment. `file` is its name in messages.
///
/// A comment gives the reason of the options below it, up to the next blank line or comment.
///
/// # Errors
/// A malformed line, or an option without a reason.
pub fn parse_fragment(file: &str, text: &str) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let mut reason = String::new();
    let mut in_comment = false;
    for (number, line) in text.lines().enumerate() {
        let (line, number) = (line.trim_end(), number + 1);
        let malformed = || Error::Malformed { file: file.into(), line: number, text: line.into() };
        if line.is_empty() {
            reason.clear();
            in_comment = false;
        } else if let Some((option, value)) = option_line(line) {
            let value = value.ok_or_else(malformed)?;
            let (file, option) = (file.to_owned(), option.to_owned());
            if reason.is_empty() {
                return Err(Error::NoReason { file, line: number, option });
            }
            entries.push(Entry { option, value, reason: reason.clone(), file, line: number });
            in_comment = false;
        } else if let Some(comment) = line.strip_prefix('#') {
            if !in_comment {
                reason.clear();
            } else if !reason.is_empty() {
                reason.push(' ');
            }
            reason.push_str(comment.trim());
            in_comment = true;
        } else {
            return Err(malformed());
        }
    }
    Ok(entries)
}

/// All fragments together: every option at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    entries: BTreeMap<String, Entry>,
}

impl Request {
    /// Merges fragments of `(file name, text)`.
    ///
    /// # Errors
    /// A fragment that cannot be read, or an option named twice: fragments are merged in no order that matters,
    /// so a second request is a mistake even where both agree.
    pub fn merge<'a>(fragments: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Request, Error> {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for (file, text) in fragments {
            for entry in parse_fragment(file, text)? {
                if let Some(first) = entries.get(&entry.option) {
                    let (first, second) = (first.place(), entry.place());
                    return Err(Error::Twice { option: entry.option, first, second });
                }
                entries.insert(entry.option.clone(), entry);
            }
        }
        Ok(Request { entries })
    }

    /// The request for an option, without `CONFIG_`.
    pub fn get(&self, option: &str) -> Option<&Entry> {
        self.entries.get(option)
    }

    /// All requests, by option name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Keeps the requests whose option `wanted` says yes to.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.entries.retain(|option, _| wanted(option));
    }

    /// The text for `KCONFIG_ALLCONFIG=FILE make allnoconfig`: option lines only, sorted, so that a changed
    /// comment changes neither the file nor a key over it.
    pub fn allconfig(&self) -> String {
        let line = |e: &Entry| match &e.value {
            Value::No => format!("# CONFIG_{} is not set\n", e.option),
            value => format!("CONFIG_{}={value}\n", e.option),
        };
        self.entries.values().map(line).collect()
    }
}

/// A finished `.config`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DotConfig {
    values: BTreeMap<String, Value>,
}

impl DotConfig {
    /// Reads a `.config` as Kconfig writes it.
    ///
    /// # Errors
    /// A malformed line, or an option that stands in it twice.
    pub fn parse(text: &str) -> Result<DotConfig, Error> {
        let mut values = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let malformed =
                || Error::Malformed { file: ".config".into(), line: number + 1, text: line.into() };
            let Some((option, value)) = option_line(line) else {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                return Err(malformed());
            };
            let value = value.ok_or_else(malformed)?;
            if let Some(first) = values.insert(option.to_owned(), value.clone()) {
                let (first, second) =
                    (format!("`.config` (`{first}`)"), format!("line {} (`{value}`)", number + 1));
                return Err(Error::Twice { option: option.into(), first, second });
            }
        }
        Ok(DotConfig { values })
    }

    /// The value of an option, without `CONFIG_`; `None` where `.config` does not name it, which is the case
    /// for options that do not exist in this kernel or whose dependencies are not met.
    pub fn get(&self, option: &str) -> Option<&Value> {
        self.values.get(option)
    }

    /// All options with a line, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(option, value)| (option.as_str(), value))
    }

    /// How many options are built in, and how many are modules.
    pub fn counts(&self) -> (usize, usize) {
        let count = |wanted: Value| self.values.values().filter(|v| **v == wanted).count();
        (count(Value::Yes), count(Value::Module))
    }
}

/// A request that the finished configuration does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The request, with its place and reason.
    pub entry: Entry,
    /// What `.config` has; `None`: it does not name the option.
    pub got: Option<Value>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { option, value, reason, file, line } = &self.entry;
        write!(f, "`CONFIG_{option}`: wanted `{value}`, got ")?;
        match &self.got {
            Some(got) => write!(f, "`{got}`")?,
            None => f.write_str("nothing: it does not exist in this kernel, or what it depends on is off")?,
        }
        write!(f, " (`{file}` line {line}: {reason})")
    }
}

/// Compares every requested value with the result. An option that is asked to be off may be absent.
pub fn check_requested(request: &Request, config: &DotConfig) -> Vec<Mismatch> {
    let kept = |e: &&Entry| config.get(&e.option).unwrap_or(&Value::No) == &e.value;
    let mismatch = |e: &Entry| Mismatch { entry: e.clone(), got: config.get(&e.option).cloned() };
    request.entries().filter(|e| !kept(e)).map(mismatch).collect()
}

/// Turns findings of [`check_requested`] into a failure; `Ok` when there are none. `chain` explains one, in lines.
///
/// # Errors
/// One reason line per finding, and its chain below it.
pub fn expect_kept(mismatches: &[Mismatch], chain: &dyn Fn(&Mismatch) -> Vec<String>) -> crate::Result<()> {
    if mismatches.is_empty() {
        return Ok(());
    }
    let mut failure =
        Failure::new(format!("the kernel dropped or changed {} requested options", mismatches.len()));
    for mismatch in mismatches {
        failure = failure.why(mismatch);
        for line in chain(mismatch) {
            failure = failure.why(format!("  {line}"));
        }
    }
    Err(failure
        .hint("ask for what the chain ends in, or drop the request; for one kernel version: `versions.toml`"))
}

#[cfg(test)]
mod tests;
