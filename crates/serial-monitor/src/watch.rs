// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a console shows, as it comes: rate, stages with their times, and a diagnosis when it stalls.

use std::time::Duration;

use boot_log::{Diagnosis, Event, Rules, Scanner, Stage};

/// Rates in the order in which they are tried: the board's own, then what other boards and a changed
/// environment use (U-Boot's and the kernel's default).
pub const BAUDS: [u32; 2] = [1_500_000, 115_200];

/// So many bytes are judged at once.
const WINDOW_BYTES: usize = 64;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell the user; lines end in `\n`.
    Say(String),
    /// Set the port to this rate.
    SetBaud(u32),
}

/// How to watch.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Rates to try. One: the rate stays.
    pub bauds: Vec<u32>,
    /// After so long without a byte the diagnosis is given, once per silence.
    pub stall: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { bauds: BAUDS.to_vec(), stall: Duration::from_secs(60) }
    }
}

/// The state machine. Times are those since it was made.
pub struct Watch<'r> {
    rules: &'r Rules,
    settings: Settings,
    scanner: Scanner<'r>,
    baud: usize,
    /// Text and other bytes since the last judgement of the rate.
    window: (usize, usize),
    /// Rates that gave no text in a row.
    misses: usize,
    /// Whether the rate is known to be right.
    settled: bool,
    boot_began: Duration,
    last_stage: Option<(Stage, Duration)>,
    last_byte: Option<Duration>,
    told_stall: bool,
}

impl<'r> Watch<'r> {
    /// A console of which nothing was seen.
    #[must_use]
    pub fn new(rules: &'r Rules, settings: Settings) -> Watch<'r> {
        Watch {
            rules,
            settings,
            scanner: Scanner::new(rules),
            baud: 0,
            window: (0, 0),
            misses: 0,
            settled: false,
            boot_began: Duration::ZERO,
            last_stage: None,
            last_byte: None,
            told_stall: false,
        }
    }

    /// The rate that the port should have.
    #[must_use]
    pub fn baud(&self) -> u32 {
        self.settings.bauds.get(self.baud).copied().unwrap_or(BAUDS[0])
    }

    /// Takes bytes.
    pub fn bytes(&mut self, now: Duration, bytes: &[u8]) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.last_byte.is_none() {
            self.boot_began = now;
        }
        self.last_byte = Some(now);
        self.told_stall = false;
        for event in self.scanner.feed(bytes) {
            if let Event::Stage { stage, boot, text, .. } = event {
                // A banner is proof enough of the rate.
                self.settled = true;
                self.stage(now, stage, boot, &text, &mut actions);
            }
        }
        if !self.settled && self.settings.bauds.len() > 1 {
            self.judge_rate(bytes, &mut actions);
        }
        actions
    }

    /// Nothing has come; asked now and then.
    pub fn idle(&mut self, now: Duration) -> Vec<Action> {
        let since = now.saturating_sub(self.last_byte.unwrap_or_default());
        if self.told_stall || since < self.settings.stall {
            return Vec::new();
        }
        self.told_stall = true;
        if self.last_byte.is_some() && self.scanner.reached() == Some(Stage::Ready) {
            return Vec::new(); // It is up; a quiet console is what it should be.
        }
        let diagnosis = self.scanner.clone().finish();
        vec![Action::Say(format!("nothing for {} s; what is known so far:\n{diagnosis}", since.as_secs()))]
    }

