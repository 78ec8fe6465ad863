// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Looks for the tools of the table on this machine.

use std::path::{Path, PathBuf};

use fw_build::python::{SCHEMA_MODULES, find_binman_python, find_python};
use fw_build::toolchain::Toolchain;

use super::tools::{Hosts, Probe, TOOLS, Tool};

/// Where to look: program folders, and a root under which absolute paths are looked up (`/`; tests use
/// another).
#[derive(Debug, Clone)]
pub struct Machine {
    /// Folders with programs, in order.
    pub program_dirs: Vec<PathBuf>,
    /// Root for absolute paths.
    pub root: PathBuf,
    /// The processor as Rust names it: `x86_64`, `aarch64`.
    pub arch: String,
}

/// What a probe says about a tool.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The tool.
    pub tool: &'static Tool,
    /// Where it is, or why it is not good enough.
    pub result: Result<PathBuf, String>,
}

impl Machine {
    /// This machine, with the `sbin` folders that Debian leaves out of an ordinary user's `PATH`.
    pub fn here() -> Machine {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut program_dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
        program_dirs.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
        Machine { program_dirs, root: "/".into(), arch: std::env::consts::ARCH.to_owned() }
    }

    /// The first executable file of that name.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let dirs = std::env::join_paths(&self.program_dirs).ok()?;
        which::which_in(name, Some(dirs), "/").ok()
    }

    /// The first file that matches an absolute path, in which `*` stands for any text inside a component.
    pub fn file(&self, pattern: &str) -> Option<PathBuf> {
        let mut dirs = vec![self.root.clone()];
        for component in pattern.split('/').filter(|c| !c.is_empty()) {
            dirs = dirs.iter().flat_map(|d| matching(d, component)).collect();
        }
        dirs.into_iter().next()
    }

    /// Whether the tool is needed on this processor.
    pub fn needs(&self, tool: &Tool) -> bool {
        tool.hosts == Hosts::Any || self.arch != "aarch64"
    }

    /// Looks for one tool.
    pub fn look_for(&self, tool: &'static Tool) -> Finding {
        let result = match tool.probe {
            Probe::Program(name) => {
                self.program(name).ok_or_else(|| format!("no `{name}` on `PATH` or in the sbin folders"))
            }
            Probe::File(patterns) => patterns
                .iter()
                .find_map(|p| self.file(p))
                .ok_or_else(|| format!("none of {}", patterns.map_quoted())),
            Probe::Aarch64Compiler => {
                Toolchain::aarch64().map(|t| t.gcc().to_owned()).map_err(|f| f.lines().join(" "))
            }
            Probe::SchemaPython => find_python(SCHEMA_MODULES).map_err(|f| f.lines().join(" ")),
            Probe::BinmanPython => find_binman_python().map_err(|f| f.lines().join(" ")),
        };
        Finding { tool, result }
    }

    /// Looks for every tool that this machine needs.
    pub fn look(&self) -> Vec<Finding> {
        TOOLS.iter().filter(|t| self.needs(t)).map(|t| self.look_for(t)).collect()
    }
}

/// Paths in backticks, joined.
trait MapQuoted {
    fn map_quoted(&self) -> String;
}

impl MapQuoted for &[&str] {
    fn map_quoted(&self) -> String {
        self.iter().map(|p| format!("`{p}`")).collect::<Vec<_>>().join(", ")
    }
}

fn matching(dir: &Path, component: &str) -> Vec<PathBuf> {
    let Some((before, after)) = component.split_once('*') else {
        let path = dir.join(component);
        return if path.exists() { vec![path] } else { Vec::new() };
    };
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|e| {
            let name = e.file_name();
            let name = name.to_string_lossy();
            name.strip_prefix(before).is_some_and(|rest| wildcard(rest, after))
        })
        .map(|e| e.path())
        .collect();
    found.sort();
    found
}

/// Whether `text` is anything followed by `pattern`, which may hold more `*`.
fn wildcard(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text.ends_with(pattern),
        Some((literal, rest)) => {
            text.match_indices(literal).any(|(at, _)| wildcard(&text[at + literal.len()..], rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tools::Need;
    use std::os::unix::fs::PermissionsExt;

    fn machine(root: &Path) -> Machine {
        Machine {
            program_dirs: vec![root.join("bin"), root.join("sbin")],
            root: root.into(),
            arch: "x86_64".into(),
        }
    }

    fn executable(path: &Path) {
        fs_err::create_dir_all(path.parent().expect("has one")).expect("folder");
        fs_err::write(path, "#!/bin/sh\n").expect("file");
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("mode");
    }

    const MKFS: &Tool = &Tool {
        name: "mkfs.x",
        purpose: "test",
        need: Need::Image,
        hosts: Hosts::Cross,
        probe: Probe::Program("mkfs.x"),
        packages: &["x"],
        packages_on: &[],
    };

    #[test]
    fn programs_in_sbin_count_and_plain_files_do_not() {
        let dir = tempfile::tempdir().expect("folder");
        let m = machine(dir.path());
        fs_err::create_dir_all(dir.path().join("bin")).expect("folder");
        fs_err::write(dir.path().join("bin/mkfs.x"), "not executable").expect("file");
        assert!(m.look_for(MKFS).result.is_err());
        executable(&dir.path().join("sbin/mkfs.x"));
        assert_eq!(m.look_for(MKFS).result, Ok(dir.path().join("sbin/mkfs.x")));
    }

    #[test]
    fn patterns_match_inside_components() {
        let dir = tempfile::tempdir().expect("folder");
        let m = machine(dir.path());
        let lib = "/usr/lib/llvm-*/lib/libclang*.so*";
        assert_eq!(m.file(lib), None);
        executable(&dir.path().join("usr/lib/llvm-14/lib/libclang-cpp.a"));
        assert_eq!(m.file(lib), None);
        executable(&dir.path().join("usr/lib/llvm-14/lib/libclang-14.so.1"));
        assert_eq!(m.file(lib), Some(dir.path().join("usr/lib/llvm-14/lib/libclang-14.so.1")));
    }

    #[test]
    fn cross_tools_are_for_other_processors() {
        let mut m = machine(Path::new("/"));
        assert!(m.needs(MKFS));
        m.arch = "aarch64".into();
        assert!(!m.needs(MKFS));
    }
}
