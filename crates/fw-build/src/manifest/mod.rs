// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Manifests: what is fetched, from where, and which digest it must have (`vendor-manifests/*.toml`).
//!
//! One file per upstream, named after it. Every file has `name`, `licence` (SPDX expression) and
//! `description`, and is one of three kinds:
//!
//! | Kind | Keys |
//! | --- | --- |
//! | pins | `default` (label of the pin used when none is asked for), `[pins."LABEL"]` with `version`, `limits` (what its user should know) and `[[pins."LABEL".origins]]`; `[upstream]` where `cargo xtask bump` can look for other versions |
//! | Debian's snapshot archive | `snapshot-url` with `{sha1}` in it; used by every origin of kind `debian` |
//! | release assets | `default` (version), `asset-url` with `{version}` and `{asset}`, `[releases."VERSION"]`: asset name = SHA-256, written at the first fetch |
//!
//! An origin has `kind`, `format` (`raw`, `tar-gz`, `tar-xz`, `tar-bz2`, `deb`, `zip`), `sha256`, `size-bytes` and
//!
//! - `kind = "https"`: `url`. Plain `http` only on a loopback address. `size-bytes` may be left out where
//!   the publisher of the digest gives no size; the digest decides in any case.
//! - `kind = "debian"`: `pool` (path below a mirror's base address) and `snapshot-sha1` (address of the same
//!   file in Debian's snapshot archive; SHA-1 is only an address, SHA-256 decides).
//! - `kind = "pypi"`: `file`, the name of a wheel without compiled code (`…-none-any.whl`). Python's own client
//!   gets it from the index that the host is configured for, so no address is written.
//! - `kind = "go"`: `module`, `version`, and the two hashes of Go's `go.sum`: `h1` of the module's content, `mod-h1` of
//!   its `go.mod`. Go's own client gets it from the module proxy that the host is configured for and checks both;
//!   `sha256` is that of the module's zip file. `toolchain` (`goX.Y.Z`) is the one that programs of it are built with.
//!
//! Origins of one pin may carry different bytes, each with its own digest, as long as the part that is
//! built is the same. This module reads and checks files; it never fetches.

mod raw;
mod release;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;

use crate::failure::{Failure, Result};

pub use release::Releases;

/// Container of a fetched file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Used as it is.
    Raw,
    /// tar in gzip.
    TarGz,
    /// tar in xz.
    TarXz,
    /// tar in bzip2.
    TarBz2,
    /// Debian binary package: ar with a `data.tar.*` member.
    Deb,
    /// Zip, as Go modules are packed.
    Zip,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Format::Raw => "raw",
            Format::TarGz => "tar.gz",
            Format::TarXz => "tar.xz",
            Format::TarBz2 => "tar.bz2",
            Format::Deb => "deb",
            Format::Zip => "zip",
        })
    }
}

/// Where an origin's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A full address.
    Https {
        /// The address; `https`, or `http` on a loopback address.
        url: String,
    },
    /// A file of Debian's archive.
    Debian {
        /// Path below a mirror's base address, starting with `pool/`.
        pool: String,
        /// Full address of the same file in the snapshot archive.
        snapshot_url: String,
    },
    /// A wheel of the Python package index, which `pip` gets.
    Pypi {
        /// Name of the wheel.
        file: String,
    },
    /// A Go module, which `go` gets.
    Go(GoModule),
}

/// A published Go module at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoModule {
    /// Module path, such as `github.com/owner/name/v2`.
    pub path: String,
    /// Version, `vX.Y.Z` with what Go allows after it.
    pub version: String,
    /// Hash of the module's content as in `go.sum`, with its leading `h1:`.
    pub h1: String,
    /// Hash of the module's `go.mod` as in `go.sum`, with its leading `h1:`.
    pub mod_h1: String,
    /// The Go toolchain that programs of it are built with, `goX.Y.Z`; none where none is.
    pub toolchain: Option<String>,
    /// Name of its zip file in the store and in `FW_MIRROR` directories: path and version, slashes as dashes.
    pub file: String,
}

impl GoModule {
    /// `PATH@VERSION`, as `go` takes it.
    pub fn at_version(&self) -> String {
        format!("{}@{}", self.path, self.version)
    }

    /// How many parts of every name in the zip file lead to the module: all of them begin with `PATH@VERSION/`.
    pub fn strip_components(&self) -> usize {
        self.path.split('/').count()
    }
}

/// One place that has a pinned file, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Where it is.
    pub location: Location,
    /// SHA-256 of the file, 64 lower-case hex digits.
    pub sha256: String,
    /// Size in bytes, where it is publicly known.
    pub size_bytes: Option<u64>,
    /// Container.
    pub format: Format,
}

impl Origin {
    /// Last part of the address: the file's name in the store and in `FW_MIRROR` directories.
    pub fn file_name(&self) -> &str {
        let address = match &self.location {
            Location::Https { url } => url,
            Location::Debian { pool, .. } => pool,
            Location::Pypi { file } => file,
            Location::Go(module) => &module.file,
        };
        address.rsplit('/').next().unwrap_or(address)
    }

    /// Name of the origin that is the same on every machine: `debian:POOL-PATH`, `pypi:FILE`, `go:PATH@VERSION` or
    /// the address.
    pub fn label(&self) -> String {
        match &self.location {
            Location::Https { url } => url.clone(),
            Location::Debian { pool, .. } => format!("debian:{pool}"),
            Location::Pypi { file } => format!("pypi:{file}"),
            Location::Go(module) => format!("go:{}", module.at_version()),
        }
    }
}

