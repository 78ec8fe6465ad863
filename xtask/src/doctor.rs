// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask doctor`: what this machine lacks, and the one command that fixes it. Changes nothing.

use std::path::Path;

use clap::Args as ClapArgs;
use fw_build::golang::Go;
use fw_build::status::bytes;
use fw_build::store::Store;
use fw_build::{Failure, Result};

use crate::exit::Exit;
use crate::host::tools::{Need, TOOLS};
use crate::host::{Distro, Finding, Machine, RustRoute, rust_board_target};

/// Lists the tools that the other verbs need, and which of them are missing.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask doctor        everything, with what each is for
  cargo xtask doctor -q     only what is missing

Ends with 0 when nothing is missing, else with 1. `cargo xtask setup` installs what is missing.")]
pub struct Args {
    /// Only what is missing.
    #[arg(short, long)]
    quiet: bool,
}

/// Room for one build of everything from an empty store: sources, the kernel work folder (objects with
/// debug information when BTF is on) and the results.
const STORE_BYTES: u64 = 12 << 30;

/// What Go is for.
const GO_FOR: &str = "only for `cargo xtask conformance` and `--userland talos-source`";

/// Runs the verb.
///
/// # Errors
/// There is no place for the store.
pub fn run(args: &Args) -> Result<Exit> {
    let findings = Machine::here().look();
    let rust = rust_board_target();
    let store = Store::from_env()?.root().to_owned();
    let free = free_bytes(&store);
    let go = Go::find(&store);
    for line in report(&findings, &rust, &go, &store, free, Distro::here(), args.quiet) {
        println!("{line}");
    }
    let tools_complete = findings.iter().all(|f| f.result.is_ok()) && rust.is_ok();
    Ok(if tools_complete && free.is_none_or(|f| f >= STORE_BYTES) { Exit::Done } else { Exit::Failed })
}

/// Checks, before a build starts, that everything `cargo xtask image` needs is there.
///
/// # Errors
/// The list of what is missing.
pub fn require() -> Result<()> {
    let machine = Machine::here();
    let needed = TOOLS.iter().filter(|t| t.need == Need::Image && machine.needs(t));
    let missing: Vec<Finding> = needed.map(|t| machine.look_for(t)).filter(|f| f.result.is_err()).collect();
    let rust = rust_board_target();
    if missing.is_empty() && rust.is_ok() {
        return Ok(());
    }
    Err(lacks(&missing, &rust))
}

fn lacks(missing: &[Finding], rust: &Result<RustRoute>) -> Failure {
    let mut failure = Failure::new("this machine lacks tools that the build needs");
    for Finding { tool, .. } in missing {
        failure = failure.why(format!("{}: {}", tool.name, tool.purpose));
    }
    if let Err(rust) = rust {
        failure = failure.why(rust.what());
    }
    failure
        .hint("`cargo xtask setup` installs them, as does the flag `--install-deps`")
        .hint("`cargo xtask doctor` says more about each")
}

