// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sends a layout: blobs that the registry lacks, then manifests, then the index under the tag. A tag never names
//! something that is not complete, and what is there already is not sent again: an interrupted push carries on with
//! the blob that it was at.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fw_build::fetch::Progress;
use fw_build::status;
use fw_build::{Failure, Result};
use fw_image::oci::{self, Descriptor, Index, Manifest, Source, blob_path};
use http::HeaderValue;
use oci_client::errors::OciDistributionError;
use oci_client::{Reference, RegistryOperation};

use crate::session::{Answer, Kind, Registry, SILENCE, silence, within};

/// A blob goes out in pieces of this size, which is what progress is counted in.
const PIECE_BYTES: usize = 256 << 10;

/// How often progress is told.
const TICK: Duration = Duration::from_millis(200);

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest that the tag now names: that of the layout's index.
    pub digest: String,
    /// Blobs, manifests and index that were sent.
    pub sent: usize,
    /// Blobs, manifests and index that were there.
    pub present: usize,
    /// Bytes that were sent.
    pub sent_bytes: u64,
}

impl Registry {
    /// Sends the images of a layout and its index.
    ///
    /// # Errors
    /// The layout is not sound, or the registry refused or cannot be reached.
    pub fn push(&self, layout: &dyn Source, progress: &dyn Progress) -> Result<Pushed> {
        if let Some(digest) = self.reference.digest() {
            return Err(Failure::new(format!("cannot push to `{}`", self.reference()))
                .why(format!("`{digest}` is a digest, and an image has the digest that it has"))
                .hint("give a tag: `registry.example.org/nanopi-m6-overlay:v0.1.0`"));
        }
        // Judged as a whole first: nothing of a damaged layout is sent.
        oci::open(layout).map_err(|e| Failure::new("the layout is damaged, nothing was sent").why(e))?;
        self.block_on(self.send(layout, progress))
    }

    async fn send(&self, layout: &dyn Source, progress: &dyn Progress) -> Result<Pushed> {
        progress.step("log in");
        self.retry("log in", progress, async || {
            within(self.client.auth(&self.reference, &self.auth, RegistryOperation::Push)).await
        })
        .await?;
        let index_bytes = layout.read("index.json")?;
        let index: Index = document("index.json", &index_bytes)?;
        let mut done = Pushed { digest: oci::digest(&index_bytes), sent: 0, present: 0, sent_bytes: 0 };
        let mut manifests = Vec::new();
        for descriptor in &index.manifests {
            let bytes = layout.read(&path(&descriptor.digest)?)?;
            let manifest: Manifest = document(&descriptor.digest, &bytes)?;
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                self.blob(layout, blob, progress, &mut done).await?;
            }
            manifests.push((descriptor, bytes));
        }
        for (descriptor, bytes) in manifests {
            // As a tag, though it is a digest: the client answers a registry that names no place for a manifest
            // with a panic if the address does not end in the reference's tag.
            let (registry, repository) = (self.reference.registry(), self.reference.repository());
            let place =
                Reference::with_tag(registry.to_owned(), repository.to_owned(), descriptor.digest.clone());
            self.document(&place, &descriptor.digest, bytes, &descriptor.media_type, progress, &mut done)
                .await?;
        }
        let digest = done.digest.clone();
        self.document(&self.reference, &digest, index_bytes, &index.media_type, progress, &mut done).await?;
        Ok(done)
    }

    /// Sends a blob unless it is there.
    async fn blob(
        &self,
        layout: &dyn Source,
        blob: &Descriptor,
        progress: &dyn Progress,
        done: &mut Pushed,
    ) -> Result<()> {
        let digest = blob.digest.as_str();
        let asked = format!("ask for the blob {digest}");
        let there = self
            .retry(&asked, progress, async || within(self.client.blob_exists(&self.reference, digest)).await)
            .await?;
        if there {
            done.present += 1;
            return Ok(());
        }
        progress.step(&format!("send {digest} ({})", status::bytes(blob.size)));
        let content = Bytes::from(layout.read(&path(digest)?)?);
        self.retry(&format!("send the blob {digest}"), progress, async || {
            self.upload(&content, digest, progress).await
        })
        .await?;
        done.sent += 1;
        done.sent_bytes += blob.size;
        Ok(())
    }

    /// One attempt, from the blob's start: the client cannot go on with an upload that broke.
    async fn upload(&self, content: &Bytes, digest: &str, progress: &dyn Progress) -> Answer<()> {
        let taken = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&taken);
        let starts = (0..content.len()).step_by(PIECE_BYTES);
        let pieces: Vec<Bytes> =
            starts.map(|start| content.slice(start..content.len().min(start + PIECE_BYTES))).collect();
        let stream = futures_util::stream::iter(pieces.into_iter().map(move |piece| {
            counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
            Ok::<Bytes, OciDistributionError>(piece)
        }));
        let total = content.len() as u64;
        let mut upload = pin!(self.client.push_blob_stream(&self.reference, stream, digest, Some(total)));
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            if let Ok(done) = tokio::time::timeout(TICK, upload.as_mut()).await {
                return done.map(|_| ());
            }
            let now = taken.load(Ordering::Relaxed);
            progress.bytes(now, Some(total));
            if now != last {
                (last, moved) = (now, Instant::now());
            } else if moved.elapsed() > SILENCE {
                return Err(silence());
            }
        }
    }

    /// Sends a manifest or the index to where it is to be found, unless the same one is there.
    async fn document(
        &self,
        place: &Reference,
        digest: &str,
        bytes: Vec<u8>,
        media_type: &str,
        progress: &dyn Progress,
        done: &mut Pushed,
    ) -> Result<()> {
        let kind = HeaderValue::from_str(media_type)
            .map_err(|e| Failure::new(format!("`{media_type}` is no media type")).why(e))?;
        let there = self
            .retry(&format!("ask for the manifest {digest}"), progress, async || {
                match within(self.client.fetch_manifest_digest(place, &self.auth)).await {
                    Ok(found) => Ok(found == digest),
                    Err(e) if Kind::of(&e) == Kind::Missing => Ok(false),
                    Err(e) => Err(e),
                }
            })
            .await?;
        if there {
            done.present += 1;
            return Ok(());
        }
        let size = bytes.len() as u64;
        progress.step(&format!("send {digest} ({})", status::bytes(size)));
        let bytes = Bytes::from(bytes);
        self.retry(&format!("send the manifest {digest}"), progress, async || {
            within(self.client.push_manifest_raw(place, bytes.clone(), kind.clone())).await
        })
        .await?;
        done.sent += 1;
        done.sent_bytes += size;
        Ok(())
    }
}

fn path(digest: &str) -> Result<String> {
    blob_path(digest).map_err(|e| Failure::new("the layout is damaged").why(e))
}

pub(crate) fn document<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Failure::new(format!("`{name}` is not valid")).why(e))
}
