// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Cuts a byte stream into lines of bounded length, and counts what is not text.

/// A longer line is cut: no message of a boot chain comes near, and a stream without line ends must not grow.
const LONGEST_BYTES: usize = 4096;

/// Bytes become lines; terminal control sequences (GRUB draws a menu, a shell colours) are dropped.
#[derive(Debug, Default, Clone)]
pub(crate) struct Lines {
    current: Vec<u8>,
    escape: Escape,
    text_bytes: u64,
    other_bytes: u64,
    /// Line ends so far: what an editor counts, empty lines too.
    newlines: u64,
}

#[derive(Debug, Default, Clone, PartialEq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Begun,
    /// Within `ESC [ … letter`.
    Sequence,
}

impl Lines {
    /// Takes bytes and hands every finished line to `line`, with its number from 1 and without its end.
    pub(crate) fn push(&mut self, bytes: &[u8], mut line: impl FnMut(u64, &str)) {
        for &byte in bytes {
            match self.escape {
                Escape::Begun => {
                    self.escape = if byte == b'[' { Escape::Sequence } else { Escape::None };
                    continue;
                }
                Escape::Sequence => {
                    if byte.is_ascii_alphabetic() {
                        self.escape = Escape::None;
                        // A cursor movement separates what a menu draws side by side.
                        if byte == b'H' {
                            self.end(&mut line);
                        }
                    }
                    continue;
                }
                Escape::None => {}
            }
            match byte {
                b'\r' => self.end(&mut line),
                b'\n' => {
                    self.end(&mut line);
                    self.newlines += 1;
                }
                0x1b => self.escape = Escape::Begun,
                b'\t' | b' '..=b'~' => {
                    self.text_bytes += 1;
                    self.keep(byte, &mut line);
                }
                // U-Boot clears a countdown with backspaces.
                0x08 => {
                    self.current.pop();
                }
                _ => {
                    self.other_bytes += 1;
                    self.keep(b'?', &mut line);
                }
            }
        }
    }

    /// The number of the line that is being read, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.newlines + 1
    }

    /// The line that has no end yet: a prompt, or where the stream broke off.
    pub(crate) fn unfinished(&self) -> String {
        String::from_utf8_lossy(&self.current).into_owned()
    }

    /// Something arrived, but no text to speak of: a wrong baud rate, an adapter that cannot follow.
    pub(crate) fn is_garbage(&self) -> bool {
        let all = self.text_bytes + self.other_bytes;
        // Less says nothing; noise at power-on is common. A third: random bytes are text for 37 % (95 of 256).
        all >= 32 && self.other_bytes * 3 > all
    }

    fn keep(&mut self, byte: u8, line: &mut impl FnMut(u64, &str)) {
        self.current.push(byte);
        if self.current.len() >= LONGEST_BYTES {
            self.end(line);
        }
    }

    fn end(&mut self, line: &mut impl FnMut(u64, &str)) {
        if !self.current.is_empty() {
            line(self.number(), &String::from_utf8_lossy(&self.current));
            self.current.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bytes: &[u8]) -> Vec<String> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        lines.push(bytes, |_, l| out.push(l.to_owned()));
        out
    }

    #[test]
    fn lines_end_at_either_end_and_empty_ones_are_dropped() {
        assert_eq!(cut(b"a\r\n\r\nb\n"), ["a", "b"]);
    }

    #[test]
    fn lines_have_the_numbers_that_an_editor_shows() {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in b"one\r\n\r\n\nfour\x1b[2Hstill four\nfive".chunks(2) {
            lines.push(piece, |n, l| out.push((n, l.to_owned())));
        }
        let expected = [(1, "one"), (4, "four"), (4, "still four")].map(|(n, l)| (n, l.to_owned()));
        assert_eq!(out, expected);
        assert_eq!(lines.number(), 5);
    }

    #[test]
    fn control_sequences_vanish_and_a_cursor_jump_ends_a_line() {
        assert_eq!(cut(b"\x1b[1;32mgreen\x1b[0m\nmenu\x1b[4;2Hentry\n"), ["green", "menu", "entry"]);
    }

    #[test]
    fn backspace_takes_back() {
        assert_eq!(cut(b"autoboot:  2\x08 1\n"), ["autoboot:   1"]);
    }

    #[test]
    fn a_stream_without_ends_is_cut() {
        let mut lines = Lines::default();
        let mut longest = 0;
        lines.push(&[b'x'; 10_000], |_, l| longest = longest.max(l.len()));
        assert_eq!(longest, LONGEST_BYTES);
        assert!(lines.unfinished().len() < LONGEST_BYTES);
    }

    #[test]
    fn noise_is_garbage_and_a_log_is_not() {
        let mut noise = Lines::default();
        noise.push(&[0x00, 0xfe, 0x80, b'a', 0xc0, 0x00, 0xf8, b'b'].repeat(8), |_, _| {});
        assert!(noise.is_garbage());
        let mut log = Lines::default();
        log.push(b"\xff\xff\x00U-Boot SPL 2025.01-nanopi-m6 (Jan 01 2025 - 00:00:00 +0000)\n", |_, _| {});
        assert!(!log.is_garbage());
    }
}
