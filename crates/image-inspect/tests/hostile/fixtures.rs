// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is known to hurt, each with what must come of it: never a panic, never "fine".

use fw_image::crc::crc32;
use fw_image::fat::Volume;
use fw_image::fdt::{self, Tree};
use fw_image::fit::{self, Fit};
use fw_image::lba::Lba;
use fw_image::squashfs::Squashfs;
use fw_image::{cpio, fat, initramfs};
use image_inspect::finding::{Class, Kind};
use image_inspect::open::{Container, Limits, OpenError, open};
use image_inspect::report::{Shape, Verdict};
use image_inspect::source::{Overlay, Source, bytes};
use image_inspect::{Expect, inspect, summary};

use crate::run;
use crate::seeds::{fit, fit_of, idblock, medium, program, tree};

/// A tree whose `/images` has this many empty nodes, or which nests that deep.
fn many_nodes(count: u32, deep: bool) -> Vec<u8> {
    let word = u32::to_be_bytes;
    let mut structure = Vec::new();
    structure.extend([word(1), word(0), word(1)].concat());
    structure.extend(b"images\0\0");
    for _ in 0..count {
        structure.extend([word(1), *b"a\0\0\0"].concat());
        if !deep {
            structure.extend(word(2));
        }
    }
    if deep {
        (0..count).for_each(|_| structure.extend(word(2)));
    }
    structure.extend([word(2), word(2), word(9)].concat());
    header(&structure, &[])
}

fn header(structure: &[u8], strings: &[u8]) -> Vec<u8> {
    let (structure_at, strings_at) = (56, 56 + structure.len() as u32);
    let total = strings_at + strings.len() as u32;
    let words = [
        fdt::MAGIC,
        total,
        structure_at,
        strings_at,
        40,
        17,
        16,
        0,
        strings.len() as u32,
        structure.len() as u32,
    ];
    let mut tree: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
    tree.resize(56, 0);
    [tree, structure.to_vec(), strings.to_vec()].concat()
}

#[test]
fn a_fit_of_a_million_nodes_is_an_error() {
    for (input, text) in [
        (many_nodes(1_000_000, false), "more than 65536 nodes"),
        (many_nodes(100_000, true), "nested too deep"),
        (many_nodes(2000, false), "2000 nodes in `/images`"),
    ] {
        let error = Fit::parse(&input).expect_err("refused").to_string();
        assert!(error.contains(text), "{error}");
        run("fit", &input).expect("bounded");
        run("inspect", &input).expect("bounded");
    }
}

#[test]
fn a_million_properties_of_one_long_name_are_an_error() {
    let mut structure = [1_u32.to_be_bytes(), 0_u32.to_be_bytes()].concat();
    for _ in 0..400_000 {
        structure.extend([3_u32, 0, 0].iter().flat_map(|w| w.to_be_bytes()));
    }
    structure.extend([2_u32, 9].iter().flat_map(|w| w.to_be_bytes()));
    let input = header(&structure, &vec![b'a'; 1 << 20]);
    assert!(matches!(Tree::parse(&input), Err(fdt::Error::Damaged(_))));
    run("fdt", &input).expect("bounded");
}

#[test]
fn a_fit_whose_images_name_each_other_ends() {
    // A configuration that loads itself, and one thing twice.
    let mut input = fit(&tree("x", "x,y"));
    let (from, to) = (b"u-boot\0atf-2".as_slice(), b"atf-1\0\0atf-1".as_slice());
    let at = input.windows(from.len()).position(|w| w == from).expect("the loadables");
    input[at..at + to.len()].copy_from_slice(to);
    run("fit", &input).expect("bounded");
    let report = inspect(&&input[..], "x", Container::Raw, &Expect::any());
    assert!(report.has(Kind::FitNoUboot) && report.verdict == Verdict::WillNotBoot);
}

