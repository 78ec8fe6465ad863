// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a stage is made of, and how: the recipe's declaration. Everything that decides the result enters the key here.

use std::path::{Path, PathBuf};

use super::{BuildCx, Upstream};
use crate::failure::Result;
use crate::key::{KeyInputs, sha256_tree};
use crate::manifest::Pin;
use crate::run::Cmd;
use crate::toolchain::{Toolchain, first_line};

/// The work of a stage.
pub type Recipe = Box<dyn FnOnce(&BuildCx) -> Result<()>>;

/// What a stage is made of and how.
pub struct StageSpec {
    pub(super) name: &'static str,
    pub(super) inputs: KeyInputs,
    pub(super) pins: Vec<Pin>,
    pub(super) watched: Vec<PathBuf>,
    pub(super) outputs: Vec<(String, PathBuf)>,
    pub(super) steps_estimate: Option<u64>,
    pub(super) tracked_by_make: Option<Vec<&'static str>>,
    pub(super) recipe: Option<Recipe>,
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
