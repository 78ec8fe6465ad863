// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The reading side of `grub.cfg`.

use super::{Config, ESCAPED, Entry, GrubError, Label, Reset};

/// A label as a name states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnyLabel {
    Slot(Label),
    Reset,
}

/// Talos goes by the first characters only.
pub(super) fn label_of(name: &str) -> Result<AnyLabel, GrubError> {
    match name {
        _ if name.starts_with('A') => Ok(AnyLabel::Slot(Label::A)),
        _ if name.starts_with('B') => Ok(AnyLabel::Slot(Label::B)),
        _ if name.starts_with("Reset") => Ok(AnyLabel::Reset),
        _ => Err(GrubError::Label(name.to_owned())),
    }
}

/// Reads a file as Talos does at an upgrade.
///
/// # Errors
/// See [`GrubError`].
pub fn parse(text: &str) -> Result<Config, GrubError> {
    let defaults = assignments(text, "default");
    let &[default] = &defaults[..] else { return Err(GrubError::Defaults(defaults.len())) };
    let fallback = match assignments(text, "fallback")[..] {
        [] => None,
        [name] => Some(slot_of(name)?),
        ref many => return Err(GrubError::Fallbacks(many.len())),
    };
    let (entries, reset) = entries(text)?;
    let config = Config { default: slot_of(default)?, fallback, entries, reset };
    config.check()?;
    Ok(config)
}

fn slot_of(name: &str) -> Result<Label, GrubError> {
    match label_of(name)? {
        AnyLabel::Slot(label) => Ok(label),
        AnyLabel::Reset => Err(GrubError::Label(name.to_owned())),
    }
}

/// The values of all lines `set VARIABLE="VALUE"`.
fn assignments<'a>(text: &'a str, variable: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| {
            line.trim().strip_prefix("set ")?.strip_prefix(variable)?.strip_prefix("=\"")?.strip_suffix('"')
        })
        .collect()
}

fn entries(text: &str) -> Result<(Vec<Entry>, Reset), GrubError> {
    let (mut entries, mut reset): (Vec<Entry>, _) = (Vec::new(), Reset::Absent);
    let mut at = 0;
    while at < text.len() {
        let line_end = text[at..].find('\n').map_or(text.len(), |n| at + n + 1);
        let line = &text[at..line_end];
        if !line.starts_with("menuentry") {
            at = line_end;
            continue;
        }
        let form = || GrubError::Form(text[..at].matches('\n').count() + 1);
        let name = line.strip_prefix("menuentry").and_then(|rest| rest.trim_start().strip_prefix('"'));
        let name = name.and_then(|rest| rest.trim_end().strip_suffix("\" {")).ok_or_else(form)?;
        let length = block_length(&text[line_end..]).ok_or_else(form)?;
        let entry = entry(name, &text[line_end..line_end + length])?;
        at = line_end + length + 1;
        match label_of(name)? {
            AnyLabel::Reset => reset = Reset::Offered,
            AnyLabel::Slot(label) if entries.iter().any(|e| e.label == label) => {
                return Err(GrubError::Duplicate(label));
            }
            AnyLabel::Slot(label) => entries.push(Entry { label, ..entry }),
        }
    }
    Ok((entries, reset))
}

/// Bytes up to the first `}` that no backslash precedes.
fn block_length(text: &str) -> Option<usize> {
    text.match_indices('}').map(|(at, _)| at).find(|&at| at > 0 && text.as_bytes()[at - 1] != b'\\')
}

/// The label is filled in by the caller.
fn entry(name: &str, block: &str) -> Result<Entry, GrubError> {
    let block = unescape(block);
    let commands = |command: &'static str| -> Vec<&str> {
        let arguments = |line| str::strip_prefix(line, command)?.strip_prefix([' ', '\t']).map(str::trim);
        block.lines().filter_map(|line| arguments(line.trim_start())).filter(|a| !a.is_empty()).collect()
    };
    let wrong = |command, count| GrubError::Command { name: name.to_owned(), command, count };
    let linux: Vec<_> = commands("linux").iter().filter_map(|a| a.split_once(char::is_whitespace)).collect();
    let initrd = commands("initrd");
    match (&linux[..], &initrd[..]) {
        ([(kernel, cmdline)], [initrd]) => Ok(Entry {
            label: Label::A,
            name: name.to_owned(),
            linux: (*kernel).to_owned(),
            cmdline: cmdline.trim_start().to_owned(),
            initrd: (*initrd).to_owned(),
        }),
        ([_], _) => Err(wrong("initrd", initrd.len())),
        _ => Err(wrong("linux", linux.len())),
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(&next) if c == '\\' && ESCAPED.contains(next) => {
                plain.push(next);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    plain
}
