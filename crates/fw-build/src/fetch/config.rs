// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a fetch may use: store, mirrors, network, limits; read from the environment and apt's files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::apt;
use crate::failure::{Failure, Result};

/// Whether the network may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// It may.
    Allowed,
    /// It may not.
    Forbidden {
        /// What forbids it, for messages.
        because: String,
    },
}

/// How patient a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest time for finding the host and connecting to it.
    pub connect: Duration,
    /// Longest time without a byte; also the window over which the slowest acceptable rate is measured.
    /// There is no limit on the whole transfer.
    pub stall: Duration,
    /// Slowest acceptable rate over one `stall` window, in bytes per second.
    pub slowest_bytes_per_second: u64,
    /// Attempts in a row at one address that bring no byte before it is given up.
    pub attempts: u32,
    /// Pause before the second attempt; it grows with each further one.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            slowest_bytes_per_second: 1024,
            attempts: 3,
            pause: Duration::from_millis(500),
        }
    }
}

/// Configuration of a [`super::Fetcher`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchConfig {
    /// Root of the store; files go to its `src` folder.
    pub store: PathBuf,
    /// Directories to look into before the network.
    pub mirrors: Vec<PathBuf>,
    /// Whether the network may be used.
    pub network: Network,
    /// Base addresses of Debian mirrors, tried in this order; empty if none is known.
    pub debian_bases: Vec<String>,
    /// Proxy that apt uses for plain `http`. It is asked to CONNECT; a proxy that refuses that for port 80
    /// makes the next origin be tried.
    pub debian_proxy: Option<String>,
    /// Patience.
    pub limits: Limits,
}

impl FetchConfig {
    /// A configuration with nothing but a store: no mirrors, no Debian host, network allowed.
    pub fn bare(store: &Path) -> FetchConfig {
        FetchConfig {
            store: store.to_owned(),
            mirrors: Vec::new(),
            network: Network::Allowed,
            debian_bases: Vec::new(),
            debian_proxy: None,
            limits: Limits::default(),
        }
    }

    /// Reads `FW_MIRROR` (directories, separated by colons), `FW_OFFLINE`, `CARGO_NET_OFFLINE` and
    /// `FW_DEBIAN_MIRROR`, and apt's configuration below `/etc`. `<root>/../shared/mirror` is a mirror too
    /// when it exists; `root` is the workspace.
    ///
    /// # Errors
    /// A variable has a value that cannot be meant.
    pub fn from_env(root: &Path, store: &Path) -> Result<FetchConfig> {
        Self::from_parts(root, store, Path::new("/etc"), &|name| std::env::var_os(name))
    }

    fn from_parts(
        root: &Path,
        store: &Path,
        etc: &Path,
        var: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<FetchConfig> {
        let set = |name: &str| var(name).filter(|v| !v.is_empty());
        let mut config = FetchConfig::bare(store);
        if let Some(list) = set("FW_MIRROR") {
            config.mirrors.extend(std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()));
        }
        let beside = root.join("../shared/mirror");
        if beside.is_dir() {
            config.mirrors.push(beside);
        }
        for name in ["FW_OFFLINE", "CARGO_NET_OFFLINE"] {
            if set(name).map(|v| is_true(name, &v)).transpose()? == Some(true) {
                config.network = Network::Forbidden { because: format!("`{name}` is set") };
                break;
            }
        }
        match set("FW_DEBIAN_MIRROR") {
            Some(base) => config.debian_bases = vec![checked_base(&base)?],
            None => {
                config.debian_bases = apt::debian_bases(etc);
                config.debian_proxy = apt::http_proxy(etc);
            }
        }
        Ok(config)
    }
}

fn is_true(name: &str, value: &std::ffi::OsStr) -> Result<bool> {
    match value.to_str().map(str::to_ascii_lowercase).as_deref() {
        Some("1" | "true" | "yes" | "on") => Ok(true),
        Some("0" | "false" | "no" | "off") => Ok(false),
        _ => Err(Failure::new(format!("`{name}` is `{}`", value.display())).hint("use `1` or `0`")),
    }
}

fn checked_base(base: &std::ffi::OsStr) -> Result<String> {
    match base.to_str() {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(Failure::new(format!("`FW_DEBIAN_MIRROR` is `{}`, which is no address", base.display()))
            .hint("give the address that has `pool/` below it, such as `http://MIRROR/debian`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

    fn config(etc: &Path, vars: &[(&str, &str)]) -> Result<FetchConfig> {
        let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        FetchConfig::from_parts(&etc.join("ws"), Path::new("/store"), etc, &var)
    }

    #[test]
    fn variables_are_read() {
        let etc = tempfile::tempdir().expect("dir");
        let plain = config(etc.path(), &[]).expect("nothing set");
        assert_eq!(plain, FetchConfig::bare(Path::new("/store")));
        let set = config(
            etc.path(),
            &[
                ("FW_MIRROR", "/a::/b"),
                ("FW_OFFLINE", "0"),
                ("CARGO_NET_OFFLINE", "true"),
                ("FW_DEBIAN_MIRROR", "http://mirror.example/debian/"),
            ],
        )
        .expect("set");
        assert_eq!(set.mirrors, [Path::new("/a"), Path::new("/b")]);
        assert_eq!(set.network, Network::Forbidden { because: "`CARGO_NET_OFFLINE` is set".to_owned() });
        assert_eq!(set.debian_bases, ["http://mirror.example/debian"]);
    }

    #[test]
    fn nonsense_is_refused() {
        let etc = tempfile::tempdir().expect("dir");
        let offline = config(etc.path(), &[("FW_OFFLINE", "maybe")]).expect_err("neither");
        assert!(offline.to_string().contains("`FW_OFFLINE` is `maybe`"), "{offline}");
        let base = config(etc.path(), &[("FW_DEBIAN_MIRROR", "mirror")]).expect_err("no address");
        assert!(base.to_string().contains("no address"), "{base}");
    }

    #[test]
    fn the_directory_beside_the_checkout_comes_last() {
        let dir = tempfile::tempdir().expect("dir");
        fs::create_dir_all(dir.path().join("ws")).expect("mkdir");
        fs::create_dir_all(dir.path().join("shared/mirror")).expect("mkdir");
        let config = config(dir.path(), &[("FW_MIRROR", "/a")]).expect("config");
        assert_eq!(config.mirrors, [PathBuf::from("/a"), dir.path().join("ws/../shared/mirror")]);
    }
}
