// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Gets the initramfs of a Talos release, trusted on first use.
//!
//! The first fetch takes the digest from the release's own `sha256sum.txt` and records it in the manifest; from
//! then on only a file with that digest is used. Nothing here opens a socket itself.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::fetch::{Fetcher, Progress};
use fw_build::manifest::Releases;
use fw_build::{Failure, Result};

/// The asset (talos-contracts 8.1). It is zstd; the name is older than that.
pub const ASSET: &str = "initramfs-arm64.xz";
/// The release's list of digests.
pub const SUMS: &str = "sha256sum.txt";

/// A release's initramfs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256, as recorded in the manifest.
    pub sha256: String,
}

/// Puts the initramfs of release `version` (`vX.Y.Z`) into `<assets_dir>/<version>/` and returns it.
///
/// # Errors
/// Not a version, no place has the file, its digest is not the recorded one or not the release's own, or the
/// digest cannot be recorded.
pub fn fetch(
    fetcher: &Fetcher,
    releases: &mut Releases,
    version: &str,
    assets_dir: &Path,
    progress: &dyn Progress,
) -> Result<Asset> {
    fetch_inner(fetcher, releases, version, assets_dir, progress).map_err(|failure| {
        failure.during(format!("cannot get `{ASSET}` of Talos {version}")).hint(
            "`--userland bringup` builds an image without Talos, `--talos VERSION` takes another release",
        )
    })
}

fn fetch_inner(
    fetcher: &Fetcher,
    releases: &mut Releases,
    version: &str,
    assets_dir: &Path,
    progress: &dyn Progress,
) -> Result<Asset> {
    if !is_version(version) {
        return Err(Failure::new(format!("`{version}` is not a version of the form `vX.Y.Z`")));
    }
    let url = releases.url(version, ASSET)?;
    let dir = assets_dir.join(version);
    let path = dir.join(ASSET);
    if let Some(recorded) = releases.recorded(version, ASSET).map(str::to_owned) {
        let sha256 = fetcher.fetch_to(&url, Some(&recorded), None, &path, progress).map_err(|f| {
            f.why(format!("recorded at the first fetch: {recorded}; a record is never replaced"))
        })?;
        return Ok(Asset { path, sha256 });
    }
    let sums_path = dir.join(SUMS);
    fetcher.fetch_to(&releases.url(version, SUMS)?, None, None, &sums_path, progress).map_err(|f| {
        f.why(format!("`{SUMS}` states the digest of `{ASSET}`: without it the file cannot be trusted"))
    })?;
    let expected = digest_of(&fs::read_to_string(&sums_path)?, ASSET)
        .map_err(|f| f.why(format!("looked into `{}`", sums_path.display())))?;
    let sha256 = fetcher
        .fetch_to(&url, Some(&expected), None, &path, progress)
        .map_err(|f| f.why(format!("the release's `{SUMS}` states {expected}")))?;
    // Only now: a digest whose file nobody ever saw is not worth a record.
    releases.record(version, ASSET, &sha256)?;
    Ok(Asset { path, sha256 })
}

/// `vX.Y.Z`, optionally with `-alpha.N` and the like.
pub fn is_version(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('v') else { return false };
    let core = rest.split_once('-').map_or(rest, |(core, _)| core);
    let parts: Vec<&str> = core.split('.').collect();
    parts.len() == 3 && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

/// The digest that a list in the form of `sha256sum` gives for `name`, whatever folder stands in front of it.
fn digest_of(sums: &str, name: &str) -> Result<String> {
    let mut found: Option<&str> = None;
    for line in sums.lines().filter(|l| !l.trim().is_empty()) {
        // GNU coreutils: 64 digits, a blank, a blank or `*`, the name.
        let parsed = line.split_at_checked(64).and_then(|(digest, rest)| {
            let file = rest.strip_prefix("  ").or_else(|| rest.strip_prefix(" *"))?;
            let hex = digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            hex.then_some((digest, file.trim_end()))
        });
        let Some((digest, file)) = parsed else {
            return Err(Failure::new(format!("`{SUMS}` is not a list of digests"))
                .why(format!("a line is `{}`", line.chars().take(80).collect::<String>())));
        };
        if file.rsplit('/').next() == Some(name) && found.replace(digest).is_some_and(|other| other != digest)
        {
            return Err(Failure::new(format!("`{SUMS}` states two digests for `{name}`")));
        }
    }
    found.map(str::to_owned).ok_or_else(|| {
        Failure::new(format!("`{SUMS}` does not name `{name}`"))
            .why(format!("it has {} lines: is this a release for arm64?", sums.lines().count()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_sha256sum_and_a_folder() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let sums = format!("{a}  vmlinuz-arm64\n{b} *_out/{ASSET}\n");
        assert_eq!(digest_of(&sums, ASSET), Ok(b.clone()));
        assert_eq!(digest_of(&sums, "vmlinuz-arm64"), Ok(a));
        assert_eq!(digest_of(&format!("{b}  {ASSET}\n{b}  x/{ASSET}\n"), ASSET), Ok(b));
    }

    #[test]
    fn must_fail_sums_that_do_not_decide() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let fails = |sums: &str| digest_of(sums, ASSET).expect_err(sums).to_string();
        assert!(fails(&format!("{a}  {ASSET}\n{b}  {ASSET}\n")).contains("states two digests"));
        assert!(fails(&format!("{a}  {ASSET}.sig\n")).contains("does not name `initramfs-arm64.xz`"));
        assert!(fails("").contains("does not name"));
        for bad in
            ["Not Found\n".to_owned(), format!("{}  {ASSET}\n", "A".repeat(64)), format!("{a}{ASSET}\n")]
        {
            assert!(fails(&bad).contains("is not a list of digests"), "{bad}");
        }
    }

    #[test]
    fn versions() {
        for good in ["v1.10.9", "v1.14.0-rc.1"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["1.10.9", "v1.10", "v1.10.x", "v1.10.", "", "latest", "v1.2.3.4"] {
            assert!(!is_version(bad), "{bad}");
        }
    }
}
