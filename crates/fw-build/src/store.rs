// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Content-addressed store: look up, lock, build in a work folder, publish by rename.
//!
//! ```text
//! <store>/src/<sha256>/<file>       fetched sources
//! <store>/talos/<version>/<file>    release assets, trusted on first use
//! <store>/stage/<name>-<key16>/     one result: stage.json and its outputs
//! <store>/lock/                     one lock file per key, never deleted while in use
//! <store>/work/                     build folders; whatever lies here may be thrown away
//! <store>/kconfig/<pin16>/          the part of a kernel's sources that decides a configuration
//! <store>/warm/<name>-<lineage16>/  a source tree with its objects, kept for the next build (see `warm`)
//! <store>/go/mod, go/build         what Go's client fetched, and what its compiler made of it
//! <store>/log/                      full output of every command of a stage
//! <store>/last/<name>.json          key inputs of the newest result of a stage, for `cargo xtask why`
//! ```
//!
//! It must not know how to build anything, and no private key ever goes into it.

pub mod prune;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::failure::{Context, Failure, Result};
use crate::key::{Key, KeyInputs, sha256_tree};
use crate::run::{SOURCE_DATE_EPOCH, children_cpu_seconds};
use crate::trace;

/// File with the record of an entry.
pub const RECORD_FILE: &str = "stage.json";

/// Form of the record and the folders; a change makes older entries invisible.
const SCHEMA: u32 = 1;

/// One output of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Path relative to the entry.
    pub path: PathBuf,
    /// Bytes of the file, or of all files of the folder.
    pub size_bytes: u64,
    /// SHA-256 of the file, or of the folder's sorted names, kinds and contents.
    pub sha256: String,
}

/// A pin as it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinUsed {
    /// Version of the pin.
    pub version: String,
    /// Kind and name of the origin that answered; never a machine's own mirror address.
    pub origin: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// What an entry holds and what it was made from (`stage.json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Form of this record.
    pub schema: u32,
    /// Stage name.
    pub stage: String,
    /// Content key.
    pub key: Key,
    /// The inputs that the key is a hash of.
    pub inputs: KeyInputs,
    /// Outputs by role.
    pub outputs: BTreeMap<String, Output>,
    /// Which origin each pin came from, by pin id. Not part of the key.
    pub origins: BTreeMap<String, PinUsed>,
    /// Counted build steps: the next build's estimate.
    pub steps: u64,
    /// How long the build took, in seconds.
    pub seconds: f64,
    /// CPU time of all processes of the build, in seconds; absent in records of older versions.
    #[serde(default)]
    pub cpu_seconds: Option<f64>,
    /// Whether objects of an earlier build were at hand, so that the times say little about a build without.
    #[serde(default)]
    pub warm: bool,
}

/// A published result.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Folder of the entry.
    pub dir: PathBuf,
    /// Its record.
    pub record: Record,
}

impl Entry {
    /// Full path of the output with `role`.
    ///
    /// # Errors
    /// The stage has no such role.
    pub fn path(&self, role: &str) -> Result<PathBuf> {
        match self.record.outputs.get(role) {
            Some(output) => Ok(self.dir.join(&output.path)),
            None => {
                let roles: Vec<&str> = self.record.outputs.keys().map(String::as_str).collect();
                Err(Failure::new(format!("stage `{}` has no output `{role}`", self.record.stage))
                    .why(format!("it has: {}", roles.join(", "))))
            }
        }
    }

    /// Reads an entry from its folder and checks that its outputs are there with their sizes.
    ///
    /// # Errors
    /// No readable record, another schema, or an output is missing or has another size.
    pub fn load(dir: &Path) -> Result<Entry> {
        let record: Record = serde_json::from_slice(&fs::read(dir.join(RECORD_FILE))?)
            .map_err(|e| Failure::new(format!("cannot read `{}`", dir.join(RECORD_FILE).display())).why(e))?;
        if record.schema != SCHEMA {
            return Err(Failure::new(format!("`{}` has another form of record", dir.display())));
        }
        let entry = Entry { dir: dir.to_owned(), record };
        for (role, output) in &entry.record.outputs {
            let path = entry.dir.join(&output.path);
            let size = tree_size(&path)?;
            if size != output.size_bytes {
                return Err(Failure::new(format!("output `{role}` of `{}` was changed", dir.display()))
                    .why(format!("{size} bytes instead of {}", output.size_bytes))
                    .hint("remove the folder; the next build makes it again"));
            }
        }
        Ok(entry)
    }