/// A disk of 64 MiB with these entries in both copies of its table.
fn with_entries(entries: &[(u64, u64)]) -> Vec<(u64, Vec<u8>)> {
    const SECTORS: u64 = 131_072;
    let mut array = vec![0; 128 * 128];
    for (i, (first, last)) in entries.iter().enumerate() {
        let entry = &mut array[128 * i..128 * (i + 1)];
        entry[..32].fill(0x11 + i as u8);
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
        entry[56] = b'A' + (i % 26) as u8;
    }
    let head = |own: u64, other: u64, entries_at: u64| {
        let mut h = vec![0; 512];
        h[..8].copy_from_slice(b"EFI PART");
        h[10] = 1;
        h[12] = 92;
        for (at, value) in [(24, own), (32, other), (40, 34), (48, SECTORS - 34), (72, entries_at)] {
            h[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        h[80..88].copy_from_slice(&[128, 0, 0, 0, 128, 0, 0, 0]);
        h[88..92].copy_from_slice(&crc32(&array).to_le_bytes());
        let crc = crc32(&h[..92]);
        h[16..20].copy_from_slice(&crc.to_le_bytes());
        h
    };
    let mut mbr = vec![0; 66];
    mbr[4] = 0xee;
    mbr[8] = 1;
    mbr[12..16].copy_from_slice(&(SECTORS as u32 - 1).to_le_bytes());
    mbr[64..].copy_from_slice(&[0x55, 0xaa]);
    vec![
        (446, mbr),
        (512, head(1, SECTORS - 1, 2)),
        (1024, array.clone()),
        ((SECTORS - 33) * 512, array.clone()),
        ((SECTORS - 1) * 512, head(SECTORS - 1, 1, SECTORS - 33)),
    ]
}

fn disk(pieces: &[(u64, Vec<u8>)]) -> image_inspect::source::FileSource {
    let borrowed: Vec<(u64, &[u8])> = pieces.iter().map(|(at, b)| (*at, b.as_slice())).collect();
    medium(64 << 20, &borrowed)
}

#[test]
fn partitions_of_every_length_end_in_findings() {
    let most = u64::MAX;
    let overlapping: Vec<(u64, u64)> = (0..128).map(|i| (2048 + i, 100_000)).collect();
    for (entries, kind) in [
        (vec![(2048, most)], Kind::Truncated),
        (vec![(most, most)], Kind::PartitionOutside),
        (vec![(0, most), (most - 1, 5)], Kind::PartitionOutside),
        (vec![(2048, 4095), (3000, 5000)], Kind::PartitionOverlap),
        (overlapping, Kind::PartitionOverlap),
    ] {
        let source = disk(&with_entries(&entries));
        let report = inspect(&source, "x", Container::Raw, &Expect::any());
        assert!(report.has(kind), "{entries:?}: {:?}", report.findings);
        assert_eq!(report.ranges.iter().map(|r| r.length_bytes).sum::<u64>(), 64 << 20);
        summary(&source).expect("one line");
    }
}

fn look_at(bytes: &[u8]) -> image_inspect::report::Report {
    let source = medium(bytes.len() as u64, &[(0, bytes)]);
    inspect(&source, "x", Container::Raw, &Expect::any())
}

fn archive(members: &[&str]) -> Vec<u8> {
    let mut writer = cpio::Writer::new(Vec::new(), 0);
    for name in members {
        writer.file(name, 0o755, b"#!/bin/sh\n").expect("memory");
    }
    writer.finish().expect("memory")
}

/// The verdict would be wrong: their kernels unpack what is not unpacked here, and need no `rootfs.sqsh`.
#[test]
fn the_initramfs_of_another_system_is_not_judged_as_talos_has_it() {
    let microcode = archive(&["kernel/x86/microcode/GenuineIntel.bin"]);
    let looked = |initrd: &[u8]| look_at(&program(&[(".linux", &[0x4c; 600]), (".initrd", initrd)]));
    for magic in [&b"\x1f\x8b\x08"[..], b"BZh9", b"\x02\x21\x4c\x18", b"\x89LZO", b"\x5d\0\0\x80"] {
        let report = looked(&[&microcode, magic, b"something"].concat());
        let damaged = report.has(Kind::InitramfsDamaged);
        assert!(report.has(Kind::InitramfsPacked) && !damaged, "{:?}", report.findings);
    }
    let report = looked(&archive(&["init", "usr/bin/sh", "usr/lib/libc.so.6"]));
    assert!(!report.has(Kind::RootMissing) && !report.has(Kind::InitMissing), "{:?}", report.findings);
    // Talos's own has nothing but `init` beside its root file system.
    let report = looked(&archive(&["init"]));
    assert!(report.has(Kind::RootMissing), "{:?}", report.findings);
}

#[test]
fn a_unified_kernel_image_is_taken_apart() {
    let uki = program(&[
        (".osrel", b"ID=talos\nPRETTY_NAME=\"Talos (v1.10.9)\"\n"),
        (".cmdline", b"talos.platform=metal console=ttyS2,1500000"),
        (".uname", b"6.18.15-0123abcd"),
        (".linux", &[0x4c; 600]),
        (".initrd", b"070701 cut"),
    ]);
    let report = look_at(&uki);
    assert_eq!((report.shape, report.verdict), (Shape::EfiProgram, Verdict::WillNotBoot));
    let [found] = &report.efi_programs[..] else { panic!("{:?}", report.efi_programs) };
    let sections: Vec<_> =
        found.sections.iter().map(|s| (s.name.as_str(), s.size_bytes, s.text.as_deref())).collect();
    assert_eq!(
        sections[..3],
        [
            (".osrel", 39, Some("Talos (v1.10.9)")),
            (".cmdline", 42, Some("talos.platform=metal console=ttyS2,1500000")),
            (".uname", 16, Some("6.18.15-0123abcd")),
        ]
    );
    assert_eq!(sections[3..], [(".linux", 600, None), (".initrd", 10, None)]);
    // Neither of these is one.
    assert!(report.has(Kind::KernelDamaged) && report.has(Kind::InitramfsDamaged), "{:?}", report.findings);
    // Without a kernel it is some program: nothing to find.
    let other = look_at(&program(&[(".text", b"x")]));
    assert_eq!((other.verdict, other.efi_programs[0].kind), (Verdict::NotBootable, "other"));
}

#[test]
fn a_unified_kernel_image_may_be_cut_or_changed_anywhere() {
    let uki = program(&[(".cmdline", b"console=ttyS2"), (".linux", &[0; 300]), (".initrd", &[0; 300])]);
    for cut in 0..uki.len() {
        run("inspect", &uki[..cut]).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
    }
    for at in 0..0x400 {
        for value in [0, 0x7f, 0xff] {
            let mut bad = uki.clone();
            bad[at] = value;
            run("inspect", &bad).unwrap_or_else(|e| panic!("{value:#x} at {at:#x}: {e}"));
        }
    }
    // 96 sections, all of them the same 7 MiB; their table lies in those bytes, too.
    let big = vec![1; 7 << 20];
    let mut many = program(&[(".linux", &big)]);
    many[0x7e] = 96;
    let entry = many[0x90 + 240..][..40].to_vec();
    (0..96).for_each(|i| many[0x90 + 240 + 40 * i..][..40].copy_from_slice(&entry));
    run("inspect", &many).expect("in bounded memory");
}

#[test]
fn an_archive_of_files_is_named_and_not_read_as_a_medium() {
    for (begin, command) in
        [(&b"PK\x03\x04 rest"[..], "unzip"), (b"BZh91AY", "bunzip2"), (b"7z\xbc\xaf\x27\x1c", "7z x")]
    {
        let mut file = tempfile::tempfile().expect("file");
        std::io::Write::write_all(&mut file, begin).expect("written");
        let error = open(file, &Limits::of(100), &mut |_| {}).expect_err("an archive");
        assert!(matches!(error, OpenError::Archive { command: c, .. } if c == command), "{error}");
    }
}

#[test]
fn the_line_about_a_medium_has_its_label() {
    const BYTES: u64 = 34 << 20;
    let mut image = std::io::Cursor::new(vec![0; BYTES as usize]);
    let spec =
        fat::Spec { size_bytes: BYTES, label: "CANON".to_owned(), volume_id: 1, partition_start: Lba(0) };
    fat::build(&mut image, &spec, &[]).expect("fits");
    let line = summary(&medium(BYTES, &[(0, &image.into_inner())])).expect("a line");
    assert_eq!(line, "fat32 `CANON` without partition table");
}

#[test]
fn a_fat_may_be_cut_anywhere() {
    const BYTES: u64 = 34 << 20;
    let mut image = std::io::Cursor::new(vec![0; BYTES as usize]);
    let spec =
        fat::Spec { size_bytes: BYTES, label: "EFI".to_owned(), volume_id: 1, partition_start: Lba(0) };
    fat::build(&mut image, &spec, &[("a/b/c.dtb", &[7; 3000]), ("EFI/BOOT/BOOTAA64.EFI", b"MZ")])
        .expect("fits");
    let whole = image.into_inner();
    let read = |bytes: &[u8]| {
        let mut volume = Volume::open(std::io::Cursor::new(bytes))?;
        let list = volume.list()?;
        list.iter().filter(|e| !e.directory).map(|e| volume.read(e, 1 << 20)).collect::<Result<Vec<_>, _>>()
    };
    assert_eq!(read(&whole).expect("whole").len(), 2);
    for cut in (0..2048).chain((2048..whole.len()).step_by(1 << 18)) {
        assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
    }
    // A chain that ends in itself, a directory inside of itself.
    let reserved = usize::from(u16::from_le_bytes([whole[14], whole[15]])) * 512;
    for cluster in 2..12_u32 {
        let mut looped = whole.clone();
        looped[reserved + 4 * cluster as usize..][..4].copy_from_slice(&cluster.to_le_bytes());
        let _ = read(&looped);
    }
    let mut inside = whole.clone();
    let entry = inside.windows(11).position(|w| w == b"B          ").expect("directory b") / 32 * 32;
    inside[entry + 20..entry + 22].fill(0);
    inside[entry + 26..entry + 28].copy_from_slice(&[2, 0]);
    assert!(read(&inside).expect_err("a loop").to_string().contains("loops"));
}

#[test]
fn bombs_are_stopped() {
    // A gigabyte of zeros in a few kilobytes, as an initramfs and as a squashfs block.
    let bomb = zstd::bulk::compress(&vec![0; 256 << 20], 1).expect("zstd");
    assert!(bomb.len() < 64 << 10);
    let error = initramfs::segments_within(&bomb, 16 << 20).expect_err("refused").to_string();
    assert!(error.contains("more than 16777216 bytes"), "{error}");
    run("initramfs", &bomb).expect("bounded");
    let many: Vec<u8> = zstd::bulk::compress(b"", 1).expect("zstd").repeat(100_000);
    assert!(matches!(initramfs::segments_within(&many, 1 << 20), Err(initramfs::Error::TooMany)));
    run("container", &bomb).expect("bounded");
}

#[test]
fn a_squashfs_may_claim_anything() {
    // Superblock with an inode table of one stored block: a directory whose listing begins with itself.
    let mut image = vec![0; 4096];
    image[..4].copy_from_slice(b"hsqs");
    let put =
        |image: &mut Vec<u8>, at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(&mut image, 12, &131_072_u32.to_le_bytes());
    put(&mut image, 20, &6_u16.to_le_bytes());
    put(&mut image, 28, &4_u16.to_le_bytes());
    put(&mut image, 40, &4096_u64.to_le_bytes());
    put(&mut image, 64, &96_u64.to_le_bytes());
    put(&mut image, 72, &1000_u64.to_le_bytes());
    // Inode: basic directory, listing at 0 of the directory table, 3 + 12 + 8 + 1 bytes.
    let mut inode = vec![0; 32];
    inode[0] = 1;
    inode[24] = 24;
    put(&mut image, 96, &(0x8000_u16 | 32).to_le_bytes());
    put(&mut image, 98, &inode);
    let mut listing = vec![0; 24];
    listing[16 + 4] = 0;
    listing[20] = b'd';
    put(&mut image, 1000, &(0x8000_u16 | 24).to_le_bytes());
    put(&mut image, 1002, &listing);
    let error = Squashfs::open(&image).expect("a superblock").list().expect_err("a loop").to_string();
    assert!(error.contains("loops"), "{error}");
    // A file of 2^64 bytes.
    let mut huge = image.clone();
    huge[98] = 9;
    huge[98 + 24..98 + 32].fill(0xff);
    run("squashfs", &huge).expect("bounded");
    let mut longer = image.clone();
    put(&mut longer, 40, &u64::MAX.to_le_bytes());
    assert!(Squashfs::open(&longer).is_err());
}

/// A medium that cannot be read in places.
pub struct Worn<'a>(pub &'a dyn Source, pub std::ops::Range<u64>);

impl Source for Worn<'_> {
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        if offset < self.1.end && offset + buffer.len() as u64 > self.1.start {
            return Err(std::io::Error::other("a bad sector"));
        }
        self.0.read_at(offset, buffer)
    }
}

