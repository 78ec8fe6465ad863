// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads a U-Boot FIT (flattened image tree) as binman writes it behind the SPL.
//!
//! Format: the device tree with `/images` and `/configurations` of U-Boot's
//! `doc/usage/fit/source_file_format.rst`. Data is inside (`data`), or outside at `data-position` (from
//! the start of the FIT) or `data-offset` (from the end of the tree, aligned to 4). This module must not
//! unpack compressed images and must not write a FIT.

use sha2::{Digest, Sha256};

use crate::fdt::{self, Tree};
use crate::hex;

/// Images, and configurations, that are read: binman writes one for each device tree.
const NODE_LIMIT: usize = 256;
/// Images lie one behind the other. A few may share their bytes; hundreds that name all of a file are an attack.
const OVERLAP_LIMIT: usize = 4;

/// Why a FIT was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tree itself cannot be read, or lacks a part every FIT has.
    #[error("FIT: {0}")]
    Tree(#[from] fdt::Error),
    /// More nodes than anybody needs: each is looked up in all others.
    #[error("FIT has {count} nodes in `{path}`, of which {NODE_LIMIT} would be read")]
    TooMany {
        /// `/images` or `/configurations`.
        path: &'static str,
        /// How many there are.
        count: usize,
    },
    /// No image of this name.
    #[error("FIT has no image `{0}`")]
    NoImage(String),
    /// No configuration of this name, or no default.
    #[error("FIT has no configuration `{0}`")]
    NoConfiguration(String),
    /// An image without data, or whose data lies past the end.
    #[error("FIT image `{image}`: {why}")]
    Data {
        /// Name of the image node.
        image: String,
        /// What is wrong.
        why: String,
    },
    /// Images that share most of their bytes.
    #[error("FIT images name {named_bytes} bytes, there are {have_bytes}: they lie over each other")]
    Overlap {
        /// Sum of all images.
        named_bytes: usize,
        /// Length of the file.
        have_bytes: usize,
    },
    /// A hash does not match.
    #[error("FIT image `{image}`: sha256 is {actual}, the FIT says {expected}")]
    Hash {
        /// Name of the image node.
        image: String,
        /// Hexadecimal digest in the FIT.
        expected: String,
        /// Hexadecimal digest of the data.
        actual: String,
    },
    /// An image that carries no sha256 (U-Boot built without `CONFIG_SPL_FIT_SIGNATURE`).
    #[error("FIT image `{0}` carries no sha256")]
    NoHash(String),
}

/// One node of `/images`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Node name: `u-boot`, `atf-1`, `fdt-1`.
    pub name: String,
    /// `description`, empty when absent.
    pub description: String,
    /// `type`: `standalone`, `firmware`, `flat_dt`.
    pub kind: String,
    /// `os`, empty when absent.
    pub os: String,
    /// `compression`, `none` when absent.
    pub compression: String,
    /// Load address.
    pub load: Option<u64>,
    /// Entry address.
    pub entry: Option<u64>,
    /// First byte of the data, from the start of the FIT.
    pub offset_bytes: usize,
    /// Length of the data.
    pub size_bytes: usize,
    /// The sha256 the FIT carries for it.
    pub sha256: Option<Vec<u8>>,
}

/// One node of `/configurations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Node name: `config-1`.
    pub name: String,
    /// `description`; binman puts the device tree's name here.
    pub description: String,
    /// Image the SPL jumps to.
    pub firmware: Option<String>,
    /// Images the SPL loads beside it.
    pub loadables: Vec<String>,
    /// Device tree images.
    pub fdt: Vec<String>,
}

/// A parsed FIT. Data stays in the caller's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// `description` of the root, empty when absent.
    pub description: String,
    /// All images, in the order of the file.
    pub images: Vec<Image>,
    /// All configurations, in the order of the file.
    pub configurations: Vec<Configuration>,
    /// `default` of `/configurations`.
    pub default: Option<String>,
    /// Length of the tree itself.
    pub tree_bytes: usize,
}

