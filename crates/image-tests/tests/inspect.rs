// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `inspect` on the image that was built: nothing is found against it, and every named mutation of it is found, with its
//! kind, its class and its region.

use std::io::Write;

use fw_build::Failure;
use fw_build::run::Cmd;
use fw_image::cpio;
use image_inspect::finding::{Class, Kind};
use image_inspect::open::Container;
use image_inspect::report::{Report, Verdict};
use image_inspect::source::{FileSource, Source};
use image_inspect::{Expect, Inspector, Options, html, summary, text};
use image_tests::artifacts::Artifacts;
use image_tests::mutate::{FIT, IDBLOCK, Patient, delete_in_esp};
use image_tests::{modules, schema};

type Failable = Result<(), Box<dyn std::error::Error>>;
type Broken = fw_build::Result<()>;

/// Name, what is done, the kind that must be found, and the region that it must name.
type Mutation = (&'static str, fn(&mut Patient<'_>) -> Broken, Kind, &'static str);

fn flip(p: &mut Patient<'_>, at: u64) -> Broken {
    Ok(p.image.flip(at, 3)?)
}

fn flip_in(p: &mut Patient<'_>, range: &str, at: u64) -> Broken {
    let range = p.range(range)?;
    flip(p, range.offset_bytes + at)
}

/// Puts `magic` where the DDR blob's version stands, with all hashes right.
fn ddr(p: &mut Patient<'_>, version: &[u8; 5]) -> Broken {
    // The line that it prints has its build before the version; other texts have the version, too.
    p.replace("DDR blob", b"fwver: v1.18", &[b"fwver: ", version.as_slice()].concat())?;
    p.seal_idblock()
}

/// Moves a part of the loader to a sector in its own gap.
fn shift(p: &mut Patient<'_>, from: u64, length: usize, to: u64) -> Broken {
    let content = p.get(from, length)?;
    p.image.put(from, &vec![0xff; length]);
    p.image.put(to, &content);
    Ok(())
}

fn grub(p: &mut Patient<'_>, from: &[u8], to: &[u8]) -> Broken {
    p.replace("grub/grub.cfg", from, to).map(drop)
}

/// Renames a partition in an entry array: names are UTF-16.
fn rename(entries: &mut [u8], index: usize, name: &str) {
    let field = &mut entries[128 * index + 56..128 * index + 128];
    field.fill(0);
    for (unit, place) in name.encode_utf16().zip(field.chunks_exact_mut(2)) {
        place.copy_from_slice(&unit.to_le_bytes());
    }
}

fn set_first(entries: &mut [u8], index: usize, lba: u64) {
    entries[128 * index + 32..128 * index + 40].copy_from_slice(&lba.to_le_bytes());
}