#[test]
fn a_bad_sector_is_a_finding_and_hides_nothing_else() {
    let loader = fit(&tree("FriendlyElec NanoPi M6", "friendlyarm,nanopi-m6"));
    let source = medium(64 << 20, &[(64 * 512, &idblock(b"DDR x,fwver: v1.18")), (16384 * 512, &loader)]);
    let worn = Worn(&source, 20 << 20..(20 << 20) + 512);
    let report = inspect(&worn, "x", Container::Raw, &Expect::nanopi_m6());
    assert!(report.has(Kind::Unreadable), "{:?}", report.findings);
    assert_eq!((report.idblocks.len(), report.fits.len()), (1, 1), "the loader is still seen");
    let nothing = Worn(&source, 0..u64::MAX);
    let report = inspect(&nothing, "x", Container::Raw, &Expect::nanopi_m6());
    assert!(report.has(Kind::Unreadable) && report.verdict != Verdict::NothingFound);
}

/// The vendor's layout: a loader of the vendor at sectors 64 and 16384, whose `uboot.img` of 4 MiB ends at 12 MiB, and a
/// partition at 11 MiB, where Talos puts the first one behind a table that was moved by 20480 sectors.
fn vendor(fill: usize, copies: &[u64], first_mib: u64) -> image_inspect::source::FileSource {
    let u_boot = [b"U-Boot 2017.09-g1234 (x)\0".as_slice(), &vec![0x5a; fill]].concat();
    let board = tree("FriendlyElec boards based on Rockchip RK3588", "friendlyelec,nanopi6");
    let image = fit_of(&[
        ("uboot", "standalone", "u-boot", Some(0x20_0000), &u_boot),
        ("atf-1", "firmware", "arm-trusted-firmware", Some(0x4_0000), b"v2.3(release):x, fwver: v1.45\0"),
        ("atf-2", "firmware", "arm-trusted-firmware", Some(0xff10_0000), b"pmu"),
        ("fdt", "flat_dt", "", None, &board),
    ]);
    assert!(image.len() as u64 <= 4 << 20);
    let mut pieces = with_entries(&[(first_mib * 2048, 60_000)]);
    pieces.push((64 * 512, idblock(b"DDR x,fwver: v1.18")));
    pieces.extend(copies.iter().map(|mib| (mib << 20, image.clone())));
    disk(&pieces)
}

