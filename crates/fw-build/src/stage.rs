// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From a recipe to a result in the store: what every stage's build script runs.
//!
//! A recipe is a function from [`Inputs`] to a [`StageSpec`]. Directives for cargo only decide whether the
//! script looks; the key decides whether anything is built.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::board::{Board, select_var};
use crate::failure::{Context, Failure, Result};
use crate::fetch::{FetchConfig, Fetched, Fetcher};
use crate::key::{Key, KeyInputs, sha256_tree};
use crate::manifest::{Manifests, Pin};
use crate::run::{Cmd, LineSink, die_with_parent};
use crate::status::{Phase, Status};
use crate::store::{Built, Entry, PinUsed, Store};
use crate::toolchain::{Toolchain, first_line};
use crate::unpack;
use crate::warm::{Keep, WarmTree};

/// What `FW_BUILD` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildMode {
    /// Build what is missing (the default).
    Full,
    /// Return at once: editors and lint.
    Skip,
    /// Use what is there, fail instead of building.
    Cached,
    /// Write the key's inputs and build nothing: `cargo xtask why`.
    Explain,
}

impl BuildMode {
    /// Reads `FW_BUILD`.
    ///
    /// # Errors
    /// A value that is none of the four.
    pub fn from_env() -> Result<BuildMode> {
        match std::env::var("FW_BUILD").unwrap_or_default().as_str() {
            "" | "full" => Ok(BuildMode::Full),
            "skip" => Ok(BuildMode::Skip),
            "cached" => Ok(BuildMode::Cached),
            "explain" => Ok(BuildMode::Explain),
            other => Err(Failure::new(format!("`FW_BUILD={other}` is not known"))
                .why("known: full, skip, cached, explain")),
        }
    }
}

/// What a recipe can look at.
pub struct Inputs {
    /// Workspace root.
    pub root: PathBuf,
    /// Folder of the stage's crate.
    pub crate_dir: PathBuf,
    /// The board.
    pub board: Board,
    manifests: Manifests,
    tracked: RefCell<Vec<PathBuf>>,
    upstream: BTreeMap<String, Upstream>,
}

/// Where a stage takes something from that is either pinned or brought along.
#[derive(Debug, Clone)]
pub enum Source {
    /// A pin of the manifest.
    Pin(Pin),
    /// A file of the user's; enters the key by its content.
    File(PathBuf),
}

/// A stage that this one needs.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Stage name.
    pub stage: String,
    /// Its key.
    pub key: Key,
    dir: PathBuf,
}

impl Upstream {
    /// Path of one of its outputs.
    ///
    /// # Errors
    /// The result is gone from the store, or has no such role.
    pub fn path(&self, role: &str) -> Result<PathBuf> {
        Entry::load(&self.dir)?.path(role)
    }
}

impl Inputs {
    /// The inputs that a build script has: cargo's variables, the board file and the manifests.
    ///
    /// # Errors
    /// A variable is missing or a file is not valid.
    fn for_build_script() -> Result<Inputs> {
        let root = env_path("FW_ROOT")?;
        let mut upstream = BTreeMap::new();
        for (name, value) in std::env::vars() {
            // Cargo hands a dependency's `key=…` metadata on as DEP_<LINKS>_KEY.
            let Some(links) = name.strip_prefix("DEP_").and_then(|n| n.strip_suffix("_KEY")) else {
                continue;
            };
            let stage = links.to_lowercase().replace('_', "-");
            let dir = env_path(&format!("DEP_{links}_DIR"))?;
            upstream.insert(stage.clone(), Upstream { stage, key: Key::parse(&value)?, dir });
        }
        let inputs = Inputs {
            board: Board::load(&root, "nanopi-m6")?,
            manifests: Manifests::load(&root.join("vendor-manifests"))?,
            crate_dir: env_path("CARGO_MANIFEST_DIR")?,
            tracked: RefCell::new(vec![root.join("boards/nanopi-m6.toml")]),
            upstream,
            root,
        };
        Ok(inputs)
    }

    /// The selected pin of a manifest.
    ///
    /// # Errors
    /// Unknown manifest or label.
    pub fn pin(&self, manifest: &str) -> Result<Pin> {
        self.track(self.root.join("vendor-manifests").join(format!("{manifest}.toml")));
        println!("cargo::rerun-if-env-changed={}", select_var(manifest));
        self.manifests.pin(manifest, Some(&self.board.selected(manifest)?)).cloned()
    }

