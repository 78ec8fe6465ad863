// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Ctrl-C, SIGTERM and SIGHUP do: say in what state things are, and go. Children die with us.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fw_build::{Failure, Result};

/// 128 + SIGINT, as shells report it.
pub const INTERRUPTED: i32 = 130;

/// Temporary folders to remove on the way out.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// What a verb does instead that has more to say than the handler; called at every signal.
type Verb = Box<dyn Fn() + Send>;
static VERB: Mutex<Option<Verb>> = Mutex::new(None);

/// Installs the handler.
///
/// # Errors
/// The system refuses it.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        if let Ok(verb) = VERB.lock()
            && let Some(verb) = verb.as_ref()
        {
            return verb();
        }
        tidy();
        eprintln!("\nerror: interrupted\n  nothing half-written is trusted: results are published when they are complete");
        eprintln!("hint: run the same command again, it carries on with what is finished");
        std::process::exit(INTERRUPTED);
    })
    .map_err(|e| Failure::new("cannot catch signals").why(e))
}

/// Removes what was announced with [`removes`].
pub fn tidy() {
    if let Ok(folders) = FOLDERS.lock() {
        for folder in folders.iter() {
            // Nothing depends on it; what is left in the temporary folder the system removes some day.
            let _ = fs_err::remove_dir_all(folder);
        }
    }
}

/// Removes this folder, too, when interrupted.
pub fn removes(folder: &Path) {
    if let Ok(mut folders) = FOLDERS.lock() {
        folders.push(folder.to_owned());
    }
}

/// Until the guard is dropped, a signal calls this and does not end the process.
#[must_use = "dropping the guard gives signals their usual meaning again"]
pub fn calls(verb: impl Fn() + Send + 'static) -> Guard {
    set(Some(Box::new(verb)));
    Guard(())
}

/// See [`calls`].
#[derive(Debug)]
pub struct Guard(());

impl Drop for Guard {
    fn drop(&mut self) {
        set(None);
    }
}

fn set(verb: Option<Verb>) {
    if let Ok(mut place) = VERB.lock() {
        *place = verb;
    }
}
