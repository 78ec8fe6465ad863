// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Takes an image apart for the programs: they get plain files and what we say of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fs_err as fs;
use fw_build::run::Cmd;
use fw_build::{Failure, Result};
use fw_image::map::{ImageMap, RegionKind};
use fw_image::window::Window;
use fw_image::xfs::Xfs;
use fw_image::{fat, gpt, initramfs, lba, xz};
use serde::Serialize;

use crate::upgrade;

/// A command line that our code merged, and from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Merge {
    /// The overlay's arguments.
    pub overlay: Vec<String>,
    /// The user's.
    pub extra: Vec<String>,
    /// The result.
    pub line: String,
}

/// Patches of a machine configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineConfig {
    /// For what, in a few words.
    pub name: String,
    /// Its documents; each becomes a file.
    pub patches: Vec<String>,
}

/// The same as the programs read it.
#[derive(Debug, Serialize)]
struct ConfigFiles {
    name: String,
    patches: Vec<PathBuf>,
}

/// An overlay in its three forms.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// Name of installer and profile.
    pub name: String,
    /// OCI layout.
    pub layout: PathBuf,
    /// Folder.
    pub tree: PathBuf,
    /// Plain tar.
    pub tar: PathBuf,
}

/// What is checked, beside the image's own files.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The image, compressed or not.
    pub image: &'a Path,
    /// Its map.
    pub map: &'a ImageMap,
    /// The overlay's offset.
    pub offset_sectors: u64,
    /// Sectors that U-Boot may use: first, and end (exclusive).
    pub loader_sectors: (u64, u64),
    /// Path of the device tree on the EFI partition.
    pub dtb: &'a str,
    /// Values of META by tag.
    pub meta: &'a BTreeMap<u8, String>,
    /// The overlay's kernel arguments.
    pub overlay_args: &'a [String],
    /// The line that the release's imager must make with the overlay alone.
    pub release_cmdline: &'a str,
    /// Arguments that make the imager's line that of the image: the self-test's consoles.
    pub imager_extra: &'a [String],
    /// Merged lines to compare; the first is the image's own.
    pub merges: &'a [Merge],
    /// Patches of machine configurations for this line.
    pub machine_configs: &'a [MachineConfig],
    /// The overlay, where one was made.
    pub overlay: Option<&'a Overlay>,
    /// systemd's stub and boot manager, where they are at hand: stub, manager.
    pub systemd: Option<(&'a Path, &'a Path)>,
    /// GRUB's modules for arm64, where they are at hand.
    pub grub_modules: Option<&'a Path>,
}

/// As the programs read it: `checks.Inputs` in `conformance/checks/checks.go`.
#[derive(Debug, Serialize)]
pub struct Inputs {
    work: PathBuf,
    talos: String,
    /// The raw image.
    pub disk: PathBuf,
    skip_sectors: u64,
    loader_first: u64,
    loader_end: u64,
    grub_config: PathBuf,
    kernel: PathBuf,
    initramfs: PathBuf,
    dtb: PathBuf,
    dtb_name: String,
    loader: PathBuf,
    cmdline: String,
    release_cmdline: String,
    imager_extra: Vec<String>,
    merges: Vec<Merge>,
    meta: BTreeMap<String, String>,
    release: String,
    module: PathBuf,
    overlay_args: Vec<String>,
    overlay_name: String,
    overlay_layout: PathBuf,
    overlay_tree: PathBuf,
    overlay_tar: PathBuf,
    machine_configs: Vec<ConfigFiles>,
    uki: PathBuf,
    node: PathBuf,
    root_command: String,
    stub: PathBuf,
    boot: PathBuf,
    qemu_aarch64: PathBuf,
    /// Where the imager puts its own image.
    pub image: PathBuf,
}

impl Inputs {
    /// Unpacks a subject below `dir`, which is empty.
    ///
    /// # Errors
    /// The image cannot be read, or lacks what every image has.
    pub fn unpack(subject: &Subject<'_>, dir: &Path) -> Result<Inputs> {
        let disk = dir.join("disk.raw");
        let mut raw = File::options().read(true).write(true).create_new(true).open(&disk)?;
        let packed = fs::File::open(subject.image)?;
        xz::decompress(packed, &mut raw)
            .map_err(|e| Failure::new(format!("`{}` does not decompress", subject.image.display())).why(e))?;
        let grub_config = dir.join("grub.cfg");
        let kernel = dir.join("vmlinuz");
        let packed = dir.join("initramfs.xz");
        let mut boot = boot(&raw)?;
        for (name, path) in
            [("grub/grub.cfg", &grub_config), ("A/vmlinuz", &kernel), ("A/initramfs.xz", &packed)]
        {
            let bytes = boot.read(name).map_err(|e| Failure::new(format!("BOOT has no `{name}`")).why(e))?;
            fs::write(path, bytes)?;
        }
        let dtb_name = format!("dtb/{}", subject.dtb);
        let dtb = dir.join("board.dtb");
        fs::write(&dtb, fat::read(partition(&raw, "EFI")?, &dtb_name)?)?;
        let fact = |name: &str| subject.map.facts.get(name).cloned().unwrap_or_default();
        let overlay =
            |path: fn(&Overlay) -> &PathBuf| subject.overlay.map(|o| path(o).clone()).unwrap_or_default();
        let node = upgrade::unpacked(subject, &fact("kernel-arguments"), &kernel, &packed, dir)?;
        let work = dir.join("work");
        fs::create_dir(&work)?;
        Ok(Inputs {
            work,
            talos: subject.map.talos_version.clone(),
            skip_sectors: subject.offset_sectors,
            loader_first: subject.loader_sectors.0,
            loader_end: subject.loader_sectors.1,
            loader: loader(&raw, subject.map, dir)?,
            module: module(&fs::read(&packed)?, &subject.map.kernel_release, dir)?,
            cmdline: fact("kernel-arguments"),
            release_cmdline: subject.release_cmdline.to_owned(),
            imager_extra: subject.imager_extra.to_vec(),
            merges: subject.merges.to_vec(),
            meta: subject.meta.iter().map(|(tag, value)| (tag.to_string(), value.clone())).collect(),
            release: subject.map.kernel_release.clone(),
            overlay_args: subject.overlay_args.to_vec(),
            overlay_name: subject.overlay.map(|o| o.name.clone()).unwrap_or_default(),
            overlay_layout: overlay(|o| &o.layout),
            overlay_tree: overlay(|o| &o.tree),
            overlay_tar: overlay(|o| &o.tar),
            machine_configs: config_files(subject.machine_configs, dir)?,
            uki: if node.as_os_str().is_empty() { PathBuf::new() } else { node.join(upgrade::UKI) },
            node,
            root_command: upgrade::root_command(),
            stub: subject.systemd.map(|s| s.0.to_owned()).unwrap_or_default(),
            boot: subject.systemd.map(|s| s.1.to_owned()).unwrap_or_default(),
            qemu_aarch64: which::which("qemu-aarch64").unwrap_or_default(),
            image: dir.join("imager"),
            disk,
            grub_config,
            kernel,
            initramfs: packed,
            dtb,
            dtb_name,
        })
    }
}

