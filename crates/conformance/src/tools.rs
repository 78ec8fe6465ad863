// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Talos's imager calls and this machine has in another version: scripts of the same names that translate.
//!
//! The imager runs in a container with tools of its own time. Its code is not touched; these stand where the
//! container's programs would be found.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::{Failure, Result};

/// A folder that is put in front of `PATH`.
#[derive(Debug)]
pub struct Tools {
    dir: PathBuf,
}

impl Tools {
    /// Writes the scripts into `dir`. `grub_modules` is the folder with GRUB's modules for arm64.
    ///
    /// # Errors
    /// `mkfs.xfs` or `grub-mkimage` is missing, or a path holds a quote.
    pub fn write(dir: &Path, grub_modules: &Path) -> Result<Tools> {
        fs::create_dir_all(dir)?;
        let mkfs = program("mkfs.xfs", "xfsprogs")?;
        let grub = program("grub-mkimage", "grub-common")?;
        script(
            dir,
            "mkfs.xfs",
            // `-p file=NAME` is `-p NAME` before xfsprogs 6.17, and its files of options for kernels are older: the
            // features of the host's own defaults are taken then, which the comparison of BOOT names.
            &format!(
                "for word do\n  shift\n  case $word in\n    file=*) word=${{word#file=}} ;;\n    \
                 options=*) [ -e \"${{word#options=}}\" ] || word=options=/dev/null ;;\n  esac\n  \
                 set -- \"$@\" \"$word\"\ndone\nexec {} \"$@\"\n",
                quoted(&mkfs)?
            ),
        )?;
        // The modules are the pinned ones, not the host's.
        script(dir, "grub-mkimage", &format!("exec {} -d {} \"$@\"\n", quoted(&grub)?, quoted(grub_modules)?))?;
        Ok(Tools { dir: dir.to_owned() })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn program(name: &str, package: &str) -> Result<PathBuf> {
    let sbin = ["/usr/sbin", "/sbin"].map(|dir| Path::new(dir).join(name));
    which::which(name).ok().or_else(|| sbin.into_iter().find(|path| path.is_file())).ok_or_else(|| {
        Failure::new(format!("there is no `{name}`")).hint(format!("it is in the package `{package}`"))
    })
}

fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| !text.contains('\''));
    text.map(|text| format!("'{text}'"))
        .ok_or_else(|| Failure::new(format!("`{}` cannot be used in a script", path.display())))
}

fn script(dir: &Path, name: &str, body: &str) -> Result<()> {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}"))?;
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}