    /// A selection that is no pin.
    ///
    /// # Errors
    /// The board file has no such selection.
    pub fn selected(&self, name: &str) -> Result<String> {
        println!("cargo::rerun-if-env-changed={}", select_var(name));
        self.board.selected(name)
    }

    /// What is selected of a manifest: one of its pins, or a file of the user's (an absolute path as its selection).
    ///
    /// # Errors
    /// Unknown manifest or label, or a path that is not absolute.
    pub fn source(&self, manifest: &str) -> Result<Source> {
        let selected = self.board.selected(manifest)?;
        if !selected.contains('/') {
            return self.pin(manifest).map(Source::Pin);
        }
        println!("cargo::rerun-if-env-changed={}", select_var(manifest));
        let path = PathBuf::from(&selected);
        if !path.is_absolute() {
            return Err(Failure::new(format!("`{}={selected}` is not usable", select_var(manifest)))
                .why("a file must be given by its absolute path"));
        }
        Ok(Source::File(path))
    }

    /// A stage that this one depends on.
    ///
    /// # Errors
    /// The crate does not depend on that stage.
    pub fn upstream(&self, stage: &str) -> Result<Upstream> {
        self.upstream.get(stage).cloned().ok_or_else(|| {
            Failure::new(format!("stage `{stage}` is not a dependency of this one"))
                .hint("add it to `[dependencies]` of the stage's Cargo.toml")
        })
    }

    fn track(&self, path: PathBuf) {
        self.tracked.borrow_mut().push(path);
    }
}

fn env_path(name: &str) -> Result<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).ok_or_else(|| {
        Failure::new(format!("`{name}` is not set")).why("this runs from a build script of cargo")
    })
}

/// The work of a stage.
pub type Recipe = Box<dyn FnOnce(&BuildCx) -> Result<()>>;

/// What a stage is made of and how.
pub struct StageSpec {
    name: &'static str,
    inputs: KeyInputs,
    pins: Vec<Pin>,
    watched: Vec<PathBuf>,
    outputs: Vec<(String, PathBuf)>,
    steps_estimate: Option<u64>,
    tracked_by_make: Option<Vec<&'static str>>,
    recipe: Option<Recipe>,
}

impl StageSpec {
    /// A stage. Raise `recipe_version` whenever the recipe's code changes what it makes.
    ///
    /// # Errors
    /// Never in practice; labels are added once.
    pub fn new(name: &'static str, recipe_version: u32) -> Result<StageSpec> {
        let mut inputs = KeyInputs::default();
        inputs.add("recipe", format!("{name} {recipe_version}"))?;
        Ok(StageSpec {
            name,
            inputs,
            pins: Vec::new(),
            watched: Vec::new(),
            outputs: Vec::new(),
            steps_estimate: None,
            tracked_by_make: None,
            recipe: None,
        })
    }

    /// A pin: enters the key by identity, not by the origin that answers.
    ///
    /// # Errors
    /// Given twice.
    pub fn pin(&mut self, pin: &Pin) -> Result<&mut Self> {
        self.inputs.add(format!("pin:{}", pin.manifest), format!("{} {}", pin.id(), pin.identity()))?;
        self.pins.push(pin.clone());
        Ok(self)
    }

