// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the store holds, and what of it can go: nothing is lost that a build would not make or fetch again.

use std::collections::HashSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;

use super::{RECORD_FILE, Store};
use crate::failure::Result;

/// Room on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files and folders directly in the part.
    pub count: usize,
    /// Allocated bytes; a file with two names counts once.
    pub size_bytes: u64,
}

/// Why something can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A build folder whose builder failed or was killed.
    Abandoned,
    /// A result that is neither the newest of its stage nor young, or one that cannot be read.
    Superseded,
    /// A source tree with its objects, which makes the next build of a kernel a short one.
    Objects,
    /// What a build fetches or compiles again.
    Cache,
}

/// Something that can go.
#[derive(Debug, Clone)]
pub struct Removable {
    /// The folder.
    pub dir: PathBuf,
    /// Why.
    pub reason: Reason,
    /// Allocated bytes.
    pub size_bytes: u64,
    lock: Option<String>,
}

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Results younger than this stay.
    pub min_age: Duration,
    /// Also warm trees and Go's caches.
    pub caches: bool,
}

impl Store {
    /// Room that a part takes, by the name of its folder; nothing where it is absent.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn usage(&self, part: &str) -> Result<Usage> {
        let dir = self.root.join(part);
        Ok(Usage { count: names(&dir)?.len(), size_bytes: allocated(&dir) })
    }

    /// What can go now. Whatever a running build holds a lock of is left out.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn removable(&self, wanted: Wanted) -> Result<Vec<Removable>> {
        let mut found = Vec::new();
        for name in names(&self.root.join("work"))? {
            self.offer(&mut found, "work", &name, Reason::Abandoned, Some(name.clone()))?;
        }
        for name in self.superseded(wanted.min_age)? {
            self.offer(&mut found, "stage", &name, Reason::Superseded, Some(name.clone()))?;
        }
        if wanted.caches {
            for name in names(&self.root.join("warm"))? {
                self.offer(&mut found, "warm", &name, Reason::Objects, Some(format!("warm-{name}")))?;
            }
            // Go's client takes locks of its own: its folders can go only where no build runs at all.
            if self.builders()?.is_empty() {
                for name in names(&self.root.join("go"))? {
                    self.offer(&mut found, "go", &name, Reason::Cache, None)?;
                }
            }
        }
        Ok(found)
    }

    /// Removes it; `false` if a build has taken it meanwhile.
    ///
    /// # Errors
    /// Something in it cannot be removed.
    pub fn remove(&self, item: &Removable) -> Result<bool> {
        let _lock = match &item.lock {
            None => None,
            Some(name) => match self.try_lock(name)? {
                Some(lock) => Some(lock),
                None => return Ok(false),
            },
        };
        // Go writes folders in which nobody may remove a file.
        make_writable(&item.dir)?;
        super::remove_dir_if_there(&item.dir)?;
        Ok(true)
    }

    /// Names of the locks that a process holds now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn builders(&self) -> Result<Vec<String>> {
        let mut held = Vec::new();
        for file in names(&self.root.join("lock"))? {
            let Some(name) = file.strip_suffix(".lock") else { continue };
            if self.try_lock(name)?.is_none() {
                held.push(name.to_owned());
            }
        }
        Ok(held)
    }

    fn offer(
        &self,
        found: &mut Vec<Removable>,
        part: &str,
        name: &str,
        reason: Reason,
        lock: Option<String>,
    ) -> Result<()> {
        if let Some(lock) = &lock
            && self.try_lock(lock)?.is_none()
        {
            return Ok(());
        }
        let dir = self.root.join(part).join(name);
        let size_bytes = allocated(&dir);
        found.push(Removable { dir, reason, size_bytes, lock });
        Ok(())
    }

    /// Folders of results that are old and not the newest of their stage. The newest stays whatever its age: the
    /// next build asks for it.
    fn superseded(&self, min_age: Duration) -> Result<Vec<String>> {
        let mut newest = HashSet::new();
        for file in names(&self.root.join("last"))? {
            if let Some(entry) = file.strip_suffix(".json").and_then(|stage| self.last(stage)) {
                newest.insert(entry.dir);
            }
        }
        let mut old = Vec::new();
        for name in names(&self.root.join("stage"))? {
            let dir = self.root.join("stage").join(&name);
            // The time of the last change to its node: the other one is the same for all results.
            let meta = fs::metadata(dir.join(RECORD_FILE)).or_else(|_| fs::metadata(&dir))?;
            let made = SystemTime::UNIX_EPOCH + Duration::from_secs(meta.ctime().max(0).unsigned_abs());
            let age = SystemTime::now().duration_since(made).unwrap_or_default();
            if !newest.contains(&dir) && age >= min_age {
                old.push(name);
            }
        }
        Ok(old)
    }
}

