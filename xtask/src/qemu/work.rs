// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The folder for the decompressed image and the layers over it.
//!
//! It is removed at the end of the run. A run that was killed leaves its folder; the next one removes it,
//! told from a folder in use by the lock that the system drops with its owner.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use fs_err::File;
use fw_build::Result;

const PREFIX: &str = "rehearsal-";

/// A folder of our own, gone when dropped.
#[derive(Debug)]
pub struct Work {
    dir: PathBuf,
    _lock: File,
}

impl Work {
    /// Makes the folder in `parent`, and removes what killed runs left there.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(parent: &Path) -> Result<Work> {
        fs_err::create_dir_all(parent)?;
        remove_abandoned(parent)?;
        let dir = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs_err::create_dir(&dir)?;
        let lock = File::create(lock_path(&dir))?;
        lock.file().lock()?;
        Ok(Work { dir, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Nothing more can be done about it here; the next run tries again.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

fn remove_abandoned(parent: &Path) -> Result<()> {
    for entry in fs_err::read_dir(parent)? {
        let dir = entry?.path();
        let ours = dir.file_name().is_some_and(|n| n.to_string_lossy().starts_with(PREFIX));
        // A folder without lock file was killed before it had one, or is being made right now: leave it
        // alone unless it can be removed as empty.
        let Ok(lock) = std::fs::File::open(lock_path(&dir)) else {
            if ours {
                let _ = std::fs::remove_dir(&dir);
            }
            continue;
        };
        match lock.try_lock() {
            Ok(()) if ours => fs_err::remove_dir_all(&dir)?,
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_at_the_end_and_after_a_kill_but_not_while_in_use() {
        let parent = tempfile::tempdir().expect("folder");
        let abandoned = parent.path().join("rehearsal-1");
        fs_err::create_dir(&abandoned).expect("folder");
        fs_err::write(lock_path(&abandoned), "").expect("lock");
        let in_use = parent.path().join("rehearsal-2");
        fs_err::create_dir(&in_use).expect("folder");
        let lock = std::fs::File::create(lock_path(&in_use)).expect("lock");
        lock.lock().expect("locked");
        let foreign = parent.path().join("stage-1");
        fs_err::create_dir(&foreign).expect("folder");

        let work = Work::new(parent.path()).expect("made");
        let path = work.path().to_owned();
        assert!(path.is_dir() && !abandoned.exists() && in_use.exists() && foreign.exists());
        drop(work);
        assert!(!path.exists());
    }
}
