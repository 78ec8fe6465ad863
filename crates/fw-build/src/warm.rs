// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A source tree that keeps its objects from one build of a stage to the next.
//!
//! A lineage is everything in a stage's key but the inputs that the stage's own build system tracks (for the kernel:
//! its configuration). Builds of one lineage share a tree, so that a changed option compiles what depends on it and
//! nothing else. The tree decides how long a build takes and must not decide what it makes: results stay keyed by
//! all inputs, and `cargo xtask kconfig prove-warm` compares one made warm with one made cold byte for byte.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::failure::{Failure, Result};
use crate::key::Key;
use crate::store::{Lock, Store, remove_dir_if_there};

/// Free space, in bytes, that `FW_WARM=auto` wants beside a tree before it makes one: the kernel's tree with debug
/// information takes up to 10 GiB, and the build itself must not fill the disk.
const AUTO_FREE_BYTES: u64 = 30 << 30;

/// Present in a folder whose tree is whole: sources unpacked and patched, no builder killed in it.
const READY: &str = "ready";

/// What `FW_WARM` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Keep a tree where the disk has room (the default).
    Auto,
    /// Keep a tree.
    On,
    /// Build in a fresh tree and leave none.
    Off,
}

impl Keep {
    /// Reads `FW_WARM`.
    ///
    /// # Errors
    /// A value that is none of the three.
    pub fn from_env() -> Result<Keep> {
        match std::env::var("FW_WARM").unwrap_or_default().as_str() {
            "" | "auto" => Ok(Keep::Auto),
            "on" => Ok(Keep::On),
            "off" => Ok(Keep::Off),
            other => Err(Failure::new(format!("`FW_WARM={other}` is not known")).why("known: auto, on, off")),
        }
    }
}

/// The tree of one lineage, held against other builders until it is dropped.
pub struct WarmTree {
    dir: PathBuf,
    /// Objects of an earlier build lie in it.
    pub has_objects: bool,
    _lock: Lock,
}

impl WarmTree {
    /// Takes the tree of a lineage; `None` where none is to be kept. `waiting` is called if a builder holds it.
    ///
    /// Trees of other lineages of the stage go: a new compiler or source has no use for their objects.
    ///
    /// # Errors
    /// The store cannot be read or locked.
    pub fn open(
        store: &Store,
        stage: &str,
        lineage: &Key,
        keep: Keep,
        waiting: impl FnOnce(),
    ) -> Result<Option<WarmTree>> {
        let base = store.root().join("warm");
        let name = format!("{stage}-{}", lineage.folder());
        let dir = base.join(&name);
        if keep == Keep::Off || (keep == Keep::Auto && !dir.join(READY).exists() && !has_room(store.root())?)
        {
            return Ok(None);
        }
        fs::create_dir_all(&base)?;
        let lock = store.lock(&format!("warm-{name}"), waiting)?;
        for entry in fs::read_dir(&base)? {
            let other = entry?.file_name().to_string_lossy().into_owned();
            // The lineage is 16 digits: `linux` must not take the trees of `linux-next`.
            let of_stage =
                other.strip_prefix(stage).and_then(|r| r.strip_prefix('-')).is_some_and(|r| r.len() == 16);
            if of_stage && other != name && store.try_lock(&format!("warm-{other}"))?.is_some() {
                remove_dir_if_there(&base.join(&other))?;
            }
        }
        let has_objects = dir.join(READY).exists();
        if !has_objects {
            remove_dir_if_there(&dir)?;
            fs::create_dir_all(&dir)?;
        }
        Ok(Some(WarmTree { dir, has_objects, _lock: lock }))
    }

    /// Folder of the sources.
    pub fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// Runs `work` in the tree. Whoever is killed inside leaves a tree that the next builder throws away; a command
    /// that fails does not, because `make` removes what it had not finished.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn enter<T>(&self, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let ready = self.dir.join(READY);
        match fs::remove_file(&ready) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let result = work(&self.tree());
        fs::write(&ready, "")?;
        result
    }
}

fn has_room(dir: &Path) -> Result<bool> {
    let stat = rustix::fs::statvfs(dir).map_err(|e| Failure::from(std::io::Error::from(e)))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize) >= AUTO_FREE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyInputs;

    fn lineage(value: &str) -> Key {
        let mut inputs = KeyInputs::default();
        inputs.add("x", value).expect("once");
        inputs.key()
    }

    fn open(store: &Store, stage: &str, value: &str) -> WarmTree {
        WarmTree::open(store, stage, &lineage(value), Keep::On, || ()).expect("opens").expect("kept")
    }

    #[test]
    fn a_tree_is_kept_and_one_of_a_killed_builder_is_not() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::at(dir.path()).expect("store");
        let first = open(&store, "s", "1");
        assert!(!first.has_objects);
        first
            .enter(|tree| {
                fs::create_dir_all(tree)?;
                fs::write(tree.join("o"), "object")?;
                Ok(())
            })
            .expect("built");
        let path = first.tree().join("o");
        drop(first);
        let second = open(&store, "s", "1");
        assert!(second.has_objects && path.exists());
        let failed: Result<()> = second.enter(|_| Err(Failure::new("a compiler error")));
        assert!(failed.is_err());
        drop(second);
        let third = open(&store, "s", "1");
        assert!(third.has_objects, "an ordinary failure keeps the tree");
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _: Result<()> = third.enter(|_| panic!("stands in for a killed builder"));
        }));
        assert!(killed.is_err());
        drop(third);
        assert!(!open(&store, "s", "1").has_objects);
        assert!(!path.exists());
    }

    #[test]
    fn another_lineage_takes_the_place_and_other_stages_stay() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::at(dir.path()).expect("store");
        let make = |stage: &str, value: &str| {
            let tree = open(&store, stage, value);
            tree.enter(|t| Ok(fs::create_dir_all(t)?)).expect("made");
            tree.tree()
        };
        let (a, longer) = (make("s", "1"), make("s-more", "1"));
        let b = make("s", "2");
        assert!(!a.exists() && b.exists() && longer.exists());
        let held = open(&store, "s", "2");
        let c = make("s", "3");
        assert!(c.exists() && held.tree().exists(), "a tree in use is left alone");
    }

    #[test]
    fn off_keeps_nothing() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::at(dir.path()).expect("store");
        assert!(WarmTree::open(&store, "s", &lineage("1"), Keep::Off, || ()).expect("opens").is_none());
        assert!(!dir.path().join("warm").exists());
    }
}
