// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Follows a console as it comes: notices stages, and remembers which patterns were seen in the current boot.

use std::collections::BTreeMap;

use crate::diagnosis::Diagnosis;
use crate::lines::Lines;
use crate::rules::Rules;
use crate::stage::Stage;

/// What a piece of the console showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A stage was entered.
    Stage {
        /// Which.
        stage: Stage,
        /// The boot it belongs to, from 1.
        boot: u32,
        /// Line of the log, from 1.
        line: u64,
        /// Its banner.
        text: String,
    },
    /// A line of the console is complete.
    Line(String),
}

/// The first line that matched a pattern.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) line: u64,
    pub(crate) text: String,
}

/// Reads a console.
#[derive(Debug, Clone)]
pub struct Scanner<'r> {
    pub(crate) rules: &'r Rules,
    pub(crate) lines: Lines,
    pub(crate) state: State,
}

/// What is remembered of the console.
#[derive(Debug, Default, Clone)]
pub(crate) struct State {
    /// The last one that was not empty; 0: none.
    pub(crate) line: u64,
    pub(crate) boots: u32,
    /// Of the current boot.
    pub(crate) reached: Option<Stage>,
    /// Of the current boot: pattern to its first line.
    pub(crate) hits: BTreeMap<usize, Hit>,
    pub(crate) last_text: String,
}

impl<'r> Scanner<'r> {
    /// A console of which nothing was read yet.
    #[must_use]
    pub fn new(rules: &'r Rules) -> Self {
        Self { rules, lines: Lines::default(), state: State::default() }
    }

    /// Takes the next bytes and says what they showed.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        let Self { rules, lines, state } = self;
        lines.push(bytes, |number, line| state.take(rules, number, line, &mut events));
        events
    }

    /// A statement of the tool that watches (`model: …`, `qemu: …`), treated as a line of the console.
    pub fn note(&mut self, text: &str) {
        self.state.take(self.rules, self.lines.number(), text, &mut Vec::new());
    }

    /// The stage that the current boot has reached, once any has shown itself.
    #[must_use]
    pub fn reached(&self) -> Option<Stage> {
        self.state.reached
    }

    /// What the whole says, taken as ended here.
    #[must_use]
    pub fn finish(mut self) -> Diagnosis<'r> {
        let rest = self.lines.unfinished();
        if !rest.trim().is_empty() {
            self.state.take(self.rules, self.lines.number(), &rest, &mut Vec::new());
        }
        Diagnosis::of(self.rules, &self.lines, self.state)
    }
}

impl State {
    fn take(&mut self, rules: &Rules, number: u64, text: &str, events: &mut Vec<Event>) {
        self.line = number;
        if !text.trim().is_empty() {
            text.trim_end().clone_into(&mut self.last_text);
        }
        for index in rules.patterns.matches(text) {
            if let Some(&stage) = rules.stages.get(index) {
                self.enter(stage);
                events.push(Event::Stage { stage, boot: self.boots, line: self.line, text: text.to_owned() });
            }
            self.hits
                .entry(index)
                .or_insert_with(|| Hit { line: self.line, text: text.trim_end().to_owned() });
        }
        events.push(Event::Line(text.to_owned()));
    }

    /// A stage that does not come after the one before is the first of another boot: what was seen of the boot
    /// before does not explain this one. GRUB shows itself twice, by its greeting and by its menu, and no boot
    /// begins with it.
    fn enter(&mut self, stage: Stage) {
        let again = |reached| stage < reached || stage == reached && stage != Stage::Grub;
        if self.reached.is_none_or(again) {
            self.boots += 1;
            self.hits.clear();
        }
        self.reached = Some(stage);
    }
}
