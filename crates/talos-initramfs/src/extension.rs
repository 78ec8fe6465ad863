// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A system extension: `manifest.yaml` and `rootfs/`, from a tar of an image's root file system or an OCI layout.
//!
//! What is checked is what Talos's imager checks (pkg/machinery/extensions), and what it would silently get wrong.
//! Whether its modules fit a kernel is [`crate::append`]'s business.

use std::path::Path;

use fs_err as fs;
use fw_build::key::{sha256_bytes, sha256_file};
use fw_build::{Context, Failure, Result};
use fw_image::oci::{self, Platform, ReadImage};
use serde::Deserialize;

use crate::constraint;
use crate::layers::{Compatibility, Constraint, Metadata, read_yaml};
use crate::tree::{Kind, Node, Tree};

/// The only manifest version there is.
const MANIFEST_VERSION: &str = "v1alpha1";
const MANIFEST: &str = "manifest.yaml";
const ROOTFS: &str = "rootfs";
/// Where firmware lies in an extension; the imager moves it into the initramfs.
pub const FIRMWARE_DIR: &str = "usr/lib/firmware";
/// Folders of x86 microcode below that.
const MICROCODE_DIRS: [&str; 2] = ["intel-ucode", "amd-ucode"];
/// Where Talos from v1.12 on looks for an embedded machine configuration (constant `EmbeddedConfigDirectory`).
const EMBEDDED_PATH: &str = "usr/local/etc/talos/config.yaml";
/// Its SELinux label (constant `StateSelinuxLabel`).
const EMBEDDED_LABEL: &[u8] = b"system_u:object_r:system_state_t:s0";

/// An extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// What it says about itself.
    pub metadata: Metadata,
    /// What is laid over the root file system.
    pub rootfs: Tree,
    /// Where it was read from, for messages.
    pub origin: String,
    /// SHA-256 of what it was read from: the tar file, or the image's manifest.
    pub sha256: String,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    version: String,
    #[serde(default)]
    metadata: Metadata,
}

impl Extension {
    /// Reads an extension from an OCI layout (a folder; the image for arm64), or from a tar of its root file system.
    ///
    /// # Errors
    /// There is no such file, a digest is wrong, or what is in it is no extension.
    pub fn load(path: &Path) -> Result<Extension> {
        let shown = path.display().to_string();
        let what = || format!("extension `{shown}` cannot be used");
        if !path.exists() {
            return Err(missing(&shown));
        }
        if path.is_dir() {
            let (tree, sha256) = read_layout(path).context(what())?;
            return Extension::from_tree(tree, &shown, sha256).context(what());
        }
        let file = std::io::BufReader::new(fs::File::open(path).context(what())?);
        let tree = Tree::from_tar(file).context(what())?;
        Extension::from_tree(tree, &shown, sha256_file(path)?).context(what())
    }

    /// An extension from the root file system of its image.
    ///
    /// # Errors
    /// It is none.
    pub fn from_tree(mut image: Tree, origin: &str, sha256: String) -> Result<Extension> {
        let refused = |why: String| Failure::new("its image is no system extension of Talos").why(why);
        let unexpected = |path: &&str| {
            let top = path.split('/').next();
            top != Some(ROOTFS) && **path != *MANIFEST
        };
        if let Some(path) = image.iter().map(|(path, _)| path).find(unexpected) {
            return Err(refused(format!("`{path}` is neither `{MANIFEST}` nor in `{ROOTFS}`")));
        }
        let text = image.file(MANIFEST).ok_or_else(|| refused(format!("it has no file `{MANIFEST}`")))?;
        let manifest: Manifest =
            read_yaml(text).map_err(|e| e.during(format!("`{MANIFEST}` of its image cannot be read")))?;
        if manifest.version != MANIFEST_VERSION {
            return Err(refused(format!(
                "its manifest has version `{}`, not `{MANIFEST_VERSION}`",
                manifest.version
            )));
        }
        if manifest.metadata.name.is_empty() {
            return Err(refused("its manifest names no extension".to_owned()));
        }
        if !matches!(image.get(ROOTFS), Some(Node { kind: Kind::Directory, .. })) {
            return Err(refused(format!("it has no folder `{ROOTFS}`")));
        }
        let rootfs = image.take(ROOTFS);
        for folder in MICROCODE_DIRS.map(|dir| format!("{FIRMWARE_DIR}/{dir}")) {
            if rootfs.get(&folder).is_some() {
                return Err(refused(format!(
                    "`{folder}` holds microcode of x86, which an arm64 image has no use for"
                )));
            }
        }
        Ok(Extension { metadata: manifest.metadata, rootfs, origin: origin.to_owned(), sha256 })
    }

