// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fetches the image of one platform into memory, as a layout that `fw_image::oci::open` reads and checks.

use std::collections::BTreeMap;
use std::io;

use futures_util::StreamExt;
use fw_build::fetch::Progress;
use fw_build::status;
use fw_build::{Failure, Result};
use fw_image::oci::{Descriptor, Index, Manifest, Platform, Source, blob_path, digest, media};
use oci_client::Reference;
use oci_client::client::BlobResponse;

use crate::push::document;
use crate::session::{Answer, Registry, SILENCE, silence, within};

/// What a registry may answer with for a tag.
const ACCEPTED: [&str; 4] = [media::INDEX, media::DOCKER_INDEX, media::MANIFEST, media::DOCKER_MANIFEST];

/// Larger than any installer base, and than what should be kept in memory.
const MAX_BYTES: u64 = 2 << 30;

/// A fetched image: the files of a layout.
#[derive(Debug, Clone, Default)]
pub struct Pulled {
    files: BTreeMap<String, Vec<u8>>,
}

impl Source for Pulled {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Registry {
    /// Fetches the image for a platform.
    ///
    /// # Errors
    /// The registry does not have it, refused, cannot be reached, or sent something else than its manifest says.
    pub fn pull(&self, platform: &Platform, progress: &dyn Progress) -> Result<Pulled> {
        self.block_on(self.fetch(platform, progress))
    }

    async fn fetch(&self, platform: &Platform, progress: &dyn Progress) -> Result<Pulled> {
        let mut bytes = self.manifest(&self.reference, progress).await?;
        if document::<serde_json::Value>("manifest", &bytes)?.get("manifests").is_some() {
            let index: Index = document("index", &bytes)?;
            let found = index.manifests.iter().find(|d| d.platform.as_ref() == Some(platform));
            let found = found
                .ok_or_else(|| Failure::new(format!("`{}` has no image for {platform}", self.reference())))?;
            // The client compares the answer with the digest.
            bytes = self.manifest(&self.reference.clone_with_digest(found.digest.clone()), progress).await?;
        }
        let manifest: Manifest = document("manifest", &bytes)?;
        let blobs: Vec<&Descriptor> = manifest.layers.iter().chain([&manifest.config]).collect();
        let total = blobs.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
        if total > MAX_BYTES {
            return Err(Failure::new(format!("`{}` is too large", self.reference())).why(format!(
                "{} where {} are the most",
                status::bytes(total),
                status::bytes(MAX_BYTES)
            )));
        }
        let mut pulled = Pulled::default();
        for blob in blobs {
            let path = blob_path(&blob.digest)
                .map_err(|e| Failure::new("the registry sent a bad manifest").why(e))?;
            progress.step(&format!("fetch {} ({})", blob.digest, status::bytes(blob.size)));
            let content = self.download(blob, progress).await?;
            pulled.files.insert(path, content);
        }
        let kind =
            if manifest.media_type.is_empty() { media::MANIFEST } else { manifest.media_type.as_str() };
        let index = Index {
            schema_version: 2,
            media_type: media::INDEX.to_owned(),
            manifests: vec![Descriptor { platform: Some(platform.clone()), ..Descriptor::of(kind, &bytes) }],
            annotations: BTreeMap::new(),
        };
        let path = blob_path(&digest(&bytes)).map_err(|e| Failure::new("a digest of our own").why(e))?;
        pulled.files.insert(path, bytes);
        let text = serde_json::to_vec(&index).map_err(|e| Failure::new("cannot write an index").why(e))?;
        pulled.files.insert("index.json".to_owned(), text);
        pulled.files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        Ok(pulled)
    }

    async fn manifest(&self, place: &Reference, progress: &dyn Progress) -> Result<Vec<u8>> {
        let what = format!("fetch the manifest of `{place}`");
        let (bytes, _) = self
            .retry(&what, progress, async || {
                within(self.client.pull_manifest_raw(place, &self.auth, &ACCEPTED)).await
            })
            .await?;
        Ok(bytes.to_vec())
    }

    /// A blob; an attempt goes on where the one before it ended.
    async fn download(&self, blob: &Descriptor, progress: &dyn Progress) -> Result<Vec<u8>> {
        let what = format!("fetch the blob {}", blob.digest);
        let mut content = Vec::new();
        self.retry(&what, progress, async || self.part(blob, &mut content, progress).await).await?;
        if content.len() as u64 != blob.size || digest(&content) != blob.digest {
            return Err(Failure::new(format!("`{}` is damaged", self.reference()))
                .why(format!("the blob {} has {} and {} bytes", blob.digest, digest(&content), content.len()))
                .why(format!("its manifest says {} bytes", blob.size)));
        }
        Ok(content)
    }

    async fn part(&self, blob: &Descriptor, content: &mut Vec<u8>, progress: &dyn Progress) -> Answer<()> {
        let offset = content.len() as u64;
        if offset >= blob.size && offset > 0 {
            return Ok(());
        }
        let answer =
            self.client.pull_blob_stream_partial(&self.reference, blob.digest.as_str(), offset, None);
        let mut stream = match within(answer).await? {
            BlobResponse::Full(all) => {
                content.clear();
                all.stream
            }
            BlobResponse::Partial(rest) => rest.stream,
        };
        loop {
            let piece = tokio::time::timeout(SILENCE, stream.next()).await.map_err(|_| silence())?;
            let Some(piece) = piece else { return Ok(()) };
            content.extend_from_slice(&piece?);
            if content.len() as u64 > blob.size {
                // More than it should be; the caller's comparison says so.
                return Ok(());
            }
            progress.bytes(content.len() as u64, Some(blob.size));
        }
    }
}
