// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Opens an image or a device for reading, with progress for what takes long.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

use fw_build::{Failure, Result};
use image_inspect::open::{Limits, OpenError, Opened, open as unpack};

use crate::talk;

/// How often progress is written.
const EVERY: Duration = Duration::from_secs(2);

/// Opens a file or device; `.xz`, `.zst` and `.gz` are unpacked into a nameless file.
///
/// # Errors
/// It cannot be read, is a folder, or unpacks to more than anybody's card.
pub fn open(path: &Path) -> Result<Opened> {
    let wrong =
        |why: &dyn std::fmt::Display| Failure::new(format!("cannot look into `{}`", path.display())).why(why);
    let meta = std::fs::metadata(path).map_err(|e| wrong(&e))?;
    if meta.is_dir() || meta.file_type().is_char_device() || meta.file_type().is_fifo() {
        return Err(wrong(&"it is neither a file nor a block device")
            .hint("name an image, a loader, or a card such as `/dev/sdX`"));
    }
    let file = std::fs::File::open(path).map_err(|e| {
        let denied = e.kind() == std::io::ErrorKind::PermissionDenied;
        let failure = wrong(&e);
        if denied { failure.hint("reading a device needs root, or the group `disk`") } else { failure }
    })?;
    let (mut last, talk) = (Instant::now(), talk::bars());
    let mut progress = |bytes: u64| {
        if talk && last.elapsed() >= EVERY {
            last = Instant::now();
            eprintln!("unpacked {}", image_inspect::text::size(bytes));
        }
    };
    unpack(file, &Limits::of(meta.len()), &mut progress).map_err(|e| {
        let failure = wrong(&e);
        match e {
            OpenError::Bomb { .. } => {
                failure.hint("if it really is an image, unpack it yourself and name the raw file")
            }
            OpenError::Archive { command, .. } => {
                failure.hint(format!("`{command}` it, and name the image that comes out"))
            }
            OpenError::Io(_) => failure,
        }
    })
}