    /// Refuses an extension that is not for this release of Talos.
    ///
    /// # Errors
    /// It is for others, or does not say so readably.
    pub fn check_talos(&self, version: &str) -> Result<()> {
        let wanted = &self.metadata.compatibility.talos.version;
        let refused = |why: String| {
            Failure::new(format!(
                "extension `{}` of `{}` is not for Talos {version}",
                self.metadata.name, self.origin
            ))
            .why(why)
        };
        match constraint::holds(wanted, version) {
            Ok(true) => Ok(()),
            Ok(false) => Err(refused(format!("its manifest wants `{wanted}`"))
                .hint("take the extension of this release, or another release with `--talos`")),
            Err(e) => Err(refused(format!("`{}` in its manifest cannot be read as a constraint", e.0))),
        }
    }
}

/// The files of an OCI layout on disk.
struct Folder<'a>(&'a Path);

impl oci::Source for Folder<'_> {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        fs::read(self.0.join(path))
    }
}

/// The root file system of the image for arm64, layer upon layer, and the digest of its manifest.
fn read_layout(dir: &Path) -> Result<(Tree, String)> {
    let wrong = |e: &dyn std::fmt::Display| {
        Failure::new("it is no sound OCI layout with an image for this board")
            .why(e)
            .hint("`skopeo copy --override-arch arm64 docker://REFERENCE oci:DIR` makes one")
    };
    let images = oci::open(&Folder(dir)).map_err(|e| wrong(&e))?;
    let image = ReadImage::for_platform(&images, &Platform::linux("arm64")).map_err(|e| wrong(&e))?;
    let mut tree = Tree::default();
    for layer in &image.layers {
        let tar = layer.tar().map_err(|e| wrong(&e))?;
        let layer_tree = Tree::from_tar(&tar[..]).context(format!("layer {}", layer.digest))?;
        tree.overlay(layer_tree)?;
    }
    // A layout has digests; a `docker save` folder, which has none, is named by its configuration.
    let digest = match &image.digest {
        Some(digest) => digest.trim_start_matches("sha256:").to_owned(),
        None => sha256_bytes(image.config.to_string().as_bytes()),
    };
    Ok((tree, digest))
}

fn missing(shown: &str) -> Failure {
    let failure = Failure::new(format!("there is no extension `{shown}`"));
    // REGISTRY/NAME:TAG or NAME@DIGEST.
    if shown.contains('@') || shown.rsplit('/').next().is_some_and(|name| name.contains(':')) {
        return failure.why("it looks like a reference to a registry; extensions are read from files").hint(
            format!(
                "`skopeo copy docker://{shown} oci:extension` makes a folder; give that with `--extension`"
            ),
        );
    }
    failure
        .why("no such file or folder")
        .hint("give a tar of the image's root file system, or an OCI layout folder")
}

/// A machine configuration as the extension that Talos's imager makes of it (pkg/imager/embed.go).
///
/// # Errors
/// The text is no configuration: not YAML documents that are mappings with `apiVersion` and `kind`, or `version`.
pub fn embedded_configuration(text: &[u8]) -> Result<Extension> {
    check_configuration(text).map_err(|e| e.during("the machine configuration cannot be embedded"))?;
    let sha256 = sha256_bytes(text);
    let mut rootfs = Tree::default();
    let (kind, label) = (Kind::File(text.to_vec()), Some(EMBEDDED_LABEL.to_vec()));
    rootfs.insert(EMBEDDED_PATH, Node { kind, mode: 0o400, label })?;
    Ok(Extension {
        metadata: Metadata {
            name: "embedded-config".to_owned(),
            version: sha256.clone(),
            author: "Imager".to_owned(),
            description: "Virtual extension which embeds the machine configuration.".to_owned(),
            compatibility: Compatibility { talos: Constraint { version: ">= 1.0.0".to_owned() } },
            extra_info: String::new(),
        },
        rootfs,
        origin: "machine configuration".to_owned(),
        sha256,
    })
}

/// The first keys of a document of a machine configuration.
#[derive(Deserialize)]
struct Document {
    #[serde(default, rename = "apiVersion")]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    version: String,
}

