// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The version constraint of an extension's manifest, such as `>= v1.10.0 < 1.13`.
//!
//! The language is that of the library Talos uses (blang/semver, `ParseRange`): comparisons in a row must all hold,
//! `||` separates alternatives, `x` stands for any number. Talos takes a `v` before a number away, and what stands
//! behind a hyphen of its own version.

use std::cmp::Ordering;

/// A constraint that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// Major, minor, patch.
type Version = [u64; 3];
/// The same, where `x` and missing ones are none.
type Pattern = [Option<u64>; 3];

/// Whether `version`, `vX.Y.Z` with or without a pre-release, fulfils `constraint`; an empty one is always fulfilled.
///
/// # Errors
/// Either cannot be read.
pub fn holds(constraint: &str, version: &str) -> Result<bool, Unreadable> {
    let unreadable = || Unreadable(constraint.to_owned());
    if constraint.is_empty() {
        return Ok(true);
    }
    let core = version.strip_prefix('v').unwrap_or(version);
    let core = core.split(['-', '+']).next().unwrap_or_default();
    let version = match parse(core).ok_or_else(|| Unreadable(version.to_owned()))? {
        [Some(a), Some(b), Some(c)] => [a, b, c],
        _ => return Err(Unreadable(core.to_owned())),
    };
    let mut any = false;
    for alternative in constraint.split("||") {
        let words = comparisons(alternative).ok_or_else(unreadable)?;
        if words.is_empty() {
            return Err(unreadable());
        }
        let mut all = true;
        for (operator, wanted) in words {
            all &= compare(operator, wanted, version).ok_or_else(unreadable)?;
        }
        any |= all;
    }
    Ok(any)
}

/// Operators with their versions; blanks may stand between the two.
fn comparisons(text: &str) -> Option<Vec<(&str, Pattern)>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let number = rest.find(|c: char| !"<>=!".contains(c))?;
        let (operator, behind) = rest.split_at(number);
        let behind = behind.trim_start();
        let end = behind.find(|c: char| c.is_whitespace() || "<>=!".contains(c)).unwrap_or(behind.len());
        let (version, behind) = behind.split_at(end);
        let version = version.strip_prefix('v').unwrap_or(version);
        // A pre-release in the constraint is not compared: Talos compares releases.
        found.push((operator, parse(version.split(['-', '+']).next()?)?));
        rest = behind.trim_start();
    }
    Some(found)
}

/// Three numbers; `x` and missing ones are none.
fn parse(text: &str) -> Option<Pattern> {
    let mut parts = [None; 3];
    let words: Vec<&str> = text.split('.').collect();
    if words.len() > 3 {
        return None;
    }
    for (part, word) in parts.iter_mut().zip(&words) {
        *part = match *word {
            "x" | "X" | "*" => None,
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
    }
    // A number behind an `x` says nothing.
    let open = parts.iter().position(Option::is_none).unwrap_or(3);
    (open > 0 && parts[open..].iter().all(Option::is_none)).then_some(parts)
}

fn compare(operator: &str, wanted: Pattern, version: Version) -> Option<bool> {
    // Only the numbers that are given count: 1.13.x is equal to every release of its line.
    let order = wanted
        .iter()
        .zip(version)
        .filter_map(|(w, v)| Some(v.cmp(&(*w)?)))
        .find(|o| *o != Ordering::Equal)
        .unwrap_or(Ordering::Equal);
    Some(match operator {
        "" | "=" | "==" => order == Ordering::Equal,
        "!" | "!=" => order != Ordering::Equal,
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints() {
        for (constraint, version, expected) in [
            ("", "v1.10.9", true),
            (">= 1.0.0", "v1.10.9", true),
            (">= v1.11.0", "v1.10.9", false),
            (">=v1.10.0 <1.13", "v1.12.11", true),
            (">=v1.10.0 <1.13", "v1.13.0", false),
            (">1.10.0 || <1.2.0", "v1.1.0", true),
            ("1.13.x", "v1.13.9", true),
            ("!1.13.x", "v1.13.9", false),
            ("= v1.13.9", "v1.13.8", false),
            (">= 1.14.0", "v1.14.0-rc.1", true),
        ] {
            assert_eq!(holds(constraint, version), Ok(expected), "{constraint} {version}");
        }
    }

    #[test]
    fn must_fail_unreadable() {
        for constraint in ["one", ">= ", "=> 1.2.3", "1.2.3.4", ">1 ||", "1.x.3", "-1", "x"] {
            assert!(holds(constraint, "v1.13.9").is_err(), "{constraint}");
        }
        assert!(holds("1.2.3", "latest").is_err());
    }
}
