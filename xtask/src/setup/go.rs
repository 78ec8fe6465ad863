// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Go, for those who check against Talos's own code; nothing else needs it.
//!
//! Debian 13 and Ubuntu 24.04 have one that is recent enough. Debian 12's (1.19) cannot compile Talos, but it can fetch
//! a newer toolchain as a Go module, into the store.

use conformance::{go, line};
use fw_build::{Failure, Result};

use super::{Consent, Step, Sudo, confirmed};
use crate::context::Context;
use crate::host::apt::Install;
use crate::host::{Distro, Machine};

/// The package with `go` in all of [`Distro`].
const PACKAGE: &str = "golang-go";

/// Installs Go where there is none, and fetches a newer one where that is too old.
///
/// # Errors
/// An unknown distribution without Go, a command that failed, or no module proxy.
pub(super) fn provide(consent: Consent) -> Result<()> {
    let cx = Context::load()?;
    let lines = line::all(&cx.root)?;
    let found = || go::find(cx.store.root(), &lines);
    if found().is_ok() {
        eprintln!("setup: Go is there");
        return Ok(());
    }
    let machine = Machine::here();
    if machine.program("go").is_none() {
        if Distro::here().is_none() {
            return Err(Failure::new("this distribution is not known, so Go was not installed").hint(
                "install Go 1.21 or later by hand, then `cargo xtask setup --conformance` looks again",
            ));
        }
        let step = Step::Install(Install { suite: None, packages: vec![PACKAGE.to_owned()] });
        let sudo = Sudo::here(&machine);
        println!("{}", step.display(sudo));
        if !allowed(consent)? {
            return Ok(());
        }
        step.run(sudo)?;
        if found().is_ok() {
            return Ok(());
        }
    }
    println!("go mod download golang.org/toolchain");
    if allowed(consent)? {
        let program = cx.fetcher()?.go_toolchain(go::newest(&lines), &())?;
        eprintln!("setup: Go is in `{}`", program.display());
    }
    Ok(())
}

fn allowed(consent: Consent) -> Result<bool> {
    use std::io::IsTerminal;
    match consent {
        Consent::ShowOnly => Ok(false),
        Consent::Given => Ok(true),
        Consent::Ask if std::io::stdin().is_terminal() && !confirmed()? => {
            Err(Failure::new("Go was not installed").why("the question was not answered with `y`"))
        }
        Consent::Ask => Ok(true),
    }
}