fn config_files(configs: &[MachineConfig], dir: &Path) -> Result<Vec<ConfigFiles>> {
    let write = |(number, config): (usize, &MachineConfig)| {
        let folder = dir.join(format!("machine-config-{number}"));
        fs::create_dir(&folder)?;
        let mut patches = Vec::new();
        for (number, text) in config.patches.iter().enumerate() {
            let path = folder.join(format!("{number}.yaml"));
            fs::write(&path, text)?;
            patches.push(path);
        }
        Ok(ConfigFiles { name: config.name.clone(), patches })
    };
    configs.iter().enumerate().map(write).collect()
}

/// A partition of a raw image.
pub(crate) fn partition(raw: &File, name: &str) -> Result<Window<File>> {
    let mut file = raw.try_clone()?;
    let table = gpt::Image::read(&mut file)?;
    let found = table.partition(name).ok_or_else(|| {
        Failure::new(format!("the image has no partition `{name}`")).why(table.problems().join("; "))
    })?;
    Ok(Window::new(file, found.first.0 * lba::SECTOR_BYTES, found.size_sectors() * lba::SECTOR_BYTES))
}

/// The BOOT file system of a raw image.
pub(crate) fn boot(raw: &File) -> Result<Xfs<Window<File>>> {
    Xfs::open(partition(raw, "BOOT")?).map_err(|e| Failure::new("BOOT is no sound xfs").why(e))
}

/// The loader's bytes, cut out of the image; an empty path when the image carries none.
fn loader(raw: &File, map: &ImageMap, dir: &Path) -> Result<PathBuf> {
    let Some(region) = map.regions.iter().find(|r| r.kind == RegionKind::Raw) else {
        return Ok(PathBuf::new());
    };
    let mut bytes = Vec::new();
    let mut file = raw.try_clone()?;
    file.seek(SeekFrom::Start(region.offset_bytes))?;
    file.take(region.content_bytes).read_to_end(&mut bytes)?;
    let path = dir.join("u-boot.bin");
    fs::write(&path, bytes)?;
    Ok(path)
}

/// The first module of an initramfs's root file system.
fn module(packed: &[u8], release: &str, dir: &Path) -> Result<PathBuf> {
    let wrong = |why: &dyn std::fmt::Display| Failure::new("the image's initramfs cannot be read").why(why);
    for segment in &initramfs::segments(packed).map_err(|e| wrong(&e))? {
        let members = segment.members().map_err(|e| wrong(&e))?;
        let Some(rootfs) = members.iter().find(|m| m.name == "rootfs.sqsh") else { continue };
        let image = dir.join("rootfs.sqsh");
        fs::write(&image, rootfs.data)?;
        let found = first_module(&image, release, dir)?;
        fs::remove_file(image)?;
        return found.ok_or_else(|| wrong(&format!("it has no module of {release}")));
    }
    Err(wrong(&"it has no `rootfs.sqsh`"))
}

fn first_module(image: &Path, release: &str, dir: &Path) -> Result<Option<PathBuf>> {
    let tree = format!("usr/lib/modules/{release}/kernel");
    let mut running = Cmd::new("sqfs2tar").arg(image).spawn(Stdio::null(), Stdio::piped(), Stdio::piped())?;
    let mut found = None;
    for entry in running
        .child
        .stdout
        .take()
        .map(tar::Archive::new)
        .iter_mut()
        .flat_map(tar::Archive::entries)
        .flatten()
    {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path);
        if found.is_none() && path.starts_with(&tree) && path.extension().is_some_and(|e| e == "ko") {
            let to = dir.join(path.file_name().unwrap_or_default());
            std::io::copy(&mut entry, &mut fs::File::create(&to)?)?;
            found = Some(to);
        }
    }
    running.finish()?;
    Ok(found)
}
