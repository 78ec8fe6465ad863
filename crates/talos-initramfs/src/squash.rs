// SPDX-License-Identifier: Apache-2.0 OR MIT
//! squashfs images as Talos packs them (talos-contracts 5.1), and the files of one, without root.
//!
//! Both by squashfs-tools-ng; what goes in is the caller's business.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use fs_err as fs;
use fw_build::run::{Cmd, SOURCE_DATE_EPOCH};
use fw_build::{Failure, Result};

use crate::tree::{Labels, Tree};

/// Level of zstd; up to 19 the window stays at 8 MiB.
pub const ZSTD_LEVEL: i32 = 18;
/// squashfs block.
const BLOCK_BYTES: u32 = 128 << 10;
/// First bytes of a squashfs 4 image (Linux, include/uapi/linux/magic.h and fs/squashfs).
pub const MAGIC: &[u8] = b"hsqs";

/// The packer of a tar stream on its standard input; the caller adds the image's path, last.
pub fn tar2sqfs(jobs: usize) -> Cmd {
    Cmd::new("tar2sqfs")
        .args(["--quiet", "--no-skip"])
        .args(["--compressor", "zstd", "--comp-extra", &format!("level={ZSTD_LEVEL}")])
        .args(["--block-size", &BLOCK_BYTES.to_string(), "--num-jobs", &jobs.to_string()])
}

/// Packs a tree into an image at `out`, by way of a tar file in `work`.
///
/// # Errors
/// `tar2sqfs` is missing or failed, or the disk is full.
pub fn pack(tree: &Tree, labels: Labels, work: &Path, out: &Path) -> Result<()> {
    let tar = work.join("layer.tar");
    tree.write_tar(SOURCE_DATE_EPOCH, labels, std::io::BufWriter::new(fs::File::create(&tar)?))?;
    pack_tar(&tar, out)?;
    fs::remove_file(tar)?;
    Ok(())
}

/// Packs a tar file into an image at `out`.
///
/// # Errors
/// `tar2sqfs` is missing or failed, or the disk is full.
pub fn pack_tar(tar: &Path, out: &Path) -> Result<()> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let input = fs::File::open(tar)?.into_parts().0;
    let packer = tar2sqfs(jobs).arg("--force").arg(out);
    packer.spawn(Stdio::from(input), Stdio::null(), Stdio::piped())?.finish()
}

/// The files below a folder of an image, by path relative to it; nothing where the image has no such folder.
///
/// # Errors
/// It is no squashfs image, or `sqfs2tar` is missing or failed.
pub fn files_below(image: &[u8], folder: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    if !image.starts_with(MAGIC) {
        return Err(Failure::new("it is no squashfs image"));
    }
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, image)?;
    let mut running =
        Cmd::new("sqfs2tar").arg(file.path()).spawn(Stdio::null(), Stdio::piped(), Stdio::piped())?;
    let mut files = BTreeMap::new();
    if let Some(stdout) = running.child.stdout.take() {
        for entry in tar::Archive::new(stdout).entries()? {
            let mut entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = path.strip_prefix("./").unwrap_or(&path);
            let Some(below) = path.strip_prefix(folder).and_then(|p| p.strip_prefix('/')) else { continue };
            if entry.header().entry_type().is_file() {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                files.insert(below.to_owned(), content);
            }
        }
    }
    running.finish()?;
    Ok(files)
}
