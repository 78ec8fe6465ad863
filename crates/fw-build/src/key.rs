// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Content keys that can be explained: a hash over labelled inputs, which are kept.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Result};

/// The labelled inputs of a key, in label order. A value is a version, a digest or a short setting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyInputs(BTreeMap<String, String>);

impl KeyInputs {
    /// Adds an input; a label must be given once.
    ///
    /// # Errors
    /// The label is there already: two inputs would silently become one.
    pub fn add(&mut self, label: impl Into<String>, value: impl Into<String>) -> Result<()> {
        let label = label.into();
        match self.0.insert(label.clone(), value.into()) {
            None => Ok(()),
            Some(_) => Err(Failure::new(format!("key input `{label}` is given twice"))),
        }
    }

    /// The key: SHA-256 over `label TAB value LF` of all inputs, in label order.
    pub fn key(&self) -> Key {
        let mut hash = Sha256::new();
        for (label, value) in &self.0 {
            for part in [label.as_bytes(), b"\t", value.as_bytes(), b"\n"] {
                hash.update(part);
            }
        }
        Key(hex(&hash.finalize()))
    }

    /// These inputs but the ones with the given labels.
    #[must_use]
    pub fn without(&self, labels: &[&str]) -> KeyInputs {
        KeyInputs(
            self.0
                .iter()
                .filter(|(l, _)| !labels.contains(&l.as_str()))
                .map(|(l, v)| (l.clone(), v.clone()))
                .collect(),
        )
    }

    /// Label and value of every input.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(l, v)| (l.as_str(), v.as_str()))
    }

    /// What differs between `older` and these inputs: (label, older value, this value).
    pub fn changes<'a>(&'a self, older: &'a KeyInputs) -> Vec<(&'a str, Option<&'a str>, Option<&'a str>)> {
        let labels: std::collections::BTreeSet<&String> = self.0.keys().chain(older.0.keys()).collect();
        labels
            .into_iter()
            .map(|l| (l.as_str(), older.0.get(l).map(String::as_str), self.0.get(l).map(String::as_str)))
            .filter(|(_, old, new)| old != new)
            .collect()
    }
}

/// A content key: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 8 digits: kernel release suffix and messages.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }

    /// The first 16 digits: folder names in the store.
    pub fn folder(&self) -> &str {
        &self.0[..16]
    }

    /// A key that was written down.
    ///
    /// # Errors
    /// Not 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Key> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Key(text.to_owned()))
        } else {
            Err(Failure::new(format!("`{text}` is not a stage key (64 hexadecimal digits)")))
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

/// All files below `dir`, sorted, as paths relative to it. Symbolic links count as files.
///
/// # Errors
/// A folder cannot be read.
pub fn files_below(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    fn walk(base: &Path, rel: &Path, out: &mut Vec<std::path::PathBuf>) -> Result<()> {
        for entry in fs::read_dir(base.join(rel))? {
            let entry = entry?;
            let rel = rel.join(entry.file_name());
            if entry.file_type()?.is_dir() { walk(base, &rel, out)? } else { out.push(rel) }
        }
        Ok(())
    }
    let mut out = Vec::new();
    walk(dir, Path::new(""), &mut out)?;
    out.sort();
    Ok(out)
}

/// SHA-256 over the sorted names, kinds, modes and contents below `dir` (or of the one file).
///
/// # Errors
/// Something cannot be read.
pub fn sha256_tree(path: &Path) -> Result<String> {
    use std::os::unix::fs::PermissionsExt;
    if !path.is_dir() {
        return sha256_file(path);
    }
    let mut hash = Sha256::new();
    for rel in files_below(path)? {
        let full = path.join(&rel);
        let meta = fs::symlink_metadata(&full)?;
        let content = if meta.is_symlink() {
            format!("-> {}", fs::read_link(&full)?.display())
        } else {
            format!("{:o} {}", meta.permissions().mode() & 0o111, sha256_file(&full)?)
        };
        hash.update(format!("{}\t{content}\n", rel.display()));
    }
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pairs: &[(&str, &str)]) -> KeyInputs {
        let mut inputs = KeyInputs::default();
        for (l, v) in pairs {
            inputs.add(*l, *v).expect("once");
        }
        inputs
    }

    #[test]
    fn order_of_adding_does_not_matter_and_values_do() {
        let a = inputs(&[("a", "1"), ("b", "2")]);
        let b = inputs(&[("b", "2"), ("a", "1")]);
        assert_eq!(a.key(), b.key());
        assert_ne!(a.key(), inputs(&[("a", "1"), ("b", "3")]).key());
        // A label's end cannot be confused with its value's start.
        assert_ne!(inputs(&[("ab", "c")]).key(), inputs(&[("a", "bc")]).key());
    }

    #[test]
    fn twice_is_refused() {
        let mut a = inputs(&[("a", "1")]);
        assert!(a.add("a", "1").is_err());
    }

    #[test]
    fn changes_are_named() {
        let old = inputs(&[("a", "1"), ("b", "2")]);
        let new = inputs(&[("b", "3"), ("c", "4")]);
        assert_eq!(
            new.changes(&old),
            [("a", Some("1"), None), ("b", Some("2"), Some("3")), ("c", None, Some("4"))]
        );
    }

    #[test]
    fn tree_digest_sees_content_and_exec_bit() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("dir");
        fs::create_dir(dir.path().join("d")).expect("mkdir");
        fs::write(dir.path().join("d/f"), "x").expect("write");
        let first = sha256_tree(dir.path()).expect("hash");
        fs::set_permissions(dir.path().join("d/f"), std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let second = sha256_tree(dir.path()).expect("hash");
        assert_ne!(first, second);
    }
}
