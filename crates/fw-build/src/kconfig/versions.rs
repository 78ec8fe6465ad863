// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Options that only some kernel versions have (`kernel-config/versions.toml`).
//!
//! One set of fragments serves every pin: a request or requirement that a version cannot know is left out for it,
//! with the reason in the table. [`Versions::check`] keeps the table honest against a kernel's own Kconfig files.

use serde::Deserialize;

use super::Error;
use super::tree::Tree;

/// One option that is not in every supported version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bounded {
    /// Option, without `CONFIG_`.
    pub name: String,
    /// First version that has it for arm64, `MAJOR.MINOR`.
    pub since: Option<String>,
    /// First version that no longer has it.
    pub until: Option<String>,
    /// What earlier or later versions do instead.
    pub reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    option: Vec<Bounded>,
}

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    options: Vec<Bounded>,
}

/// `MAJOR.MINOR` of a version such as `6.18.15` or `6.19-rc1`.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

impl Versions {
    /// Reads the table. `file` is its name in messages.
    ///
    /// # Errors
    /// Not TOML of its form, no bound or no version where one must stand, or an option twice.
    pub fn parse(file: &str, text: &str) -> Result<Versions, Error> {
        let wrong = |why: String| Error::Table { file: file.into(), why };
        let RawTable { option: options } = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        for (at, option) in options.iter().enumerate() {
            let bounds: Vec<&String> = option.since.iter().chain(&option.until).collect();
            if bounds.is_empty() || bounds.iter().any(|b| minor(b).is_none()) {
                return Err(wrong(format!("`{}` needs `since` or `until`, as in `6.12`", option.name)));
            }
            if options[..at].iter().any(|o| o.name == option.name) {
                return Err(wrong(format!("`{}` is named twice", option.name)));
            }
        }
        Ok(Versions { options })
    }

    /// Whether a kernel of this version has the option, as far as the table knows.
    pub fn has(&self, option: &str, version: &str) -> bool {
        let Some(bounded) = self.options.iter().find(|o| o.name == option) else { return true };
        let Some(version) = minor(version) else { return true };
        bounded.since.as_deref().and_then(minor).is_none_or(|s| version >= s)
            && bounded.until.as_deref().and_then(minor).is_none_or(|u| version < u)
    }

    /// Options that a version does not have.
    pub fn absent<'a>(&'a self, version: &'a str) -> impl Iterator<Item = &'a Bounded> {
        self.options.iter().filter(move |o| !self.has(&o.name, version))
    }

    /// Compares the table with a kernel's Kconfig files: what it calls absent must be absent. (What it calls present
    /// is checked by the request for it.) An option that exists but cannot be had on arm64 has a reason that starts
    /// with `arm64:`.
    pub fn check(&self, version: &str, tree: &Tree) -> Vec<String> {
        let there = |o: &&Bounded| tree.definitions(&o.name).iter().any(|d| d.has_prompt);
        self.absent(version)
            .filter(there)
            .filter(|o| !o.reason.starts_with("arm64:"))
            .map(|o| format!("`versions.toml` says that {version} lacks `CONFIG_{}`, which it has", o.name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
[[option]]
name = 'NEW'
since = '6.15'
reason = 'always on before'
[[option]]
name = 'OLD'
until = '6.15'
reason = 'gone'
";

    #[test]
    fn bounds_are_compared_as_numbers() {
        let table = Versions::parse("versions.toml", TABLE).expect("table");
        for (version, new, old) in [
            ("6.9.0", false, true),
            ("6.14.12", false, true),
            ("6.15", true, false),
            ("6.15-rc1", true, false),
            ("6.18.15", true, false),
            ("7.0.1", true, false),
        ] {
            assert_eq!((table.has("NEW", version), table.has("OLD", version)), (new, old), "{version}");
            assert!(table.has("OTHER", version));
        }
        assert_eq!(table.absent("6.9").map(|o| o.name.as_str()).collect::<Vec<_>>(), ["NEW"]);
    }

    #[test]
    fn must_fail_a_table_that_the_kernel_contradicts() {
        let dir = tempfile::tempdir().expect("dir");
        fs_err::write(dir.path().join("Kconfig"), "config NEW\n\tbool \"new\"\n").expect("write");
        let tree = Tree::load(dir.path()).expect("tree");
        let table = Versions::parse("versions.toml", TABLE).expect("table");
        assert_eq!(
            table.check("6.12.1", &tree),
            ["`versions.toml` says that 6.12.1 lacks `CONFIG_NEW`, which it has"]
        );
        assert!(table.check("6.18.1", &tree).is_empty());
    }

    #[test]
    fn must_fail_bad_tables() {
        for (text, wanted) in [
            (TABLE.replace("since = '6.15'", ""), "needs `since` or `until`"),
            (TABLE.replace("since = '6.15'", "since = 'six'"), "needs `since` or `until`"),
            (TABLE.replace("OLD", "NEW"), "named twice"),
            (TABLE.replace("reason", "why"), "unknown field"),
        ] {
            let error = Versions::parse("versions.toml", &text).expect_err(wanted).to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
