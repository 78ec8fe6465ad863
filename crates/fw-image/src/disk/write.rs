// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A checked layout into a sparse file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Content, Kind, Layout, Region, copy_sparse};

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Copying into the image failed.
    #[error("region `{region}`: {source}")]
    Image {
        /// The region being written.
        region: String,
        /// The cause.
        source: io::Error,
    },
    /// A content file could not be read.
    #[error("region `{region}`: cannot read `{}`: {source}", path.display())]
    Content {
        /// The region being written.
        region: String,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A content file has not the size it had when the plan was made.
    #[error("region `{region}`: `{}` had {planned_bytes} bytes and now has {found_bytes}", path.display())]
    Changed {
        /// The region being written.
        region: String,
        /// The file.
        path: PathBuf,
        /// Size in the plan.
        planned_bytes: u64,
        /// Size found.
        found_bytes: u64,
    },
}

/// A region as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Name of the region.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub offset_bytes: u64,
    /// Size.
    pub length_bytes: u64,
    /// Bytes that came from the content; the rest is zero.
    pub content_bytes: u64,
    /// SHA-256, in hex, of the `length_bytes` bytes at `offset_bytes`.
    pub sha256: String,
}

impl Layout {
    /// Writes the image: `out` is cut to nothing, given its full size as one hole, and only blocks with
    /// data are written. Returns the regions by start. After an error `out` is not a usable image.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(&self, out: &mut File) -> Result<Vec<Written>, WriteError> {
        let size = out.set_len(0).and_then(|()| out.set_len(self.size_bytes()));
        size.map_err(|source| WriteError::Image { region: "whole image".to_owned(), source })?;
        self.regions().iter().map(|region| region.write(out)).collect()
    }
}

impl Region {
    fn write(&self, out: &mut File) -> Result<Written, WriteError> {
        let mut digest = Sha256::new();
        let content_bytes = match &self.content {
            Content::Zero => 0,
            Content::Bytes(bytes) => self.copy(&mut &bytes[..], out, &mut digest)?,
            Content::File { path, length_bytes } => self.copy_file(path, *length_bytes, out, &mut digest)?,
        };
        hash_zeros(&mut digest, self.length_bytes - content_bytes);
        Ok(Written {
            name: self.name.clone(),
            owner: self.owner.clone(),
            kind: self.kind,
            offset_bytes: self.start.bytes(),
            length_bytes: self.length_bytes,
            content_bytes,
            sha256: crate::hex(&digest.finalize()),
        })
    }

    fn copy<R: Read>(&self, from: &mut R, out: &mut File, digest: &mut Sha256) -> Result<u64, WriteError> {
        copy_sparse(from, out, self.start.bytes(), digest)
            .map_err(|source| WriteError::Image { region: self.name.clone(), source })
    }

    fn copy_file(
        &self,
        path: &Path,
        planned: u64,
        out: &mut File,
        digest: &mut Sha256,
    ) -> Result<u64, WriteError> {
        let region = || self.name.clone();
        let content = |source| WriteError::Content { region: region(), path: path.to_owned(), source };
        let file = File::open(path).map_err(content)?;
        let changed = |found_bytes| {
            let path = path.to_owned();
            Err(WriteError::Changed { region: region(), path, planned_bytes: planned, found_bytes })
        };
        // Looked at before the copy, so that a longer file cannot run into the next region.
        let found_bytes = file.metadata().map_err(content)?.len();
        if found_bytes != planned {
            return changed(found_bytes);
        }
        let copied = self.copy(&mut file.take(planned), out, digest)?;
        if copied != planned { changed(copied) } else { Ok(copied) }
    }
}

fn hash_zeros(digest: &mut Sha256, mut count: u64) {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    while count > 0 {
        let take = count.min(ZEROS.len() as u64);
        digest.update(&ZEROS[..take as usize]);
        count -= take;
    }
}
