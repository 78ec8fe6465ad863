// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finds Go and binds a build to one toolchain and two caches of the store.
//!
//! Any Go since 1.21 will do on the host: it gets the toolchain that a module asks for by itself, as a module of its
//! own whose hash it checks in Go's checksum database. A module is built with the very version that its pin names, not
//! with the host's: code of 2025 does not always compile with a later Go.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::run::Cmd;
use crate::toolchain::first_line;

/// Go on this host, and what a build with it uses.
#[derive(Debug, Clone)]
pub struct Go {
    program: PathBuf,
    /// Version of the host's own Go, such as `1.26.8`.
    host_version: String,
    /// `GOTOOLCHAIN`.
    toolchain: String,
    /// Folder with the module cache and the build cache.
    caches: PathBuf,
}

impl Go {
    /// The oldest Go that can get another toolchain by itself.
    pub const OLDEST: &'static str = "1.21";

    /// Looks on `PATH`, where Go's own installation guide puts it, and among the toolchains in `store`, the store's root:
    /// a distribution's Go may be too old to build anything, and new enough to get a newer one
    /// ([`crate::fetch::Fetcher::go_toolchain`]).
    ///
    /// # Errors
    /// No Go, or none since [`Go::OLDEST`].
    pub fn find(store: &Path) -> Result<Go> {
        let caches = store.join("go");
        let well_known = ["/usr/local/go/bin/go", "/usr/lib/go/bin/go"].map(PathBuf::from);
        let found = which::which("go")
            .into_iter()
            .chain(well_known.into_iter().filter(|path| path.is_file()))
            .chain(stored(&caches));
        let mut rejected = Vec::new();
        for program in found {
            match host_version(&program) {
                Ok(version) if is_recent(&version) => {
                    return Ok(Go { program, host_version: version, toolchain: "local".to_owned(), caches });
                }
                Ok(version) => rejected.push(format!("`{}` is Go {version}", program.display())),
                Err(failure) => rejected.push(failure.what().to_owned()),
            }
        }
        let mut failure = Failure::new(format!("no Go since {} was found", Go::OLDEST));
        if rejected.is_empty() {
            failure = failure.why("there is no `go` at all");
        }
        for reason in rejected {
            failure = failure.why(reason);
        }
        Err(failure.hint(
            "`cargo xtask setup --conformance` provides it; only what compiles Talos's own code needs it",
        ))
    }

    /// The same Go, bound to a toolchain: `goX.Y.Z`, which it gets by itself, or `local` for its own.
    #[must_use]
    pub fn bound(self, toolchain: &str) -> Go {
        Go { toolchain: toolchain.to_owned(), ..self }
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Version of the host's own Go.
    pub fn host_version(&self) -> &str {
        &self.host_version
    }

    /// The toolchain that builds, as `GOTOOLCHAIN` has it; enters the key of what is built.
    pub fn toolchain(&self) -> &str {
        &self.toolchain
    }

    /// The folder in the store with module cache and build cache.
    pub fn caches(&self) -> &Path {
        &self.caches
    }

    /// Adds to `cmd` what binds it to this toolchain and these caches.
    pub fn cmd(&self, cmd: Cmd) -> Cmd {
        cmd.env("GOTOOLCHAIN", &self.toolchain)
            .env("GOMODCACHE", self.caches.join("mod"))
            .env("GOCACHE", self.caches.join("build"))
            // Writable, so that whoever clears the store can remove it.
            .env("GOFLAGS", "-modcacherw")
            // A module is built as it was published, whatever workspace lies beside it.
            .env("GOWORK", "off")
            .env("CGO_ENABLED", "0")
    }

    /// A build command with the clean environment and without network: [`crate::fetch::Fetcher::go_dependencies`] has
    /// been there before. The programs land in the folder `out`; each package that is compiled is a line of output.
    pub fn build(&self, programs: &Programs<'_>, out: &Path) -> Cmd {
        programs
            .target(self.cmd(Cmd::new(&self.program)))
            .env("GOENV", "off")
            .env("GOPROXY", "off")
            .arg("build")
            // As published: `go.mod` and `go.sum` are not touched, and no path of this machine gets into the program.
            .args(["-v", "-mod=readonly", "-trimpath", "-buildvcs=false"])
            .args(["-tags", programs.tags, "-ldflags", programs.ldflags, "-o"])
            .arg(out)
            .args(programs.packages)
    }
}

/// Programs of one module that are built together.
#[derive(Debug, Clone, Copy)]
pub struct Programs<'a> {
    /// Folder of the module.
    pub dir: &'a Path,
    /// Their packages, relative to it: `./cmd/name`.
    pub packages: &'a [&'a str],
    /// Build tags, separated by commas.
    pub tags: &'a str,
    /// Flags of the linker.
    pub ldflags: &'a str,
    /// Go's name of the machine that they are for, such as `arm64`.
    pub target: &'a str,
}

