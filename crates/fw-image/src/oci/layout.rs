// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An OCI image layout to be written: its index and blobs.

use std::collections::BTreeMap;

use super::build::{Image, text};
use super::json::{Index, media};
use super::{Error, blob_path, digest};

/// `oci-layout`, the file that makes a folder a layout.
const MARKER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// A layout: files by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    files: BTreeMap<String, Vec<u8>>,
}

impl Layout {
    /// A layout whose index names the images themselves: Talos's imager looks for its platform there and
    /// follows no nested index.
    ///
    /// # Errors
    /// None that such values can cause; the JSON library's signature has one.
    pub fn new(images: &[Image], annotations: &BTreeMap<String, String>) -> Result<Layout, Error> {
        let index = Index {
            schema_version: 2,
            media_type: media::INDEX.to_owned(),
            manifests: images.iter().map(Image::descriptor).collect(),
            annotations: annotations.clone(),
        };
        let mut files = BTreeMap::from([
            ("index.json".to_owned(), text(&index)?),
            ("oci-layout".to_owned(), MARKER.to_vec()),
        ]);
        for image in images {
            let blobs = image.layers.iter().map(|layer| &layer.blob);
            for blob in blobs.chain([&image.config, &image.manifest]) {
                files.insert(blob_path(&digest(blob))?, blob.clone());
            }
        }
        Ok(Layout { files })
    }

    /// Files by path below the layout's folder.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, content)| (path.as_str(), content.as_slice()))
    }

    /// Digest of the index: what a registry will call the whole.
    pub fn digest(&self) -> String {
        digest(&self.files["index.json"])
    }
}

impl super::Source for Layout {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}
