// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A program in front of the compiler: a cache (`ccache`, `sccache`) or a distributor (`distcc`, `icecc`).
//!
//! It is not part of any key: it must run the very compiler that the key names, and what it answers must be what
//! that compiler would have made. Both hold for caches; with a distributor the owner of the fleet sees to it.

use std::path::PathBuf;

use crate::failure::{Failure, Result};
use crate::run::Cmd;

/// Settings of the known launchers, which the clean environment of commands lets through.
const OWN_VARS: [&str; 4] = ["CCACHE_", "SCCACHE_", "DISTCC_", "ICECC_"];

/// What `FW_COMPILER_LAUNCHER` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    program: PathBuf,
}

impl Launcher {
    /// Reads `FW_COMPILER_LAUNCHER`: a program's name or path; unset or empty means none.
    ///
    /// # Errors
    /// The program is not there.
    pub fn from_env() -> Result<Option<Launcher>> {
        let name = std::env::var("FW_COMPILER_LAUNCHER").unwrap_or_default();
        if name.is_empty() { Ok(None) } else { Launcher::named(&name).map(Some) }
    }

    fn named(name: &str) -> Result<Launcher> {
        // The project is called icecream, its compiler wrapper icecc.
        let program = if name == "icecream" { "icecc" } else { name };
        let program = which::which(program).map_err(|e| {
            Failure::new(format!("`FW_COMPILER_LAUNCHER={name}` cannot be used"))
                .why(e)
                .hint("install it, or unset the variable: the compiler then runs by itself")
        })?;
        // `make` splits CC at blanks.
        if program.to_string_lossy().contains(char::is_whitespace) {
            return Err(Failure::new(format!("`FW_COMPILER_LAUNCHER={name}` cannot be used"))
                .why(format!("the path `{}` contains a blank", program.display())));
        }
        Ok(Launcher { program })
    }

    /// Makes `make` compile with `gcc` behind this launcher, whose own variables it gets.
    #[must_use]
    pub fn apply(&self, make: Cmd, gcc: &str) -> Cmd {
        let own = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(|n| OWN_VARS.iter().any(|own| n.starts_with(own))));
        let make = own.fold(make, |make, (name, value)| make.env(name, value));
        make.arg(format!("CC={} {gcc}", self.program.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_comes_behind_the_launcher() {
        let launcher = Launcher::named("env").expect("every system has it");
        let shown = launcher.apply(Cmd::new("make"), "aarch64-linux-gnu-gcc").display();
        assert!(shown.starts_with("make 'CC=/") && shown.ends_with("/env aarch64-linux-gnu-gcc'"), "{shown}");
    }

    #[test]
    fn an_absent_launcher_is_named() {
        let failure = Launcher::named("no-such-launcher").expect_err("absent").to_string();
        assert!(failure.contains("`FW_COMPILER_LAUNCHER=no-such-launcher` cannot be used"), "{failure}");
        assert!(failure.contains("hint: install it"), "{failure}");
    }
}
