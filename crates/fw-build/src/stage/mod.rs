// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From a recipe to a result in the store: what every stage's build script runs.
//!
//! A recipe is a function from [`Inputs`] to a [`StageSpec`]. Directives for cargo only decide whether the
//! script looks; the key decides whether anything is built.

mod cx;
mod inputs;
mod spec;

use std::cell::RefCell;
use std::collections::BTreeMap;

use fs_err as fs;

pub use cx::BuildCx;
use inputs::env_path;
pub use inputs::{Inputs, Source, Upstream};
pub use spec::{Recipe, StageSpec};

use crate::failure::{Context, Failure, Result};
use crate::fetch::{FetchConfig, Fetcher};
use crate::run::die_with_parent;
use crate::status::{Phase, Status};
use crate::store::{Built, Entry, PinUsed, Store};
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
    if let (Some(dir), Ok(package)) =
        (std::env::var_os(crate::status::STATUS_DIR_VAR), std::env::var("CARGO_PKG_NAME"))
    {
        crate::trace::to_folder(dir.as_ref(), &package);
    }
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

fn build(store: &Store, mut spec: StageSpec, mode: BuildMode, root: &std::path::Path) -> Result<Entry> {
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
