// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Images written and read again, and the ways in which a layout or a tarball can be wrong.

use std::collections::BTreeMap;
use std::io;

use fw_image::oci::{
    self, Compression, Config, Image, Layer, Layout, Platform, ReadImage, Source, Tarball, Tree, open,
};
use fw_image::overlay::check_images;
use fw_image::profile::{MIN_DISK_BYTES, Profile};

const TIME: u64 = 1_735_689_600;
const NAME: &str = "nanopi-m6";

/// A static program's header for a processor: an ELF file without segments.
fn program(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    bytes[16..18].copy_from_slice(&2_u16.to_le_bytes());
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[20..24].copy_from_slice(&1_u32.to_le_bytes());
    bytes[52..54].copy_from_slice(&64_u16.to_le_bytes());
    bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
    bytes
}

fn tree(machine: u16, profile: &str) -> Tree {
    let mut tree = Tree::new();
    tree.file("artifacts/arm64/u-boot/nanopi-m6/u-boot-rockchip.bin", 0o644, vec![7; 3000]).expect("path");
    tree.file(&format!("installers/{NAME}"), 0o755, program(machine)).expect("path");
    tree.file(&format!("profiles/{NAME}.yaml"), 0o644, profile.as_bytes().to_vec()).expect("path");
    tree
}

fn image(architecture: &str, tar: Vec<u8>) -> Image {
    let config = Config { run: serde_json::json!({}), created: "2025-01-01T00:00:00Z".to_owned() };
    let layers = vec![Layer::new(tar, Compression::Gzip)];
    Image::new(Platform::linux(architecture), &config, layers, &BTreeMap::new()).expect("an image")
}

/// The layout of an overlay whose arm64 tree is another one.
fn layout_with(arm64_tar: Vec<u8>) -> Files {
    let profile = Profile::sbc(MIN_DISK_BYTES).to_yaml();
    let amd64 = image("amd64", tree(62, &profile).tar(TIME).expect("tar"));
    let layout = Layout::new(&[amd64, image("arm64", arm64_tar)], &BTreeMap::new()).expect("a layout");
    Files(layout.files().map(|(path, content)| (path.to_owned(), content.to_vec())).collect())
}

fn good() -> Files {
    let profile = Profile::sbc(MIN_DISK_BYTES).to_yaml();
    layout_with(tree(183, &profile).tar(TIME).expect("tar"))
}

#[derive(Clone, PartialEq, Debug)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Source for Files {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Files {
    fn check(&self) -> Result<(), String> {
        let images = open(self).map_err(|e| e.to_string())?;
        check_images(&images, NAME).map(|_| ()).map_err(|e| e.to_string())
    }

    fn refused(&self) -> String {
        self.check().expect_err("must be refused")
    }

    /// Replaces text in `index.json`.
    fn index(mut self, from: &str, to: &str) -> Files {
        let text = String::from_utf8(self.0["index.json"].clone()).expect("text");
        assert!(text.contains(from), "{text} has no `{from}`");
        self.0.insert("index.json".to_owned(), text.replacen(from, to, 1).into_bytes());
        self
    }
}

/// The tarball of entries as they are given, without what a well-behaved writer adds.
fn raw_tar(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        // Not by `set_path`, which refuses `..`.
        header.as_ustar_mut().expect("ustar").name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        let is_file = kind.is_file();
        header.set_size(if is_file { content.len() as u64 } else { 0 });
        if !is_file && !content.is_empty() {
            header.set_link_name(content).expect("a name");
        }
        header.set_cksum();
        builder.append(&header, if is_file { content.as_bytes() } else { b"" }).expect("memory");
    }
    builder.into_inner().expect("memory")
}

const DIR: tar::EntryType = tar::EntryType::Directory;
const FILE: tar::EntryType = tar::EntryType::Regular;

#[test]
fn an_overlay_reads_back() {
    let files = good();
    files.check().expect("a good overlay");
    assert_eq!(files, good(), "the same bytes again");
    let images = open(&files).expect("a layout");
    assert!(images.iter().all(|image| image.at_top_level && image.digest.is_some()));
    let arm64 = ReadImage::for_platform(&images, &Platform::linux("arm64")).expect("there");
    let entries = oci::rootfs(&arm64.layers[0].tar().expect("gzip")).expect("a tree");
    let modes: Vec<_> = entries.iter().map(|e| (e.path.as_str(), e.mode)).collect();
    assert!(modes.contains(&("installers/nanopi-m6", 0o755)) && modes.contains(&("installers", 0o755)));
}