    /// A file or folder of the tree, by content.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn file(&mut self, label: &str, path: &Path) -> Result<&mut Self> {
        self.watched.push(path.to_owned());
        self.inputs.add(format!("file:{label}"), sha256_tree(path)?)?;
        Ok(self)
    }

    /// A file that is looked at but enters the key in another form, or not at all: a change only makes the
    /// script look again.
    pub fn watch(&mut self, path: &Path) -> &mut Self {
        self.watched.push(path.to_owned());
        self
    }

    /// A setting.
    ///
    /// # Errors
    /// Given twice.
    pub fn setting(&mut self, label: &str, value: impl Into<String>) -> Result<&mut Self> {
        self.inputs.add(format!("setting:{label}"), value)?;
        Ok(self)
    }

    /// A stage that this one uses.
    ///
    /// # Errors
    /// Given twice.
    pub fn upstream(&mut self, upstream: &Upstream) -> Result<&mut Self> {
        self.inputs.add(format!("stage:{}", upstream.stage), upstream.key.as_str())?;
        Ok(self)
    }

    /// The aarch64 toolchain.
    ///
    /// # Errors
    /// It does not run.
    pub fn toolchain(&mut self, chain: &Toolchain) -> Result<&mut Self> {
        self.watched.push(chain.gcc().to_owned());
        self.watch_packages();
        for (tool, identity) in chain.fingerprint()? {
            self.inputs.add(format!("tool:{tool}"), identity)?;
        }
        Ok(self)
    }

    /// A host tool whose version matters for the result, by the first line of its version output.
    ///
    /// # Errors
    /// It is not installed or does not run.
    pub fn tool(&mut self, name: &str, version_arg: &str) -> Result<&mut Self> {
        self.watch_packages();
        self.inputs.add(format!("tool:{name}"), first_line(&Cmd::new(name).arg(version_arg))?)?;
        Ok(self)
    }

    /// Looks again after the system's packages changed. An upgraded tool carries the time at which its package
    /// was made, which is older than the last look, so watching the tool itself is not enough.
    fn watch_packages(&mut self) {
        let database = Path::new("/var/lib/dpkg/status");
        if database.exists() && !self.watched.iter().any(|p| p == database) {
            self.watched.push(database.to_owned());
        }
    }

    /// Declares an output: its role and its path below the entry.
    pub fn output(&mut self, role: &str, path: &str) -> &mut Self {
        self.outputs.push((role.to_owned(), PathBuf::from(path)));
        self
    }

    /// Steps expected before there is a count from an earlier build.
    pub fn steps_estimate(&mut self, steps: u64) -> &mut Self {
        self.steps_estimate = Some(steps);
        self
    }

    /// Lets builds share a tree with its objects ([`BuildCx::in_tree`]) when their keys differ in nothing but the
    /// inputs with these labels: the stage's own build system must notice every change that they stand for.
    pub fn warm(&mut self, tracked_by_make: &[&'static str]) -> &mut Self {
        self.tracked_by_make = Some(tracked_by_make.to_vec());
        self
    }

    /// The work; called only when the store has no entry for the key.
    pub fn recipe(mut self, recipe: impl FnOnce(&BuildCx) -> Result<()> + 'static) -> StageSpec {
        self.recipe = Some(Box::new(recipe));
        self
    }
}

/// What a recipe works with.
pub struct BuildCx<'a> {
    /// Work folder of this build; its `out` becomes the entry.
    pub work: PathBuf,
    /// Key of the result.
    pub key: Key,
    status: &'a Status,
    fetched: BTreeMap<String, Fetched>,
    warm: Option<WarmTree>,
    log_path: PathBuf,
    log: RefCell<fs::File>,
}

