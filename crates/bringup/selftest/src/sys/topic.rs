// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Starts this program again for one topic, and ends it when it takes too long.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::machine::TopicEnd;

/// Runs a program and collects its lines until it ends.
pub fn run(program: &str, arguments: &[&str], limit: Duration) -> TopicEnd {
    let mut end = TopicEnd::default();
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The rehearsal's console must show why a topic panicked.
        .stderr(Stdio::inherit())
        // A group of its own: what it leaves running ends with it.
        .process_group(0)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(e) => {
            end.trouble = Some(format!("cannot start: {e}"));
            return end;
        }
    };
    let (sender, lines) = channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    let deadline = Instant::now() + limit;
    let timed_out = loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => end.lines.push(line),
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        if timed_out {
            end.trouble = Some(format!("did not end within {} s", limit.as_secs()));
        } else {
            // Its output is closed: it is about to end, and its status is wanted.
            match child.wait() {
                Ok(status) if status.success() => {}
                Ok(status) => end.trouble = Some(status.to_string()),
                Err(e) => end.trouble = Some(e.to_string()),
            }
        }
        // None of the group may be left; that is not an error.
        let _ = kill_process_group(group, Signal::KILL);
    }
    // Already waited for, or killed just now.
    let _ = child.wait();
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> TopicEnd {
        run("/bin/sh", &["-c", script], Duration::from_secs(5))
    }

    #[test]
    fn lines_and_ends() {
        assert_eq!(sh("echo a; echo b"), TopicEnd { lines: vec!["a".into(), "b".into()], trouble: None });
        let bad = sh("echo a; exit 3");
        assert_eq!((bad.lines.len(), bad.trouble.as_deref()), (1, Some("exit status: 3")));
        let none = run("/no/such/program", &[], Duration::ZERO);
        assert!(none.trouble.is_some_and(|t| t.starts_with("cannot start: ")));
    }

    #[test]
    fn what_hangs_is_ended() {
        let start = Instant::now();
        let hung = run("/bin/sh", &["-c", "echo a; sleep 50 & sleep 50"], Duration::from_millis(300));
        assert_eq!(hung.lines, ["a"]);
        assert_eq!(hung.trouble.as_deref(), Some("did not end within 0 s"));
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
