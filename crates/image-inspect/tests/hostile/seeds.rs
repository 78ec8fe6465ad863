// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What mutations start from: pieces of the image in `out/` where one was built, and small files made here for every
//! format, so that a fresh checkout has seeds, too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Write};
use std::path::Path;

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use fw_image::gpt::{Geometry, Partition, Table};
use fw_image::guid::Guid;
use fw_image::lba::Lba;
use fw_image::{cpio, fat, grubcfg, initramfs};
use image_inspect::fuzz::{CHUNK_BYTES, TARGETS};
use image_inspect::inspect;
use image_inspect::open::{Limits, open};
use image_inspect::report::Range;
use image_inspect::source::{FileSource, Source, bytes};
use image_inspect::{Expect, open::Container};

/// Seeds by target.
pub type Seeds = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// Pieces of a file system or disk that go into one sparse seed.
const CHUNKS: usize = 24;
/// A real file is cut here: mutations of a long one change too little in a second.
const PIECE_BYTES: usize = 64 << 10;

/// All seeds.
pub fn all() -> Seeds {
    let mut seeds: Seeds = TARGETS.iter().map(|(name, _)| (*name, Vec::new())).collect();
    let mut add = |target: &str, seed: Vec<u8>| seeds.get_mut(target).expect("a target").push(seed);
    add("idblock", idblock(b"DDR 0 typ x,fwver: v1.18\n"));
    let tree = tree("FriendlyElec NanoPi M6", "friendlyarm,nanopi-m6");
    add("fdt", tree.clone());
    let fit = fit(&tree);
    add("fit", fit.clone());
    add("inspect", fit.clone());
    add("inspect", program(&[(".cmdline", b"console=ttyS2"), (".linux", &fit), (".initrd", b"070701")]));
    let disk = disk();
    add("gpt", disk.clone());
    add("inspect", disk);
    let loader = loader(&fit);
    add("inspect", loader[..PIECE_BYTES].to_vec());
    add("disk", chunks(&&loader[..], &[], 0x8000));
    add("fat", chunks(&&esp(&tree)[..], &[], 0));
    let archive = archive();
    add("initramfs", archive.clone());
    add("initramfs", initramfs::compress(&archive, 1, 1).expect("zstd"));
    add("container", initramfs::compress(&archive, 1, 1).expect("zstd"));
    let config = grubcfg::Config::image("v1.10.9", "console=ttyS2,1500000n8").render().expect("a good one");
    add("text", config.into_bytes());
    for target in ["elf", "modsig", "kernel"] {
        add(
            target,
            [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 200], b"~Module signature appended~\n"].concat(),
        );
    }
    add("squashfs", [b"hsqs".as_slice(), &[0; 200]].concat());
    add("xfs", [&[0; 4], b"XFSB".as_slice(), &[0; CHUNK_BYTES]].concat());
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../out/metal-arm64-nanopi-m6.raw.xz");
    if let Ok(file) = File::open(built) {
        from_image(file, &mut add);
    }
    seeds
}

/// Writes a folder for each target.
pub fn write(seeds: &Seeds, folder: &Path) {
    for (target, seeds) in seeds {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder).expect("a folder for the corpus");
        for (i, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{i}")), seed).expect("a seed");
        }
    }
}

