// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How this program talks: how much it says, whether progress is shown, where colours go, how a question is asked, and what happens
//! when the reader of its output goes away. One place each, for every verb.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use fw_build::{Failure, Result};

/// 128 + SIGPIPE, as shells report a program whose reader is gone.
const READER_GONE: i32 = 141;

/// How much is said beside results, notes, warnings and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    /// Nothing (`--quiet`).
    Quiet,
    /// Progress.
    Normal,
    /// Commands, their output and what store and fetcher decide, too (`--verbose`).
    Verbose,
}

static VOLUME: AtomicU8 = AtomicU8::new(Volume::Normal as u8);

/// What the command line asks for.
pub fn set_volume(volume: Volume) {
    VOLUME.store(volume as u8, Ordering::Relaxed);
    if volume == Volume::Verbose {
        fw_build::trace::to_stderr();
    }
}

fn is(volume: Volume) -> bool {
    VOLUME.load(Ordering::Relaxed) == volume as u8
}

/// Whether progress is left out; results, notes, warnings and errors are not.
#[must_use]
pub fn quiet() -> bool {
    is(Volume::Quiet)
}

/// Whether every command and its output is shown.
#[must_use]
pub fn verbose() -> bool {
    is(Volume::Verbose)
}

/// Whether bars that move can be drawn: standard error is a terminal, and nobody asked for quiet, or for lines that
/// would tear them.
#[must_use]
pub fn bars() -> bool {
    is(Volume::Normal) && std::io::stderr().is_terminal()
}

/// How often progress without bars is a line: rarely in a log, often for somebody who asked for more.
#[must_use]
pub fn line_interval() -> Duration {
    Duration::from_secs(if verbose() { 2 } else { 15 })
}

/// Whether standard output may be coloured: a terminal, and no `NO_COLOR` (any value but an empty one, no-color.org).
#[must_use]
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Asks for a word to be typed, on standard error. False: something else was typed.
///
/// # Errors
/// Nobody is there to be asked.
pub fn typed(question: &str, word: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("nobody can be asked: the input is not a terminal")
            .hint("`--yes` goes on without a question; it refuses the same"));
    }
    eprint!("{question} Type `{word}` to go on: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == word)
}

/// Makes `cargo xtask diagnose LOG | head` end as other programs do: quietly, when `head` has seen enough.
///
/// Rust ignores SIGPIPE, which sockets and the standard input of children need; `print!` then panics. A panic about
/// anything else is what it was.
pub fn end_with_the_reader() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<String>().map_or("", String::as_str);
        if reader_gone(text) {
            crate::interrupt::tidy();
            std::process::exit(READER_GONE);
        }
        before(info);
    }));
}

/// Ends in the same way where a verb wrote by itself and returned the error.
pub fn end_if_reader_gone(failure: &Failure) {
    if failure.lines().iter().any(|line| line.contains("Broken pipe (os error 32)"))
        && failure.lines().len() == 1
    {
        crate::interrupt::tidy();
        std::process::exit(READER_GONE);
    }
}

/// Whether a panic's text is that of `print!` or `eprint!` into a closed pipe (`library/std/src/io/stdio.rs`,
/// `print_to`).
fn reader_gone(panic: &str) -> bool {
    panic.starts_with("failed printing to std") && panic.contains("Broken pipe")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_ends_quietly() {
        assert!(reader_gone("failed printing to stdout: Broken pipe (os error 32)"));
        assert!(!reader_gone("failed printing to stdout: No space left on device (os error 28)"));
        assert!(!reader_gone("index out of bounds: Broken pipe"));
    }
}
