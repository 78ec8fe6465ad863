// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The verbs that build something, or look at what a build is made of: Linux only.

use clap::Subcommand;
use fw_build::Result;
use xtask::exit::Exit;
use xtask::{
    bump, conformance, doctor, dt, fetch, image, installer, kconfig, overlay, qemu, setup, sign, store, test,
    why,
};

#[derive(Subcommand)]
pub enum Verb {
    /// Build the disk image.
    Image(image::Args),
    /// Boot the image file in QEMU and judge what comes up.
    Qemu(qemu::Args),
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
    /// Make the installer image for upgrades of nodes.
    Installer(installer::Args),
    /// Make the Talos overlay: U-Boot, device tree, installer and profile, as a container image.
    Overlay(overlay::Args),
    /// Say what a stage's key is made of and what changed.
    Why(why::Args),
    /// Say what the store holds, or make room in it.
    Store(store::Args),
    /// Check and compare kernel configurations without building a kernel.
    Kconfig(kconfig::Args),
    /// Check image and overlay with Talos's own Go packages.
    Conformance(conformance::Args),
    /// Pin another version of a source.
    Bump(bump::Args),
    /// Run the tests and count them.
    Test(test::Args),
}

impl Verb {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit> {
        match self {
            Verb::Image(args) => image::run(args),
            Verb::Qemu(args) => qemu::run(args),
            Verb::Doctor(args) => doctor::run(args),
            Verb::Setup(args) => setup::run(args),
            Verb::Dt(args) => dt::run(args),
            Verb::Fetch(args) => fetch::run(args),
            Verb::Sign(args) => sign::run(args),
            Verb::Installer(args) => installer::run(args),
            Verb::Overlay(args) => overlay::run(args),
            Verb::Why(args) => why::run(args),
            Verb::Store(args) => store::run(args),
            Verb::Kconfig(args) => kconfig::run(args),
            Verb::Conformance(args) => conformance::run(args),
            Verb::Bump(args) => bump::run(args),
            Verb::Test(args) => test::run(args),
        }
    }
}
