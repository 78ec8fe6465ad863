// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The disk image: region plan, file systems, GPT, compression, map. A result of the store like any other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bringup_selftest::publish::{Document, esp};
use fs_err as fs;
use fw_build::board::{Filesystem, PartitionKind, Switch};
use fw_build::key::{KeyInputs, sha256_bytes, sha256_file};
use fw_build::status::{Phase, Status};
use fw_build::store::{Built, Entry, PinUsed};
use fw_build::toolchain::first_line;
use fw_build::{Context as _, Failure, Result};
use fw_image::cmdline::Cmdline;
use fw_image::disk::{Content, PartitionPlan, Plan, RawPlan, Start, Written};
use fw_image::guid::Guid;
use fw_image::lba::{Lba, MIB};
use fw_image::map::{self, ImageMap};
use fw_image::meta::tag_name;
use fw_image::{bl31, ddr, fat, gpt, grubcfg, xz};
use talos_initramfs::layers;

use super::boot::{self, BootFile};
use super::mix::Known;
use super::select::{Bootloader, Selection, Userland};
use crate::context::Context;
use crate::screen::Screen;
use crate::sign::SignedKernel;
use crate::stages::Results;
use crate::userland;
use crate::userland::extended;
use crate::verify;

/// Raise it when this step's code changes what it makes.
const RECIPE_VERSION: u32 = 5;

/// Stages whose outputs lie in the image as they are.
const IMAGE_STAGES: [&str; 2] = ["dtb", "grub-efi"];

/// Stages that are in no image: the map must not name their keys, which the image's own key does not cover.
const NOT_IN_IMAGE: [&str; 1] = ["u-boot-qemu"];

/// Where GRUB lies on the ESP: UEFI's removable media path for AArch64 (UEFI 2.10, 3.5.1.1).
const GRUB_PATH: &str = "EFI/BOOT/BOOTAA64.EFI";

/// What the image is made of.
pub struct Parts<'a> {
    /// Stage results.
    pub stages: &'a Results,
    /// Kernel and modules.
    pub kernel: &'a SignedKernel,
    /// The initramfs.
    pub userland: &'a Entry,
    /// What is known about the mix of parts.
    pub known: &'a Known,
}

/// Makes the image, or finds it in the store.
///
/// # Errors
/// The layout is refused, or a tool failed.
pub fn ensure(cx: &Context, selection: &Selection, parts: &Parts, screen: &Screen) -> Result<Entry> {
    let cmdline = kernel_cmdline(cx, selection)?;
    let mut inputs = KeyInputs::default();
    inputs.add("recipe", format!("image {RECIPE_VERSION}"))?;
    inputs.add("file:board", sha256_file(&cx.root.join("boards/nanopi-m6.toml"))?)?;
    inputs.add("setting:cmdline", cmdline.as_str())?;
    inputs.add("setting:talos", selection.talos.as_str())?;
    // Not the values, which may be secret.
    inputs.add("setting:meta", sha256_bytes(&meta_partition(selection)?))?;
    inputs.add("setting:userland", selection.userland.name())?;
    inputs.add("setting:bootloader", selection.bootloader.name())?;
    // The map says it; the keys below have what the parts are.
    inputs.add("setting:evidence", format!("{:?}, {}", parts.known.evidence, parts.known.parts))?;
    for stage in image_stages(cx, selection) {
        inputs.add(format!("stage:{stage}"), parts.stages.get(stage)?.record.key.as_str())?;
    }
    inputs.add("stage:signed-kernel", parts.kernel.entry.record.key.as_str())?;
    inputs.add("stage:userland", parts.userland.record.key.as_str())?;
    inputs.add("tool:mkfs.xfs", first_line(&fw_build::run::Cmd::new("mkfs.xfs").arg("-V"))?)?;
    let outputs = [("raw-xz", "image.raw.xz"), ("map", "image.map.json")]
        .map(|(r, p)| (r.to_owned(), PathBuf::from(p)));
    let status = screen.step("image");
    let (entry, origin) = cx
        .store
        .ensure(
            "image",
            &inputs,
            &outputs,
            || status.phase(Phase::Waiting, None),
            |work| {
                status.phase(Phase::Building, Some(6));
                status.step("check the parts");
                for stage in image_stages(cx, selection) {
                    parts.stages.get(stage)?.verify()?;
                }
                parts.kernel.entry.verify()?;
                parts.userland.verify()?;
                let (initramfs, vmlinuz) =
                    (parts.userland.path("initramfs")?, parts.kernel.entry.path("vmlinuz")?);
                verify::initramfs::require(&initramfs, &vmlinuz)
                    .context("kernel and userland do not belong together")?;
                Assembly { cx, selection, parts, cmdline: &cmdline, work, status: &status }.run()?;
                Ok(Built::default())
            },
        )
        .inspect_err(|_| status.phase(Phase::Failed, None))?;
    status.phase(origin.into(), None);
    Ok(entry)
}

