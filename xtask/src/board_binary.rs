// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Builds the static programs of this workspace, for the board and for an imager on x86-64, and refuses what
//! could not run there.
//!
//! The same sources give the same bytes in any folder of any machine: every folder that rustc could write
//! into the program is mapped to a fixed name, and the result is searched for the real ones.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fw_build::run::Cmd;
use fw_build::{Context as _, Failure, Result};
use serde::Deserialize;

use crate::elf;
use crate::host::{RustRoute, rust_amd64_target, rust_board_target};

/// Separates the flags in `CARGO_ENCODED_RUSTFLAGS`; unlike a blank it cannot be part of a path.
const SEPARATOR: &str = "\u{1f}";

/// Builds a program of a workspace package with the `board` profile and returns its path.
///
/// # Errors
/// No Rust target for the board, a compile error, or a program that is not static, not for aarch64, or
/// holds a path of this machine.
pub fn build_board_binary(package: &str, bin: &str) -> Result<PathBuf> {
    build_by(&rust_board_target()?, package, bin)
}

/// As [`build_board_binary`], for x86-64.
///
/// # Errors
/// As [`build_board_binary`].
pub fn build_amd64_binary(package: &str, bin: &str) -> Result<PathBuf> {
    build_by(&rust_amd64_target()?, package, bin)
}

fn build_by(route: &RustRoute, package: &str, bin: &str) -> Result<PathBuf> {
    let root = crate::context::root()?;
    let sources = dependency_folders(&root, route)?;
    let remap = remap_flags(&root, &sources, route);
    let program = run_cargo(&root, route, package, bin, &remap)
        .context(format!("cannot build `{bin}` for {}", route.target()))?;
    let bytes = fs_err::read(&program)?;
    let check = match route {
        RustRoute::RustupMusl(_) | RustRoute::DebianGnu(..) => elf::check_static_aarch64,
        RustRoute::Amd64Musl(_) | RustRoute::Amd64Gnu(_) => elf::check_static_x86_64,
    };
    check(&bytes).map_err(|why| {
        Failure::new(format!("`{}` would not run where it should", program.display())).why(why)
    })?;
    let folders = [root].into_iter().chain(sources).chain([route.rust().sysroot.clone()]);
    for folder in folders {
        // `/usr` is Debian's sysroot and part of honest paths such as `/usr/share`.
        let name = folder.as_os_str().as_encoded_bytes();
        if folder != Path::new("/usr") && bytes.windows(name.len()).any(|w| w == name) {
            return Err(Failure::new(format!("`{}` holds a path of this machine", program.display()))
                .why(format!("found `{}`", folder.display())));
        }
    }
    Ok(program)
}

/// The folders that hold the sources of dependencies, for example `registry/src/<registry>` of the cargo
/// home. Its last component depends on which registry or mirror the machine uses.
fn dependency_folders(root: &Path, route: &RustRoute) -> Result<Vec<PathBuf>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        manifest_path: PathBuf,
    }
    // It also downloads what is missing, so the folders exist before the flags are made.
    let out = cargo(route, root)
        .args(["metadata", "--locked", "--format-version=1"])
        .output()
        .context("cannot list the dependencies")?;
    let metadata: Metadata =
        serde_json::from_slice(&out).map_err(|e| Failure::new("cannot read `cargo metadata`").why(e))?;
    let folders: BTreeSet<PathBuf> = metadata
        .packages
        .iter()
        .filter(|p| !p.manifest_path.starts_with(root))
        .filter_map(|p| Some(p.manifest_path.parent()?.parent()?.to_owned()))
        .collect();
    Ok(folders.into_iter().collect())
}

/// `--remap-path-prefix` for everything that rustc may embed.
fn remap_flags(root: &Path, sources: &[PathBuf], route: &RustRoute) -> Vec<OsString> {
    let rust = route.rust();
    let map = |from: &Path, to: &str| -> OsString {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flag
    };
    let mut flags = vec![map(root, "/fw")];
    flags.extend(sources.iter().map(|s| map(s, "/cargo")));
    // Where rust-src is installed, rustc turns the standard library's `/rustc/<commit>` into the local path.
    let commit = rust.version.commit.as_deref().unwrap_or(&rust.version.release);
    flags.push(map(&rust.sysroot.join("lib/rustlib/src/rust"), &format!("/rustc/{commit}")));
    flags
}

