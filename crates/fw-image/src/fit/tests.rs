// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A FIT in the form binman gives it, and the ways it can be wrong.

use super::*;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// Where the first external image lies; the tree is far shorter.
const EXTERNAL_OFFSET: u32 = 0x1000;

fn node(name: &str, properties: &[(&str, Vec<u8>)], children: Vec<DeviceTreeNode>) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new(name).expect("a legal node name");
    for (name, value) in properties {
        node.add_property(DeviceTreeProperty::new(*name, value.as_slice()).expect("a legal property name"));
    }
    for child in children {
        node.add_child(child);
    }
    node
}

fn cell(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn board_tree() -> Vec<u8> {
    let mut tree = DeviceTree::new();
    for (name, value) in [("model", "FriendlyElec NanoPi M6\0"), ("compatible", "friendlyarm,nanopi-m6\0")] {
        tree.root.add_property(DeviceTreeProperty::new(name, value.as_bytes()).expect("a legal name"));
    }
    tree.to_dtb()
}

struct Recipe {
    hashes: bool,
    size_of_uboot: u32,
    default: &'static str,
}

const GOOD: Recipe = Recipe { hashes: true, size_of_uboot: 600, default: "config-1\0" };

fn build(recipe: &Recipe) -> Vec<u8> {
    let dtb = board_tree();
    let images = [
        ("u-boot", "standalone\0", "U-Boot\0", vec![0xaa; 600]),
        ("atf-1", "firmware\0", "arm-trusted-firmware\0", vec![0xbb; 512]),
        ("fdt-1", "flat_dt\0", "\0", dtb),
    ];
    let mut outside = Vec::new();
    let mut nodes = Vec::new();
    for (name, kind, os, data) in &images {
        let position = EXTERNAL_OFFSET + outside.len() as u32;
        let size = if *name == "u-boot" { recipe.size_of_uboot } else { data.len() as u32 };
        let hash = node(
            "hash",
            &[("algo", b"sha256\0".to_vec()), ("value", Sha256::digest(data).to_vec())],
            Vec::new(),
        );
        nodes.push(node(
            name,
            &[
                ("type", kind.as_bytes().to_vec()),
                ("os", os.as_bytes().to_vec()),
                ("load", cell(0xa0_0000)),
                ("data-position", cell(position)),
                ("data-size", cell(size)),
            ],
            if recipe.hashes { vec![hash] } else { Vec::new() },
        ));
        outside.extend_from_slice(data);
        outside.resize(outside.len().next_multiple_of(512), 0);
    }
    let configuration = node(
        "config-1",
        &[
            ("description", b"rk3588s-nanopi-m6.dtb\0".to_vec()),
            ("firmware", b"atf-1\0".to_vec()),
            ("loadables", b"u-boot\0atf-2\0".to_vec()),
            ("fdt", b"fdt-1\0".to_vec()),
        ],
        Vec::new(),
    );
    let mut tree = DeviceTree::new();
    tree.root.add_child(node("images", &[], nodes));
    tree.root.add_child(node(
        "configurations",
        &[("default", recipe.default.as_bytes().to_vec())],
        vec![configuration],
    ));
    let mut fit = tree.to_dtb();
    fit.resize(EXTERNAL_OFFSET as usize, 0);
    fit.extend(outside);
    fit
}

#[test]
fn good_fit_reads_and_verifies() {
    let bytes = build(&GOOD);
    let fit = Fit::parse(&bytes).expect("a FIT like binman's");
    fit.verify(&bytes).expect("all hashes match");
    let names: Vec<_> = fit.images.iter().map(|i| (i.name.as_str(), i.kind.as_str())).collect();
    assert_eq!(names, [("u-boot", "standalone"), ("atf-1", "firmware"), ("fdt-1", "flat_dt")]);
    assert_eq!(fit.image("u-boot").expect("u-boot").load, Some(0xa0_0000));
    assert_eq!(fit.data(&bytes, "atf-1").expect("atf-1"), vec![0xbb; 512]);
    let configuration = fit.default_configuration().expect("config-1");
    assert_eq!(configuration.description, "rk3588s-nanopi-m6.dtb");
    assert_eq!(configuration.loadables, ["u-boot", "atf-2"]);
    let tree = fit.device_tree(&bytes).expect("fdt-1");
    assert_eq!(tree.compatible().expect("compatible"), ["friendlyarm,nanopi-m6"]);
    assert!(fit.end_bytes() <= bytes.len() && fit.end_bytes() > EXTERNAL_OFFSET as usize);
}

#[test]
fn data_inside_the_tree_and_by_offset() {
    let mut tree = DeviceTree::new();
    let inside = node("kernel-1", &[("type", b"kernel\0".to_vec()), ("data", vec![1, 2, 3])], Vec::new());
    let by_offset = node(
        "kernel-2",
        &[("type", b"kernel\0".to_vec()), ("data-offset", cell(0)), ("data-size", cell(2))],
        Vec::new(),
    );
    tree.root.add_child(node("images", &[], vec![inside, by_offset]));
    tree.root.add_child(node("configurations", &[], Vec::new()));
    let mut bytes = tree.to_dtb();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend([8, 9]);
    let fit = Fit::parse(&bytes).expect("both forms");
    assert_eq!(fit.data(&bytes, "kernel-1").expect("inside"), [1, 2, 3]);
    assert_eq!(fit.data(&bytes, "kernel-2").expect("by offset"), [8, 9]);
}

#[test]
fn must_fail_01_bad_magic() {
    let mut bytes = build(&GOOD);
    bytes[0] = 0;
    assert!(matches!(Fit::parse(&bytes), Err(Error::Tree(fdt::Error::Magic(_)))));
}

#[test]
fn must_fail_02_truncated_tree_or_data() {
    let bytes = build(&GOOD);
    assert!(matches!(Fit::parse(&bytes[..100]), Err(Error::Tree(fdt::Error::Truncated { .. }))));
    assert!(matches!(Fit::parse(&bytes[..bytes.len() - 512]), Err(Error::Data { .. })));
}

#[test]
fn must_fail_03_data_changed() {
    let mut bytes = build(&GOOD);
    bytes[EXTERNAL_OFFSET as usize] ^= 1;
    let fit = Fit::parse(&bytes).expect("the structure is untouched");
    assert!(matches!(fit.verify(&bytes), Err(Error::Hash { image, .. }) if image == "u-boot"));
}

#[test]
fn must_fail_04_no_hash() {
    let bytes = build(&Recipe { hashes: false, ..GOOD });
    let fit = Fit::parse(&bytes).expect("hashes are optional in the format");
    assert!(matches!(fit.verify(&bytes), Err(Error::NoHash(image)) if image == "u-boot"));
}

#[test]
fn must_fail_05_size_past_the_end() {
    let bytes = build(&Recipe { size_of_uboot: u32::MAX, ..GOOD });
    assert!(matches!(Fit::parse(&bytes), Err(Error::Data { image, .. }) if image == "u-boot"));
}

#[test]
fn must_fail_06_default_names_nothing() {
    let bytes = build(&Recipe { default: "config-9\0", ..GOOD });
    let fit = Fit::parse(&bytes).expect("the structure is good");
    assert!(matches!(fit.default_configuration(), Err(Error::NoConfiguration(name)) if name == "config-9"));
    assert!(matches!(fit.image("tee"), Err(Error::NoImage(_))));
}

#[test]
fn must_fail_07_not_a_fit() {
    let bytes = board_tree();
    assert!(matches!(Fit::parse(&bytes), Err(Error::Tree(fdt::Error::NoNode(node))) if node == "/images"));
}
