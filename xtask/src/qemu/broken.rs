// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask qemu --broken`: copies of the image, each broken in one way, booted, and diagnosed from their
//! consoles. What `cargo xtask diagnose` says must name the stage and the cause.
//!
//! The image is never written: each copy is a layer over it. Nothing here knows rules; it names the one that must
//! come first.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use boot_log::{Diagnosis, Rules, Scanner, Stage};
use fs_err::File;
use fw_build::run::Cmd;
use fw_build::status::seconds;
use fw_build::{Context as _, Failure, Result};
use fw_image::gpt::{self, Geometry, Table};
use fw_image::kernel::zboot;
use fw_image::map::ImageMap;
use fw_image::{cpio, grubcfg, initramfs, modsig};

use super::boot::{Guest, read_in_background};
use super::layer;
use super::machine::{self, Console, Start};
use super::published;
use crate::console::Lines;
use crate::selftest_lines::RESULT;
use crate::verify::ImageFile;

/// So long the console is read on after its last awaited line: what comes with it belongs to it.
const AFTER: Duration = Duration::from_millis(700);

/// How a copy is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// The table has no EFI partition.
    NoEsp,
    /// BOOT is the second partition, and GRUB's root is the third.
    WrongRoot,
    /// `grub.cfg` names a kernel that is not there.
    NoKernel,
    /// One module of the root file system has no signature.
    UnsignedModule,
    /// The kernel's driver of the disk never starts.
    NoDiskDriver,
}

/// One rehearsal.
struct Case {
    how: How,
    name: &'static str,
    /// What on the console shows that no more comes.
    until: &'static [&'static str],
    /// How far it must get.
    reached: Stage,
    /// What `cargo xtask diagnose` must say first.
    rule: &'static str,
}

/// The self-test's last line.
const REPORTED: &[&str] = &[RESULT];

const CASES: [Case; 5] = [
    Case {
        how: How::NoEsp,
        name: "no EFI partition",
        until: &["=>", "BOOTP broadcast 2", "TFTP error"],
        reached: Stage::UBoot,
        rule: "nothing-to-boot",
    },
    Case {
        how: How::WrongRoot,
        name: "BOOT is not the partition that GRUB's root names",
        until: &["grub rescue>", "grub>"],
        reached: Stage::Grub,
        rule: "grub-prompt",
    },
    Case {
        how: How::NoKernel,
        name: "no kernel on BOOT",
        until: &["load the kernel first", "Press any key to continue"],
        reached: Stage::Grub,
        rule: "grub-no-kernel",
    },
    Case {
        how: How::UnsignedModule,
        name: "a module without signature",
        until: REPORTED,
        reached: Stage::Ready,
        rule: "module-refused",
    },
    Case {
        how: How::NoDiskDriver,
        name: "a kernel without the driver of its disk",
        until: REPORTED,
        reached: Stage::Ready,
        rule: "no-disk",
    },
];

/// Boots every broken copy.
///
/// # Errors
/// A copy cannot be made, or its diagnosis names another stage or cause.
pub fn run(dir: &Path, raw: &Path, map: &ImageMap, firmware: &Path, limit: Duration) -> Result<()> {
    let rules = Rules::builtin();
    let mut wrong = Vec::new();
    for case in &CASES {
        let begin = Instant::now();
        let (start, disk) = broken(case.how, dir, raw, map, firmware)
            .context(format!("cannot make the copy with {}", case.name))?;
        let qemu = Cmd::new(machine::PROGRAM).args(machine::arguments(
            &start,
            &disk,
            Console::Piped,
            machine::Forward::report(published::free_port()?),
        ));
        let mut scanner = Scanner::new(&rules);
        watch(&qemu, case.until, limit, &mut scanner)?;
        let diagnosis = scanner.finish();
        let first = diagnosis.findings.first().map(|f| f.rule.id.as_str());
        let right = first == Some(case.rule) && diagnosis.reached == Some(case.reached);
        let verdict = if right { "right" } else { "WRONG" };
        println!(
            "{verdict}  {}: {}, `{}` ({})",
            case.name,
            diagnosis.reached.map_or("no stage", Stage::name),
            first.unwrap_or("no finding"),
            seconds(begin.elapsed().as_secs_f64())
        );
        if !right {
            wrong.push(complaint(case, &diagnosis));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("{} of {} broken images are not diagnosed", wrong.len(), CASES.len()))
        .why(wrong.join("\n"))
        .hint("the rules are `crates/boot-log/rules.toml`"))
}

