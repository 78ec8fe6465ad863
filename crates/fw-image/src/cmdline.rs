// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The kernel command line of a Talos metal image for arm64, by Talos's merge rules (talos-contracts 4.2).
//!
//! The rules are those of the library that Talos uses (siderolabs/go-procfs): a line is a list of keys, each with all
//! its values; it is taken apart at white space, quoted or not. Knows nothing of GRUB's quoting.

use crate::talos::Line;

/// Keys of which an extra argument replaces all values.
const REPLACED: [&str; 2] = ["console", "talos.platform"];

/// Why an argument is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CmdlineError {
    /// Empty, without a key, or with white space outside double quotes.
    #[error("`{0}` is not one kernel argument of the form `key` or `key=value`")]
    Form(String),
    /// An overlay argument whose key the defaults have: Talos would print both.
    #[error("overlay argument `{0}` repeats one of Talos's own: it would appear twice")]
    RepeatsDefault(String),
    /// A quoted argument that does not survive being taken apart at its blanks.
    #[error("`{0}` does not come out whole: Talos takes arguments apart at blanks, quoted or not")]
    Quoted(String),
    /// The line is longer than the arm64 kernel keeps (`COMMAND_LINE_SIZE`).
    #[error("the kernel command line has {0} bytes; the kernel cuts it at {MAX_BYTES}")]
    TooLong(usize),
}

/// `COMMAND_LINE_SIZE` of arm64 (arch/arm64/include/uapi/asm/setup.h), less the final NUL.
pub const MAX_BYTES: usize = 2047;

/// A command line: keys in order of first appearance, each with all its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cmdline {
    /// An empty value is a key without `=`; a key may have lost all its values and keeps its place.
    keys: Vec<(String, Vec<String>)>,
}

impl Cmdline {
    /// An empty line.
    pub fn new() -> Cmdline {
        Cmdline::default()
    }

    /// The line of a metal image for arm64 as the imager of `line` makes it: platform, consoles, the overlay's
    /// arguments, the line's defaults, and the profile's extra arguments.
    ///
    /// # Errors
    /// See [`CmdlineError`].
    pub fn metal_arm64<S: AsRef<str>>(
        line: Line,
        overlay: &[S],
        extra: &[S],
    ) -> Result<Cmdline, CmdlineError> {
        let defaults = line.default_arguments();
        let mut cmdline = Cmdline::new();
        cmdline.append("talos.platform=metal")?;
        cmdline.replace(&["console=ttyAMA0", "console=tty0"])?;
        for argument in overlay.iter().map(AsRef::as_ref) {
            let key = split(argument).0;
            if defaults.iter().any(|d| split(d).0 == key) {
                return Err(CmdlineError::RepeatsDefault(argument.to_owned()));
            }
        }
        cmdline.replace(overlay)?;
        defaults.into_iter().try_for_each(|argument| cmdline.append(argument))?;
        cmdline.customize(extra)?;
        let text = cmdline.to_string();
        if let Some(lost) = overlay.iter().chain(extra).map(AsRef::as_ref).find(|a| lost(&text, a)) {
            return Err(CmdlineError::Quoted(lost.to_owned()));
        }
        match text.len() {
            length if length > MAX_BYTES => Err(CmdlineError::TooLong(length)),
            _ => Ok(cmdline),
        }
    }

    /// Adds an argument after the values its key has already; duplicates are kept.
    ///
    /// # Errors
    /// [`CmdlineError::Form`].
    pub fn append(&mut self, argument: &str) -> Result<(), CmdlineError> {
        for (key, values) in group(&[argument])? {
            self.add(key, values);
        }
        Ok(())
    }

    /// Sets arguments: each key among them loses the values it had, but keeps its position.
    ///
    /// # Errors
    /// [`CmdlineError::Form`].
    pub fn replace<S: AsRef<str>>(&mut self, arguments: &[S]) -> Result<(), CmdlineError> {
        for (key, values) in group(arguments)? {
            self.set(key, values);
        }
        Ok(())
    }

    /// The profile's `extraKernelArgs`, key by key in order of first appearance: `console` and `talos.platform`
    /// replace, others are added, a leading `-` deletes a key, or the named values of a key.
    ///
    /// # Errors
    /// [`CmdlineError::Form`].
    pub fn customize<S: AsRef<str>>(&mut self, arguments: &[S]) -> Result<(), CmdlineError> {
        for (key, values) in group(arguments)? {
            // `-` alone is an argument of the kernel: what follows is for init.
            match key.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                Some(rest) => self.delete(rest, &values),
                None if REPLACED.contains(&key.as_str()) => self.set(key, values),
                None => self.add(key, values),
            }
        }
        Ok(())
    }

    fn set(&mut self, key: String, values: Vec<String>) {
        match self.keys.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = values,
            None => self.keys.push((key, values)),
        }
    }

    fn add(&mut self, key: String, values: Vec<String>) {
        match self.keys.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => old.extend(values),
            None => self.keys.push((key, values)),
        }
    }

    /// The first value decides: none means the whole key, with its place.
    fn delete(&mut self, key: &str, values: &[String]) {
        if values.first().is_some_and(String::is_empty) {
            self.keys.retain(|(k, _)| k != key);
        } else if let Some((_, old)) = self.keys.iter_mut().find(|(k, _)| k == key) {
            old.retain(|v| !values.contains(v));
        }
    }

    /// All arguments, in printing order.
    pub fn arguments(&self) -> Vec<String> {
        let one = |key: &String, value: &String| match value.as_str() {
            "" => key.clone(),
            value => format!("{key}={value}"),
        };
        self.keys.iter().flat_map(|(key, values)| values.iter().map(move |v| one(key, v))).collect()
    }
}

impl std::fmt::Display for Cmdline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.arguments().join(" "))
    }
}

/// Key and value; no value is the same as an empty one.
fn split(word: &str) -> (&str, &str) {
    word.split_once('=').unwrap_or((word, ""))
}

/// The words of all arguments by key, in order of first appearance.
fn group<S: AsRef<str>>(arguments: &[S]) -> Result<Vec<(String, Vec<String>)>, CmdlineError> {
    let mut groups = Cmdline::new();
    for argument in arguments.iter().map(AsRef::as_ref) {
        check(argument)?;
        for (key, value) in argument.split_whitespace().map(split) {
            groups.add(key.to_owned(), vec![value.to_owned()]);
        }
    }
    Ok(groups.keys)
}

fn check(argument: &str) -> Result<(), CmdlineError> {
    let key = argument.strip_prefix('-').filter(|rest| !rest.is_empty()).map_or(argument, |rest| rest);
    let key = split(key).0;
    let mut inside_quotes = false;
    let bad_space = argument.chars().any(|c| {
        inside_quotes ^= c == '"';
        c.is_control() || (c.is_whitespace() && !inside_quotes)
    });
    if key.is_empty() || key.contains('"') || bad_space || inside_quotes {
        return Err(CmdlineError::Form(argument.to_owned()));
    }
    Ok(())
}

/// Whether an argument with blanks is not in the line as it was given.
fn lost(line: &str, argument: &str) -> bool {
    argument.contains(char::is_whitespace) && !format!(" {line} ").contains(&format!(" {argument} "))
}
