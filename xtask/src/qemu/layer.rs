// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A qcow2 layer over the image: the guest's writes land there, and so does the self-test's mode.
//!
//! The image file is only ever read. For the modes other than the report the kernel command line must
//! change, and it lies in `grub/grub.cfg` on the BOOT partition. A menu that is edited over a serial line is
//! fragile, and firmware tables would test another way than `selftest=` takes on the board. So the bytes of
//! that file are replaced in the layer, by a text of the same length: xfs keeps no checksum over file data,
//! and a length that stays needs no change anywhere else. The room comes from the reset entry of the menu,
//! which no rehearsal chooses.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err::File;
use fw_build::run::Cmd;
use fw_build::{Context as _, Failure, Result};
use fw_image::grubcfg::{self, Reset};

use super::expect::Mode;

/// Block size of the BOOT file system: every file begins at a multiple of it.
const BLOCK_BYTES: u64 = 4096;

/// How `grub.cfg` begins, in the only form that Talos writes.
const BEGIN: &[u8] = b"set default=\"";

/// More than any `grub.cfg` has.
const MAX_CFG_BYTES: u64 = 64 << 10;

/// Makes the layer for one boot in `dir`.
///
/// # Errors
/// A QEMU tool failed, or the image has no `grub.cfg` that can be changed.
pub fn make(
    dir: &Path,
    raw: &Path,
    boot_offset_bytes: u64,
    boot_length_bytes: u64,
    mode: Mode,
) -> Result<PathBuf> {
    let layer = new(dir, raw, mode.name())?;
    if let Some(argument) = mode.kernel_argument() {
        let (at, old) = find_cfg(raw, boot_offset_bytes, boot_length_bytes)?;
        let new = with_argument(&old, &argument)?;
        fs_err::write(dir.join("grub.cfg"), &new)?;
        write_into(dir, &layer, at, "grub.cfg", new.len())?;
    }
    Ok(layer)
}

/// An empty layer of this name in `dir`.
///
/// # Errors
/// QEMU's tool failed.
pub fn new(dir: &Path, raw: &Path, name: &str) -> Result<PathBuf> {
    create(dir, raw, name, &[])
}

/// The same, on a disk of another size than the image: a card or an eMMC is larger.
///
/// # Errors
/// QEMU's tool failed.
pub fn sized(dir: &Path, raw: &Path, name: &str, size_bytes: u64) -> Result<PathBuf> {
    create(dir, raw, name, &[size_bytes.to_string()])
}

fn create(dir: &Path, raw: &Path, name: &str, size: &[String]) -> Result<PathBuf> {
    let layer = dir.join(format!("{name}.qcow2"));
    Cmd::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
        .args([raw, &layer])
        .args(size)
        .output()
        .context("cannot make a layer over the image")?;
    Ok(layer)
}

/// Offset and text of `grub.cfg` in the raw image.
pub(super) fn find_cfg(raw: &Path, start: u64, length: u64) -> Result<(u64, String)> {
    let mut file = File::open(raw)?;
    let mut found = Vec::new();
    let mut block = [0; BEGIN.len()];
    let mut at = start;
    while at < start + length {
        // Nearly all of the partition is holes, which need no reading.
        at = match rustix::fs::seek(file.file(), rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => start + (data.max(at) - start).next_multiple_of(BLOCK_BYTES),
            Err(rustix::io::Errno::NXIO) => break,
            Err(e) => return Err(std::io::Error::from(e).into()),
        };
        file.seek(SeekFrom::Start(at))?;
        match file.read_exact(&mut block) {
            Ok(()) if block == BEGIN => found.push(at),
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(e.into()),
        }
        at += BLOCK_BYTES;
    }
    let failure = |why: String| {
        Failure::new("cannot set the self-test's mode")
            .why(why)
            .hint("`--mode report` boots the image as it is")
    };
    let [at] = found[..] else {
        return Err(failure(format!("found {} files that begin as `grub.cfg` does, not one", found.len())));
    };
    file.seek(SeekFrom::Start(at))?;
    let mut text = Vec::new();
    file.take(MAX_CFG_BYTES).read_to_end(&mut text)?;
    // The rest of the last block is zero.
    text.truncate(text.iter().position(|b| *b == 0).unwrap_or(text.len()));
    let text = String::from_utf8(text).map_err(|_| failure("`grub.cfg` is not text".to_owned()))?;
    Ok((at, text))
}

