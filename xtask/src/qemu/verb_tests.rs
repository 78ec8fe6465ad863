// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which image is booted, and which is refused.

use super::*;
use fw_image::map::{Evidence, Presence, SCHEMA_VERSION};

fn map(size_bytes: u64) -> ImageMap {
    ImageMap {
        schema_version: SCHEMA_VERSION,
        image: "disk.raw".into(),
        board: "nanopi-m6".into(),
        size_bytes,
        sha256: String::new(),
        userland: Userland::Bringup,
        kernel_release: "6.18.15-x".into(),
        talos_version: "v1.10.9".into(),
        btf: Presence::Off,
        evidence: Evidence::BuiltOnly,
        regions: Vec::new(),
        origins: BTreeMap::new(),
        facts: BTreeMap::new(),
    }
}

#[test]
fn the_compressed_image_comes_first_and_needs_its_map() {
    let out = tempfile::tempdir().expect("folder");
    let text = find_image(out.path(), "disk").expect_err("empty").to_string();
    assert!(text.contains("hint: `cargo xtask qemu --userland bringup`"), "{text}");
    fs_err::write(out.path().join("disk.raw"), "x").expect("file");
    assert!(find_image(out.path(), "disk").expect_err("no map").to_string().contains("disk.map.json"));
    fs_err::write(out.path().join("disk.map.json"), map(1).to_json().expect("text")).expect("file");
    assert_eq!(find_image(out.path(), "disk").expect("raw").0, out.path().join("disk.raw"));
    fs_err::write(out.path().join("disk.raw.xz"), "x").expect("file");
    assert_eq!(find_image(out.path(), "disk").expect("xz").0, out.path().join("disk.raw.xz"));
    fs_err::write(out.path().join("disk.map.json"), "{}").expect("file");
    assert!(find_image(out.path(), "disk").expect_err("bad map").to_string().contains("cannot be read"));
}

#[test]
fn a_decompressed_image_is_the_one_of_the_map_and_read_only() {
    let dir = tempfile::tempdir().expect("folder");
    let mut bytes = vec![0; 3 << 20];
    bytes[5 << 19] = 7;
    let xz = dir.path().join("disk.raw.xz");
    let mut compressed = Vec::new();
    fw_image::xz::compress(&mut &bytes[..], &mut compressed, 1).expect("compresses");
    fs_err::write(&xz, compressed).expect("file");

    let raw = raw_image(&xz, &map(3 << 20), dir.path()).expect("decompressed");
    assert!(fs_err::read(&raw).expect("raw") == bytes);
    assert!(fs_err::metadata(&raw).expect("raw").permissions().readonly());

    fs_err::remove_file(&raw).expect("removed");
    let text = raw_image(&xz, &map(4 << 20), dir.path()).expect_err("another size").to_string();
    assert!(text.contains("is not the image that its map describes"), "{text}");

    let other = tempfile::tempdir().expect("folder");
    fs_err::write(&xz, b"<html>").expect("file");
    let text = raw_image(&xz, &map(3 << 20), other.path()).expect_err("not xz").to_string();
    assert!(text.contains("cannot decompress"), "{text}");
}

#[test]
fn all_means_every_mode() {
    assert_eq!(Choice::All.modes(), Mode::ALL);
    for (choice, mode) in Choice::value_variants()[1..].iter().zip(Mode::ALL) {
        assert_eq!(choice.modes(), [mode]);
    }
}

#[test]
fn the_image_verb_has_a_default_for_everything() {
    // `--userland` builds the image with them; a required flag there would end this process.
    assert!(ImageCommand::try_parse_from(["image"]).is_ok());
}
