// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which shared libraries a program needs, and those of each of them in turn.
//!
//! Reads the dynamic section (System V gABI, chapter 5); it starts nothing and loads nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::{Failure, Result};
use object::LittleEndian;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader as _};

use super::{PACKAGES, file_of, layout};

/// Libraries by name, each with its file.
pub type Libraries = BTreeMap<String, PathBuf>;

/// Everything that `programs` are linked to, looked for in the unpacked packages `debian`.
///
/// # Errors
/// No package has one of them, or a file is damaged.
pub fn of(programs: &[PathBuf], debian: &Path) -> Result<Libraries> {
    let mut found = Libraries::new();
    let mut open = programs.to_vec();
    for name in layout::OPENED_BY_NAME {
        let path = find(name, Path::new("udevadm"), debian)?;
        found.insert((*name).to_owned(), path.clone());
        open.push(path);
    }
    while let Some(file) = open.pop() {
        for name in needed(&file)? {
            if let Entry::Vacant(place) = found.entry(name) {
                let path = find(place.key(), &file, debian)?;
                open.push(place.insert(path).clone());
            }
        }
    }
    Ok(found)
}

fn find(name: &str, wanted_by: &Path, debian: &Path) -> Result<PathBuf> {
    let place =
        layout::LIBRARY_FOLDERS.iter().map(|dir| format!("{dir}/{name}")).find(|p| debian.join(p).exists());
    let place = place.ok_or_else(|| {
        Failure::new(format!("no package of `{PACKAGES}` has the library `{name}`"))
            .why(format!("`{}` needs it", wanted_by.display()))
    })?;
    file_of(debian, &place)
}

/// The names of the libraries that the file is linked to; none for a static program.
fn needed(path: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(path)?;
    names(&bytes).map_err(|e| Failure::new(format!("`{}` cannot be read", path.display())).why(e))
}

fn names(bytes: &[u8]) -> object::Result<Vec<String>> {
    let header = FileHeader64::<LittleEndian>::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let Some((entries, link)) = sections.dynamic(endian, bytes)? else { return Ok(Vec::new()) };
    let strings = sections.strings(endian, bytes, link)?;
    let needed = entries.iter().filter(|entry| entry.tag(endian) == DT_NEEDED);
    needed.map(|entry| Ok(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_this_host_needs_its_c_library() {
        let own = std::env::current_exe().expect("a path");
        let names = needed(&own).expect("an ELF file");
        assert!(names.iter().any(|name| name.starts_with("libc.so") || name.starts_with("ld-")), "{names:?}");
    }

    #[test]
    fn must_fail_library_of_no_package() {
        let empty = tempfile::tempdir().expect("folder");
        let failure =
            of(&[std::env::current_exe().expect("a path")], empty.path()).expect_err("nothing there");
        assert!(failure.to_string().contains("has the library `libkmod.so.2`"), "{failure}");
        assert!(names(b"#!/bin/sh").is_err());
    }
}