fn complaint(case: &Case, diagnosis: &Diagnosis<'_>) -> String {
    format!("{}: expected {} and `{}`; said:\n{diagnosis}", case.name, case.reached, case.rule)
}

/// Reads the console until one of `until`, or the limit: a boot that hangs is what some of them do.
fn watch(qemu: &Cmd, until: &[&str], limit: Duration, scanner: &mut Scanner<'_>) -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    let (stdout, stderr) = (Stdio::from(writer.try_clone()?), Stdio::from(writer));
    let _guest = Guest(qemu.spawn(Stdio::null(), stdout, stderr)?);
    let bytes = read_in_background(reader);
    let mut deadline = Instant::now() + limit;
    let (mut lines, mut seen) = (Lines::default(), false);
    while let Ok(chunk) = bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        scanner.feed(&chunk);
        let complete = lines.feed(&chunk);
        let rest = lines.rest();
        let shows = |line: &String| until.iter().any(|u| line.contains(u));
        if !seen && complete.iter().chain(rest.as_ref()).any(shows) {
            seen = true;
            deadline = Instant::now() + AFTER;
        }
    }
    Ok(())
}

fn broken(how: How, dir: &Path, raw: &Path, map: &ImageMap, firmware: &Path) -> Result<(Start, PathBuf)> {
    let disk = layer::new(dir, raw, &format!("{how:?}"))?;
    let with_firmware = |disk| Ok((Start::Firmware(firmware.to_owned()), disk));
    match how {
        How::NoEsp => {
            without(dir, raw, &disk, "EFI")?;
            with_firmware(disk)
        }
        How::WrongRoot => {
            without(dir, raw, &disk, "BIOS")?;
            with_firmware(disk)
        }
        How::NoKernel => {
            change_cfg(dir, raw, map, &disk, "/A/vmlinuz", "/C/vmlinuz")?;
            with_firmware(disk)
        }
        How::NoDiskDriver => {
            // As if the kernel did not have it: its only call of the driver is left out.
            let (at, old) = find_cfg(raw, map)?;
            let new = layer::with_argument(&old, "initcall_blacklist=virtio_blk_init")?;
            put(dir, &disk, at, new.as_bytes())?;
            with_firmware(disk)
        }
        How::UnsignedModule => Ok((unsigned(dir, raw)?, disk)),
    }
}

fn find_cfg(raw: &Path, map: &ImageMap) -> Result<(u64, String)> {
    let boot = map.region("BOOT").ok_or_else(|| Failure::new("the image's map has no region `BOOT`"))?;
    layer::find_cfg(raw, boot.offset_bytes, boot.length_bytes)
}

/// Both names have one length, so that the file keeps its own.
fn change_cfg(dir: &Path, raw: &Path, map: &ImageMap, disk: &Path, from: &str, to: &str) -> Result<()> {
    let (at, old) = find_cfg(raw, map)?;
    let new = old.replace(from, to);
    if new == old || new.len() != old.len() {
        return Err(Failure::new(format!("`grub.cfg` does not name `{from}`")));
    }
    put(dir, disk, at, new.as_bytes())
}

/// Both copies of the table, without one partition.
fn without(dir: &Path, raw: &Path, disk: &Path, name: &str) -> Result<()> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new("the partition table cannot be changed").why(e);
    let found = gpt::Image::read(&mut File::open(raw)?)?;
    let copy = found.primary.as_ref().map_err(|e| wrong(e))?;
    let mut table = Table {
        disk_guid: copy.header.disk_guid,
        geometry: Geometry::new(found.disk_sectors, copy.header.entries.0.saturating_sub(2))
            .map_err(|e| wrong(&e))?,
        partitions: copy.partitions.iter().map(|(_, p)| p.clone()).collect(),
    };
    let before = table.partitions.len();
    table.partitions.retain(|p| p.name != name);
    if table.partitions.len() + 1 != before {
        return Err(wrong(&format!("it has no partition `{name}`")));
    }
    for (at, bytes) in table.encode().map_err(|e| wrong(&e))? {
        put(dir, disk, at.bytes(), &bytes)?;
    }
    Ok(())
}

