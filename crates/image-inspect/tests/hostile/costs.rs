// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files that cost far more than their size: what is named many times, and what is read for every name.

use std::io::{Read, Seek, SeekFrom};

use fw_image::fat::{self, Volume};
use fw_image::fdt;
use fw_image::lba::Lba;
use fw_image::squashfs::Squashfs;
use fw_image::xfs;

use crate::builders::{Xfs, squashfs_of_links};
use crate::run;
use crate::watch::Watch;

/// What listing a file system may allocate beside its image.
const LIST_BYTES: usize = 320 << 20;

/// Counts what is read.
struct Counted<R>(R, u64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.0.read(buffer)?;
        self.1 += got as u64;
        Ok(got)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

fn long(letter: &str) -> String {
    letter.repeat(250)
}

#[test]
fn a_squashfs_of_many_long_links_is_an_error() {
    let image = squashfs_of_links(20_000, 60_000);
    let few = squashfs_of_links(20, 60_000);
    assert_eq!(Squashfs::open(&few).expect("a superblock").list().expect("twenty links").len(), 20);
    let watch = Watch::start();
    let listed = Squashfs::open(&image).expect("a superblock").list().map(|l| l.len());
    let error = listed.expect_err("a gigabyte").to_string();
    let (_, peak) = watch.stop();
    assert!(error.contains("more than"), "{error}");
    assert!(peak < LIST_BYTES, "{} MB", peak >> 20);
}

#[test]
fn a_fat_of_many_long_paths_is_an_error() {
    const BYTES: u64 = 40 << 20;
    // Thirty folders in each other, many files in the last one: each path has 7500 bytes.
    let folder: String = (0..30).map(|_| format!("{}/", long("x"))).collect();
    let names: Vec<String> = (0..40_000).map(|i| format!("{folder}F{i}")).collect();
    let mut image = std::io::Cursor::new(vec![0; BYTES as usize]);
    let spec =
        fat::Spec { size_bytes: BYTES, label: "EFI".to_owned(), volume_id: 1, partition_start: Lba(0) };
    let files: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &[][..])).collect();
    fat::build(&mut image, &spec, &files).expect("fits");
    drop(files);
    drop(names);
    let watch = Watch::start();
    let listed = Volume::open(image).expect("a FAT").list().map(|l| l.len());
    let error = listed.expect_err("300 MB of paths").to_string();
    let (_, peak) = watch.stop();
    assert!(error.contains("more than"), "{error}");
    assert!(peak < LIST_BYTES, "{} MB", peak >> 20);
}

#[test]
fn an_xfs_of_many_long_paths_is_an_error() {
    // As above: each block has 255 names for one file.
    let mut image = Xfs::new(2048);
    image.directory(Xfs::ROOT, &[("d", 65)]);
    for i in 65..95 {
        image.directory(i, &[(&long("x"), i + 1)]);
    }
    image.directory_at(95, 100, 200);
    image.file_at(96, 0, 0, 0);
    for block in 0..200_u64 {
        let names: Vec<String> = (0..160).map(|i| format!("f{block}-{i}")).collect();
        image.names(100 + block, &names, 96);
    }
    let watch = Watch::start();
    let mut xfs = xfs::Xfs::open(std::io::Cursor::new(&image.image)).expect("an xfs");
    let error = xfs.list().map(|l| l.len()).expect_err("240 MB of paths").to_string();
    let (_, peak) = watch.stop();
    assert!(error.contains("more than"), "{error}");
    assert!(peak < LIST_BYTES, "{} MB", peak >> 20);
}

#[test]
fn directories_that_share_their_blocks_are_not_read_without_end() {
    // Four hundred directories, all of the same 8 MiB without a name.
    let mut image = Xfs::new(8192);
    for block in 0..2048 {
        image.names(4096 + block, &[], 0);
    }
    let names: Vec<String> = (0..400).map(|i| format!("d{i}")).collect();
    for (i, chunk) in names.chunks(20).enumerate() {
        let upper = 128 + i as u64;
        let entries: Vec<(&str, u64)> =
            chunk.iter().enumerate().map(|(k, n)| (n.as_str(), 1000 + (i * 20 + k) as u64)).collect();
        image.directory(upper, &entries);
    }
    let uppers: Vec<String> = (0..20).map(|i| format!("u{i}")).collect();
    let entries: Vec<(&str, u64)> =
        uppers.iter().enumerate().map(|(i, n)| (n.as_str(), 128 + i as u64)).collect();
    image.directory(Xfs::ROOT, &entries);
    for i in 0..400 {
        image.directory_at(1000 + i, 4096, 2048);
    }
    let mut counted = Counted(std::io::Cursor::new(&image.image), 0);
    let listed = xfs::Xfs::open(&mut counted).expect("an xfs").list().map(|l| l.len());
    let error = listed.expect_err("3 GiB").to_string();
    assert!(error.contains("directories of more than"), "{error}");
    assert!(counted.1 < 512 << 20, "{} MB were read", counted.1 >> 20);
}

