// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `install`: judge everything, then write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fw_image::lba::{Lba, sectors_for};

use crate::artifacts::Artifacts;
use crate::board::Board;
use crate::disk::{Disk, Places};
use crate::esp::{self, Placement};
use crate::options::{Bootloader, Options};
use crate::refusal::Refusal;
use crate::yaml::{self, Value};

/// What Talos sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The disk, or the raw image file (imager of v1.13 and later).
    pub install_disk: PathBuf,
    /// What stands in front of `/boot/EFI`; empty on a node.
    pub mount_prefix: String,
    /// The overlay's artifacts.
    pub artifacts: PathBuf,
    /// The overlay's options.
    pub options: Options,
}

impl Request {
    /// Reads a request; fields that are not known are ignored.
    ///
    /// # Errors
    /// Not such a document, or a value that cannot be used.
    pub fn read(input: &[u8], note: &mut dyn FnMut(&str)) -> Result<Request, Refusal> {
        let map = yaml::mapping(input, "the request")?;
        let none = BTreeMap::new();
        let options = match map.get("extraOptions") {
            None | Some(Value::Null) => &none,
            Some(Value::Map(options)) => options,
            Some(other) => {
                return Err(Refusal::new("the request cannot be used")
                    .why(format!("`extraOptions` is {}, not a mapping", other.kind())));
            }
        };
        Ok(Request {
            install_disk: text(&map, "installDisk")?.into(),
            mount_prefix: text(&map, "mountPrefix")?.to_owned(),
            artifacts: text(&map, "artifactsPath")?.into(),
            options: Options::read(options, note)?,
        })
    }
}

/// A field of text; an absent one is empty, as in Go.
fn text<'a>(map: &'a BTreeMap<String, Value>, key: &str) -> Result<&'a str, Refusal> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::Text(text)) => Ok(text),
        Some(other) => {
            Err(Refusal::new("the request cannot be used")
                .why(format!("`{key}` is {}, not text", other.kind())))
        }
    }
}

/// Installs U-Boot and the device tree as asked for on standard input.
///
/// `note` gets what was done, line by line.
///
/// # Errors
/// Something is wrong with the request, an artifact or the disk; nothing was written then. Or a write failed.
pub fn install(input: &[u8], places: &Places, note: &mut dyn FnMut(&str)) -> Result<(), Refusal> {
    let board = Board::of_this_overlay()?;
    let request = Request::read(input, note)?;
    let missing = |key: &str, what: &str| {
        Refusal::new("the request cannot be used").why(format!("`{key}` is empty: it names {what}"))
    };
    if request.artifacts.as_os_str().is_empty() {
        return Err(missing("artifactsPath", "the folder of the overlay's artifacts"));
    }
    let options = &request.options;
    let artifacts = Artifacts::open(&request.artifacts)?;
    let tree = artifacts.device_tree(&board, options.dtb.as_deref(), options.mac)?;
    let loader = match options.bootloader {
        Bootloader::UBoot if request.install_disk.as_os_str().is_empty() => {
            return Err(missing("installDisk", "the disk that U-Boot goes onto"));
        }
        Bootloader::UBoot => Some(Loader::check(&board, &artifacts, &request.install_disk, places)?),
        Bootloader::None => None,
    };
    let is_image_file = request.install_disk.is_file();
    let relative = format!("dtb/{}", board.dtb);
    let roots = esp::roots(&request.mount_prefix, is_image_file, places, note);
    let placements: Vec<Placement> =
        roots.iter().map(|root| Placement::check(root, &relative, &tree)).collect::<Result<_, _>>()?;
    // Everything was judged. The device tree first: a U-Boot without it still finds the kernel.
    for placement in &placements {
        let what = if placement.put()? { "wrote" } else { "is there already:" };
        note(&format!("device tree {what} `{}`", placement.path().display()));
    }
    match loader {
        Some(loader) => loader.put(&request.install_disk, note),
        None => {
            note("U-Boot is not written, as `bootloader: none` says");
            Ok(())
        }
    }
}

/// U-Boot and the disk it goes onto, both judged.
struct Loader {
    disk: Disk,
    start: Lba,
    bytes: Vec<u8>,
}

impl Loader {
    fn check(
        board: &Board,
        artifacts: &Artifacts<'_>,
        disk: &Path,
        places: &Places,
    ) -> Result<Loader, Refusal> {
        let region = board.loader()?;
        let bytes = artifacts.loader(board)?;
        let mut disk = Disk::open(disk, places)?;
        let start = Lba(region.start_lba);
        let end = start.plus(sectors_for(bytes.len() as u64));
        disk.check_free(start, end, Lba(region.limit_lba))?;
        Ok(Loader { disk, start, bytes })
    }

    fn put(mut self, path: &Path, note: &mut dyn FnMut(&str)) -> Result<(), Refusal> {
        let what = if self.disk.put(self.start, &self.bytes)? { "wrote" } else { "is there already:" };
        note(&format!(
            "U-Boot {what} {} bytes at byte {} of `{}`",
            self.bytes.len(),
            self.start.bytes(),
            path.display()
        ));
        Ok(())
    }
}
