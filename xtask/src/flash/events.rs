// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `flash --json` prints: one JSON object per line, described by `docs/flash.schema.json`; a test holds runs
//! against it. Everything for people then goes to standard error.

use std::fmt::Display;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use flasher::progress::{Phase, Progress};
use fw_build::Failure;
use serde::Serialize;

/// Version of the form; grows when a reader of the old one would misunderstand a new one.
const SCHEMA_VERSION: u32 = 1;

/// A line of the output. All numbers of bytes count from the start of the image.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// What will be written, and to what; nothing was written yet.
    Plan {
        /// Version of the form.
        schema_version: u32,
        /// The image.
        image: ImagePlan,
        /// The medium.
        medium: MediumPlan,
        /// So much an interrupted run has written; it is compared first.
        resume_bytes: u64,
    },
    /// Where the run is: at each change of the phase that is seen, and every second.
    Progress(State),
    /// All of the image was read back from the medium and is right.
    Verified {
        /// Size of the image.
        verified_bytes: u64,
        /// SHA-256 of the image.
        raw_sha256: String,
        /// Written now.
        written_bytes: u64,
        /// Found on the medium as the image has it.
        kept_bytes: u64,
        /// Given back to the medium.
        discarded_bytes: u64,
        /// MiB that read back wrong and were written twice.
        rewritten_chunks: u64,
    },
    /// The last line, whatever happened.
    End {
        /// How the run ended.
        result: Ending,
        /// What the process ends with.
        exit_code: i32,
        /// Where it ended: in what state the medium is.
        #[serde(flatten)]
        state: State,
        /// The same in words; empty where no medium was found.
        words: Vec<String>,
        /// Only of a run that failed.
        error: Option<Trouble>,
    },
}

/// Image of a plan.
#[derive(Debug, Serialize)]
pub struct ImagePlan {
    /// Its file.
    pub path: String,
    /// Size on the medium.
    pub raw_bytes: u64,
    /// SHA-256 of what is on the medium afterwards.
    pub raw_sha256: String,
    /// From the `.map.json` beside it.
    pub board: Option<String>,
    /// From the `.map.json` beside it.
    pub kernel_release: Option<String>,
    /// What `inspect` says in a line.
    pub summary: String,
}

/// Medium of a plan.
#[derive(Debug, Serialize)]
pub struct MediumPlan {
    /// Its path, links resolved.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// How it is connected; `file` for a regular file.
    pub bus: String,
    /// Maker and model; empty where not known.
    pub model: String,
    /// Serial number; empty where not known.
    pub serial: String,
}

/// Counters of a run.
#[derive(Debug, Serialize)]
pub struct State {
    phase: &'static str,
    total_bytes: u64,
    written_bytes: u64,
    verified_bytes: u64,
    discarded_bytes: u64,
}

impl State {
    fn of(progress: &Progress) -> State {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        State {
            phase: match progress.phase() {
                Phase::Untouched => "untouched",
                Phase::Clearing => "clearing",
                Phase::Discarding => "discarding",
                Phase::Body => "body",
                Phase::Head => "head",
                Phase::Complete => "complete",
            },
            total_bytes: load(&progress.total_bytes),
            written_bytes: load(&progress.written_bytes),
            verified_bytes: load(&progress.verified_bytes),
            discarded_bytes: load(&progress.discarded_bytes),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The image is on the medium.
    Done,
    /// The question was answered with something else.
    Declined,
    /// A signal came.
    Interrupted,
    /// See the error.
    Failed,
}

/// A failure in its three parts.
#[derive(Debug, Serialize)]
pub struct Trouble {
    what: String,
    why: Vec<String>,
    hints: Vec<String>,
}

impl Event {
    /// The plan.
    pub fn plan(image: ImagePlan, medium: MediumPlan, resume_bytes: u64) -> Event {
        Event::Plan { schema_version: SCHEMA_VERSION, image, medium, resume_bytes }
    }
}

/// For whom standard output is.
#[derive(Debug)]
enum Reader {
    People,
    /// Programs; `true` once the last line was printed.
    Programs(Mutex<bool>),
}

/// Where a run talks.
#[derive(Debug)]
pub struct Voice(Reader);

impl Voice {
    /// Events on standard output, or words.
    pub fn new(json: bool) -> Voice {
        Voice(if json { Reader::Programs(Mutex::new(false)) } else { Reader::People })
    }

    /// A line for people: on standard output, unless that is for programs.
    pub fn line(&self, text: impl Display) {
        match self.0 {
            Reader::People => println!("{text}"),
            Reader::Programs(_) => eprintln!("{text}"),
        }
    }

    /// A line for programs.
    pub fn event(&self, event: &Event) {
        let Reader::Programs(ended) = &self.0 else { return };
        let Ok(mut ended) = ended.lock() else { return };
        if *ended {
            return;
        }
        *ended = matches!(event, Event::End { .. });
        if let Ok(text) = serde_json::to_string(event) {
            let mut out = std::io::stdout().lock();
            // A reader that goes away does not end the writing of a card halfway.
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        }
    }

    /// Where the run is.
    pub fn progress(&self, progress: &Progress) {
        self.event(&Event::Progress(State::of(progress)));
    }

    /// The last line. `medium` is its path, where it was found.
    pub fn end(
        &self,
        result: Ending,
        exit_code: i32,
        progress: &Progress,
        medium: Option<&str>,
        failure: Option<&Failure>,
    ) {
        let error = failure.map(|f| Trouble {
            what: f.what().to_owned(),
            why: f.reasons().to_vec(),
            hints: f.hints().to_vec(),
        });
        let words = medium.map(|m| progress.state(m)).unwrap_or_default();
        self.event(&Event::End { result, exit_code, state: State::of(progress), words, error });
    }
}
