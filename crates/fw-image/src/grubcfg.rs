// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `grub.cfg` in the one form that Talos writes and, at an upgrade, parses again.
//!
//! Facts: talos-contracts 3.5, and the rules of Talos v1.10's reader: exactly one `set default="…"`
//! line, at most one fallback, entries named by boot label (`A…`, `B…`, `Reset…`), an entry ending at the
//! first `}` that no backslash precedes, one `linux` and one `initrd` line in each. [`parse`] keeps to
//! these rules and is stricter where Talos would pass over a mistake.

mod parse;

use std::fmt;

pub use parse::parse;

/// Name of the entry that wipes STATE and EPHEMERAL.
pub const RESET_NAME: &str = "Reset Talos installation and return to maintenance mode";
/// What the reset entry adds to the kernel command line.
pub const RESET_ARGUMENT: &str = "talos.experimental.wipe=system:EPHEMERAL,STATE";

/// Characters that get a backslash in the kernel command line.
const ESCAPED: &str = "\\{}&$|;<>\"";

/// Why a configuration cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrubError {
    /// A file must have exactly one.
    #[error("`grub.cfg` has {0} `set default=\"…\"` lines; Talos wants exactly one")]
    Defaults(usize),
    /// A file may have one.
    #[error("`grub.cfg` has {0} `set fallback=\"…\"` lines; Talos wants at most one")]
    Fallbacks(usize),
    /// The name starts with none of `A`, `B`, `Reset`.
    #[error("boot entry `{0}` has a name that begins with none of `A`, `B` and `Reset`")]
    Label(String),
    /// Two entries have one label; Talos would keep the last.
    #[error("there are two boot entries with the label {0}")]
    Duplicate(Label),
    /// Default or fallback has no entry.
    #[error("the {what} entry {label} does not exist")]
    Missing {
        /// `default` or `fallback`.
        what: &'static str,
        /// Its label.
        label: Label,
    },
    /// A name, path or command line has a character that GRUB or Talos's reader would take for syntax.
    #[error("{what} `{text}` has {character:?}, which cannot stand in `grub.cfg`")]
    Character {
        /// `name`, `path` or `command line`.
        what: &'static str,
        /// The text.
        text: String,
        /// The character.
        character: char,
    },
    /// An entry does not have exactly one `linux` (with path and arguments) and one `initrd`.
    #[error("boot entry `{name}` has {count} usable `{command}` lines, not one")]
    Command {
        /// The entry.
        name: String,
        /// `linux` or `initrd`.
        command: &'static str,
        /// How many were found.
        count: usize,
    },
    /// A `menuentry` line has another form, or its entry no end.
    #[error("line {0}: not a boot entry in the form that Talos reads")]
    Form(usize),
}

/// Label of a boot entry: which of the two slots it boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// Slot A.
    A,
    /// Slot B.
    B,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Label::A => "A",
            Label::B => "B",
        })
    }
}

/// Whether the file has the entry [`RESET_NAME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// It has.
    Offered,
    /// It has not.
    Absent,
}

/// A boot entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Slot.
    pub label: Label,
    /// Name in the menu; begins with the label.
    pub name: String,
    /// Path of the kernel on BOOT.
    pub linux: String,
    /// Kernel command line, not escaped.
    pub cmdline: String,
    /// Path of the initramfs on BOOT.
    pub initrd: String,
}

impl Entry {
    /// The entry of slot A, B as Talos makes it: `A - Talos v1.10.9`, `/A/vmlinuz`, `/A/initramfs.xz`.
    /// `version` has the leading `v`.
    pub fn talos(label: Label, version: &str, cmdline: &str) -> Entry {
        Entry {
            label,
            name: format!("{label} - Talos {version}"),
            linux: format!("/{label}/vmlinuz"),
            cmdline: cmdline.to_owned(),
            initrd: format!("/{label}/initramfs.xz"),
        }
    }
}

