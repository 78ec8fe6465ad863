// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The digests that the overlay lists of its artifacts.
//!
//! Talos compares the digest of a layer only when it comes from a registry. It takes one of an OCI layout, and a tarball, with
//! a changed byte, and nothing but these digests would notice it in a device tree.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// The list's name among the artifacts, in the format of `sha256sum`.
pub const NAME: &str = "SHA256SUMS";

/// Digests in lower-case hex by path below the artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums(BTreeMap<String, String>);

impl Sums {
    /// Reads the list: lines of 64 hex digits, two spaces and a path.
    ///
    /// # Errors
    /// The line that is not one, by its number.
    pub fn parse(content: &[u8]) -> Result<Sums, String> {
        let text = str::from_utf8(content).map_err(|e| e.to_string())?;
        let mut sums = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let parts = line.split_once("  ").filter(|(digest, path)| is_digest(digest) && !path.is_empty());
            let (digest, path) = parts.ok_or_else(|| format!("line {} is no digest and path", index + 1))?;
            if sums.insert(path.to_owned(), digest.to_owned()).is_some() {
                return Err(format!("line {} names `{path}` again", index + 1));
            }
        }
        Ok(Sums(sums))
    }

    /// Whether `content` is what the list says of `path`.
    ///
    /// # Errors
    /// It is not, or the list does not name it.
    pub fn check(&self, path: &str, content: &[u8]) -> Result<(), String> {
        let expected = self.0.get(path).ok_or_else(|| format!("`{NAME}` does not list `{path}`"))?;
        let found = fw_image::hex(&Sha256::digest(content));
        if *expected == found {
            return Ok(());
        }
        Err(format!(
            "its SHA-256 is {found}, `{NAME}` lists {expected}: it was damaged or exchanged on its way"
        ))
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of nothing, as `sha256sum /dev/null` says.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_listed_file_is_what_it_was() {
        let sums = Sums::parse(format!("{EMPTY}  arm64/a b.dtb\n").as_bytes()).expect("a list");
        assert_eq!(sums.check("arm64/a b.dtb", b""), Ok(()));
        assert!(sums.check("arm64/a b.dtb", b"x").unwrap_err().contains("damaged or exchanged"));
        assert_eq!(sums.check("arm64/c.dtb", b"").unwrap_err(), "`SHA256SUMS` does not list `arm64/c.dtb`");
    }

    #[test]
    fn must_fail_lists() {
        for (list, reason) in [
            (format!("{EMPTY} a"), "line 1"),
            (format!("{EMPTY}  a\n\n"), "line 2"),
            (format!("{EMPTY}  "), "line 1"),
            (format!("{}  a", EMPTY.to_uppercase()), "line 1"),
            (format!("{}  a", &EMPTY[1..]), "line 1"),
            (format!("{EMPTY}  a\n{EMPTY}  a"), "line 2 names `a` again"),
        ] {
            assert!(Sums::parse(list.as_bytes()).unwrap_err().contains(reason), "{list}");
        }
        assert!(Sums::parse(b"\xff").is_err());
    }
}