fn from_image(file: File, add: &mut dyn FnMut(&str, Vec<u8>)) {
    let image = open(file, &Limits::of(1 << 30), &mut |_| {}).expect("the built image").source;
    let report = inspect(&image, "image", Container::Raw, &Expect::any());
    let all: Vec<&Range> = report.ranges.iter().flat_map(|r| std::iter::once(r).chain(&r.parts)).collect();
    let get = |name: &str, limit: usize| {
        let range = all.iter().find(|r| r.name == name).unwrap_or_else(|| panic!("no `{name}` in the image"));
        bytes(&image, range.offset_bytes, (range.length_bytes as usize).min(limit)).expect("readable")
    };
    add("idblock", get("idblock", 1 << 20));
    add("fit", get("FIT", 2 << 20));
    add("fdt", get("fdt-1", 1 << 20));
    add("elf", get("EFI/BOOT/BOOTAA64.EFI", PIECE_BYTES));
    add("kernel", get("A/vmlinuz", PIECE_BYTES));
    let grub = get("grub/grub.cfg", PIECE_BYTES);
    add("text", grub.split(|b| *b == 0).next().unwrap_or_default().to_vec());
    let range = |name: &str| all.iter().find(|r| r.name == name).expect("a partition");
    let esp = range("EFI");
    add("fat", chunks_from(&image, esp, &[], CHUNKS));
    let magics: [&[u8]; 5] = [b"XFSB", b"IN", b"IAB3", b"XDB3", b"XDD3"];
    add("xfs", chunks_from(&image, range("BOOT"), &magics, 4 * CHUNKS));
    add("disk", chunks(&image, &[], 0));
    let packed = get("A/initramfs.xz", 64 << 20);
    for segment in initramfs::segments(&packed).expect("the shipped initramfs") {
        for member in segment.members().expect("its members") {
            if member.name == "rootfs.sqsh" {
                add("squashfs", member.data.to_vec());
                module(member.data, add);
            }
        }
    }
}

/// The smallest module of a root file system.
fn module(root: &[u8], add: &mut dyn FnMut(&str, Vec<u8>)) {
    let mut squashfs = fw_image::squashfs::Squashfs::open(root).expect("the shipped root file system");
    let list = squashfs.list().expect("its files");
    let module =
        list.iter().filter(|e| e.path.ends_with(".ko")).min_by_key(|e| e.size_bytes).expect("a module");
    let content = squashfs.read(module, 1 << 20).expect("readable");
    add("modsig", content.clone());
    add("elf", content);
}

/// The first chunks of a source that are not zero and begin as one of the magics (any, if none are given).
fn chunks(source: &dyn Source, magics: &[&[u8]], base: u64) -> Vec<u8> {
    let range = Range {
        offset_bytes: 0,
        length_bytes: source.size_bytes(),
        kind: image_inspect::report::RangeKind::Partition,
        name: String::new(),
        detail: String::new(),
        sha256: None,
        parts: vec![],
    };
    let mut seed = chunks_from(source, &range, magics, CHUNKS);
    for record in seed.chunks_exact_mut(4 + CHUNK_BYTES) {
        let number = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
        record[..4].copy_from_slice(&(number + (base / CHUNK_BYTES as u64) as u32).to_le_bytes());
    }
    seed
}

fn chunks_from(source: &dyn Source, range: &Range, magics: &[&[u8]], count: usize) -> Vec<u8> {
    let (mut seed, mut at, mut left) = (Vec::new(), 0, count);
    while at < range.length_bytes && left > 0 {
        let data = (source.next_data(range.offset_bytes + at) - range.offset_bytes) / CHUNK_BYTES as u64
            * CHUNK_BYTES as u64;
        at = at.max(data);
        let length = (range.length_bytes.saturating_sub(at)).min(CHUNK_BYTES as u64) as usize;
        if length == 0 {
            break;
        }
        let mut chunk = bytes(source, range.offset_bytes + at, length).expect("readable");
        chunk.resize(CHUNK_BYTES, 0);
        let wanted = magics.is_empty() || magics.iter().any(|m| chunk.starts_with(m));
        if wanted && chunk.iter().any(|b| *b != 0) {
            seed.extend(((at / CHUNK_BYTES as u64) as u32).to_le_bytes());
            seed.extend(chunk);
            left -= 1;
        }
        at += CHUNK_BYTES as u64;
    }
    seed
}

