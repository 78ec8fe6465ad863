// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Progress of a run: a bar on a terminal, lines elsewhere; with `--json` events, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flasher::progress::{Phase, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use super::Run;
use crate::talk;

const POLL: Duration = Duration::from_millis(200);
const EVENT_INTERVAL: Duration = Duration::from_secs(1);

/// Draws until it is dropped.
pub struct Screen {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Starts drawing.
    pub fn start(run: &Arc<Run>) -> Screen {
        let stop = Arc::new(AtomicBool::new(false));
        let (run, stopped) = (Arc::clone(run), Arc::clone(&stop));
        let bar = talk::bars().then(|| {
            let bar = ProgressBar::new(1);
            if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {msg}") {
                bar.set_style(style);
            }
            bar
        });
        let thread = std::thread::spawn(move || {
            let progress = &run.progress;
            let (mut pace, mut last_line) = (Pace::default(), Instant::now());
            let mut last_event = None;
            while !stopped.load(Ordering::Acquire) {
                std::thread::sleep(POLL);
                let phase = progress.phase();
                if last_event
                    .is_none_or(|(p, at): (Phase, Instant)| p != phase || at.elapsed() >= EVENT_INTERVAL)
                {
                    last_event = Some((phase, Instant::now()));
                    run.voice.progress(progress);
                }
                let line = pace.line(progress, Instant::now());
                match &bar {
                    Some(bar) => {
                        bar.set_length(progress.total_bytes.load(Ordering::Relaxed));
                        bar.set_position(progress.verified_bytes.load(Ordering::Relaxed));
                        bar.set_message(line);
                    }
                    None if !talk::quiet() && last_line.elapsed() >= talk::line_interval() => {
                        last_line = Instant::now();
                        eprintln!("{line}");
                    }
                    None => {}
                }
            }
            run.voice.progress(progress);
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        });
        Screen { stop, thread: Some(thread) }
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

/// Rate and time left, from the beginning of the body on.
#[derive(Default)]
struct Pace {
    body_began: Option<Instant>,
}

impl Pace {
    fn line(&mut self, progress: &Progress, now: Instant) -> String {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let total = load(&progress.total_bytes);
        match progress.phase() {
            Phase::Untouched | Phase::Clearing => "clearing both ends".to_owned(),
            Phase::Discarding => {
                format!("giving back old content: {} MiB", load(&progress.discarded_bytes) >> 20)
            }
            Phase::Head | Phase::Complete => "writing the first MiB, the last step".to_owned(),
            Phase::Body => {
                let began = *self.body_began.get_or_insert(now);
                let (written, verified) = (load(&progress.written_bytes), load(&progress.verified_bytes));
                let seconds = now.duration_since(began).as_secs_f64();
                let counts =
                    format!("{} of {} MiB written, {} read back", written >> 20, total >> 20, verified >> 20);
                // The first second says little.
                if seconds < 1.0 || verified == 0 {
                    return counts;
                }
                let rate = verified as f64 / seconds;
                let left = (total.saturating_sub(verified)) as f64 / rate;
                let (minutes, rest) = (left as u64 / 60, left as u64 % 60);
                format!("{counts}; {:.1} MB/s, {minutes}:{rest:02} left", rate / 1e6)
            }
        }
    }
}