fn check_configuration(text: &[u8]) -> Result<()> {
    let refused = |why: String| Failure::new("it is no machine configuration of Talos").why(why);
    let text = std::str::from_utf8(text).map_err(|e| refused(format!("it is not UTF-8 text: {e}")))?;
    let documents: Vec<Document> = serde_saphyr::from_multiple(text).map_err(|e| {
        refused(format!("it is not a list of YAML mappings: {}", e.to_string().replace('\n', " ")))
    })?;
    if documents.is_empty() {
        return Err(refused("it is empty".to_owned()));
    }
    for (i, d) in documents.iter().enumerate() {
        let named = !d.api_version.is_empty() && !d.kind.is_empty();
        if !named && d.version != "v1alpha1" {
            return Err(refused(format!(
                "document {} has neither `apiVersion` and `kind` nor `version: v1alpha1`",
                i + 1
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "version: v1alpha1\nmetadata:\n  name: hello\n  version: \"1.0\"\n  author: me\n  compatibility:\n    talos:\n      version: \">= v1.10.0\"\n";

    fn image(manifest: &str, files: &[&str]) -> Tree {
        let mut tree = Tree::default();
        let file = |content: &[u8]| Node { kind: Kind::File(content.to_vec()), mode: 0o644, label: None };
        tree.insert(MANIFEST, file(manifest.as_bytes())).expect("once");
        for path in files {
            tree.insert(path, file(b"x")).expect("once");
        }
        tree
    }

    fn refusal(image: Tree) -> String {
        Extension::from_tree(image, "x.tar", String::new()).expect_err("refused").to_string()
    }

    #[test]
    fn reads_one() {
        let extension =
            Extension::from_tree(image(GOOD, &["rootfs/usr/local/bin/hello"]), "x.tar", String::new());
        let extension = extension.expect("good");
        assert_eq!((extension.metadata.name.as_str(), extension.metadata.version.as_str()), ("hello", "1.0"));
        assert_eq!(extension.rootfs.file("usr/local/bin/hello"), Some(&b"x"[..]));
        extension.check_talos("v1.13.9").expect("for this release");
        let text = extension.check_talos("v1.9.0").expect_err("for others").to_string();
        assert!(
            text.contains("`hello` of `x.tar` is not for Talos v1.9.0") && text.contains(">= v1.10.0"),
            "{text}"
        );
    }

    #[test]
    fn must_fail_what_is_no_extension() {
        assert!(refusal(image(GOOD, &[])).contains("no folder `rootfs`"));
        assert!(refusal(image(GOOD, &["rootfs"])).contains("no folder `rootfs`"));
        assert!(refusal(image(GOOD, &["rootfs/a", "etc/x"])).contains("`etc` is neither"));
        assert!(refusal(image("version: v2\n", &["rootfs/a"])).contains("version `v2`"));
        assert!(refusal(image("version: v1alpha1\n", &["rootfs/a"])).contains("names no extension"));
        assert!(
            refusal(image("- 1\n", &["rootfs/a"])).contains("manifest.yaml` of its image cannot be read")
        );
        let mut none = image(GOOD, &["rootfs/a"]);
        none.take(MANIFEST);
        assert!(refusal(none).contains("no file `manifest.yaml`"));
        let microcode = image(GOOD, &["rootfs/usr/lib/firmware/intel-ucode/06-01"]);
        assert!(refusal(microcode).contains("microcode of x86"));
    }

    #[test]
    fn must_fail_what_is_not_there() {
        let text = |path: &str| Extension::load(Path::new(path)).expect_err("refused").to_string();
        let reference = text("registry.example/siderolabs/gvisor:20250505.0-v1.10.9");
        assert!(
            reference.contains("reference to a registry") && reference.contains("hint: `skopeo"),
            "{reference}"
        );
        assert!(text("nowhere/x.tar").contains("no such file or folder"));
    }

    #[test]
    fn embedded_configurations() {
        let extension = embedded_configuration(
            b"apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: x\n---\nversion: v1alpha1\nmachine: {}\n",
        );
        let extension = extension.expect("two documents");
        assert_eq!(extension.metadata.name, "embedded-config");
        assert_eq!(extension.metadata.version.len(), 64);
        let node = extension.rootfs.get("usr/local/etc/talos/config.yaml").expect("the file");
        assert_eq!(node.mode, 0o400);
        for text in ["", "hello", "- 1\n", "machine: {}\n", "kind: X\n", "a: [\n"] {
            let failure = embedded_configuration(text.as_bytes()).expect_err(text).to_string();
            assert!(failure.contains("cannot be embedded"), "{failure}");
        }
    }
}