/// Stages that this image's map names: the two of every image, those of the raw regions, or the loader beside it.
fn image_stages<'a>(cx: &'a Context, selection: &Selection) -> Vec<&'a str> {
    let mut stages: Vec<&str> = match selection.bootloader {
        Bootloader::UBoot => cx.board.disk.regions.iter().map(|r| r.stage.as_str()).collect(),
        Bootloader::Spi => vec!["u-boot-spi"],
        Bootloader::None => Vec::new(),
    };
    stages.extend(IMAGE_STAGES);
    stages
}

/// Where META lies in the table: Talos finds it by this label.
const META: &str = "META";

fn meta_partition(selection: &Selection) -> Result<Vec<u8>> {
    selection.meta.partition().map_err(|e| Failure::new("the META values cannot be used").why(e))
}

/// Talos's line for this release with the board's arguments; the self-test adds its console.
fn kernel_cmdline(cx: &Context, selection: &Selection) -> Result<String> {
    let board = cx.board.kernel.args.iter().map(String::as_str);
    let overlay: Vec<&str> = match selection.userland {
        Userland::Talos => board.collect(),
        // First: the last console of the line becomes /dev/console, and that is the board's.
        Userland::Bringup | Userland::TalosSource => {
            userland::BRINGUP_KERNEL_ARGS.into_iter().chain(board).collect()
        }
    };
    let extra: Vec<&str> = selection.extra_kernel_args.iter().map(String::as_str).collect();
    let cmdline = Cmdline::metal_arm64(selection.line, &overlay, &extra).map_err(|e| {
        Failure::new(format!("the kernel arguments of an image for Talos {} cannot be used", selection.talos))
            .why(e)
            .hint("`--extra-kernel-arg` adds one, with a leading `-` it removes one; the board file has the board's own")
    })?;
    Ok(cmdline.to_string())
}

struct Assembly<'a> {
    cx: &'a Context,
    selection: &'a Selection,
    parts: &'a Parts<'a>,
    cmdline: &'a str,
    work: &'a std::path::Path,
    status: &'a Status,
}

