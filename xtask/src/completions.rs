// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask completions SHELL` and `cargo xtask man DIR`: both made from the command line's own description, so
//! they cannot say anything else than `--help` does.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Command};
use clap_complete::Shell;
use fw_build::Result;

use crate::exit::Exit;

/// What the program is called in scripts: `cargo xtask` itself is completed by cargo's own script, which knows no
/// verbs of ours.
const PROGRAM: &str = "xtask";

/// Prints a completion script.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask completions bash > ~/.local/share/bash-completion/completions/xtask
  cargo xtask completions zsh > ~/.zfunc/_xtask
  cargo xtask completions fish > ~/.config/fish/completions/xtask.fish

They complete `xtask`, the program that `cargo xtask` runs; `alias xtask='cargo xtask'` gives it that name.")]
pub struct Args {
    /// Shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Writes manual pages.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask man ~/.local/share/man/man1
  man -l out/man/xtask-flash.1")]
pub struct ManArgs {
    /// Folder, made when it does not exist; one page per verb.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs `completions` for this command line.
///
/// # Errors
/// None.
pub fn run(args: &Args, command: &mut Command) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, PROGRAM, &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(Exit::Done)
}

/// Runs `man` for this command line.
///
/// # Errors
/// The folder cannot be written.
pub fn man(args: &ManArgs, command: &Command) -> Result<Exit> {
    fs_err::create_dir_all(&args.dir)?;
    let mut pages = vec![(PROGRAM.to_owned(), command.clone())];
    while let Some((name, command)) = pages.pop() {
        for verb in command.get_subcommands().filter(|c| c.get_name() != "help") {
            pages.push((format!("{name}-{}", verb.get_name()), verb.clone()));
        }
        let mut page = Vec::new();
        let typed = name.replacen('-', " ", 1);
        clap_mangen::Man::new(command.display_name(name.clone()).bin_name(format!("cargo {typed}")))
            .render(&mut page)?;
        fs_err::write(args.dir.join(format!("{name}.1")), page)?;
    }
    Ok(Exit::Done)
}