    /// Hashes every output again.
    ///
    /// # Errors
    /// An output differs from its recorded digest.
    pub fn verify(&self) -> Result<()> {
        for (role, output) in &self.record.outputs {
            let actual = sha256_tree(&self.dir.join(&output.path))?;
            if actual != output.sha256 {
                return Err(Failure::new(format!(
                    "output `{role}` of `{}` has another digest",
                    self.dir.display()
                ))
                .why(format!("expected {}", output.sha256))
                .why(format!("actual   {actual}"))
                .hint("remove the folder; the next build makes it again"));
            }
        }
        Ok(())
    }
}

/// What a build reports beside its outputs.
#[derive(Debug, Clone, Default)]
pub struct Built {
    /// Which origin each pin came from, by pin id.
    pub origins: BTreeMap<String, PinUsed>,
    /// Counted steps.
    pub steps: u64,
    /// Objects of an earlier build were used.
    pub warm: bool,
}

/// Held while a key is built or looked at for building; the file stays, the lock goes with the process.
pub struct Lock {
    _file: std::fs::File,
}

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store of the environment: `FW_STORE`, else `talos-nanopi-m6` in the user's cache folder.
    ///
    /// # Errors
    /// Neither `FW_STORE` nor `XDG_CACHE_HOME` nor `HOME` is set, or the folder cannot be made.
    pub fn from_env() -> Result<Store> {
        let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = var("FW_STORE")
            .or_else(|| var("XDG_CACHE_HOME").map(|d| d.join("talos-nanopi-m6")))
            .or_else(|| var("HOME").map(|d| d.join(".cache/talos-nanopi-m6")))
            .ok_or_else(|| {
                Failure::new("no folder for the store").why("neither `FW_STORE` nor `HOME` is set")
            })?;
        if root.is_relative() {
            return Err(Failure::new(format!("the store `{}` is a relative path", root.display()))
                .why("stages run in other folders, so each would have a store of its own")
                .hint("give `FW_STORE` as an absolute path"));
        }
        Store::at(root)
    }

    /// A store in the given folder.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn at(root: impl Into<PathBuf>) -> Result<Store> {
        let store = Store { root: root.into() };
        for dir in ["src", "stage", "lock", "work", "log", "last"] {
            fs::create_dir_all(store.root.join(dir))
                .context(format!("cannot make the store `{}`", store.root.display()))?;
        }
        Ok(store)
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of the entry for this key, whether it exists or not.
    pub fn entry_dir(&self, stage: &str, key: &Key) -> PathBuf {
        self.root.join("stage").join(format!("{stage}-{}", key.folder()))
    }

    /// Log file of a stage's build.
    pub fn log_path(&self, stage: &str, key: &Key) -> PathBuf {
        self.root.join("log").join(format!("{stage}-{}.log", key.short()))
    }

    /// The entry for this key; a damaged one counts as absent.
    pub fn lookup(&self, stage: &str, key: &Key) -> Option<Entry> {
        Entry::load(&self.entry_dir(stage, key)).ok().filter(|e| e.record.key == *key)
    }

    /// Key inputs of the newest result of a stage on this machine; if that was removed, of the newest that is left.
    pub fn last_inputs(&self, stage: &str) -> Option<KeyInputs> {
        match self.noted(stage) {
            Some(noted) if self.lookup(stage, &noted.key()).is_some() => Some(noted),
            _ => self.newest_first(stage).ok()?.into_iter().next().map(|e| e.record.inputs),
        }
    }

    fn noted(&self, stage: &str) -> Option<KeyInputs> {
        serde_json::from_slice(&fs::read(self.last_path(stage)).ok()?).ok()
    }

    /// All whole results of a stage, the one that was made last first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn newest_first(&self, stage: &str) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in self.entries(stage)? {
            // The time of the last change to its node: the other one is the same for all results.
            let made = fs::metadata(entry.dir.join(RECORD_FILE)).map(|m| (m.ctime(), m.ctime_nsec()))?;
            entries.push((made, entry));
        }
        entries.sort_by(|(a, _), (b, _)| b.cmp(a));
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// All whole results of a stage, by key.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn entries(&self, stage: &str) -> Result<Vec<Entry>> {
        let mut dirs = Vec::new();
        for entry in fs::read_dir(self.root.join("stage"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.strip_prefix(stage).is_some_and(|rest| rest.starts_with('-')) {
                dirs.push(entry.path());
            }
        }
        dirs.sort();
        Ok(dirs.iter().filter_map(|d| Entry::load(d).ok()).filter(|e| e.record.stage == stage).collect())
    }

    /// The newest result of a stage on this machine, if it is still there.
    pub fn last(&self, stage: &str) -> Option<Entry> {
        self.lookup(stage, &self.last_inputs(stage)?.key())
    }

    /// Steps counted when a stage was last built.
    pub fn last_steps(&self, stage: &str) -> Option<u64> {
        self.last(stage).map(|e| e.record.steps).filter(|s| *s > 0)
    }

    fn last_path(&self, stage: &str) -> PathBuf {
        self.root.join("last").join(format!("{stage}.json"))
    }

    /// Takes the lock called `name`; `waiting` is called once if another process holds it.
    ///
    /// # Errors
    /// The lock file cannot be made or locked.
    pub fn lock(&self, name: &str, waiting: impl FnOnce()) -> Result<Lock> {
        let file = self.lock_file(name)?;
        if file.try_lock().is_err() {
            waiting();
            file.lock().map_err(Failure::from).context(format!("cannot lock `{name}` in the store"))?;
        }
        Ok(Lock { _file: file })
    }

    /// Takes the lock called `name` unless another process holds it.
    ///
    /// # Errors
    /// The lock file cannot be made or locked.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>> {
        let file = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(e)) => Err(e.into()),
        }
    }

    fn lock_file(&self, name: &str) -> Result<std::fs::File> {
        let path = self.root.join("lock").join(format!("{name}.lock"));
        Ok(fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path)?.into_parts().0)
    }

    /// Returns the entry for `inputs`, building it with `build` when it is absent.
    ///
    /// `build` gets an empty folder and must leave the outputs in its `out` sub-folder; `outputs` names
    /// them by role, relative to `out`. Nothing is visible to others before it is complete.
    ///
    /// # Errors
    /// The build failed, an output is missing or empty, or the store cannot be written.
    pub fn ensure(
        &self,
        stage: &str,
        inputs: &KeyInputs,
        outputs: &[(String, PathBuf)],
        waiting: impl FnOnce(),
        build: impl FnOnce(&Path) -> Result<Built>,
    ) -> Result<(Entry, Origin)> {
        let key = inputs.key();
        if let Some(entry) = self.lookup(stage, &key) {
            trace::line(|| format!("store: `{stage}` is there: {}", entry.dir.display()));
            self.note_last(stage, inputs)?;
            return Ok((entry, Origin::Cached));
        }
        trace::line(|| format!("store: `{stage}` is not there under key {}", key.as_str()));
        let _lock = self.lock(&format!("{stage}-{}", key.folder()), waiting)?;
        if let Some(entry) = self.lookup(stage, &key) {
            trace::line(|| format!("store: `{stage}` was made meanwhile: {}", entry.dir.display()));
            self.note_last(stage, inputs)?;
            return Ok((entry, Origin::Cached));
        }
        let (began, cpu_before) = (std::time::Instant::now(), children_cpu_seconds()?);
        let work = self.root.join("work").join(format!("{stage}-{}", key.folder()));
        // Left over from a builder that was killed: under the lock nobody else uses it.
        remove_dir_if_there(&work)?;
        let out = work.join("out");
        fs::create_dir_all(&out)?;
        let built = build(&work)?;
        let mut recorded = BTreeMap::new();
        for (role, path) in outputs {
            let full = out.join(path);
            let size_bytes =
                tree_size(&full).map_err(|e| e.during(format!("`{stage}` did not make `{role}`")))?;
            if size_bytes == 0 {
                return Err(Failure::new(format!("`{stage}` made an empty `{role}`"))
                    .why(format!("`{}` has no bytes", full.display())));
            }
            let sha256 = sha256_tree(&full)?;
            recorded.insert(role.clone(), Output { path: path.clone(), size_bytes, sha256 });
        }
        let record = Record {
            schema: SCHEMA,
            stage: stage.to_owned(),
            key: key.clone(),
            inputs: inputs.clone(),
            outputs: recorded,
            origins: built.origins,
            steps: built.steps,
            seconds: began.elapsed().as_secs_f64(),
            cpu_seconds: Some(children_cpu_seconds()? - cpu_before),
            warm: built.warm,
        };
        write_json(&out.join(RECORD_FILE), &record)?;
        fix_times(&out)?;
        let dir = self.entry_dir(stage, &key);
        remove_dir_if_there(&dir)?; // only a damaged entry can be there
        fs::rename(&out, &dir)?;
        trace::line(|| format!("store: `{stage}` was made: {}", dir.display()));
        self.note_last(stage, inputs)?;
        if std::env::var_os("FW_KEEP_WORK").is_none() {
            remove_dir_if_there(&work)?;
        }
        Ok((Entry { dir, record }, Origin::Built))
    }

    fn note_last(&self, stage: &str, inputs: &KeyInputs) -> Result<()> {
        if self.noted(stage).as_ref() == Some(inputs) {
            return Ok(());
        }
        write_json(&self.last_path(stage), inputs)
    }
}