/// A whole `grub.cfg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Entry that boots.
    pub default: Label,
    /// Entry that boots when the default fails.
    pub fallback: Option<Label>,
    /// Entries in the order of their labels.
    pub entries: Vec<Entry>,
    /// The reset entry.
    pub reset: Reset,
}

impl Config {
    /// A fresh image: slot A only, and the reset entry.
    pub fn image(version: &str, cmdline: &str) -> Config {
        let entries = vec![Entry::talos(Label::A, version, cmdline)];
        Config { default: Label::A, fallback: None, entries, reset: Reset::Offered }
    }

    /// The entry with that label.
    pub fn entry(&self, label: Label) -> Option<&Entry> {
        self.entries.iter().find(|e| e.label == label)
    }

    fn check(&self) -> Result<(), GrubError> {
        for (i, entry) in self.entries.iter().enumerate() {
            if self.entries[..i].iter().any(|e| e.label == entry.label) {
                return Err(GrubError::Duplicate(entry.label));
            }
            if parse::label_of(&entry.name)? != parse::AnyLabel::Slot(entry.label) {
                return Err(GrubError::Label(entry.name.clone()));
            }
            check_text("name", &entry.name, "\"{}\\$'")?;
            for path in [&entry.linux, &entry.initrd] {
                check_text("path", path, "\"{}\\$' \t;&|<>#")?;
            }
            // `'` would quote for GRUB, and Talos does not escape it. A `#` that starts a word begins
            // a comment.
            check_text("command line", &entry.cmdline, "'")?;
            if entry.cmdline.split(' ').any(|word| word.starts_with('#')) {
                let text = entry.cmdline.clone();
                return Err(GrubError::Character { what: "command line", text, character: '#' });
            }
        }
        let selected = [("default", Some(self.default)), ("fallback", self.fallback)];
        for (what, label) in selected.into_iter().filter_map(|(what, label)| Some((what, label?))) {
            if self.entry(label).is_none() {
                return Err(GrubError::Missing { what, label });
            }
        }
        Ok(())
    }

    /// The file. It has mode 0600 on BOOT.
    ///
    /// # Errors
    /// A configuration that would not be read back as it is: see [`GrubError`].
    pub fn render(&self) -> Result<String, GrubError> {
        self.check()?;
        let missing = |what, label| GrubError::Missing { what, label };
        let default = self.entry(self.default).ok_or(missing("default", self.default))?;
        // Talos's template leaves an empty line where there is no fallback.
        let fallback = match self.fallback {
            Some(label) => {
                let name = &self.entry(label).ok_or(missing("fallback", label))?.name;
                format!("set fallback=\"{name}\"")
            }
            None => String::new(),
        };
        let mut text = format!(
            "set default=\"{}\"\n{fallback}\nset timeout=3\n\ninsmod all_video\n\n\
             terminal_input console\nterminal_output console\n\n",
            default.name
        );
        let mut sorted: Vec<&Entry> = self.entries.iter().collect();
        sorted.sort_by_key(|e| e.label);
        for entry in sorted {
            text += &menu_entry(&entry.name, entry, &escape(&entry.cmdline));
        }
        if self.reset == Reset::Offered {
            text +=
                &menu_entry(RESET_NAME, default, &format!("{} {RESET_ARGUMENT}", escape(&default.cmdline)));
        }
        Ok(text)
    }
}

fn menu_entry(name: &str, entry: &Entry, escaped_cmdline: &str) -> String {
    format!(
        "menuentry \"{name}\" {{\n  set gfxmode=auto\n  set gfxpayload=text\n  linux {} {escaped_cmdline}\n  initrd {}\n}}\n",
        entry.linux, entry.initrd
    )
}

fn check_text(what: &'static str, text: &str, refused: &str) -> Result<(), GrubError> {
    match text.chars().find(|&c| c.is_control() || refused.contains(c)) {
        Some(character) => Err(GrubError::Character { what, text: text.to_owned(), character }),
        None => Ok(()),
    }
}

fn escape(cmdline: &str) -> String {
    let mut escaped = String::with_capacity(cmdline.len());
    for c in cmdline.chars() {
        if ESCAPED.contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
