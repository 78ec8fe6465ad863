// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask setup`: installs what `doctor` finds missing.
//!
//! It shows every command before it runs it, never adds a package source, and uses sudo only when the user
//! is not root. The plan is made by [`crate::host::apt`]; this module runs it.

mod go;

use std::fmt;
use std::io::{IsTerminal, Write};
use std::process::Stdio;

use clap::Args as ClapArgs;
use fw_build::run::Cmd;
use fw_build::{Context as _, Failure, Result};

use crate::exit::Exit;
use crate::host::apt::{self, Install, Installed};
use crate::host::rust::{DEBIAN12_PACKAGES, MUSL};
use crate::host::{Distro, Finding, Machine, rust_board_target};

/// Installs the tools that the other verbs need.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask setup            shows the commands, asks on a terminal, runs them
  cargo xtask setup --yes      does not ask
  cargo xtask setup --dry-run  only shows them
  cargo xtask setup --conformance   and Go, for `cargo xtask conformance`

Knows the packages of Debian 12, Debian 13 and Ubuntu 24.04. On any other system it prints the list of
missing tools and ends with 1.")]
pub struct Args {
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// Show the commands, run none.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Provide Go, too: the distribution's, which fetches a newer one into the store where it is too old.
    #[arg(long)]
    conformance: bool,
}

/// What to do with the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consent {
    /// Run it.
    Given,
    /// Ask when there is a terminal to ask on; without one the command line is the consent.
    Ask,
    /// Only show it.
    ShowOnly,
}

/// Runs the verb.
///
/// # Errors
/// As [`install`].
pub fn run(args: &Args) -> Result<Exit> {
    let consent = match (args.dry_run, args.yes) {
        (true, _) => Consent::ShowOnly,
        (_, true) => Consent::Given,
        _ => Consent::Ask,
    };
    install(consent)?;
    if args.conformance {
        go::provide(consent)?;
    }
    Ok(Exit::Done)
}

/// Installs what is missing without a question, for `--install-deps` of other verbs. Starts nothing when
/// nothing is missing.
///
/// # Errors
/// As [`install`].
pub fn ensure() -> Result<()> {
    install(Consent::Given)
}

/// Installs what is missing; starts nothing when nothing is.
///
/// # Errors
/// An unknown distribution, a command that failed, or a tool that is still missing afterwards.
fn install(consent: Consent) -> Result<()> {
    let machine = Machine::here();
    let findings = machine.look();
    let rust = rust_board_target();
    let lacks_tools = findings.iter().any(|f| f.result.is_err());
    if !lacks_tools && rust.is_ok() {
        eprintln!("setup: nothing is missing");
        return Ok(());
    }
    let distro = Distro::here();
    let rustup = machine.program("rustup").is_some();
    let steps = plan(&machine, &findings, rust.is_ok(), rustup, distro)?;
    let sudo = Sudo::here(&machine);
    for step in &steps {
        println!("{}", step.display(sudo));
    }
    match consent {
        Consent::ShowOnly => return Ok(()),
        Consent::Ask if std::io::stdin().is_terminal() && !confirmed()? => {
            return Err(Failure::new("nothing was installed").why("the question was not answered with `y`"));
        }
        Consent::Ask | Consent::Given => {}
    }
    if sudo == Sudo::Absent && steps.iter().any(Step::needs_root) {
        return Err(Failure::new("cannot install packages")
            .why("you are not root, and there is no `sudo`")
            .hint("run the commands above as root"));
    }
    for step in &steps {
        if let Err(failure) = step.run(sudo) {
            let Some(instead) = step.instead(&machine, distro) else { return Err(failure) };
            eprintln!("{failure}");
            eprintln!("setup: taking the distribution's packages instead");
            for step in &instead {
                println!("{}", step.display(sudo));
                step.run(sudo)?;
            }
        }
    }
    verify(&machine)
}

