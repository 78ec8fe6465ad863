// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The segment that is appended to an initramfs: layers, their list, and firmware.
//!
//! Names and order are the imager's (talos-contracts 5.5): extension number N is `N.sqsh`, the list is sorted by these
//! names as text, what `depmod` made is last. A layer with this project's modules is first, which is lowest.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use fw_build::fetch::Progress;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::{Context, Failure, Result};
use fw_image::talos::{Line, Support};
use fw_image::{cpio, initramfs};

use crate::extension::{Extension, FIRMWARE_DIR};
use crate::layers::{self, Config, Layer, Metadata};
use crate::modules;
use crate::squash::{self, ZSTD_LEVEL};
use crate::tree::{Kind, Labels, Node, Tree};

/// Image name of the layer with this project's modules.
pub const MODULES_IMAGE: &str = "kmod.sqsh";
/// Name of the layer with what `depmod` made, as the imager has it.
const DEPENDENCIES: &str = "modules.dep";
/// Most links that lead from one to the next in firmware.
const MAX_LINKS: usize = 16;

/// How this kernel's modules get into the initramfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modules {
    /// They are in `rootfs.sqsh` already, in the place of the stock ones.
    InRootfs,
    /// As a layer over the stock ones.
    AsLayer,
}

/// What is added.
pub struct Additions<'a> {
    /// Release of Talos, `vX.Y.Z`.
    pub talos: &'a str,
    /// Its line.
    pub line: Line,
    /// Kernel release.
    pub release: &'a str,
    /// This kernel's signed module tree with `modules.dep`, a folder.
    pub module_tree: &'a Path,
    /// How they get in.
    pub modules: Modules,
    /// Extensions in the order in which they were given; later ones lie on top.
    pub extensions: Vec<Extension>,
}

/// An initramfs with more in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The file.
    pub initramfs: Vec<u8>,
    /// Its layers.
    pub config: Config,
}

/// Appends to the initramfs `base`; `work` is a folder for files on the way.
///
/// Everything is checked before anything is packed. The same inputs and versions of the tools give the same bytes.
///
/// # Errors
/// An extension is not for this release or kernel, `base` is no initramfs or has layers already, a tool is missing,
/// or the disk is full.
pub fn append(base: &[u8], additions: Additions, work: &Path, progress: &dyn Progress) -> Result<Appended> {
    let Additions { talos, line, release, module_tree, modules: way, mut extensions } = additions;
    refuse_layers(base)?;
    for extension in &extensions {
        extension.check_talos(talos)?;
        modules::check_release(extension, release)?;
    }
    let mut firmware = Tree::default();
    for extension in &mut extensions {
        take_firmware(extension, &mut firmware)
            .context(format!("the firmware of extension `{}` cannot be taken", extension.metadata.name))?;
    }
    let has_modules = extensions.iter().any(|e| !modules::releases(e).is_empty());
    let dependencies = if has_modules {
        progress.step("run depmod over all modules");
        Some(modules::dependencies(module_tree, release, &extensions, work)?)
    } else {
        None
    };
    let labels = match line.extension_labels() {
        Support::Yes => Labels::Kept,
        Support::No => Labels::Dropped,
    };
    let mut packed: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut config = Config::default();
    let mut add = |image: String, metadata: Metadata, tree: &Tree| -> Result<()> {
        progress.step(&format!("pack layer `{image}`"));
        let path = work.join("layer.sqsh");
        squash::pack(tree, labels, work, &path)
            .context(format!("layer `{}` cannot be packed", metadata.name))?;
        packed.insert(image.clone(), fs::read(path)?);
        config.layers.push(Layer { image, metadata });
        Ok(())
    };
    if way == Modules::AsLayer {
        let metadata = Metadata {
            name: "kernel-modules".to_owned(),
            version: release.to_owned(),
            author: "talos-nanopi-m6".to_owned(),
            description: "Signed modules of this image's kernel.".to_owned(),
            ..Metadata::default()
        };
        add(MODULES_IMAGE.to_owned(), metadata, &modules::layer(module_tree, release)?)?;
    }
    let mut numbered: Vec<(String, Extension)> =
        extensions.into_iter().enumerate().map(|(i, e)| (i.to_string(), e)).collect();
    numbered.sort_by(|a, b| a.0.cmp(&b.0));
    for (number, extension) in numbered {
        add(format!("{number}.sqsh"), extension.metadata, &extension.rootfs)?;
    }
    if let Some(tree) = dependencies {
        let metadata = Metadata {
            name: DEPENDENCIES.to_owned(),
            version: release.to_owned(),
            author: "Talos Machinery".to_owned(),
            description: "Combined modules.dep for all extensions".to_owned(),
            ..Metadata::default()
        };
        add(format!("{DEPENDENCIES}.sqsh"), metadata, &tree)?;
    }
    if config.layers.is_empty() {
        return Err(Failure::new("there is nothing to append to the initramfs"));
    }
    packed.insert(layers::FILE.to_owned(), config.render().into_bytes());
    progress.step("compress the appended segment");
    let mut appended = base.to_vec();
    appended.extend(segment(&packed, &firmware)?);
    Ok(Appended { initramfs: appended, config })
}

