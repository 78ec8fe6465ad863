// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The one error of this program: what failed, why, and what to do. Talos shows it after its own words.

use std::fmt;

/// A refusal in three parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    what: String,
    why: Option<String>,
    hint: Option<String>,
}

impl Refusal {
    /// Only what failed.
    pub fn new(what: impl Into<String>) -> Refusal {
        Refusal { what: what.into(), why: None, hint: None }
    }

    /// Adds the reason.
    #[must_use]
    pub fn why(self, why: impl fmt::Display) -> Refusal {
        Refusal { why: Some(why.to_string()), ..self }
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn hint(self, hint: impl fmt::Display) -> Refusal {
        Refusal { hint: Some(hint.to_string()), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for line in self.why.iter().flat_map(|why| why.lines()) {
            write!(f, "\n  {line}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}
