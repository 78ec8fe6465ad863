// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Turns the bytes of a serial console into plain lines.
//!
//! U-Boot and GRUB draw with escape sequences; a jump of the cursor starts a new line here, colours are
//! dropped. Bytes may arrive cut anywhere.

/// A line longer than this is cut in two: a guest that never ends its line must not fill the memory.
const MAX_LINE_BYTES: usize = 4096;

/// Where in an escape sequence the last byte was (ECMA-48, 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// After ESC.
    Escape,
    /// After ESC `[`.
    Control,
}

/// The line splitter.
#[derive(Debug)]
pub struct Lines {
    state: State,
    current: Vec<u8>,
}

impl Default for Lines {
    fn default() -> Self {
        Lines { state: State::Text, current: Vec::new() }
    }
}

impl Lines {
    /// Takes bytes, returns the lines that they complete; empty lines are left out.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            match (self.state, byte) {
                (_, 0x1b) => self.state = State::Escape,
                (State::Escape, b'[') => self.state = State::Control,
                (State::Escape, _) => self.state = State::Text,
                (State::Control, 0x40..=0x7e) => {
                    self.state = State::Text;
                    if matches!(byte, b'H' | b'f' | b'J') {
                        self.end_line(&mut lines);
                    }
                }
                (State::Control, _) => {}
                (State::Text, b'\n' | b'\r') => self.end_line(&mut lines),
                (State::Text, b'\t') => self.current.push(b' '),
                (State::Text, 0..=0x1f | 0x7f) => {}
                (State::Text, _) => self.current.push(byte),
            }
            if self.current.len() >= MAX_LINE_BYTES {
                self.end_line(&mut lines);
            }
        }
        lines
    }

    /// What has arrived of a line that is not complete, such as a prompt.
    pub fn rest(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.current).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }

    fn end_line(&mut self, lines: &mut Vec<String>) {
        lines.extend(self.rest());
        self.current.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"one\r\n\r\ntwo"), ["one"]);
        assert_eq!(lines.rest().as_deref(), Some("two"));
        assert_eq!(lines.feed(b"\tx\n"), ["two x"]);
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_drawn_menu_becomes_lines() {
        let mut lines = Lines::default();
        let menu = b"\x1b[2J\x1b[1;1H\x1b[0;30;47mGNU GRUB  version 2.12\x1b[3;2H*A - Talos\x1b[m\x1b[20;1H";
        // Cut in the middle of a sequence.
        let mut all = lines.feed(&menu[..7]);
        all.extend(lines.feed(&menu[7..]));
        assert_eq!(all, ["GNU GRUB  version 2.12", "*A - Talos"]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut lines = Lines::default();
        let cut = lines.feed(&vec![b'x'; MAX_LINE_BYTES + 1]);
        assert_eq!((cut.len(), cut[0].len()), (1, MAX_LINE_BYTES));
        assert_eq!(lines.rest().as_deref(), Some("x"));
    }
}
