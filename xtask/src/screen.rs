// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Draws the status records of running stages and steps.
//!
//! On a terminal: one line per running stage. Elsewhere: one plain line per stage every 15 s, and one at its end.
//! With `--verbose` what the stages' scripts say ([`fw_build::trace`]) goes to standard error as it comes.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fs_err as fs;
use fw_build::Result;
use fw_build::status::{Phase, Record, Status, seconds};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::talk;

/// How often records are read.
const POLL: Duration = Duration::from_millis(200);
/// Without a terminal: a line per running stage at this interval.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// The screen: a folder of status records and the thread that draws them.
pub struct Screen {
    dir: tempfile::TempDir,
    began: Instant,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Starts drawing.
    ///
    /// # Errors
    /// No folder for the records can be made.
    pub fn start() -> Result<Screen> {
        let dir = tempfile::Builder::new().prefix("fw-status-").tempdir()?;
        crate::interrupt::removes(dir.path());
        let stop = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let mut drawer: Box<dyn Draw + Send> = if talk::bars() {
            Box::new(Bars { multi: MultiProgress::new(), bars: BTreeMap::new() })
        } else {
            Box::new(Plain { began, last: BTreeMap::new(), quiet: talk::quiet() })
        };
        let (path, stopped) = (dir.path().to_owned(), Arc::clone(&stop));
        let mut trace = if talk::verbose() { Some(Trace::start(dir.path())?) } else { None };
        let thread = std::thread::spawn(move || {
            loop {
                // Read the flag before the records: the last round then sees everything.
                let last = stopped.load(Ordering::Acquire);
                for line in trace.iter_mut().flat_map(Trace::lines) {
                    eprintln!("{line}");
                }
                for record in read_records(&path) {
                    drawer.draw(&record);
                }
                if last {
                    break;
                }
                std::thread::sleep(POLL);
            }
        });
        Ok(Screen { dir, began, stop, thread: Some(thread) })
    }

    /// Folder that `FW_STATUS_DIR` of child processes must name.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A status line for a step of xtask itself.
    pub fn step(&self, name: &str) -> Status {
        Status::to_dir(name, self.dir())
    }

    /// Seconds since the start.
    pub fn elapsed(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A drawing thread that panicked has nothing more to show.
            let _ = thread.join();
        }
    }
}

fn read_records(dir: &Path) -> Vec<Record> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    paths
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .filter_map(|p| serde_json::from_slice(&fs::read(p).ok()?).ok())
        .collect()
}

/// What the stages' scripts say, from the file that they all append to.
struct Trace {
    file: fs::File,
    /// The beginning of a line that is not whole yet.
    rest: Vec<u8>,
}

impl Trace {
    fn start(dir: &Path) -> Result<Trace> {
        let path = dir.join(fw_build::trace::FILE);
        fs::File::create(&path)?;
        Ok(Trace { file: fs::File::open(&path)?, rest: Vec::new() })
    }

    /// The lines that came since the last call.
    fn lines(&mut self) -> Vec<String> {
        // What was read before an error is what there is to show.
        let _ = self.file.read_to_end(&mut self.rest);
        let end = self.rest.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

trait Draw {
    fn draw(&mut self, record: &Record);
}

struct Bars {
    multi: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

impl Draw for Bars {
    fn draw(&mut self, record: &Record) {
        let bar = self.bars.entry(record.stage.clone()).or_insert_with(|| {
            let bar = self.multi.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{spinner} {prefix:18} {elapsed:>4} {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.set_style(style);
            bar.set_prefix(record.stage.clone());
            bar
        });
        if bar.is_finished() {
            return;
        }
        if record.phase.is_end() {
            bar.finish_with_message(record.summary());
        } else {
            bar.set_message(record.summary());
            bar.tick();
        }
    }
}

struct Plain {
    began: Instant,
    last: BTreeMap<String, (Phase, Instant)>,
    quiet: bool,
}

impl Draw for Plain {
    fn draw(&mut self, record: &Record) {
        let due = match self.last.get(&record.stage) {
            Some((phase, _)) if phase.is_end() => false,
            Some((_, when)) => record.phase.is_end() || when.elapsed() >= PLAIN_INTERVAL,
            None => true,
        };
        if due && !self.quiet {
            self.last.insert(record.stage.clone(), (record.phase, Instant::now()));
            eprintln!(
                "[{:>7}] {:18} {}",
                seconds(self.began.elapsed().as_secs_f64()),
                record.stage,
                record.summary()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_say_comes_in_whole_lines() {
        let dir = tempfile::tempdir().expect("folder");
        let mut trace = Trace::start(dir.path()).expect("started");
        let path = dir.path().join(fw_build::trace::FILE);
        fs::write(&path, "dtb: $ cc\ndtb: hal").expect("written");
        assert_eq!(trace.lines(), ["dtb: $ cc"]);
        fs::write(&path, "dtb: $ cc\ndtb: half\n").expect("written");
        assert_eq!(trace.lines(), ["dtb: half"]);
        assert_eq!(trace.lines(), [""; 0]);
    }
}
