// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Release assets whose digests are learnt at the first fetch and pinned from then on.
//!
//! It knows addresses and recorded digests; deciding whether to trust a digest is the caller's.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::validate::{check_hex, check_word};
use crate::failure::{Context, Failure, Result};

/// The release assets of one upstream.
#[derive(Debug, Clone)]
pub struct Releases {
    path: PathBuf,
    licence: String,
    default: String,
    asset_url: String,
    recorded: BTreeMap<String, BTreeMap<String, String>>,
}

impl Releases {
    pub(super) fn new(
        path: &Path,
        licence: String,
        default: String,
        asset_url: String,
        recorded: BTreeMap<String, BTreeMap<String, String>>,
    ) -> Result<Self, String> {
        for part in ["{version}", "{asset}"] {
            if asset_url.matches(part).count() != 1 {
                return Err(format!("`asset-url` must have `{part}` in it once"));
            }
        }
        check_word("default", &default)?;
        Ok(Releases { path: path.to_owned(), licence, default, asset_url, recorded })
    }

    /// SPDX licence expression.
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// The version used when none is asked for.
    pub fn default_version(&self) -> &str {
        &self.default
    }

    /// Address of an asset.
    ///
    /// # Errors
    /// `version` or `asset` is not a plain word (letters, digits, `._+~-`).
    pub fn url(&self, version: &str, asset: &str) -> Result<String> {
        checked(version, asset)?;
        Ok(self.asset_url.replace("{version}", version).replace("{asset}", asset))
    }

    /// The SHA-256 recorded for an asset, if it was fetched before.
    pub fn recorded(&self, version: &str, asset: &str) -> Option<&str> {
        self.recorded.get(version)?.get(asset).map(String::as_str)
    }

    /// Records the digest of an asset in the manifest file, by temporary file and rename. Comments and order
    /// of the file stay. The file is read again first: another process may have recorded something meanwhile.
    ///
    /// # Errors
    /// Another digest is recorded already (it is never replaced), the digest is not 64 lower-case hex
    /// digits, or the file cannot be written.
    pub fn record(&mut self, version: &str, asset: &str, sha256: &str) -> Result<()> {
        checked(version, asset)?;
        check_hex("sha256", sha256, 64).map_err(Failure::new)?;
        let text = fs::read_to_string(&self.path)?;
        let raw: super::raw::RawManifest = toml::from_str(&text).map_err(|e| super::bad(&self.path, e))?;
        match raw.releases.get(version).and_then(|assets| assets.get(asset)) {
            Some(known) if known == sha256 => {}
            Some(known) => {
                return Err(Failure::new(format!("`{asset}` of {version} has another digest than recorded"))
                    .why(format!("recorded {known}"))
                    .why(format!("now      {sha256}"))
                    .why(format!("recorded in `{}`", self.path.display()))
                    .hint("a published release does not change: find out why before removing the line"));
            }
            None => self.write(&with_line(&text, version, asset, sha256))?,
        }
        self.recorded = raw.releases;
        self.recorded.entry(version.to_owned()).or_default().insert(asset.to_owned(), sha256.to_owned());
        Ok(())
    }

    fn write(&self, text: &str) -> Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let what = || format!("cannot record a digest in `{}`", self.path.display());
        let mut temp = tempfile::NamedTempFile::new_in(dir).context(what())?;
        temp.write_all(text.as_bytes()).context(what())?;
        // A temporary file is private; the manifest keeps the mode it had.
        temp.as_file().set_permissions(fs::metadata(&self.path)?.permissions()).context(what())?;
        temp.as_file().sync_all().context(what())?;
        temp.persist(&self.path).map_err(|e| Failure::from(e.error)).context(what())?;
        Ok(())
    }
}

fn checked(version: &str, asset: &str) -> Result<()> {
    check_word("version", version).and_then(|()| check_word("asset", asset)).map_err(Failure::new)
}

/// `text` with the digest under the version's table, which is added at the end if it is not there.
fn with_line(text: &str, version: &str, asset: &str, sha256: &str) -> String {
    let table = format!("[releases.\"{version}\"]");
    let line = format!("\"{asset}\" = \"{sha256}\"");
    let mut lines: Vec<&str> = text.lines().collect();
    match lines.iter().position(|l| l.trim() == table) {
        Some(at) => lines.insert(at + 1, &line),
        None => lines.extend(["", &table, &line]),
    }
    lines.join("\n") + "\n"
}
