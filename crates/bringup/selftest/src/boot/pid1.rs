// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `/sbin/init` of the real root: mounts, runs the self-test, prints it on every console, acts.

use std::fs::{File, create_dir_all, read_to_string};
use std::io;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};
use rustix::system::{RebootCommand, reboot};

use super::action::Action;
use super::console::{Consoles, Quiet};
use super::give_up;
use crate::checks;
use crate::led::{Led, Pattern, Show};
use crate::machine::Machine;
use crate::publish::{self, Document};
use crate::report::Report;
use crate::sys::{Kernel, open_existing, watchdog};

/// What the self-test and a shell need besides `/dev`, `/proc` and `/sys`. A read-only root has these folders.
const NEEDED: [(&str, &str); 2] = [("tmpfs", "/run"), ("tmpfs", "/tmp")];
/// What only adds detail: debugfs tells the mode of a memory card's bus, devpts serves terminals.
const USEFUL: [(&str, &str); 2] = [("debugfs", "/sys/kernel/debug"), ("devpts", "/dev/pts")];

/// Seconds asked of the watchdog; hardware may round up.
const WATCHDOG_S: i32 = 5;
/// Waiting time past the watchdog's timeout before it counts as dead.
const WATCHDOG_GRACE_S: u64 = 30;
/// A shell that ends at once must not spin.
const RESPAWN_PAUSE: Duration = Duration::from_secs(1);

/// Runs the self-test; never returns on a working machine.
pub fn main() -> ExitCode {
    if let Err(reason) = prepare() {
        return give_up(&reason);
    }
    let mut consoles = Consoles::open("/sys/class/tty/console/active");
    // It blinks until the machine ends, or the kernel has it back before the watchdog is left to bite.
    let led = report(&mut consoles);
    let command_line = read_to_string("/proc/cmdline").unwrap_or_default();
    // An unknown value has failed the `cmdline` check already.
    let code = act(Action::from_command_line(&command_line).unwrap_or(Action::Shell), &mut consoles);
    drop(led);
    code
}

fn prepare() -> Result<(), String> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    for (kind, target) in NEEDED {
        mount(kind, target, kind, flags, Some(c"mode=0755"))
            .map_err(|e| format!("mounting {kind} on `{target}`: {}", io::Error::from(e)))?;
    }
    for (kind, target) in USEFUL {
        // Missing in a kernel without the option; the checks say what they could not see.
        let _ = create_dir_all(target);
        let _ = mount(kind, target, kind, MountFlags::NOSUID | MountFlags::NOEXEC, None);
    }
    Ok(())
}

/// Runs the self-test, prints it and publishes it; the LED goes on showing what it came to.
fn report(consoles: &mut Consoles) -> Option<Show> {
    let _quiet = Quiet::start();
    let kernel = Kernel::new();
    let machine = Machine::new("/", &kernel);
    let mut print = |line: &str| consoles.line(line);
    let mut report = Report::new(&mut print);
    let led = led(&machine, &mut report);
    // Early: addresses are there when the report is. What goes wrong shows in the lines about the network.
    let _ = publish::hand_over(&Document::running(&machine));
    let _ = publish::supervise::start();
    checks::run(&machine, &mut report);
    publish::publish(&machine, &mut report);
    let tally = report.finish();
    // With the lines that publishing added.
    let _ = publish::hand_over(&Document::finished(&machine, &report));
    if let Some(led) = &led {
        led.change(if tally.fail == 0 { Pattern::Passed } else { Pattern::Failed });
    }
    drop(report);
    consoles.drain();
    led
}

/// Takes the LED over, if the machine has one.
fn led(machine: &Machine<'_>, report: &mut Report<'_>) -> Option<Show> {
    let Some(led) = Led::find(machine) else {
        report.skip("led", "none with the trigger `heartbeat`");
        return None;
    };
    let name = led.name.clone();
    match Show::start(led, Pattern::Running) {
        Ok(show) => {
            report.pass("led", format!("`{name}` shows the self-test: {}", Pattern::Running.text()));
            Some(show)
        }
        Err(e) => {
            report.fail("led", format!("`{name}`: {e}"));
            None
        }
    }
}

