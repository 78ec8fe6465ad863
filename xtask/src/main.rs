// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Parses the command line, runs the verb, and turns a failure into text and an exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::exit::Exit;
use xtask::{
    bump, conformance, diagnose, doctor, dt, fetch, flash, image, inspect, interrupt, kconfig,
    machine_config, overlay, qemu, setup, sign, simulate, test, verify, why,
};

/// Builds, checks and rehearses the Talos Linux image for the NanoPi M6.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 an image exists but must not be flashed.
Variables: FW_STORE, FW_MIRROR, FW_OFFLINE, FW_BUILD, FW_DEBIAN_MIRROR, FW_KEYS, FW_KEEP_WORK (see docs/variables.md).")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the disk image.
    Image(image::Args),
    /// Boot the image file in QEMU and judge what comes up.
    Qemu(qemu::Args),
    /// Execute the image on a model of the SoC, from the boot ROM to the kernel.
    Simulate(simulate::Args),
    /// Write the image to a card, and read it back.
    Flash(flash::Args),
    /// Say what an image or a medium holds and what is wrong with it.
    Inspect(inspect::Args),
    /// Say from a console log how far a boot got and why it ended there.
    Diagnose(diagnose::Args),
    /// Write patches of Talos machine configurations for this board.
    MachineConfig(machine_config::Args),
    /// List what the host lacks.
    Doctor(doctor::Args),
    /// Install what the host lacks.
    Setup(setup::Args),
    /// Check the device tree.
    Dt(dt::Args),
    /// Fill the store with all sources.
    Fetch(fetch::Args),
    /// Sign modules again, or modules from elsewhere.
    Sign(sign::Args),
    /// Check a finished thing without running it.
    Verify(verify::Args),
    /// Make the Talos overlay: U-Boot, device tree, installer and profile, as a container image.
    Overlay(overlay::Args),
    /// Say what a stage's key is made of and what changed.
    Why(why::Args),
    /// Check and compare kernel configurations without building a kernel.
    Kconfig(kconfig::Args),
    /// Check image and overlay with Talos's own Go packages.
    Conformance(conformance::Args),
    /// Pin another version of a source.
    Bump(bump::Args),
    /// Run the tests and count them.
    Test(test::Args),
}

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let result = interrupt::install().and_then(|()| match &verb {
        Verb::Image(args) => image::run(args),
        Verb::Qemu(args) => qemu::run(args),
        Verb::Simulate(args) => simulate::run(args),
        Verb::Flash(args) => flash::run(args),
        Verb::Inspect(args) => inspect::run(args),
        Verb::Diagnose(args) => diagnose::run(args),
        Verb::MachineConfig(args) => machine_config::run(args),
        Verb::Doctor(args) => doctor::run(args),
        Verb::Setup(args) => setup::run(args),
        Verb::Dt(args) => dt::run(args),
        Verb::Fetch(args) => fetch::run(args),
        Verb::Sign(args) => sign::run(args),
        Verb::Verify(args) => verify::run(args),
        Verb::Overlay(args) => overlay::run(args),
        Verb::Why(args) => why::run(args),
        Verb::Kconfig(args) => kconfig::run(args),
        Verb::Conformance(args) => conformance::run(args),
        Verb::Bump(args) => bump::run(args),
        Verb::Test(args) => test::run(args),
    });
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            Exit::Failed.into()
        }
    }
}
