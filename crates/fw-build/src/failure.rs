// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The one error type that reaches a user: what failed, why, and what to do.
//!
//! Library modules with cases a caller may tell apart have their own `thiserror` enum and turn into a
//! [`Failure`] at the edge.

use std::fmt;

/// A failure in three parts: *what* failed, *why*, and `hint:` lines with what to do about it.
///
/// Text style: lower case, backticks around paths and commands, no full stop after a single sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    what: String,
    why: Vec<String>,
    hints: Vec<String>,
}

/// Result with a [`Failure`].
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure that so far only says what failed.
    pub fn new(what: impl Into<String>) -> Self {
        Failure { what: what.into(), why: Vec::new(), hints: Vec::new() }
    }

    /// Adds a reason line.
    #[must_use]
    pub fn why(mut self, why: impl fmt::Display) -> Self {
        self.why.push(why.to_string());
        self
    }

    /// Adds a hint line: what the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// The first part: what failed.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The reasons.
    pub fn reasons(&self) -> &[String] {
        &self.why
    }

    /// The hints, without the word.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Puts this failure under a wider one: the old first line becomes a reason.
    #[must_use]
    pub fn during(self, what: impl Into<String>) -> Self {
        let mut why = vec![self.what];
        why.extend(self.why);
        Failure { what: what.into(), why, hints: self.hints }
    }

    /// All lines, as they are printed.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.what.clone()];
        lines.extend(self.why.iter().flat_map(|w| w.lines().map(|l| format!("  {l}"))));
        lines.extend(self.hints.iter().map(|h| format!("hint: {h}")));
        lines
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl std::error::Error for Failure {}

/// `fs-err` already names the path, so an I/O error is a complete first line.
impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        let hint = match e.raw_os_error() {
            Some(28) => Some("free some space, or move the store with `FW_STORE`"), // ENOSPC
            _ => None,
        };
        let failure = Failure::new(e.to_string());
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Adds the "what" line to any error.
pub trait Context<T> {
    /// Wraps the error: `what` becomes the first line, the error the reason.
    ///
    /// # Errors
    /// The wrapped error.
    fn context(self, what: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<Failure>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|e| e.into().during(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_three_parts() {
        let f = Failure::new("a").why("b").hint("c").during("outer");
        assert_eq!(f.to_string(), "outer\n  a\n  b\nhint: c");
    }
}
