// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs cargo for the stage crates and reads where their results are.
//!
//! xtask never depends on a stage crate: that would build firmware before `cargo xtask --help`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fw_build::run::Cmd;
use fw_build::status::STATUS_DIR_VAR;
use fw_build::store::Entry;
use fw_build::{Failure, Result, trace};
use serde::Deserialize;

/// Stages of the boot chain and of the rehearsal, in the order they are shown.
pub const ALL: [&str; 9] = [
    "rkbin-ddr",
    "tf-a-bl31",
    "u-boot-nanopi-m6",
    "u-boot-spi",
    "linux-collabora",
    "dtb",
    "u-boot-qemu",
    "grub-efi",
    "bringup",
];

/// Stages that only our own loader needs.
pub const LOADER: [&str; 4] = ["rkbin-ddr", "tf-a-bl31", "u-boot-nanopi-m6", "u-boot-spi"];

/// The cargo that runs us, else the one on `PATH`.
pub fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Results of stages by stage name.
#[derive(Debug)]
pub struct Results(BTreeMap<String, Entry>);

impl Results {
    /// The result of a stage.
    ///
    /// # Errors
    /// It was not among the stages that were built.
    pub fn get(&self, stage: &str) -> Result<&Entry> {
        self.0.get(stage).ok_or_else(|| Failure::new(format!("stage `{stage}` gave no result")))
    }

    /// All results by stage name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(n, e)| (n.as_str(), e))
    }
}

/// Builds stages (those that they need come along) and returns their results.
///
/// `env` is set for the build scripts: selections and the like.
///
/// # Errors
/// A stage failed; its own message is the reason.
pub fn build(
    root: &Path,
    stages: &[&str],
    status_dir: &Path,
    env: &BTreeMap<String, String>,
) -> Result<Results> {
    let mut results = BTreeMap::new();
    for (stage, dir) in run_scripts(root, stages, status_dir, env)? {
        if dir.as_os_str().is_empty() {
            return Err(Failure::new(format!("stage `{stage}` was not built"))
                .why("`FW_BUILD=skip` makes the stages return at once")
                .hint("unset `FW_BUILD`"));
        }
        results.insert(stage, Entry::load(&dir)?);
    }
    Ok(Results(results))
}

/// Runs the build scripts of `stages` and returns the folder that each one names.
///
/// # Errors
/// A script failed.
pub fn run_scripts(
    root: &Path,
    stages: &[&str],
    status_dir: &Path,
    env: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, PathBuf>> {
    // What cargo itself compiles is for those who asked for more.
    let quiet = (!trace::on()).then_some("--quiet");
    let mut cmd = Cmd::with_callers_env(cargo())
        .args(["build", "--locked", "--message-format=json-render-diagnostics"])
        .args(quiet)
        .args(stages.iter().flat_map(|s| ["-p", s]))
        .cwd(root)
        .env(STATUS_DIR_VAR, status_dir);
    for (name, value) in env {
        cmd = cmd.env(name, value);
    }
    let mut running = cmd.spawn(Stdio::null(), Stdio::piped(), Stdio::piped())?;
    let stdout = running.child.stdout.take();
    let stderr = running.child.stderr.take();
    let talk = std::thread::spawn(move || {
        let mut text = String::new();
        // Whatever was read before an error is what there is to show.
        for line in stderr.into_iter().flat_map(|s| BufReader::new(s).lines()).map_while(std::io::Result::ok)
        {
            trace::line(|| format!("cargo: {line}"));
            text += &line;
            text.push('\n');
        }
        text
    });
    let mut dirs = BTreeMap::new();
    if let Some(stdout) = stdout {
        for line in BufReader::new(stdout).lines() {
            // Other JSON messages and stray text have another shape.
            if let Ok(Message { reason, package_id, env }) = serde_json::from_str(&line?)
                && reason == "build-script-executed"
                && let Some((_, dir)) = env.iter().find(|(k, _)| k == "FW_STAGE_DIR")
                && let Some(stage) = stage_of(&package_id)
            {
                // Said for scripts, too, that cargo did not have to run.
                trace::line(|| format!("store: stage `{stage}` gives `{dir}`"));
                dirs.insert(stage.to_owned(), PathBuf::from(dir));
            }
        }
    }
    let talk = talk.join().unwrap_or_default();
    let status = running.child.wait()?;
    if !status.success() {
        return Err(failure_of(&talk));
    }
    Ok(dirs)
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: String,
    env: Vec<(String, String)>,
}

/// The stage whose crate folder the package id names (`path+file:///…/crates/dtb#0.1.0`).
fn stage_of(package_id: &str) -> Option<&'static str> {
    let dir = package_id.split('#').next()?;
    ALL.into_iter().find(|s| dir.ends_with(&format!("/crates/{s}")))
}

/// A script's `cargo::error` lines come back as `error: <package>@<version>: <line>`; the rest of cargo's
/// talk only repeats that something failed. Anything else (a compile error) is shown as it is.
fn failure_of(talk: &str) -> Failure {
    let mut lines = talk.lines().filter_map(|l| {
        let rest = l.strip_prefix("error: ")?;
        let (package, line) = rest.split_once(": ").or_else(|| Some((rest.strip_suffix(':')?, "")))?;
        package.contains('@').then_some(line)
    });
    let Some(first) = lines.next() else {
        return Failure::new("cargo could not build the stages").why(talk.trim());
    };
    lines.fold(Failure::new(first), |failure, line| match line.strip_prefix("hint: ") {
        Some(hint) => failure.hint(hint),
        None => failure.why(line.strip_prefix("  ").unwrap_or(line)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_ids() {
        assert_eq!(stage_of("path+file:///x/crates/dtb#0.1.0"), Some("dtb"));
        assert_eq!(stage_of("path+file:///x/crates/u-boot-nanopi-m6#0.1.0"), Some("u-boot-nanopi-m6"));
        assert_eq!(stage_of("path+file:///x/crates/fw-build#0.1.0"), None);
    }

    #[test]
    fn a_stage_failure_keeps_its_three_parts() {
        let talk = "error: dtb@0.1.0: stage `dtb` failed\nerror: dtb@0.1.0:   no origin\nerror: dtb@0.1.0: hint: do it\nerror: build script logged errors\n";
        assert_eq!(failure_of(talk).to_string(), "stage `dtb` failed\n  no origin\nhint: do it");
    }

    #[test]
    fn other_failures_are_shown() {
        let text = failure_of("error[E0425]: cannot find value").to_string();
        assert!(text.contains("E0425"), "{text}");
    }
}
