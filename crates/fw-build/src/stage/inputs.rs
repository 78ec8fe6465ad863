// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a recipe can look at before it declares its stage: the board, the pins, the stages below. It builds nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::board::{Board, select_var};
use crate::failure::{Failure, Result};
use crate::key::Key;
use crate::manifest::{Manifests, Pin};
use crate::store::Entry;

/// What a recipe can look at.
pub struct Inputs {
    /// Workspace root.
    pub root: PathBuf,
    /// Folder of the stage's crate.
    pub crate_dir: PathBuf,
    /// The board.
    pub board: Board,
    manifests: Manifests,
    pub(super) tracked: RefCell<Vec<PathBuf>>,
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
    pub(super) fn for_build_script() -> Result<Inputs> {
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

pub(super) fn env_path(name: &str) -> Result<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).ok_or_else(|| {
        Failure::new(format!("`{name}` is not set")).why("this runs from a build script of cargo")
    })
}
