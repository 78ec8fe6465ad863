// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A port, a watch, a keyboard and a log, until somebody ends it.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use crate::port::Port;
use crate::watch::{Action, Watch};

/// Ctrl-], as telnet has it: ends the session. Ctrl-C goes to the board.
pub const ESCAPE: u8 = 0x1d;
/// At 1500000 baud 150 bytes come in this time; the kernel keeps 4096 for us.
const WAIT: Duration = Duration::from_millis(1);

/// Why a session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ends {
    /// Ctrl-] was typed.
    Typed,
    /// `limit` has passed.
    Time,
    /// The port is gone; the system's words.
    Gone(String),
}

/// Shows the console on `screen`, what there is to say on `talk`, and keeps every byte in `log`.
///
/// `keys` gives what was typed; a keyboard that ends leaves the session running until `limit`.
///
/// # Errors
/// Screen or log cannot be written.
pub fn run(
    port: &mut Port,
    watch: &mut Watch<'_>,
    keys: &Receiver<Vec<u8>>,
    limit: Option<Duration>,
    screen: &mut dyn Write,
    talk: &mut dyn Write,
    log: Option<&mut dyn Write>,
) -> io::Result<Ends> {
    let began = Instant::now();
    let mut log = log;
    let mut buffer = [0; 4096];
    loop {
        let got = match port.read(&mut buffer, WAIT) {
            Ok(got) => got,
            Err(e) => return Ok(Ends::Gone(e.to_string())),
        };
        let now = began.elapsed();
        let actions = if got == 0 { watch.idle(now) } else { watch.bytes(now, &buffer[..got]) };
        if got > 0 {
            screen.write_all(&buffer[..got])?;
            screen.flush()?;
            if let Some(log) = log.as_mut() {
                log.write_all(&buffer[..got])?;
            }
        }
        for action in actions {
            match action {
                Action::Say(text) => {
                    // The terminal is raw while the keyboard is passed through.
                    write!(talk, "\r{}", text.replace('\n', "\r\n"))?;
                    talk.flush()?;
                }
                Action::SetBaud(baud) => {
                    if let Err(e) = port.set_baud(baud) {
                        write!(talk, "\rthe adapter does not do {baud} baud: {e}\r\n")?;
                    }
                }
            }
        }
        match keys.try_recv() {
            Ok(typed) => {
                let end = typed.iter().position(|b| *b == ESCAPE);
                if let Err(e) = port.write_all(&typed[..end.unwrap_or(typed.len())]) {
                    return Ok(Ends::Gone(e.to_string()));
                }
                if end.is_some() {
                    return Ok(Ends::Typed);
                }
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        if limit.is_some_and(|limit| now >= limit) {
            return Ok(Ends::Time);
        }
    }
}