#[test]
fn directories_of_a_fat_that_share_their_chain_are_not_read_without_end() {
    const BYTES: u64 = 40 << 20;
    let names: Vec<String> = (0..2000).map(|i| format!("D{i}/F")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &[][..])).collect();
    let mut image = std::io::Cursor::new(vec![0; BYTES as usize]);
    let spec =
        fat::Spec { size_bytes: BYTES, label: "EFI".to_owned(), volume_id: 1, partition_start: Lba(0) };
    fat::build(&mut image, &spec, &files).expect("fits");
    let mut image = image.into_inner();
    // Each chain that ends goes on with the same free clusters at the end: nearly 2 MiB of them.
    let reserved = usize::from(u16::from_le_bytes([image[14], image[15]])) * 512;
    let cluster_bytes = usize::from(image[13]) * 512;
    let shared = 0x18_0000 / cluster_bytes;
    let clusters = (BYTES as usize - (4 << 20)) / cluster_bytes;
    let first = clusters - shared;
    for cluster in 3..clusters {
        let place = &mut image[reserved + 4 * cluster..][..4];
        let value = u32::from_le_bytes([place[0], place[1], place[2], place[3]]);
        if cluster >= first {
            let next = if cluster + 1 == clusters { 0x0fff_ffff } else { cluster as u32 + 1 };
            place.copy_from_slice(&next.to_le_bytes());
        } else if value & 0x0fff_fff8 == 0x0fff_fff8 {
            place.copy_from_slice(&(first as u32).to_le_bytes());
        }
    }
    let mut counted = Counted(std::io::Cursor::new(&image), 0);
    let listed = Volume::open(&mut counted).expect("a FAT").list().map(|l| l.len());
    let error = listed.expect_err("3 GB").to_string();
    assert!(error.contains("directories of more than"), "{error}");
    assert!(counted.1 < 512 << 20, "{} MB were read", counted.1 >> 20);
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

#[test]
fn a_tree_in_every_sector_is_not_read_in_every_sector() {
    const BYTES: usize = 24 << 20;
    let mut image = vec![0; BYTES];
    // One structure of 12 MiB, which all trees share: a root, words that say nothing, the end.
    let structure = 12 << 20;
    image[structure..structure + 8].copy_from_slice(&words(&[1, 0]));
    for at in (structure + 8..BYTES - 1024).step_by(4) {
        image[at + 3] = 4;
    }
    image[BYTES - 1024..BYTES - 1016].copy_from_slice(&words(&[2, 9]));
    image[64 * 512..64 * 512 + 4].copy_from_slice(b"RKNS");
    for at in (16384 * 512..structure).step_by(512) {
        let (total, place) = ((BYTES - at) as u32, (structure - at) as u32);
        image[at..at + 40].copy_from_slice(&words(&[fdt::MAGIC, total, place, 40, 40, 17, 16, 0, 0, 0]));
    }
    run("inspect", &image).expect("soon");
}

#[test]
fn images_of_a_fit_that_are_all_the_same_bytes_are_an_error() {
    use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
    const BYTES: u32 = 30 << 20;
    let property = |name: &str, value: &[u8]| DeviceTreeProperty::new(name, value).expect("a legal name");
    let node = |name: &str| DeviceTreeNode::new(name).expect("a legal name");
    let (mut fit, mut images, mut loadables) = (DeviceTree::new(), node("images"), Vec::new());
    for i in 0..200_u32 {
        let mut image = node(&format!("atf-{i}"));
        image.add_property(property("type", b"firmware\0"));
        image.add_property(property("os", b"arm-trusted-firmware\0"));
        image.add_property(property("data-position", &(65536 + i).to_be_bytes()));
        image.add_property(property("data-size", &(BYTES - 65536 - 256).to_be_bytes()));
        images.add_child(image);
        loadables.extend(format!("atf-{i}\0").into_bytes());
    }
    let (mut configurations, mut configuration) = (node("configurations"), node("config-1"));
    configuration.add_property(property("loadables", &loadables));
    configurations.add_property(property("default", b"config-1\0"));
    configurations.add_child(configuration);
    fit.root.add_child(images);
    fit.root.add_child(configurations);
    let mut bytes = fit.to_dtb();
    assert!(bytes.len() < 65536);
    bytes.resize(BYTES as usize, b'f');
    run("inspect", &bytes).expect("soon");
    run("fit", &bytes).expect("soon");
}