#[test]
fn the_vendors_uboot_img_over_a_partition_at_11_mib_is_found() {
    let look = |source: &dyn Source| inspect(source, "vendor", Container::Raw, &Expect::any());
    // One image that fills its 4 MiB.
    let report = look(&vendor((4 << 20) - 4000, &[8], 11));
    let over = report.findings.iter().find(|f| f.kind == Kind::LoaderOverPartition).expect("found");
    assert_eq!(
        (over.kind.class(), over.offset_bytes),
        (Class::WillNotBoot, Some(11 << 20)),
        "{}",
        over.detail
    );
    assert!(over.detail.contains("`FIT` and `A`"), "{}", over.detail);
    assert_eq!(report.verdict, Verdict::WillNotBoot);
    assert_eq!(report.fits[0].bl31_kind, Some("rockchip"));
    assert!(report.fits[0].u_boot_version.as_deref().is_some_and(|v| v.starts_with("U-Boot 2017.09")));
    // Two copies of 2 MiB, as the vendor's tool packs them: the second one crosses.
    let report = look(&vendor((2 << 20) - 4000, &[8, 10], 11));
    assert!(report.has(Kind::LoaderOverPartition), "{:?}", report.findings);
    // A short image in its slot of 4 MiB: nothing is damaged yet, the next update would.
    let report = look(&vendor(600_000, &[8], 11));
    assert!(!report.has(Kind::LoaderOverPartition) && report.has(Kind::VendorSlot), "{:?}", report.findings);
    // The vendor's own place for the first partition.
    let report = look(&vendor((4 << 20) - 4000, &[8], 16));
    assert_eq!(report.verdict, Verdict::NothingFound, "{:?}", report.findings);
}

