// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Chooses the role; the work is in the library.

use std::process::ExitCode;

use bringup_selftest::machine::Machine;
use bringup_selftest::report::Report;
use bringup_selftest::role::{self, Role};
use bringup_selftest::{boot, checks, features, publish, sys};

fn main() -> ExitCode {
    let mut args = std::env::args();
    let program = args.next().unwrap_or_default();
    let (first, second) = (args.next(), args.next());
    let Some(role) = role::of(&program, first.as_deref(), second.as_deref()) else {
        eprintln!(
            "selftest: unknown argument `{}`\nhint: run `selftest` for the report",
            first.unwrap_or_default()
        );
        return ExitCode::from(2);
    };
    // Both inits mount over the running system's folders; only the kernel may start them.
    if matches!(role, Role::InitramfsInit | Role::RootInit) && !rustix::process::getpid().is_init() {
        eprintln!(
            "selftest: `{program}` is for the kernel to start as process 1\nhint: run `selftest` for the report"
        );
        return ExitCode::from(2);
    }
    match role {
        Role::InitramfsInit => boot::initramfs::main(),
        Role::RootInit => boot::pid1::main(),
        Role::Report => report(),
        Role::Feature(topic) => feature(&topic),
        Role::Serve => publish::service::main(),
    }
}

/// The report on standard output; exit status 0 only without a failed check.
fn report() -> ExitCode {
    let kernel = sys::Kernel::new();
    let machine = Machine::new("/", &kernel);
    let mut print = |line: &str| println!("{line}");
    let mut report = Report::new(&mut print);
    checks::run(&machine, &mut report);
    if report.finish().fail == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One topic's lines on standard output; the caller reads them.
fn feature(topic: &str) -> ExitCode {
    match features::run(topic, &mut |line| println!("{line}")) {
        Some(()) => ExitCode::SUCCESS,
        None => {
            eprintln!("selftest: unknown topic `{topic}`");
            ExitCode::from(2)
        }
    }
}
