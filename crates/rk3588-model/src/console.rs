// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The text of a UART as a test sees it: patterns that must come, and what is typed when they do.
//!
//! Bounded: of a guest that prints for ever, the beginning and the end are kept.

/// Bytes kept from the start, and bytes kept up to the end.
const HEAD_BYTES: usize = 1 << 20;
const TAIL_BYTES: usize = 1 << 20;

/// Text so far.
#[derive(Debug, Default)]
pub struct Console {
    text: Vec<u8>,
    /// Bytes that were cut out behind the head.
    cut: u64,
    /// Where the next pattern is looked for.
    searched: usize,
    /// Where [`Console::take`] goes on.
    taken: usize,
}

impl Console {
    /// Adds output.
    pub fn push(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        if self.text.len() > HEAD_BYTES + 2 * TAIL_BYTES {
            let end = self.text.len() - TAIL_BYTES;
            self.text.drain(HEAD_BYTES..end);
            let gone = end - HEAD_BYTES;
            self.cut += gone as u64;
            for mark in [&mut self.searched, &mut self.taken] {
                *mark = if *mark > end { *mark - gone } else { (*mark).min(HEAD_BYTES) };
            }
        }
    }

    /// All text that is kept.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// All bytes that are kept.
    pub fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// Bytes that are not kept.
    pub fn cut_bytes(&self) -> u64 {
        self.cut
    }

    /// What came since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        let new = self.text[self.taken..].to_vec();
        self.taken = self.text.len();
        new
    }

    /// True when `pattern` stands behind the last pattern that was found; the search goes on behind it.
    pub fn find(&mut self, pattern: &[u8]) -> bool {
        if pattern.is_empty() {
            return true;
        }
        let place = self.text[self.searched..].windows(pattern.len()).position(|window| window == pattern);
        if let Some(place) = place {
            self.searched += place + pattern.len();
        }
        place.is_some()
    }

    /// The last line that has text, without control characters.
    pub fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.text[self.text.len().saturating_sub(4096)..]).into_owned();
        let plain =
            |line: &str| line.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned();
        text.lines().rev().map(plain).find(|line| !line.is_empty()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_in_order_and_across_pieces() {
        let mut console = Console::default();
        console.push(b"U-Boot SPL\r\nHit an");
        assert!(console.find(b"SPL") && !console.find(b"SPL") && !console.find(b"Hit any key"));
        console.push(b"y key\r\n=> \x07");
        assert!(console.find(b"Hit any key") && console.find(b"=> "));
        assert_eq!(console.last_line(), "=>");
        assert_eq!(console.take().len(), console.bytes().len());
        assert!(console.take().is_empty());
    }

    #[test]
    fn endless_text_is_bounded() {
        let mut console = Console::default();
        console.push(b"first");
        for _ in 0..80 {
            console.push(&[b'x'; 1 << 16]);
            console.find(b"y");
        }
        console.push(b"last");
        assert!(console.bytes().len() <= HEAD_BYTES + 2 * TAIL_BYTES + 4 && console.cut_bytes() > 0);
        assert!(console.bytes().starts_with(b"first") && console.find(b"last"));
    }
}
