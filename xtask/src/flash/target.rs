// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is written to: a disk of this machine, or a regular file that the user calls one.

use std::path::Path;

use flasher::device::{Bus, Device, Refusal, Use};
use flasher::medium::{Disk, Kind, Medium};
use flasher::size::size;
use fw_build::{Failure, Result};
use image_inspect::source::FileSource;
use image_inspect::summary;

use super::disks::{self, System};
use super::events::{MediumPlan, Voice};
use crate::exit::Exit;

/// A target that exists.
pub struct Target {
    path: String,
    name: String,
    kind: What,
}

enum What {
    Disk(Device),
    File { size_bytes: u64 },
}

impl Target {
    /// Looks it up.
    ///
    /// # Errors
    /// It does not exist, is a partition, or is not what `file` says.
    pub fn find(path: &Path, file: bool) -> Result<Target> {
        let real = fs_err::canonicalize(path)?;
        let kind = fs_err::metadata(&real)?.file_type();
        let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (real, name) = disks::whole_path(real, name);
        let path = real.display().to_string();
        if kind.is_file() {
            let file_failure = Failure::new(format!("`{path}` is a regular file"))
                .hint("`--file` says that you mean a file, such as the disk of a virtual machine");
            let size_bytes = fs_err::metadata(&real)?.len();
            return if file {
                Ok(Target { path, name, kind: What::File { size_bytes } })
            } else {
                Err(file_failure)
            };
        }
        if !disks::is_disk(kind) {
            return Err(
                Failure::new(format!("`{path}` is no disk")).hint("`cargo xtask flash --list` shows them")
            );
        }
        if file {
            return Err(
                Failure::new(format!("`{path}` is no regular file")).hint("leave `--file` out for a disk")
            );
        }
        let device = disks::named(&name)?;
        Ok(Target { path, name, kind: What::Disk(device) })
    }

    /// Its path, links resolved.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the user types.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size.
    pub fn size_bytes(&self) -> u64 {
        match &self.kind {
            What::Disk(device) => device.size_bytes,
            What::File { size_bytes } => *size_bytes,
        }
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, What::File { .. })
    }

    /// What tells it from others.
    pub fn identity(&self) -> String {
        match &self.kind {
            What::Disk(device) => device.identity(),
            What::File { size_bytes } => format!("file {} | {size_bytes} bytes", self.path),
        }
    }

    /// Refuses a disk that must not be written.
    ///
    /// # Errors
    /// Every reason at once.
    pub fn refuse(&self, need_bytes: u64, allowed: Option<&str>) -> Result<()> {
        let What::Disk(device) = &self.kind else { return Ok(()) };
        let refusals = device.refusals(need_bytes, allowed);
        if refusals.is_empty() {
            return Ok(());
        }
        let mut failure = Failure::new(format!("`{}` is not written", self.path));
        for refusal in &refusals {
            failure = failure.why(refusal);
        }
        if refusals.iter().all(Refusal::can_be_overridden) {
            failure = failure.hint(format!("if this very disk is meant: `--allow {}`", self.name));
        }
        for refusal in &refusals {
            failure = match refusal {
                Refusal::InUse(_) => hints(device).into_iter().fold(failure, Failure::hint),
                Refusal::Empty => failure.hint("put the card in"),
                Refusal::ReadOnly => failure.hint("the lock on the card's side, or of its adapter"),
                Refusal::System(_) => failure.hint("`cargo xtask flash --list` shows the others"),
                Refusal::Doubt(_) => failure.hint("another reader or port may say more of itself"),
                Refusal::Virtual | Refusal::Fixed(_) | Refusal::Large | Refusal::TooSmall { .. } => failure,
            };
        }
        Err(failure)
    }

    /// For programs.
    pub fn plan(&self) -> MediumPlan {
        let (bus, model, serial) = match &self.kind {
            What::Disk(d) => (d.bus.name(), d.model.clone(), d.serial.clone()),
            What::File { .. } => ("file", String::new(), String::new()),
        };
        MediumPlan {
            path: self.path.clone(),
            size_bytes: self.size_bytes(),
            bus: bus.to_owned(),
            model,
            serial,
        }
    }

    /// Model, size, serial, and what is on it.
    pub fn describe(&self, voice: &Voice) {
        match &self.kind {
            What::Disk(d) => {
                voice.line(format!("medium    {} ({}, {})", self.path, size(d.size_bytes), d.bus.name()));
                voice.line(format!("          model {}", or_unknown(&d.model)));
                voice.line(format!("          serial {}", or_unknown(&d.serial)));
            }
            What::File { size_bytes } => {
                voice.line(format!("medium    {} (a file, {})", self.path, size(*size_bytes)));
            }
        }
        let found = std::fs::File::open(&self.path).and_then(FileSource::new).and_then(|s| summary(&s));
        match found {
            Ok(line) => voice.line(format!("on it     {line}")),
            Err(e) => voice.line(format!("on it     cannot be read: {e}")),
        }
    }

    /// Opens it for writing, for nobody else.
    ///
    /// # Errors
    /// No permission, or somebody has it.
    pub fn open(&self) -> Result<Disk> {
        let kind = if self.is_file() { Kind::File } else { Kind::Block };
        let disk = Disk::open(Path::new(&self.path), kind).map_err(|e| {
            let failure = Failure::new(format!("`{}` cannot be opened for writing", self.path)).why(&e);
            match e.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    let program = std::env::current_exe().unwrap_or_else(|_| "xtask".into());
                    failure.hint(format!("as root: `sudo {} flash ...`", program.display()))
                }
                std::io::ErrorKind::ResourceBusy | std::io::ErrorKind::WouldBlock => {
                    failure.hint("something has it open: another flasher, a desktop that just mounted it")
                }
                _ => failure,
            }
        })?;
        if disk.size_bytes() != self.size_bytes() {
            return Err(Failure::new(format!("`{}` is not written: it is another medium by now", self.path))
                .why(format!("it had {} bytes and has {}", self.size_bytes(), disk.size_bytes()))
                .why("nothing was written to the medium")
                .hint("`cargo xtask flash --list` shows what is there"));
        }
        Ok(disk)
    }

    /// What comes after writing.
    pub fn next_steps(&self, has_loader: bool) {
        let What::Disk(device) = &self.kind else { return };
        if disks::SYSTEM == System::MacOs {
            eprintln!(
                "note: macOS may call the disk unreadable: choose `Ignore`, never `Initialize`; then `diskutil eject {}`",
                self.path
            );
        }
        if !has_loader {
            eprintln!("note: the image has no loader; the board must have one in SPI flash or eMMC");
            return;
        }
        match device.bus {
            Bus::Nvme => eprintln!(
                "note: the boot ROM does not read NVMe; it needs a loader in SPI flash, in eMMC or on a card"
            ),
            _ => eprintln!(
                "note: the boot ROM asks SPI flash and eMMC before the card; a loader that is there runs first, and \
                 may be an old one.\n      The console then says `U-Boot SPL 2017.09` or another date than this \
                 image's: `cargo xtask diagnose` knows it"
            ),
        }
    }
}

