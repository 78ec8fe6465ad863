// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Builds the program of a line with Go.
//!
//! One toolchain and one build cache serve all lines, so that most packages are compiled once. Modules are fetched by
//! Go's own client and checked against the `go.sum` of the line. Caches lie in the store, never in the checkout.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::run::{Cmd, LineSink};
use fw_build::{Failure, Result};

use crate::line::{Line, numbers};

/// The oldest Go that can fetch another one by itself (Go 1.21 release notes, "Go toolchains").
const OLDEST: &str = "1.21";

/// Where Go's own archive and Debian's packages put it when `PATH` does not say.
const WELL_KNOWN: [&str; 2] = ["/usr/local/go/bin/go", "/usr/lib/go/bin/go"];

/// Settings of a user's network that Go's client heeds (`go help environment`), and where certificates are.
const NETWORK: [&str; 14] = [
    "GOPROXY",
    "GONOPROXY",
    "GOPRIVATE",
    "GOSUMDB",
    "GONOSUMDB",
    "GOINSECURE",
    "GOAUTH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Go, and where its caches lie.
#[derive(Debug, Clone)]
pub struct Go {
    program: PathBuf,
    toolchain: String,
    caches: PathBuf,
}

/// Why there is no program.
#[derive(Debug)]
pub enum NoProgram {
    /// A module cannot be had here.
    Modules(Failure),
    /// The code does not compile.
    Code(Failure),
}

impl Go {
    /// Looks for Go, and settles on one toolchain that is new enough for all lines. `store` is the root of the store.
    ///
    /// # Errors
    /// No Go since 1.21.
    pub fn find(store: &Path, lines: &[Line]) -> Result<Go> {
        let newest = newest(lines);
        let candidates = which::which("go")
            .into_iter()
            .chain(WELL_KNOWN.iter().map(PathBuf::from))
            .chain([fetched(store, newest)])
            .filter(|path| path.is_file());
        let mut why = Vec::new();
        for program in candidates {
            match version_of(&program) {
                Ok(version) if numbers(&version) >= numbers(OLDEST) => {
                    let toolchain = toolchain(&version, newest);
                    return Ok(Go { program, toolchain, caches: store.join("go") });
                }
                Ok(version) => why.push(format!("`{}` is Go {version}", program.display())),
                Err(failure) => why.push(failure.to_string()),
            }
        }
        let failure = Failure::new(format!("there is no Go since {OLDEST} on this machine"));
        Err(why
            .into_iter()
            .fold(failure, Failure::why)
            .hint("`cargo xtask setup --conformance` installs one, or says where to get it"))
    }

    /// Has a Go that is too old fetch the one that the lines need, as the module in which Go publishes its toolchains;
    /// Go's checksum database vouches for it. Returns the new `go`, which [`Go::find`] finds from then on.
    ///
    /// # Errors
    /// There is no Go at all, or it cannot get the module.
    pub fn fetch(store: &Path, lines: &[Line]) -> Result<PathBuf> {
        let newest = newest(lines);
        let old = which::which("go").map_err(|_| Failure::new("there is no `go` on `PATH`"))?;
        let program = fetched(store, newest);
        let (module, version) = toolchain_module(newest);
        network(Cmd::new(old))
            .env("GOMODCACHE", store.join("go/mod"))
            .env("GOFLAGS", "-modcacherw")
            .args(["mod", "download", &format!("{module}@{version}")])
            .output()?;
        // A module's files have no mode; Go itself does the same when it switches (cmd/go/internal/toolchain).
        let root = program.ancestors().nth(2).unwrap_or(store);
        for folder in ["bin", "pkg/tool"] {
            executable(&root.join(folder))?;
        }
        version_of(&program)?;
        Ok(program)
    }

    /// The toolchain in use, as `GOTOOLCHAIN` has it.
    pub fn toolchain(&self) -> &str {
        &self.toolchain
    }

    fn cmd(&self, line: &Line) -> Cmd {
        network(Cmd::new(&self.program))
            .env("GOTOOLCHAIN", &self.toolchain)
            .env("GOMODCACHE", self.caches.join("mod"))
            .env("GOCACHE", self.caches.join("build"))
            // Writable, so that whoever clears the store can remove it. `go.mod` and `go.sum` stay as they are.
            .env("GOFLAGS", "-modcacherw -mod=readonly -trimpath -buildvcs=false")
            .env("GOWORK", "off")
            // No C compiler: less to compile, and nothing depends on the host's.
            .env("CGO_ENABLED", "0")
            .cwd(&line.dir)
    }

    /// Fetches what a line needs and builds its program, into the store.
    ///
    /// # Errors
    /// See [`NoProgram`].
    pub fn build(&self, line: &Line, sink: &mut dyn LineSink) -> std::result::Result<PathBuf, NoProgram> {
        let program = self.caches.join("bin").join(format!("conformance-{}", line.name));
        let fetched = || -> Result<Vec<u8>> {
            fs::create_dir_all(self.caches.join("bin"))?;
            // Loads every package, and so fetches every module that one of them is in; compiles nothing.
            self.cmd(line).args(["list", "-deps", "-f", "{{.ImportPath}}", "."]).output()
        };
        fetched().map_err(NoProgram::Modules)?;
        self.cmd(line)
            // No symbols: linking takes half the time.
            .args(["build", "-ldflags=-s -w", "-o"])
            .arg(&program)
            .arg(".")
            .run(sink)
            .map_err(NoProgram::Code)?;
        Ok(program)
    }
}

/// The newest Go that a line asks for.
fn newest(lines: &[Line]) -> &str {
    lines.iter().map(|l| l.go.as_str()).max_by_key(|v| numbers(v)).unwrap_or(OLDEST)
}

/// Path and version of the module that holds a toolchain for this machine (Go's reference, "Go Toolchains").
fn toolchain_module(go: &str) -> (&'static str, String) {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    ("golang.org/toolchain", format!("v0.0.1-go{go}.linux-{arch}"))
}

/// Where [`Go::fetch`] puts it.
fn fetched(store: &Path, go: &str) -> PathBuf {
    let (module, version) = toolchain_module(go);
    store.join("go/mod").join(format!("{module}@{version}")).join("bin/go")
}

/// Makes all files below a folder executable.
fn executable(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            executable(&entry.path())?;
        } else {
            fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// Adds what Go's client heeds of the user's network.
fn network(cmd: Cmd) -> Cmd {
    let set = NETWORK.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let cmd = set.fold(cmd, |cmd, (name, value)| cmd.env(name, value));
    if std::env::var_os("FW_OFFLINE").is_some_and(|v| !v.is_empty() && v != "0") {
        return cmd.env("GOPROXY", "off");
    }
    cmd
}

/// `local` when the host's Go is new enough, else the one that the newest line asks for, which Go fetches.
fn toolchain(host: &str, newest: &str) -> String {
    if numbers(host) >= numbers(newest) { "local".to_owned() } else { format!("go{newest}") }
}

/// `go version go1.26.8 linux/amd64`: the host's own version, whatever `GOTOOLCHAIN` says.
fn version_of(program: &Path) -> Result<String> {
    let text = Cmd::new(program).env("GOTOOLCHAIN", "local").arg("version").output()?;
    let text = String::from_utf8_lossy(&text);
    let version = text.split_whitespace().nth(2).and_then(|word| word.strip_prefix("go"));
    version
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("`{}` prints no version", program.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_toolchain_for_all_lines() {
        assert_eq!(toolchain("1.26.8", "1.26.6"), "local");
        assert_eq!(toolchain("1.26.6", "1.26.6"), "local");
        assert_eq!(toolchain("1.24.4", "1.26.6"), "go1.26.6");
        assert_eq!(toolchain("1.9", "1.26.6"), "go1.26.6");
    }
}
