// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What was seen, line by line, with the time of it.

use std::time::Instant;

/// The lines so far.
pub struct Report {
    start: Instant,
    lines: Vec<String>,
}

impl Report {
    /// An empty report of a rehearsal that began at `start`.
    pub fn new(start: Instant) -> Report {
        Report { start, lines: Vec::new() }
    }

    /// Notes something that was seen now.
    pub fn seen(&mut self, what: &str) {
        self.lines.push(format!("{:>6.0} s  {what}", self.start.elapsed().as_secs_f64()));
    }

    /// Notes several.
    pub fn rows(&mut self, rows: Vec<String>) {
        for row in rows {
            self.seen(&row);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    /// All of them.
    pub fn lines(self) -> Vec<String> {
        self.lines
    }
}
