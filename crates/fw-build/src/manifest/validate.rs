// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From the raw manifest files to checked ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::raw::{RawManifest, RawOrigin, RawPin};
use super::{Format, GoModule, Location, Manifests, NewVersions, Origin, Pin, Releases, Upstream, bad};
use crate::failure::Result;

pub(super) fn all(dir: &Path, raws: Vec<(PathBuf, RawManifest)>) -> Result<Manifests> {
    let snapshot = snapshot_template(&raws)?;
    let mut manifests =
        Manifests { dir: dir.to_owned(), upstreams: BTreeMap::new(), releases: BTreeMap::new() };
    for (path, raw) in raws {
        one(&mut manifests, &path, raw, snapshot.as_deref()).map_err(|why| bad(&path, why))?;
    }
    Ok(manifests)
}

/// The one address form of Debian's snapshot archive.
fn snapshot_template(raws: &[(PathBuf, RawManifest)]) -> Result<Option<String>> {
    let mut found: Option<&String> = None;
    for (path, raw) in raws {
        let Some(template) = &raw.snapshot_url else { continue };
        if template.matches("{sha1}").count() != 1 {
            return Err(bad(path, "`snapshot-url` must have `{sha1}` in it once"));
        }
        check_url(template).map_err(|why| bad(path, why))?;
        if found.replace(template).is_some() {
            return Err(bad(path, "another manifest has a `snapshot-url` too"));
        }
    }
    Ok(found.cloned())
}

fn one(
    manifests: &mut Manifests,
    path: &Path,
    raw: RawManifest,
    snapshot: Option<&str>,
) -> Result<(), String> {
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if raw.name != stem {
        return Err(format!("`name` is `{}`, the file's name says `{stem}`", raw.name));
    }
    check_word("name", &raw.name)?;
    for (key, value) in [("licence", &raw.licence), ("description", &raw.description)] {
        if value.trim().is_empty() {
            return Err(format!("`{key}` is empty"));
        }
    }
    let kinds = [!raw.pins.is_empty(), raw.snapshot_url.is_some(), raw.asset_url.is_some()];
    if kinds.iter().filter(|k| **k).count() != 1 {
        return Err("it must have exactly one of `pins`, `snapshot-url`, `asset-url`".to_owned());
    }
    if !raw.releases.is_empty() && raw.asset_url.is_none() {
        return Err("`releases` belongs to a manifest with an `asset-url`".to_owned());
    }
    if raw.upstream.is_some() && raw.pins.is_empty() {
        return Err("`upstream` belongs to a manifest with `pins`".to_owned());
    }
    if raw.snapshot_url.is_some() {
        return match raw.default {
            None => Ok(()),
            Some(_) => Err("`default` means nothing beside `snapshot-url`".to_owned()),
        };
    }
    let default = raw.default.ok_or("`default` is missing")?;
    if let Some(asset_url) = raw.asset_url {
        check_url(&asset_url)?;
        for (version, assets) in &raw.releases {
            check_word("version", version)?;
            for (asset, sha256) in assets {
                check_word("asset", asset)?;
                check_hex("sha256", sha256, 64).map_err(|why| format!("{version}, `{asset}`: {why}"))?;
            }
        }
        let releases = Releases::new(path, raw.licence, default, asset_url, raw.releases)?;
        manifests.releases.insert(raw.name, releases);
        return Ok(());
    }
    if !raw.pins.contains_key(&default) {
        return Err(format!("`default` is `{default}`, but there is no such pin"));
    }
    let mut pins = BTreeMap::new();
    for (label, raw_pin) in raw.pins {
        let pin = pin(&raw.name, &label, &raw.licence, raw_pin, snapshot)
            .map_err(|why| format!("pin `{label}`: {why}"))?;
        pins.insert(label, pin);
    }
    if let Some(raw) = &raw.upstream {
        for (key, url) in [("source-url", &raw.source_url), ("digests-url", &raw.digests_url)] {
            check_url(url).map_err(|why| format!("`upstream.{key}`: {why}"))?;
        }
        if raw.source_url.matches("{version}").count() != 1 {
            return Err("`upstream.source-url` must have `{version}` in it once".to_owned());
        }
    }
    let new_versions = raw.upstream.map(|u| NewVersions {
        source_url: u.source_url,
        digests_url: u.digests_url,
        format: u.format,
    });
    manifests.upstreams.insert(raw.name, Upstream { default, pins, new_versions });
    Ok(())
}

fn pin(
    manifest: &str,
    label: &str,
    licence: &str,
    raw: RawPin,
    snapshot: Option<&str>,
) -> Result<Pin, String> {
    check_word("label", label)?;
    if raw.version.trim().is_empty() {
        return Err("`version` is empty".to_owned());
    }
    if raw.origins.is_empty() {
        return Err("it has no origin".to_owned());
    }
    let mut origins: Vec<Origin> = Vec::new();
    for (n, raw_origin) in raw.origins.into_iter().enumerate() {
        let origin = origin(raw_origin, snapshot).map_err(|why| format!("origin {}: {why}", n + 1))?;
        if origins.iter().any(|o| o.location == origin.location) {
            return Err(format!("origin {}: `{}` is listed twice", n + 1, origin.label()));
        }
        if let Some(same) = origins.iter().find(|o| o.sha256 == origin.sha256)
            && (same.format != origin.format
                || same.size_bytes.zip(origin.size_bytes).is_some_and(|(a, b)| a != b))
        {
            return Err(format!("origin {}: same digest as `{}`, other size or format", n + 1, same.label()));
        }
        origins.push(origin);
    }
    Ok(Pin {
        manifest: manifest.to_owned(),
        label: label.to_owned(),
        version: raw.version,
        limits: raw.limits,
        licence: licence.to_owned(),
        origins,
    })
}

