// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Builds the program of a line with Go.
//!
//! One toolchain and one build cache serve all lines, so that most packages are compiled once. Modules are fetched by
//! Go's own client and checked against the `go.sum` of the line. Caches lie in the store, never in the checkout.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::fetch::Fetcher;
use fw_build::golang::{Go, Programs, host_arch, numbers};
use fw_build::run::LineSink;
use fw_build::{Failure, Result};

use crate::line::Line;

/// Why there is no program.
#[derive(Debug)]
pub enum NoProgram {
    /// A module cannot be had here.
    Modules(Failure),
    /// The code does not compile.
    Code(Failure),
}

/// Looks for Go, and settles on one toolchain that is new enough for all lines. `store` is the root of the store.
///
/// # Errors
/// No Go since 1.21.
pub fn find(store: &Path, lines: &[Line]) -> Result<Go> {
    let go = Go::find(store)?;
    let toolchain = toolchain(go.host_version(), newest(lines));
    Ok(go.bound(&toolchain))
}

/// The newest Go that a line asks for, such as `1.26.6`.
pub fn newest(lines: &[Line]) -> &str {
    lines.iter().map(|l| l.go.as_str()).max_by_key(|v| numbers(v)).unwrap_or(Go::OLDEST)
}

/// Fetches what a line needs and builds its program, into the store.
///
/// # Errors
/// See [`NoProgram`].
pub fn build(
    fetcher: &Fetcher,
    go: &Go,
    line: &Line,
    sink: &mut dyn LineSink,
) -> std::result::Result<PathBuf, NoProgram> {
    let bin = go.caches().join("bin");
    let program = bin.join(format!("conformance-{}", line.name));
    let programs = Programs {
        dir: &line.dir,
        packages: &["."],
        tags: "",
        // No symbols: linking takes half the time.
        ldflags: "-s -w",
        target: host_arch(),
    };
    let fetched = || -> Result<()> {
        fs::create_dir_all(&bin)?;
        fetcher.go_dependencies(go, &programs, &())
    };
    fetched().map_err(NoProgram::Modules)?;
    go.build(&programs, &program).run(sink).map_err(NoProgram::Code)?;
    Ok(program)
}

/// `local` when the host's Go is new enough, else the one that the newest line asks for, which Go fetches.
fn toolchain(host: &str, newest: &str) -> String {
    if numbers(host) >= numbers(newest) { "local".to_owned() } else { format!("go{newest}") }
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
