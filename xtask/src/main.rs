// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Parses the command line, runs the verb, and turns a failure into text and an exit code.

#[cfg(target_os = "linux")]
mod builds;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use xtask::exit::Exit;
use xtask::talk::Volume;
use xtask::{
    completions, diagnose, flash, inspect, interrupt, machine_config, monitor, recover, simulate, talk,
    verify,
};

/// Builds, checks and rehearses the Talos Linux image for the NanoPi M6.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 an image exists but must not be flashed, 130 interrupted,
141 whoever read the output went away.
Variables: FW_STORE, FW_MIRROR, FW_OFFLINE, FW_BUILD, FW_DEBIAN_MIRROR, FW_KEYS, FW_KEEP_WORK (see docs/variables.md)."
)]
struct Cli {
    /// No progress; results, notes, warnings and errors only.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Every command and its output as they come, what the store has and what is built, and progress as lines.
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    verb: Verb,
}

impl Cli {
    /// Both at once is a mistake. clap sees such a conflict only where both stand on the same side of the verb.
    fn volume(&self) -> Result<Volume, clap::Error> {
        match (self.quiet, self.verbose) {
            (true, true) => Err(Cli::command().error(
                clap::error::ErrorKind::ArgumentConflict,
                "the argument '--quiet' cannot be used with '--verbose'",
            )),
            (true, false) => Ok(Volume::Quiet),
            (false, true) => Ok(Volume::Verbose),
            (false, false) => Ok(Volume::Normal),
        }
    }
}

#[derive(Subcommand)]
enum Verb {
    #[cfg(target_os = "linux")]
    #[command(flatten)]
    Build(builds::Verb),
    /// Execute the image on a model of the SoC, from the boot ROM to the kernel.
    Simulate(simulate::Args),
    /// Write the image to a card, and read it back.
    Flash(flash::Args),
    /// Say what an image or a medium holds and what is wrong with it.
    Inspect(inspect::Args),
    /// Show the board's serial console, its stages, and what is wrong when it stalls.
    Monitor(monitor::Args),
    /// Say from a console log how far a boot got and why it ended there.
    Diagnose(diagnose::Args),
    /// Read, save, write and start a board in MaskROM mode over USB.
    Recover(recover::Args),
    /// Write patches of Talos machine configurations for this board.
    MachineConfig(machine_config::Args),
    /// Check a finished thing without running it.
    Verify(verify::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
    /// Write manual pages.
    Man(completions::ManArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    talk::set_volume(cli.volume().unwrap_or_else(|e| e.exit()));
    let verb = cli.verb;
    talk::end_with_the_reader();
    let result = interrupt::install().and_then(|()| match &verb {
        #[cfg(target_os = "linux")]
        Verb::Build(verb) => verb.run(),
        Verb::Simulate(args) => simulate::run(args),
        Verb::Flash(args) => flash::run(args),
        Verb::Inspect(args) => inspect::run(args),
        Verb::Monitor(args) => monitor::run(args),
        Verb::Diagnose(args) => diagnose::run(args),
        Verb::Recover(args) => recover::run(args),
        Verb::MachineConfig(args) => machine_config::run(args),
        Verb::Verify(args) => verify::run(args),
        Verb::Completions(args) => completions::run(args, &mut Cli::command()),
        Verb::Man(args) => completions::man(args, &Cli::command()),
    });
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            talk::end_if_reader_gone(&failure);
            eprintln!("error: {failure}");
            Exit::Failed.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a verb's help lacks.
    fn complaints(verb: &clap::Command) -> Vec<String> {
        let name = verb.get_name();
        let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut complaints = Vec::new();
        if !after.contains("Examples:") || !after.contains(&format!("cargo xtask {name}")) {
            complaints.push(format!("`{name}` has no examples"));
        }
        if verb.get_about().is_none() {
            complaints.push(format!("`{name}` does not say what it is for"));
        }
        let unexplained = verb.get_arguments().filter(|a| a.get_help().is_none() && !a.is_hide_set());
        complaints.extend(unexplained.map(|a| format!("`{name}`: no word about `{}`", a.get_id())));
        complaints
    }

    #[test]
    fn every_verb_has_examples_and_every_argument_a_word() {
        let command = Cli::command();
        let verbs = command.get_subcommands();
        assert_eq!(verbs.flat_map(complaints).collect::<Vec<_>>(), Vec::<String>::new());
        let poor = clap::Command::new("poor").arg(clap::Arg::new("x"));
        assert_eq!(complaints(&poor).len(), 3, "the check can fail");
    }

    #[test]
    fn the_command_line_is_sound_and_a_mistyped_verb_gets_a_suggestion() {
        Cli::command().debug_assert();
        let Err(error) = Cli::try_parse_from(["xtask", "flsh"]) else { panic!("no such verb") };
        assert!(error.to_string().contains("flash"), "{error}");
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()));
    }

    #[test]
    fn every_verb_can_be_quiet_or_verbose_and_not_both() {
        let volume =
            |args: &[&str]| Cli::try_parse_from(args).and_then(|cli| cli.volume()).map_err(|e| e.kind());
        assert_eq!(volume(&["xtask", "doctor"]), Ok(Volume::Normal));
        for args in [&["xtask", "-v", "doctor"][..], &["xtask", "flash", "--list", "--verbose"]] {
            assert_eq!(volume(args), Ok(Volume::Verbose), "{args:?}");
        }
        assert_eq!(volume(&["xtask", "inspect", "x", "-q"]), Ok(Volume::Quiet));
        for both in [
            &["xtask", "-q", "doctor", "-v"][..],
            &["xtask", "-v", "doctor", "-q"],
            &["xtask", "doctor", "-qv"],
        ] {
            assert_eq!(volume(both), Err(clap::error::ErrorKind::ArgumentConflict), "{both:?}");
        }
        let mut command = Cli::command();
        command.build();
        for verb in command.get_subcommands().filter(|v| v.get_name() != "help") {
            let has = |id: &str| verb.get_arguments().any(|a| a.get_id() == id);
            assert!(has("verbose") && has("quiet"), "{}", verb.get_name());
        }
    }

    #[test]
    fn every_verb_is_completed_and_has_a_page() {
        let mut command = Cli::command();
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "xtask", &mut script);
            let script = String::from_utf8(script).expect("text");
            for verb in Cli::command().get_subcommands() {
                assert!(script.contains(verb.get_name()), "{shell}: {}", verb.get_name());
            }
        }
    }
}
