// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What must not be called fine, and what must not be called broken.

use std::io::Write;

use fw_image::fat;
use fw_image::guid::Guid;
use fw_image::lba::Lba;
use image_inspect::finding::Kind;
use image_inspect::open::Container;
use image_inspect::report::{RangeKind, Report, Verdict};
use image_inspect::source::{Overlay, Source};
use image_inspect::{Expect, inspect, text};

use crate::builders::{DISK_BYTES, boot, disk};
use crate::fixtures::Worn;
use crate::seeds::{fit, fit_of, idblock, medium, tree};

fn look(source: &dyn Source) -> Report {
    inspect(source, "x", Container::Raw, &Expect::any())
}

fn loader() -> (Vec<u8>, Vec<u8>) {
    (idblock(b"DDR x,fwver: v1.18"), fit(&tree("M", "friendlyarm,nanopi-m6")))
}

#[test]
fn a_bad_sector_in_one_copy_of_the_table_hides_no_partition() {
    let (block, fit) = loader();
    let source = disk(&[("root", Guid::LINUX_DATA, 16, b"x")], &[(64 * 512, &block), (16384 * 512, &fit)]);
    let last = DISK_BYTES - 512..DISK_BYTES;
    for (range, kind) in
        [(512..1024, Kind::TablePrimary), (1024..1536, Kind::TablePrimary), (last, Kind::TableBackup)]
    {
        let report = look(&Worn(&source, range.clone()));
        let names: Vec<&str> = report.partitions.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["root"], "{range:?}: {:?}", report.findings);
        assert!(report.has(kind) && !report.has(Kind::TableMissing), "{:?}", report.findings);
    }
}

#[test]
fn bytes_that_cannot_be_read_are_a_finding_wherever_they_are() {
    let (block, fit) = loader();
    let content = &[7; 100_000][..];
    let source = disk(&[("data", Guid::LINUX_DATA, 40, content)], &[(64 * 512, &block), (16384 * 512, &fit)]);
    assert_eq!(look(&source).verdict, Verdict::NothingFound);
    // Behind the head, where nobody has anything; in a partition.
    for at in [36_u64 << 20, 60 << 20, 40 << 20] {
        let report = look(&Worn(&source, at..at + 512));
        let found = report.findings.iter().find(|f| f.kind == Kind::Unreadable);
        let found = found.unwrap_or_else(|| panic!("{at:#x}: {:?}", report.findings));
        assert_eq!((found.offset_bytes, report.verdict), (Some(at), Verdict::WillMisbehave));
    }
}