#[test]
fn files_of_other_kinds_are_named() {
    let loader = [
        idblock(b"DDR x,fwver: v1.18"),
        vec![0xff; (16384 - 64) * 512 - 3072],
        fit(&tree("M", "friendlyarm,nanopi-m6")),
    ]
    .concat();
    let any = |bytes: &[u8]| inspect(&bytes, "x", Container::Raw, &Expect::nanopi_m6());
    let report = any(&loader);
    assert_eq!(
        (report.shape.words(), report.verdict),
        ("loader for sector 64", Verdict::NothingFound),
        "{:?}",
        report.findings
    );
    let report = any(&idblock(b"DDR x,fwver: v1.18"));
    assert!(report.has(Kind::LoaderPart) && report.count(Class::WillNotBoot) == 0, "{:?}", report.findings);
    let report = any(&fit(&tree("M", "friendlyarm,nanopi-m6")));
    assert!(report.has(Kind::LoaderPart) && report.fits.len() == 1);
    assert!(any(b"RKFW\0\0").has(Kind::UsbPackage) && any(b"LDR \0\0").has(Kind::UsbPackage));
    assert!(any(b"").has(Kind::Empty) && any(b"something else").has(Kind::Unrecognised));
    assert!(any(b"DDR abc typ 1,fwver: v1.18\n").has(Kind::LoaderPart));
    assert_eq!(any(&tree("M", "a,b")).device_trees[0].model.as_deref(), Some("M"));
    // The same loader for SPI flash, and on a card without a table.
    let mut flash = vec![0xff; 16 << 20];
    flash[0x8000..0x8000 + 3072].copy_from_slice(&idblock(b"DDR x,fwver: v1.18"));
    let body = fit(&tree("M", "friendlyarm,nanopi-m6"));
    flash[0x6_0000..0x6_0000 + body.len()].copy_from_slice(&body);
    let report = any(&flash);
    assert_eq!(
        (report.shape.words(), report.verdict),
        ("loader for SPI flash", Verdict::NothingFound),
        "{:?}",
        report.findings
    );
    let card = medium(64 << 20, &[(64 * 512, &loader)]);
    assert!(inspect(&card, "x", Container::Raw, &Expect::any()).has(Kind::TableMissing));
    let mut cut = Overlay::new(&card);
    cut.resize(1 << 20);
    assert!(inspect(&cut, "x", Container::Raw, &Expect::any()).has(Kind::FitMissing));
    assert!(bytes(&cut, 0, 2 << 20).is_err());
    assert!(matches!(Fit::parse(&[]), Err(fit::Error::Tree(_))));
}

#[test]
fn a_kernel_that_claims_much_memory_gets_none() {
    for compression in [b"zstd", b"gzip"] {
        let mut input = vec![0; 4096];
        input[..2].copy_from_slice(b"MZ");
        input[4..8].copy_from_slice(b"zimg");
        // The payload from 0x40 on, 0x100 bytes; both kinds of size word, in front of its end and behind it.
        input[8..12].copy_from_slice(&0x40_u32.to_le_bytes());
        input[12..16].copy_from_slice(&0x100_u32.to_le_bytes());
        input[24..28].copy_from_slice(compression);
        input[0x38..0x3c].copy_from_slice(&0x8182_23cd_u32.to_le_bytes());
        for at in [0x13c, 0x140] {
            input[at..at + 4].copy_from_slice(&(400_u32 << 20).to_le_bytes());
        }
        run("kernel", &input).expect("no memory for a claim");
    }
}