impl Fit {
    /// Reads the FIT that `bytes` starts with. Places are checked against the length, hashes are not
    /// compared: see [`Fit::verify`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let tree = Tree::parse(bytes)?;
        let mut images = Vec::new();
        for name in children(&tree, "/images")? {
            images.push(image(&tree, bytes.len(), &name)?);
        }
        let named_bytes =
            images.iter().fold(0_usize, |sum, image: &Image| sum.saturating_add(image.size_bytes));
        if named_bytes / OVERLAP_LIMIT > bytes.len() {
            return Err(Error::Overlap { named_bytes, have_bytes: bytes.len() });
        }
        let mut configurations = Vec::new();
        for name in children(&tree, "/configurations")? {
            let path = format!("/configurations/{name}");
            configurations.push(Configuration {
                description: text(&tree, &path, "description")?.unwrap_or_default(),
                firmware: text(&tree, &path, "firmware")?,
                loadables: list(&tree, &path, "loadables")?,
                fdt: list(&tree, &path, "fdt")?,
                name,
            });
        }
        Ok(Self {
            description: text(&tree, "/", "description")?.unwrap_or_default(),
            default: text(&tree, "/configurations", "default")?,
            images,
            configurations,
            tree_bytes: tree.size_bytes(),
        })
    }

    /// The image node of this name.
    pub fn image(&self, name: &str) -> Result<&Image, Error> {
        self.images.iter().find(|image| image.name == name).ok_or_else(|| Error::NoImage(name.to_owned()))
    }

    /// Data of the image of this name, out of the bytes given to [`Fit::parse`].
    pub fn data<'a>(&self, bytes: &'a [u8], name: &str) -> Result<&'a [u8], Error> {
        let image = self.image(name)?;
        image
            .offset_bytes
            .checked_add(image.size_bytes)
            .and_then(|end| bytes.get(image.offset_bytes..end))
            .ok_or_else(|| Error::Data { image: name.to_owned(), why: "data lies past the end".to_owned() })
    }

    /// The configuration the SPL takes when nothing else is asked for.
    pub fn default_configuration(&self) -> Result<&Configuration, Error> {
        let name = self.default.as_deref().unwrap_or("(default)");
        self.configurations
            .iter()
            .find(|configuration| configuration.name == name)
            .ok_or_else(|| Error::NoConfiguration(name.to_owned()))
    }

    /// The device tree of the default configuration, parsed. It must be stored uncompressed.
    pub fn device_tree<'a>(&self, bytes: &'a [u8]) -> Result<Tree<'a>, Error> {
        let configuration = self.default_configuration()?;
        let name = configuration.fdt.first().ok_or_else(|| Error::NoImage("fdt".to_owned()))?;
        Ok(Tree::parse(self.data(bytes, name)?)?)
    }

    /// Compares the sha256 of every image with its data. An image without one is an error.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Error> {
        for image in &self.images {
            let expected = image.sha256.as_ref().ok_or_else(|| Error::NoHash(image.name.clone()))?;
            let actual = Sha256::digest(self.data(bytes, &image.name)?);
            if actual.as_slice() != expected.as_slice() {
                return Err(Error::Hash {
                    image: image.name.clone(),
                    expected: hex(expected),
                    actual: hex(&actual),
                });
            }
        }
        Ok(())
    }

    /// Bytes from the start of the FIT to the end of its last image.
    pub fn end_bytes(&self) -> usize {
        self.images
            .iter()
            .map(|image| image.offset_bytes + image.size_bytes)
            .fold(self.tree_bytes, usize::max)
    }
}

fn children(tree: &Tree<'_>, path: &'static str) -> Result<Vec<String>, Error> {
    let names = tree.children(path)?;
    if names.len() > NODE_LIMIT { Err(Error::TooMany { path, count: names.len() }) } else { Ok(names) }
}

fn image(tree: &Tree<'_>, have_bytes: usize, name: &str) -> Result<Image, Error> {
    let path = format!("/images/{name}");
    let (offset_bytes, size_bytes) = place(tree, &path, name)?;
    if offset_bytes.checked_add(size_bytes).is_none_or(|end| end > have_bytes) {
        let why = format!("data at {offset_bytes:#x} with {size_bytes:#x} bytes lies past {have_bytes:#x}");
        return Err(Error::Data { image: name.to_owned(), why });
    }
    let mut sha256 = None;
    // A hash node is called `hash`, `hash-1` or `hash@1`; a signature node is none of our business.
    for child in tree.children(&path)?.iter().filter(|child| child.starts_with("hash")) {
        let hash_path = format!("{path}/{child}");
        if tree.string(&hash_path, "algo")? == "sha256" {
            sha256 = Some(tree.property(&hash_path, "value")?.to_vec());
        }
    }
    Ok(Image {
        name: name.to_owned(),
        description: text(tree, &path, "description")?.unwrap_or_default(),
        kind: tree.string(&path, "type")?,
        os: text(tree, &path, "os")?.unwrap_or_default(),
        compression: text(tree, &path, "compression")?.unwrap_or_else(|| "none".to_owned()),
        load: number(tree, &path, "load")?,
        entry: number(tree, &path, "entry")?,
        offset_bytes,
        size_bytes,
        sha256,
    })
}

/// Where an image's data lies, from the start of the FIT.
fn place(tree: &Tree<'_>, path: &str, name: &str) -> Result<(usize, usize), Error> {
    if let Some(inside) = tree.optional(path, "data")? {
        // The value is a part of the tree's own bytes, so its distance from them is its offset.
        let offset_bytes = inside.as_ptr().addr() - tree.bytes().as_ptr().addr();
        return Ok((offset_bytes, inside.len()));
    }
    let outside = match number(tree, path, "data-position")? {
        Some(position) => Some(position),
        None => number(tree, path, "data-offset")?
            .and_then(|offset| offset.checked_add(tree.size_bytes().next_multiple_of(4) as u64)),
    };
    match (outside, number(tree, path, "data-size")?) {
        (Some(offset), Some(size)) => Ok((saturate(offset), saturate(size))),
        _ => Err(Error::Data { image: name.to_owned(), why: "has no data".to_owned() }),
    }
}

/// A number too large for this machine is past the end of any file; the bounds check then says so.
fn saturate(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn text(tree: &Tree<'_>, path: &str, name: &str) -> Result<Option<String>, Error> {
    Ok(match tree.optional(path, name)? {
        Some(_) => Some(tree.string(path, name)?),
        None => None,
    })
}

fn list(tree: &Tree<'_>, path: &str, name: &str) -> Result<Vec<String>, Error> {
    Ok(match tree.optional(path, name)? {
        Some(_) => tree.strings(path, name)?,
        None => Vec::new(),
    })
}

fn number(tree: &Tree<'_>, path: &str, name: &str) -> Result<Option<u64>, Error> {
    Ok(match tree.optional(path, name)? {
        Some(_) => Some(tree.number(path, name)?),
        None => None,
    })
}

#[cfg(test)]
mod tests;