/// The kernel unpacks segments in order, and a second `extensions.yaml` would hide the first one's layers.
fn refuse_layers(base: &[u8]) -> Result<()> {
    let what = "the initramfs cannot be added to";
    let segments = initramfs::segments(base).map_err(|e| Failure::new(what).why(e))?;
    for segment in &segments {
        let members = segment.members().map_err(|e| Failure::new(what).why(e))?;
        if members.iter().any(|m| m.name == layers::FILE) {
            return Err(Failure::new(what)
                .why(format!("it has a `{}` already, whose layers would be dropped", layers::FILE))
                .hint("begin with the initramfs of the release, and give all extensions at once"));
        }
    }
    Ok(())
}

/// Moves firmware out of an extension. Links become copies: what they lead to moves as well.
fn take_firmware(extension: &mut Extension, firmware: &mut Tree) -> Result<()> {
    let taken = extension.rootfs.take(FIRMWARE_DIR);
    for (path, node) in taken.iter() {
        let node = match &node.kind {
            Kind::Link(_) => resolve(&taken, path)?.clone(),
            _ => node.clone(),
        };
        // A cpio archive has no labels; two extensions with one file may well have it with different ones.
        let node = Node { label: None, ..node };
        let to = format!("{FIRMWARE_DIR}/{path}");
        if let (Some(old), Kind::File(_)) = (firmware.get(&to), &node.kind) {
            if *old == node {
                continue;
            }
            return Err(Failure::new(format!("two extensions bring `{to}`, each another")));
        }
        firmware.insert(&to, node)?;
    }
    Ok(())
}

/// The file that a link leads to.
fn resolve<'t>(tree: &'t Tree, link: &str) -> Result<&'t Node> {
    let refused = |why: &str| Failure::new(format!("`{FIRMWARE_DIR}/{link}` is a link {why}"));
    let mut at = link.to_owned();
    for _ in 0..MAX_LINKS {
        let node = tree.get(&at).ok_or_else(|| refused("to what the extension does not have"))?;
        match &node.kind {
            Kind::File(_) => return Ok(node),
            Kind::Directory => return Err(refused("to a folder, which Talos's imager cannot move")),
            Kind::Link(target) => {
                let absolute = format!("/{FIRMWARE_DIR}/");
                let (mut parts, rest): (Vec<&str>, &str) = match target.strip_prefix(&absolute) {
                    Some(rest) => (Vec::new(), rest),
                    None if target.starts_with('/') => return Err(refused("that leads out of the firmware")),
                    None => (at.split('/').collect(), target.as_str()),
                };
                parts.pop();
                for part in rest.split('/') {
                    match part {
                        "" | "." => {}
                        ".." => {
                            parts.pop().ok_or_else(|| refused("that leads out of the firmware"))?;
                        }
                        part => parts.push(part),
                    }
                }
                at = parts.join("/");
            }
        }
    }
    Err(refused("of links that do not end"))
}

fn segment(files: &BTreeMap<String, Vec<u8>>, firmware: &Tree) -> Result<Vec<u8>> {
    let mtime = u32::try_from(SOURCE_DATE_EPOCH).map_err(|e| Failure::new("the fixed time").why(e))?;
    let mut writer = cpio::Writer::new(Vec::new(), mtime);
    for (name, data) in files {
        writer.file(name, 0o644, data)?;
    }
    for (path, node) in firmware.iter() {
        match &node.kind {
            Kind::Directory => writer.directory(path, node.mode)?,
            Kind::File(data) => writer.file(path, node.mode, data)?,
            Kind::Link(_) => return Err(Failure::new(format!("`{path}` is still a link"))),
        }
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(initramfs::compress(&writer.finish()?, ZSTD_LEVEL, u32::try_from(threads).unwrap_or(1))?)
}
