// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `extensions.yaml` in the initramfs: which squashfs images are stacked on the root file system (talos-contracts 5.4).
//!
//! There is one file, and it must name all layers: a later one replaces an earlier one.

use fw_build::{Failure, Result};
use serde::{Deserialize, Serialize};

/// Name of the file in the initramfs.
pub const FILE: &str = "extensions.yaml";

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Lowest first; the root file system is below all of them.
    #[serde(default)]
    pub layers: Vec<Layer>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Name of the squashfs image in the initramfs.
    pub image: String,
    /// What it is.
    pub metadata: Metadata,
}

/// What an extension says about itself; Talos shows it as a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Who made it.
    pub author: String,
    /// What it is for.
    pub description: String,
    /// Which versions of Talos it is for.
    pub compatibility: Compatibility,
    /// Anything else.
    #[serde(rename = "extraInfo", skip_serializing_if = "String::is_empty")]
    pub extra_info: String,
}

/// Which versions of Talos an extension is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compatibility {
    /// Of Talos.
    pub talos: Constraint,
}

/// A constraint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Constraint {
    /// As in [`crate::constraint`].
    pub version: String,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// It is not YAML of this form.
    pub fn parse(text: &[u8]) -> Result<Config> {
        read_yaml(text).map_err(|e| e.during(format!("`{FILE}` cannot be read")))
    }

    /// The file. Scalars are quoted as in JSON, which is YAML, too.
    pub fn render(&self) -> String {
        let mut text = "layers:\n".to_owned();
        for layer in &self.layers {
            let m = &layer.metadata;
            text += &format!("    - image: {}\n      metadata:\n", quote(&layer.image));
            for (key, value) in [
                ("name", &m.name),
                ("version", &m.version),
                ("author", &m.author),
                ("description", &m.description),
            ] {
                text += &format!("        {key}: {}\n", quote(value));
            }
            text += "        compatibility:\n            talos:\n";
            text += &format!("                version: {}\n", quote(&m.compatibility.talos.version));
            if !m.extra_info.is_empty() {
                text += &format!("        extraInfo: {}\n", quote(&m.extra_info));
            }
        }
        text
    }
}

/// A scalar that YAML reads as this text, whatever is in it.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads a small YAML document of a stranger.
pub(crate) fn read_yaml<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T> {
    /// A manifest has some twenty values.
    const MAX_BYTES: usize = 1 << 20;
    if text.len() > MAX_BYTES {
        return Err(Failure::new(format!("the YAML has more than {MAX_BYTES} bytes")));
    }
    let text = std::str::from_utf8(text).map_err(|e| Failure::new("the YAML is not UTF-8 text").why(e))?;
    serde_saphyr::from_str(text).map_err(|e| {
        let text = e.to_string();
        let lines = text.lines().map(str::trim_end).filter(|l| !l.is_empty());
        lines.fold(Failure::new("the YAML is not of the form that is wanted"), Failure::why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_what_talos_writes() {
        let metadata = Metadata {
            name: "kmod: x".to_owned(),
            version: "1.20".to_owned(),
            description: "two\nlines \"and\" # more".to_owned(),
            compatibility: Compatibility { talos: Constraint { version: ">= v1.10.0".to_owned() } },
            ..Metadata::default()
        };
        let config = Config { layers: vec![Layer { image: "0.sqsh".to_owned(), metadata }] };
        assert_eq!(Config::parse(config.render().as_bytes()).expect("our own"), config);
        // As Go's encoder writes it.
        let text = "layers:\n    - image: 0.sqsh\n      metadata:\n        name: gvisor\n        version: 20250505.0-v1.10.9\n        author: Sidero Labs\n        description: |\n            a runtime\n        compatibility:\n            talos:\n                version: '>= v1.5.0'\n";
        let read = Config::parse(text.as_bytes()).expect("Talos's");
        assert_eq!(read.layers[0].metadata.compatibility.talos.version, ">= v1.5.0");
        assert_eq!(Config::parse(b"layers: []\n").expect("none").layers, []);
    }

    #[test]
    fn must_fail_other_text() {
        for text in ["layers: 3\n", "layers:\n  - name: x\n", "\u{0}", "layers: [&a *a]\n"] {
            assert!(Config::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Config::parse(&[0xff, 0xfe]).is_err());
    }
}