fn origin(raw: RawOrigin, snapshot: Option<&str>) -> Result<Origin, String> {
    let origin = match raw {
        RawOrigin::Https { url, format, sha256, size_bytes } => {
            check_url(&url)?;
            Origin { location: Location::Https { url }, sha256, size_bytes, format }
        }
        RawOrigin::Debian { pool, snapshot_sha1, format, sha256, size_bytes } => {
            if !pool.starts_with("pool/") || pool.split('/').any(|p| p.is_empty() || p == "." || p == "..") {
                return Err(format!("`pool` is `{pool}`, not a path of the form `pool/…/FILE`"));
            }
            check_hex("snapshot-sha1", &snapshot_sha1, 40)?;
            let template = snapshot.ok_or("no manifest has the `snapshot-url` of Debian's archive")?;
            let snapshot_url = template.replace("{sha1}", &snapshot_sha1);
            Origin {
                location: Location::Debian { pool, snapshot_url },
                sha256,
                size_bytes: Some(size_bytes),
                format,
            }
        }
        RawOrigin::Pypi { file, sha256, size_bytes } => {
            check_word("file", &file)?;
            // Source packages run their own code when they are fetched, and compiled ones differ by machine.
            if !file.ends_with("-none-any.whl") || file.split('-').count() != 5 {
                return Err(format!(
                    "`file` is `{file}`, not a wheel of the form `NAME-VERSION-PY-none-any.whl`"
                ));
            }
            Origin {
                location: Location::Pypi { file },
                sha256,
                size_bytes: Some(size_bytes),
                format: Format::Raw,
            }
        }
        RawOrigin::Go { module, version, h1, mod_h1, toolchain, sha256, size_bytes } => {
            check_module_path(&module)?;
            check_word("version", &version)?;
            if !version.starts_with('v') {
                return Err(format!("`version` is `{version}`, and versions of Go modules begin with `v`"));
            }
            check_h1("h1", &h1)?;
            check_h1("mod-h1", &mod_h1)?;
            if let Some(toolchain) = &toolchain {
                check_toolchain(toolchain)?;
            }
            let file = format!("{}-{version}.zip", module.replace('/', "-"));
            Origin {
                location: Location::Go(GoModule { path: module, version, h1, mod_h1, toolchain, file }),
                sha256,
                size_bytes: Some(size_bytes),
                format: Format::Zip,
            }
        }
    };
    check_hex("sha256", &origin.sha256, 64)?;
    if origin.size_bytes == Some(0) {
        return Err("`size-bytes` is 0: an empty file is never a source".to_owned());
    }
    check_word("file name", origin.file_name())?;
    Ok(origin)
}

/// Lower-case hex of exactly `digits` digits.
pub(super) fn check_hex(key: &str, value: &str, digits: usize) -> Result<(), String> {
    let lower_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if value.len() == digits && value.chars().all(lower_hex) {
        return Ok(());
    }
    Err(format!("`{key}` is `{value}`, not {digits} lower-case hex digits"))
}

/// A Go module's path: parts of harmless characters, the first of them a host's name.
fn check_module_path(path: &str) -> Result<(), String> {
    let mut parts = path.split('/');
    let host = parts.next().is_some_and(|host| host.contains('.'));
    if host && path.split('/').all(|part| check_word("module", part).is_ok() && !part.starts_with('-')) {
        return Ok(());
    }
    Err(format!("`module` is `{path}`, not a module path of the form `HOST/OWNER/NAME`"))
}

/// A toolchain by its full name, so that no other is ever taken for it.
fn check_toolchain(name: &str) -> Result<(), String> {
    let numbers = name.strip_prefix("go").unwrap_or_default();
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    if numbers.split('.').count() == 3 && numbers.split('.').all(digits) {
        return Ok(());
    }
    Err(format!("`toolchain` is `{name}`, not a Go toolchain of the form `goX.Y.Z`"))
}

/// A hash of `go.sum`: `h1:` and the base64 of 32 bytes (Go modules reference, "go.sum files").
fn check_h1(key: &str, value: &str) -> Result<(), String> {
    let base64 = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    let hash = value.strip_prefix("h1:").and_then(|hash| hash.strip_suffix('='));
    if hash.is_some_and(|hash| hash.len() == 43 && hash.chars().all(base64)) {
        return Ok(());
    }
    Err(format!("`{key}` is `{value}`, not a hash as in `go.sum`: `h1:` and 44 characters of base64"))
}

/// A name that is one harmless path component: what versions, labels and Debian file names are made of.
pub(super) fn check_word(key: &str, value: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._+~-".contains(c);
    if !value.is_empty() && value.chars().all(good) && !value.starts_with('.') {
        return Ok(());
    }
    Err(format!("{key} `{value}` has other characters than letters, digits and `._+~-`"))
}

/// `https`, or `http` on a loopback address (a server on this machine, as in tests).
fn check_url(url: &str) -> Result<(), String> {
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("address `{url}` has a blank in it"));
    }
    match url.split_once("://") {
        Some(("https", rest)) if rest.contains('/') => Ok(()),
        Some(("http", _)) if crate::fetch::is_loopback(url) => Ok(()),
        _ => Err(format!("address `{url}` does not start with `https://HOST/`")),
    }
}
