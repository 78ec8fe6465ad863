// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What signing and checking share: which files are modules, and what is said of a certificate and its term.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fw_build::key::files_below;
use fw_build::{Failure, Result};
use fw_image::cert::{Certificate, Term};

/// One line about a certificate.
pub fn describe(certificate: &Certificate) -> String {
    format!(
        "`{}`, {}, serial {}, valid until {}",
        certificate.subject(),
        certificate.algorithm(),
        certificate.serial(),
        certificate.not_after()
    )
}

/// Paths of all modules below a tree, relative to it, sorted.
///
/// # Errors
/// The tree cannot be read.
pub fn modules_of(tree: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = files_below(tree)?;
    paths.retain(|p| p.extension().is_some_and(|e| e == "ko"));
    Ok(paths)
}

/// Now, seconds since 1970.
pub fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The kernel never looks at the validity of a module's certificate, so we do. `name` is for the message.
///
/// # Errors
/// The moment is before its start or after its end.
pub fn refuse_outside_term(certificate: &Certificate, name: &str, now_seconds: u64) -> Result<()> {
    let (what, why) = match certificate.term(now_seconds) {
        Term::Valid => return Ok(()),
        Term::Expired => ("has expired", format!("valid until {}", certificate.not_after())),
        Term::NotYet => ("is not valid yet", format!("valid from {}", certificate.not_before())),
    };
    Err(Failure::new(format!("the certificate `{name}` {what}"))
        .why(why)
        .why("the kernel would not notice: it never looks at these dates")
        .hint("make a new certificate for the key (docs/signing.md), or look at this machine's clock"))
}
