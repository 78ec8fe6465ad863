// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which Rust makes the static aarch64 programs that run on the board.
//!
//! Two routes: rustup's musl target with the linker that comes with rustc, or Debian's own compiler with its
//! aarch64 standard library and static glibc. Chooses and explains; [`crate::board_binary`] builds.

use std::path::{Path, PathBuf};

use fw_build::run::Cmd;
use fw_build::toolchain::Toolchain;
use fw_build::{Failure, Result};

/// The target of the first route.
pub const MUSL: &str = "aarch64-unknown-linux-musl";

/// The target of Debian's route.
pub const GNU: &str = "aarch64-unknown-linux-gnu";

/// The target of programs for an imager on x86-64: linked with `rust-lld`, the same bytes on any host.
pub const AMD64_MUSL: &str = "x86_64-unknown-linux-musl";

/// What takes its place on an x86-64 host without it: the host's own target with static glibc.
pub const AMD64_GNU: &str = "x86_64-unknown-linux-gnu";

/// Debian 12's packages for the second route, on a host of another architecture. They conflict with plain
/// `rustc`, but not with a rustup in the home folder. (Debian 12 has Rust 1.63 under the plain names; the
/// `-web` packages follow what its browsers need.)
pub const DEBIAN12_PACKAGES: &[&str] = &["cargo-web", "libstd-rust-web-dev:arm64", "rustc-web"];

/// The oldest Rust that this workspace builds with (`rust-version` in the root `Cargo.toml`).
const OLDEST: (u32, u32) = (1, 95);

/// A Rust compiler and its cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rust {
    /// Cargo.
    pub cargo: PathBuf,
    /// Rustc.
    pub rustc: PathBuf,
    /// `rustc --print sysroot`.
    pub sysroot: PathBuf,
    /// What `rustc -vV` prints.
    pub version: Version,
}

/// From `rustc -vV`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// For example `1.95.0`.
    pub release: String,
    /// Commit, when the build of the compiler has one.
    pub commit: Option<String>,
}

impl Version {
    fn parse(text: &str) -> Option<Version> {
        let field = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).map(|v| v.trim().to_owned());
        Some(Version {
            release: field("release:")?,
            commit: field("commit-hash:").filter(|c| c != "unknown"),
        })
    }

    fn is_new_enough(&self) -> bool {
        let mut parts = self.release.split(['.', '-']).map_while(|p| p.parse::<u32>().ok());
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= OLDEST
    }
}

/// How the board's programs are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RustRoute {
    /// rustup's `aarch64-unknown-linux-musl`, linked with `rust-lld`.
    RustupMusl(Rust),
    /// Debian's compiler and `aarch64-unknown-linux-gnu` with static glibc, linked with this C compiler.
    DebianGnu(Rust, PathBuf),
    /// rustup's `x86_64-unknown-linux-musl`, linked with `rust-lld`.
    Amd64Musl(Rust),
    /// The host's own `x86_64-unknown-linux-gnu` with static glibc.
    Amd64Gnu(Rust),
}

impl RustRoute {
    /// Rust's name of the target.
    pub fn target(&self) -> &'static str {
        match self {
            RustRoute::RustupMusl(_) => MUSL,
            RustRoute::DebianGnu(..) => GNU,
            RustRoute::Amd64Musl(_) => AMD64_MUSL,
            RustRoute::Amd64Gnu(_) => AMD64_GNU,
        }
    }

    /// The compiler.
    pub fn rust(&self) -> &Rust {
        match self {
            RustRoute::RustupMusl(rust)
            | RustRoute::DebianGnu(rust, _)
            | RustRoute::Amd64Musl(rust)
            | RustRoute::Amd64Gnu(rust) => rust,
        }
    }

    /// One line for `doctor`.
    pub fn describe(&self) -> String {
        let Rust { rustc, version, .. } = self.rust();
        let how = match self {
            RustRoute::RustupMusl(_) | RustRoute::Amd64Musl(_) => "musl, linked with rust-lld",
            RustRoute::Amd64Gnu(_) => "the host's own, static glibc",
            RustRoute::DebianGnu(..) => "Debian's own cross library, static glibc",
        };
        format!("{} by `{}` {} ({how})", self.target(), rustc.display(), version.release)
    }
}

/// The route that this machine can take: the musl target of the cargo that runs us, else Debian's.
///
/// # Errors
/// Neither is installed; the reasons name what each lacks.
pub fn rust_board_target() -> Result<RustRoute> {
    let ours = Rust::beside(&crate::stages::cargo()).and_then(|rust| {
        rust.with_target(MUSL)?;
        Ok(RustRoute::RustupMusl(rust))
    });
    let first = match ours {
        Ok(route) => return Ok(route),
        Err(failure) => failure,
    };
    let debian = Rust::beside(Path::new("/usr/bin/cargo")).and_then(|rust| {
        rust.with_target(GNU)?;
        Ok(RustRoute::DebianGnu(rust, Toolchain::aarch64()?.gcc().to_owned()))
    });
    debian.map_err(|second| {
        Failure::new("no Rust target for the programs that run on the board")
            .why(first.what())
            .why(second.what())
            .hint(format!("`rustup target add {MUSL}`"))
            .hint("`cargo xtask setup` does that, or takes Debian 12's own packages")
    })
}