#[test]
fn must_fail_01_overlay_tar_without_parent_entries() {
    let profile = Profile::sbc(MIN_DISK_BYTES).to_yaml();
    let whole = tree(183, &profile).tar(TIME).expect("tar");
    // Each folder's entry in turn.
    let folders: Vec<String> = oci::rootfs(&whole)
        .expect("good")
        .into_iter()
        .filter(|entry| entry.kind == oci::EntryKind::Folder)
        .map(|entry| entry.path)
        .collect();
    assert_eq!(folders.len(), 6, "{folders:?}");
    for folder in folders {
        let mut builder = tar::Builder::new(Vec::new());
        for entry in tar::Archive::new(&whole[..]).entries().expect("entries") {
            let mut entry = entry.expect("entry");
            let path = entry.path().expect("path").to_string_lossy().trim_end_matches('/').to_owned();
            if path != folder {
                let header = entry.header().clone();
                builder.append(&header, &mut entry).expect("memory");
            }
        }
        let why = layout_with(builder.into_inner().expect("memory")).refused();
        assert!(why.contains(&format!("its folder `{folder}` has no entry before it")), "{folder}: {why}");
    }
}

#[test]
fn must_fail_02_paths_and_links() {
    for (entries, says) in [
        (vec![("../x", FILE, "")], "leads outside"),
        (vec![("a/", DIR, ""), ("a/../../x", FILE, "")], "leads outside"),
        (vec![("/etc/x", FILE, "")], "absolute"),
        (vec![("x", tar::EntryType::Link, "y")], "links are not allowed"),
        (vec![("x", tar::EntryType::Symlink, "/etc/passwd")], "links are not allowed"),
        (vec![("x", tar::EntryType::Char, "")], "only files and folders"),
        (vec![("x", tar::EntryType::Fifo, "")], "only files and folders"),
        (vec![("x", FILE, "1"), ("x", FILE, "2")], "there twice"),
        (vec![("x", FILE, "1"), ("./x", FILE, "2")], "there twice"),
        (vec![("x", FILE, "1"), ("x/y", FILE, "2")], "`x` is a file"),
        (vec![], "the tarball is empty"),
    ] {
        let why = layout_with(raw_tar(&entries)).refused();
        assert!(why.contains(says), "{entries:?}: {why}");
    }
    // A root entry does no harm.
    oci::rootfs(&raw_tar(&[("./", DIR, ""), ("./a/", DIR, ""), ("./a/b", FILE, "x")]))
        .expect("as `tar .` has it");
    let mut cut = tree(183, "x").tar(TIME).expect("tar");
    cut.truncate(cut.len() / 2 + 100);
    assert!(oci::rootfs(&cut).is_err());
}

#[test]
fn must_fail_03_profile_without_bootloader_grub() {
    let profile = Profile::sbc(MIN_DISK_BYTES).to_yaml();
    let without = profile.replace("    bootloader: grub\n", "");
    let why = layout_with(tree(183, &without).tar(TIME).expect("tar")).refused();
    assert!(why.contains("`profiles/nanopi-m6.yaml`") && why.contains("is absent, not grub"), "{why}");
    // Every profile is decoded by the imager, also one that nobody asked for.
    let mut other = tree(183, &profile);
    other.file("profiles/other.yaml", 0o644, b"arch: [".to_vec()).expect("path");
    assert!(layout_with(other.tar(TIME).expect("tar")).refused().contains("`profiles/other.yaml`"));
}

#[test]
fn must_fail_04_trees() {
    let profile = Profile::sbc(MIN_DISK_BYTES).to_yaml();
    let tar = |tree: &Tree| tree.tar(TIME).expect("tar");
    let why = layout_with(tar(&tree(62, &profile))).refused();
    assert!(why.contains("is for ELF machine 62, not for arm64 (183)"), "{why}");
    let mut tree_without = Tree::new();
    tree_without.file("profiles/nanopi-m6.yaml", 0o644, profile.clone().into_bytes()).expect("path");
    assert!(layout_with(tar(&tree_without)).refused().contains("no installer"));
    tree_without.file("installers/nanopi-m6", 0o644, program(183)).expect("path");
    assert!(layout_with(tar(&tree_without)).refused().contains("not executable"));
    let mut script = Tree::new();
    script.file("installers/nanopi-m6", 0o755, b"#!/bin/sh\n".to_vec()).expect("path");
    assert!(layout_with(tar(&script)).refused().contains("is not an ELF program"));
    let mut bare = Tree::new();
    bare.file("installers/nanopi-m6", 0o755, program(183)).expect("path");
    assert!(layout_with(tar(&bare)).refused().contains("no folder `artifacts`"));
    bare.folder("artifacts").expect("path");
    assert!(layout_with(tar(&bare)).refused().contains("no `profiles/nanopi-m6.yaml`"));
}

