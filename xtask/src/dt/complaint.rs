// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a check found wrong, in the form in which all checks of the device tree print it.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong: names the node and the property.
    pub what: String,
    /// Why that matters, from the table that asks for it.
    pub reason: Option<String>,
}

impl Complaint {
    /// A complaint without a reason of its own.
    pub fn new(what: impl Into<String>) -> Complaint {
        Complaint { what: what.into(), reason: None }
    }

    /// A complaint with the reason of a table's row.
    pub fn because(what: impl Into<String>, reason: &str) -> Complaint {
        Complaint { what: what.into(), reason: Some(reason.to_owned()) }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.reason {
            Some(reason) => write!(f, "\n      reason: {reason}"),
            None => Ok(()),
        }
    }
}
