// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The installer image as a node gets it at an upgrade: composed like that of `cargo xtask installer`, over a base that is
//! made up, read again, and the layers that it adds unpacked.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::run::{Cmd, SOURCE_DATE_EPOCH};
use fw_build::{Failure, Result};
use fw_image::installer::{self, Parts};
use fw_image::oci::{self, Compression, Config, EntryKind, Image, Layer, Layout, Platform, Tree};
use fw_image::uki;

use crate::inputs::{Overlay, Subject};

/// Time of the made-up base; nothing depends on it.
const CREATED: &str = "2025-01-01T00:00:00Z";

/// Where the UKI lies below what [`unpacked`] returns.
pub const UKI: &str = "usr/install/arm64/vmlinuz.efi";

/// The files that an installer image of this kernel, initramfs and overlay adds to its base, in a new folder below `dir`;
/// an empty path where there is no overlay, or no systemd.
///
/// # Errors
/// A part cannot be read, or does not fit into the formats.
pub fn unpacked(
    subject: &Subject<'_>,
    cmdline: &str,
    kernel: &Path,
    initramfs: &Path,
    dir: &Path,
) -> Result<PathBuf> {
    let (Some(overlay), Some((stub, manager))) = (subject.overlay, subject.systemd) else {
        return Ok(PathBuf::new());
    };
    let version = &subject.map.talos_version;
    let wrong = |e: uki::Error| Failure::new("cannot assemble a UKI").why(e);
    let stub = uki::Stub::parse(&fs::read(stub)?).map_err(wrong)?;
    let parts = uki::Parts {
        os_release: uki::os_release(version),
        cmdline: cmdline.to_owned(),
        kernel_release: Some(subject.map.kernel_release.clone()),
        linux: fs::read(kernel)?,
        initrd: fs::read(initramfs)?,
    };
    let uki = uki::assemble(&stub, parts.sections(), SOURCE_DATE_EPOCH as u32).map_err(wrong)?;
    let layout = image(overlay, version, uki, fs::read(manager)?)?;
    let node = dir.join("node");
    let wrong = |e: oci::Error| Failure::new("the installer image cannot be read").why(e);
    for image in oci::open(&layout).map_err(wrong)? {
        // The first layer is the base.
        for layer in image.layers.iter().skip(1) {
            let entries = oci::rootfs(&layer.tar().map_err(wrong)?).map_err(wrong)?;
            for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
                let path = node.join(&entry.path);
                fs::create_dir_all(path.parent().unwrap_or(&node))?;
                fs::write(&path, &entry.content)?;
                fs::set_permissions(&path, std::fs::Permissions::from_mode(entry.mode))?;
            }
        }
    }
    Ok(node)
}

fn image(overlay: &Overlay, version: &str, uki: Vec<u8>, systemd_boot: Vec<u8>) -> Result<Layout> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new("the installer image cannot be made").why(e);
    let mut tree = Tree::new();
    tree.file("bin/installer", 0o755, b"made up".to_vec()).map_err(|e| wrong(&e))?;
    let layer = Layer::new(tree.tar(SOURCE_DATE_EPOCH).map_err(|e| wrong(&e))?, Compression::None);
    let run = serde_json::json!({"Entrypoint": ["/bin/installer"], "Env": [format!("VERSION={version}")]});
    let config = Config { run, created: CREATED.to_owned() };
    let platform = Platform::linux("arm64");
    let none = Default::default();
    let base = Image::new(platform, &config, vec![layer], &none).map_err(|e| wrong(&e))?;
    let base = oci::open(&Layout::new(&[base], &none).map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
    let parts = Parts {
        version,
        overlay_name: &overlay.name,
        uki,
        systemd_boot,
        overlay: &oci::rootfs(&fs::read(&overlay.tar)?).map_err(|e| wrong(&e))?,
        extra_options: "{}\n",
    };
    let made = installer::compose(&base[0], parts, CREATED, SOURCE_DATE_EPOCH).map_err(|e| wrong(&e))?;
    Layout::new(&[made], &none).map_err(|e| wrong(&e))
}

/// The command that, put in front of `chroot`, makes it work for this user; empty where there is none.
pub fn root_command() -> String {
    if rustix::process::geteuid().is_root() {
        return "env".to_owned();
    }
    let probe = Cmd::new("unshare").args(["--map-root-user", "chroot", "/", "true"]);
    if probe.output().is_ok() { "unshare --map-root-user".to_owned() } else { String::new() }
}