/// Whether a result was there or made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was in the store.
    Cached,
    /// It was built by this call.
    Built,
}

impl From<Origin> for crate::status::Phase {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Cached => crate::status::Phase::Cached,
            Origin::Built => crate::status::Phase::Built,
        }
    }
}

/// Writes JSON by temporary file, sync and rename.
fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::NamedTempFile::new_in(dir)?;
    serde_json::to_writer_pretty(&mut temp, value).map_err(|e| Failure::new("cannot write JSON").why(e))?;
    temp.as_file().sync_all()?;
    temp.persist(path).map_err(|e| Failure::from(e.error))?;
    Ok(())
}

/// Removes a folder and everything in it; absent is fine.
///
/// # Errors
/// Something cannot be removed.
pub fn remove_dir_if_there(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}

fn tree_size(path: &Path) -> Result<u64> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    let mut size = 0;
    for rel in crate::key::files_below(path)? {
        size += fs::symlink_metadata(path.join(rel))?.len();
    }
    Ok(size)
}

/// Sets all times below `dir` to the source date: an entry that is newer than the script which made it
/// would make cargo run that script once more.
fn fix_times(dir: &Path) -> Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(SOURCE_DATE_EPOCH);
    let times = std::fs::FileTimes::new().set_accessed(time).set_modified(time);
    for rel in crate::key::files_below(dir)? {
        let path = dir.join(rel);
        if fs::symlink_metadata(&path)?.is_file() {
            fs::File::open(&path)?.file().set_times(times).context(format!("`{}`", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(value: &str) -> KeyInputs {
        let mut inputs = KeyInputs::default();
        inputs.add("x", value).expect("once");
        inputs
    }

    fn outputs() -> Vec<(String, PathBuf)> {
        vec![("file".to_owned(), PathBuf::from("f"))]
    }

    fn make(content: &'static str) -> impl FnOnce(&Path) -> Result<Built> {
        move |work| {
            fs::write(work.join("out/f"), content)?;
            Ok(Built { steps: 7, ..Built::default() })
        }
    }

    #[test]
    fn second_time_is_a_hit() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::at(dir.path()).expect("store");
        let (first, origin) = store.ensure("s", &inputs("1"), &outputs(), || (), make("a")).expect("built");
        assert_eq!(origin, Origin::Built);
        let never = |_: &Path| -> Result<Built> { panic!("built twice") };
        let (second, origin) = store.ensure("s", &inputs("1"), &outputs(), || (), never).expect("hit");
        assert_eq!((origin, &second.dir), (Origin::Cached, &first.dir));
        assert_eq!(store.last_steps("s"), Some(7));
        store.ensure("s-more", &inputs("1"), &outputs(), || (), make("a")).expect("built");
        store.ensure("s", &inputs("2"), &outputs(), || (), make("b")).expect("built");
        assert_eq!(store.entries("s").expect("entries").len(), 2);
    }

    #[test]
    fn the_last_result_is_one_that_is_there() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::at(dir.path()).expect("store");
        assert!(store.last_inputs("s").is_none());
        let mut made = Vec::new();
        for value in ["2", "1", "3"] {
            made.push(store.ensure("s", &inputs(value), &outputs(), || (), make("a")).expect("built").0);
            // The file system's clock has steps of some milliseconds.
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(store.last_inputs("s"), Some(inputs("3")));
        let order: Vec<KeyInputs> =
            store.newest_first("s").expect("entries").into_iter().map(|e| e.record.inputs).collect();
        assert_eq!(order, ["3", "1", "2"].map(inputs));
        for (removed, left) in [(2, Some("1")), (1, Some("2")), (0, None)] {
            fs::remove_dir_all(&made[removed].dir).expect("removed");
            assert_eq!(store.last_inputs("s"), left.map(inputs));
        }
    }

    #[test]
    fn a_failed_build_leaves_nothing_to_trust() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::at(dir.path()).expect("store");
        let fail = |work: &Path| {
            fs::write(work.join("out/f"), "half")?;
            Err(Failure::new("broke"))
        };
        assert!(store.ensure("s", &inputs("1"), &outputs(), || (), fail).is_err());
        assert!(store.lookup("s", &inputs("1").key()).is_none());
        let (entry, _) = store.ensure("s", &inputs("1"), &outputs(), || (), make("whole")).expect("built");
        assert_eq!(fs::read_to_string(entry.path("file").expect("role")).expect("read"), "whole");
    }

    #[test]
    fn missing_and_empty_outputs_are_refused() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::at(dir.path()).expect("store");
        let missing = store
            .ensure("s", &inputs("1"), &outputs(), || (), |_| Ok(Built::default()))
            .expect_err("nothing made");
        assert!(missing.to_string().contains("`s` did not make `file`"), "{missing}");
        let empty = store.ensure("s", &inputs("1"), &outputs(), || (), make("")).expect_err("empty");
        assert!(empty.to_string().contains("empty `file`"), "{empty}");
    }

    #[test]
    fn a_changed_entry_is_made_again() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::at(dir.path()).expect("store");
        let (entry, _) = store.ensure("s", &inputs("1"), &outputs(), || (), make("abc")).expect("built");
        let path = entry.path("file").expect("role");
        fs::write(&path, "truncated").expect("write");
        assert!(store.lookup("s", &inputs("1").key()).is_none());
        let (_, origin) = store.ensure("s", &inputs("1"), &outputs(), || (), make("abc")).expect("built");
        assert_eq!(origin, Origin::Built);
        // Same size, other bytes: only the full check sees it.
        fs::write(&path, "abd").expect("write");
        let entry = store.lookup("s", &inputs("1").key()).expect("size is right");
        assert!(entry.verify().expect_err("digest").to_string().contains("another digest"));
    }

    #[test]
    fn two_builders_build_once() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::at(dir.path()).expect("store");
        let builds = AtomicU32::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    store
                        .ensure(
                            "s",
                            &inputs("1"),
                            &outputs(),
                            || (),
                            |work| {
                                builds.fetch_add(1, Ordering::SeqCst);
                                std::thread::sleep(Duration::from_millis(50));
                                make("x")(work)
                            },
                        )
                        .expect("entry");
                });
            }
        });
        assert_eq!(builds.load(Ordering::SeqCst), 1);
    }
}
