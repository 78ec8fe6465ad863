// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The recommendations of the kernel self-protection project as data (`kernel-config/kspp.toml`), and whether a
//! finished `.config` follows each or has a waiver with its reason.
//!
//! Also the sysctls that Talos waits for at boot: a kernel that lacks one never reaches its API, so the options that
//! provide it are checked by line.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::required::TALOS_LINES;
use super::{DotConfig, Error, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawTable {
    source: String,
    group: Vec<RawGroup>,
    waiver: Vec<Waiver>,
    sysctl: Vec<Sysctl>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    values: Vec<String>,
    options: Vec<String>,
}

/// One recommendation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommendation {
    /// Option, without `CONFIG_`.
    pub option: String,
    /// Values that follow it.
    pub values: Vec<Value>,
}

/// Recommendations that this kernel does not follow, with one reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Options, without `CONFIG_`.
    pub options: Vec<String>,
    /// Why not.
    pub reason: String,
}

/// A sysctl.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    /// Name, with dots.
    pub name: String,
    /// Value that is recommended; none where only Talos asks for it.
    pub kspp: Option<String>,
    /// Value that Talos sets and waits for, by line.
    #[serde(default)]
    pub talos: BTreeMap<String, String>,
    /// Options without which the file below `/proc/sys` is not there.
    pub options: Vec<String>,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kspp {
    /// Document and version that the recommendations are from.
    pub source: String,
    recommendations: Vec<Recommendation>,
    waivers: Vec<Waiver>,
    /// Sysctls.
    pub sysctls: Vec<Sysctl>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Not followed, and no waiver says why.
    NotFollowed(Recommendation, Option<Value>),
    /// A waiver for a recommendation that is followed.
    Needless(String),
    /// A sysctl that Talos waits for has no file.
    NoSysctl {
        /// Name.
        name: String,
        /// Lines that wait for it.
        lines: Vec<String>,
        /// The option that is off.
        option: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::NotFollowed(wanted, got) => {
                let values: Vec<String> = wanted.values.iter().map(|v| format!("`{v}`")).collect();
                let got = got.as_ref().map_or("nothing".to_owned(), |v| format!("`{v}`"));
                let option = &wanted.option;
                write!(f, "`CONFIG_{option}`: recommended {}, got {got}, and no waiver", values.join(" or "))
            }
            Finding::Needless(option) => {
                write!(f, "`CONFIG_{option}` has a waiver and follows the recommendation: remove the waiver")
            }
            Finding::NoSysctl { name, lines, option } => {
                write!(
                    f,
                    "sysctl `{name}`, which Talos {} waits for, needs `CONFIG_{option}`",
                    lines.join(", ")
                )
            }
        }
    }
}

impl Kspp {
    /// Reads the table. `file` is its name in messages.
    ///
    /// # Errors
    /// Not TOML of its form, an option or sysctl twice, a waiver for something that is not recommended, an unknown
    /// Talos line, or a value that is none.
    pub fn parse(file: &str, text: &str) -> Result<Kspp, Error> {
        let wrong = |why: String| Error::Table { file: file.into(), why };
        let raw: RawTable = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let mut recommendations: Vec<Recommendation> = Vec::new();
        for RawGroup { values, options } in raw.group {
            let value =
                |v: &String| Value::parse(v).ok_or_else(|| wrong(format!("`{v}` is no Kconfig value")));
            let values: Vec<Value> = values.iter().map(value).collect::<Result<_, _>>()?;
            for option in options {
                if recommendations.iter().any(|r| r.option == option) {
                    return Err(wrong(format!("`CONFIG_{option}` is named twice")));
                }
                recommendations.push(Recommendation { option, values: values.clone() });
            }
        }
        let mut waived: Vec<&String> = Vec::new();
        for option in raw.waiver.iter().flat_map(|w| &w.options) {
            if waived.contains(&option) {
                return Err(wrong(format!("`CONFIG_{option}` is waived twice")));
            }
            if !recommendations.iter().any(|r| r.option == *option) {
                return Err(wrong(format!("`CONFIG_{option}` is waived and not recommended")));
            }
            waived.push(option);
        }
        if let Some(waiver) = raw.waiver.iter().find(|w| w.reason.trim().is_empty() || w.options.is_empty()) {
            return Err(wrong(format!("a waiver lacks options or reason: {waiver:?}")));
        }
        for (at, sysctl) in raw.sysctl.iter().enumerate() {
            if raw.sysctl[..at].iter().any(|s| s.name == sysctl.name) {
                return Err(wrong(format!("sysctl `{}` is named twice", sysctl.name)));
            }
            if let Some(line) = sysctl.talos.keys().find(|l| !TALOS_LINES.contains(&l.as_str())) {
                return Err(wrong(format!("`{line}` is none of the Talos lines {}", TALOS_LINES.join(", "))));
            }
        }
        Ok(Kspp { source: raw.source, recommendations, waivers: raw.waiver, sysctls: raw.sysctl })
    }

