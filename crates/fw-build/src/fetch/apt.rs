// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finds the Debian mirror (and the proxy) that this machine's apt uses, by reading apt's files.
//!
//! It starts no process and asks no host. On a machine that is not Debian it finds nothing.
//! Formats: sources.list(5) (one-line and deb822 style), apt.conf(5), apt-transport-mirror(1).

use std::path::{Path, PathBuf};

use fs_err as fs;

/// More mirrors than this only make a failure longer.
const MOST_BASES: usize = 3;

/// One archive of apt's configuration.
#[derive(Debug, Default)]
struct Archive {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: String,
    /// File it was read from.
    file: String,
}

/// Base addresses of Debian's main archive in apt's configuration below `etc`, likeliest first.
///
/// Third parties also call their suites `bookworm` and their component `main`, so the order says how sure it
/// is: signed with Debian's own keyring, then from the system's own list, then what at least ends in `/debian`.
pub(super) fn debian_bases(etc: &Path) -> Vec<String> {
    let mut archives: Vec<Archive> = source_files(etc)
        .iter()
        .flat_map(|path| read_archives(path))
        .filter(Archive::is_debian_main)
        .collect();
    archives.sort_by_key(Archive::doubt);
    let mut bases: Vec<String> = Vec::new();
    for uri in archives.iter().flat_map(|a| &a.uris).flat_map(|uri| expand(uri)) {
        let base = uri.trim_end_matches('/').to_owned();
        if !base.contains("security") && !bases.contains(&base) {
            bases.push(base);
        }
    }
    bases.truncate(MOST_BASES);
    bases
}

/// The proxy apt uses for `http`, when it is set in one plain line.
pub(super) fn http_proxy(etc: &Path) -> Option<String> {
    let mut files = sorted_files(&etc.join("apt/apt.conf.d"));
    files.push(etc.join("apt/apt.conf"));
    let mut proxy = None;
    for text in files.iter().filter_map(|f| fs::read_to_string(f).ok()) {
        for line in text.lines().map(str::trim) {
            let mut words = line.split_whitespace();
            if words.next().is_some_and(|w| w.eq_ignore_ascii_case("Acquire::http::Proxy")) {
                let value: String = words.collect();
                proxy = Some(value.trim_matches(|c| c == '"' || c == ';').to_owned());
            }
        }
    }
    proxy.filter(|p| p.starts_with("http://"))
}

impl Archive {
    fn is_debian_main(&self) -> bool {
        let debian_path = |uri: &String| uri.trim_end_matches('/').ends_with("/debian");
        self.components.iter().any(|c| c == "main")
            && self.suites.iter().any(|s| is_debian_suite(s))
            && (self.doubt() < 2 || self.uris.iter().any(debian_path))
    }

    fn doubt(&self) -> u8 {
        if self.signed_by.contains("debian-archive") {
            0
        } else if self.file == "sources.list" || self.file == "debian.sources" {
            1
        } else {
            2
        }
    }
}

/// `bookworm`, `trixie-backports`, `stable`…; not `bookworm-security`, which has its own archive, and not
/// another vendor's `bookworm-pgdg`.
fn is_debian_suite(suite: &str) -> bool {
    const NAMES: [&str; 10] = [
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "duke",
        "sid",
        "oldstable",
        "stable",
        "testing",
        "unstable",
    ];
    const POCKETS: [&str; 4] = ["", "updates", "backports", "proposed-updates"];
    let (name, pocket) = suite.split_once('-').unwrap_or((suite, ""));
    NAMES.contains(&name) && POCKETS.contains(&pocket)
}

fn source_files(etc: &Path) -> Vec<PathBuf> {
    let mut files = vec![etc.join("apt/sources.list")];
    files.extend(sorted_files(&etc.join("apt/sources.list.d")));
    files
}

fn sorted_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    files
}

fn read_archives(path: &Path) -> Vec<Archive> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let mut archives = match path.extension().and_then(|e| e.to_str()) {
        Some("list") => one_line_style(&text),
        Some("sources") => deb822_style(&text),
        _ => Vec::new(),
    };
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    archives.iter_mut().for_each(|a| a.file = file.clone().into_owned());
    archives
}

/// `deb [signed-by=… arch=…] URI SUITE COMPONENT…`
fn one_line_style(text: &str) -> Vec<Archive> {
    let mut archives = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((kind, rest)) = line.trim().split_once(char::is_whitespace) else { continue };
        if kind != "deb" && kind != "deb-src" {
            continue;
        }
        let (options, rest) = match rest.trim().strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((options, rest)) => (options, rest),
            None => ("", rest),
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
            archives.push(Archive {
                uris: vec![uri],
                suites: vec![suite],
                components: words.collect(),
                signed_by: options.to_owned(),
                file: String::new(),
            });
        }
    }
    archives
}