/// An idblock of two payloads of one sector each, with its hashes.
pub fn idblock(ddr: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut block = vec![0; 2048 + 1024];
    block[..4].copy_from_slice(b"RKNS");
    block[8..12].copy_from_slice(&(2_u32 << 16 | 384).to_le_bytes());
    block[12] = 1;
    block[2048..2048 + ddr.len()].copy_from_slice(ddr);
    block[2560..2575].copy_from_slice(b"U-Boot SPL 2025");
    for (i, start) in [4_u32, 5].into_iter().enumerate() {
        let at = 0x78 + 0x58 * i;
        block[at..at + 4].copy_from_slice(&(1 << 16 | start).to_le_bytes());
        let digest = Sha256::digest(&block[start as usize * 512..][..512]);
        block[at + 0x18..at + 0x38].copy_from_slice(&digest);
    }
    let digest = Sha256::digest(&block[..0x600]);
    block[0x600..0x620].copy_from_slice(&digest);
    block
}

fn property(name: &str, value: &[u8]) -> DeviceTreeProperty {
    DeviceTreeProperty::new(name, value).expect("a legal name")
}

/// A small board's tree.
pub fn tree(model: &str, compatible: &str) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    tree.root.add_property(property("model", format!("{model}\0").as_bytes()));
    tree.root.add_property(property("compatible", format!("{compatible}\0rockchip,rk3588s\0").as_bytes()));
    tree.root.add_child(DeviceTreeNode::new("aliases").expect("a legal name"));
    tree.to_dtb()
}

/// A FIT with its data inside: U-Boot, BL31 in two parts, tree.
pub fn fit(tree: &[u8]) -> Vec<u8> {
    let u_boot = b"U-Boot 2025.01 (x)\0fdtfile=rockchip/rk3588s-nanopi-m6.dtb\0";
    fit_of(&[
        ("u-boot", "standalone", "U-Boot", Some(0xa0_0000), u_boot),
        ("atf-1", "firmware", "arm-trusted-firmware", Some(0x4_0000), b"v2.12.1(release):lts-v2.12.1\0"),
        ("atf-2", "firmware", "arm-trusted-firmware", Some(0xff10_0000), b"pmu"),
        ("fdt-1", "flat_dt", "", None, tree),
    ])
}

/// Name, type, os, load address and data of an image.
pub type FitPart<'a> = (&'a str, &'a str, &'a str, Option<u32>, &'a [u8]);

