// SPDX-License-Identifier: Apache-2.0 OR MIT
//! systemd-stub and systemd-boot: given files, or those of the pinned Debian package.

use std::path::Path;

use fs_err as fs;
use fw_build::status::Phase;
use fw_build::unpack::unpack;
use fw_build::{Context as _, Failure, Result};
use fw_image::uki::Stub;

use crate::context::Context;
use crate::screen::Screen;

/// Where they lie in the package.
const STUB: &str = "usr/lib/systemd/boot/efi/linuxaa64.efi.stub";
const BOOT: &str = "usr/lib/systemd/boot/efi/systemd-bootaa64.efi";

/// Both files.
pub struct Boot {
    /// The stub, read.
    pub stub: Stub,
    /// systemd-boot.
    pub systemd_boot: Vec<u8>,
}

/// Loads both.
///
/// # Errors
/// The package cannot be had, or a file is not what it should be.
pub fn load(cx: &Context, stub: Option<&Path>, boot: Option<&Path>, screen: &Screen) -> Result<Boot> {
    let package = match (stub, boot) {
        (Some(_), Some(_)) => None,
        _ => Some(unpacked(cx, screen)?),
    };
    let read = |given: Option<&Path>, name: &str| -> Result<Vec<u8>> {
        match (given, &package) {
            (Some(path), _) => Ok(fs::read(path)?),
            (None, Some(package)) => Ok(fs::read(package.path().join(name))?),
            (None, None) => Err(Failure::new(format!("no `{name}`"))),
        }
    };
    let wrong = |what: &str, e: &dyn std::fmt::Display| Failure::new(format!("{what} cannot be used")).why(e);
    let bytes = read(stub, STUB)?;
    let stub = Stub::parse(&bytes).map_err(|e| wrong("systemd-stub", &e))?;
    let systemd_boot = read(boot, BOOT)?;
    // The same kind of file; a stub, a kernel or a program of another processor is none.
    Stub::parse(&systemd_boot).map_err(|e| wrong("systemd-boot", &e))?;
    Ok(Boot { stub, systemd_boot })
}

fn unpacked(cx: &Context, screen: &Screen) -> Result<tempfile::TempDir> {
    let pin = cx.manifests.pin("systemd-boot", None)?;
    let status = screen.step("systemd-boot");
    let fetched = cx.fetcher()?.fetch(pin, &status)?;
    let dir = tempfile::tempdir()?;
    let wanted = |path: &Path| path.ends_with(STUB) || path.ends_with(BOOT);
    unpack(&fetched.path, fetched.format, dir.path(), 0, Some(&wanted))
        .context("systemd-stub and systemd-boot cannot be unpacked")?;
    status.phase(Phase::Cached, None);
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fw_image::uki::{Parts, Uki, assemble, os_release};

    use super::*;

    /// Debian's own stub: what is appended reads back, and another reader of PE files sees the same sections.
    #[test]
    fn the_real_stub() {
        let cx = Context::load().expect("the workspace");
        let screen = Screen::start().expect("a screen");
        let boot = load(&cx, None, None, &screen)
            .expect("Debian's package `systemd-boot-efi` (network, or `FW_MIRROR`)");
        let parts = Parts {
            os_release: os_release("v1.10.9"),
            cmdline: "console=tty0".to_owned(),
            kernel_release: None,
            linux: vec![1; 100_000],
            initrd: vec![2; 50_000],
        };
        let made = assemble(&boot.stub, parts.sections(), 1).expect("a UKI");
        let uki = Uki::parse(&made).expect("a UKI");
        assert_eq!(uki.section(".linux").expect("kernel"), vec![1; 100_000]);
        assert!(uki.names().starts_with(&[".text"]) && uki.names().contains(&".sbat"), "{:?}", uki.names());
        let again = assemble(&Stub::parse(&made).expect("its stub"), Vec::new(), 1).expect("a stub");
        assert!(again == assemble(&boot.stub, Vec::new(), 1).expect("a stub"), "the stub comes out again");
        // binutils knows the format, too.
        let dir = tempfile::tempdir().expect("folder");
        let file = dir.path().join("uki.efi");
        fs::write(&file, &made).expect("file");
        let out = fw_build::run::Cmd::new("aarch64-linux-gnu-objdump").arg("-h").arg(&file).output();
        let out = out.expect("`aarch64-linux-gnu-objdump` (package binutils-aarch64-linux-gnu)");
        let text = String::from_utf8_lossy(&out).into_owned();
        let sizes: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|l| {
                let mut words = l.split_whitespace();
                Some((words.nth(1).filter(|w| w.starts_with('.'))?, words.next()?))
            })
            .collect();
        assert_eq!(sizes.get(".linux").map(|s| u64::from_str_radix(s, 16)), Some(Ok(100_000)), "{text}");
    }
}
