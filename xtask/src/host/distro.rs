// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which distribution this is, from `/etc/os-release` (os-release(5)).

use std::fmt;

/// The distributions whose package names are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distro {
    /// Debian 12, bookworm.
    Debian12,
    /// Debian 13, trixie.
    Debian13,
    /// Ubuntu 24.04, noble.
    Ubuntu2404,
}

impl Distro {
    /// The distribution that the text of an os-release file names; `None` for any other.
    pub fn from_os_release(text: &str) -> Option<Distro> {
        match (field(text, "ID")?.as_str(), field(text, "VERSION_ID")?.as_str()) {
            ("debian", "12") => Some(Distro::Debian12),
            ("debian", "13") => Some(Distro::Debian13),
            ("ubuntu", "24.04") => Some(Distro::Ubuntu2404),
            _ => None,
        }
    }

    /// The distribution of this machine.
    pub fn here() -> Option<Distro> {
        Distro::from_os_release(&fs_err::read_to_string("/etc/os-release").ok()?)
    }

    /// The suite of newer packages that an administrator can add; it is never added by us.
    pub fn backports(self) -> &'static str {
        match self {
            Distro::Debian12 => "bookworm-backports",
            Distro::Debian13 => "trixie-backports",
            Distro::Ubuntu2404 => "noble-backports",
        }
    }
}

impl fmt::Display for Distro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Distro::Debian12 => "Debian 12",
            Distro::Debian13 => "Debian 13",
            Distro::Ubuntu2404 => "Ubuntu 24.04",
        })
    }
}

fn field(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|l| l.trim().strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown() {
        let os = |id: &str, version: &str| {
            Distro::from_os_release(&format!("NAME=\"x\"\nVERSION_ID={version}\nID={id}\nID_LIKE=debian\n"))
        };
        assert_eq!(os("debian", "\"12\""), Some(Distro::Debian12));
        assert_eq!(os("debian", "\"13\""), Some(Distro::Debian13));
        assert_eq!(os("ubuntu", "\"24.04\""), Some(Distro::Ubuntu2404));
        assert_eq!(os("ubuntu", "\"22.04\""), None);
        assert_eq!(os("fedora", "41"), None);
        // Debian's testing suite has no VERSION_ID.
        assert_eq!(Distro::from_os_release("ID=debian\n"), None);
    }
}
