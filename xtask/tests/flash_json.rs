// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `flash --json` prints, held against its schema: runs that end well, fail, are interrupted, and lose their
//! reader.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Takes the writer some seconds; both files are holes but for their first bytes.
const LONG_BYTES: u64 = 768 << 20;

fn schema() -> Value {
    serde_json::from_str(include_str!("../../docs/flash.schema.json")).expect("JSON")
}

/// A folder with an image and a card of these sizes.
fn folder(image_bytes: u64, card_bytes: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    for (name, bytes) in [("x.raw", image_bytes), ("card", card_bytes)] {
        std::fs::write(dir.path().join(name), name).expect("file");
        let file = std::fs::File::options().write(true).open(dir.path().join(name)).expect("file");
        file.set_len(bytes).expect("size");
    }
    dir
}

fn flash(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["flash", "x.raw", "card", "--file", "--yes", "--allow-unbootable", "--json"]);
    command.current_dir(folder).env("XDG_STATE_HOME", folder).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// More than the distance of two entries in the journal.
const JOURNALED_BYTES: u64 = 64 << 20;

/// The events so far, each of the schema's form, and how the process ended. `each` sees each one as it comes.
fn events(mut command: Command, mut each: impl FnMut(&Value, &Child)) -> (Vec<Value>, ExitStatus) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let mut events = Vec::new();
    for line in out.lines() {
        let line = line.expect("text");
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        image_tests::schema::check(&event, &schema()).expect("of the schema's form");
        each(&event, &child);
        events.push(event);
    }
    (events, child.wait().expect("ended"))
}

fn names(events: &[Value]) -> Vec<&str> {
    let mut names: Vec<_> = events.iter().map(|e| e["event"].as_str().expect("a name")).collect();
    names.dedup();
    names
}

fn body(event: &Value) -> bool {
    event["event"] == "progress"
        && event["phase"] == "body"
        && event["verified_bytes"].as_u64() > Some(JOURNALED_BYTES)
}

#[test]
fn a_run_that_ends_well() {
    let dir = folder(3 << 20, 4 << 20);
    let (events, status) = events(flash(dir.path()), |_, _| ());
    assert_eq!(names(&events), ["plan", "progress", "verified", "end"]);
    assert_eq!(status.code(), Some(0));
    let [plan, .., progress, verified, end] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&plan["image"]["raw_bytes"], &plan["medium"]["bus"]), (&(3 << 20).into(), &"file".into()));
    assert_eq!(verified["raw_sha256"], plan["image"]["raw_sha256"]);
    for event in [progress, end] {
        assert_eq!((&event["phase"], &event["verified_bytes"]), (&"complete".into(), &(3 << 20).into()));
    }
    assert_eq!((&end["result"], &end["exit_code"]), (&"done".into(), &0.into()));
}

#[test]
fn a_signal_at_the_very_end_does_not_take_the_last_line() {
    // When it comes is a matter of luck, hence often.
    for _ in 0..20 {
        let dir = folder(3 << 20, 4 << 20);
        let (events, status) = events(flash(dir.path()), |event, child| {
            if event["event"] != "plan" {
                kill_process(Pid::from_child(child), Signal::INT).expect("alive");
            }
        });
        let end = events.last().expect("an end");
        assert_eq!((&end["event"], &end["exit_code"]), (&"end".into(), &status.code().into()), "{end}");
    }
}

#[test]
fn a_refusal_is_an_end_too() {
    let dir = folder(3 << 20, 2 << 20);
    let (events, status) = events(flash(dir.path()), |_, _| ());
    assert_eq!((names(&events), status.code()), (vec!["end"], Some(1)));
    let end = &events[0];
    assert_eq!((&end["result"], &end["phase"]), (&"failed".into(), &"untouched".into()));
    let error = end["error"].to_string();
    assert!(error.contains("the image is not written") && error.contains("use a larger medium"), "{end}");
}

#[test]
fn a_failure_halfway_says_what_is_on_the_medium() {
    let dir = folder(LONG_BYTES, LONG_BYTES + (4 << 20));
    let image = dir.path().join("x.raw");
    let (events, status) = events(flash(dir.path()), |event, _| {
        if body(event) {
            // Somebody replaces the image while it is written.
            let file = std::fs::File::options().write(true).open(&image).expect("image");
            file.set_len(1 << 20).expect("cut");
        }
    });
    let end = events.last().expect("an end");
    assert_eq!((&end["result"], &end["phase"]), (&"failed".into(), &"body".into()), "{end}");
    assert_eq!((status.code(), &end["exit_code"]), (Some(1), &1.into()));
    assert!(end["error"]["why"][0].as_str().is_some_and(|w| w.contains("changed")), "{end}");
    assert!(end["words"][0].as_str().is_some_and(|w| w.contains("a part of the image")), "{end}");
}

#[test]
fn an_interrupted_run_says_where_it_ended_and_the_next_one_resumes() {
    let dir = folder(LONG_BYTES, LONG_BYTES + (4 << 20));
    let (first, status) = events(flash(dir.path()), |event, child| {
        if body(event) {
            kill_process(Pid::from_child(child), Signal::INT).expect("alive");
        }
    });
    assert_eq!(names(&first), ["plan", "progress", "end"]);
    let end = first.last().expect("an end");
    assert_eq!((&end["result"], &end["phase"]), (&"interrupted".into(), &"body".into()), "{end}");
    assert_eq!((status.code(), &end["exit_code"]), (Some(130), &130.into()));
    assert!(end["error"].is_null() && end["verified_bytes"].as_u64() > Some(0), "{end}");

    let (second, _) = events(flash(dir.path()), |event, child| {
        if event["event"] == "plan" {
            kill_process(Pid::from_child(child), Signal::INT).expect("alive");
        }
    });
    assert!(second[0]["resume_bytes"].as_u64() > Some(0), "{}", second[0]);
}

#[test]
fn a_signal_before_the_writing_leaves_the_medium_untouched_and_says_so() {
    let dir = folder(LONG_BYTES, LONG_BYTES + (4 << 20));
    let mut command = flash(dir.path());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    // The image is read to its end first.
    let mut words = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    words.read_line(&mut line).expect("text");
    assert!(line.starts_with("checking"), "{line}");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("alive");
    let out = child.wait_with_output().expect("ended");
    let end: Value = serde_json::from_slice(&out.stdout).expect("one event");
    image_tests::schema::check(&end, &schema()).expect("of the schema's form");
    assert_eq!((&end["result"], &end["phase"]), (&"interrupted".into(), &"untouched".into()), "{end}");
    assert_eq!(out.status.code(), Some(130));
    let mut start = [0; 4];
    let mut card = std::fs::File::open(dir.path().join("card")).expect("card");
    card.read_exact(&mut start).expect("read");
    assert_eq!(&start, b"card");
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_writing() {
    let dir = folder(3 << 20, 4 << 20);
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let status = flash(dir.path()).stdout(writer).status().expect("ran");
    assert_eq!(status.code(), Some(0));
    assert!(std::fs::read(dir.path().join("card")).expect("card").starts_with(b"x.raw"));
}
