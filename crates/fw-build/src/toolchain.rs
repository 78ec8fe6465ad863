// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finds the compiler for aarch64 and says exactly which one it is.
//!
//! On an aarch64 host this is the native compiler, elsewhere the cross compiler.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::key::sha256_file;
use crate::run::Cmd;

/// Rust's name of the machine that all firmware is built for.
pub const TARGET: &str = "aarch64-unknown-linux-gnu";

/// A checked aarch64 toolchain.
#[derive(Debug, Clone)]
pub struct Toolchain {
    gcc: PathBuf,
    prefix: String,
}

impl Toolchain {
    /// The toolchain of this host.
    ///
    /// # Errors
    /// No compiler, or one that makes code for another machine.
    pub fn aarch64() -> Result<Toolchain> {
        let missing = |why: String| {
            Failure::new("no compiler for aarch64")
                .why(why)
                .hint("`cargo xtask setup` installs it (Debian and Ubuntu: package `gcc-aarch64-linux-gnu`)")
        };
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        // `cc` knows the names a cross compiler goes by and honours `CROSS_COMPILE`.
        let compiler = cc::Build::new()
            .target(TARGET)
            .host(&host)
            .opt_level(0)
            .cargo_metadata(false)
            .try_get_compiler()
            .map_err(|e| missing(e.to_string()))?;
        // Where host and target are the same `cc` answers `cc`, a name without a prefix to read.
        let name = if compiler.path() == Path::new("cc") { Path::new("gcc") } else { compiler.path() };
        let gcc = which::which(name).map_err(|e| missing(format!("{}: {e}", name.display())))?;
        // For some targets `cc` falls back to the host's compiler without a word, so ask the compiler itself.
        let machine = text(&Cmd::new(&gcc).arg("-dumpmachine"))?;
        if !machine.starts_with("aarch64") {
            return Err(missing(format!("`{}` makes code for `{machine}`", gcc.display())));
        }
        let name = gcc.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let prefix = match name.rfind("gcc") {
            Some(at) => name[..at].to_owned(),
            None => return Err(missing(format!("`{}` is not gcc, which the firmware needs", gcc.display()))),
        };
        // `make` starts what `CROSS_COMPILE` and `PATH` name; the key must be that compiler's.
        let started = format!("{prefix}gcc");
        if which::which(&started).ok().as_ref() != Some(&gcc) {
            return Err(missing(format!("`{}` is not what `{started}` on `PATH` starts", gcc.display())));
        }
        Ok(Toolchain { gcc, prefix })
    }

    /// What `CROSS_COMPILE` is set to: `aarch64-linux-gnu-`, or nothing on an aarch64 host.
    pub fn cross_compile(&self) -> &str {
        &self.prefix
    }

    /// The compiler's path.
    pub fn gcc(&self) -> &Path {
        &self.gcc
    }

    /// Name of a binutils program, for example `tool("ld")`.
    pub fn tool(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Identity of compiler, assembler and linker: their versions and the compiler proper's digest.
    ///
    /// # Errors
    /// One of them does not run.
    pub fn fingerprint(&self) -> Result<Vec<(String, String)>> {
        let cc1 = text(&Cmd::new(&self.gcc).arg("-print-prog-name=cc1"))?;
        Ok(vec![
            ("gcc".to_owned(), first_line(&Cmd::new(&self.gcc).arg("--version"))?),
            ("cc1".to_owned(), sha256_file(Path::new(&cc1))?),
            ("as".to_owned(), first_line(&Cmd::new(self.tool("as")).arg("--version"))?),
            ("ld".to_owned(), first_line(&Cmd::new(self.tool("ld")).arg("--version"))?),
        ])
    }
}

/// First line that a version command prints, on either output.
///
/// # Errors
/// The command does not run or prints nothing.
pub fn first_line(cmd: &Cmd) -> Result<String> {
    struct First(Option<String>);
    impl crate::run::LineSink for First {
        fn line(&mut self, line: &str) {
            if self.0.is_none() && !line.trim().is_empty() {
                self.0 = Some(line.trim().to_owned());
            }
        }
    }
    let mut first = First(None);
    cmd.run(&mut first)?;
    first.0.ok_or_else(|| Failure::new(format!("`{}` prints no version", cmd.display())))
}

fn text(cmd: &Cmd) -> Result<String> {
    Ok(String::from_utf8_lossy(&cmd.output()?).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_makes_aarch64_code() {
        let chain = Toolchain::aarch64().expect("`gcc-aarch64-linux-gnu` is installed");
        let print = chain.fingerprint().expect("fingerprint");
        assert_eq!(print.iter().map(|(l, _)| l.as_str()).collect::<Vec<_>>(), ["gcc", "cc1", "as", "ld"]);
        assert!(chain.gcc().is_absolute());
    }
}
