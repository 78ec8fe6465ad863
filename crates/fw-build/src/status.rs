// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a stage is doing, as a small record that others can draw.
//!
//! Under xtask the record goes to a file in `FW_STATUS_DIR`, which xtask polls. A bare `cargo build` has no such
//! folder: then one line goes to the controlling terminal, because cargo shows nothing of a running script.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::run::LineSink;
use crate::trace;

/// Where status records go; set by xtask.
pub const STATUS_DIR_VAR: &str = "FW_STATUS_DIR";

/// Phase of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Another process builds the same key.
    Waiting,
    /// Sources are fetched and verified.
    Fetching,
    /// Commands run.
    Building,
    /// Outputs are checked and published.
    Publishing,
    /// The result was in the store.
    Cached,
    /// Built now.
    Built,
    /// Ended with an error.
    Failed,
}

impl Phase {
    /// No more updates follow.
    pub fn is_end(self) -> bool {
        matches!(self, Phase::Cached | Phase::Built | Phase::Failed)
    }
}

/// One stage's status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Stage name.
    pub stage: String,
    /// Phase.
    pub phase: Phase,
    /// Last step, for example `CC drivers/net/phy/phy.o` or a file that is fetched.
    pub step: String,
    /// Steps or bytes done.
    pub done: u64,
    /// Steps or bytes in all, where known; an estimate while building.
    pub total: Option<u64>,
    /// Seconds since the stage began, when the record was written.
    pub elapsed_s: f64,
}

impl Record {
    /// Percentage done, 0 to 100; while building it stops at 99 since the total is an estimate.
    pub fn percent(&self) -> Option<u64> {
        let total = self.total.filter(|t| *t > 0)?;
        let cap = if self.phase == Phase::Building { 99 } else { 100 };
        Some((self.done * 100 / total).min(cap))
    }

    /// The record as one line of text, without the stage name.
    pub fn summary(&self) -> String {
        let percent = self.percent().map(|p| format!(" {p:>2}%")).unwrap_or_default();
        match self.phase {
            Phase::Waiting => "waiting for another build of the same inputs".to_owned(),
            Phase::Fetching => {
                let rate = self.done as f64 / self.elapsed_s.max(0.001);
                let of = self.total.map(|t| format!(" of {}", bytes(t))).unwrap_or_default();
                format!("fetching{percent} {} {}{of}, {}/s", self.step, bytes(self.done), bytes(rate as u64))
            }
            Phase::Building => format!("building{percent} {}", self.step),
            Phase::Publishing => "checking outputs".to_owned(),
            Phase::Cached => "in the store".to_owned(),
            Phase::Built => format!("built in {}", seconds(self.elapsed_s)),
            Phase::Failed => "failed".to_owned(),
        }
    }
}

/// `12.3 MB`
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}

/// `4.2 s` or `12:34`
pub fn seconds(s: f64) -> String {
    if s < 60.0 { format!("{s:.1} s") } else { format!("{}:{:02}", s as u64 / 60, s as u64 % 60) }
}

/// Where a record is drawn.
enum Output {
    File(PathBuf),
    Terminal(std::fs::File),
    Nowhere,
}

/// The live status of one stage; throttled, safe to share between threads.
pub struct Status {
    began: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    record: Record,
    output: Output,
    phase_began: Instant,
    written: Option<Instant>,
}

/// At most five records a second: more is invisible and costs file operations.
const INTERVAL: Duration = Duration::from_millis(200);

impl Status {
    /// A status that goes where the environment says (see the module's text).
    pub fn from_env(stage: &str) -> Self {
        let output = match std::env::var_os(STATUS_DIR_VAR) {
            Some(dir) => return Status::to_dir(stage, Path::new(&dir)),
            None => match std::fs::OpenOptions::new().write(true).open("/dev/tty") {
                Ok(tty) => Output::Terminal(tty),
                Err(_) => Output::Nowhere,
            },
        };
        Status::with(stage, output)
    }

    /// A status whose record goes to `<stage>.json` in `dir`.
    pub fn to_dir(stage: &str, dir: &Path) -> Self {
        Status::with(stage, Output::File(dir.join(format!("{stage}.json"))))
    }

    fn with(stage: &str, output: Output) -> Self {
        let record = Record {
            stage: stage.to_owned(),
            phase: Phase::Fetching,
            step: String::new(),
            done: 0,
            total: None,
            elapsed_s: 0.0,
        };
        let now = Instant::now();
        Status { began: now, inner: Mutex::new(Inner { record, output, phase_began: now, written: None }) }
    }

