// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Gets a wheel with `pip`, the Python package index's own client.
//!
//! Which index that is, and through which proxy, is the host's configuration (`pip.conf`, `PIP_*`): none is named
//! here. Only wheels without compiled code are asked for, so that nothing of a package runs while it is fetched,
//! and `pip` itself refuses any file with another digest.

use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Result};
use crate::python;
use crate::run::Cmd;

/// Downloads the wheel `file` into `dir`.
///
/// # Errors
/// No Python with `pip`, or `pip` found no such wheel with this digest.
pub(super) fn download(file: &str, sha256: &str, dir: &Path) -> Result<PathBuf> {
    let mut parts = file.split('-');
    let (Some(name), Some(version)) = (parts.next(), parts.next()) else {
        return Err(Failure::new(format!("`{file}` is not the name of a wheel")));
    };
    let wanted = dir.join("wanted.txt");
    fs_err::write(&wanted, format!("{name}=={version} --hash=sha256:{sha256}\n"))?;
    // The caller's environment: the index, its certificate and the proxy may be named there.
    Cmd::with_callers_env(python::find_python(python::SCHEMA_MODULES)?)
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir"])
        // The one file, whatever it says it depends on.
        .args(["--no-deps", "--require-hashes", "--only-binary=:all:"])
        // The wheel for any machine, also where one with compiled code exists for this machine.
        .args(["--platform=any", "--implementation=py", "--abi=none", "--python-version=3.11"])
        .arg("--dest")
        .arg(dir)
        .arg("--requirement")
        .arg(&wanted)
        .output()
        .context(format!("`pip` cannot get `{file}`"))?;
    let wheel = dir.join(file);
    if wheel.is_file() {
        return Ok(wheel);
    }
    Err(Failure::new(format!("`pip` brought another file than `{file}`")))
}