fn put(dir: &Path, disk: &Path, at: u64, bytes: &[u8]) -> Result<()> {
    fs_err::write(dir.join("patch"), bytes)?;
    layer::write_into(dir, disk, at, "patch", bytes.len())
}

/// The image's kernel and root file system, started by QEMU itself: the file system grows by its other packing, and
/// on BOOT it has no room to.
fn unsigned(dir: &Path, raw: &Path) -> Result<Start> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new("cannot take a signature off").why(e);
    let mut image =
        ImageFile::open(raw)?.ok_or_else(|| wrong(&format!("`{}` is no image", raw.display())))?;
    let packed = image.boot_file("A/initramfs.xz")?;
    let segments = initramfs::segments(&packed).map_err(|e| wrong(&e))?;
    let mut archive = Vec::new();
    let mut taken_off = 0;
    for segment in &segments {
        let mut writer = cpio::Writer::new(&mut archive, 0);
        for member in segment.members().map_err(|e| wrong(&e))? {
            let permissions = member.mode & 0o7777;
            match member.name {
                // The only folder of Talos's container.
                "." => writer.directory(".", permissions)?,
                "rootfs.sqsh" => {
                    let (squashfs, count) = without_signature(dir, member.data)?;
                    taken_off += count;
                    writer.file("rootfs.sqsh", permissions, &squashfs)?;
                }
                name => writer.file(name, permissions, member.data)?,
            }
        }
        writer.finish()?;
    }
    if taken_off != 1 {
        return Err(wrong(&format!("{taken_off} modules `{MODULE}`, not one")));
    }
    let (kernel, ramdisk) = (dir.join("unsigned.image"), dir.join("unsigned.initramfs"));
    let wrapped = image.boot_file("A/vmlinuz")?;
    fs_err::write(&kernel, zboot::decompress(&wrapped).map_err(|e| wrong(&e))?)?;
    fs_err::write(&ramdisk, initramfs::compress(&archive, 1, 2)?)?;
    let config = String::from_utf8_lossy(&image.boot_file("grub/grub.cfg")?).into_owned();
    let config = grubcfg::parse(&config).map_err(|e| wrong(&e))?;
    let entry = config.entry(config.default).ok_or_else(|| wrong(&"`grub.cfg` has no default entry"))?;
    Ok(Start::Kernel { image: kernel, initramfs: ramdisk, arguments: entry.cmdline.clone() })
}

/// Loads by alias, for QEMU's USB stick.
const MODULE: &str = "usb-storage.ko";

/// The squashfs with the one module cut before its signature, packed quickly; and how many were.
fn without_signature(dir: &Path, squashfs: &[u8]) -> Result<(Vec<u8>, usize)> {
    let (from, tar_path, to) = (dir.join("whole.sqsh"), dir.join("root.tar"), dir.join("unsigned.sqsh"));
    fs_err::write(&from, squashfs)?;
    let mut running = Cmd::new("sqfs2tar").arg(&from).spawn(Stdio::null(), Stdio::piped(), Stdio::piped())?;
    let mut count = 0;
    if let Some(stdout) = running.child.stdout.take() {
        let mut builder = tar::Builder::new(File::create(&tar_path)?);
        let mut archive = tar::Archive::new(stdout);
        // Raw: extended headers go over as the entries that they are.
        for entry in archive.entries()?.raw(true) {
            let mut entry = entry?;
            let is_it = entry.path()?.file_name().is_some_and(|n| n == MODULE);
            let mut header = entry.header().clone();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            if is_it && let Ok(signed) = modsig::split(&content) {
                let length = signed.content.len();
                content.truncate(length);
                header.set_size(content.len() as u64);
                header.set_cksum();
                count += 1;
            }
            builder.append(&header, &content[..])?;
        }
        builder.into_inner()?.flush()?;
    }
    running.finish()?;
    let input = Stdio::from(File::open(&tar_path)?.into_parts().0);
    let pack = Cmd::new("tar2sqfs")
        .args(["--quiet", "--force", "--no-skip", "--compressor", "zstd", "--comp-extra", "level=1"])
        .arg(&to);
    pack.spawn(input, Stdio::null(), Stdio::piped())?.finish()?;
    Ok((fs_err::read(&to)?, count))
}