impl BuildCx<'_> {
    /// The verified file of a pin that the stage declared.
    ///
    /// # Errors
    /// The pin was not declared.
    pub fn fetched(&self, pin: &Pin) -> Result<&Fetched> {
        self.fetched
            .get(&pin.id())
            .ok_or_else(|| Failure::new(format!("pin `{}` was not declared", pin.id())))
    }

    /// Unpacks a pin without its top folder into `src/<manifest>` of the work folder.
    ///
    /// # Errors
    /// The archive is damaged or the pin was not declared.
    pub fn unpack(&self, pin: &Pin) -> Result<PathBuf> {
        self.unpack_filtered(pin, 1, None)
    }

    /// As [`BuildCx::unpack`], with the number of leading path components to drop and a filter on the rest.
    ///
    /// # Errors
    /// As [`BuildCx::unpack`].
    pub fn unpack_filtered(
        &self,
        pin: &Pin,
        strip_components: usize,
        filter: Option<&dyn Fn(&Path) -> bool>,
    ) -> Result<PathBuf> {
        let dest = self.work.join("src").join(&pin.manifest);
        self.unpack_to(pin, &dest, strip_components, filter)?;
        Ok(dest)
    }

    fn unpack_to(
        &self,
        pin: &Pin,
        dest: &Path,
        strip_components: usize,
        filter: Option<&dyn Fn(&Path) -> bool>,
    ) -> Result<()> {
        let fetched = self.fetched(pin)?;
        fs::create_dir_all(dest)?;
        self.note(&format!("unpack {}", pin.id()));
        unpack::unpack(&fetched.path, fetched.format, dest, strip_components, filter)
    }

    /// Unpacks a pin, makes its tree ready and works in it. Where a warm tree is kept ([`StageSpec::warm`]), the first
    /// two steps are those of the build that made it.
    ///
    /// # Errors
    /// Those of the three steps.
    pub fn in_tree(
        &self,
        pin: &Pin,
        prepare: impl FnOnce(&Path) -> Result<()>,
        work: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let Some(warm) = &self.warm else {
            let tree = self.unpack(pin)?;
            prepare(&tree)?;
            return work(&tree);
        };
        if !warm.has_objects {
            self.unpack_to(pin, &warm.tree(), 1, None)?;
            prepare(&warm.tree())?;
        }
        self.note(if warm.has_objects { "warm tree" } else { "new tree, kept for the next build" });
        warm.enter(work)
    }

    /// Applies every `*.patch` of a folder in order, with fuzz 0. An absent folder holds no patches.
    ///
    /// # Errors
    /// A patch does not apply exactly.
    pub fn patch_all(&self, tree: &Path, patches: &Path) -> Result<()> {
        if !patches.is_dir() {
            return Ok(());
        }
        for rel in crate::key::files_below(patches)? {
            if rel.extension().is_none_or(|e| e != "patch") {
                continue;
            }
            let patch = patches.join(&rel);
            self.run(
                // -F0: a patch that needs fuzz was made for another source and must be refreshed.
                Cmd::new("patch")
                    .args(["-p1", "-F0", "--batch", "--forward", "--no-backup-if-mismatch", "-i"])
                    .arg(&patch)
                    .cwd(tree),
            )
            .map_err(|e| {
                e.during(format!("patch `{}` does not apply", rel.display()))
                    .hint("refresh the patch for the selected source version")
            })?;
        }
        Ok(())
    }

    /// Copies files and folders into an existing folder of a source tree; same names are replaced.
    ///
    /// # Errors
    /// Something cannot be copied.
    pub fn copy_into(&self, from: &[PathBuf], to: &Path) -> Result<()> {
        let options = fs_extra::dir::CopyOptions::new().overwrite(true);
        fs_extra::copy_items(from, to, &options)
            .map(|_| ())
            .map_err(|e| Failure::new(format!("cannot copy into `{}`", to.display())).why(e))
    }

    /// `make` in a source tree: joins cargo's jobserver, or uses all cores outside of cargo.
    pub fn make(&self, tree: &Path) -> Cmd {
        let flags = std::env::var("CARGO_MAKEFLAGS")
            .unwrap_or_else(|_| format!("-j{}", std::thread::available_parallelism().map_or(1, usize::from)));
        Cmd::new("make").cwd(tree).env("MAKEFLAGS", flags)
    }

    /// Announces a part of the build that prints no steps of its own.
    pub fn note(&self, step: &str) {
        self.status.step(step);
    }

    /// Runs a command; its output goes to the stage's log and counts as steps.
    ///
    /// # Errors
    /// The command failed; the message quotes the end of its output and the log's path.
    pub fn run(&self, cmd: Cmd) -> Result<()> {
        let cmd = cmd.log_path(&self.log_path);
        let mut sink = StageSink { log: &self.log, status: self.status };
        sink.line(&format!("$ {}", cmd.display()));
        cmd.run(&mut sink)
    }

    /// Copies a file into the entry, keeping its mode.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn publish(&self, from: &Path, name: &str) -> Result<()> {
        let to = self.out().join(name);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from, &to)?;
        Ok(())
    }

    /// The folder that becomes the entry.
    pub fn out(&self) -> PathBuf {
        self.work.join("out")
    }
}

struct StageSink<'a> {
    log: &'a RefCell<fs::File>,
    status: &'a Status,
}

impl LineSink for StageSink<'_> {
    fn line(&mut self, line: &str) {
        // A log that cannot be written shows up as a full disk in the build itself.
        let _ = writeln!(self.log.borrow_mut(), "{line}");
        let mut status = self.status;
        status.line(line);
    }
}

/// Runs a stage inside a build script: looks the key up, builds on a miss, and tells cargo and dependants.
///
/// A failure is reported through `cargo::error`, which makes cargo print these lines and nothing else.
pub fn stage_main(spec: fn(&Inputs) -> Result<StageSpec>) {
    if let Err(failure) = stage_script(spec) {
        for line in failure.lines() {
            println!("cargo::error={line}");
        }
    }
}

/// Variables that decide where to look or what to build. Registered before any of them is read.
const WATCHED_VARS: [&str; 8] = [
    "FW_BUILD",
    "FW_STORE",
    "XDG_CACHE_HOME",
    "FW_MIRROR",
    "FW_OFFLINE",
    "CARGO_NET_OFFLINE",
    "FW_DEBIAN_MIRROR",
    "CROSS_COMPILE",
];

