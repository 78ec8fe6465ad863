// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The overlay's bill of materials (SPDX 2.3, JSON): what was built in, from which sources, under which
//! licence. Holds no time and no path of the machine: the same overlay has the same document.

use std::collections::{BTreeMap, BTreeSet};

use fw_build::key::sha256_bytes;
use fw_build::run::Cmd;
use fw_build::{Context as _, Failure, Result};
use fw_image::oci::Tree;
use serde_json::{Value, json};

use super::compose::{CREATED, Parts};

/// A component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Component {
    name: String,
    version: String,
    licence: String,
    origin: Option<String>,
    sha256: Option<String>,
}

/// The document for a tree without it.
///
/// # Errors
/// A manifest is missing, or cargo cannot list the installer's crates.
pub fn document(parts: &Parts, tree: &Tree) -> Result<Vec<u8>> {
    let mut components = sources(parts)?;
    components.extend(crates(parts)?);
    let files: BTreeMap<&str, String> =
        tree.files().map(|(path, _, content)| (path, sha256_bytes(content))).collect();
    let name = format!("{}-overlay", parts.cx.board.name);
    // Unique for each content, as SPDX asks (2.3, 6.5).
    let all = format!("{files:?} {components:?}");
    let overlay = "SPDXRef-overlay";
    let mut packages = vec![json!({
        "SPDXID": overlay,
        "name": name,
        "versionInfo": env!("CARGO_PKG_VERSION"),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licences(parts)?,
        "copyrightText": "NOASSERTION",
    })];
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", overlay)];
    for (index, component) in components.iter().enumerate() {
        let id = format!("SPDXRef-component-{index}");
        relations.push(relation(overlay, "GENERATED_FROM", &id));
        packages.push(component.package(&id));
    }
    let mut listed = Vec::new();
    for (index, (path, sha256)) in files.iter().enumerate() {
        let id = format!("SPDXRef-file-{index}");
        relations.push(relation(overlay, "CONTAINS", &id));
        listed.push(json!({
            "SPDXID": id,
            "fileName": format!("./{path}"),
            "checksums": [{ "algorithm": "SHA256", "checksumValue": sha256 }],
            "licenseConcluded": "NOASSERTION",
            "copyrightText": "NOASSERTION",
        }));
    }
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("urn:sha256:{}", sha256_bytes(all.as_bytes())),
        "creationInfo": {
            "created": CREATED,
            "creators": [format!("Tool: talos-nanopi-m6-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "files": listed,
        "relationships": relations,
        "hasExtractedLicensingInfos": [{
            "licenseId": "LicenseRef-Rockchip-rkbin",
            "extractedText": "Rockchip's licence of rkbin: redistribution permitted, reverse engineering forbidden",
        }],
    });
    let failed = |e: serde_json::Error| Failure::new("cannot write the SBOM").why(e);
    serde_json::to_vec_pretty(&document).map_err(failed)
}

/// Licences of everything in the overlay, as one SPDX expression.
///
/// # Errors
/// A manifest is missing.
pub fn licences(parts: &Parts) -> Result<String> {
    let mut all: BTreeSet<String> = sources(parts)?.into_iter().map(|c| c.licence).collect();
    // The installer's own, and that of the device tree's sources.
    all.insert("Apache-2.0 OR MIT".to_owned());
    all.insert("GPL-2.0-only OR MIT".to_owned());
    let all: Vec<String> =
        all.into_iter().map(|l| if l.contains(" OR ") { format!("({l})") } else { l }).collect();
    Ok(all.join(" AND "))
}

/// Pins of the stages that the overlay was made from.
fn sources(parts: &Parts) -> Result<BTreeSet<Component>> {
    let mut found = BTreeSet::new();
    for (_, entry) in parts.stages.iter() {
        for (id, used) in &entry.record.origins {
            let (manifest, label) = id.split_once('/').unwrap_or((id, ""));
            // A file that was given in the place of a pin has none.
            let pin = parts.cx.manifests.pin(manifest, Some(label));
            let licence = pin.map_or_else(|_| "NOASSERTION".to_owned(), |pin| pin.licence.clone());
            found.insert(Component {
                name: manifest.to_owned(),
                version: used.version.clone(),
                licence,
                origin: Some(used.origin.clone()),
                sha256: Some(used.sha256.clone()),
            });
        }
    }
    Ok(found)
}

/// Crates that are linked into the installer.
fn crates(parts: &Parts) -> Result<BTreeSet<Component>> {
    let out = Cmd::with_callers_env(crate::stages::cargo())
        .args(["tree", "--locked", "--package", "overlay-installer", "--edges", "normal,no-proc-macro"])
        .args(["--target", "aarch64-unknown-linux-musl", "--prefix", "none", "--format", "{p}\t{l}"])
        .cwd(&parts.cx.root)
        .output()
        .context("cannot list the installer's crates")?;
    Ok(String::from_utf8_lossy(&out).lines().filter_map(component).collect())
}

/// `serde v1.0.229 (proc-macro)` and the licence.
fn component(line: &str) -> Option<Component> {
    let (package, licence) = line.split_once('\t')?;
    let mut words = package.split(' ');
    Some(Component {
        name: words.next()?.to_owned(),
        version: words.next()?.trim_start_matches('v').to_owned(),
        // `(*)` marks what was listed before; an old form of "or" is a slash.
        licence: licence.trim_end_matches(" (*)").replace('/', " OR "),
        origin: None,
        sha256: None,
    })
}

impl Component {
    fn package(&self, id: &str) -> Value {
        let mut package = json!({
            "SPDXID": id,
            "name": self.name,
            "versionInfo": self.version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": self.licence,
            "copyrightText": "NOASSERTION",
        });
        if let Some(origin) = &self.origin {
            package["sourceInfo"] = json!(origin);
        }
        if let Some(sha256) = &self.sha256 {
            package["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": sha256 }]);
        }
        package
    }
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

#[cfg(test)]
mod tests {
    use super::component;

    #[test]
    fn lines_of_cargo_tree() {
        let found = component("cfg-if v1.0.4\tMIT OR Apache-2.0 (*)").expect("a line");
        assert_eq!((found.name.as_str(), found.version.as_str()), ("cfg-if", "1.0.4"));
        assert_eq!(found.licence, "MIT OR Apache-2.0");
        let own = component("fw-image v0.1.0 (/x/y)\tMIT/Apache-2.0").expect("a line");
        assert_eq!((own.version.as_str(), own.licence.as_str()), ("0.1.0", "MIT OR Apache-2.0"));
        assert!(component("").is_none());
    }
}