const MUTATIONS: &[Mutation] = &[
    ("idblock without its magic", |p| flip(p, IDBLOCK), Kind::IdblockMissing, "idblock"),
    (
        "idblock of older SoCs",
        |p| {
            p.image.put(IDBLOCK, &[0x3b, 0x8c, 0xdc, 0xfc]);
            Ok(())
        },
        Kind::IdblockVersion1,
        "idblock",
    ),
    ("idblock header, a reserved byte", |p| flip(p, IDBLOCK + 0x40), Kind::IdblockHash, "idblock"),
    (
        "idblock that counts seven images",
        |p| {
            p.image.put(IDBLOCK + 10, &[7]);
            Ok(())
        },
        Kind::IdblockDamaged,
        "idblock",
    ),
    ("idblock at sector 4096", |p| shift(p, IDBLOCK, 198_656, 4096 * 512), Kind::IdblockMisplaced, "idblock"),
    ("one bit of the DDR blob", |p| flip_in(p, "DDR blob", 5000), Kind::IdblockPayloadHash, "DDR blob"),
    ("one bit of SPL", |p| flip_in(p, "SPL", 5000), Kind::IdblockPayloadHash, "SPL"),
    ("a DDR blob with memory errors", |p| ddr(p, b"v1.13"), Kind::DdrKnownBad, "DDR blob"),
    ("a DDR blob before the fix", |p| ddr(p, b"v1.08"), Kind::DdrTooOld, "DDR blob"),
    ("a DDR blob without a name", |p| ddr(p, b"xx.xx"), Kind::DdrUnknown, "DDR blob"),
    (
        "no FIT",
        |p| {
            let n = p.range("FIT")?.length_bytes;
            p.image.put(FIT, &vec![0; n as usize]);
            Ok(())
        },
        Kind::FitMissing,
        "FIT",
    ),
    (
        "FIT at sector 8192",
        |p| {
            let n = p.range("FIT")?.length_bytes;
            shift(p, FIT, n as usize, 8192 * 512)
        },
        Kind::FitMisplaced,
        "FIT",
    ),
    (
        "a FIT whose structure ends early",
        |p| {
            p.image.put(FIT + 4, &[0xff; 4]);
            Ok(())
        },
        Kind::FitDamaged,
        "FIT",
    ),
    (
        "a FIT image longer than the disk",
        |p| p.fit_property("/images/u-boot", "data-size", &[0x7f; 4]),
        Kind::FitData,
        "FIT",
    ),
    ("one bit of U-Boot", |p| flip_in(p, "u-boot", 100_000), Kind::FitHash, "FIT"),
    ("one bit of BL31", |p| flip_in(p, "atf-1", 10_000), Kind::FitHash, "FIT"),
    (
        "a default configuration that is not there",
        |p| p.fit_property("/configurations", "default", b"config-7\0"),
        Kind::FitConfiguration,
        "FIT",
    ),
    (
        "a configuration without U-Boot",
        |p| {
            p.fit_property(
                "/configurations/config-1",
                "loadables",
                b"atf-2\0\0atf-2\0".get(..13).expect("13"),
            )
        },
        Kind::FitNoUboot,
        "FIT",
    ),
    (
        "BL31 without its second segment",
        |p| p.fit_property("/images/atf-2", "load", &[0xff, 0, 0, 0]),
        Kind::Bl31Segment,
        "FIT",
    ),
    ("BL31 over SPL", |p| p.fit_property("/images/atf-1", "load", &[0, 0, 0, 0]), Kind::Bl31Address, "FIT"),
    (
        "BL31 over U-Boot",
        |p| p.fit_property("/images/atf-1", "load", &[0, 0xa0, 0x10, 0]),
        Kind::FitLoadOverlap,
        "FIT",
    ),
    (
        "U-Boot of another board",
        |p| p.replace_in_fit_image("fdt-1", b"friendlyarm,nanopi-m6", b"friendlyarm,nanopi-r6"),
        Kind::UbootOtherBoard,
        "FIT",
    ),
    ("first table header", |p| flip(p, 512 + 40), Kind::TablePrimary, "partition table"),
    (
        "second table header",
        |p| flip(p, p.image.size_bytes() - 512 + 40),
        Kind::TableBackup,
        "partition table",
    ),
    (
        "both tables",
        |p| {
            flip(p, 512 + 40)?;
            flip(p, p.image.size_bytes() - 512 + 40)
        },
        Kind::TableDamaged,
        "partition table",
    ),
    (
        "tables that differ",
        |p| p.table(1, &|_, entries| rename(entries, 1, "OTHER")),
        Kind::TableCopies,
        "partition table",
    ),
    (
        "a medium larger than the image",
        |p| {
            p.image.resize(2 << 30);
            Ok(())
        },
        Kind::TableBackupPlace,
        "partition table",
    ),
    (
        "an image cut at 600 MB",
        |p| {
            p.image.resize(600_000_000);
            Ok(())
        },
        Kind::Truncated,
        "BOOT",
    ),
    (
        "no 55 AA",
        |p| {
            p.image.put(510, &[0, 0]);
            Ok(())
        },
        Kind::TableMbr,
        "partition table",
    ),
    (
        "partitions over each other",
        |p| p.tables(&|e| set_first(e, 1, 22_600)),
        Kind::PartitionOverlap,
        "BIOS",
    ),
    (
        "two partitions of one name",
        |p| p.tables(&|e| rename(e, 1, "META")),
        Kind::PartitionName,
        "partition table",
    ),
    (
        "a partition before the usable range",
        |p| p.tables(&|e| set_first(e, 0, 21_000)),
        Kind::PartitionOutside,
        "partition table",
    ),
    (
        "a partition over the FIT",
        |p| p.tables(&|e| set_first(e, 0, 18_000)),
        Kind::LoaderOverPartition,
        "EFI",
    ),
    (
        "the table over the FIT",
        |p| p.table(0, &|h, _| h[72..80].copy_from_slice(&17_000_u64.to_le_bytes())),
        Kind::LoaderOverTable,
        "primary GPT entries",
    ),
    ("no EFI partition", |p| p.tables(&|e| e[..128].fill(0)), Kind::EspMissing, "EFI"),
    ("an EFI partition without FAT", |p| flip_in(p, "EFI", 510), Kind::EspFilesystem, "EFI"),
    ("no boot program", |p| delete_in_esp(p, b"BOOTAA64EFI"), Kind::EfiProgramMissing, "EFI"),
    (
        "a boot program that is none",
        |p| flip_in(p, "EFI/BOOT/BOOTAA64.EFI", 0),
        Kind::EfiProgramWrong,
        "EFI/BOOT/BOOTAA64.EFI",
    ),
    (
        "systemd-boot on U-Boot",
        |p| {
            let at = p.range("EFI/BOOT/BOOTAA64.EFI")?.offset_bytes + 200_000;
            p.image.put(at, b"#### LoaderInfo: systemd-boot 257 ####\0");
            Ok(())
        },
        Kind::SdBoot,
        "EFI/BOOT/BOOTAA64.EFI",
    ),
    (
        "GRUB that looks at partition 4",
        |p| p.replace("EFI/BOOT/BOOTAA64.EFI", b"(,gpt3)", b"(,gpt4)").map(drop),
        Kind::GrubPrefix,
        "EFI/BOOT/BOOTAA64.EFI",
    ),
    ("no device tree", |p| delete_in_esp(p, b"RK3588~1DTB"), Kind::DtbMissing, "EFI"),
    (
        "a device tree of another name",
        |p| p.replace("EFI", b"r\0k\x003\x005\x008\0", b"x\0k\x003\x005\x008\0").map(drop),
        Kind::DtbName,
        "EFI",
    ),
    (
        "a device tree for another board",
        |p| {
            p.replace(
                "dtb/rockchip/rk3588s-nanopi-m6.dtb",
                b"friendlyarm,nanopi-m6",
                b"friendlyarm,nanopi-r6",
            )
            .map(drop)
        },
        Kind::DtbOtherBoard,
        "dtb/rockchip/rk3588s-nanopi-m6.dtb",
    ),
    (
        "a damaged device tree",
        |p| flip_in(p, "dtb/rockchip/rk3588s-nanopi-m6.dtb", 1),
        Kind::DtbDamaged,
        "dtb/rockchip/rk3588s-nanopi-m6.dtb",
    ),
    ("no BOOT partition", |p| p.tables(&|e| rename(e, 2, "OTHER")), Kind::BootMissing, "BOOT"),
    ("BOOT without xfs", |p| flip_in(p, "BOOT", 0), Kind::BootFilesystem, "BOOT"),
    ("an xfs that GRUB cannot read", |p| p.xfs_feature(5), Kind::BootFeatures, "BOOT"),
    (
        "grub.cfg without default",
        |p| grub(p, b"set default", b"#et default"),
        Kind::GrubDefault,
        "BOOT: grub/grub.cfg",
    ),
    (
        "an entry that Talos would not know",
        |p| grub(p, b"menuentry \"A - ", b"menuentry \"X - "),
        Kind::GrubForm,
        "BOOT: grub/grub.cfg",
    ),
    ("another kernel path", |p| grub(p, b"/A/vmlinuz", b"/A/vmlinux"), Kind::GrubKernel, "BOOT: A/vmlinux"),
    (
        "another initramfs path",
        |p| grub(p, b"initrd /A/initramfs.xz", b"initrd /A/initramfs.gz"),
        Kind::GrubInitramfs,
        "BOOT: A/initramfs.gz",
    ),
    (
        "no serial console",
        |p| grub(p, b"console=ttyS2,", b"console=ttyS0,"),
        Kind::ConsoleMissing,
        "BOOT: grub/grub.cfg",
    ),
    (
        "a console at another speed",
        |p| grub(p, b"ttyS2,1500000n8", b"ttyS2,0115200n8"),
        Kind::ConsoleBaud,
        "BOOT: grub/grub.cfg",
    ),
    (
        "no platform",
        |p| grub(p, b"talos.platform=", b"talos.flatform="),
        Kind::PlatformMissing,
        "BOOT: grub/grub.cfg",
    ),
    ("one bit of the kernel", |p| flip_in(p, "A/vmlinuz", 5_000_000), Kind::KernelDamaged, "BOOT: A/vmlinuz"),
    (
        "one bit of the initramfs",
        |p| flip_in(p, "A/initramfs.xz", 100_000),
        Kind::InitramfsDamaged,
        "BOOT: A/initramfs.xz",
    ),
    (
        "an initramfs in gzip, which this kernel does not unpack",
        |p| {
            let at = p.range("A/initramfs.xz")?.offset_bytes;
            p.image.put(at, &[0x1f, 0x8b, 8]);
            Ok(())
        },
        Kind::InitramfsDamaged,
        "BOOT: A/initramfs.xz",
    ),
    (
        "META with something else in it",
        |p| {
            let at = p.range("META")?.offset_bytes;
            p.image.put(at + 100, b"not a record");
            Ok(())
        },
        Kind::MetaDamaged,
        "META",
    ),
    (
        "META of 2 MiB",
        |p| {
            p.tables(&|e| {
                let last = e[128 * 3 + 40];
                e[128 * 3 + 41] += 8;
                e[128 * 3 + 40] = last;
            })
        },
        Kind::MetaSize,
        "META",
    ),
    (
        "something in a gap",
        |p| {
            p.image.put(21_000 * 512, b"left over");
            Ok(())
        },
        Kind::UnknownData,
        "unknown data",
    ),
    (
        "an old table",
        |p| {
            p.image.put(21_000 * 512, b"EFI PART");
            Ok(())
        },
        Kind::OldTable,
        "gap",
    ),
];