impl Programs<'_> {
    /// Binds `cmd` to the module and the machine.
    pub(crate) fn target(&self, cmd: Cmd) -> Cmd {
        cmd.env("GOOS", "linux").env("GOARCH", self.target).cwd(self.dir)
    }
}

/// The toolchains that Go, or [`crate::fetch::Fetcher::go_toolchain`], put into the module cache, the newest first.
fn stored(caches: &Path) -> Vec<PathBuf> {
    let suffix = format!(".linux-{}", host_arch());
    let Ok(entries) = fs_err::read_dir(caches.join("mod/golang.org")) else { return Vec::new() };
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix("toolchain@v0.0.1-go")?.strip_suffix(&suffix)?;
            Some((numbers(version), entry.path().join("bin/go")))
        })
        .filter(|(_, program)| program.is_file())
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, program)| program).collect()
}

/// Go's name of this machine.
pub fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The module in which Go publishes a toolchain for this machine (Go's reference, "Go Toolchains").
pub(crate) fn toolchain_module(go: &str) -> String {
    format!("golang.org/toolchain@v0.0.1-go{go}.linux-{}", host_arch())
}

fn host_version(program: &Path) -> Result<String> {
    // `local`: its own version, not that of a toolchain it would fetch first.
    let line = first_line(&Cmd::with_callers_env(program).env("GOTOOLCHAIN", "local").arg("version"))?;
    let version = line.split_whitespace().nth(2).and_then(|word| word.strip_prefix("go"));
    version
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("`{}` prints no version", program.display())))
}

fn is_recent(version: &str) -> bool {
    numbers(version) >= numbers(Go::OLDEST)
}

/// The numbers of a Go version, for comparing.
pub fn numbers(version: &str) -> Vec<u32> {
    let digits =
        |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
    version.split('.').map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, recent) in [
            ("1.9.7", false),
            ("1.20.14", false),
            ("1.21", true),
            ("1.21rc2", true),
            ("1.26.8", true),
            ("2.0", true),
        ] {
            assert_eq!(is_recent(version), recent, "{version}");
        }
    }

    #[test]
    fn the_newest_stored_toolchain_comes_first() {
        let dir = tempfile::tempdir().expect("folder");
        let put = |name: &str| {
            let program = dir.path().join("mod").join(name).join("bin/go");
            fs_err::create_dir_all(program.parent().expect("a folder")).expect("folder");
            fs_err::write(&program, "").expect("file");
            program
        };
        let (old, new) = (put(&toolchain_module("1.9.2")), put(&toolchain_module("1.26.6")));
        put("golang.org/toolchain@v0.0.1-go1.27.0.plan9-mips");
        put("golang.org/x@v1.0.0");
        assert_eq!(stored(dir.path()), [new, old]);
        assert!(stored(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn a_build_has_no_network_and_leaves_the_module_as_it_is() {
        let go = Go {
            program: "/go".into(),
            host_version: "1.26.8".to_owned(),
            toolchain: "go1.24.4".to_owned(),
            caches: "/store/go".into(),
        };
        let programs = Programs {
            dir: Path::new("/module"),
            packages: &["./cmd/x"],
            tags: "a,b",
            ldflags: "-s",
            target: "arm64",
        };
        let cmd = go.build(&programs, Path::new("/out"));
        let shown = format!("{cmd:?}");
        for part in [
            "GOPROXY\": \"off",
            "GOTOOLCHAIN\": \"go1.24.4",
            "GOARCH\": \"arm64",
            "/store/go/mod",
            "-mod=readonly",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