/// One version of one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Name of the manifest.
    pub manifest: String,
    /// Label within the manifest.
    pub label: String,
    /// Upstream's version.
    pub version: String,
    /// What a user of this pin should know, in whole sentences. Not part of any key.
    pub limits: Vec<String>,
    /// SPDX licence expression.
    pub licence: String,
    /// At least one place that has it, in the order in which they are tried.
    pub origins: Vec<Origin>,
}

impl Pin {
    /// `MANIFEST/LABEL`, for messages and records.
    pub fn id(&self) -> String {
        format!("{}/{}", self.manifest, self.label)
    }

    /// The Go module that it is.
    ///
    /// # Errors
    /// No origin is of kind `go`.
    pub fn go_module(&self) -> Result<&GoModule> {
        let module = self.origins.iter().find_map(|origin| match &origin.location {
            Location::Go(module) => Some(module),
            _ => None,
        });
        module.ok_or_else(|| Failure::new(format!("`{}` is not a Go module", self.id())))
    }

    /// All digests, sorted and joined by `,`: what enters a cache key. It does not depend on the origin
    /// that answered, nor on the order or the addresses of the origins.
    pub fn identity(&self) -> String {
        let digests: BTreeSet<&str> = self.origins.iter().map(|o| o.sha256.as_str()).collect();
        digests.into_iter().collect::<Vec<_>>().join(",")
    }
}

/// Where the publisher has versions that no pin names yet (`[upstream]`). In both addresses `{version}` stands for the
/// version and `{major}` for its first number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersions {
    source_url: String,
    digests_url: String,
    /// Container of the sources.
    pub format: Format,
}

impl NewVersions {
    /// Address of a version's sources.
    pub fn source(&self, version: &str) -> String {
        filled(&self.source_url, version)
    }

    /// Address of the list of SHA-256 digests that has them.
    pub fn digests(&self, version: &str) -> String {
        filled(&self.digests_url, version)
    }
}

fn filled(template: &str, version: &str) -> String {
    let major = version.split('.').next().unwrap_or(version);
    template.replace("{version}", version).replace("{major}", major)
}

#[derive(Debug)]
struct Upstream {
    default: String,
    pins: BTreeMap<String, Pin>,
    new_versions: Option<NewVersions>,
}

/// All manifests of a workspace.
#[derive(Debug)]
pub struct Manifests {
    dir: PathBuf,
    upstreams: BTreeMap<String, Upstream>,
    releases: BTreeMap<String, Releases>,
}

impl Manifests {
    /// Reads every `*.toml` of `dir`.
    ///
    /// # Errors
    /// A file cannot be read, is not of the form above, or has a value of the wrong shape. The failure
    /// names the file and the key.
    pub fn load(dir: &Path) -> Result<Manifests> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "toml") {
                files.push(path);
            }
        }
        files.sort();
        let mut raws = Vec::new();
        for path in files {
            let text = fs::read_to_string(&path)?;
            let raw: raw::RawManifest = toml::from_str(&text).map_err(|e| bad(&path, e))?;
            raws.push((path, raw));
        }
        validate::all(dir, raws)
    }

    /// The folder that was read.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The pin `label` of the manifest `name`, or its default pin.
    ///
    /// # Errors
    /// No such manifest or label; the failure lists the known ones.
    pub fn pin(&self, name: &str, label: Option<&str>) -> Result<&Pin> {
        let upstream = self.upstreams.get(name).ok_or_else(|| {
            Failure::new(format!("no manifest `{name}` with pins in `{}`", self.dir.display()))
                .why(format!("there are: {}", listed(self.upstreams.keys())))
        })?;
        let label = label.unwrap_or(&upstream.default);
        upstream.pins.get(label).ok_or_else(|| {
            Failure::new(format!("no pin `{label}` in manifest `{name}`")).why(format!(
                "there are: {} (default `{}`)",
                listed(upstream.pins.keys()),
                upstream.default
            ))
        })
    }

    /// Where the manifest `name` says that new versions are.
    ///
    /// # Errors
    /// No such manifest, or it does not say.
    pub fn new_versions(&self, name: &str) -> Result<&NewVersions> {
        self.pin(name, None)?;
        self.upstreams.get(name).and_then(|u| u.new_versions.as_ref()).ok_or_else(|| {
            Failure::new(format!("manifest `{name}` does not say where new versions are"))
                .hint("add `[upstream]` with `source-url`, `digests-url` and `format` to it")
        })
    }

    /// The pins of the manifest `name`, sorted by label.
    ///
    /// # Errors
    /// No such manifest.
    pub fn pins_of(&self, name: &str) -> Result<impl Iterator<Item = &Pin>> {
        self.pin(name, None)?;
        Ok(self.pins().filter(move |pin| pin.manifest == name))
    }

    /// Every pin, sorted by manifest and label.
    pub fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.upstreams.values().flat_map(|u| u.pins.values())
    }

    /// The default pin of every manifest whose default pin is a wheel of the Python index: what the device
    /// tree's checks run on.
    pub fn wheels(&self) -> impl Iterator<Item = &Pin> {
        let defaults = self.upstreams.values().filter_map(|u| u.pins.get(&u.default));
        defaults.filter(|pin| pin.origins.iter().any(|o| matches!(o.location, Location::Pypi { .. })))
    }

    /// The release assets of the manifest `name`.
    ///
    /// # Errors
    /// No such manifest of that kind.
    pub fn releases(&self, name: &str) -> Result<&Releases> {
        self.releases.get(name).ok_or_else(|| {
            Failure::new(format!("no manifest `{name}` with release assets in `{}`", self.dir.display()))
                .why(format!("there are: {}", listed(self.releases.keys())))
        })
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|n| format!("`{n}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn bad(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("manifest `{}` is not usable", path.display())).why(why)
}

#[cfg(test)]
mod tests;