struct Subject {
    source: FileSource,
    inspector: Inspector,
    healthy: Report,
}

fn subject() -> Result<Subject, Box<dyn std::error::Error>> {
    let a = Artifacts::get();
    let source = FileSource::new(a.raw()?)?;
    let expect = Expect { compatible: Some(a.board.compatible.clone()), dtb: Some(a.board.dtb.clone()) };
    let mut inspector = Inspector::new(expect, Options::default());
    let healthy = inspector.inspect(&source, "image", Container::Raw, None);
    Ok(Subject { source, inspector, healthy })
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn nothing_is_found_against_the_image() -> Failable {
    let Subject { source, healthy, .. } = subject()?;
    let shown = text::render(&healthy, false);
    assert_eq!(healthy.verdict, Verdict::NothingFound, "{shown}");
    assert!(healthy.findings.iter().all(|f| f.kind == Kind::SelfTest), "{shown}");
    let a = Artifacts::get();
    assert_eq!(healthy.kernels[0].release.as_ref(), Some(&a.map.kernel_release));
    let modules = healthy.initramfs[0].modules.as_ref().ok_or("no modules")?;
    assert!(modules.count >= 50 && modules.accepted == modules.count, "{modules:?}");
    for region in &a.map.regions {
        for (path, digest) in &region.files {
            let files = healthy.partitions.iter().filter(|p| p.name == region.name).flat_map(|p| &p.files);
            let found = files.clone().find(|f| &f.path == path).ok_or_else(|| format!("no `{path}`"))?;
            assert_eq!(found.sha256.as_ref(), Some(digest), "{path}");
        }
    }
    // Every byte once.
    let mut at = 0;
    for range in &healthy.ranges {
        assert_eq!(range.offset_bytes, at, "{}", range.name);
        at += range.length_bytes;
    }
    assert_eq!(at, source.size_bytes());
    assert!(summary(&source)?.starts_with("GPT with EFI, BIOS, BOOT, META (Talos)"), "{}", summary(&source)?);
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn every_mutation_is_found() -> Failable {
    let Subject { source, mut inspector, healthy } = subject()?;
    let mut missed = Vec::new();
    let mut check = |name: &str, patient: &Patient<'_>, kind: Kind, region: &str| {
        let report = inspector.inspect(&patient.image, name, Container::Raw, None);
        let found = report.findings.iter().any(|f| f.kind == kind && f.region == region);
        let others: Vec<String> =
            report.findings.iter().map(|f| format!("{} ({})", f.kind, f.region)).collect();
        let verdict = match kind.class() {
            Class::WillNotBoot => report.verdict == Verdict::WillNotBoot,
            Class::WillMisbehave => report.verdict != Verdict::NothingFound,
            Class::Note => true,
        };
        if !found || !verdict {
            missed.push(format!("{name}: wanted {kind} ({region}), found {}", others.join(", ")));
        }
        // Whatever it says, it can be shown.
        assert!(text::render(&report, true).len() > 100 && html::render(&report).ends_with("</html>\n"));
        schema::check(&serde_json::to_value(&report).expect("JSON"), &report_schema()).expect(name);
    };
    for (name, mutate, kind, region) in MUTATIONS {
        let mut patient = Patient::new(&source, &healthy);
        mutate(&mut patient).map_err(|e| e.during((*name).to_owned()))?;
        check(name, &patient, *kind, region);
    }
    for (name, archive, kind) in other_userlands()? {
        let mut patient = Patient::new(&source, &healthy);
        patient.initramfs(&archive)?;
        check(name, &patient, kind, "BOOT: A/initramfs.xz");
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(MUTATIONS.len() >= 30);
    Ok(())
}

fn report_schema() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../docs/inspect.schema.json")).expect("the schema is JSON")
}

/// What is wrong with an initramfs, the initramfs, and the finding that it must give.
type Patients = Vec<(&'static str, Vec<u8>, Kind)>;

/// Small root file systems with the faults that modules can have.
fn other_userlands() -> Result<Patients, Box<dyn std::error::Error>> {
    let a = Artifacts::get();
    let userland = modules::userland(a)?;
    let (path, module) = userland
        .files
        .iter()
        .filter(|(path, _)| path.starts_with(modules::TREE) && path.ends_with(".ko"))
        .min_by_key(|(_, content)| content.len())
        .ok_or("no module")?;
    let unsigned = fw_image::modsig::split(module)?.content.to_vec();
    let mut forged = module.clone();
    forged[unsigned.len() / 2] ^= 1;
    let other = path.replacen(&a.map.kernel_release, "6.0.0-other", 1);
    let archive = |files: &[(&str, &[u8])]| archive(files);
    Ok(vec![
        ("an unsigned module", archive(&[(path, &unsigned)])?, Kind::ModuleUnsigned),
        ("a module that was changed after signing", archive(&[(path, &forged)])?, Kind::ModuleSignature),
        ("modules of another kernel", archive(&[(&other, module)])?, Kind::ModulesOther),
        ("a module that is none", archive(&[(path, b"no ELF file")])?, Kind::ModuleDamaged),
        ("no module", archive(&[("etc/os-release", b"ID=other\n")])?, Kind::ModulesMissing),
        ("no root file system", cpio_of(&[("init", b"#!")])?, Kind::RootMissing),
        ("no init", cpio_of(&[("other", b"x")])?, Kind::InitMissing),
    ])
}

fn cpio_of(members: &[(&str, &[u8])]) -> Result<Vec<u8>, Failure> {
    let mut writer = cpio::Writer::new(Vec::new(), 0);
    for (name, data) in members {
        writer.file(name, 0o755, data)?;
    }
    Ok(writer.finish()?)
}

/// An initramfs with `init` and a root file system of these files, made by `tar2sqfs` (package `squashfs-tools-ng`).
fn archive(files: &[(&str, &[u8])]) -> Result<Vec<u8>, Failure> {
    let dir = tempfile::tempdir()?;
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, path, *content)?;
    }
    let (input, image) = (dir.path().join("root.tar"), dir.path().join("root.sqsh"));
    std::fs::File::create(&input)?.write_all(&tar.into_inner()?)?;
    let stdin = std::process::Stdio::from(std::fs::File::open(&input)?);
    let running = Cmd::new("tar2sqfs").args(["-q", "-c", "zstd"]).arg(&image).spawn(
        stdin,
        std::process::Stdio::piped(),
        std::process::Stdio::piped(),
    )?;
    running.finish()?;
    cpio_of(&[("init", b"#!"), ("rootfs.sqsh", &std::fs::read(&image)?)])
}
