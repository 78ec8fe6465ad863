// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads images, and believes nothing: every blob must have the digest and size that refer to it, every layer
//! the content that the configuration names.

use std::io::Read;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::archive::DockerEntry;
use super::build::{Compression, Layer};
use super::json::{Descriptor, Index, Manifest, Platform, media};
use super::{Error, blob_path, digest};

/// Documents are small; this keeps a bad one from filling the memory.
const MAX_JSON_BYTES: usize = 8 << 20;
/// What a layer may unpack to.
const MAX_LAYER_BYTES: u64 = 4 << 30;
/// An index in an index is usual, more is not.
const MAX_DEPTH: usize = 3;
/// `\x1f\x8b` and zstd's frame magic (RFC 1952, RFC 8878).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Where the files of a layout or a tarball are.
pub trait Source {
    /// The file at a path below the source's root.
    ///
    /// # Errors
    /// As the place of the files has them.
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>>;
}

/// An image that was read; blobs were checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadImage {
    /// Platform: of the index, or of the configuration.
    pub platform: Platform,
    /// Digest of the manifest; `None` in a docker-style tarball, which has none.
    pub digest: Option<String>,
    /// Whether the top-level index itself has the image with its platform, as Talos's imager needs it.
    pub at_top_level: bool,
    /// Annotations of the manifest.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// Configuration document.
    pub config: Value,
    /// Layers, the lowest first.
    pub layers: Vec<ReadLayer>,
}

/// A layer that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLayer {
    /// Digest of the blob.
    pub digest: String,
    /// The blob.
    pub blob: Vec<u8>,
    /// Digest of the uncompressed tarball, as the configuration has it.
    pub diff_id: String,
}

impl ReadLayer {
    /// The uncompressed tarball, compared with its digest in the configuration.
    ///
    /// # Errors
    /// It cannot be unpacked, or is not what the configuration says.
    pub fn tar(&self) -> Result<Vec<u8>, Error> {
        let failed = |e: std::io::Error| Error::Layer(self.digest.clone(), e.to_string());
        let mut tar = Vec::new();
        // By content: what the media type says is not always so.
        let blob = self.blob.as_slice();
        let mut reader: Box<dyn Read + '_> = if blob.starts_with(&GZIP_MAGIC) {
            Box::new(flate2::read::MultiGzDecoder::new(blob))
        } else if blob.starts_with(&ZSTD_MAGIC) {
            Box::new(zstd::stream::read::Decoder::new(blob).map_err(failed)?)
        } else {
            Box::new(blob)
        };
        reader.by_ref().take(MAX_LAYER_BYTES).read_to_end(&mut tar).map_err(failed)?;
        if tar.len() as u64 == MAX_LAYER_BYTES {
            return Err(Error::Layer(self.digest.clone(), format!("more than {MAX_LAYER_BYTES} bytes")));
        }
        let actual = digest(&tar);
        if actual != self.diff_id {
            return Err(Error::DiffId { layer: self.digest.clone(), expected: self.diff_id.clone(), actual });
        }
        Ok(tar)
    }

    /// The same layer for a new image, its blob as it is.
    pub fn keep(&self) -> Layer {
        let media_type = if self.blob.starts_with(&GZIP_MAGIC) {
            media::LAYER_GZIP.to_owned()
        } else if self.blob.starts_with(&ZSTD_MAGIC) {
            "application/vnd.oci.image.layer.v1.tar+zstd".to_owned()
        } else {
            return Layer::new(self.blob.clone(), Compression::None);
        };
        Layer { media_type, blob: self.blob.clone(), diff_id: self.diff_id.clone() }
    }
}

/// All images of an OCI layout or a docker-style tarball.
///
/// # Errors
/// Neither of both, or something in it is damaged.
pub fn open(source: &dyn Source) -> Result<Vec<ReadImage>, Error> {
    if let Ok(index) = source.read("index.json") {
        if source.read("oci-layout").is_err() {
            return Err(Error::NotAnImage("it has `index.json`, but no file `oci-layout`".to_owned()));
        }
        let index: Index = json("index.json", &index)?;
        let mut images = Vec::new();
        follow(source, &index, 0, &mut images)?;
        return Ok(images);
    }
    match source.read("manifest.json") {
        Ok(manifest) => docker(source, &json::<Vec<DockerEntry>>("manifest.json", &manifest)?),
        Err(_) => Err(Error::NotAnImage("it has neither `index.json` nor `manifest.json`".to_owned())),
    }
}

