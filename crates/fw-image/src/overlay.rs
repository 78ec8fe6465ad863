// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A Talos overlay as an image: what the imager needs of it, checked before anybody is handed one.
//!
//! Facts: `talos/pkg/imager/imager.go`, `profile/input.go`, `archiver/untar.go` and the overlay documentation
//! of v1.10 to v1.14. Knows the form of an overlay, not what its installer does.

use crate::oci::{self, Entry, EntryKind, Platform, ReadImage};
use crate::profile::Profile;

/// The processors that an overlay needs a program for: the imager's and the board's.
pub const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Why an overlay is refused.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// Not a sound image.
    #[error(transparent)]
    Image(#[from] oci::Error),
    /// The image of a platform is not what Talos takes.
    #[error("overlay for {platform}: {why}")]
    Platform {
        /// Which image.
        platform: Platform,
        /// What is wrong.
        why: String,
    },
    /// A tree without what an overlay has.
    #[error("{0}")]
    Tree(String),
}

/// Checks an overlay of the name with one image for each of [`ARCHITECTURES`], and returns their entries.
///
/// # Errors
/// See [`OverlayError`].
pub fn check_images(images: &[ReadImage], name: &str) -> Result<Vec<Vec<Entry>>, OverlayError> {
    let mut all = Vec::new();
    for architecture in ARCHITECTURES {
        let platform = Platform::linux(architecture);
        let image = ReadImage::for_platform(images, &platform)?;
        let refused = |why: String| OverlayError::Platform { platform: platform.clone(), why };
        if !image.at_top_level {
            return Err(refused(
                "it is not in the top-level index; the imager follows no nested one".to_owned(),
            ));
        }
        let [layer] = image.layers.as_slice() else {
            return Err(refused(format!("it has {} layers, not one", image.layers.len())));
        };
        let entries = oci::rootfs(&layer.tar()?)?;
        check_tree(&entries, name, architecture).map_err(|e| refused(e.to_string()))?;
        all.push(entries);
    }
    Ok(all)
}

/// Checks the tree of one platform: installer, artifacts, profiles.
///
/// # Errors
/// See [`OverlayError`].
pub fn check_tree(entries: &[Entry], name: &str, architecture: &str) -> Result<(), OverlayError> {
    let wrong = |why: String| Err(OverlayError::Tree(why));
    let find = |path: &str| entries.iter().find(|entry| entry.path == path);
    let path = format!("installers/{name}");
    let Some(installer) = find(&path).filter(|entry| entry.kind == EntryKind::File) else {
        return wrong(format!("there is no installer `{path}`"));
    };
    if installer.mode & 0o111 != 0o111 {
        return wrong(format!("`{path}` is not executable (mode {:o})", installer.mode));
    }
    if let Err(why) = check_program(&installer.content, architecture) {
        return wrong(format!("`{path}` {why}"));
    }
    // The imager walks over it when it makes an installer image, and fails without it.
    if find("artifacts").is_none_or(|entry| entry.kind != EntryKind::Folder) {
        return wrong("there is no folder `artifacts`".to_owned());
    }
    // The imager decodes all of them: one bad profile fails every build with this overlay.
    let profiles = entries.iter().filter(|e| e.path.starts_with("profiles/") && e.path.ends_with(".yaml"));
    for profile in profiles.filter(|e| e.path.matches('/').count() == 1) {
        let text = std::str::from_utf8(&profile.content).map_err(|e| OverlayError::Tree(e.to_string()))?;
        if let Err(why) = Profile::read(text) {
            return wrong(format!("`{}`: {why}", profile.path));
        }
    }
    match find(&format!("profiles/{name}.yaml")) {
        Some(_) => Ok(()),
        None => wrong(format!("there is no `profiles/{name}.yaml`, the only place for `bootloader: grub`")),
    }
}

/// A static program for the processor: the containers it runs in have no loader for it.
fn check_program(bytes: &[u8], architecture: &str) -> Result<(), String> {
    use object::elf::{EM_AARCH64, EM_X86_64, PT_INTERP};
    use object::read::elf::{FileHeader, ProgramHeader};
    let not_elf = |e: object::read::Error| format!("is not an ELF program: {e}");
    let header = object::elf::FileHeader64::<object::Endianness>::parse(bytes).map_err(not_elf)?;
    let endian = header.endian().map_err(not_elf)?;
    let wanted = if architecture == "amd64" { EM_X86_64 } else { EM_AARCH64 };
    let machine = header.e_machine(endian);
    if machine != wanted {
        return Err(format!("is for ELF machine {machine}, not for {architecture} ({wanted})"));
    }
    let segments = header.program_headers(endian, bytes).map_err(not_elf)?;
    if segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP) {
        return Err("is not static: it asks for a loader".to_owned());
    }
    Ok(())
}
