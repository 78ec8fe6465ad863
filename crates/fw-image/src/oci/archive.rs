// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tarballs of images: as `docker save` writes them, and OCI layouts in a tarball.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::build::{Image, text};
use super::{Error, Source, Tree, digest};

/// More than any tarball of one image has.
const MAX_FILES: usize = 4096;

/// One image of `manifest.json` (Docker image specification 1.2, combined form).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerEntry {
    /// File of the configuration.
    pub config: String,
    /// Names; `null` when there are none.
    pub repo_tags: Option<Vec<String>>,
    /// Files of the layers, the lowest first.
    pub layers: Vec<String>,
}

/// A docker-style tarball of one image, as Talos's imager writes its installers.
///
/// # Errors
/// None that such values can cause; the libraries' signatures have one.
pub fn docker_archive(image: &Image, tag: &str, mtime_seconds: u64) -> Result<Vec<u8>, Error> {
    // The same layer may stand in an image twice (empty ones do); its file is written once.
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut layers = Vec::new();
    for layer in &image.layers {
        let name = format!("{}.tar", digest(&layer.blob).replace(':', "-"));
        files.insert(name.clone(), layer.blob.clone());
        layers.push(name);
    }
    let config = format!("{}.json", digest(&image.config).replace(':', "-"));
    files.insert(config.clone(), image.config.clone());
    let entry = DockerEntry { config, repo_tags: Some(vec![tag.to_owned()]), layers };
    files.insert("manifest.json".to_owned(), text(&[entry])?);
    let mut tree = Tree::new();
    for (path, content) in files {
        tree.file(&path, 0o644, content)?;
    }
    tree.tar(mtime_seconds)
}

/// A tarball in memory, by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tarball {
    files: BTreeMap<String, Vec<u8>>,
}

impl Tarball {
    /// Reads an uncompressed tarball; links in it (older `docker save` has them) are followed by name.
    ///
    /// # Errors
    /// It is no tarball, or has more than a few thousand files.
    pub fn read(tar: impl Read) -> Result<Tarball, Error> {
        let broken = |e: std::io::Error| Error::NotAnImage(format!("the tarball cannot be read: {e}"));
        let (mut files, mut links) = (BTreeMap::new(), Vec::new());
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
            if files.len() == MAX_FILES {
                return Err(Error::NotAnImage(format!("more than {MAX_FILES} files in a tarball")));
            }
            if entry.header().entry_type().is_file() {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(broken)?;
                files.insert(path, content);
            } else if let (true, Some(target)) =
                (entry.header().entry_type().is_symlink(), entry.link_name_bytes())
            {
                links.push((path, String::from_utf8_lossy(&target).into_owned()));
            }
        }
        for (path, target) in links {
            // `../<id>/layer.tar`: a link to a file of the same tarball.
            if let Some(content) = files.get(target.trim_start_matches("../")).cloned() {
                files.insert(path, content);
            }
        }
        Ok(Tarball { files })
    }
}

impl Source for Tarball {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}
