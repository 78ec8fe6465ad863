// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An installer image for `talosctl upgrade`: Sidero's installer base with this board's kernel and overlay on top.
//!
//! Facts: `talos/pkg/imager/out.go` and the installer's version check, v1.10 to v1.14. Composes bytes only; what lies in
//! the layers is the caller's.

use serde_json::{Value, json};

use crate::oci::{self, Compression, Config, Entry, EntryKind, Image, Layer, Platform, ReadImage, Tree};

/// Why an installer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InstallerError {
    /// The base is damaged, or something does not fit into the formats.
    #[error(transparent)]
    Image(#[from] oci::Error),
    /// The base is another image than `installer-base`.
    #[error("the base is no `installer-base`: {0}")]
    NotABase(String),
    /// The base is of another release than what goes onto it.
    #[error("the base is of Talos {base}, the kernel and initramfs are for {wanted}")]
    Version {
        /// Version that the base names.
        base: String,
        /// Version of the image's parts.
        wanted: String,
    },
    /// A version of another form.
    #[error("`{0}` is not a Talos version such as `v1.10.9`")]
    Form(String),
}

/// What goes onto a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Talos version, with its `v`.
    pub version: &'a str,
    /// Name of the overlay's installer program.
    pub overlay_name: &'a str,
    /// UKI with kernel, initramfs and command line.
    pub uki: Vec<u8>,
    /// systemd-boot; Talos's installer wants the file, and GRUB nodes never start it.
    pub systemd_boot: Vec<u8>,
    /// Entries of the overlay for the node's processor.
    pub overlay: &'a [Entry],
    /// The overlay's options as YAML; `{}` when there are none. An empty file would be an error on the node.
    pub extra_options: &'a str,
}

/// The base's version, as its labels or its environment have it.
pub fn base_version(base: &ReadImage) -> Option<String> {
    let config = base.config.get("config")?;
    let label = config.pointer("/Labels").and_then(|labels| labels.get("alpha.talos.dev/version"));
    let label = label.and_then(Value::as_str).map(str::to_owned);
    label.or_else(|| {
        let env = config.get("Env")?.as_array()?;
        env.iter().filter_map(Value::as_str).find_map(|e| e.strip_prefix("VERSION=").map(str::to_owned))
    })
}

/// The image: base, a layer with UKI and systemd-boot, a layer with the overlay.
///
/// # Errors
/// See [`InstallerError`].
pub fn compose(
    base: &ReadImage,
    parts: Parts<'_>,
    created: &str,
    mtime_seconds: u64,
) -> Result<Image, InstallerError> {
    let platform = Platform::linux("arm64");
    if base.platform != platform {
        return Err(InstallerError::NotABase(format!("it is for {}, not for {platform}", base.platform)));
    }
    let run = base.config.get("config").cloned().unwrap_or_else(|| json!({}));
    let entrypoint = run.pointer("/Entrypoint/0").and_then(Value::as_str).unwrap_or_default();
    if entrypoint != "/bin/installer" {
        return Err(InstallerError::NotABase(format!("it starts `{entrypoint}`, not `/bin/installer`")));
    }
    match base_version(base) {
        Some(version) if version == parts.version => {}
        Some(base) => return Err(InstallerError::Version { base, wanted: parts.version.to_owned() }),
        None => return Err(InstallerError::NotABase("it does not name its version".to_owned())),
    }
    // An `installer` image is its base and one layer of stock kernel, which Talos's own imager drops, too.
    let kept = match base.layers.as_slice() {
        [base] | [base, _] => base,
        more => {
            return Err(InstallerError::NotABase(format!(
                "it has {} layers, as one with an overlay already has",
                more.len()
            )));
        }
    };
    kept.tar()?;
    let layers = vec![
        kept.keep(),
        // Kernel and initramfs are compressed already.
        Layer::new(artifacts(&parts)?.tar(mtime_seconds)?, Compression::None),
        Layer::new(overlay(&parts)?.tar(mtime_seconds)?, Compression::Gzip),
    ];
    let config = Config { run: with_environment(run, parts.version), created: created.to_owned() };
    Ok(Image::new(platform, &config, layers, &std::collections::BTreeMap::new())?)
}

fn artifacts(parts: &Parts<'_>) -> Result<Tree, InstallerError> {
    let mut tree = Tree::new();
    tree.file("usr/install/arm64/vmlinuz.efi", 0o644, parts.uki.clone())?;
    tree.file("usr/install/arm64/systemd-boot.efi", 0o644, parts.systemd_boot.clone())?;
    Ok(tree)
}