/// A disk with an MBR and these partitions (first sector, sectors).
fn mbr(partitions: &[(u32, u32)]) -> image_inspect::source::FileSource {
    let (block, fit) = loader();
    let mut sector = vec![0; 512];
    for (i, (first, sectors)) in partitions.iter().enumerate() {
        let at = 446 + 16 * i;
        sector[at + 4] = 0x83;
        sector[at + 8..at + 12].copy_from_slice(&first.to_le_bytes());
        sector[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    medium(DISK_BYTES, &[(0, &sector), (64 * 512, &block), (16384 * 512, &fit)])
}

#[test]
fn an_mbr_is_held_against_the_disk_as_a_gpt_is() {
    assert_eq!(look(&mbr(&[(32768, 8192), (40960, 8192)])).verdict, Verdict::NothingFound);
    let cut = look(&mbr(&[(32768, 8192), (40960, 1 << 20)]));
    assert!(cut.has(Kind::Truncated) && cut.verdict == Verdict::WillNotBoot, "{:?}", cut.findings);
    let over = look(&mbr(&[(32768, 16384), (40960, 8192)]));
    assert!(over.has(Kind::PartitionOverlap), "{:?}", over.findings);
}

#[test]
fn a_grub_cfg_without_an_entry_does_not_boot() {
    let entry = b"set default=\"A - Talos\"\nmenuentry \"A - Talos\" {\n  linux /A/vmlinuz x\n  initrd /A/initramfs.xz\n}\n";
    for config in [&[0; 900][..], b"", b"set default=\"A - Talos\"\n", &entry[..30]] {
        let image = boot(config);
        let source =
            disk(&[("EFI", Guid::EFI_SYSTEM, 16, b"x"), ("BOOT", Guid::LINUX_DATA, 32, &image)], &[]);
        let report = look(&source);
        let missing = report.findings.iter().any(|f| f.kind == Kind::GrubConfigMissing);
        assert!(missing, "{:?}: {:?}", String::from_utf8_lossy(config), report.findings);
    }
    let image = boot(entry);
    let source = disk(&[("EFI", Guid::EFI_SYSTEM, 16, b"x"), ("BOOT", Guid::LINUX_DATA, 32, &image)], &[]);
    let report = look(&source);
    assert!(!report.has(Kind::GrubConfigMissing) && report.has(Kind::GrubKernel), "{:?}", report.findings);
}

#[test]
fn every_initramfs_that_an_entry_names_is_looked_for() {
    let config = b"set default=\"A\"\nmenuentry \"B\" {\n  linux /k x\n  initrd /grub/grub.cfg\n}\nmenuentry \"A\" {\n  linux /k x\n  \
                   initrd /gone\n}\n";
    let image = boot(config);
    let source = disk(&[("EFI", Guid::EFI_SYSTEM, 16, b"x"), ("BOOT", Guid::LINUX_DATA, 32, &image)], &[]);
    let report = look(&source);
    let gone =
        |f: &&image_inspect::finding::Finding| f.kind == Kind::GrubInitramfs && f.region == "BOOT: gone";
    assert!(report.findings.iter().any(|f| gone(&f)), "{:?}", report.findings);
}

/// On a node that was upgraded, the other slot is the way back and not what starts.
#[test]
fn what_keeps_another_entry_from_booting_is_no_verdict_on_the_disk() {
    let entry =
        |name: &str| format!("menuentry \"{name}\" {{\n  linux /{name} x\n  initrd /grub/grub.cfg\n}}\n");
    for (set, starts) in [("\"B\"", "B"), ("1", "B"), ("A", "A"), ("\"${next_entry}\"", "A"), ("7", "A")] {
        let config = format!("set default={set}\n{}{}", entry("A"), entry("B"));
        let image = boot(config.as_bytes());
        let source =
            disk(&[("EFI", Guid::EFI_SYSTEM, 16, b"x"), ("BOOT", Guid::LINUX_DATA, 32, &image)], &[]);
        let report = look(&source);
        let about = |kind: Kind| -> Vec<&str> {
            let of = report.findings.iter().filter(|f| f.kind == kind);
            of.map(|f| f.region.as_str()).filter(|r| r.len() == "BOOT: A".len()).collect()
        };
        let other = if starts == "A" { "B" } else { "A" };
        assert_eq!(about(Kind::GrubKernel), [format!("BOOT: {starts}")], "{set}: {:?}", report.findings);
        assert_eq!(about(Kind::GrubFallback), [format!("BOOT: {other}")], "{set}: {:?}", report.findings);
    }
}

#[test]
fn a_file_that_is_a_loader_is_no_loader_that_reaches_into_a_partition() {
    let (block, body) = loader();
    let mut damaged = block.clone();
    damaged[2600] ^= 1;
    // Distributions have `idbloader.img` and `u-boot.itb` as files of their root file system.
    let files = [&damaged[..], &[0; 8192 - 3072], &body].concat();
    let source = disk(&[("root", Guid::LINUX_DATA, 16, &files)], &[(64 * 512, &block), (16384 * 512, &body)]);
    let report = look(&source);
    assert_eq!(report.verdict, Verdict::NothingFound, "{:?}", report.findings);
    // Where the loader is missing, they are still named.
    let source = disk(&[("root", Guid::LINUX_DATA, 16, &files)], &[]);
    let report = look(&source);
    assert!(report.has(Kind::IdblockMisplaced) && report.has(Kind::FitMisplaced), "{:?}", report.findings);
}

#[test]
fn one_part_of_a_loader_is_nothing_that_boots_by_itself() {
    let (block, _) = loader();
    let report = look(&&block[..]);
    assert!(report.has(Kind::LoaderPart));
    assert_eq!(report.verdict, Verdict::NotBootable, "{:?}", report.findings);
    // The same with padding far behind its end was a whole loader before it was cut.
    let mut cut = block.clone();
    cut.resize(4 << 20, 0xff);
    let report = look(&&cut[..]);
    assert!(report.has(Kind::FitMissing) && report.verdict == Verdict::WillNotBoot, "{:?}", report.findings);
}

#[test]
fn parts_are_shown_in_the_partition_that_holds_them() {
    const BYTES: u64 = 34 << 20;
    let mut esp = std::io::Cursor::new(vec![0; BYTES as usize]);
    let spec =
        fat::Spec { size_bytes: BYTES, label: "EFI".to_owned(), volume_id: 1, partition_start: Lba(0) };
    fat::build(&mut esp, &spec, &[("EFI/BOOT/BOOTAA64.EFI", b"MZ")]).expect("fits");
    let esp = esp.into_inner();
    // Tables of other tools leave names empty.
    let source = disk(&[("a", Guid::LINUX_DATA, 16, b"x"), ("b", Guid::EFI_SYSTEM, 24, &esp)], &[]);
    let mut unnamed = Overlay::new(&source);
    for at in [1024, DISK_BYTES - 33 * 512] {
        for i in 0..2 {
            unnamed.put(at + 128 * i + 56, &[0; 2]);
        }
    }
    seal_tables(&mut unnamed);
    let report = look(&unnamed);
    assert_eq!(report.partitions.len(), 2, "{:?}", report.findings);
    let with_parts: Vec<u64> =
        report.ranges.iter().filter(|r| !r.parts.is_empty()).map(|r| r.offset_bytes).collect();
    assert_eq!(with_parts, [24 << 20], "{:?}", report.ranges);
}

/// Makes the checksums of both copies right.
fn seal_tables(image: &mut Overlay<'_>) {
    use fw_image::crc::crc32;
    for (header, entries) in [(512, 1024), (DISK_BYTES - 512, DISK_BYTES - 33 * 512)] {
        let array = image_inspect::source::bytes(image, entries, 128 * 128).expect("there");
        let mut bytes = image_inspect::source::bytes(image, header, 92).expect("there");
        bytes[88..92].copy_from_slice(&crc32(&array).to_le_bytes());
        bytes[16..20].fill(0);
        let crc = crc32(&bytes);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        image.put(header, &bytes);
    }
}

#[test]
fn a_table_whose_other_copy_is_behind_the_last_sector_of_all() {
    let source = disk(&[("root", Guid::LINUX_DATA, 16, b"x")], &[]);
    let mut bad = Overlay::new(&source);
    bad.put(512 + 32, &u64::MAX.to_le_bytes());
    seal_tables(&mut bad);
    bad.put(DISK_BYTES - 512, &[0; 8]);
    assert!(look(&bad).has(Kind::Truncated));
}

#[test]
fn what_an_image_says_of_itself_stays_on_its_line() {
    let name = "x\u{1b}[2J\nverdict   nothing\u{202e}";
    let source = disk(&[(name, Guid::LINUX_DATA, 16, b"x")], &[]);
    let report = look(&source);
    let shown = text::render(&report, false);
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
    assert_eq!(shown.lines().filter(|l| l.starts_with("verdict")).count(), 1, "{shown}");
    let outside = |f: &image_inspect::finding::Finding| f.detail.chars().any(char::is_control);
    assert!(!report.findings.iter().any(outside));
}

/// A kernel in an EFI wrap that is packed with gzip, stored so that a byte can be changed without another.
fn zboot(change: Option<usize>) -> Vec<u8> {
    let mut raw = vec![0; 8192];
    raw[16..24].copy_from_slice(&8192_u64.to_le_bytes());
    raw[56..60].copy_from_slice(b"ARM\x64");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(&raw).expect("memory");
    let mut packed = gzip.finish().expect("memory");
    if let Some(at) = change {
        packed[at] ^= 1;
    }
    let mut file = vec![0; 0x100];
    file[..2].copy_from_slice(b"MZ");
    file[4..8].copy_from_slice(b"zimg");
    file[8..12].copy_from_slice(&0x100_u32.to_le_bytes());
    file[12..16].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    file[24..28].copy_from_slice(b"gzip");
    file[0x38..0x3c].copy_from_slice(&0x8182_23cd_u32.to_le_bytes());
    [file, packed, vec![0; 64]].concat()
}

#[test]
fn a_kernel_that_was_packed_with_gzip_is_held_against_its_checksum() {
    let good = zboot(None);
    let report = look(&&good[..]);
    assert!(!report.has(Kind::KernelDamaged), "{:?}", report.findings);
    let bad = zboot(Some(5000));
    let report = look(&&bad[..]);
    assert!(report.has(Kind::KernelDamaged), "{:?}", report.findings);
}

#[test]
fn a_kernel_that_is_packed_otherwise_is_not_called_damaged() {
    let mut other = zboot(None);
    other[24..28].copy_from_slice(b"lz4\0");
    let report = look(&&other[..]);
    assert!(report.has(Kind::KernelPacked) && !report.has(Kind::KernelDamaged), "{:?}", report.findings);
}

#[test]
fn a_packed_image_of_a_fit_must_unpack() {
    let board = tree("M", "a,b");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&[b"U-Boot 2025.01 (x)\0".as_slice(), &[7; 300_000]].concat()).expect("memory");
    let packed = gzip.finish().expect("memory");
    let with = |u_boot: &[u8], load: u32| {
        let mut fit = fit_of(&[
            ("u-boot", "standalone", "U-Boot", Some(load), u_boot),
            ("atf-1", "firmware", "arm-trusted-firmware", Some(0x4_0000), &[1; 20_000]),
            ("atf-2", "firmware", "arm-trusted-firmware", Some(0xff10_0000), b"pmu"),
            ("fdt-1", "flat_dt", "", None, &board),
        ]);
        let at = fit.windows(5).position(|w| w == b"none\0").expect("the first compression");
        fit[at..at + 4].copy_from_slice(b"gzip");
        look(&&fit[..])
    };
    let good = with(&packed, 0xa0_0000);
    assert!(!good.has(Kind::FitData) && good.fits[0].u_boot_version.is_some(), "{:?}", good.findings);
    let cut = with(&packed[..packed.len() - 20], 0xa0_0000);
    assert!(cut.has(Kind::FitData), "{:?}", cut.findings);
    // What counts is where it is unpacked to: 300 kB from 0 on reach over BL31 at 0x40000.
    let over = with(&packed, 0);
    assert!(over.has(Kind::FitLoadOverlap), "{:?}", over.findings);
}

#[test]
fn the_map_calls_nothing_known_that_could_not_be_read() {
    let (block, fit) = loader();
    // More pieces than are told one by one, and a bad sector among them.
    let speck = [1; 512];
    let specks: Vec<(u64, &[u8])> = (0..100).map(|i| ((20 << 20) + i * 200_000, &speck[..])).collect();
    let mut pieces = vec![(64 * 512, &block[..]), (16384 * 512, &fit[..])];
    pieces.extend(specks);
    let source = disk(&[], &pieces);
    let at = 39 << 20;
    let report = look(&Worn(&source, at..at + 512));
    assert!(report.has(Kind::Unreadable), "{:?}", report.findings);
    let over = report.ranges.iter().find(|r| r.offset_bytes <= at && at < r.offset_bytes + r.length_bytes);
    assert_eq!(over.map(|r| r.kind), Some(RangeKind::Unread), "{over:?}");
}