    /// Why a recommendation is not followed, if a waiver says so.
    pub fn waiver(&self, option: &str) -> Option<&Waiver> {
        self.waivers.iter().find(|w| w.options.iter().any(|o| o == option))
    }

    /// All waivers.
    pub fn waivers(&self) -> &[Waiver] {
        &self.waivers
    }

    /// How many recommendations there are, and how many of them are waived.
    pub fn counts(&self) -> (usize, usize) {
        (self.recommendations.len(), self.waivers.iter().map(|w| w.options.len()).sum())
    }

    /// Checks a finished `.config`. An option that should be off may be absent.
    pub fn check(&self, config: &DotConfig) -> Vec<Finding> {
        let mut findings = Vec::new();
        for wanted in &self.recommendations {
            let got = config.get(&wanted.option);
            let followed = wanted.values.contains(got.unwrap_or(&Value::No));
            match (followed, self.waiver(&wanted.option)) {
                (false, None) => findings.push(Finding::NotFollowed(wanted.clone(), got.cloned())),
                (true, Some(_)) => findings.push(Finding::Needless(wanted.option.clone())),
                _ => {}
            }
        }
        for sysctl in self.sysctls.iter().filter(|s| !s.talos.is_empty()) {
            for option in sysctl.options.iter().filter(|o| config.get(o) != Some(&Value::Yes)) {
                findings.push(Finding::NoSysctl {
                    name: sysctl.name.clone(),
                    lines: sysctl.talos.keys().cloned().collect(),
                    option: option.clone(),
                });
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
source = 'test'
[[group]]
values = ['y']
options = ['A', 'B']
[[group]]
values = ['n']
options = ['C']
[[waiver]]
options = ['B']
reason = 'costs too much'
[[sysctl]]
name = 'kernel.x'
kspp = '1'
talos = { 'v1.10' = '1', 'v1.12' = '2' }
options = ['X']
";

    fn check(config: &str) -> Vec<String> {
        let table = Kspp::parse("kspp.toml", TABLE).expect("table");
        table.check(&DotConfig::parse(config).expect("config")).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn followed_or_waived_is_fine() {
        assert!(check("CONFIG_A=y\nCONFIG_X=y\n").is_empty());
    }

    #[test]
    fn must_fail_each_kind_of_finding() {
        assert_eq!(
            check("CONFIG_A=m\nCONFIG_B=y\nCONFIG_C=y\n"),
            [
                "`CONFIG_A`: recommended `y`, got `m`, and no waiver",
                "`CONFIG_B` has a waiver and follows the recommendation: remove the waiver",
                "`CONFIG_C`: recommended `n`, got `y`, and no waiver",
                "sysctl `kernel.x`, which Talos v1.10, v1.12 waits for, needs `CONFIG_X`",
            ]
        );
    }

    #[test]
    fn must_fail_bad_tables() {
        for (text, wanted) in [
            (TABLE.replace("'A', 'B'", "'A', 'A'"), "named twice"),
            (TABLE.replace("['B']", "['D']"), "waived and not recommended"),
            (TABLE.replace("['B']", "['B', 'B']"), "waived twice"),
            (TABLE.replace("costs too much", ""), "lacks options or reason"),
            (TABLE.replace("v1.12", "v2.0"), "none of the Talos lines"),
            (TABLE.replace("['n']", "['never']"), "no Kconfig value"),
            (TABLE.replace("kspp =", "kssp ="), "unknown field"),
        ] {
            let error = Kspp::parse("kspp.toml", &text).expect_err(wanted).to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
