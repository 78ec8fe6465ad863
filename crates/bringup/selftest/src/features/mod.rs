// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Kubernetes and its add-ons ask of the kernel, exercised and not only looked up.
//!
//! A topic runs in a process of its own, in a mount and mostly a network namespace of its own: it may crash, hang or
//! leave things behind without harm to the rest. It prints one line per check, `NAME pass|fail|skip DETAIL`;
//! [`crate::checks`] starts it, waits for it, and counts a check without a line as failed.

mod apparmor;
mod bpf;
mod cgroup;
mod crypt;
mod devices;
mod dm;
mod filesystems;
mod ipvs;
mod links;
mod luks;
mod namespaces;
mod netlink;
mod nft;
mod raw;
mod sandbox;
mod security;
mod storage;
mod sysctl;
mod thin;
mod uring;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

use crate::report::Verdict;

/// What a check came to: a detail, or why not.
type Outcome = Result<String, Trouble>;

/// Why a check did not pass.
#[derive(Debug)]
enum Trouble {
    /// It is there and does not work, or must be there and is not.
    Fail(String),
    /// The machine lacks it.
    Skip(String),
}

impl Trouble {
    /// A failure that says what was being done.
    fn during(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Trouble {
        move |e| Trouble::Fail(format!("{what}: {e}"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Trouble::Fail(why) | Trouble::Skip(why)) = self;
        f.write_str(why)
    }
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Trouble::Fail(text)
    }
}

impl From<io::Error> for Trouble {
    fn from(e: io::Error) -> Self {
        Trouble::Fail(e.to_string())
    }
}

impl From<rustix::io::Errno> for Trouble {
    fn from(e: rustix::io::Errno) -> Self {
        Trouble::Fail(io::Error::from(e).to_string())
    }
}

/// Makes a failure of a condition.
fn ensure(holds: bool, otherwise: impl fmt::Display) -> Result<(), Trouble> {
    if holds { Ok(()) } else { Err(Trouble::Fail(otherwise.to_string())) }
}

/// Whose network a topic sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    /// An empty one of its own.
    Own,
    /// The machine's: some settings are nowhere else.
    Machine,
}

/// Checks that share a process.
pub struct Topic {
    /// Argument of `selftest feature`.
    pub name: &'static str,
    /// Names of its checks, each of which must print a line.
    pub checks: &'static [&'static str],
    network: Network,
    run: fn(&Place, &mut Lines<'_>),
}

/// Every topic. Namespaces and everything that needs user namespaces come before the sysctls, which forbid them.
pub const TOPICS: &[Topic] = &[
    namespaces::TOPIC,
    cgroup::TOPIC,
    filesystems::TOPIC,
    links::TOPIC,
    nft::TOPIC,
    ipvs::TOPIC,
    bpf::TOPIC,
    crypt::TOPIC,
    luks::TOPIC,
    thin::TOPIC,
    storage::TOPIC,
    devices::TOPIC,
    uring::TOPIC,
    security::TOPIC,
    sandbox::TOPIC,
    sysctl::TOPIC,
];

/// Where a topic may work.
struct Place {
    /// A tmpfs that nobody else sees.
    dir: PathBuf,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A new folder.
    fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

/// Takes the lines of a topic.
struct Lines<'a> {
    print: &'a mut dyn FnMut(&str),
}

impl Lines<'_> {
    fn add(&mut self, name: &str, outcome: Outcome) {
        let (verdict, detail) = match outcome {
            Ok(detail) => (Verdict::Pass, detail),
            Err(Trouble::Fail(why)) => (Verdict::Fail, why),
            Err(Trouble::Skip(why)) => (Verdict::Skip, why),
        };
        let detail = detail.replace('\n', " ");
        (self.print)(&format!("{name} {verdict} {detail}"));
    }
}

/// Runs a topic in this process, after leaving the machine's mounts and network; `None` for an unknown name.
pub fn run(topic: &str, print: &mut dyn FnMut(&str)) -> Option<()> {
    let topic = TOPICS.iter().find(|t| t.name == topic)?;
    let mut lines = Lines { print };
    match apart(topic.network) {
        Ok(place) => (topic.run)(&place, &mut lines),
        Err(e) => {
            for check in topic.checks {
                lines.add(check, Err(Trouble::Fail(format!("no namespaces of its own: {e}"))));
            }
        }
    }
    Some(())
}

fn apart(network: Network) -> io::Result<Place> {
    match network {
        Network::Own => raw::unshare(UnshareFlags::NEWNS | UnshareFlags::NEWNET)?,
        Network::Machine => raw::unshare(UnshareFlags::NEWNS)?,
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    if network == Network::Own {
        // Sysfs shows the network namespace of whoever mounted it.
        mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None)?;
    }
    let dir = Path::new("/mnt");
    mount("tmpfs", dir, "tmpfs", MountFlags::empty(), Some(c"size=256m"))?;
    Ok(Place { dir: dir.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_single_words_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for topic in TOPICS {
            assert!(!topic.checks.is_empty(), "{}", topic.name);
            for name in topic.checks {
                assert!(!name.contains(char::is_whitespace) && seen.insert(name), "{name}");
            }
        }
    }

    #[test]
    fn outcomes_become_lines() {
        let mut printed = Vec::new();
        let mut print = |line: &str| printed.push(line.to_owned());
        let mut lines = Lines { print: &mut print };
        lines.add("a", Ok("fine".into()));
        lines.add("b", Err(Trouble::during("opening x")(io::ErrorKind::NotFound.into())));
        lines.add("c", Err(Trouble::Skip("two\nlines".into())));
        assert_eq!(printed, ["a pass fine", "b fail opening x: entity not found", "c skip two lines"]);
    }

    #[test]
    fn an_unknown_topic_is_told() {
        assert!(run("none", &mut |_| ()).is_none());
    }
}