/// Platforms, for messages.
fn names(images: &[ReadImage]) -> String {
    let names: Vec<String> = images.iter().map(|image| image.platform.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl ReadImage {
    /// The image for a platform among those of [`open`].
    ///
    /// # Errors
    /// There is none.
    pub fn for_platform<'a>(images: &'a [ReadImage], platform: &Platform) -> Result<&'a ReadImage, Error> {
        images
            .iter()
            .find(|image| image.platform == *platform)
            .ok_or_else(|| Error::NoPlatform { wanted: platform.to_string(), found: names(images) })
    }
}

fn follow(
    source: &dyn Source,
    index: &Index,
    depth: usize,
    images: &mut Vec<ReadImage>,
) -> Result<(), Error> {
    for descriptor in &index.manifests {
        let bytes = blob(source, descriptor)?;
        let path = blob_path(&descriptor.digest)?;
        match descriptor.media_type.as_str() {
            media::INDEX | media::DOCKER_INDEX if depth + 1 < MAX_DEPTH => {
                follow(source, &json(&path, &bytes)?, depth + 1, images)?;
            }
            media::INDEX | media::DOCKER_INDEX => {
                return Err(Error::NotAnImage("indexes are nested too deep".to_owned()));
            }
            // Attestations of builders: they have a manifest, and no platform that could run.
            _ if descriptor.platform.as_ref().is_some_and(|p| p.os == "unknown") => {}
            _ => {
                let mut image = manifest(source, &json(&path, &bytes)?)?;
                image.digest = Some(descriptor.digest.clone());
                image.at_top_level = depth == 0 && descriptor.platform.is_some();
                if let Some(platform) = &descriptor.platform
                    && *platform != image.platform
                {
                    let why = format!("the index says {platform}, the configuration {}", image.platform);
                    return Err(Error::Json { path, why });
                }
                images.push(image);
            }
        }
    }
    Ok(())
}

fn manifest(source: &dyn Source, manifest: &Manifest) -> Result<ReadImage, Error> {
    let config: Value = json(&blob_path(&manifest.config.digest)?, &blob(source, &manifest.config)?)?;
    let mut blobs = Vec::new();
    for descriptor in &manifest.layers {
        blobs.push(blob(source, descriptor)?);
    }
    let mut image = assemble(config, blobs)?;
    image.annotations = manifest.annotations.clone();
    Ok(image)
}

fn docker(source: &dyn Source, entries: &[DockerEntry]) -> Result<Vec<ReadImage>, Error> {
    let read = |path: &str| {
        source.read(path).map_err(|error| Error::Read { path: path.escape_debug().to_string(), error })
    };
    let mut images = Vec::new();
    for entry in entries {
        let config = json(&entry.config, &read(&entry.config)?)?;
        let blobs = entry.layers.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        let image = assemble(config, blobs)?;
        // A tarball has no digests of its own: compare what the configuration says at once.
        for layer in &image.layers {
            layer.tar()?;
        }
        images.push(image);
    }
    Ok(images)
}

fn assemble(config: Value, blobs: Vec<Vec<u8>>) -> Result<ReadImage, Error> {
    let wrong = |why: String| Error::Json { path: "image configuration".to_owned(), why };
    let text = |key: &str| {
        let value = config.get(key).and_then(Value::as_str).map(str::to_owned);
        value.ok_or_else(|| wrong(format!("it has no `{key}`")))
    };
    let platform = Platform { architecture: text("architecture")?, os: text("os")? };
    let ids = config.pointer("/rootfs/diff_ids").and_then(Value::as_array).cloned().unwrap_or_default();
    let ids: Vec<String> = ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
    if ids.len() != blobs.len() {
        return Err(wrong(format!("it names {} layers, the image has {}", ids.len(), blobs.len())));
    }
    let layers = blobs.into_iter().zip(ids);
    let layers = layers.map(|(blob, diff_id)| ReadLayer { digest: digest(&blob), blob, diff_id }).collect();
    let annotations = std::collections::BTreeMap::new();
    Ok(ReadImage { platform, digest: None, at_top_level: false, annotations, config, layers })
}

/// The blob of a descriptor, checked.
fn blob(source: &dyn Source, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
    let path = blob_path(&descriptor.digest)?;
    let bytes = source.read(&path).map_err(|error| Error::Read { path, error })?;
    if bytes.len() as u64 != descriptor.size {
        let expected = format!("{} of {} bytes", descriptor.digest, descriptor.size);
        return Err(Error::Blob { expected, actual: format!("{} bytes", bytes.len()) });
    }
    match digest(&bytes) {
        actual if actual == descriptor.digest => Ok(bytes),
        actual => Err(Error::Blob { expected: descriptor.digest.clone(), actual }),
    }
}

fn json<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, Error> {
    let wrong = |why: String| Error::Json { path: path.to_owned(), why };
    if bytes.len() > MAX_JSON_BYTES {
        return Err(wrong(format!("more than {MAX_JSON_BYTES} bytes")));
    }
    serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))
}
