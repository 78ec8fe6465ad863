// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The manifest files exactly as they are written; unknown keys are errors.
//!
//! Nothing outside [`crate::manifest`] sees these types: validation turns them into the public ones.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Format;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawManifest {
    pub name: String,
    pub licence: String,
    pub description: String,
    pub default: Option<String>,
    #[serde(default)]
    pub pins: BTreeMap<String, RawPin>,
    pub snapshot_url: Option<String>,
    pub asset_url: Option<String>,
    #[serde(default)]
    pub releases: BTreeMap<String, BTreeMap<String, String>>,
    pub upstream: Option<RawUpstream>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawUpstream {
    pub source_url: String,
    pub digests_url: String,
    pub format: Format,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPin {
    pub version: String,
    #[serde(default)]
    pub limits: Vec<String>,
    pub origins: Vec<RawOrigin>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub(super) enum RawOrigin {
    Https {
        url: String,
        format: Format,
        sha256: String,
        size_bytes: Option<u64>,
    },
    Debian {
        pool: String,
        snapshot_sha1: String,
        format: Format,
        sha256: String,
        size_bytes: u64,
    },
    Pypi {
        file: String,
        sha256: String,
        size_bytes: u64,
    },
    Go {
        module: String,
        version: String,
        h1: String,
        mod_h1: String,
        toolchain: Option<String>,
        sha256: String,
        size_bytes: u64,
    },
}