/// The route to programs for x86-64, where the imager usually runs.
///
/// # Errors
/// The musl target is not installed, and the host is not x86-64 itself.
pub fn rust_amd64_target() -> Result<RustRoute> {
    let rust = Rust::beside(&crate::stages::cargo())?;
    let Err(no_musl) = rust.with_target(AMD64_MUSL) else { return Ok(RustRoute::Amd64Musl(rust)) };
    match rust.with_target(AMD64_GNU) {
        Ok(()) if cfg!(target_arch = "x86_64") => Ok(RustRoute::Amd64Gnu(rust)),
        _ => Err(Failure::new("no Rust target for the programs that run on an x86-64 imager")
            .why(no_musl.what())
            .hint(format!("`rustup target add {AMD64_MUSL}`"))),
    }
}

impl Rust {
    /// The compiler that belongs to a cargo: the `rustc` in the same folder, else the one on `PATH`.
    fn beside(cargo: &Path) -> Result<Rust> {
        let sibling = cargo.with_file_name("rustc");
        let rustc = if cargo.is_absolute() && !sibling.exists() {
            return Err(Failure::new(format!("there is no `{}`", sibling.display())));
        } else if sibling.exists() {
            sibling
        } else {
            PathBuf::from("rustc")
        };
        // The caller's environment: rustup's proxies take the toolchain from it.
        let ask = |args: &[&str]| -> Result<String> {
            let out = Cmd::with_callers_env(&rustc).args(args).output()?;
            Ok(String::from_utf8_lossy(&out).trim().to_owned())
        };
        let version = Version::parse(&ask(&["-vV"])?)
            .ok_or_else(|| Failure::new(format!("`{} -vV` prints no release", rustc.display())))?;
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?);
        Ok(Rust { cargo: cargo.to_owned(), rustc, sysroot, version })
    }

    /// Checks the age and that the target's standard library is there. Cargo itself would only complain
    /// about a missing `core` crate, in the middle of the build.
    fn with_target(&self, target: &str) -> Result<()> {
        if !self.version.is_new_enough() {
            return Err(Failure::new(format!(
                "`{}` is {}, older than {}.{}",
                self.rustc.display(),
                self.version.release,
                OLDEST.0,
                OLDEST.1
            )));
        }
        let dir = self.sysroot.join("lib/rustlib").join(target).join("lib");
        let has_std = std::fs::read_dir(&dir).is_ok_and(|entries| {
            entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("libstd-"))
        });
        if has_std {
            return Ok(());
        }
        Err(Failure::new(format!(
            "`{}` has no target {target} (no `libstd` in `{}`)",
            self.rustc.display(),
            dir.display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(sysroot: &Path, release: &str) -> Rust {
        Rust {
            cargo: "/c".into(),
            rustc: "/r".into(),
            sysroot: sysroot.into(),
            version: Version { release: release.into(), commit: None },
        }
    }

    #[test]
    fn versions() {
        let text =
            "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\ncommit-hash: 59807616e\nrelease: 1.95.0\n";
        let version = Version::parse(text).expect("has a release");
        assert_eq!(version, Version { release: "1.95.0".into(), commit: Some("59807616e".into()) });
        assert_eq!(Version::parse("commit-hash: unknown\nrelease: 1.96.0\n").and_then(|v| v.commit), None);
        assert_eq!(Version::parse("rustc 1.0"), None);
        let new = |r: &str| Version { release: r.into(), commit: None }.is_new_enough();
        assert!(new("1.95.0") && new("1.100.0-nightly") && new("2.0.0"));
        assert!(!new("1.94.9") && !new("1.63.0") && !new("x"));
    }

    #[test]
    fn a_target_is_its_standard_library() {
        let dir = tempfile::tempdir().expect("folder");
        let lib = dir.path().join("lib/rustlib").join(MUSL).join("lib");
        fs_err::create_dir_all(&lib).expect("folder");
        let missing = rust(dir.path(), "1.95.0").with_target(MUSL).expect_err("an empty folder");
        assert!(missing.what().contains("has no target aarch64-unknown-linux-musl"), "{missing}");
        fs_err::write(lib.join("libstd-0123.rlib"), "").expect("file");
        rust(dir.path(), "1.95.0").with_target(MUSL).expect("there");
        let old = rust(dir.path(), "1.85.0").with_target(MUSL).expect_err("old");
        assert!(old.what().contains("older than 1.95"), "{old}");
    }

    #[test]
    fn this_machine_has_a_route() {
        let route = rust_board_target().expect("`cargo xtask setup` brings one");
        assert!(route.describe().starts_with(route.target()), "{}", route.describe());
    }
}
