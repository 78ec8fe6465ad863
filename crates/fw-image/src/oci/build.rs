// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Images to be written: layers, configuration, manifest.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json::{Descriptor, Manifest, Platform, media};
use super::{Error, digest, gzip};

/// How a layer's blob is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tarball, for content that is compressed already.
    None,
    /// gzip.
    Gzip,
}

/// A layer: its blob and the digest of the tarball in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Media type of the blob.
    pub media_type: String,
    /// The blob.
    pub blob: Vec<u8>,
    /// Digest of the uncompressed tarball.
    pub diff_id: String,
}

impl Layer {
    /// A layer of an uncompressed tarball.
    pub fn new(tar: Vec<u8>, compression: Compression) -> Layer {
        let diff_id = digest(&tar);
        match compression {
            Compression::None => Layer { media_type: media::LAYER_TAR.to_owned(), blob: tar, diff_id },
            Compression::Gzip => {
                Layer { media_type: media::LAYER_GZIP.to_owned(), blob: gzip::compress(&tar), diff_id }
            }
        }
    }
}

/// The part of an image's configuration that its maker chooses.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The `config` object: entrypoint, environment, labels.
    pub run: Value,
    /// When the image was made, RFC 3339.
    pub created: String,
}

/// An image of one platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Platform.
    pub platform: Platform,
    /// Layers, the lowest first.
    pub layers: Vec<Layer>,
    /// Configuration document.
    pub config: Vec<u8>,
    /// Manifest document.
    pub manifest: Vec<u8>,
}

impl Image {
    /// An image of layers.
    ///
    /// # Errors
    /// None that such values can cause; the JSON library's signature has one.
    pub fn new(
        platform: Platform,
        config: &Config,
        layers: Vec<Layer>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Image, Error> {
        let diff_ids: Vec<&str> = layers.iter().map(|l| l.diff_id.as_str()).collect();
        let document = json!({
            "architecture": platform.architecture,
            "config": config.run,
            "created": config.created,
            "os": platform.os,
            "rootfs": { "diff_ids": diff_ids, "type": "layers" },
        });
        let config = text(&document)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.to_owned(),
            config: Descriptor::of(media::CONFIG, &config),
            layers: layers.iter().map(|layer| Descriptor::of(&layer.media_type, &layer.blob)).collect(),
            annotations: annotations.clone(),
        };
        let manifest = text(&manifest)?;
        Ok(Image { platform, layers, config, manifest })
    }

    /// Descriptor of the manifest, with the platform.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            platform: Some(self.platform.clone()),
            ..Descriptor::of(media::MANIFEST, &self.manifest)
        }
    }
}

/// JSON with sorted keys.
pub(super) fn text(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    let failed =
        |e: serde_json::Error| Error::Json { path: "(to be written)".to_owned(), why: e.to_string() };
    let value = serde_json::to_value(value).map_err(failed)?;
    serde_json::to_vec(&value).map_err(failed)
}
