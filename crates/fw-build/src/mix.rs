// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which mixes of DDR blob, BL31, U-Boot and kernel may be built, and what is known about each: `[[sets]]` of the board
//! file. A mix that is in no set is not wrong, only unknown; whether it is built all the same is the caller's choice.

use serde::Deserialize;

use crate::failure::{Failure, Result};

/// What the evidence of a set is about: DDR blob and BL31 run together on the board before anything can be seen of it,
/// so the class is that of the pair. The U-Boot and kernel of a set are those that this tree builds for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Somebody reports in public that it booted on this board.
    BootedOnThisBoard,
    /// Somebody reports in public that it booted on another board with this SoC.
    BootedOnOtherBoards,
    /// It builds; nobody is known to have booted it.
    BuiltOnly,
}

/// One set of the board file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Set {
    /// DDR blobs: labels of pins.
    pub ddr: Vec<String>,
    /// BL31: labels of pins, or `vendor-vX.YY` for Rockchip's.
    pub bl31: Vec<String>,
    /// Loaders: labels of pins.
    pub u_boot: Vec<String>,
    /// Kernels: labels of pins.
    pub linux: Vec<String>,
    /// Class of evidence.
    pub evidence: Class,
    /// Where that is known from, in a sentence.
    pub reason: String,
}

/// The four parts of an image by the names that sets use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// DDR blob.
    pub ddr: String,
    /// BL31.
    pub bl31: String,
    /// Loader.
    pub u_boot: String,
    /// Kernel.
    pub linux: String,
}

impl std::fmt::Display for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DDR {}, BL31 {}, U-Boot {}, Linux {}", self.ddr, self.bl31, self.u_boot, self.linux)
    }
}

impl Set {
    /// What keeps the mix from being in this set, one text per part; empty if nothing does.
    fn against(&self, mix: &Mix) -> Vec<String> {
        let parts = [
            ("DDR", &self.ddr, &mix.ddr),
            ("BL31", &self.bl31, &mix.bl31),
            ("U-Boot", &self.u_boot, &mix.u_boot),
            ("Linux", &self.linux, &mix.linux),
        ];
        parts
            .into_iter()
            .filter(|(_, known, wanted)| !known.contains(wanted))
            .map(|(part, known, wanted)| format!("{part} `{wanted}` instead of `{}`", known.join("` or `")))
            .collect()
    }
}

/// The first set that has the mix.
///
/// # Errors
/// None has it: the failure says what separates the mix from each set.
pub fn find<'a>(sets: &'a [Set], mix: &Mix) -> Result<&'a Set> {
    if let Some(set) = sets.iter().find(|set| set.against(mix).is_empty()) {
        return Ok(set);
    }
    let mut nearest: Vec<Vec<String>> = sets.iter().map(|set| set.against(mix)).collect();
    nearest.sort_by_key(Vec::len);
    let failure = Failure::new(format!("nothing is known about this mix: {mix}"));
    Err(nearest
        .into_iter()
        .fold(failure, |f, parts| f.why(format!("a known one has not {}", parts.join(", nor ")))))
}

/// Checks the sets of a board file.
///
/// # Errors
/// There is none, or one of them names nothing for a part, or has no reason.
pub fn check(sets: &[Set]) -> Result<()> {
    if sets.is_empty() {
        return Err(Failure::new("the board file has no `[[sets]]`"));
    }
    for (i, set) in sets.iter().enumerate() {
        let at = |why: &str| Err(Failure::new(format!("`[[sets]]` number {}: {why}", i + 1)));
        if [&set.ddr, &set.bl31, &set.u_boot, &set.linux].iter().any(|part| part.is_empty()) {
            return at("a part without a label");
        }
        if set.reason.trim().is_empty() {
            return at("no reason");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn sets() -> Vec<Set> {
        vec![
            Set {
                ddr: labels(&["v1.18"]),
                bl31: labels(&["lts"]),
                u_boot: labels(&["2025.01"]),
                linux: labels(&["lts-6.18", "lts-6.12"]),
                evidence: Class::BuiltOnly,
                reason: "built".to_owned(),
            },
            Set {
                ddr: labels(&["v1.18", "v1.20"]),
                bl31: labels(&["vendor-v1.48"]),
                u_boot: labels(&["2025.01"]),
                linux: labels(&["lts-6.18"]),
                evidence: Class::BootedOnThisBoard,
                reason: "seen".to_owned(),
            },
        ]
    }

    fn mix(ddr: &str, bl31: &str) -> Mix {
        let (u_boot, linux) = ("2025.01".to_owned(), "lts-6.18".to_owned());
        Mix { ddr: ddr.to_owned(), bl31: bl31.to_owned(), u_boot, linux }
    }

    #[test]
    fn a_known_mix_has_its_evidence() {
        check(&sets()).expect("valid");
        assert_eq!(find(&sets(), &mix("v1.18", "lts")).expect("known").evidence, Class::BuiltOnly);
        let vendor = find(&sets(), &mix("v1.20", "vendor-v1.48")).expect("known").evidence;
        assert_eq!(vendor, Class::BootedOnThisBoard);
    }

    #[test]
    fn must_fail_01_parts_of_two_sets() {
        let text = find(&sets(), &mix("v1.20", "lts")).expect_err("a mix of both").to_string();
        assert!(text.contains("DDR `v1.20` instead of `v1.18`"), "{text}");
        assert!(text.contains("BL31 `lts` instead of `vendor-v1.48`"), "{text}");
    }

    #[test]
    fn must_fail_02_sets_that_say_nothing() {
        assert!(check(&[]).is_err());
        let mut sets = sets();
        sets[0].linux.clear();
        assert!(check(&sets).expect_err("no kernel").to_string().contains("number 1: a part without"));
        sets[0].linux = labels(&["x"]);
        sets[1].reason = " ".to_owned();
        assert!(check(&sets).expect_err("no reason").to_string().contains("number 2: no reason"));
    }
}