/// Stanzas of `Field: value`, with continuation lines.
fn deb822_style(text: &str) -> Vec<Archive> {
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
    lines.split(|l| l.trim().is_empty()).filter_map(stanza).collect()
}

fn stanza(lines: &[&str]) -> Option<Archive> {
    let mut archive = Archive::default();
    let mut field = String::new();
    for line in lines {
        let value = match line.split_once(':') {
            Some((name, value)) if !line.starts_with([' ', '\t']) => {
                field = name.trim().to_ascii_lowercase();
                value
            }
            _ => line,
        };
        let words = value.split_whitespace().map(str::to_owned);
        match field.as_str() {
            "uris" => archive.uris.extend(words),
            "suites" => archive.suites.extend(words),
            "components" => archive.components.extend(words),
            "signed-by" => archive.signed_by.push_str(value),
            "enabled" if value.trim().eq_ignore_ascii_case("no") => return None,
            _ => {}
        }
    }
    Some(archive)
}

/// The plain addresses behind a URI: itself, or those of the list a `mirror+file:` names (which is how
/// Debian's cloud images are set up).
fn expand(uri: &str) -> Vec<String> {
    if uri.starts_with("http://") || uri.starts_with("https://") {
        return vec![uri.to_owned()];
    }
    let Some(path) = uri.strip_prefix("mirror+file:") else { return Vec::new() };
    let path = format!("/{}", path.trim_start_matches('/'));
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|l| l.split_whitespace().next())
        .filter(|w| w.starts_with("http://") || w.starts_with("https://"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etc(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("dir");
        for (name, text) in files {
            let path = dir.path().join("apt").join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
            fs::write(path, text).expect("write");
        }
        dir
    }

    const DEBIAN_SOURCES: &str = "Types: deb\n# a remark: http://no.example/\nURIs: http://mirror.example/debian\n\
        Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\
        \nTypes: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n\
        Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";

    #[test]
    fn deb822_main_archive_and_not_security() {
        let dir = etc(&[("sources.list.d/debian.sources", DEBIAN_SOURCES)]);
        assert_eq!(debian_bases(dir.path()), ["http://mirror.example/debian"]);
    }

    #[test]
    fn one_line_style_with_options_and_remarks() {
        let dir = etc(&[(
            "sources.list",
            "# deb http://old.example/debian bookworm main\n\
             deb cdrom:[disc]/ bookworm main\n\
             deb http://security.example/debian-security bookworm-security main\n\
             deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian/ bookworm main contrib # mine\n",
        )]);
        assert_eq!(debian_bases(dir.path()), ["https://mirror.example/debian"]);
    }

    #[test]
    fn debians_own_keyring_comes_before_a_third_party() {
        let third = "deb https://third.example/debian bookworm main\ndeb https://x.example/debian bookworm-pgdg main\n\
            deb https://y.example/packages stable main\n";
        let dir = etc(&[("sources.list.d/a.list", third), ("sources.list.d/debian.sources", DEBIAN_SOURCES)]);
        assert_eq!(
            debian_bases(dir.path()),
            ["http://mirror.example/debian", "https://third.example/debian"]
        );
    }

    #[test]
    fn disabled_stanzas_and_other_distributions_are_nothing() {
        let off = DEBIAN_SOURCES.replace("Types: deb\n", "Types: deb\nEnabled: no\n");
        let ubuntu = "deb http://archive.example/ubuntu noble main\n";
        let dir = etc(&[("sources.list", ubuntu), ("sources.list.d/debian.sources", &off)]);
        assert!(debian_bases(dir.path()).is_empty());
        assert!(debian_bases(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn mirror_lists_are_followed() {
        let dir = etc(&[("mirrors/debian.list", "https://one.example/debian\tpriority:1\n")]);
        let list = dir.path().join("apt/mirrors/debian.list");
        let sources = format!("deb mirror+file:{} bookworm main\n", list.display());
        fs::write(dir.path().join("apt/sources.list"), sources).expect("write");
        assert_eq!(debian_bases(dir.path()), ["https://one.example/debian"]);
    }

    #[test]
    fn proxy_of_a_plain_line() {
        let dir = etc(&[
            ("apt.conf.d/01x", "// Acquire::http::Proxy \"http://no.example\";\n"),
            ("apt.conf.d/02x", "Acquire::http::Proxy \"http://proxy.example:3142\";\n"),
        ]);
        assert_eq!(http_proxy(dir.path()).as_deref(), Some("http://proxy.example:3142"));
        let direct = etc(&[("apt.conf.d/02x", "Acquire::http::Proxy \"DIRECT\";\n")]);
        assert_eq!(http_proxy(direct.path()), None);
    }
}