impl Assembly<'_> {
    fn run(&self) -> Result<()> {
        let refused = |e: &dyn std::fmt::Display| Failure::new("the disk layout is refused").why(e);
        self.status.step("BOOT partition");
        let boot_files = self.boot_files()?;
        // Laid out once without content sizes that depend on file systems: nothing is made for a layout that
        // would be refused.
        let layout = self.plan(&BTreeMap::new())?.check().map_err(|e| refused(&e))?;
        let efi_start = layout
            .regions()
            .iter()
            .find(|r| r.name == "EFI")
            .map(|r| r.start)
            .ok_or_else(|| Failure::new("the board file has no partition `EFI`"))?;
        let mut content = BTreeMap::new();
        for partition in &self.selection.disk.partitions {
            let size_bytes = partition.size_mib * MIB;
            let path = match partition.filesystem {
                Filesystem::Zero => continue,
                Filesystem::Xfs => boot::make(self.work, size_bytes, &boot_files)?,
                Filesystem::Fat32 => {
                    self.status.step("EFI partition");
                    self.efi(size_bytes, efi_start)?
                }
            };
            content.insert(partition.name.clone(), path);
        }
        self.status.step("disk");
        let layout = self.plan(&content)?.check().map_err(|e| refused(&e))?;
        let raw = self.work.join("image.raw");
        let mut file = fs::File::create(&raw)?.into_parts().0;
        let written =
            layout.write(&mut file).map_err(|e| Failure::new("cannot write the disk image").why(e))?;
        drop(file);
        self.status.step("compress");
        let packed = self.work.join("out/image.raw.xz");
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let summary = xz::compress(&mut fs::File::open(&raw)?, &mut fs::File::create(&packed)?, threads)
            .map_err(|e| Failure::new("cannot compress the disk image").why(e))?;
        self.status.step("map");
        let mut map = self.map(&written, &boot_files, summary.raw_sha256)?;
        let mut written = fs::File::open(&raw)?;
        for region in &mut map.regions {
            region.blocks = map::blocks(&mut written, region.offset_bytes, region.length_bytes)?;
        }
        let text = map.to_json().map_err(|e| Failure::new("cannot write the image map").why(e))?;
        fs::write(self.work.join("out/image.map.json"), text)?;
        // Of no use after compression, and as large as the disk where holes are not kept.
        fs::remove_file(raw)?;
        Ok(())
    }

    fn boot_files(&self) -> Result<[BootFile; 3]> {
        let config = grubcfg::Config::image(&self.selection.talos, self.cmdline)
            .render()
            .map_err(|e| Failure::new("cannot write `grub.cfg`").why(e))?;
        let config_path = self.work.join("grub.cfg");
        fs::write(&config_path, config)?;
        Ok([
            BootFile { path: "A/vmlinuz", mode: 0o644, source: self.parts.kernel.entry.path("vmlinuz")? },
            BootFile { path: "A/initramfs.xz", mode: 0o644, source: self.parts.userland.path("initramfs")? },
            // Talos writes it readable for root only.
            BootFile { path: "grub/grub.cfg", mode: 0o600, source: config_path },
        ])
    }

    fn efi_files(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut files = vec![
            (GRUB_PATH.to_owned(), self.parts.stages.get("grub-efi")?.path("grub")?),
            (format!("dtb/{}", self.cx.board.dtb), self.parts.stages.get("dtb")?.path("dtb")?),
        ];
        if self.selection.userland == Userland::Bringup {
            // The self-test writes its report over it, and by it knows its own medium.
            let report = self.work.join(esp::FILE);
            fs::write(&report, Document::not_run(&self.parts.kernel.release).to_json())?;
            files.push((esp::FILE.to_owned(), report));
        }
        Ok(files)
    }

    fn efi(&self, size_bytes: u64, partition_start: Lba) -> Result<PathBuf> {
        let mut files = Vec::new();
        for (path, source) in self.efi_files()? {
            files.push((path, fs::read(source)?));
        }
        let files: Vec<(&str, &[u8])> = files.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
        let spec = fat::Spec {
            size_bytes,
            label: "EFI".to_owned(),
            volume_id: fat::volume_id("EFI"),
            partition_start,
        };
        let path = self.work.join("efi.fat");
        let mut image =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        image.set_len(size_bytes)?;
        fat::build(&mut image, &spec, &files)
            .map_err(|e| Failure::new("cannot make the EFI partition").why(e))?;
        Ok(path)
    }

    fn plan(&self, content: &BTreeMap<String, PathBuf>) -> Result<Plan> {
        let disk = &self.selection.disk;
        let mut raw = Vec::new();
        if self.selection.bootloader == Bootloader::UBoot {
            for region in &disk.regions {
                let path = self.parts.stages.get(&region.stage)?.path(&region.role)?;
                raw.push(RawPlan {
                    name: region.name.clone(),
                    owner: region.stage.clone(),
                    start: Lba(region.start_lba),
                    limit: Lba(region.limit_lba),
                    content: Content::file(&path)?,
                });
            }
        }
        let mut partitions = Vec::new();
        for partition in &disk.partitions {
            let (type_guid, attributes) = match partition.kind {
                PartitionKind::Efi => (Guid::EFI_SYSTEM, 0),
                PartitionKind::Bios => (Guid::BIOS_BOOT, gpt::ATTRIBUTE_LEGACY_BIOS_BOOTABLE),
                PartitionKind::Linux => (Guid::LINUX_DATA, 0),
            };
            partitions.push(PartitionPlan {
                name: partition.name.clone(),
                owner: "xtask".to_owned(),
                type_guid,
                guid: Guid::from_label(&partition.name),
                attributes,
                start: Start::Next,
                size_bytes: partition.size_mib * MIB,
                content: match content.get(&partition.name) {
                    Some(path) => Content::file(path)?,
                    None if partition.name == META && !self.selection.meta.is_empty() => {
                        Content::Bytes(meta_partition(self.selection)?)
                    }
                    None => Content::Zero,
                },
            });
        }
        Ok(Plan {
            size_bytes: disk.size_bytes,
            // Talos derives its disk GUID from this label from v1.13 on; before, it is random there and the same here.
            disk_guid: Guid::from_label("talos-image-disk"),
            offset_sectors: disk.offset_sectors,
            partitions,
            raw,
        })
    }

    fn map(&self, written: &[Written], boot: &[BootFile], sha256: String) -> Result<ImageMap> {
        let mut regions = Vec::new();
        for w in written {
            let stage = self.parts.stages.get(&w.owner).ok();
            let version = stage.and_then(|s| pin_of(&s.record.inputs, "u-boot"));
            let mut region = map::Region::of(w, version, stage.map(|s| s.record.key.as_str().to_owned()));
            match w.name.as_str() {
                "EFI" => {
                    for (path, source) in self.efi_files()? {
                        region.files.insert(path, sha256_file(&source)?);
                    }
                }
                "BOOT" => {
                    for file in boot {
                        region.files.insert(file.path.to_owned(), sha256_file(&file.source)?);
                    }
                }
                _ => {}
            }
            regions.push(region);
        }
        let mut origins = BTreeMap::new();
        let mut facts = BTreeMap::new();
        for (stage, entry) in self.parts.stages.iter() {
            if NOT_IN_IMAGE.contains(&stage)
                || (stage == "bringup" && self.selection.userland != Userland::Bringup)
            {
                continue;
            }
            facts.insert(format!("stage:{stage}"), entry.record.key.as_str().to_owned());
            for (id, used) in &entry.record.origins {
                origins.insert(id.clone(), origin_of(used));
            }
        }
        for (id, used) in &self.parts.userland.record.origins {
            origins.insert(id.clone(), origin_of(used));
        }
        facts.insert("certificate-sha256".to_owned(), self.parts.kernel.certificate_sha256.clone());
        // Beside the one above: the old one while keys change.
        let also: Vec<String> =
            self.parts.kernel.trusted[1..].iter().map(|c| fw_image::hex(&c.sha256())).collect();
        if !also.is_empty() {
            facts.insert("also-trusted-sha256".to_owned(), also.join(" "));
        }
        facts.insert("kernel-arguments".to_owned(), self.cmdline.to_owned());
        // Talos makes BOOT of v1.13 and later with features that GRUB 2.12 cannot read.
        facts.insert("boot-xfs-of-talos".to_owned(), self.selection.line.xfs_features().to_string());
        if !self.selection.meta.is_empty() {
            // Names only: a value may be secret.
            let values = self.selection.meta.values().iter();
            let values: Vec<String> =
                values.map(|(tag, v)| format!("{tag} ({}, {} bytes)", tag_name(*tag), v.len())).collect();
            facts.insert("meta".to_owned(), values.join(", "));
        }
        if self.selection.userland != Userland::Bringup {
            facts.insert("modules".to_owned(), self.selection.additions.modules.name().to_owned());
        }
        if let Ok(list) = self.parts.userland.path(extended::LIST) {
            let layers = layers::Config::parse(&fs::read(list)?)?.layers;
            let layers = layers.iter().map(|l| format!("{} {}", l.metadata.name, l.metadata.version));
            facts.insert("layers".to_owned(), layers.collect::<Vec<_>>().join(", "));
        }
        self.loader_facts(&mut facts)?;
        facts.insert("bootloader".to_owned(), self.selection.bootloader.name().to_owned());
        facts.insert("userland-key".to_owned(), self.parts.userland.record.key.as_str().to_owned());
        facts.insert(
            "board-file".to_owned(),
            sha256_bytes(&fs::read(self.cx.root.join("boards/nanopi-m6.toml"))?),
        );
        Ok(ImageMap {
            schema_version: map::SCHEMA_VERSION,
            image: format!("{}.raw", self.cx.board.disk.image),
            board: self.cx.board.name.clone(),
            size_bytes: self.selection.disk.size_bytes,
            sha256,
            userland: match self.selection.userland {
                Userland::Talos => map::Userland::Talos,
                Userland::Bringup => map::Userland::Bringup,
                Userland::TalosSource => map::Userland::TalosSource,
            },
            kernel_release: self.parts.kernel.release.clone(),
            talos_version: self.selection.talos.clone(),
            btf: match self.cx.board.kernel.btf {
                Switch::On => map::Presence::On,
                Switch::Off => map::Presence::Off,
            },
            evidence: self.parts.known.evidence,
            regions,
            origins,
            facts,
        })
    }
}