/// The file with one more kernel argument in the default entry, at the same length.
pub(super) fn with_argument(old: &str, argument: &str) -> Result<String> {
    let failure = || Failure::new("cannot set the self-test's mode in `grub.cfg`");
    let mut config = grubcfg::parse(old).map_err(|e| failure().why(e))?;
    config.reset = Reset::Absent;
    let default = config.default;
    for entry in config.entries.iter_mut().filter(|e| e.label == default) {
        entry.cmdline.push(' ');
        entry.cmdline.push_str(argument);
    }
    let mut new = config.render().map_err(|e| failure().why(e))?;
    let room = old.len().checked_sub(new.len()).ok_or_else(|| {
        failure().why(format!("the new text has {} bytes, the old one {}", new.len(), old.len()))
    })?;
    new.extend(std::iter::repeat_n('\n', room));
    Ok(new)
}

/// Puts the file `from` of `dir` at an offset of the layer.
pub(super) fn write_into(dir: &Path, layer: &Path, at: u64, from: &str, length: usize) -> Result<()> {
    // qemu-io cuts its command at blanks and knows no quotes: so the file goes without its folder.
    let command = format!("write -q -s {from} {at} {length}");
    let out = Cmd::new("qemu-io").args(["-f", "qcow2", "-c", &command]).arg(layer).cwd(dir).output();
    let out = out.context("cannot change the layer")?;
    // It also says why it refused a command, and older ones then still end with 0.
    if out.is_empty() {
        return Ok(());
    }
    Err(Failure::new("cannot change the layer").why(String::from_utf8_lossy(&out).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fw_image::grubcfg::Config;
    use std::io::Write;

    fn cfg() -> String {
        Config::image("v1.10.9", "talos.platform=metal console=ttyAMA0").render().expect("renders")
    }

    /// A raw disk with the file at a block of a partition that starts at 1 MiB.
    fn raw(dir: &Path, copies: u64) -> PathBuf {
        let path = dir.join("disk, \"a b\".raw");
        let mut file = File::create(&path).expect("file");
        file.set_len(16 << 20).expect("size");
        for i in 0..copies {
            file.seek(SeekFrom::Start((1 << 20) + (i + 5) * 2 * BLOCK_BYTES)).expect("seek");
            file.write_all(cfg().as_bytes()).expect("write");
        }
        path
    }

    #[test]
    fn the_argument_goes_to_the_default_entry_and_the_length_stays() {
        let old = cfg();
        let new = with_argument(&old, "selftest=watchdog").expect("room");
        assert_eq!(new.len(), old.len());
        let entry = grubcfg::parse(&new).expect("parses").entries.remove(0);
        assert_eq!(entry.cmdline, "talos.platform=metal console=ttyAMA0 selftest=watchdog");
        assert!(with_argument(&old, &"x".repeat(old.len())).is_err());
    }

    #[test]
    fn the_file_is_found_once_or_not_at_all() {
        let dir = tempfile::tempdir().expect("folder");
        let found = find_cfg(&raw(dir.path(), 1), 1 << 20, 8 << 20).expect("one");
        assert_eq!(found, ((1 << 20) + 10 * BLOCK_BYTES, cfg()));
        for copies in [0, 2] {
            let text = find_cfg(&raw(dir.path(), copies), 1 << 20, 8 << 20).expect_err("not one").to_string();
            assert!(text.contains(&format!("found {copies} files")), "{text}");
            fs_err::remove_file(dir.path().join("disk, \"a b\".raw")).expect("removed");
        }
    }

    #[test]
    fn the_layer_has_the_mode_and_the_image_stays() {
        let dir = tempfile::tempdir().expect("folder");
        let raw = raw(dir.path(), 1);
        let before = fs_err::read(&raw).expect("image");
        let work = dir.path().join("with \"blanks\"");
        fs_err::create_dir(&work).expect("folder");
        let layer = make(&work, &raw, 1 << 20, 8 << 20, Mode::Reboot).expect("made");
        let flat = dir.path().join("flat");
        Cmd::new("qemu-img").args(["convert", "-O", "raw"]).args([&layer, &flat]).output().expect("converts");
        assert!(fs_err::read(&raw).expect("image") == before, "the image was written to");
        let (_, text) = find_cfg(&flat, 1 << 20, 8 << 20).expect("still there");
        assert!(text.contains("ttyAMA0 selftest=reboot\n"), "{text}");
    }
}