fn stage_script(spec: fn(&Inputs) -> Result<StageSpec>) -> Result<()> {
    die_with_parent()?;
    for var in WATCHED_VARS {
        println!("cargo::rerun-if-env-changed={var}");
    }
    for file in ["build.rs", "src/stage.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let mode = BuildMode::from_env()?;
    if mode == BuildMode::Skip {
        println!("cargo::rustc-env=FW_STAGE_DIR=");
        return Ok(());
    }
    let inputs = Inputs::for_build_script()?;
    let spec = spec(&inputs)?;
    for path in inputs.tracked.borrow().iter().chain(&spec.watched) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let store = Store::from_env()?;
    let key = spec.inputs.key();
    let dir = store.entry_dir(spec.name, &key);
    if mode == BuildMode::Explain {
        explain(&spec)?;
    } else {
        let entry = build(&store, spec, mode, &inputs.root)?;
        // A removed entry comes back at the next build.
        println!("cargo::rerun-if-changed={}", entry.dir.join(crate::store::RECORD_FILE).display());
    }
    println!("cargo::metadata=key={}", key.as_str());
    println!("cargo::metadata=dir={}", dir.display());
    println!("cargo::rustc-env=FW_STAGE_DIR={}", dir.display());
    Ok(())
}

/// Writes the key's inputs where xtask asked for them.
fn explain(spec: &StageSpec) -> Result<()> {
    let dir = env_path(crate::status::STATUS_DIR_VAR)?;
    let text = serde_json::to_vec(&spec.inputs).map_err(|e| Failure::new("cannot write JSON").why(e))?;
    fs::write(dir.join(format!("{}.inputs.json", spec.name)), text)?;
    Ok(())
}

fn build(store: &Store, mut spec: StageSpec, mode: BuildMode, root: &Path) -> Result<Entry> {
    let name = spec.name;
    let key = spec.inputs.key();
    if mode == BuildMode::Cached && store.lookup(name, &key).is_none() {
        return Err(Failure::new(format!("stage `{name}` is not in the store"))
            .why("`FW_BUILD=cached` forbids building")
            .hint(format!("`cargo xtask why {name}` says what changed")));
    }
    let status = Status::from_env(name);
    let recipe = spec.recipe.take().ok_or_else(|| Failure::new(format!("stage `{name}` has no recipe")))?;
    let fetcher = Fetcher::new(FetchConfig::from_env(root, store.root())?);
    let total = store.last_steps(name).or(spec.steps_estimate);
    let log_path = store.log_path(name, &key);
    let keep = Keep::from_env()?;
    let lineage = spec.tracked_by_make.as_ref().map(|labels| spec.inputs.without(labels).key());
    let result = store.ensure(
        name,
        &spec.inputs,
        &spec.outputs,
        || status.phase(Phase::Waiting, None),
        |work| {
            status.phase(Phase::Fetching, None);
            // All pins first: a source that is not to be had is known before anything is compiled.
            let (mut fetched, mut origins) = (BTreeMap::new(), BTreeMap::new());
            for pin in &spec.pins {
                let file = fetcher.fetch(pin, &status)?;
                let used = PinUsed {
                    version: pin.version.clone(),
                    origin: file.origin_label.clone(),
                    sha256: file.sha256.clone(),
                };
                origins.insert(pin.id(), used);
                fetched.insert(pin.id(), file);
            }
            let waiting = || status.phase(Phase::Waiting, None);
            let warm = match &lineage {
                Some(lineage) => WarmTree::open(store, name, lineage, keep, waiting)?,
                None => None,
            };
            let has_objects = warm.as_ref().is_some_and(|w| w.has_objects);
            status.phase(Phase::Building, total.filter(|_| !has_objects));
            let cx = BuildCx {
                work: work.to_owned(),
                key: key.clone(),
                status: &status,
                fetched,
                warm,
                log: RefCell::new(fs::File::create(&log_path)?),
                log_path: log_path.clone(),
            };
            recipe(&cx)?;
            // The few steps of a warm build would be a poor estimate for the next one.
            let steps = if has_objects { total.unwrap_or_default() } else { status.steps_done() };
            status.phase(Phase::Publishing, None);
            Ok(Built { origins, steps, warm: has_objects })
        },
    );
    match &result {
        Ok((_, origin)) => status.phase((*origin).into(), None),
        Err(_) => status.phase(Phase::Failed, None),
    }
    result.map(|(entry, _)| entry).context(format!("stage `{name}` failed"))
}
