// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The root file system: [`layout`] filled with the compiled programs, the packages' files and the modules.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::{Failure, Result};

use super::super::tree::{Entry, Tree};
use super::{Inputs, LABEL, file_of, layout, libraries};

/// Lists what goes in; files that are written for it land in `work`.
///
/// # Errors
/// A program, rule or library is in none of the packages, or the module tree is not fit for an image.
pub fn plan(inputs: &Inputs<'_>, debian: &Path, work: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    for (path, mode) in layout::FOLDERS {
        tree.folder(path, *mode);
    }
    for (path, target) in layout::LINKS {
        tree.put((*path).to_owned(), Entry::Link { target: (*target).to_owned() });
    }
    for path in layout::EMPTY {
        tree.put((*path).to_owned(), Entry::Text { mode: 0o644, bytes: Vec::new() });
    }
    for (role, name) in layout::COMPILED {
        program(&mut tree, name, inputs.programs.path(role)?);
    }
    let mut linked = Vec::new();
    for (name, path) in layout::PROGRAMS {
        let source = file_of(debian, path)?;
        program(&mut tree, name, source.clone());
        linked.push(source);
    }
    for name in layout::UDEV_HELPERS {
        let path = format!("usr/lib/udev/{name}");
        let source = file_of(debian, &path)?;
        tree.put(path, Entry::File { mode: 0o755, source: source.clone() });
        linked.push(source);
    }
    for (name, source) in libraries::of(&linked, debian)? {
        // The dynamic loader must be executable, and all of them are beside it.
        tree.put(format!("usr/lib/{name}"), Entry::File { mode: 0o755, source });
    }
    rules(&mut tree, debian)?;
    tree.add_files(&debian.join(layout::MKFS_XFS), layout::MKFS_XFS)?;
    let files = inputs.programs.path("files")?;
    for (from, path) in layout::FROM_TALOS {
        tree.put((*path).to_owned(), Entry::File { mode: 0o644, source: files.join(from) });
    }
    let os_release = work.join("os-release");
    fs::write(&os_release, labelled(&fs::read_to_string(files.join("pkg/machinery/version/os-release"))?)?)?;
    tree.put("etc/os-release".to_owned(), Entry::File { mode: 0o644, source: os_release });
    if let Some(modules) = inputs.module_tree {
        let release = modules
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| Failure::new(format!("`{}` names no kernel release", modules.display())))?;
        tree.add_files(modules, &format!("usr/lib/modules/{release}"))?;
    }
    Ok(tree)
}

fn program(tree: &mut Tree, name: &str, source: PathBuf) {
    tree.put(format!("usr/bin/{name}"), Entry::File { mode: 0o755, source });
}

fn rules(tree: &mut Tree, debian: &Path) -> Result<()> {
    const FOLDER: &str = "usr/lib/udev/rules.d";
    for entry in fs::read_dir(debian.join(FOLDER))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rules") && !layout::RULES_LEFT_OUT.contains(&name.as_str()) {
            tree.put(format!("{FOLDER}/{name}"), Entry::File { mode: 0o644, source: entry.path() });
        }
    }
    Ok(())
}

/// Talos's own `os-release` with its name for people marked, and two lines more.
fn labelled(text: &str) -> Result<String> {
    let pretty = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).ok_or_else(|| {
        Failure::new("the `os-release` of Talos's module is not as expected").why("it has no `PRETTY_NAME`")
    })?;
    let marked = format!("\"{} ({LABEL})\"", pretty.trim_matches('"'));
    let mut labelled = text.replace(&format!("PRETTY_NAME={pretty}"), &format!("PRETTY_NAME={marked}"));
    if !labelled.ends_with('\n') {
        labelled.push('\n');
    }
    labelled.push_str(&format!("VARIANT=\"{LABEL}\"\nVARIANT_ID=talos-source\n"));
    Ok(labelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_it_is_not() {
        let text = labelled("NAME=\"Talos\"\nPRETTY_NAME=\"Talos (v1.10.6)\"\nID=talos").expect("labelled");
        assert_eq!(
            text,
            format!(
                "NAME=\"Talos\"\nPRETTY_NAME=\"Talos (v1.10.6) ({LABEL})\"\nID=talos\nVARIANT=\"{LABEL}\"\n\
                 VARIANT_ID=talos-source\n"
            )
        );
        assert!(labelled("NAME=Talos\n").is_err());
    }
}
