// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The consoles of the kernel's command line: the report goes to each of them.

use std::fs::{File, read_to_string, write};
use std::io::Write;

use rustix::fs::OFlags;

use crate::sys::open_existing;

/// The kernel's console log level and its three companions.
const PRINTK: &str = "/proc/sys/kernel/printk";

/// Open consoles.
pub struct Consoles {
    open: Vec<(String, File)>,
}

impl Consoles {
    /// Opens every console that `active` (`/sys/class/tty/console/active`) names. One that cannot be opened is
    /// left out: a machine without a screen still lists `tty0`.
    pub fn open(active: &str) -> Self {
        let listed = devices(&read_to_string(active).unwrap_or_default());
        let mut open = Consoles::try_open(listed);
        if open.is_empty() {
            open = Consoles::try_open(vec!["/dev/console".into()]);
        }
        Consoles { open }
    }

    fn try_open(paths: Vec<String>) -> Vec<(String, File)> {
        let file = |path: &String| open_existing(path.as_ref(), OFlags::WRONLY).ok().map(File::from);
        paths.into_iter().filter_map(|path| file(&path).map(|file| (path, file))).collect()
    }

    /// Writes one line to each, in one piece. A console that fails must not take the others with it.
    pub fn line(&mut self, text: &str) {
        let line = format!("{text}\n");
        for (_, file) in &mut self.open {
            let _ = file.write_all(line.as_bytes());
        }
    }

    /// Waits until everything is on the wire: a reset would cut the last lines off.
    pub fn drain(&self) {
        for (_, file) in &self.open {
            let _ = rustix::termios::tcdrain(file);
        }
    }

    /// Device paths of the open consoles.
    pub fn paths(&self) -> Vec<&str> {
        self.open.iter().map(|(path, _)| path.as_str()).collect()
    }
}

/// Device paths from the kernel's list, each once; the last one is the preferred console.
fn devices(active: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for name in active.split_whitespace() {
        let path = format!("/dev/{name}");
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// Keeps the kernel's messages off the consoles while it lives, except the two gravest levels: they would land
/// in the middle of report lines. All of them stay in `dmesg`.
pub struct Quiet {
    before: Option<String>,
}

impl Quiet {
    /// Lowers the level.
    pub fn start() -> Self {
        let before = read_to_string(PRINTK).ok();
        let _ = write(PRINTK, "2\n");
        Quiet { before }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = write(PRINTK, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_listed_console_once() {
        assert_eq!(devices("tty0 ttyS2\n"), ["/dev/tty0", "/dev/ttyS2"]);
        assert_eq!(devices("ttyAMA0 ttyAMA0\n"), ["/dev/ttyAMA0"]);
        assert!(devices("").is_empty());
    }

    #[test]
    fn lines_reach_every_console_that_opens() {
        let dir = tempfile::tempdir().expect("folder");
        let paths: Vec<String> =
            ["a", "b", "none/c"].iter().map(|n| dir.path().join(n).to_string_lossy().into_owned()).collect();
        write(&paths[0], "").expect("file");
        write(&paths[1], "").expect("file");
        let mut consoles = Consoles { open: Consoles::try_open(paths.clone()) };
        consoles.line("hello");
        assert_eq!(consoles.paths(), [&paths[0], &paths[1]]);
        for path in &paths[..2] {
            assert_eq!(read_to_string(path).expect("text"), "hello\n");
        }
    }
}
