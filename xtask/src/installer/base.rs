// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The installer base: a tarball or a layout on this machine.

use std::io::{Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use fs_err as fs;
use fw_build::{Failure, Result};
use fw_image::oci::{self, ReadImage, Tarball};

use crate::overlay::folder::Folder;

/// Where Sidero publishes it; the version is the tag.
const REPOSITORY: &str = "ghcr.io/siderolabs/installer-base";

/// Images of the base.
///
/// # Errors
/// It cannot be had; the message says how to get it.
pub fn load(path: Option<&Path>, version: &str) -> Result<Vec<ReadImage>> {
    let Some(path) = path else { return Err(none(version)) };
    let wrong = |e: &dyn std::fmt::Display| {
        Failure::new(format!("the base `{}` cannot be used", path.display())).why(e).hint(format!(
            "`crane pull --platform linux/arm64 {REPOSITORY}:{version} installer-base.tar` writes one"
        ))
    };
    if path.is_dir() {
        return oci::open(&Folder(path.to_owned())).map_err(|e| wrong(&e));
    }
    let mut file = fs::File::open(path).map_err(|e| wrong(&e))?;
    let mut magic = [0; 2];
    let is_gzip = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.rewind()?;
    let tarball = if is_gzip { Tarball::read(MultiGzDecoder::new(file)) } else { Tarball::read(file) };
    tarball.and_then(|tarball| oci::open(&tarball)).map_err(|e| wrong(&e))
}

/// The flag is missing.
fn none(version: &str) -> Failure {
    Failure::new("no installer base")
        .why(format!("it is `{REPOSITORY}:{version}`, and registries are not spoken to"))
        .hint(format!("`crane pull --platform linux/arm64 {REPOSITORY}:{version} installer-base.tar`"))
        .hint("then `--base installer-base.tar`; what `docker save` and `skopeo copy` write will do, too")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn must_fail_01_what_is_no_base() {
        let dir = tempfile::tempdir().expect("folder");
        let text = dir.path().join("text");
        fs::write(&text, "not a tarball").expect("file");
        for path in [dir.path(), &text, Path::new("/nonexistent/base.tar")] {
            let why = load(Some(path), "v1.10.9").expect_err("must be refused").to_string();
            assert!(why.contains("cannot be used") && why.contains("crane pull"), "{why}");
        }
    }

    #[test]
    fn must_fail_02_without_a_registry() {
        let why = load(None, "v1.10.9").expect_err("no registry").to_string();
        assert!(why.contains("ghcr.io/siderolabs/installer-base:v1.10.9") && why.contains("--base"), "{why}");
    }
}
