// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The two inits: `/init` of the initramfs and `/sbin/init` of the real root.

pub mod action;
pub mod console;
pub mod initramfs;
pub mod pid1;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use rustix::system::{RebootCommand, reboot};

use console::Consoles;

/// How long a message that ends the boot stays on the screen: what Talos's init waits too.
const FAILURE_TIME: Duration = Duration::from_secs(10);

/// Says why the boot cannot go on, then restarts. The first process must never end: the kernel would stop with a
/// panic that hides the reason.
fn give_up(reason: &str) -> ExitCode {
    let mut consoles = Consoles::open("/sys/class/tty/console/active");
    consoles.line(&format!("BRINGUP boot fail {reason}"));
    consoles.line(&format!("selftest: restarting in {} s", FAILURE_TIME.as_secs()));
    consoles.drain();
    thread::sleep(FAILURE_TIME);
    rustix::fs::sync();
    // Nothing is left to do when even this fails; the kernel then tells that init ended.
    let _ = reboot(RebootCommand::Restart);
    ExitCode::FAILURE
}
