// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board's heartbeat LED as a sign of how far the self-test is, for a board without a serial cable.
//!
//! The patterns are made here, step by step, and not by a trigger of the kernel: a pattern that goes on says that this
//! program does. `docs/bringup.md` tells people what they mean.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::machine::Machine;

const CLASS: &str = "/sys/class/leds";
/// The trigger that the device tree gives the LED; the kernel beats it until the self-test takes it over.
const HEARTBEAT: &str = "heartbeat";
/// The kernel's name for no trigger.
const NONE: &str = "none";

/// What the LED shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// The self-test runs.
    Running,
    /// It has ended, nothing failed.
    Passed,
    /// It has ended, something failed.
    Failed,
}

/// Lit or dark, for how many milliseconds.
type Step = (bool, u64);

impl Pattern {
    /// Every pattern.
    pub const ALL: [Pattern; 3] = [Pattern::Running, Pattern::Passed, Pattern::Failed];

    /// For people; the documentation has the same words.
    pub fn text(self) -> &'static str {
        match self {
            Pattern::Running => "quick, even blinking, five times a second",
            Pattern::Passed => "lit, with a short wink every two seconds",
            Pattern::Failed => "three short flashes, then a second of dark",
        }
    }

    fn steps(self) -> &'static [Step] {
        match self {
            Pattern::Running => &[(true, 100), (false, 100)],
            Pattern::Passed => &[(true, 1900), (false, 100)],
            Pattern::Failed => {
                &[(true, 120), (false, 180), (true, 120), (false, 180), (true, 120), (false, 1000)]
            }
        }
    }
}

/// The LED with the heartbeat trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    dir: PathBuf,
    /// Its name, for example `sys_led`.
    pub name: String,
    lit: String,
}

impl Led {
    /// Finds it by its trigger, so that its name may differ between device trees.
    pub fn find(machine: &Machine<'_>) -> Option<Led> {
        let selected = format!("[{HEARTBEAT}]");
        let beats = |name: &String| {
            let triggers = machine.read(format!("{CLASS}/{name}/trigger")).unwrap_or_default();
            triggers.split_whitespace().any(|t| t == selected)
        };
        let name = machine.list(CLASS).into_iter().find(beats)?;
        let lit = machine.number::<u32>(format!("{CLASS}/{name}/max_brightness")).unwrap_or(1).max(1);
        Some(Led { dir: machine.path(format!("{CLASS}/{name}")), name, lit: lit.to_string() })
    }

    fn trigger(&self, name: &str) -> io::Result<()> {
        fs::write(self.dir.join("trigger"), name)
    }

    fn set(&self, lit: bool) -> io::Result<()> {
        fs::write(self.dir.join("brightness"), if lit { &self.lit } else { "0" })
    }
}

/// A pattern that is being shown; the kernel's heartbeat comes back when it is dropped.
pub struct Show {
    patterns: Option<Sender<Pattern>>,
    thread: Option<JoinHandle<()>>,
}

impl Show {
    /// Takes the LED from the kernel.
    ///
    /// # Errors
    /// The kernel does not let go of it, or there is no thread to be had.
    pub fn start(led: Led, pattern: Pattern) -> io::Result<Show> {
        led.trigger(NONE)?;
        let (sender, receiver) = channel();
        let thread =
            thread::Builder::new().name("led".to_owned()).spawn(move || show(&led, pattern, &receiver))?;
        Ok(Show { patterns: Some(sender), thread: Some(thread) })
    }

    /// Shows another pattern from now on.
    pub fn change(&self, pattern: Pattern) {
        // The thread has ended when the LED is gone, which takes nothing from the report.
        let _ = self.patterns.as_ref().map(|p| p.send(pattern));
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        drop(self.patterns.take());
        if let Some(thread) = self.thread.take() {
            // It ends with its channel; a panic in it is not ours to hand on.
            let _ = thread.join();
        }
    }
}