    /// The diagnosis of everything since the rate was right.
    #[must_use]
    pub fn finish(self) -> Diagnosis<'r> {
        self.scanner.finish()
    }

    fn stage(&mut self, now: Duration, stage: Stage, boot: u32, text: &str, actions: &mut Vec<Action>) {
        let again =
            self.last_stage.is_none_or(|(last, _)| stage < last || stage == last && stage != Stage::Grub);
        if self.last_stage.is_some_and(|(last, _)| last == stage) && !again {
            return; // GRUB greets, then draws its menu.
        }
        if again && boot > 1 {
            actions.push(Action::Say(format!("--- boot {boot} ---\n")));
            self.boot_began = now;
        }
        let since_start = now.saturating_sub(self.boot_began).as_secs_f64();
        let took = match self.last_stage.filter(|_| !again) {
            Some((last, at)) => format!(", {last} took {:.1} s", now.saturating_sub(at).as_secs_f64()),
            None => String::new(),
        };
        actions.push(Action::Say(format!("[{since_start:7.1} s] {stage}{took}: {}\n", text.trim())));
        self.last_stage = Some((stage, now));
    }

    fn judge_rate(&mut self, bytes: &[u8], actions: &mut Vec<Action>) {
        let text =
            bytes.iter().filter(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x08 | 0x1b | b' '..=b'~')).count();
        self.window.0 += text;
        self.window.1 += bytes.len() - text;
        let (text, other) = self.window;
        if text + other < WINDOW_BYTES {
            return;
        }
        self.window = (0, 0);
        // Random bytes are text for 38 % (98 of 256); a console has next to none that are not.
        if other * 4 < text + other {
            self.settled = true;
            if self.misses > 0 {
                actions.push(Action::Say(format!("text at {} baud\n", self.baud())));
            }
            return;
        }
        let wrong = self.baud();
        self.baud = (self.baud + 1) % self.settings.bauds.len();
        self.misses += 1;
        // What came at the wrong rate says nothing about the boot.
        self.scanner = Scanner::new(self.rules);
        self.last_stage = None;
        actions.push(Action::SetBaud(self.baud()));
        if self.misses < 2 * self.settings.bauds.len() {
            actions.push(Action::Say(format!("no text at {wrong} baud; trying {}\n", self.baud())));
        } else if self.misses == 2 * self.settings.bauds.len() {
            let all: Vec<String> = self.settings.bauds.iter().map(u32::to_string).collect();
            actions.push(Action::Say(format!(
                "no text at {} baud either: an adapter that cannot follow at 1500000 (older PL2303, CP2102, CH340), \
                 missing ground, or long wires\n",
                all.join(" and ")
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What a receiver at 115200 makes of 1500000.
    fn garbage(length: usize) -> Vec<u8> {
        [0x00, 0xfe, 0x80, b'a', 0xc0, 0x00, 0xf8, b'b'].iter().copied().cycle().take(length).collect()
    }

    fn said(actions: &[Action]) -> String {
        let say = |a: &Action| match a {
            Action::Say(text) => Some(text.clone()),
            Action::SetBaud(_) => None,
        };
        actions.iter().filter_map(say).collect()
    }

    #[test]
    fn stages_are_told_as_they_come_with_their_times() {
        let rules = Rules::builtin();
        let mut watch = Watch::new(&rules, Settings::default());
        let mut all =
            watch.bytes(5 * SECOND, b"DDR 9fa84341ce typ 24/09/06-09:51:11,fwver: v1.18\r\nout\r\n");
        all.extend(watch.bytes(6 * SECOND, b"U-Boot SPL 2025.01 (Jan"));
        all.extend(watch.bytes(
            7 * SECOND,
            b" 01)\r\nU-Boot 2025.01 (x)\r\nWelcome to GRUB!\r\nGNU GRUB  version 2.12\r\n",
        ));
        let text = said(&all);
        assert!(text.starts_with("[    0.0 s] DDR init (TPL): DDR 9fa8"), "{text}");
        assert!(
            text.contains("[    2.0 s] U-Boot SPL, DDR init (TPL) took 2.0 s: U-Boot SPL 2025.01 (Jan 01)"),
            "{text}"
        );
        assert_eq!(text.matches("GRUB").count(), 2, "its greeting and not its menu: {text}");
        let again = said(&watch.bytes(30 * SECOND, b"DDR 9fa84341ce typ 24/09/06-09:51:11,fwver: v1.18\r\n"));
        assert!(again.starts_with("--- boot 2 ---\n[    0.0 s] DDR"), "{again}");
    }

    #[test]
    fn noise_changes_the_rate_and_text_keeps_it() {
        let rules = Rules::builtin();
        let mut watch = Watch::new(&rules, Settings::default());
        assert_eq!(watch.baud(), 1_500_000);
        assert!(watch.bytes(SECOND, &garbage(40)).is_empty(), "too little to judge");
        let actions = watch.bytes(SECOND, &garbage(40));
        assert!(actions.contains(&Action::SetBaud(115_200)), "{actions:?}");
        let text = said(&watch.bytes(SECOND, &b"Hit any key to stop autoboot:  0 \r\n".repeat(3)));
        assert_eq!(text, "text at 115200 baud\n");
        // Noise after text is noise, and no reason to go away.
        assert!(watch.bytes(SECOND, &garbage(400)).is_empty());
        assert_eq!(watch.finish().reached, None);
    }

    #[test]
    fn an_adapter_that_cannot_is_named_once_and_a_given_rate_stays() {
        let rules = Rules::builtin();
        let mut watch = Watch::new(&rules, Settings::default());
        let all: Vec<Action> = (0..20).flat_map(|_| watch.bytes(SECOND, &garbage(64))).collect();
        assert_eq!(said(&all).matches("PL2303").count(), 1);
        assert!(said(&all).len() < 500, "{}", said(&all));
        let mut fixed = Watch::new(&rules, Settings { bauds: vec![115_200], ..Settings::default() });
        assert!(fixed.bytes(SECOND, &garbage(640)).is_empty());
        assert_eq!(fixed.finish().findings[0].rule.id, "garbage");
    }

    #[test]
    fn a_stall_is_diagnosed_once_per_silence_and_a_board_that_is_up_may_be_silent() {
        let rules = Rules::builtin();
        let mut watch = Watch::new(&rules, Settings::default());
        watch.bytes(SECOND, b"DDR 9fa84341ce typ 24/09/06-09:51:11,fwver: v1.18\r\nLPDDR5, 2400MHz\r\n");
        assert!(watch.idle(60 * SECOND).is_empty());
        let text = said(&watch.idle(61 * SECOND));
        assert!(text.starts_with("nothing for 60 s") && text.contains("ddr-hangs"), "{text}");
        assert!(watch.idle(100 * SECOND).is_empty());
        watch.bytes(101 * SECOND, b"x");
        assert!(!watch.idle(161 * SECOND).is_empty());
        watch.bytes(162 * SECOND, b"\r\nBRINGUP RESULT pass=1 fail=0 skip=0\r\n");
        assert!(watch.idle(999 * SECOND).is_empty());
        // Not a single byte is a symptom, too.
        let mut silent = Watch::new(&rules, Settings::default());
        assert!(said(&silent.idle(60 * SECOND)).contains("MaskROM"));
    }
}
