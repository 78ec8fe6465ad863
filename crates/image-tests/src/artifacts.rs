// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finds what `cargo xtask image` left in `out/`, and unpacks the image once.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fs_err as fs;
use fw_build::board::{Board, Disk};
use fw_build::{Failure, Result};
use fw_image::map::ImageMap;
use fw_image::talos::Line;
use fw_image::xz;

/// The artifacts of one build.
pub struct Artifacts {
    /// Workspace root.
    pub root: PathBuf,
    /// The board file.
    pub board: Board,
    /// The image's map.
    pub map: ImageMap,
    /// The line of Talos that the image is laid out for.
    pub line: Line,
    /// The board file's layout for that line.
    pub disk: Disk,
    paths: BTreeMap<(String, String), PathBuf>,
    raw: std::fs::File,
}

impl Artifacts {
    /// The artifacts in `out/`, loaded once per process.
    ///
    /// # Panics
    /// They cannot be loaded; the message says why.
    pub fn get() -> &'static Artifacts {
        static ARTIFACTS: OnceLock<Artifacts> = OnceLock::new();
        ARTIFACTS.get_or_init(|| match Artifacts::load() {
            Ok(artifacts) => artifacts,
            Err(failure) => panic!("{failure}"),
        })
    }

    fn load() -> Result<Artifacts> {
        let root = fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))?;
        let board = Board::load(&root, "nanopi-m6")?;
        let out = root.join("out");
        let mut paths = BTreeMap::new();
        for line in fs::read_to_string(out.join("artifacts.tsv"))?.lines() {
            if let [stage, role, path] = line.split('\t').collect::<Vec<_>>()[..] {
                paths.insert((stage.to_owned(), role.to_owned()), PathBuf::from(path));
            }
        }
        let map = fs::read_to_string(out.join(format!("{}.map.json", board.disk.image)))?;
        let map = ImageMap::from_json(&map).map_err(|e| Failure::new("cannot read the image map").why(e))?;
        let line =
            Line::of(&map.talos_version).map_err(|e| Failure::new("cannot use the image map").why(e))?;
        let disk = board.disk.for_talos(line.name())?;
        // No name: it is gone with the process, however that ends.
        let mut raw = tempfile::tempfile()?;
        let packed = fs::File::open(out.join(format!("{}.raw.xz", board.disk.image)))?;
        xz::decompress(packed, &mut raw).map_err(|e| Failure::new("cannot unpack the image").why(e))?;
        Ok(Artifacts { root, board, map, line, disk, paths, raw })
    }

    /// The raw image, with a position of its own.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn raw(&self) -> Result<std::fs::File> {
        // A clone of the handle would share its position with the other tests' threads.
        Ok(std::fs::File::open(format!("/proc/self/fd/{}", self.raw.as_raw_fd()))?)
    }

    /// Bytes of the raw image.
    ///
    /// # Errors
    /// They are not there.
    pub fn bytes(&self, offset_bytes: u64, length_bytes: u64) -> Result<Vec<u8>> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; length_bytes as usize];
        self.raw.read_exact_at(&mut bytes, offset_bytes)?;
        Ok(bytes)
    }

    /// Path of a stage's artifact; the image's own are those of the stage `image`.
    ///
    /// # Errors
    /// The build made no such artifact.
    pub fn path(&self, stage: &str, role: &str) -> Result<&Path> {
        self.paths
            .get(&(stage.to_owned(), role.to_owned()))
            .map(PathBuf::as_path)
            .ok_or_else(|| Failure::new(format!("`out/artifacts.tsv` names no `{role}` of `{stage}`")))
    }

    /// Content of a stage's artifact.
    ///
    /// # Errors
    /// It is not there.
    pub fn read(&self, stage: &str, role: &str) -> Result<Vec<u8>> {
        Ok(fs::read(self.path(stage, role)?)?)
    }

    /// Content of a file on the BOOT partition.
    ///
    /// # Errors
    /// There is no such file.
    pub fn boot_file(&self, path: &str) -> Result<Vec<u8>> {
        crate::files::boot(self)?.read(path).map_err(|e| Failure::new(format!("`{path}` on BOOT")).why(e))
    }
}
