// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The passphrase of a key or the PIN of a token: from a file, else from the terminal.
//!
//! Never from an argument or a variable: both are readable by other processes.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;

use fs_err as fs;
use fw_build::{Failure, Result};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Reads it. `what` says what it opens.
///
/// # Errors
/// The file cannot be read or is empty, or there is neither file nor terminal.
pub fn read(file: Option<&Path>, what: &str) -> Result<Zeroizing<Vec<u8>>> {
    if let Some(path) = file {
        let secret = first_line(&Zeroizing::new(fs::read(path)?));
        if secret.is_empty() {
            return Err(Failure::new(format!("`{}` has no passphrase in its first line", path.display())));
        }
        return Ok(secret);
    }
    let missing = |e: &dyn std::fmt::Display| {
        Failure::new(format!("{what} needs a passphrase"))
            .why(e)
            .hint("give it with `--passphrase-file FILE`; `<(command)` works, too")
    };
    let terminal = fs::OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|e| missing(&e))?;
    if !terminal.file().is_terminal() {
        return Err(missing(&"`/dev/tty` is no terminal"));
    }
    ask(terminal.file(), what)
}

/// What `--passphrase-file` means: the first line, without its end.
fn first_line(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
    Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

/// Puts the terminal back as it was.
struct Hidden<'t>(&'t std::fs::File, Termios);

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // Nothing more can be done than to try.
        let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
    }
}

fn ask(terminal: &std::fs::File, what: &str) -> Result<Zeroizing<Vec<u8>>> {
    let io = |e: rustix::io::Errno| Failure::from(std::io::Error::from(e));
    let before = tcgetattr(terminal).map_err(io)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let hidden = Hidden(terminal, before);
    tcsetattr(terminal, OptionalActions::Flush, &silent).map_err(io)?;
    let mut out = terminal;
    write!(out, "passphrase of {what}: ")?;
    let mut line = Zeroizing::new(Vec::new());
    BufReader::new(terminal).read_until(b'\n', &mut line)?;
    drop(hidden);
    writeln!(out)?;
    Ok(first_line(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_file_counts() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("secret");
        for (text, secret) in
            [("s3 cret\n", "s3 cret"), ("a\r\nb\n", "a"), ("no end", "no end"), (" x \n", " x ")]
        {
            fs::write(&path, text).expect("file");
            assert_eq!(read(Some(&path), "a key").expect("a passphrase").as_slice(), secret.as_bytes());
        }
        fs::write(&path, "\nsecond\n").expect("file");
        let text = read(Some(&path), "a key").expect_err("empty").to_string();
        assert!(text.contains("has no passphrase in its first line"), "{text}");
    }
}