fn report(
    findings: &[Finding],
    rust: &Result<RustRoute>,
    go: &Result<Go>,
    store: &Path,
    free: Option<u64>,
    distro: Option<Distro>,
    quiet: bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut missing = 0;
    for Finding { tool, result } in findings {
        match result {
            Ok(path) if !quiet => {
                lines.push(format!("ok       {:22} {}: `{}`", tool.name, tool.purpose, path.display()));
            }
            Ok(_) => {}
            Err(why) => {
                missing += 1;
                lines.push(format!("missing  {:22} {} (`{}`)", tool.name, tool.purpose, tool.need.command()));
                lines.push(format!("         {why}"));
                if let Some(distro) = distro {
                    lines.push(format!("         {distro}: {}", tool.packages(distro).join(" ")));
                }
            }
        }
    }
    match rust {
        Ok(route) if !quiet => {
            lines.push(format!("ok       {:22} {}", "Rust for the board", route.describe()))
        }
        Ok(_) => {}
        Err(failure) => {
            missing += 1;
            lines.push(format!("missing  {:22} the programs that run on the board", "Rust for the board"));
            lines.extend(failure.lines().iter().skip(1).map(|l| format!("         {}", l.trim())));
        }
    }
    // Nothing of an image needs it, so it is never missing.
    match go {
        Ok(go) if !quiet => lines.push(format!(
            "ok       {:22} Go {}, {GO_FOR}: `{}`",
            "Go",
            go.host_version(),
            go.program().display()
        )),
        Err(_) if !quiet => {
            lines.push(format!("absent   {:22} {GO_FOR}", "Go"));
            lines.push("         `cargo xtask setup --conformance` provides it".to_owned());
        }
        _ => {}
    }
    match free {
        Some(free) if free < STORE_BYTES => {
            missing += 1;
            lines.push(format!(
                "low      {:22} {} free at `{}`, a kernel build takes up to {}",
                "disk space",
                bytes(free),
                store.display(),
                bytes(STORE_BYTES)
            ));
            lines.push("         hint: free some space, or move the store with `FW_STORE`".to_owned());
        }
        Some(free) if !quiet => {
            lines.push(format!("ok       {:22} {} free at `{}`", "disk space", bytes(free), store.display()));
        }
        _ => {}
    }
    lines.push(match missing {
        0 => "nothing is missing".to_owned(),
        n => format!("{n} missing\nhint: `cargo xtask setup` installs what can be installed"),
    });
    lines
}

/// Free bytes for an ordinary user where `dir` is, or would be made; `None` where the system does not say.
fn free_bytes(dir: &Path) -> Option<u64> {
    let existing = dir.ancestors().find(|d| d.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding { tool: &TOOLS[0], result: Ok("/usr/bin/x-gcc".into()) },
            Finding { tool: &TOOLS[3], result: Err("no `make` on `PATH`".into()) },
        ]
    }

    /// As on a machine without Go.
    fn no_go() -> Result<Go> {
        Err(Failure::new("no Go"))
    }

    #[test]
    fn go_is_optional() {
        let rust = Err(Failure::new("no target"));
        let all = &findings()[..1];
        let text = report(all, &rust, &no_go(), Path::new("/s"), None, None, false).join("\n");
        assert!(text.contains("absent   Go ") && text.contains("setup --conformance"), "{text}");
        assert!(text.contains("1 missing"), "only Rust: {text}");
        let quiet = report(all, &rust, &no_go(), Path::new("/s"), None, None, true).join("\n");
        assert!(!quiet.contains("Go"), "{quiet}");
    }

    #[test]
    fn says_what_is_missing_and_what_brings_it() {
        let rust = Err(Failure::new("no target").why("no libstd").hint("`rustup target add x`"));
        let text = report(
            &findings(),
            &rust,
            &no_go(),
            Path::new("/s"),
            Some(1 << 30),
            Some(Distro::Debian12),
            false,
        )
        .join("\n");
        for part in [
            "ok       aarch64 C compiler",
            "missing  make",
            "no `make` on `PATH`",
            "Debian 12: make",
            "missing  Rust for the board",
            "hint: `rustup target add x`",
            "low      disk space",
            "3 missing",
            "hint: `cargo xtask setup`",
        ] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
    }

    #[test]
    fn a_build_names_what_it_lacks() {
        let text = lacks(&findings()[1..], &Err(Failure::new("no Rust target"))).to_string();
        assert!(text.contains("  make: drives") && text.contains("  no Rust target"), "{text}");
        assert!(text.contains("hint: `cargo xtask setup`"), "{text}");
    }

    #[test]
    fn quiet_shows_only_what_is_missing() {
        let rust = Err(Failure::new("no target"));
        let text =
            report(&findings(), &rust, &no_go(), Path::new("/s"), Some(1 << 40), None, true).join("\n");
        assert!(!text.contains("ok ") && text.contains("missing  make"), "{text}");
        assert!(!text.contains("Debian"), "an unknown distribution has no package names: {text}");
    }

    #[test]
    fn free_space_of_a_folder_to_be_made() {
        let dir = tempfile::tempdir().expect("folder");
        assert!(free_bytes(&dir.path().join("not/there/yet")).is_some_and(|f| f > 0));
    }
}