#[test]
fn must_fail_05_wrong_digests() {
    let files = good();
    let blobs: Vec<String> = files.0.keys().filter(|path| path.starts_with("blobs/")).cloned().collect();
    assert_eq!(blobs.len(), 6);
    for path in &blobs {
        let mut damaged = files.clone();
        let bytes = damaged.0.get_mut(path).expect("there");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(damaged.refused().contains("is damaged"), "{path}");
        let mut short = files.clone();
        short.0.get_mut(path).expect("there").pop();
        assert!(short.refused().contains("bytes"), "{path}");
        let mut missing = files.clone();
        missing.0.remove(path);
        assert!(missing.refused().contains(path.as_str()), "{path}");
    }
    // A layer that is sound, and not the one of the configuration.
    let mut image = image("arm64", tree(183, "x").tar(TIME).expect("tar"));
    let config = String::from_utf8(image.config.clone()).expect("text");
    let wrong = config.replace(&image.layers[0].diff_id, &oci::digest(b"other"));
    assert_ne!(wrong, config);
    let manifest = String::from_utf8(image.manifest.clone()).expect("text");
    let manifest = manifest.replace(&oci::digest(config.as_bytes()), &oci::digest(wrong.as_bytes()));
    (image.config, image.manifest) = (wrong.into_bytes(), manifest.into_bytes());
    let layout = Layout::new(&[image], &BTreeMap::new()).expect("a layout");
    let files = Files(layout.files().map(|(p, c)| (p.to_owned(), c.to_vec())).collect());
    let why = open(&files).expect("sound blobs")[0].layers[0].tar().expect_err("another layer").to_string();
    assert!(why.contains("the configuration says"), "{why}");
}

#[test]
fn must_fail_06_indexes() {
    assert!(good().index("linux", "windows").refused().contains("the index says"));
    assert!(good().index("sha256:", "sha256:../../").refused().contains("is not a SHA-256 digest"));
    assert!(good().index("{", "[").refused().contains("`index.json` is not valid"));
    let arm64_only = |files: &mut Files| {
        let mut index: serde_json::Value = serde_json::from_slice(&files.0["index.json"]).expect("JSON");
        index["manifests"].as_array_mut().expect("list").retain(|m| m["platform"]["architecture"] == "arm64");
        files.0.insert("index.json".to_owned(), index.to_string().into_bytes());
    };
    let mut files = good();
    arm64_only(&mut files);
    assert!(files.refused().contains("no image for linux/amd64; there are: linux/arm64"));
    let mut files = good();
    files.0.remove("oci-layout");
    assert!(files.refused().contains("no file `oci-layout`"));
    assert!(Files(BTreeMap::new()).refused().contains("neither `index.json` nor `manifest.json`"));
    // The whole as an image of a registry: one index in another. Good for a base image, not for the imager.
    let mut nested = good();
    let inner = nested.0["index.json"].clone();
    let digest = oci::digest(&inner);
    nested.0.insert(oci::blob_path(&digest).expect("a digest"), inner.clone());
    let outer = serde_json::json!({ "schemaVersion": 2, "manifests": [
        { "mediaType": oci::media::INDEX, "digest": digest, "size": inner.len() }
    ]});
    nested.0.insert("index.json".to_owned(), outer.to_string().into_bytes());
    assert_eq!(open(&nested).expect("two images").len(), 2);
    assert!(nested.refused().contains("not in the top-level index"));
}

#[test]
fn docker_archives() {
    let image = image("arm64", tree(183, "x").tar(TIME).expect("tar"));
    let tar = oci::docker_archive(&image, "example.org/installer:v1", TIME).expect("a tarball");
    assert_eq!(tar, oci::docker_archive(&image, "example.org/installer:v1", TIME).expect("again"));
    let tarball = Tarball::read(&tar[..]).expect("a tarball");
    let images = open(&tarball).expect("an image");
    assert_eq!(images[0].platform, Platform::linux("arm64"));
    assert_eq!(images[0].layers[0].diff_id, image.layers[0].diff_id);
    // A layer that was changed.
    let at = tar.windows(10).position(|w| w == &image.layers[0].blob[..10]).expect("the layer");
    let mut damaged = tar.clone();
    damaged[at + 40] ^= 1;
    assert!(open(&Tarball::read(&damaged[..]).expect("a tarball")).is_err());
    assert!(Tarball::read(&tar[..1000]).is_err());
    assert!(open(&Tarball::default()).is_err());
}
