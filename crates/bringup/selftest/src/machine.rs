// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the checks see of the machine: a tree of text files, and a few operations that are not text.
//!
//! On the machine the tree starts at `/`; in tests at a folder with made-up files. Checks must go through
//! this type only, so that each of their decisions can be tested.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

/// The operations that need more than reading a text file. [`crate::sys::Kernel`] is the real one.
pub trait Ops {
    /// Loads one module file.
    ///
    /// # Errors
    /// The kernel's answer: `EEXIST` it is loaded, `ENODEV` it has no work here, `EKEYREJECTED` signature.
    fn load_module(&self, file: &Path) -> Result<(), Errno>;

    /// The kernel's messages since the last call, without their prefix; the first call gives none.
    ///
    /// # Errors
    /// The log cannot be read.
    fn kernel_messages(&self) -> Result<Vec<String>, Errno>;

    /// Runs one topic of [`crate::features`] in a process of its own, for at most `limit`.
    ///
    /// Whatever goes wrong is in the answer, with the lines before it.
    fn run_topic(&self, topic: &str, limit: Duration) -> TopicEnd;

    /// Unloads a module by name.
    ///
    /// # Errors
    /// The kernel's answer.
    fn unload_module(&self, name: &str) -> Result<(), Errno>;

    /// Reads a block device from its start, past the page cache, for at most `limit`.
    ///
    /// # Errors
    /// The first read or open error.
    fn read_device(&self, device: &Path, limit: Duration) -> Result<Amount, Errno>;

    /// Fills `bytes` from the hardware random generator.
    ///
    /// # Errors
    /// A read error, or `ETIMEDOUT` when it gave too little within `limit`.
    fn random(&self, device: &Path, bytes: &mut [u8], limit: Duration) -> Result<(), Errno>;

    /// Reads a real-time clock.
    ///
    /// # Errors
    /// The driver's answer; `EINVAL` means that the clock knows that it lost the time.
    fn read_rtc(&self, device: &Path) -> Result<RtcTime, Errno>;

    /// Raises a network interface.
    ///
    /// # Errors
    /// The kernel's answer.
    fn raise_link(&self, interface: &str) -> Result<(), Errno>;

    /// The IPv4 address of a network interface and the length of its prefix; `None` when it has none.
    fn ipv4(&self, interface: &str) -> Option<(Ipv4Addr, u8)>;

    /// Time since some fixed point, never going back.
    fn now(&self) -> Duration;

    /// Waits.
    fn pause(&self, time: Duration);
}

/// What a topic's process left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicEnd {
    /// What it printed.
    pub lines: Vec<String>,
    /// Why it did not end well, if it did not.
    pub trouble: Option<String>,
}

/// How much was read in what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Bytes read.
    pub bytes: u64,
    /// Time it took.
    pub took: Duration,
}

/// A calendar time as the clock keeps it (UTC by convention).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtcTime {
    /// Year, for example 2025.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: i32,
    /// Day of the month, 1 to 31.
    pub day: i32,
    /// Hour, 0 to 23.
    pub hour: i32,
    /// Minute, 0 to 59.
    pub minute: i32,
    /// Second, 0 to 60.
    pub second: i32,
}

/// The machine under test.
pub struct Machine<'a> {
    root: PathBuf,
    /// Operations that are not text.
    pub ops: &'a dyn Ops,
}

impl<'a> Machine<'a> {
    /// A machine whose file tree starts at `root`.
    pub fn new(root: impl Into<PathBuf>, ops: &'a dyn Ops) -> Self {
        Machine { root: root.into(), ops }
    }

    /// The place of an absolute path under the machine's root.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let path = absolute.as_ref();
        // Joining an absolute path would drop the root.
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file without NULs and white space at its end; `None` when it cannot be read, which
    /// for sysfs also means that the driver has no value (a link that is down has no speed).
    pub fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\0', '\n', '\r', ' ', '\t']).to_owned())
    }

    /// The whole number in a file.
    pub fn number<T: std::str::FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        self.read(path)?.trim().parse().ok()
    }

    /// The names in a folder, sorted; empty when there is no such folder.
    pub fn list(&self, dir: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(dir)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Whether the path leads somewhere.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// Where a path really is, links followed, as an absolute path of the machine.
    pub fn real(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let root = fs::canonicalize(&self.root).ok()?;
        let real = fs::canonicalize(self.path(path)).ok()?;
        Some(Path::new("/").join(real.strip_prefix(root).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn text_ends_are_cut_and_absence_is_none() {
        let f = Fixture::new();
        f.file("/sys/model", "Board\0\n");
        f.file("/sys/number", " 42\n");
        let m = f.machine();
        assert_eq!(m.read("/sys/model").as_deref(), Some("Board"));
        assert_eq!(m.number::<u32>("/sys/number"), Some(42));
        assert_eq!(m.number::<u32>("/sys/model"), None);
        assert_eq!(m.read("/sys/none"), None);
        assert_eq!(m.list("/sys"), ["model", "number"]);
        assert!(m.list("/proc").is_empty());
    }

    #[test]
    fn real_paths_stay_inside_the_root() {
        let f = Fixture::new();
        f.file("/sys/devices/a/value", "1");
        f.link("/sys/class/x/a", "../../devices/a");
        f.link("/sys/class/x/out", "/usr");
        let m = f.machine();
        assert_eq!(m.real("/sys/class/x/a").as_deref(), Some(std::path::Path::new("/sys/devices/a")));
        assert_eq!(m.real("/sys/class/x/out"), None);
    }
}
