// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An empty ext4 file system for the self-test, the same bytes each time.

use std::path::Path;

use fs_err as fs;
use fw_build::Result;
use fw_build::run::{Cmd, SOURCE_DATE_EPOCH};
use fw_image::guid::Guid;

/// The least that has room for a journal.
const SIZE_BYTES: u64 = 8 << 20;

/// Makes it.
///
/// # Errors
/// `mke2fs` (package `e2fsprogs`) is missing or fails.
pub fn make(path: &Path) -> Result<()> {
    fs::File::create(path)?.set_len(SIZE_BYTES)?;
    let id = Guid::from_label("selftest-ext4").to_string();
    Cmd::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-L", "selftest", "-U", &id])
        // Without `hash_seed` it takes a random one; tables that are written later would be by the kernel.
        .args(["-E", &format!("hash_seed={id},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0")])
        .arg(path)
        // Both names: e2fsprogs 1.47.1 brought the second.
        .env("E2FSPROGS_FAKE_TIME", SOURCE_DATE_EPOCH.to_string())
        .env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH.to_string())
        .output()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_each_time() {
        let dir = tempfile::tempdir().expect("folder");
        let images = ["a", "b"].map(|name| {
            let path = dir.path().join(name);
            make(&path).expect("made");
            fs::read(path).expect("image")
        });
        assert!(images[0] == images[1], "two runs differ");
        // The magic number of the superblock (`linux/magic.h`).
        assert_eq!(images[0][1024 + 56..][..2], [0x53, 0xef]);
    }
}