/// How to end the uses of a disk.
fn hints(device: &Device) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    for hint in device.uses.iter().map(|used| free(used, &device.name, disks::SYSTEM)) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}

/// How to end a use.
fn free(used: &Use, disk: &str, system: System) -> String {
    match (used, system) {
        // It unmounts what lies in containers on the disk, too.
        (Use::Mounted { .. }, System::MacOs) => format!("`diskutil unmountDisk /dev/{disk}`"),
        (Use::Mounted { at, .. }, System::Linux) => format!("`umount '{at}'`"),
        (Use::Swap(what), _) => format!("`swapoff /dev/{what}`"),
        (Use::System(_), _) => "`cargo xtask flash --list` shows the others".to_owned(),
        (Use::Held { what, by }, System::MacOs) => {
            format!("end {by} first; `diskutil list /dev/{disk}` shows what is on `{what}`")
        }
        (Use::Held { what, by }, System::Linux) => {
            format!("end `{by}` first; `lsblk /dev/{what}` shows what it is")
        }
    }
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "not known" } else { text }
}

/// Prints the disks of this machine; as JSON with `path`, `size_bytes`, `bus`, `model`, `serial`, `refusals` (texts) and
/// `allow` (whether `--allow` overrides all of them).
///
/// # Errors
/// The system does not say which there are.
pub fn list(json: bool) -> Result<Exit> {
    let devices = disks::all()?;
    if json {
        let disks: Vec<_> = devices
            .iter()
            .map(|d| {
                let refusals = d.refusals(0, None);
                serde_json::json!({
                    "path": format!("/dev/{}", d.name),
                    "size_bytes": d.size_bytes,
                    "bus": d.bus.name(),
                    "model": d.model,
                    "serial": d.serial,
                    "refusals": refusals.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "allow": !refusals.is_empty() && refusals.iter().all(Refusal::can_be_overridden),
                })
            })
            .collect();
        println!("{:#}", serde_json::Value::from(disks));
        return Ok(Exit::Done);
    }
    for device in devices {
        let refusals = device.refusals(0, None);
        let verdict = match refusals.first() {
            None => "can be written".to_owned(),
            Some(refusal) if refusal.can_be_overridden() => {
                format!("only with `--allow {}`: {refusal}", device.name)
            }
            Some(refusal) => format!("never: {refusal}"),
        };
        println!(
            "/dev/{:10} {:>9} {:9} {:24} {verdict}",
            device.name,
            size(device.size_bytes),
            device.bus.name(),
            or_unknown(&device.model)
        );
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_that_was_exchanged_since_it_was_shown_is_not_written() {
        let file = tempfile::NamedTempFile::new().expect("file");
        file.as_file().set_len(1 << 20).expect("size");
        let target = Target::find(file.path(), true).expect("found");
        target.open().expect("the same");
        file.as_file().set_len(2 << 20).expect("size");
        let failure = target.open().expect_err("another").to_string();
        assert!(failure.contains("another medium") && failure.contains("1048576"), "{failure}");
    }

    #[test]
    fn a_mac_is_told_its_own_commands() {
        let mounted = Use::Mounted { what: "disk5s1".into(), at: "/Volumes/Backup".into() };
        assert_eq!(free(&mounted, "disk4", System::MacOs), "`diskutil unmountDisk /dev/disk4`");
        assert_eq!(free(&mounted, "sdb", System::Linux), "`umount '/Volumes/Backup'`");
        let held = Use::Held { what: "disk4s2".into(), by: "CoreStorage or a RAID".into() };
        assert!(free(&held, "disk4", System::MacOs).contains("`diskutil list /dev/disk4`"));
    }
}