fn act(action: Action, consoles: &mut Consoles) -> ExitCode {
    let end = |consoles: &mut Consoles, text: &str, command: RebootCommand| {
        consoles.line(text);
        consoles.drain();
        rustix::fs::sync();
        match reboot(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => give_up(&format!("{text}: {}", io::Error::from(e))),
        }
    };
    match action {
        Action::Reboot => return end(consoles, "selftest: restarting", RebootCommand::Restart),
        Action::PowerOff => return end(consoles, "selftest: powering off", RebootCommand::PowerOff),
        Action::Watchdog => starve_watchdog(consoles),
        Action::Shell => {}
    }
    shells(consoles)
}

/// Starts the watchdog and waits for its bite; returns when none came.
fn starve_watchdog(consoles: &mut Consoles) {
    match watchdog::arm("/dev/watchdog0".as_ref(), WATCHDOG_S) {
        Err(e) => consoles.line(&format!("selftest: watchdog cannot be armed: {}", io::Error::from(e))),
        Ok(armed) => {
            let timeout_s = armed.timeout_s;
            consoles.line(&format!("selftest: watchdog armed, must reset this machine in {timeout_s} s"));
            let wait_s = u64::from(timeout_s.unsigned_abs()) + WATCHDOG_GRACE_S;
            thread::sleep(Duration::from_secs(wait_s));
            consoles.line(&format!("selftest: watchdog did not reset this machine in {wait_s} s"));
        }
    }
}

/// Keeps a shell on every console and collects orphans, for ever.
fn shells(consoles: &mut Consoles) -> ! {
    consoles
        .line("selftest: a shell follows; `selftest` repeats the report, `reboot -f` and `poweroff -f` end");
    let paths: Vec<String> = consoles.paths().into_iter().map(shell_terminal).collect();
    let mut running: Vec<Option<Child>> = paths.iter().map(|p| shell(p).ok()).collect();
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, _))) => {
                let ended = |c: &Option<Child>| {
                    c.as_ref().is_some_and(|c| c.id() == pid.as_raw_nonzero().get().cast_unsigned())
                };
                if let Some(at) = running.iter().position(ended) {
                    thread::sleep(RESPAWN_PAUSE);
                    running[at] = shell(&paths[at]).ok();
                }
            }
            // No children (a root without a shell): stay, the first process must not end.
            _ => thread::sleep(RESPAWN_PAUSE),
        }
    }
}

/// `tty0` is whichever virtual terminal is shown and cannot be a controlling one; the first is `tty1`.
fn shell_terminal(console: &str) -> String {
    if console == "/dev/tty0" { "/dev/tty1".into() } else { console.to_owned() }
}

/// A login shell with the terminal as its controlling one (`setsid -c`), so that Ctrl-C works.
fn shell(terminal: &str) -> io::Result<Child> {
    let open = || -> io::Result<File> { Ok(open_existing(terminal.as_ref(), OFlags::RDWR)?.into()) };
    Command::new("/bin/setsid")
        .args(["-c", "/bin/sh", "-l"])
        .env_clear()
        .envs([("PATH", "/usr/sbin:/usr/bin"), ("HOME", "/root"), ("TERM", "linux"), ("PS1", "bringup# ")])
        .current_dir("/root")
        .stdin(Stdio::from(open()?))
        .stdout(Stdio::from(open()?))
        .stderr(Stdio::from(open()?))
        .spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_never_takes_the_alias_of_the_shown_terminal() {
        assert_eq!(shell_terminal("/dev/tty0"), "/dev/tty1");
        assert_eq!(shell_terminal("/dev/ttyS2"), "/dev/ttyS2");
    }
}