/// Sorted names of what lies in a folder; none where there is no folder.
fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Bytes on the disk; what cannot be read counts as nothing.
fn allocated(dir: &Path) -> u64 {
    /// `st_blocks` counts in this unit, whatever the file system's blocks are.
    const BLOCK_BYTES: u64 = 512;
    let (mut size_bytes, mut seen, mut open) = (0, HashSet::new(), vec![dir.to_owned()]);
    while let Some(path) = open.pop() {
        // A build that runs removes files while they are counted.
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            open.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|e| e.path()));
        } else if meta.nlink() > 1 && !seen.insert((meta.dev(), meta.ino())) {
            continue;
        }
        size_bytes += meta.blocks() * BLOCK_BYTES;
    }
    size_bytes
}

fn make_writable(dir: &Path) -> Result<()> {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let meta = match fs::symlink_metadata(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if !meta.is_dir() {
            continue;
        }
        if meta.permissions().mode() & 0o700 != 0o700 {
            fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700))?;
        }
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyInputs;
    use crate::store::{Built, Entry};

    const ALL: Wanted = Wanted { min_age: Duration::ZERO, caches: true };

    fn place() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::at(dir.path()).expect("store");
        (dir, store)
    }

    fn result(store: &Store, value: &str) -> Entry {
        let mut inputs = KeyInputs::default();
        inputs.add("x", value).expect("once");
        let outputs = [("file".to_owned(), PathBuf::from("f"))];
        let build = |work: &Path| {
            fs::write(work.join("out/f"), value)?;
            Ok(Built::default())
        };
        store.ensure("s", &inputs, &outputs, || (), build).expect("built").0
    }

    fn found(store: &Store, wanted: Wanted) -> Vec<(Reason, PathBuf)> {
        let items = store.removable(wanted).expect("readable");
        items.into_iter().map(|item| (item.reason, item.dir)).collect()
    }

    #[test]
    fn the_newest_result_stays_and_so_do_young_ones() {
        let (_dir, store) = place();
        let (old, new) = (result(&store, "1"), result(&store, "2"));
        assert_eq!(found(&store, ALL), [(Reason::Superseded, old.dir.clone())]);
        assert_eq!(found(&store, Wanted { min_age: Duration::from_secs(3600), ..ALL }), []);
        // A damaged one is of no use, but the stage's next builder may be at work on it: its age decides, too.
        fs::write(new.dir.join(RECORD_FILE), "{").expect("damaged");
        assert_eq!(found(&store, ALL), [(Reason::Superseded, new.dir)]);
        for item in store.removable(ALL).expect("readable") {
            assert!(store.remove(&item).expect("removed"));
        }
        assert_eq!(found(&store, ALL), []);
        assert!(old.dir.join("f").exists(), "the only whole result of the stage");
    }

    #[test]
    fn what_a_build_holds_stays() {
        let (_dir, store) = place();
        for folder in ["work/s-1", "work/s-2", "warm/s-1", "warm/s-2", "go/mod"] {
            fs::create_dir_all(store.root().join(folder)).expect("folder");
        }
        let items = store.removable(ALL).expect("readable");
        assert_eq!(items.len(), 5);
        assert_eq!(store.removable(Wanted { caches: false, ..ALL }).expect("readable").len(), 2);
        let locks = ["s-2", "warm-s-1"].map(|name| store.lock(name, || ()).expect("free"));
        assert_eq!(store.builders().expect("readable"), ["s-2", "warm-s-1"]);
        let path = |name: &str| store.root().join(name);
        assert_eq!(
            found(&store, ALL),
            [(Reason::Abandoned, path("work/s-1")), (Reason::Objects, path("warm/s-2"))]
        );
        let left: Vec<bool> = items.iter().map(|item| store.remove(item).expect("no error")).collect();
        assert_eq!(left, [true, false, false, true, true]);
        assert!(path("work/s-2").exists() && path("warm/s-1").exists());
        drop(locks);
        assert_eq!(store.builders().expect("readable"), Vec::<String>::new());
    }

    #[test]
    fn go_s_folders_can_be_removed_by_their_owner() {
        let (_dir, store) = place();
        let module = store.root().join("go/mod/m@v1");
        fs::create_dir_all(&module).expect("folder");
        fs::write(module.join("f"), "").expect("file");
        fs::set_permissions(&module, std::fs::Permissions::from_mode(0o555)).expect("mode");
        let items = store.removable(ALL).expect("readable");
        assert!(store.remove(&items[0]).expect("removed"));
        assert_eq!(store.usage("go").expect("readable").count, 0);
    }

    #[test]
    fn room_is_counted_once_for_two_names() {
        let (_dir, store) = place();
        assert_eq!(store.usage("absent").expect("nothing"), Usage::default());
        let (one, two) = (store.root().join("src/one"), store.root().join("src/two"));
        fs::write(&one, vec![1; 1 << 20]).expect("file");
        fs::hard_link(&one, &two).expect("second name");
        let usage = store.usage("src").expect("readable");
        assert_eq!(usage.count, 2);
        assert!((1 << 20..3 << 19).contains(&usage.size_bytes), "{usage:?}");
    }
}
