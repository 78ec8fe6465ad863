// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads `kernel-config/` for one kernel version: what stage and `cargo xtask kconfig` both start from.

use std::path::Path;

use fs_err as fs;

use super::explain::explain;
use super::kspp::Kspp;
use super::required::{Required, expect_required};
use super::tree::Tree;
use super::versions::Versions;
use super::{Btf, DotConfig, FRAGMENTS, Request, check_requested, expect_kept};
use crate::failure::Result;

/// The folder's files.
#[derive(Debug)]
pub struct Folder {
    texts: Vec<(String, String)>,
    required: Required,
    /// Options that not every kernel has.
    pub versions: Versions,
    /// Recommendations for hardening.
    pub kspp: Kspp,
}

impl Folder {
    /// Reads the fragments and tables.
    ///
    /// # Errors
    /// A file cannot be read or is not of its form.
    pub fn load(dir: &Path) -> Result<Folder> {
        let names = FRAGMENTS.into_iter().chain([Btf::On.fragment(), Btf::Off.fragment()]);
        let mut texts = Vec::new();
        for name in names {
            texts.push((name.to_owned(), fs::read_to_string(dir.join(name))?));
        }
        Ok(Folder {
            texts,
            required: Required::parse("required.toml", &fs::read_to_string(dir.join("required.toml"))?)?,
            versions: Versions::parse("versions.toml", &fs::read_to_string(dir.join("versions.toml"))?)?,
            kspp: Kspp::parse("kspp.toml", &fs::read_to_string(dir.join("kspp.toml"))?)?,
        })
    }

    /// What is asked for of a kernel version, after the check that each required option is among it.
    ///
    /// # Errors
    /// The fragments contradict each other or lack a required option.
    pub fn request(&self, btf: Btf, version: &str) -> Result<Request> {
        let other = if btf == Btf::On { Btf::Off } else { Btf::On };
        let used = self.texts.iter().filter(|(name, _)| name != other.fragment());
        let mut request = Request::merge(used.map(|(n, t)| (n.as_str(), t.as_str())))?;
        // Before options are left out for a version: the table of versions must not hide a lost one.
        expect_required(&self.required.check_fragments(&request, btf))?;
        request.retain(|option| self.versions.has(option, version));
        Ok(request)
    }

    /// What a kernel version must have.
    pub fn required(&self, version: &str) -> Required {
        let mut required = self.required.clone();
        required.retain(|option| self.versions.has(option, version));
        required
    }
}

/// Compares a finished `.config` with the request and explains each difference from the Kconfig files of `root`, a
/// kernel's source tree.
///
/// # Errors
/// A request was dropped or changed.
pub fn expect_requested(request: &Request, config: &DotConfig, root: &Path) -> Result<()> {
    let mismatches = check_requested(request, config);
    if mismatches.is_empty() {
        return Ok(());
    }
    let tree = Tree::load(root)?;
    expect_kept(&mismatches, &|m| explain(m, &tree, config))
}
