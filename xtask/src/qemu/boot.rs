// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One boot: starts QEMU, reads its console, and ends it when the judge has decided.

use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use fw_build::Result;
use fw_build::run::{Cmd, Running};

use super::judge::{End, Judge, Verdict};
use super::machine::Console;
use crate::console::Lines;

/// Our QEMU; ended with us, whichever way we go.
pub(super) struct Guest(pub(super) Running);

impl Drop for Guest {
    fn drop(&mut self) {
        // SIGTERM would let QEMU tidy its files; they are removed anyway.
        let _ = self.0.child.kill();
        let _ = self.0.child.wait();
    }
}

/// Runs `qemu`, shows the console, and judges it; `then` looks at a machine that passed and still runs. With
/// [`Console::Terminal`] the machine runs on after the judgement until the user ends it.
///
/// # Errors
/// QEMU cannot be started, the judge's failure, or that of `then`.
pub fn run(
    qemu: &Cmd,
    console: Console,
    limit: Duration,
    judge: &mut Judge<'_>,
    then: impl FnOnce(&Judge<'_>) -> Result<()>,
) -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    // QEMU's own complaints land among the console lines, where a failure quotes them.
    let (stdout, stderr) = (Stdio::from(writer.try_clone()?), Stdio::from(writer));
    let stdin = match console {
        Console::Piped => Stdio::null(),
        Console::Terminal => Stdio::inherit(),
    };
    let mut guest = Guest(qemu.spawn(stdin, stdout, stderr)?);
    let bytes = read_in_background(reader);
    let verdict = match watch(&mut guest, &bytes, console, limit, judge)? {
        Verdict::Failed(failure) => Verdict::Failed(failure),
        passed if guest.0.child.try_wait()?.is_some() => passed,
        passed => then(judge).map_or_else(Verdict::Failed, |()| passed),
    };
    if console == Console::Terminal && guest.0.child.try_wait()?.is_none() {
        match &verdict {
            Verdict::Failed(failure) => eprintln!("\r\nrehearsal: {}\r", failure.what()),
            _ => eprintln!("\r\nrehearsal: passed\r"),
        }
        eprintln!("rehearsal: the machine stays; Ctrl-A X ends it\r");
        for chunk in bytes {
            show(&chunk)?;
        }
    }
    match verdict {
        Verdict::Failed(failure) => Err(failure),
        Verdict::Passed | Verdict::Open => Ok(()),
    }
}

fn watch(
    guest: &mut Guest,
    bytes: &Receiver<Vec<u8>>,
    console: Console,
    limit: Duration,
    judge: &mut Judge<'_>,
) -> Result<Verdict> {
    let deadline = Instant::now() + limit;
    let mut lines = Lines::default();
    loop {
        let chunk = match bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(chunk) => chunk,
            Err(reason) => {
                // What hangs is often a prompt, which is a line without an end.
                if let Some(rest) = lines.rest() {
                    judge.line(&rest);
                }
                return Ok(judge.end(match reason {
                    RecvTimeoutError::Timeout => End::TimedOut(limit),
                    RecvTimeoutError::Disconnected => match guest.0.child.wait()?.code() {
                        Some(0) => End::Off,
                        status => End::Status(status),
                    },
                }));
            }
        };
        if console == Console::Terminal {
            show(&chunk)?;
        }
        for line in lines.feed(&chunk) {
            if console == Console::Piped {
                println!("{line}");
            }
            match judge.line(&line) {
                Verdict::Open => {}
                decided => return Ok(decided),
            }
        }
    }
}

fn show(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}

pub(super) fn read_in_background(mut reader: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        // A read error is the end, as is nobody listening any more.
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::expect::{Expectation, Mode};

    const GOOD: &str = "echo 'U-Boot 2025.01'; echo 'Welcome to GRUB!'; \
                        echo 'Linux version 6.0-x '; echo 'BRINGUP RESULT pass=0 fail=0 skip=0'";

    fn boot(mode: Mode, script: &str, limit: Duration) -> (Result<()>, Duration) {
        let expected = Expectation::default();
        let mut judge = Judge::new(mode, "6.0-x", &expected);
        let start = Instant::now();
        let command = Cmd::new("sh").args(["-c", script]);
        let result = run(&command, Console::Piped, limit, &mut judge, |_| Ok(()));
        (result, start.elapsed())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_machine_that_stays_is_ended_once_it_passed() {
        let (result, time) = boot(Mode::Report, &format!("{GOOD}; exec sleep 50"), LONG);
        result.expect("passes");
        assert!(time < Duration::from_secs(30), "{time:?}");
    }

    #[test]
    fn must_fail_what_is_found_on_a_machine_that_passed() {
        let expected = Expectation::default();
        let mut judge = Judge::new(Mode::Report, "6.0-x", &expected);
        let command = Cmd::new("sh").args(["-c", &format!("{GOOD}; exec sleep 50")]);
        let then = |_: &Judge<'_>| Err(fw_build::Failure::new("no report"));
        let failed = run(&command, Console::Piped, LONG, &mut judge, then).expect_err("refused");
        assert_eq!(failed.what(), "no report");
    }

    #[test]
    fn a_machine_that_goes_off() {
        boot(Mode::Poweroff, &format!("{GOOD}; echo 'reboot: Power down'"), LONG).0.expect("passes");
        let failed = boot(Mode::Poweroff, &format!("{GOOD}; echo 'reboot: Power down'; exit 3"), LONG).0;
        assert!(failed.expect_err("status 3").what().contains("QEMU ended with status 3"));
    }

    #[test]
    fn a_machine_that_hangs_at_a_prompt() {
        let (result, time) = boot(Mode::Report, "printf '=> '; exec sleep 50", Duration::from_millis(500));
        let text = result.expect_err("hangs").to_string();
        assert!(text.contains("no sign of U-Boot's banner in 0 s") && text.contains("| =>"), "{text}");
        assert!(time < Duration::from_secs(30), "{time:?}");
    }

    #[test]
    fn a_machine_that_never_starts_says_why() {
        let text =
            boot(Mode::Report, "echo 'no such device' >&2; exit 1", LONG).0.expect_err("ends").to_string();
        assert!(text.contains("QEMU ended with status 1") && text.contains("| no such device"), "{text}");
    }
}