/// Looks again: apt may have had nothing to do with what a probe did not find.
fn verify(machine: &Machine) -> Result<()> {
    let still: Vec<Finding> = machine.look().into_iter().filter(|f| f.result.is_err()).collect();
    if !still.is_empty() {
        return Err(still.iter().fold(Failure::new("tools are still missing"), |failure, finding| {
            let why = finding.result.as_ref().err().map_or("", String::as_str);
            failure.why(format!("{}: {why}", finding.tool.name))
        }));
    }
    rust_board_target().context("tools are still missing")?;
    eprintln!("setup: everything is there");
    Ok(())
}

fn confirmed() -> Result<bool> {
    eprint!("run these commands? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// How packages are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sudo {
    /// We are root.
    NotNeeded,
    /// By sudo.
    Present,
    /// Not at all.
    Absent,
}

impl Sudo {
    fn here(machine: &Machine) -> Sudo {
        if rustix::process::geteuid().is_root() {
            Sudo::NotNeeded
        } else if machine.program("sudo").is_some() {
            Sudo::Present
        } else {
            Sudo::Absent
        }
    }
}

/// One command of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// `dpkg --add-architecture`.
    AddArchitecture(&'static str),
    /// `apt-get update`.
    Update,
    /// `apt-get install`, repeated after an update when the lists turn out to be stale.
    Install(Install),
    /// `rustup target add`.
    RustupTarget,
}

impl Step {
    fn needs_root(&self) -> bool {
        *self != Step::RustupTarget
    }

    fn words(&self) -> Vec<String> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        match self {
            Step::AddArchitecture(arch) => words(&format!("dpkg --add-architecture {arch}")),
            Step::Update => words("apt-get update"),
            Step::Install(install) => [words("apt-get"), install.args()].concat(),
            Step::RustupTarget => words(&format!("rustup target add {MUSL}")),
        }
    }

    /// The command line with what makes it root and keeps it from asking questions.
    fn full_words(&self, sudo: Sudo) -> Vec<String> {
        if !self.needs_root() {
            return self.words();
        }
        let mut words = Vec::new();
        if sudo != Sudo::NotNeeded {
            words.push("sudo".to_owned());
        }
        // `env` because sudo drops variables that are merely set.
        words.extend(["env".to_owned(), "DEBIAN_FRONTEND=noninteractive".to_owned()]);
        words.extend(self.words());
        words
    }

    fn display(&self, sudo: Sudo) -> String {
        self.full_words(sudo).join(" ")
    }

    fn run(&self, sudo: Sudo) -> Result<()> {
        let words = self.full_words(sudo);
        let once = || {
            Cmd::with_callers_env(&words[0])
                .args(&words[1..])
                .spawn(Stdio::inherit(), Stdio::from(std::io::stderr()), Stdio::inherit())?
                .finish()
        };
        match (self, once()) {
            (Step::Install(_), Err(first)) => {
                eprintln!("{first}");
                eprintln!("setup: the package lists may be old, trying once more after an update");
                Step::Update.run(sudo)?;
                once()
            }
            (_, result) => result,
        }
    }

    /// The other way to the same end, for a step that may fail for lack of a network route.
    fn instead(&self, machine: &Machine, distro: Option<Distro>) -> Option<Vec<Step>> {
        match (self, distro) {
            (Step::RustupTarget, Some(distro)) => debian_rust(machine, distro),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

/// Debian 12's own route to static programs for the board; no other release of [`Distro`] has a Rust that is
/// new enough in its plain suites.
fn debian_rust(machine: &Machine, distro: Distro) -> Option<Vec<Step>> {
    if distro != Distro::Debian12 {
        return None;
    }
    let native = machine.arch == "aarch64";
    let packages = DEBIAN12_PACKAGES
        .iter()
        .map(|p| if native { p.trim_end_matches(":arm64") } else { p }.to_owned())
        .collect();
    let mut steps = Vec::new();
    if !native {
        steps.extend([Step::AddArchitecture("arm64"), Step::Update]);
    }
    steps.push(Step::Install(Install { suite: None, packages }));
    Some(steps)
}

fn plan(
    machine: &Machine,
    findings: &[Finding],
    has_rust: bool,
    has_rustup: bool,
    distro: Option<Distro>,
) -> Result<Vec<Step>> {
    let missing: Vec<&Finding> = findings.iter().filter(|f| f.result.is_err()).collect();
    let mut steps = Vec::new();
    if !missing.is_empty() {
        let Some(distro) = distro else { return Err(unknown_distro(&missing)) };
        let installs = apt::plan(findings, &[], distro, &Installed::here());
        let packages: Vec<String> = installs.iter().flat_map(|i| i.packages.clone()).collect();
        if !apt::without_candidate(&packages).is_empty() {
            steps.push(Step::Update);
        }
        steps.extend(installs.into_iter().map(Step::Install));
    }
    if !has_rust {
        let debian = distro.and_then(|d| debian_rust(machine, d));
        match (has_rustup, debian) {
            (true, _) => steps.push(Step::RustupTarget),
            (false, Some(debian)) => steps.extend(debian),
            (false, None) => {
                return Err(Failure::new("cannot install a Rust target for the board")
                    .why("there is no `rustup`, and this distribution's own Rust is too old")
                    .hint(format!("install rustup, then `rustup target add {MUSL}`")));
            }
        }
    }
    Ok(steps)
}

fn unknown_distro(missing: &[&Finding]) -> Failure {
    let failure = Failure::new("this distribution is not known, so nothing was installed");
    missing
        .iter()
        .fold(failure, |failure, Finding { tool, .. }| {
            failure.why(format!("{:22} {} (on Debian: {})", tool.name, tool.purpose, tool.packages.join(" ")))
        })
        .hint("install these by hand, then `cargo xtask doctor` looks again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tools::TOOLS;

    fn machine(arch: &str) -> Machine {
        Machine { program_dirs: Vec::new(), root: "/".into(), arch: arch.into() }
    }

    fn all(found: bool) -> Vec<Finding> {
        let result = if found { Ok("/x".into()) } else { Err("gone".to_owned()) };
        TOOLS.iter().map(|tool| Finding { tool, result: result.clone() }).collect()
    }

    #[test]
    fn root_needs_no_sudo() {
        let step = Step::Update;
        assert_eq!(step.display(Sudo::NotNeeded), "env DEBIAN_FRONTEND=noninteractive apt-get update");
        assert_eq!(step.display(Sudo::Present), "sudo env DEBIAN_FRONTEND=noninteractive apt-get update");
        assert_eq!(Step::RustupTarget.display(Sudo::Present), "rustup target add aarch64-unknown-linux-musl");
    }

    #[test]
    fn an_unknown_distribution_gets_the_list() {
        let text = plan(&machine("x86_64"), &all(false), true, true, None).expect_err("unknown").to_string();
        assert!(
            text.contains("is not known") && text.contains("mkfs.xfs") && text.contains("xfsprogs"),
            "{text}"
        );
        // Only a missing Rust target needs no distribution.
        let steps = plan(&machine("x86_64"), &all(true), false, true, None).expect("rustup does it");
        assert_eq!(steps, [Step::RustupTarget]);
    }

    #[test]
    fn without_rustup_debian_12_has_its_own() {
        let steps = |arch: &str, distro| plan(&machine(arch), &all(true), false, false, Some(distro));
        let text: Vec<String> =
            steps("x86_64", Distro::Debian12).expect("a way").iter().map(ToString::to_string).collect();
        assert_eq!(text[..2], ["dpkg --add-architecture arm64", "apt-get update"]);
        assert!(text[2].ends_with("cargo-web libstd-rust-web-dev:arm64 rustc-web"), "{text:?}");
        let native = steps("aarch64", Distro::Debian12).expect("a way");
        assert_eq!(native.len(), 1);
        assert!(native[0].to_string().ends_with("cargo-web libstd-rust-web-dev rustc-web"));
        assert!(steps("x86_64", Distro::Ubuntu2404).is_err());
    }

    #[test]
    fn a_failed_rustup_falls_back_on_debian_12_only() {
        let m = machine("x86_64");
        assert_eq!(Step::RustupTarget.instead(&m, Some(Distro::Debian12)).map(|s| s.len()), Some(3));
        assert_eq!(Step::RustupTarget.instead(&m, Some(Distro::Ubuntu2404)), None);
        assert_eq!(Step::Update.instead(&m, Some(Distro::Debian12)), None);
    }
}
