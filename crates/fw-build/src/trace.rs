// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `--verbose` shows: every command as it is started, the lines it prints, and what store and fetcher decide.
//!
//! A process says nothing before it is told where to. xtask talks on standard error. A stage's script, whose two
//! outputs cargo keeps, appends to a file beside its status record; that the file is there is the switch, so no
//! variable changes what cargo or a key sees.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

/// Name of the file in the folder of the status records; xtask makes it where it wants to hear.
pub const FILE: &str = "trace.txt";

enum Out {
    Stderr,
    File { file: File, who: String },
}

static OUT: Mutex<Option<Out>> = Mutex::new(None);

/// From here on on standard error.
pub fn to_stderr() {
    set(Out::Stderr);
}

/// From here on into the file in the folder of status records, each line with `who` in front. Without the file
/// nobody listens, and nothing changes.
pub fn to_folder(dir: &Path, who: &str) {
    if let Ok(file) = OpenOptions::new().append(true).open(dir.join(FILE)) {
        set(Out::File { file, who: who.to_owned() });
    }
}

fn set(out: Out) {
    if let Ok(mut place) = OUT.lock() {
        *place = Some(out);
    }
}

/// Whether anybody listens.
#[must_use]
pub fn on() -> bool {
    OUT.lock().is_ok_and(|out| out.is_some())
}

/// Says a line, which is made only where somebody listens.
pub fn line(text: impl FnOnce() -> String) {
    let Ok(mut out) = OUT.lock() else { return };
    match out.as_mut() {
        None => {}
        Some(Out::Stderr) => eprintln!("{}", text()),
        Some(Out::File { file, who }) => {
            // One write per line: several scripts append at the same time. A full disk shows in the build itself.
            let _ = file.write_all(format!("{who}: {}\n", text()).as_bytes());
        }
    }
}
