// SPDX-License-Identifier: Apache-2.0 OR MIT
//! No path of the machine that built it in anything that ships.

use std::path::PathBuf;

use fw_build::store::Store;
use fw_build::{Failure, Result};

/// Shorter paths (`/`, `/opt`) are parts of honest ones.
const SHORTEST: usize = 6;

/// Folders of this machine that a build knows about: workspace, store, homes.
///
/// # Errors
/// The store's place is not known.
pub fn needles(root: &std::path::Path) -> Result<Vec<String>> {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    let folders = [
        Some(root.to_owned()),
        Some(Store::from_env()?.root().to_owned()),
        var("HOME").map(|h| h.join(".cache")),
        var("HOME").map(|h| h.join(".cargo")),
        var("CARGO_HOME"),
        var("RUSTUP_HOME"),
        var("CARGO_TARGET_DIR"),
    ];
    let mut needles: Vec<String> = folders
        .into_iter()
        .flatten()
        .map(|p| p.display().to_string())
        .filter(|p| p.len() >= SHORTEST)
        .collect();
    needles.sort();
    needles.dedup();
    Ok(needles)
}

/// Looks for the folders in a file.
///
/// # Errors
/// One was found.
pub fn check(name: &str, bytes: &[u8], needles: &[String]) -> Result<()> {
    for needle in needles {
        if let Some(at) = memchr::memmem::find(bytes, needle.as_bytes()) {
            let end = (at + 120).min(bytes.len());
            return Err(Failure::new(format!("`{name}` holds the path `{needle}`"))
                .why(String::from_utf8_lossy(&bytes[at..end]).into_owned()));
        }
    }
    Ok(())
}