impl Assembly<'_> {
    /// Which DDR blob went out with which BL31, read from both: a fault of the pair shows nowhere else.
    fn loader_facts(&self, facts: &mut BTreeMap<String, String>) -> Result<()> {
        let mut fact = |name: &str, value: String| facts.insert(name.to_owned(), value);
        fact("parts", self.parts.known.parts.clone());
        fact("evidence-reason", self.parts.known.reason.clone());
        if self.selection.bootloader == Bootloader::None {
            return Ok(());
        }
        let (blob, elf) = ("rkbin-ddr", "tf-a-bl31");
        let blob = fs::read(self.parts.stages.get(blob)?.path("ddr")?)?;
        let elf = fs::read(self.parts.stages.get(elf)?.path("bl31")?)?;
        let wrong = |what: &str, e: &dyn std::fmt::Display| Failure::new(what.to_owned()).why(e);
        let named = ddr::parse(&blob).map_err(|e| wrong("the DDR blob cannot be read", &e))?;
        let monitor = bl31::parse(&elf).map_err(|e| wrong("BL31 cannot be read", &e))?;
        fact("ddr-build", named.build);
        fact("ddr-sha256", sha256_bytes(&blob));
        fact("bl31-maker", monitor.maker.to_string());
        fact("bl31-sha256", sha256_bytes(&elf));
        Ok(())
    }
}

fn origin_of(used: &PinUsed) -> map::Origin {
    let PinUsed { version, origin, sha256 } = used.clone();
    map::Origin { version, origin, sha256 }
}

/// Version of the stage's own pin as its key inputs have it.
fn pin_of(inputs: &KeyInputs, manifest: &str) -> Option<String> {
    let label = format!("pin:{manifest}");
    let (_, value) = inputs.iter().find(|(l, _)| *l == label)?;
    // `u-boot/2025.01 <digests>`
    Some(value.split([' ', '/']).nth(1)?.to_owned())
}
