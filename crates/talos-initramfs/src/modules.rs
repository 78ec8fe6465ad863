// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Module trees: this kernel's as a layer, and the data of `depmod` over it and the modules of extensions.
//!
//! The imager does the same for an extension with modules (talos-contracts 5.5): all modules in one folder, `depmod`
//! over them, and only its `modules.*` files in a last layer on top.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::run::Cmd;
use fw_build::{Failure, Result};

use crate::extension::Extension;
use crate::tree::{Kind, Node, Tree};

/// Where Talos keeps kernel modules, from the root (talos-contracts 5.2).
pub const MODULES_DIR: &str = "usr/lib/modules";
/// Talos's own setting of depmod (hack/extra-modules.conf): a module in `extras` before one of the kernel's.
const DEPMOD_CONF: &str = "search extras built-in\n";

/// The kernel releases that an extension has modules for.
pub fn releases(extension: &Extension) -> Vec<&str> {
    let below = format!("{MODULES_DIR}/");
    let mut found: Vec<&str> = extension
        .rootfs
        .iter()
        .filter_map(|(path, _)| path.strip_prefix(&below)?.split('/').next())
        .collect();
    found.dedup();
    found
}

/// Refuses an extension whose modules are for another kernel.
///
/// # Errors
/// They are; both releases are named.
pub fn check_release(extension: &Extension, release: &str) -> Result<()> {
    let others: Vec<&str> = releases(extension).into_iter().filter(|r| *r != release).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "extension `{}` of `{}` is for another kernel",
        extension.metadata.name, extension.origin
    ))
    .why(format!("its modules are for kernel `{}`", others.join("`, `")))
    .why(format!("the kernel of this image is `{release}`, and loads modules of its own build only"))
    .hint("an extension without modules can be used; modules must be built with this kernel and signed: `cargo xtask sign module`"))
}

/// A module tree on disk, a folder named after the kernel release, as the tree of a layer.
///
/// # Errors
/// It cannot be read, or has something else than files and folders in it.
pub fn layer(module_tree: &Path, release: &str) -> Result<Tree> {
    let mut tree = Tree::default();
    let root = format!("{MODULES_DIR}/{release}");
    tree.insert(&root, Node { kind: Kind::Directory, mode: 0o755, label: None })?;
    for path in files(module_tree)? {
        let kind = Kind::File(fs::read(module_tree.join(&path))?);
        tree.insert(&format!("{root}/{path}"), Node { kind, mode: 0o644, label: None })?;
    }
    Ok(tree)
}

/// What `depmod` makes of the module tree with the extensions' modules on top of it.
///
/// # Errors
/// `depmod` is missing or failed, or the disk is full.
pub fn dependencies(
    module_tree: &Path,
    release: &str,
    extensions: &[Extension],
    work: &Path,
) -> Result<Tree> {
    let base = work.join("depmod/usr");
    let dir = base.join("lib/modules").join(release);
    for path in files(module_tree)? {
        let to = dir.join(&path);
        fs::create_dir_all(to.parent().unwrap_or(&dir))?;
        fs::copy(module_tree.join(&path), to)?;
    }
    let below = format!("{MODULES_DIR}/{release}/");
    for (path, node) in extensions.iter().flat_map(|e| e.rootfs.iter()) {
        let (Some(path), Kind::File(content)) = (path.strip_prefix(&below), &node.kind) else { continue };
        let to = dir.join(path);
        fs::create_dir_all(to.parent().unwrap_or(&dir))?;
        fs::write(to, content)?;
    }
    let conf = work.join("depmod.conf");
    fs::write(&conf, DEPMOD_CONF)?;
    Cmd::new("depmod")
        .arg("--all")
        .arg("--basedir")
        .arg(&base)
        .arg("--config")
        .arg(&conf)
        .arg(release)
        .output()?;
    let mut tree = Tree::default();
    for path in files(&dir)? {
        if path.starts_with("modules.") {
            let kind = Kind::File(fs::read(dir.join(&path))?);
            tree.insert(&format!("{below}{path}"), Node { kind, mode: 0o644, label: None })?;
        }
    }
    fs::remove_dir_all(work.join("depmod"))?;
    Ok(tree)
}

/// All files below a folder, relative to it, sorted.
fn files(dir: &Path) -> Result<Vec<String>> {
    fn walk(dir: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                walk(&entry.path(), &path, found)?;
            } else if kind.is_file() {
                found.push(path);
            } else {
                return Err(Failure::new(format!("`{}` cannot go into an image", entry.path().display()))
                    .why("a module tree has files and folders only"));
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(dir, Path::new(""), &mut found)?;
    found.sort();
    found
        .into_iter()
        .map(|p| {
            let text = p.into_os_string().into_string();
            text.map_err(|p| Failure::new(format!("`{}` has a name that is not text", p.display())))
        })
        .collect()
}
