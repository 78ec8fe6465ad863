// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which disks this machine has. What it takes to know is in `flasher::device`; here it is asked for.

#[cfg(target_os = "macos")]
use std::collections::BTreeMap;
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

#[cfg(not(target_os = "macos"))]
use flasher::device::linux::{self, Roots};
#[cfg(target_os = "macos")]
use flasher::device::macos::{self, Tables};
use flasher::device::{Device, LookupError};
#[cfg(target_os = "macos")]
use fw_build::run::Cmd;
use fw_build::{Failure, Result};

/// Systems whose disks are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// By sysfs and procfs.
    Linux,
    /// By `diskutil`.
    MacOs,
}

/// The one that runs.
pub const SYSTEM: System = if cfg!(target_os = "macos") { System::MacOs } else { System::Linux };

/// All disks.
///
/// # Errors
/// The system does not say which there are, or not in a form that is known.
pub fn all() -> Result<Vec<Device>> {
    #[cfg(target_os = "macos")]
    let all = macos::all(&tables()?);
    #[cfg(not(target_os = "macos"))]
    let all = linux::all(&Roots::default());
    all.map_err(lookup_failure)
}

/// The disk of that name.
///
/// # Errors
/// There is none, it is a partition, or as [`all`].
pub fn named(name: &str) -> Result<Device> {
    #[cfg(target_os = "macos")]
    let device = macos::named(&tables()?, name);
    #[cfg(not(target_os = "macos"))]
    let device = linux::named(&Roots::default(), name);
    device.map_err(lookup_failure)
}

/// Path and name of a disk as it is looked up: macOS has a raw device `/dev/rdisk4` beside `/dev/disk4`.
pub fn whole_path(path: PathBuf, name: String) -> (PathBuf, String) {
    match name.strip_prefix('r').filter(|n| SYSTEM == System::MacOs && n.starts_with("disk")) {
        Some(name) => (path.with_file_name(name), name.to_owned()),
        None => (path, name),
    }
}

/// Whether a file of this type can be a disk.
pub fn is_disk(kind: FileType) -> bool {
    kind.is_block_device() || SYSTEM == System::MacOs && kind.is_char_device()
}

/// What macOS's programs say. A disk of which `diskutil info` cannot say a word is in the list without one, and
/// refused for that.
#[cfg(target_os = "macos")]
fn tables() -> Result<Tables> {
    let diskutil = |args: &[&str]| Cmd::new("/usr/sbin/diskutil").args(args).output();
    let list = diskutil(&["list", "-plist"])?;
    let mut info = BTreeMap::new();
    for disk in macos::whole_disks(&list).map_err(lookup_failure)? {
        if let Ok(words) = diskutil(&["info", "-plist", &disk]) {
            info.insert(disk, words);
        }
    }
    Ok(Tables { list, info, mounts: Cmd::new("/sbin/mount").output()? })
}

fn lookup_failure(error: LookupError) -> Failure {
    let hint = match &error {
        LookupError::Partition { disk, .. } => format!("give `/dev/{disk}`, after a look at what is on it"),
        LookupError::Form(_) => "nothing is written where it is not known what is in use".to_owned(),
        LookupError::Unknown(_) | LookupError::Read(_) => {
            "`cargo xtask flash --list` shows the disks".to_owned()
        }
    };
    Failure::new(error.to_string()).hint(hint)
}
