// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The root file system inside the initramfs, and its modules.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Stdio;

use fw_build::run::Cmd;
use fw_build::{Failure, Result};
use fw_image::cert::Certificate;
use fw_image::{initramfs, modsig};

use crate::artifacts::Artifacts;

/// Where modules live in a Talos root file system.
pub const TREE: &str = "usr/lib/modules/";

/// The initramfs, its members, and the files of the root file system by path.
pub struct Userland {
    /// Names of the archive's members in order.
    pub members: Vec<String>,
    /// `init`.
    pub init: Vec<u8>,
    /// Regular files of the root file system.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Opens the shipped initramfs.
///
/// # Errors
/// It is not in Talos's container, or `sqfs2tar` (package `squashfs-tools-ng`) is missing.
pub fn userland(artifacts: &Artifacts) -> Result<Userland> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new("`A/initramfs.xz`").why(e);
    let packed = artifacts.boot_file("A/initramfs.xz")?;
    let segments = initramfs::segments(&packed).map_err(|e| wrong(&e))?;
    // Layers and their list are in a second one.
    let expected = if artifacts.map.facts.contains_key("layers") { 2 } else { 1 };
    let Some(segment) = segments.first().filter(|_| segments.len() == expected) else {
        return Err(wrong(&format!("{} segments instead of {expected}", segments.len())));
    };
    let members = segment.members().map_err(|e| wrong(&e))?;
    let data = |name: &str| {
        let member = members.iter().find(|m| m.name == name).ok_or_else(|| wrong(&format!("no `{name}`")))?;
        Ok::<_, Failure>(member.data.to_vec())
    };
    let dir = tempfile::tempdir()?;
    let rootfs = dir.path().join("rootfs.sqsh");
    fs_err::write(&rootfs, data("rootfs.sqsh")?)?;
    let mut running =
        Cmd::new("sqfs2tar").arg(&rootfs).spawn(Stdio::null(), Stdio::piped(), Stdio::piped())?;
    let mut files = BTreeMap::new();
    if let Some(stdout) = running.child.stdout.take() {
        for entry in tar::Archive::new(stdout).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            if entry.header().entry_type().is_file() {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                files.insert(path, content);
            }
        }
    }
    running.finish()?;
    let names = members.iter().map(|m| m.name.to_owned()).collect();
    Ok(Userland { members: names, init: data("init")?, files })
}

/// The module passes only if one of the kernel's certificates signed it and it was built for this release.
///
/// # Errors
/// Why the kernel would refuse it.
pub fn check(module: &[u8], release: &str, certificates: &[Certificate]) -> Result<()> {
    modsig::verify(module, certificates).map_err(|e| Failure::new("signature").why(e))?;
    // The kernel compares `vermagic=<release> <flags>` with its own.
    let magic = format!("vermagic={release} ");
    if memchr::memmem::find(module, magic.as_bytes()).is_some() {
        return Ok(());
    }
    Err(Failure::new(format!("not built for {release}")))
}
