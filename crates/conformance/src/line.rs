// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The lines that are checked: the folders of `conformance/` with a `go.mod` that names a Talos release.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::{Failure, Result};

/// The module whose version is the line's.
const TALOS: &str = "github.com/siderolabs/talos";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Name of the folder, for example `v1.10`.
    pub name: String,
    /// The Go module.
    pub dir: PathBuf,
    /// Release of Talos whose code is linked, for example `v1.10.6`.
    pub release: String,
    /// The oldest Go that the module builds with, for example `1.24.4`.
    pub go: String,
}

/// All lines of a checkout, oldest first.
///
/// # Errors
/// A `go.mod` that names no Talos release or no Go version; no line at all.
pub fn all(root: &Path) -> Result<Vec<Line>> {
    let folder = root.join("conformance");
    let mut lines = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let dir = entry?.path();
        let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        if name.starts_with('v') && dir.is_dir() {
            lines.push(read(name, dir)?);
        }
    }
    lines.sort_by_key(|line| numbers(&line.release));
    if lines.is_empty() {
        return Err(Failure::new(format!("`{}` has no line", folder.display())));
    }
    Ok(lines)
}

fn read(name: String, dir: PathBuf) -> Result<Line> {
    let path = dir.join("go.mod");
    let text = fs::read_to_string(&path)?;
    let lacks = |what: &str| Failure::new(format!("`{}` names no {what}", path.display()));
    let release = value(&text, TALOS).ok_or_else(|| lacks("release of Talos"))?;
    let go = value(&text, "go").ok_or_else(|| lacks("version of Go"))?;
    if !release.starts_with(&format!("{name}.")) {
        return Err(Failure::new(format!("`{}` is not of its line", path.display()))
            .why(format!("it names Talos {release}")));
    }
    Ok(Line { name, dir, release, go })
}

/// The word after `key` on its own line of a `go.mod`.
fn value(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        (words.next() == Some(key)).then(|| words.next().map(str::to_owned)).flatten()
    })
}

/// The numbers of a version, for comparing: `v1.10.6` and `1.24.4`.
pub fn numbers(version: &str) -> Vec<u32> {
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
    version.trim_start_matches('v').split('.').map(|part| digits(part).parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let dir = root.join("conformance").join(name);
        fs::create_dir_all(&dir).expect("folder");
        fs::write(dir.join("go.mod"), text).expect("file");
    }

    #[test]
    fn lines_are_sorted_by_number() {
        let root = tempfile::tempdir().expect("folder");
        for line in ["v1.10", "v1.9", "checks"] {
            let text = format!(
                "module m\n\ngo 1.24.0\n\nrequire (\n\t{TALOS} {line}.6\n\t{TALOS}/pkg/machinery {line}.7\n)\n"
            );
            write(root.path(), line, &text);
        }
        let lines = all(root.path()).expect("two lines");
        let names: Vec<(&str, &str)> = lines.iter().map(|l| (l.name.as_str(), l.release.as_str())).collect();
        assert_eq!(names, [("v1.9", "v1.9.6"), ("v1.10", "v1.10.6")]);
        assert_eq!(lines[0].go, "1.24.0");
    }

    #[test]
    fn a_line_is_what_its_folder_says() {
        for (text, wanted) in [
            ("module m\n\ngo 1.24.0\n".to_owned(), "names no release"),
            (format!("module m\nrequire {TALOS} v1.10.6\n"), "names no version of Go"),
            (format!("go 1.24.0\nrequire {TALOS} v1.11.0\n"), "is not of its line"),
        ] {
            let root = tempfile::tempdir().expect("folder");
            write(root.path(), "v1.10", &text);
            let failure = all(root.path()).expect_err("refused").to_string();
            assert!(failure.contains(wanted), "{failure}");
        }
        let root = tempfile::tempdir().expect("folder");
        fs::create_dir(root.path().join("conformance")).expect("folder");
        assert!(all(root.path()).is_err());
    }
}
