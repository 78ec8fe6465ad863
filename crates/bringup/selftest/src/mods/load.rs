// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loads a module with what it needs, and sorts the kernel's answers.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::dep::Deps;
use crate::machine::{Machine, Ops};

/// The module tree of the running kernel.
pub struct Tree {
    dir: PathBuf,
    /// Its `modules.dep`.
    pub deps: Deps,
}

impl Tree {
    /// Opens the tree of a release; `None` without a readable `modules.dep`.
    pub fn open(machine: &Machine<'_>, release: &str) -> Option<Self> {
        let dir = Path::new("/usr/lib/modules").join(release);
        let deps = Deps::parse(&machine.read(dir.join("modules.dep"))?);
        Some(Tree { dir: machine.path(dir), deps })
    }
}

/// How loading one module ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is loaded now.
    Loaded,
    /// It was loaded before.
    Present,
    /// It (or what it needs) found nothing to drive: the module is sound, the machine lacks the part.
    NoDevice,
    /// It is not in the tree.
    NotShipped,
    /// The kernel refused this file.
    Failed {
        /// The file, relative to the tree.
        file: String,
        /// The kernel's answer.
        errno: Errno,
    },
}

/// Loads `module` from the tree.
pub fn load(ops: &dyn Ops, tree: &Tree, module: &str) -> Outcome {
    let Some(files) = tree.deps.files_for(module) else { return Outcome::NotShipped };
    let mut outcome = Outcome::NotShipped;
    for file in files {
        outcome = match ops.load_module(&tree.dir.join(file)) {
            Ok(()) => Outcome::Loaded,
            Err(Errno::EXIST) => Outcome::Present,
            Err(Errno::NODEV) => return Outcome::NoDevice,
            Err(errno) => return Outcome::Failed { file: file.to_owned(), errno },
        };
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn fixture() -> Fixture {
        let f = Fixture::new();
        f.file("/usr/lib/modules/6.1/modules.dep", "kernel/a.ko: kernel/b.ko\nkernel/b.ko:\n");
        f
    }

    #[test]
    fn what_is_needed_loads_first() {
        let f = fixture();
        let tree = Tree::open(&f.machine(), "6.1").expect("a tree");
        f.ops.module_answers.borrow_mut().insert("b.ko".into(), Errno::EXIST);
        assert_eq!(load(&f.ops, &tree, "a"), Outcome::Loaded);
        assert_eq!(*f.ops.loaded.borrow(), ["b.ko", "a.ko"]);
        assert_eq!(load(&f.ops, &tree, "b"), Outcome::Present);
        assert_eq!(load(&f.ops, &tree, "c"), Outcome::NotShipped);
        assert!(Tree::open(&f.machine(), "6.2").is_none());
    }

    #[test]
    fn a_refused_dependency_names_its_file() {
        let f = fixture();
        let tree = Tree::open(&f.machine(), "6.1").expect("a tree");
        f.ops.module_answers.borrow_mut().insert("b.ko".into(), Errno::KEYREJECTED);
        assert_eq!(
            load(&f.ops, &tree, "a"),
            Outcome::Failed { file: "kernel/b.ko".into(), errno: Errno::KEYREJECTED }
        );
        f.ops.module_answers.borrow_mut().insert("b.ko".into(), Errno::NODEV);
        assert_eq!(load(&f.ops, &tree, "a"), Outcome::NoDevice);
    }
}