fn show(led: &Led, first: Pattern, patterns: &Receiver<Pattern>) {
    let mut pattern = first;
    let mut next = pattern.steps().iter().cycle();
    while let Some(&(lit, milliseconds)) = next.next() {
        if led.set(lit).is_err() {
            break;
        }
        match patterns.recv_timeout(Duration::from_millis(milliseconds)) {
            Ok(other) => {
                pattern = other;
                next = pattern.steps().iter().cycle();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let _ = led.trigger(HEARTBEAT);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Instant;

    use super::*;
    use crate::testing::Fixture;

    fn led(f: &Fixture, name: &str, trigger: &str) {
        for (file, text) in [("trigger", trigger), ("brightness", "0\n"), ("max_brightness", "255\n")] {
            f.file(&format!("/sys/class/leds/{name}/{file}"), text);
        }
    }

    #[test]
    fn it_is_found_by_its_trigger() {
        let f = Fixture::new();
        assert_eq!(Led::find(&f.machine()), None);
        led(&f, "a-disk", "none [default-on] heartbeat\n");
        assert_eq!(Led::find(&f.machine()), None);
        led(&f, "sys_led", "none default-on [heartbeat]\n");
        let found = Led::find(&f.machine()).expect("the LED");
        assert_eq!((found.name.as_str(), found.lit.as_str()), ("sys_led", "255"));
    }

    /// The brightness values that are seen until two of them alternate three times.
    fn seen(f: &Fixture) -> Vec<String> {
        let began = Instant::now();
        let mut values: Vec<String> = Vec::new();
        while values.len() < 6 && began.elapsed() < Duration::from_secs(10) {
            let now = f.machine().read("/sys/class/leds/sys_led/brightness").unwrap_or_default();
            // A file that is being written is empty for a moment.
            if !now.is_empty() && values.last() != Some(&now) {
                values.push(now);
            }
            thread::sleep(Duration::from_millis(2));
        }
        values
    }

    #[test]
    fn the_pattern_runs_until_it_is_dropped_and_the_kernel_has_it_back() {
        let f = Fixture::new();
        led(&f, "sys_led", "none [heartbeat]\n");
        let trigger = || f.machine().read("/sys/class/leds/sys_led/trigger").unwrap_or_default();
        let show = Show::start(Led::find(&f.machine()).expect("the LED"), Pattern::Running).expect("starts");
        assert_eq!(trigger(), "none");
        let values = seen(&f);
        assert_eq!(values.len(), 6, "{values:?}");
        assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), 2, "{values:?}");
        show.change(Pattern::Passed);
        thread::sleep(Duration::from_millis(300));
        // Lit for nearly all of the time: quick blinking would have changed by now.
        for _ in 0..10 {
            assert_eq!(f.machine().read("/sys/class/leds/sys_led/brightness").as_deref(), Some("255"));
            thread::sleep(Duration::from_millis(30));
        }
        drop(show);
        assert_eq!(trigger(), "heartbeat");
    }

    #[test]
    fn must_fail_an_led_that_the_kernel_keeps() {
        let f = Fixture::new();
        led(&f, "sys_led", "[heartbeat]\n");
        let found = Led::find(&f.machine()).expect("the LED");
        fs::remove_file(f.machine().path("/sys/class/leds/sys_led/trigger")).expect("removed");
        fs::create_dir(f.machine().path("/sys/class/leds/sys_led/trigger")).expect("in its place");
        assert!(Show::start(found, Pattern::Running).is_err());
    }

    #[test]
    fn the_patterns_differ_and_the_documentation_has_them() {
        let docs = include_str!("../../../../docs/bringup.md");
        for (i, pattern) in Pattern::ALL.into_iter().enumerate() {
            assert!(docs.contains(pattern.text()), "docs/bringup.md has no `{}`", pattern.text());
            assert!(Pattern::ALL[i + 1..].iter().all(|other| other.steps() != pattern.steps()));
            let period: u64 = pattern.steps().iter().map(|(_, ms)| ms).sum();
            assert!((200..=2000).contains(&period), "{pattern:?}: {period} ms");
        }
    }
}
