// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names the Rockchip DDR init blob: which version it is, from which build, and what is known about it.
//!
//! The blob is closed; the only thing read is the line it prints on the UART, which stands in it as
//! text: `DDR 9fa84341ce typ 24/09/06-09:51:11,fwver: v1.18`. This module must not judge a blob by its
//! file name and must not execute or change it.

use std::fmt;

use crate::bytes::find;

const VERSION_KEY: &[u8] = b"fwver: v";
const LINE_START: &[u8] = b"DDR ";

/// The oldest version that may go into an image: v1.16 lowered LPDDR5 to 2400 MHz and fixed the hang
/// of single-rank LPDDR5 (facts of the board, ground rule 9).
pub const MINIMUM: Version = Version { major: 1, minor: 16 };
/// Versions with which memory errors are reported on RK3588 boards (armbian/rkbin PR 24).
pub const KNOWN_BAD: [Version; 1] = [Version { major: 1, minor: 13 }];

/// Why a file was not accepted as a DDR blob.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A file of length zero: what a failed download or a placeholder leaves behind.
    #[error("the DDR blob is empty")]
    Empty,
    /// No `fwver: vX.Y` text.
    #[error("no `fwver: v…` text in {size_bytes} bytes: not a Rockchip DDR blob")]
    NoVersion {
        /// Length of what was searched.
        size_bytes: usize,
    },
    /// The text after `fwver: v` is not two numbers.
    #[error("cannot read the DDR blob's version out of `{text}`")]
    Version {
        /// The line as far as it is printable.
        text: String,
    },
    /// Older than [`MINIMUM`], or one of [`KNOWN_BAD`].
    #[error("the DDR blob is {version}, {why}")]
    Refused {
        /// Version of the blob.
        version: Version,
        /// What is wrong with it.
        why: String,
    },
}

/// A version as the blob prints it. Compares by number: v1.9 is older than v1.16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Before the dot.
    pub major: u32,
    /// After the dot.
    pub minor: u32,
}

impl fmt::Display for Version {
    /// `v1.18`, two digits after the dot as Rockchip writes it (`v1.08`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{:02}", self.major, self.minor)
    }
}

impl std::str::FromStr for Version {
    type Err = Error;

    /// Reads `v1.18` or `1.18`; what follows the second number (`_20250926`) is ignored.
    fn from_str(text: &str) -> Result<Self, Error> {
        let unreadable = || Error::Version { text: text.to_owned() };
        let (major, rest) = text.strip_prefix('v').unwrap_or(text).split_once('.').ok_or_else(unreadable)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Ok(Self {
            major: major.parse().map_err(|_| unreadable())?,
            minor: rest[..digits].parse().map_err(|_| unreadable())?,
        })
    }
}

/// What is known about a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At least [`MINIMUM`].
    Accepted,
    /// Older than [`MINIMUM`].
    TooOld,
    /// Memory errors are reported with it.
    KnownBad,
}

impl Version {
    /// What is known about this version.
    pub fn verdict(self) -> Verdict {
        if KNOWN_BAD.contains(&self) {
            Verdict::KnownBad
        } else if self < MINIMUM {
            Verdict::TooOld
        } else {
            Verdict::Accepted
        }
    }
}

/// What the blob says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Number after `fwver:`.
    pub version: Version,
    /// The whole line, as the UART will show it.
    pub build: String,
}

impl Blob {
    /// The blob itself when its version may go into an image, else [`Error::Refused`].
    pub fn accepted(self) -> Result<Self, Error> {
        let why = match self.version.verdict() {
            Verdict::Accepted => return Ok(self),
            Verdict::TooOld => format!("older than {MINIMUM}, which fixed the hang of single-rank LPDDR5"),
            Verdict::KnownBad => "with which memory errors are reported".to_owned(),
        };
        Err(Error::Refused { version: self.version, why })
    }
}

/// Reads version and build line out of a blob, or out of an ID block's entry 0 (padding is harmless).
pub fn parse(blob: &[u8]) -> Result<Blob, Error> {
    if blob.is_empty() {
        return Err(Error::Empty);
    }
    let key = find(blob, VERSION_KEY).ok_or(Error::NoVersion { size_bytes: blob.len() })?;
    let end = key + blob[key..].iter().take_while(|b| printable(**b)).count();
    let printable_start = key - blob[..key].iter().rev().take_while(|b| printable(**b)).count();
    let line = &blob[printable_start..end];
    // Bytes before `DDR ` may happen to be printable: the line starts at the word.
    let line = &line[find(line, LINE_START).unwrap_or(0)..];
    let build = String::from_utf8_lossy(line).into_owned();
    let digits = String::from_utf8_lossy(&blob[key + VERSION_KEY.len()..end]).into_owned();
    let version = digits.parse().map_err(|_| Error::Version { text: build.clone() })?;
    Ok(Blob { version, build })
}

fn printable(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "DDR 9fa84341ce typ 24/09/06-09:51:11,fwver: v1.18";

    fn blob(line: &str) -> Vec<u8> {
        [b"\x01\x02zz".as_slice(), line.as_bytes(), b"\n\0stride=0x%x"].concat()
    }

    #[test]
    fn names_version_and_build() {
        let found = parse(&blob(LINE)).expect("a blob's line");
        assert_eq!(found, Blob { version: Version { major: 1, minor: 18 }, build: LINE.to_owned() });
        assert_eq!(found.version.to_string(), "v1.18");
        assert!(found.accepted().is_ok());
    }

    #[test]
    fn order_is_by_number() {
        let version = |text: &str| text.parse::<Version>().expect("a version");
        assert!(version("v1.08") < version("v1.9") && version("v1.9") < MINIMUM);
        assert!(version("v1.20_20250926") > version("1.19"));
        assert_eq!(version("v1.08").to_string(), "v1.08");
    }

    #[test]
    fn must_fail_01_empty() {
        assert_eq!(parse(&[]), Err(Error::Empty));
    }

    #[test]
    fn must_fail_02_not_a_blob() {
        assert_eq!(parse(&[0; 16]), Err(Error::NoVersion { size_bytes: 16 }));
    }

    #[test]
    fn must_fail_03_unreadable_version() {
        for line in ["DDR x,fwver: v1", "DDR x,fwver: v", "DDR x,fwver: vX.18", "DDR x,fwver: v1."] {
            assert!(matches!(parse(&blob(line)), Err(Error::Version { .. })), "{line}");
        }
    }

    #[test]
    fn must_fail_04_too_old_and_known_bad() {
        for (line, verdict) in [("fwver: v1.15", Verdict::TooOld), ("fwver: v1.13", Verdict::KnownBad)] {
            let found = parse(&blob(line)).expect("a version");
            assert_eq!(found.version.verdict(), verdict);
            assert!(matches!(found.accepted(), Err(Error::Refused { .. })));
        }
        assert_eq!(MINIMUM.verdict(), Verdict::Accepted);
    }
}
