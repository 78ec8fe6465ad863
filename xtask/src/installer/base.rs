// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The installer base: a tarball or a layout on this machine, or an image in a registry.

use std::io::{Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use fs_err as fs;
use fw_build::{Failure, Result};
use fw_image::oci::{self, Platform, ReadImage, Tarball};

use crate::overlay::folder::Folder;
use crate::remote::Remote;
use crate::screen::Screen;

/// Where Sidero publishes it; the version is the tag.
const REPOSITORY: &str = "ghcr.io/siderolabs/installer-base";

/// Where a base is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    /// On this machine.
    File(&'a Path),
    /// In a registry.
    Registry(&'a str),
}

impl Place<'_> {
    /// A file that is there is meant. Else `docker://…`, and what begins with a registry's name as docker knows one
    /// (a dot or a port in it, or `localhost`), is a reference.
    fn of(text: &str) -> Place<'_> {
        let path = Path::new(text);
        let host = text.split_once('/').map_or("", |(host, _)| host);
        let is_registry = host == "localhost" || host.contains(['.', ':']) && !host.starts_with('.');
        if !path.exists() && (text.starts_with("docker://") || is_registry) {
            Place::Registry(text)
        } else {
            Place::File(path)
        }
    }
}

/// Images of the base; without `base` that which Sidero publishes.
///
/// # Errors
/// It cannot be had; the message says how to get it.
pub fn load(base: Option<&str>, version: &str, plain_http: bool) -> Result<Vec<ReadImage>> {
    let usual = format!("{REPOSITORY}:{version}");
    let pull = format!("`crane pull --platform linux/arm64 {usual} installer-base.tar`");
    match Place::of(base.unwrap_or(&usual)) {
        Place::Registry(reference) => {
            let wrong = |e: Failure| {
                e.hint(format!("or {pull} on another machine, then `--base installer-base.tar`"))
            };
            let remote = Remote::open(reference, plain_http).map_err(wrong)?;
            remote.fetch(&Platform::linux("arm64"), &Screen::start()?).map_err(wrong)
        }
        Place::File(path) => file(path).map_err(|e| {
            Failure::new(format!("the base `{}` cannot be used", path.display()))
                .why(e)
                .hint(format!("{pull} writes one; `docker save` and `skopeo copy` will do, too"))
        }),
    }
}

fn file(path: &Path) -> std::result::Result<Vec<ReadImage>, Box<dyn std::error::Error>> {
    if path.is_dir() {
        return Ok(oci::open(&Folder(path.to_owned()))?);
    }
    let mut file = fs::File::open(path)?;
    let mut magic = [0; 2];
    let is_gzip = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.rewind()?;
    let tarball = if is_gzip { Tarball::read(MultiGzDecoder::new(file)) } else { Tarball::read(file) };
    Ok(oci::open(&tarball?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_references() {
        let dir = tempfile::tempdir().expect("folder");
        for text in ["base.tar", "./example.org/base.tar", "images/base.tar", "/srv/base:v1", "../a.b/c"] {
            assert_eq!(Place::of(text), Place::File(Path::new(text)));
        }
        for text in
            ["docker://installer-base:v1", "localhost/a:v1", "localhost:5000/a:v1", "ghcr.io/siderolabs/a:v1"]
        {
            assert_eq!(Place::of(text), Place::Registry(text));
        }
        // What is there wins over what it looks like.
        let odd = dir.path().join("example.org");
        fs::create_dir(&odd).expect("folder");
        let text = odd.to_string_lossy().into_owned();
        assert_eq!(Place::of(&text), Place::File(&odd));
    }

    #[test]
    fn must_fail_01_what_is_no_base() {
        let dir = tempfile::tempdir().expect("folder");
        let text = dir.path().join("text");
        fs::write(&text, "not a tarball").expect("file");
        for path in [dir.path(), &text, Path::new("/nonexistent/base.tar")] {
            let why = load(path.to_str(), "v1.10.9", false).expect_err("must be refused").to_string();
            assert!(why.contains("cannot be used") && why.contains("crane pull"), "{why}");
        }
    }

    #[cfg(not(feature = "push"))]
    #[test]
    fn must_fail_02_without_a_registry() {
        let why = load(None, "v1.10.9", false).expect_err("no registry").to_string();
        assert!(why.contains("ghcr.io/siderolabs/installer-base:v1.10.9"), "{why}");
        assert!(why.contains("--features push") && why.contains("--base installer-base.tar"), "{why}");
    }
}
