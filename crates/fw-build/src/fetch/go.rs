// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Gets modules with `go`, Go's own client.
//!
//! Which module proxy and checksum database that is, and through which proxy, is the host's configuration (`go env`,
//! `GOPROXY`, `GOSUMDB`): none is named here. `go` checks a pinned module against the hashes of the pin, written down
//! as a `go.sum`, and whatever a module depends on against that module's own.

use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Result};
use crate::golang::{Go, Programs, toolchain_module};
use crate::manifest::GoModule;
use crate::run::Cmd;

/// Downloads the zip file of `module` below `dir`. `store` is the store's root, where a Go may be.
///
/// # Errors
/// No Go, or `go` found no such module with these hashes.
pub(super) fn download(module: &GoModule, store: &Path, dir: &Path) -> Result<PathBuf> {
    let GoModule { path, version, h1, mod_h1, .. } = module;
    fs_err::write(
        dir.join("go.mod"),
        format!("module pinned\n\ngo {}\n\nrequire {path} {version}\n", Go::OLDEST),
    )?;
    fs_err::write(dir.join("go.sum"), format!("{path} {version} {h1}\n{path} {version}/go.mod {mod_h1}\n"))?;
    let out = Cmd::with_callers_env(Go::find(store)?.program())
        .args(["mod", "download", "-json", &module.at_version()])
        // Of its own: what it downloads here is needed once, and the store keeps it.
        .env("GOMODCACHE", dir.join("mod"))
        .env("GOFLAGS", "-modcacherw")
        .env("GOWORK", "off")
        .env("GOTOOLCHAIN", "local")
        .cwd(dir)
        .output()
        .context(format!("`go` cannot get {}", module.at_version()))?;
    zip_of(&out)
        .ok_or_else(|| Failure::new(format!("`go` does not say where it put {}", module.at_version())))
}

/// The field `Zip` of what `go mod download -json` prints.
fn zip_of(json: &[u8]) -> Option<PathBuf> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    Some(PathBuf::from(value.get("Zip")?.as_str()?))
}

/// Has the `go` of `PATH`, which may be too old for anything else, get a toolchain into the module cache below `store`.
///
/// # Errors
/// There is no `go` at all, or it cannot get the module.
pub(super) fn toolchain(store: &Path, version: &str, offline: bool) -> Result<PathBuf> {
    let old = which::which("go").map_err(|_| Failure::new("there is no `go` on `PATH`"))?;
    let module = toolchain_module(version);
    let cache = store.join("go/mod");
    let mut cmd = Cmd::with_callers_env(old)
        .args(["mod", "download", &module])
        .env("GOMODCACHE", &cache)
        .env("GOFLAGS", "-modcacherw");
    if offline {
        cmd = cmd.env("GOPROXY", "off");
    }
    cmd.output().context(format!("`go` cannot get {module}"))?;
    let root = cache.join(module);
    // A module's files have no mode; Go itself does the same when it switches (cmd/go/internal/toolchain).
    for folder in ["bin", "pkg/tool"] {
        executable(&root.join(folder))?;
    }
    Ok(root.join("bin/go"))
}

/// Makes all files below a folder executable.
fn executable(dir: &Path) -> Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            executable(&entry.path())?;
        } else {
            fs_err::set_permissions(entry.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// Fills the module cache of `go` with what `programs` need.
///
/// # Errors
/// `go` failed; with `offline`, something is not there yet.
pub(super) fn dependencies(go: &Go, programs: &Programs<'_>, offline: bool) -> Result<()> {
    let mut cmd = programs.target(go.cmd(Cmd::with_callers_env(go.program())));
    if offline {
        cmd = cmd.env("GOPROXY", "off");
    }
    // Listing is what makes `go` fetch exactly the modules that these packages import, and no others.
    cmd.args(["list", "-mod=readonly", "-deps", "-f", "{{.ImportPath}}", "-tags", programs.tags])
        .args(programs.packages)
        .output()
        .context("`go` cannot get what the module needs")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zip_is_where_go_says() {
        let json = br#"{"Path": "x.example/m", "Zip": "/c/v1.zip", "Sum": "h1:"}"#;
        assert_eq!(zip_of(json), Some(PathBuf::from("/c/v1.zip")));
        assert_eq!(zip_of(b"{}"), None);
        assert_eq!(zip_of(b"go: no such module"), None);
    }
}