/// On the node the overlay's program has the name `default`, whatever it was before.
fn overlay(parts: &Parts<'_>) -> Result<Tree, InstallerError> {
    let mut tree = Tree::new();
    let program = format!("installers/{}", parts.overlay_name);
    for entry in parts.overlay.iter().filter(|entry| entry.kind == EntryKind::File) {
        if entry.path.starts_with("artifacts/") {
            tree.file(&format!("overlay/{}", entry.path), entry.mode, entry.content.clone())?;
        } else if entry.path == program {
            tree.file("overlay/installers/default", entry.mode, entry.content.clone())?;
        }
    }
    tree.file("overlay/extra-options", 0o644, parts.extra_options.as_bytes().to_vec())?;
    if tree.files().all(|(path, ..)| path != "overlay/installers/default") {
        return Err(InstallerError::NotABase(format!("the overlay has no `{program}`")));
    }
    Ok(tree)
}

fn with_environment(mut run: Value, version: &str) -> Value {
    let wanted = [("TARGETARCH", "arm64"), ("VERSION", version)];
    let kept = run.get("Env").and_then(Value::as_array).cloned().unwrap_or_default();
    let other =
        |e: &Value| !e.as_str().is_some_and(|e| wanted.iter().any(|(k, _)| e.starts_with(&format!("{k}="))));
    let mut env: Vec<Value> = kept.into_iter().filter(other).collect();
    env.extend(wanted.iter().map(|(key, value)| json!(format!("{key}={value}"))));
    run["Env"] = json!(env);
    run["Labels"]["alpha.talos.dev/version"] = json!(version);
    run
}

/// Whether a node of one version may be upgraded by an installer of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upgrade {
    /// The same or the next minor version: what Talos recommends.
    Usual,
    /// The installer accepts it, Talos recommends a step between.
    Skips {
        /// The step.
        between: String,
    },
    /// Back to an older minor, which the installer accepts.
    Back,
    /// The installer refuses it on the node.
    Refused {
        /// Oldest and newest minor that it accepts.
        accepted: [String; 2],
    },
}

/// The rule of the installer's version check: v1.N accepts nodes of v1.(N-2).0 up to, but not, v1.(N+2).0.
///
/// # Errors
/// A version of another form.
pub fn upgrade(installer: &str, node: &str) -> Result<Upgrade, InstallerError> {
    let (to, from) = (minor(installer)?, minor(node)?);
    let name = |minor: u32| format!("v1.{minor}");
    Ok(if from + 2 < to || from > to + 1 {
        Upgrade::Refused { accepted: [name(to.saturating_sub(2)), name(to + 1)] }
    } else if from + 2 == to {
        Upgrade::Skips { between: name(from + 1) }
    } else if from > to {
        Upgrade::Back
    } else {
        Upgrade::Usual
    })
}

