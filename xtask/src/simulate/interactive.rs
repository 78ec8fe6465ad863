// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `--interactive`: the console of the model on this terminal.
//!
//! Autoboot is stopped, because the model's seconds pass much faster than a reader's.

use std::collections::VecDeque;
use std::io::{IsTerminal, Read, Write};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use fw_build::{Context as _, Failure, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::say;
use super::session::{Goal, Session};
use crate::exit::Exit;

/// Ctrl-], as telnet has it.
const ESCAPE: u8 = 0x1d;
/// Instructions between two looks at the keyboard.
const SLICE: u64 = 2_000_000;

/// Runs until Ctrl-], the end of the input, or the end of the guest.
///
/// # Errors
/// Standard input is no terminal.
pub fn run(mut session: Session<'_>) -> Result<Exit> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("`--interactive` needs a terminal")
            .hint("`--type 'COMMANDS'` types without one, `--until shell` ends at the prompt"));
    }
    say::talk(format_args!("Ctrl-] ends it; U-Boot's prompt comes in a moment"));
    let _raw = Raw::enter()?;
    let keys = keyboard();
    let mut show = |bytes: &[u8]| {
        let mut out = std::io::stdout().lock();
        // A terminal that went away ends the run through the keyboard's thread.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    };
    session.stop_autoboot();
    // What was typed and not taken yet. Until the first prompt nothing is handed on: a key in front of it would stop
    // autoboot in the place of ours, which would then stand at the prompt.
    let mut typed = VecDeque::new();
    let mut has_prompt = false;
    loop {
        loop {
            match keys.try_recv() {
                Ok(ESCAPE) | Err(TryRecvError::Disconnected) => return Ok(Exit::Done),
                Ok(key) => typed.push_back(key),
                Err(TryRecvError::Empty) => break,
            }
        }
        // The UART's queue may be full, after a paste.
        while has_prompt && typed.front().is_some_and(|key| session.type_key(*key)) {
            typed.pop_front();
        }
        if let Some(stop) = session.step(SLICE, &mut show) {
            show(format!("\r\n{}\r\n", stop.statement()).as_bytes());
            return Ok(Exit::Failed);
        }
        let at_prompt = session.met(&Goal::Prompt);
        has_prompt |= at_prompt;
        if at_prompt && typed.is_empty() {
            // Nothing happens until somebody types: no need to burn the host's CPU.
            match keys.recv() {
                Ok(ESCAPE) | Err(_) => return Ok(Exit::Done),
                Ok(key) => typed.push_back(key),
            }
        }
    }
}

/// Reads standard input in a thread of its own: a read cannot be waited for and the model run.
fn keyboard() -> Receiver<u8> {
    let (sender, keys) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok(got @ 1..) = std::io::stdin().read(&mut bytes) {
            for byte in &bytes[..got] {
                if sender.send(*byte).is_err() {
                    return;
                }
            }
        }
    });
    keys
}

/// The terminal without echo and line editing, until dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Result<Raw> {
        let before = tcgetattr(std::io::stdin())
            .map_err(std::io::Error::from)
            .context("cannot read the terminal's mode")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)
            .map_err(std::io::Error::from)
            .context("cannot set the terminal's mode")?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing more can be done about it; `reset` helps.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
