// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether the modules of an initramfs are those of a kernel: release, files, `modules.dep`, signatures.
//!
//! Reads any initramfs in Talos's form, also one that the imager put extensions into. A kernel whose modules do not fit
//! still boots and then loads none of them: no network, no disk, and one line in a log that scrolls away.

use std::collections::{BTreeMap, BTreeSet};

use fw_build::{Context, Failure, Result};
use fw_image::initramfs;

use crate::layers::{self, Config};
use crate::modules::MODULES_DIR;
use crate::squash;

const ROOTFS: &str = "rootfs.sqsh";
/// What kmod asks when it looks for a module (kmod, libkmod.c), beside `modules.dep` for people.
const INDEXES: [&str; 3] = ["modules.dep.bin", "modules.alias.bin", "modules.symbols.bin"];
/// How many modules a failure names.
const SHOWN: usize = 5;

/// An initramfs whose modules fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Modules for the kernel.
    pub modules: usize,
    /// Names and versions of the layers over the root file system, lowest first.
    pub layers: Vec<String>,
    /// Kernel releases of other module trees, which this kernel does not look at.
    pub other_releases: Vec<String>,
}

/// Checks `initramfs` against a kernel of `release`; `check` says whether it would load a module file.
///
/// # Errors
/// It has no modules for that kernel, or `modules.dep`, files and signatures do not belong together.
pub fn agree(bytes: &[u8], release: &str, check: &dyn Fn(&[u8]) -> Result<()>) -> Result<Agreed> {
    let what = || format!("the modules of the initramfs do not fit the kernel `{release}`");
    let (files, config) = module_files(bytes).context("the initramfs cannot be read")?;
    let mut trees: BTreeMap<&str, BTreeMap<&str, &[u8]>> = BTreeMap::new();
    for (path, content) in &files {
        if let Some((tree, below)) = path.split_once('/') {
            trees.entry(tree).or_default().insert(below, content);
        }
    }
    let others: Vec<String> = trees.keys().filter(|r| **r != release).map(|r| (*r).to_owned()).collect();
    let Some(tree) = trees.get(release) else {
        let found = if others.is_empty() { "none".to_owned() } else { format!("`{}`", others.join("`, `")) };
        return Err(Failure::new(what())
            .why(format!("`{MODULES_DIR}/{release}` is not in it; module trees in it: {found}"))
            .why("Talos would come up without a single module")
            .hint("kernel and initramfs must be of one build: `cargo xtask image` makes both"));
    };
    let mut problems = dependencies(tree);
    let modules: Vec<(&&str, &&[u8])> = tree.iter().filter(|(path, _)| path.ends_with(".ko")).collect();
    if modules.is_empty() {
        problems.push(format!("there is no module in `{MODULES_DIR}/{release}`"));
    }
    let refused: Vec<String> = modules
        .iter()
        .filter_map(|(path, content)| {
            let failure = check(content).err()?;
            Some(
                std::iter::once(failure.what().to_owned())
                    .fold(format!("`{path}`"), |a, b| format!("{a}: {b}")),
            )
        })
        .collect();
    if !refused.is_empty() {
        problems.push(format!("the kernel would refuse {} of {} modules:", refused.len(), modules.len()));
        problems.extend(refused.iter().take(SHOWN).cloned());
        if refused.len() > SHOWN {
            problems.push(format!("and {} more", refused.len() - SHOWN));
        }
    }
    if !problems.is_empty() {
        let failure = problems.into_iter().fold(Failure::new(what()), Failure::why);
        return Err(failure.hint("kernel and initramfs must be of one build: `cargo xtask image` makes both"));
    }
    let layers = config.layers.iter().map(|l| format!("{} {}", l.metadata.name, l.metadata.version));
    Ok(Agreed { modules: modules.len(), layers: layers.collect(), other_releases: others })
}

/// Files below the modules folder as the running system sees them, and the list of layers.
fn module_files(bytes: &[u8]) -> Result<(BTreeMap<String, Vec<u8>>, Config)> {
    let segments = initramfs::segments(bytes).map_err(|e| Failure::new("it is no initramfs").why(e))?;
    // As the kernel unpacks: a later member of the same name replaces an earlier one.
    let mut members: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for segment in &segments {
        let found = segment.members().map_err(|e| Failure::new("it is no initramfs").why(e))?;
        members.extend(found.into_iter().map(|m| (m.name, m.data)));
    }
    let config =
        members.get(layers::FILE).map_or_else(|| Ok(Config::default()), |text| Config::parse(text))?;
    let listed: BTreeSet<&str> = config.layers.iter().map(|l| l.image.as_str()).collect();
    if listed.len() != config.layers.len() {
        return Err(Failure::new(format!("`{}` names a layer twice", layers::FILE)));
    }
    if let Some(unlisted) =
        members.keys().find(|n| n.ends_with(".sqsh") && **n != ROOTFS && !listed.contains(*n))
    {
        return Err(Failure::new(format!("`{unlisted}` is in it, and `{}` does not name it", layers::FILE))
            .why("it would never be mounted: a later segment brought a list of its own"));
    }
    let mut files = BTreeMap::new();
    for image in std::iter::once(ROOTFS).chain(config.layers.iter().map(|l| l.image.as_str())) {
        let data = members.get(image).ok_or_else(|| Failure::new(format!("it has no `{image}`")))?;
        files.extend(squash::files_below(data, MODULES_DIR).context(format!("`{image}` cannot be read"))?);
    }
    Ok((files, config))
}

/// What is wrong between `modules.dep` and the files.
fn dependencies(tree: &BTreeMap<&str, &[u8]>) -> Vec<String> {
    let mut problems: Vec<String> =
        INDEXES.iter().filter(|i| !tree.contains_key(**i)).map(|i| format!("there is no `{i}`")).collect();
    let Some(text) = tree.get("modules.dep") else {
        problems.push("there is no `modules.dep`, without which nothing is loaded".to_owned());
        return problems;
    };
    let text = String::from_utf8_lossy(text);
    let mut named = BTreeSet::new();
    let mut missing = BTreeSet::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let Some((module, needs)) = line.split_once(':') else {
            problems
                .push(format!("`modules.dep` has the line `{}`", line.chars().take(80).collect::<String>()));
            continue;
        };
        named.insert(module.to_owned());
        for path in std::iter::once(module).chain(needs.split_whitespace()) {
            if !tree.contains_key(path) {
                missing.insert(path.to_owned());
            }
        }
    }
    let unnamed: Vec<String> =
        tree.keys().filter(|p| p.ends_with(".ko") && !named.contains(**p)).map(|p| (*p).to_owned()).collect();
    for (list, text) in [
        (missing.into_iter().collect::<Vec<_>>(), "`modules.dep` names what is not there"),
        (unnamed, "`modules.dep` does not name"),
    ] {
        if let Some(first) = list.first() {
            problems.push(format!("{text}: `{first}`, {} in all", list.len()));
        }
    }
    problems
}