fn minor(version: &str) -> Result<u32, InstallerError> {
    let form = || InstallerError::Form(version.to_owned());
    let rest = version.strip_prefix("v1.").ok_or_else(form)?;
    let (minor, patch) = rest.split_once('.').ok_or_else(form)?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let patch = patch.split('-').next().unwrap_or_default();
    if !digits(minor) || !digits(patch) {
        return Err(form());
    }
    minor.parse().map_err(|_| form())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn base(architecture: &str, run: Value, layers: usize) -> ReadImage {
        let mut tree = Tree::new();
        tree.file("bin/installer", 0o755, b"program".to_vec()).expect("path");
        let tar = tree.tar(0).expect("tar");
        let layers = (0..layers).map(|_| Layer::new(tar.clone(), Compression::Gzip)).collect();
        let config = Config { run, created: "2025-01-01T00:00:00Z".to_owned() };
        let image =
            Image::new(Platform::linux(architecture), &config, layers, &BTreeMap::new()).expect("an image");
        let layout = oci::Layout::new(&[image], &BTreeMap::new()).expect("a layout");
        oci::open(&layout).expect("sound").remove(0)
    }

    fn run(version: &str) -> Value {
        json!({ "Entrypoint": ["/bin/installer"], "Env": ["PATH=/bin", "VERSION=v0"], "Labels": {
            "alpha.talos.dev/version": version, "org.opencontainers.image.source": "https://example.org" } })
    }

    fn overlay() -> Vec<Entry> {
        let entry = |path: &str, kind, mode, content: &[u8]| Entry {
            path: path.to_owned(),
            kind,
            mode,
            content: content.to_vec(),
        };
        vec![
            entry("artifacts", EntryKind::Folder, 0o755, b""),
            entry("artifacts/x", EntryKind::File, 0o644, b"artifact"),
            entry("installers/nanopi-m6", EntryKind::File, 0o755, b"program"),
            entry("profiles/nanopi-m6.yaml", EntryKind::File, 0o644, b"profile"),
        ]
    }

    fn make(base: &ReadImage, entries: &[Entry]) -> Result<Image, InstallerError> {
        let parts = Parts {
            version: "v1.10.9",
            overlay_name: "nanopi-m6",
            uki: b"uki".to_vec(),
            systemd_boot: b"boot".to_vec(),
            overlay: entries,
            extra_options: "{}\n",
        };
        compose(base, parts, "2025-01-01T00:00:00Z", 0)
    }

    #[test]
    fn layers_and_configuration() {
        for layers in [1, 2] {
            let image = make(&base("arm64", run("v1.10.9"), layers), &overlay()).expect("an installer");
            assert_eq!(image.layers.len(), 3, "the base of {layers} and two");
            let paths = |layer: &Layer| -> Vec<String> {
                let read = oci::ReadLayer {
                    digest: String::new(),
                    blob: layer.blob.clone(),
                    diff_id: layer.diff_id.clone(),
                };
                let entries = oci::rootfs(&read.tar().expect("sound")).expect("a tree");
                entries.into_iter().filter(|e| e.kind == EntryKind::File).map(|e| e.path).collect()
            };
            assert_eq!(paths(&image.layers[0]), ["bin/installer"]);
            assert_eq!(
                paths(&image.layers[1]),
                ["usr/install/arm64/systemd-boot.efi", "usr/install/arm64/vmlinuz.efi"]
            );
            assert_eq!(
                paths(&image.layers[2]),
                ["overlay/artifacts/x", "overlay/extra-options", "overlay/installers/default"]
            );
            let config: Value = serde_json::from_slice(&image.config).expect("JSON");
            assert_eq!(config["config"]["Env"], json!(["PATH=/bin", "TARGETARCH=arm64", "VERSION=v1.10.9"]));
            assert_eq!(config["config"]["Entrypoint"], json!(["/bin/installer"]));
            assert_eq!(config["config"]["Labels"]["alpha.talos.dev/version"], "v1.10.9");
            assert_eq!(config["config"]["Labels"]["org.opencontainers.image.source"], "https://example.org");
        }
    }

    #[test]
    fn must_fail_01_other_bases() {
        let refused = |base: &ReadImage| make(base, &overlay()).expect_err("must be refused").to_string();
        assert!(refused(&base("amd64", run("v1.10.9"), 1)).contains("linux/amd64"));
        assert!(refused(&base("arm64", run("v1.11.0"), 1)).contains("of Talos v1.11.0"));
        assert!(refused(&base("arm64", run("v1.10.9"), 3)).contains("3 layers"));
        assert!(refused(&base("arm64", json!({ "Entrypoint": ["/bin/sh"] }), 1)).contains("`/bin/sh`"));
        assert!(
            refused(&base("arm64", json!({ "Entrypoint": ["/bin/installer"] }), 1)).contains("its version")
        );
        let without: Vec<Entry> =
            overlay().into_iter().filter(|e| !e.path.starts_with("installers")).collect();
        let why = make(&base("arm64", run("v1.10.9"), 1), &without).expect_err("no program").to_string();
        assert!(why.contains("`installers/nanopi-m6`"), "{why}");
    }

    #[test]
    fn adjacent_minors() {
        let rule = |node: &str| upgrade("v1.10.9", node).expect("versions");
        let refused = Upgrade::Refused { accepted: ["v1.8".to_owned(), "v1.11".to_owned()] };
        assert_eq!(rule("v1.7.6"), refused);
        assert_eq!(rule("v1.8.0"), Upgrade::Skips { between: "v1.9".to_owned() });
        assert_eq!((rule("v1.9.5"), rule("v1.10.0")), (Upgrade::Usual, Upgrade::Usual));
        assert_eq!(rule("v1.11.6"), Upgrade::Back);
        assert_eq!(rule("v1.12.0-beta.1"), refused);
        for wrong in ["1.9.5", "v1.9", "v2.0.0", "v1.x.0", "v1.9.", "v1..0"] {
            assert!(upgrade("v1.10.9", wrong).is_err(), "{wrong}");
        }
    }
}
