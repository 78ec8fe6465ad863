// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Talos's imager calls and this machine has in another version: scripts of the same names that translate.
//!
//! The imager runs in a container with tools of its own time. Its code is not touched; these stand where the
//! container's programs would be found.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::{Failure, Result};

/// Features of BOOT. Talos names a file of a later xfsprogs; these are ours, which GRUB 2.12 can read, so that the
/// features of the two images say nothing about each other.
const FEATURES: &str = "[metadata]
bigtime=1
crc=1
finobt=1
inobtcount=1
reflink=1
rmapbt=0
[inode]
nrext64=0
sparse=1
";

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
        let features = dir.join("features.conf");
        fs::write(&features, FEATURES)?;
        script(
            dir,
            "mkfs.xfs",
            // `-p file=NAME` is `-p NAME` before xfsprogs 6.17.
            &format!(
                "for word do\n  shift\n  case $word in\n    file=*) word=${{word#file=}} ;;\n    \
                 options=*) word=options={} ;;\n  esac\n  set -- \"$@\" \"$word\"\ndone\nexec {} \"$@\"\n",
                quoted(&features)?,
                quoted(&mkfs)?
            ),
        )?;
        // The modules are the pinned ones, not the host's.
        script(
            dir,
            "grub-mkimage",
            &format!("exec {} -d {} \"$@\"\n", quoted(&grub)?, quoted(grub_modules)?),
        )?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use fw_build::run::Cmd;

    #[test]
    fn the_script_translates_what_is_new() {
        let dir = tempfile::tempdir().expect("folder");
        let tools = Tools::write(dir.path(), Path::new("/modules")).expect("tools");
        let path = tools.dir().join("mkfs.xfs");
        let text = fs::read_to_string(&path).expect("script");
        let echo = text.replace("exec ", "echo ");
        fs::write(&path, echo).expect("script");
        let words =
            ["-n", "ftype=1", "-c", "options=/usr/share/x y.conf", "-p", "file=/proc/self/fd/9", "a b"];
        let out = Cmd::new(&path).args(words).output().expect("runs");
        let out = String::from_utf8_lossy(&out).into_owned();
        let wanted =
            format!("-n ftype=1 -c options={}/features.conf -p /proc/self/fd/9 a b", dir.path().display());
        assert!(out.trim().ends_with(&wanted), "{out}");
    }
}
