// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The signed module tree as it enters the root file system: sorted, owned by root, one time stamp.
//!
//! It reads a folder and checks it; it does not sign and does not run depmod.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::{Failure, Result};
use tar::EntryType;

use super::inventory::{Hashing, Inventory, Record};
use super::tarstream::{NewEntry, NewKind, Xattrs};

/// Where Talos keeps kernel modules, from the root (talos-contracts 5.2); `/lib` is a link to `/usr/lib`.
pub const MODULES_DIR: &str = "usr/lib/modules";

/// End of a signed module (Linux, include/linux/module_signature.h).
const SIGNED_END: &[u8] = b"~Module signature appended~\n";

/// One directory or file of the tree.
struct Item {
    /// Path in the root file system.
    path: Vec<u8>,
    source: PathBuf,
    /// Length of a file, nothing for a directory.
    size_bytes: Option<u64>,
}

/// A kernel's module tree.
pub struct ModuleTree {
    /// Kernel release: the name of the folder, and what the kernel looks for.
    pub release: String,
    items: Vec<Item>,
}

impl ModuleTree {
    /// Reads `dir`, a folder named after the kernel release.
    ///
    /// # Errors
    /// No `modules.dep`, a module without a signature, or anything but plain files and folders in it.
    pub fn read(dir: &Path) -> Result<ModuleTree> {
        let what = || Failure::new(format!("`{}` is not a module tree for an image", dir.display()));
        let release = dir
            .file_name()
            .and_then(|n| n.to_str())
            .ok_or_else(|| what().why("its name is no kernel release"))?
            .to_owned();
        if !dir.join("modules.dep").is_file() {
            return Err(what()
                .why("it has no `modules.dep`, without which nothing is loaded")
                .hint("give the folder `lib/modules/RELEASE` that the signing step made"));
        }
        let mut items = Vec::new();
        let root = format!("{MODULES_DIR}/{release}").into_bytes();
        walk(dir, root, &mut items)?;
        items.sort_by(|a, b| a.path.cmp(&b.path));
        for item in items.iter().filter(|i| i.path.ends_with(b".ko")) {
            if !ends_signed(&item.source)? {
                return Err(what()
                    .why(format!("`{}` is not signed", item.source.display()))
                    .why("the kernel of this project loads signed modules only"));
            }
        }
        Ok(ModuleTree { release, items })
    }

    /// Writes the tree into a tar stream and notes every entry in `inventory`.
    ///
    /// # Errors
    /// A file cannot be read or has changed its length, or the write failed.
    pub fn append(&self, xattrs: &Xattrs, out: &mut dyn Write, inventory: &mut Inventory) -> Result<()> {
        for item in &self.items {
            let (kind, tar_kind, mode) = match item.size_bytes {
                None => (NewKind::Directory, EntryType::Directory, 0o755),
                Some(size_bytes) => (NewKind::File { size_bytes }, EntryType::Regular, 0o644),
            };
            let entry = NewEntry { path: &item.path, kind, mode, mtime: SOURCE_DATE_EPOCH, xattrs };
            let mut file: Box<dyn Read> = match item.size_bytes {
                None => Box::new(std::io::empty()),
                Some(_) => Box::new(fs::File::open(&item.source)?),
            };
            let mut data = Hashing::new(&mut file);
            entry.write(&mut data, out)?;
            let record = Record {
                kind: tar_kind,
                mode,
                owner: (0, 0),
                mtime: SOURCE_DATE_EPOCH,
                target: Vec::new(),
                device: (0, 0),
                content: data.digest(),
                xattrs: xattrs.clone(),
                hard_link_of: Vec::new(),
            };
            inventory.insert(item.path.clone(), record)?;
        }
        Ok(())
    }
}

fn walk(dir: &Path, path: Vec<u8>, items: &mut Vec<Item>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let below = [&path, b"/".as_slice(), entry.file_name().as_bytes()].concat();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), below, items)?;
        } else if kind.is_file() {
            let size_bytes = Some(entry.metadata()?.len());
            items.push(Item { path: below, source: entry.path(), size_bytes });
        } else {
            return Err(Failure::new(format!("`{}` cannot go into an image", entry.path().display())).why(
                "a module tree has files and folders only; `build` and `source` links name the build machine",
            ));
        }
    }
    items.push(Item { path, source: dir.to_owned(), size_bytes: None });
    Ok(())
}

fn ends_signed(path: &Path) -> Result<bool> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length < SIGNED_END.len() as u64 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-(SIGNED_END.len() as i64)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(end == SIGNED_END)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().expect("dir");
        let dir = temp.path().join("6.1.2-x");
        fs::create_dir_all(dir.join("kernel/b")).expect("mkdir");
        fs::write(dir.join("modules.dep"), "").expect("write");
        fs::write(dir.join("kernel/b.ko"), [b"code".as_slice(), SIGNED_END].concat()).expect("write");
        (temp, dir)
    }

    fn refusal(dir: &Path) -> String {
        ModuleTree::read(dir).err().expect("refused").to_string()
    }

    #[test]
    fn sorted_with_parents_first() {
        let (_temp, dir) = tree();
        let read = ModuleTree::read(&dir).expect("reads");
        let paths: Vec<_> =
            read.items.iter().map(|i| String::from_utf8_lossy(&i.path).into_owned()).collect();
        let below = |p: &str| format!("usr/lib/modules/6.1.2-x{p}");
        assert_eq!(paths, ["", "/kernel", "/kernel/b", "/kernel/b.ko", "/modules.dep"].map(below),);
        assert_eq!(read.release, "6.1.2-x");
    }

    #[test]
    fn must_fail_unsigned_module() {
        let (_temp, dir) = tree();
        fs::write(dir.join("kernel/c.ko"), "c").expect("write");
        assert!(refusal(&dir).contains("c.ko` is not signed"), "{}", refusal(&dir));
    }

    #[test]
    fn must_fail_link_of_the_build_machine() {
        let (_temp, dir) = tree();
        std::os::unix::fs::symlink("/usr/src", dir.join("build")).expect("link");
        assert!(refusal(&dir).contains("build` cannot go into an image"), "{}", refusal(&dir));
    }

    #[test]
    fn must_fail_tree_without_modules_dep() {
        let (_temp, dir) = tree();
        fs::remove_file(dir.join("modules.dep")).expect("remove");
        assert!(refusal(&dir).contains("has no `modules.dep`"), "{}", refusal(&dir));
    }
}
