// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Chooses the Python that U-Boot's build and binman run under, and the one of the device-tree schema check.
//!
//! A `python3` earlier on `PATH` (pyenv, a virtual environment) usually lacks pyelftools, and U-Boot notices
//! only at the very end of its build. So the interpreter is chosen, and asked what it can import, before
//! anything starts. This module installs nothing and changes no environment.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::run::Cmd;

/// What U-Boot 2025.01 imports from outside the standard library: `tools/binman/elf.py` (elftools),
/// `tools/binman/control.py` (pkg_resources), `scripts/dtc/pylibfdt/setup.py` (setuptools).
pub const BINMAN_MODULES: &[&str] = &["elftools", "pkg_resources", "setuptools"];

/// What the check of device trees against their bindings needs beside its own wheels: `pip`, which gets those,
/// and libfdt's binding, which is compiled code.
pub const SCHEMA_MODULES: &[&str] = &["libfdt", "pip"];

/// Prints the names of the arguments that cannot be imported. `-I` (see [`missing_from`]) keeps the user's
/// own site folder out: a build with a clean environment would not see it either.
const PROBE: &str = "\
import os, sys, sysconfig, warnings
warnings.simplefilter('ignore')
for name in sys.argv[1:]:
    if name == 'Python.h':
        if not os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h')):
            print(name)
        continue
    try:
        __import__(name)
    except Exception:
        print(name)
";

/// The interpreter for binman: all of [`BINMAN_MODULES`] and `Python.h`.
///
/// Looked at in order: `/usr/bin/python3` (the one that distribution packages belong to), then each `python3`
/// on `PATH`.
///
/// # Errors
/// No interpreter has them all; the failure lists each with what it lacks.
pub fn find_binman_python() -> Result<PathBuf> {
    // pylibfdt is compiled against the interpreter's C headers.
    choose(&candidates(), &[BINMAN_MODULES, &["Python.h"]].concat())
}

/// An interpreter that can import `modules`, looked for as in [`find_binman_python`].
///
/// # Errors
/// No interpreter has them all; the failure lists each with what it lacks.
pub fn find_python(modules: &[&str]) -> Result<PathBuf> {
    choose(&candidates(), modules)
}

fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = Vec::new();
    for dir in [PathBuf::from("/usr/bin")].into_iter().chain(std::env::split_paths(&path)) {
        let candidate = dir.join("python3");
        let same_file = |other: &PathBuf| other.canonicalize().ok() == candidate.canonicalize().ok();
        if candidate.is_file() && !found.iter().any(same_file) {
            found.push(candidate);
        }
    }
    found
}

fn choose(candidates: &[PathBuf], wanted: &[&str]) -> Result<PathBuf> {
    let mut rejected = Vec::new();
    for python in candidates {
        match missing_from(python, wanted) {
            Ok(missing) if missing.is_empty() => return Ok(python.clone()),
            Ok(missing) => rejected.push(format!("`{}` lacks {}", python.display(), missing.join(", "))),
            Err(e) => rejected.push(format!("`{}` does not run: {}", python.display(), e.what())),
        }
    }
    let mut failure = Failure::new(format!("no Python 3 with {} was found", wanted.join(", ")));
    if rejected.is_empty() {
        failure = failure.why("there is no `python3` at all");
    }
    for reason in rejected {
        failure = failure.why(reason);
    }
    Err(failure.hint("`cargo xtask setup` installs what `/usr/bin/python3` lacks"))
}

fn missing_from(python: &Path, wanted: &[&str]) -> Result<Vec<String>> {
    let out = Cmd::new(python).args(["-I", "-c", PROBE]).args(wanted).output()?;
    Ok(String::from_utf8_lossy(&out).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A `python3` that claims to lack `lacks`, or that does not run at all.
    fn fake(dir: &Path, name: &str, script: &str) -> PathBuf {
        let path = dir.join(name);
        fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }

    #[test]
    fn takes_the_first_that_has_everything() {
        let dir = tempfile::tempdir().expect("folder");
        let poor = fake(dir.path(), "poor", "echo elftools");
        let good = fake(dir.path(), "good", "exit 0");
        let later = fake(dir.path(), "later", "exit 0");
        let chosen = choose(&[poor, good.clone(), later], &["elftools"]);
        assert_eq!(chosen.expect("one has it"), good);
    }

    #[test]
    fn names_what_each_candidate_lacks() {
        let dir = tempfile::tempdir().expect("folder");
        let poor = fake(dir.path(), "poor", "echo elftools; echo Python.h");
        let broken = fake(dir.path(), "broken", "exit 7");
        let text = choose(&[poor, broken], &["elftools", "Python.h"]).expect_err("none").to_string();
        assert!(text.contains("no Python 3 with elftools, Python.h was found"), "{text}");
        assert!(text.contains("poor` lacks elftools, Python.h"), "{text}");
        assert!(text.contains("broken` does not run: "), "{text}");
        assert!(text.contains("hint: `cargo xtask setup`"), "{text}");
    }

    #[test]
    fn no_python_at_all() {
        let text = choose(&[], &["os"]).expect_err("none").to_string();
        assert!(text.contains("there is no `python3` at all"), "{text}");
    }

    #[test]
    fn a_real_interpreter_is_asked() {
        let here = candidates();
        let Some(python) = here.first() else {
            panic!("the tests need python3, as the U-Boot stage does");
        };
        let missing = missing_from(python, &["os", "no_such_module_anywhere"]).expect("it runs");
        assert_eq!(missing, ["no_such_module_anywhere"]);
    }
}