/// A FIT whose default configuration has `atf-1`, then all others, and the last one as its tree.
pub fn fit_of(parts: &[FitPart<'_>]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let node = |name: &str| DeviceTreeNode::new(name).expect("a legal name");
    let text = |value: &str| format!("{value}\0").into_bytes();
    let (mut fit, mut images, mut loadables) = (DeviceTree::new(), node("images"), Vec::new());
    for (name, kind, os, load, data) in parts {
        let mut image = node(name);
        for (key, value) in [("type", *kind), ("os", os), ("compression", "none")] {
            image.add_property(property(key, &text(value)));
        }
        if let Some(load) = load {
            image.add_property(property("load", &load.to_be_bytes()));
        }
        image.add_property(property("data", data));
        let mut hash = node("hash");
        hash.add_property(property("algo", b"sha256\0"));
        hash.add_property(property("value", &Sha256::digest(data)));
        image.add_child(hash);
        images.add_child(image);
        if *kind != "flat_dt" && *name != "atf-1" {
            loadables.extend(text(name));
        }
    }
    let (mut configurations, mut configuration) = (node("configurations"), node("config-1"));
    configuration.add_property(property("firmware", b"atf-1\0"));
    configuration.add_property(property("loadables", &loadables));
    configuration.add_property(property("fdt", &text(parts.last().expect("an image").0)));
    configurations.add_property(property("default", b"config-1\0"));
    configurations.add_child(configuration);
    fit.root.add_child(images);
    fit.root.add_child(configurations);
    fit.to_dtb()
}

/// Idblock at sector 64 and FIT at sector 16384, from sector 64 on, as `u-boot-rockchip.bin` has them.
fn loader(fit: &[u8]) -> Vec<u8> {
    let mut out = idblock(b"DDR 0 typ x,fwver: v1.18\n");
    out.resize((16384 - 64) * 512, 0xff);
    out.extend(fit);
    out
}

/// A disk of half a megabyte with two partitions.
fn disk() -> Vec<u8> {
    const BYTES: usize = 512 << 10;
    let partition = |name: &str, first: u64, last: u64| Partition {
        name: name.to_owned(),
        type_guid: Guid::LINUX_DATA,
        guid: Guid::from_label(name),
        first: Lba(first),
        last: Lba(last),
        attributes: 0,
    };
    // The writer wants an aligned first megabyte: a larger table, cut to what the reader gets.
    let geometry = Geometry::new(8192, 0).expect("room");
    let partitions = vec![partition("EFI", 2048, 4095), partition("META", 4096, 6143)];
    let table = Table { disk_guid: Guid::from_label("disk"), geometry, partitions };
    let mut disk = vec![0; BYTES];
    for (at, bytes) in table.encode().expect("a good table") {
        // The second copy goes to the end of the smaller disk.
        let at = at.bytes() as usize;
        let at = if at >= BYTES { BYTES - (8192 * 512 - at) } else { at };
        disk[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    disk
}

fn esp(tree: &[u8]) -> Vec<u8> {
    let mut image = Cursor::new(vec![0; 34 << 20]);
    let size_bytes = 34 << 20;
    let spec = fat::Spec { size_bytes, label: "EFI".to_owned(), volume_id: 1, partition_start: Lba(0) };
    let files: [(&str, &[u8]); 2] =
        [("EFI/BOOT/BOOTAA64.EFI", b"MZ"), ("dtb/rockchip/rk3588s-nanopi-m6.dtb", tree)];
    fat::build(&mut image, &spec, &files).expect("fits");
    image.into_inner()
}

fn archive() -> Vec<u8> {
    let mut writer = cpio::Writer::new(Vec::new(), 0);
    writer.file("init", 0o755, b"#!").expect("memory");
    writer.file("rootfs.sqsh", 0o644, &[b"hsqs".as_slice(), &[0; 200]].concat()).expect("memory");
    writer.finish().expect("memory")
}

/// A sparse file with these bytes at these places.
pub fn medium(size_bytes: u64, pieces: &[(u64, &[u8])]) -> FileSource {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.set_len(size_bytes).expect("room");
    for (at, piece) in pieces {
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(*at)).expect("a file");
        file.write_all(piece).expect("room");
    }
    FileSource::new(file).expect("a file")
}

/// An EFI program for arm64 with these sections (Microsoft's PE specification), each at its own place in the file.
pub fn program(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"MZ");
    put(0x3c, &0x78_u32.to_le_bytes());
    put(0x78, b"PE\0\0");
    put(0x7c, &0xaa64_u16.to_le_bytes());
    put(0x7e, &(sections.len() as u16).to_le_bytes());
    put(0x8c, &240_u16.to_le_bytes());
    // Optional header: PE32+, EFI application, sixteen directories.
    put(0x90, &0x20b_u16.to_le_bytes());
    put(0x90 + 68, &10_u16.to_le_bytes());
    put(0x90 + 108, &16_u32.to_le_bytes());
    let mut place = 0x400;
    for (i, (name, data)) in sections.iter().enumerate() {
        let at = 0x90 + 240 + 40 * i;
        put(at, name.as_bytes());
        let words = [data.len() as u32, 0x1000 * (i as u32 + 1), data.len() as u32, place];
        put(at + 8, &words.map(u32::to_le_bytes).concat());
        place += data.len() as u32;
    }
    sections.iter().for_each(|(_, data)| bytes.extend_from_slice(data));
    bytes
}