/// Cargo of the route, in the caller's environment (proxies, registry settings) without what would change
/// the program.
fn cargo(route: &RustRoute, root: &Path) -> Cmd {
    let changes_output = |name: &str| {
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_INCREMENTAL"].contains(&name)
            || name.starts_with("CARGO_PROFILE_")
            || (name.starts_with("CARGO_TARGET_") && name != "CARGO_TARGET_DIR")
    };
    std::env::vars_os()
        .filter(|(name, _)| !name.to_str().is_some_and(changes_output))
        .fold(Cmd::new(&route.rust().cargo), |cmd, (name, value)| cmd.env(name, value))
        .env("RUSTC", &route.rust().rustc)
        .cwd(root)
}

fn run_cargo(
    root: &Path,
    route: &RustRoute,
    package: &str,
    bin: &str,
    remap: &[OsString],
) -> Result<PathBuf> {
    let mut flags = remap.to_vec();
    let mut cmd = cargo(route, root)
        .args(["build", "--quiet", "--locked", "--message-format=json-render-diagnostics"])
        .args(["--profile", "board", "--target", route.target(), "--package", package, "--bin", bin]);
    match route {
        RustRoute::RustupMusl(_) => {}
        RustRoute::DebianGnu(_, gcc) => {
            flags.push("-Ctarget-feature=+crt-static".into());
            cmd = cmd.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", gcc);
        }
        // Not the host's linker, so that all hosts give the same bytes.
        RustRoute::Amd64Musl(_) => cmd = cmd.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld"),
        RustRoute::Amd64Gnu(_) => flags.push("-Ctarget-feature=+crt-static".into()),
    }
    let mut running = cmd.env("CARGO_ENCODED_RUSTFLAGS", flags.join(&OsString::from(SEPARATOR))).spawn(
        Stdio::null(),
        Stdio::piped(),
        Stdio::piped(),
    )?;
    let stdout = running.child.stdout.take();
    // Cargo talks little under `--quiet`, but a long compile error must not fill the pipe unread.
    let stderr = running.child.stderr.take();
    let talk = std::thread::spawn(move || stderr.map(std::io::read_to_string).transpose());
    let mut program = None;
    for line in stdout.into_iter().flat_map(|s| BufReader::new(s).lines()) {
        program = executable(&line?, bin).or(program);
    }
    let talk = talk.join().ok().and_then(std::result::Result::ok).flatten().unwrap_or_default();
    running.finish().map_err(|f| f.why(talk.trim()))?;
    program.ok_or_else(|| Failure::new(format!("cargo named no program `{bin}` of package `{package}`")))
}

/// The path in a `compiler-artifact` message for the program.
fn executable(line: &str, bin: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Artifact {
        target: Target,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    let artifact: Artifact = serde_json::from_str(line).ok()?;
    artifact.executable.filter(|_| artifact.target.name == bin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rust::{Rust, Version};

    fn route() -> RustRoute {
        RustRoute::RustupMusl(Rust {
            cargo: "/t/bin/cargo".into(),
            rustc: "/t/bin/rustc".into(),
            sysroot: "/t".into(),
            version: Version { release: "1.95.0".into(), commit: Some("abc".into()) },
        })
    }

    #[test]
    fn every_folder_is_mapped() {
        let flags = remap_flags(Path::new("/a b"), &["/h/registry/src/x-1".into()], &route());
        assert_eq!(
            flags,
            [
                "--remap-path-prefix=/a b=/fw",
                "--remap-path-prefix=/h/registry/src/x-1=/cargo",
                "--remap-path-prefix=/t/lib/rustlib/src/rust=/rustc/abc"
            ]
        );
    }

    #[test]
    fn messages() {
        let artifact =
            r#"{"reason":"compiler-artifact","target":{"name":"selftest"},"executable":"/t/selftest"}"#;
        assert_eq!(executable(artifact, "selftest"), Some("/t/selftest".into()));
        assert_eq!(executable(artifact, "other"), None);
        let library = r#"{"reason":"compiler-artifact","target":{"name":"selftest"},"executable":null}"#;
        assert_eq!(executable(library, "selftest"), None);
        assert_eq!(executable("Compiling", "selftest"), None);
    }
}
