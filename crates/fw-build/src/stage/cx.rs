// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a recipe works with: sources, commands with their log, and the folder that becomes the result.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::failure::{Failure, Result};
use crate::fetch::Fetched;
use crate::key::Key;
use crate::manifest::Pin;
use crate::run::{Cmd, LineSink};
use crate::status::Status;
use crate::unpack;
use crate::warm::WarmTree;

/// What a recipe works with.
pub struct BuildCx<'a> {
    /// Work folder of this build; its `out` becomes the entry.
    pub work: PathBuf,
    /// Key of the result.
    pub key: Key,
    pub(super) status: &'a Status,
    pub(super) fetched: BTreeMap<String, Fetched>,
    pub(super) warm: Option<WarmTree>,
    pub(super) log_path: PathBuf,
    pub(super) log: RefCell<fs::File>,
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