    /// Enters a phase; counters start again.
    pub fn phase(&self, phase: Phase, total: Option<u64>) {
        self.update(true, |r| {
            r.phase = phase;
            r.step.clear();
            r.done = 0;
            r.total = total;
        });
    }

    /// Steps done so far in this phase.
    pub fn steps_done(&self) -> u64 {
        self.inner.lock().map_or(0, |inner| inner.record.done)
    }

    /// One more step of the build.
    pub fn step(&self, step: &str) {
        self.update(false, |r| {
            r.done += 1;
            r.step = step.to_owned();
        });
    }

    fn update(&self, now: bool, change: impl FnOnce(&mut Record)) {
        let Ok(mut inner) = self.inner.lock() else { return };
        let phase = inner.record.phase;
        change(&mut inner.record);
        if inner.record.phase != phase {
            inner.phase_began = Instant::now();
        }
        if now || inner.written.is_none_or(|w| w.elapsed() >= INTERVAL) {
            // A fetch shows its own rate; everything else the time since the stage began.
            let since = if inner.record.phase == Phase::Fetching { inner.phase_began } else { self.began };
            inner.record.elapsed_s = since.elapsed().as_secs_f64();
            inner.written = Some(Instant::now());
            inner.draw();
        }
    }
}

impl Inner {
    /// Drawing must never fail a build: a full disk shows up in the build itself.
    fn draw(&mut self) {
        match &mut self.output {
            Output::Nowhere => {}
            Output::File(path) => {
                let temp = path.with_extension("tmp");
                if let Ok(text) = serde_json::to_string(&self.record) {
                    let _ = fs::write(&temp, text).and_then(|()| fs::rename(&temp, &*path));
                }
            }
            Output::Terminal(tty) => {
                let end = if self.record.phase.is_end() { "\n" } else { "" };
                let text = format!("{}: {}", self.record.stage, self.record.summary());
                let width =
                    rustix::termios::tcgetwinsize(&*tty).map_or(80, |w| usize::from(w.ws_col).max(20));
                let text: String = text.chars().take(width - 1).collect();
                if self.record.phase != Phase::Cached {
                    let _ = write!(tty, "\r\x1b[K{text}{end}");
                }
            }
        }
    }
}

/// Counts the steps of Kbuild-style output (`  CC      path`) and shows the last one.
impl LineSink for &Status {
    fn line(&mut self, line: &str) {
        if let Some(step) = kbuild_step(line) {
            self.step(&step);
        }
    }
}

/// `  CC [M]  drivers/x.o` is the step `CC drivers/x.o`; other lines are none.
fn kbuild_step(line: &str) -> Option<String> {
    let rest = line.strip_prefix("  ")?;
    let (verb, path) = rest.split_once(' ')?;
    let is_verb = verb.len() >= 2 && verb.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let path = path.trim_start().trim_start_matches("[M]").trim();
    (is_verb && !path.is_empty()).then(|| format!("{verb} {path}"))
}

impl crate::fetch::Progress for Status {
    fn step(&self, step: &str) {
        trace::line(|| format!("fetch: {step}"));
        self.update(true, |r| {
            r.step = step.to_owned();
            r.done = 0;
            r.total = None;
        });
    }

    fn bytes(&self, done: u64, total: Option<u64>) {
        self.update(false, |r| {
            r.done = done;
            r.total = total;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kbuild_lines_are_steps() {
        assert_eq!(kbuild_step("  CC [M]  fs/xfs/xfs_log.o").as_deref(), Some("CC fs/xfs/xfs_log.o"));
        assert_eq!(kbuild_step("  LD      vmlinux").as_deref(), Some("LD vmlinux"));
        assert_eq!(kbuild_step("make: Entering"), None);
        assert_eq!(kbuild_step("  warning: something"), None);
    }

    #[test]
    fn records_reach_the_file() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("s.json");
        let status = Status::with("s", Output::File(path.clone()));
        status.phase(Phase::Building, Some(200));
        for n in 0..100 {
            status.step(&format!("CC {n}.o"));
        }
        status.update(true, |_| {});
        let record: Record = serde_json::from_slice(&fs::read(&path).expect("read")).expect("json");
        assert_eq!((record.done, record.percent(), record.step.as_str()), (100, Some(50), "CC 99.o"));
    }
}
