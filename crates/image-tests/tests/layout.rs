// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `cargo xtask image` built is what the board file says, and every check also refuses a damaged copy.

use std::io::Read;

use fw_build::board::SECTOR_BYTES;
use fw_build::kconfig::required::Required;
use fw_build::kconfig::{Btf, DotConfig};
use fw_build::key::{sha256_bytes, sha256_file};
use fw_image::cmdline::Cmdline;
use fw_image::fdt::Tree;
use fw_image::grubcfg;
use fw_image::kernel::{ikconfig, image};
use fw_image::map;
use fw_image::meta::{Meta, Source};
use fw_image::talos::Line;
use image_tests::artifacts::Artifacts;
use image_tests::modules::{TREE, Userland};
use image_tests::{files, kernel, loader, modules, paths, table};

type Failable = Result<(), Box<dyn std::error::Error>>;

/// Bytes of the first raw region, from its start to its limit.
fn loader_region(a: &Artifacts) -> fw_build::Result<Vec<u8>> {
    let region = &a.board.disk.regions[0];
    a.bytes(region.start_lba * SECTOR_BYTES, (region.limit_lba - region.start_lba) * SECTOR_BYTES)
}

/// An image for a board that has its loader elsewhere keeps the region free.
fn carries_loader(a: &Artifacts) -> bool {
    a.map.facts.get("bootloader").is_none_or(|b| b == "u-boot")
}

fn check_loader(a: &Artifacts, bytes: &[u8]) -> fw_build::Result<()> {
    loader::check(&a.board, &a.board.disk.regions[0], bytes, &a.board.selected("rkbin")?)
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn loader_is_what_boot_rom_and_spl_look_for() -> Failable {
    let a = Artifacts::get();
    let region = &a.board.disk.regions[0];
    let bytes = loader_region(a)?;
    if !carries_loader(a) {
        assert!(bytes.iter().all(|b| *b == 0), "no loader was asked for");
        return Ok(());
    }
    assert_eq!(&bytes[..4], b"RKNS", "idblock magic at LBA {}", region.start_lba);
    check_loader(a, &bytes)?;
    let built = a.read(&region.stage, &region.role)?;
    assert!(built.len() as u64 <= (region.limit_lba - region.start_lba) * SECTOR_BYTES);
    assert_eq!(bytes[..built.len()], built[..], "the region is the stage's artifact");
    assert!(bytes[built.len()..].iter().all(|b| *b == 0), "nothing behind it");
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn must_fail_damaged_loaders() -> Failable {
    let a = Artifacts::get();
    let bytes = loader_region(a)?;
    if !carries_loader(a) {
        assert!(check_loader(a, &bytes).is_err(), "an empty region is no loader");
        return Ok(());
    }
    let fit = ((a.board.disk.regions[0].fit_lba - a.board.disk.regions[0].start_lba) * SECTOR_BYTES) as usize;
    for (what, at) in
        [("magic", 0), ("header", 0x78), ("DDR blob", 2048 + 5000), ("FIT", fit), ("image", fit + 0x2_0000)]
    {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(check_loader(a, &damaged).is_err(), "one bit of the {what} at {at:#x} goes unseen");
    }
    let mut other = a.board.clone();
    other.compatible = "friendlyarm,nanopi-r6c".to_owned();
    let text = loader::check(&other, &other.disk.regions[0], &bytes, &a.board.selected("rkbin")?)
        .expect_err("another board")
        .to_string();
    assert!(text.contains("another board"), "{text}");
    let older = loader::check(&a.board, &a.board.disk.regions[0], &bytes, "v1.16").expect_err("another blob");
    assert!(older.to_string().contains("instead of v1.16"), "{older}");
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn table_is_that_of_the_talos_line() -> Failable {
    let a = Artifacts::get();
    let partitions = table::check(&a.disk, &mut a.raw()?)?;
    // The published layout of v1.10 with an offset of 20480 sectors; from v1.11 on BOOT has 1000 MiB more.
    let places: Vec<_> = partitions.iter().map(|p| (p.name.as_str(), p.first.0, p.last.0)).collect();
    let more = if a.line == Line::V1_10 { 0 } else { 1000 << 11 };
    let expected = [
        ("EFI", 22528, 227_327),
        ("BIOS", 227_328, 229_375),
        ("BOOT", 229_376, 2_277_375 + more),
        ("META", 2_277_376 + more, 2_279_423 + more),
    ];
    assert_eq!(places, expected);
    assert_eq!(a.map.size_bytes, (1246 << 20) + more * SECTOR_BYTES);
    let bytes = |name: &str| files::region(a, name).and_then(|r| a.bytes(r.offset_bytes, r.length_bytes));
    assert!(bytes("BIOS")?.iter().all(|b| *b == 0), "BIOS is zero");
    // Zero, or values that read back from both copies.
    let (meta, source) = Meta::read(&bytes("META")?)?;
    assert_eq!(source == Source::Blank, meta.is_empty());
    assert_eq!(source != Source::Blank, a.map.facts.contains_key("meta"));
    assert!(!matches!(source, Source::Second(_)), "the first copy is damaged");
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn must_fail_damaged_tables() -> Failable {
    let a = Artifacts::get();
    let last = a.disk.size_bytes / SECTOR_BYTES - 1;
    for (what, lba) in [
        ("primary header", 1),
        ("primary entries", 20482),
        ("backup entries", last - 32),
        ("backup header", last),
    ] {
        let mut copy = tempfile::tempfile()?;
        std::io::copy(&mut a.raw()?.take(12 << 20), &mut copy)?;
        copy.set_len(a.disk.size_bytes)?;
        use std::os::unix::fs::FileExt;
        copy.write_all_at(
            &a.bytes((last - 32) * SECTOR_BYTES, 33 * SECTOR_BYTES)?,
            (last - 32) * SECTOR_BYTES,
        )?;
        table::check(&a.disk, &mut copy)?;
        let mut byte = [0];
        copy.read_exact_at(&mut byte, lba * SECTOR_BYTES + 40)?;
        copy.write_all_at(&[byte[0] ^ 1], lba * SECTOR_BYTES + 40)?;
        assert!(table::check(&a.disk, &mut copy).is_err(), "one bit of the {what} goes unseen");
    }
    let mut other = a.disk.clone();
    other.partitions[2].size_mib += 1;
    assert!(table::check(&other, &mut a.raw()?).is_err());
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn esp_holds_grub_and_the_device_tree() -> Failable {
    let a = Artifacts::get();
    let dtb = format!("dtb/{}", a.board.dtb);
    let mut listed: Vec<String> =
        fw_image::fat::list(files::esp(a)?)?.into_iter().map(|(path, _)| path).collect();
    listed.sort();
    let mut wanted = vec!["EFI/BOOT/BOOTAA64.EFI", dtb.as_str()];
    if a.map.userland == map::Userland::Bringup {
        wanted.push("bringup-report.json");
        // By it the self-test knows its own medium, and nothing else.
        let report = String::from_utf8(fw_image::fat::read(files::esp(a)?, "bringup-report.json")?)?;
        assert!(report.contains("\"state\": \"not-run\""), "{report}");
        assert!(report.contains(&format!("\"kernel\": \"{}\"", a.map.kernel_release)), "{report}");
    }
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    for (path, stage, role) in [("EFI/BOOT/BOOTAA64.EFI", "grub-efi", "grub"), (&dtb, "dtb", "dtb")] {
        assert_eq!(fw_image::fat::read(files::esp(a)?, path)?, a.read(stage, role)?, "{path}");
    }
    // U-Boot looks for the name that it was built with.
    if carries_loader(a) {
        let config = String::from_utf8(a.read("u-boot-nanopi-m6", "config")?)?;
        assert!(config.contains(&format!("CONFIG_DEFAULT_FDT_FILE=\"{}\"", a.board.dtb)));
    }
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn device_tree_is_the_boards() -> Failable {
    let a = Artifacts::get();
    let bytes = a.read("dtb", "dtb")?;
    let tree = Tree::parse(&bytes)?;
    assert_eq!(tree.model()?, a.board.model);
    assert_eq!(tree.compatible()?, [a.board.compatible.as_str(), "rockchip,rk3588s"]);
    // U-Boot hands its stable MAC address over through this alias.
    assert_eq!(tree.string("/aliases", "ethernet0")?, "/ethernet@fe1c0000");
    // PERST# of the M.2 M-key slot: gpio3_D1, active high in the binding's sense (bank 3, pin 25, flag 0).
    let reset = tree.cells("/pcie@fe190000", "reset-gpios")?;
    assert_eq!(reset[1..], [25, 0], "M.2 PERST#");
    let phandle = tree.number("/pinctrl/gpio@fec40000", "phandle")?;
    assert_eq!(u64::from(reset[0]), phandle, "M.2 PERST# is on gpio3");
    // HS400 is reported to fail on boards of this family.
    assert!(tree.optional("/mmc@fe2e0000", "mmc-hs200-1_8v")?.is_some());
    assert!(tree.optional("/mmc@fe2e0000", "mmc-hs400-1_8v")?.is_none());
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn boot_partition_is_what_talos_reads_at_an_upgrade() -> Failable {
    let a = Artifacts::get();
    let mut xfs = files::boot(a)?;
    let list = files::boot_list(&mut xfs)?;
    let names: Vec<_> = list.iter().map(|(path, mode, _)| (path.as_str(), *mode)).collect();
    assert_eq!(names, [("A/initramfs.xz", 0o644), ("A/vmlinuz", 0o644), ("grub/grub.cfg", 0o600)]);
    let config = grubcfg::parse(&String::from_utf8(a.boot_file("grub/grub.cfg")?)?)?;
    let entry = config.entry(grubcfg::Label::A).ok_or("no entry A")?;
    assert_eq!(entry.name, format!("A - Talos {}", a.map.talos_version));
    assert_eq!((entry.linux.as_str(), entry.initrd.as_str()), ("/A/vmlinuz", "/A/initramfs.xz"));
    // The board's arguments are there, and Talos's defaults once each.
    let line = entry.cmdline.as_str();
    for argument in &a.board.kernel.args {
        assert!(line.split(' ').any(|w| w == argument), "`{argument}` in `{line}`");
    }
    assert_eq!(a.map.facts["kernel-arguments"], line);
    let talos = Cmdline::metal_arm64(a.line, &a.board.kernel.args, &[])?;
    if a.map.userland == map::Userland::Talos {
        assert_eq!(line, talos.to_string());
    }
    for argument in talos.arguments() {
        assert_eq!(line.split(' ').filter(|w| *w == argument).count(), 1, "`{argument}` in `{line}`");
    }
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn map_and_sums_are_true() -> Failable {
    let a = Artifacts::get();
    for region in &a.map.regions {
        let bytes = a.bytes(region.offset_bytes, region.length_bytes)?;
        assert_eq!(sha256_bytes(&bytes), region.sha256, "region `{}`", region.name);
    }
    let sums = std::fs::read_to_string(a.root.join("out/SHA256SUMS"))?;
    // The loader for SPI flash is a third where it was built.
    assert!(sums.lines().count() >= 2);
    for line in sums.lines() {
        let (digest, file) = line.split_once("  ").ok_or("a line of SHA256SUMS")?;
        assert_eq!(sha256_file(&a.root.join("out").join(file))?, digest, "{file}");
    }
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn map_says_which_blob_went_out_with_which_monitor() -> Failable {
    let a = Artifacts::get();
    let fact = |name: &str| a.map.facts.get(name).map(String::as_str).unwrap_or_default();
    assert!(!fact("evidence-reason").is_empty());
    if !carries_loader(a) {
        return Ok(());
    }
    // Read from the disk's own bytes, not from the stage's file.
    let bytes = loader_region(a)?;
    let block = fw_image::idblock::verify(&bytes)?;
    let payload = block.entries.first().ok_or("no DDR blob")?.payload(&bytes)?;
    let blob = fw_image::ddr::parse(payload)?;
    assert_eq!(fact("ddr-build"), blob.build);
    let file = a.read("rkbin-ddr", "ddr")?;
    assert!(payload.starts_with(&file));
    assert_eq!(fact("ddr-sha256"), sha256_bytes(&file));
    let monitor = a.read("tf-a-bl31", "bl31")?;
    fw_image::bl31::parse(&monitor)?;
    assert_eq!(fact("bl31-sha256"), sha256_bytes(&monitor));
    assert!(fact("parts").contains(&format!("BL31 {}", a.board.selected("tf-a")?)), "{}", fact("parts"));
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn kernel_has_every_required_option() -> Failable {
    let a = Artifacts::get();
    let raw = kernel::image(a)?;
    assert_eq!(image::release(&raw)?, a.map.kernel_release);
    // The configuration inside the shipped kernel, inflated by zlib-ng and by the tools' own way.
    let begin = raw.windows(8).position(|w| w == b"IKCFG_ST").ok_or("no IKCONFIG")? + 8;
    let mut text = String::new();
    flate2::read::GzDecoder::new(&raw[begin..]).read_to_string(&mut text)?;
    assert_eq!(text, ikconfig::extract(&raw)?);
    let required = std::fs::read_to_string(a.root.join("kernel-config/required.toml"))?;
    let required = Required::parse("required.toml", &required)?;
    let btf = match a.map.btf {
        map::Presence::On => Btf::On,
        map::Presence::Off => Btf::Off,
    };
    let violations = required.check_config(&DotConfig::parse(&text)?, btf, None);
    assert!(
        violations.is_empty(),
        "{}",
        violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    );
    let without = text.replace("CONFIG_SECURITY_YAMA=y", "# CONFIG_SECURITY_YAMA is not set");
    assert_eq!(
        required.check_config(&DotConfig::parse(&without)?, btf, None).len(),
        1,
        "a lost option is seen"
    );
    Ok(())
}

fn shipped_modules(userland: &Userland) -> Vec<(&String, &Vec<u8>)> {
    userland.files.iter().filter(|(path, _)| path.starts_with(TREE) && path.ends_with(".ko")).collect()
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn every_module_is_signed_for_the_shipped_kernel() -> Failable {
    let a = Artifacts::get();
    let raw = kernel::image(a)?;
    let certificates = kernel::certificates(a, &raw)?;
    assert_eq!(certificates.len(), 1, "one certificate, in the extra slot");
    let userland = modules::userland(a)?;
    assert_eq!(userland.members, [".", "init", "rootfs.sqsh"]);
    if a.map.facts.get("modules").is_some_and(|m| m == "layer") {
        // The modules are in a layer, which the image verb has compared with the kernel.
        assert!(a.map.facts["layers"].starts_with(&format!("kernel-modules {}", a.map.kernel_release)));
        return Ok(());
    }
    let release = &a.map.kernel_release;
    let tree = format!("{TREE}{release}/");
    assert!(userland.files.contains_key(&format!("{tree}modules.dep")), "depmod data");
    let shipped = shipped_modules(&userland);
    assert!(shipped.len() >= 50, "{} modules", shipped.len());
    for (path, module) in &shipped {
        assert!(path.starts_with(&tree), "`{path}` is of another release");
        modules::check(module, release, &certificates).map_err(|e| e.during(format!("`{path}`")))?;
    }
    // The self-test's refused modules are in the self-test only.
    let test_modules =
        userland.files.keys().filter(|p| p.starts_with("usr/share/selftest/") && p.ends_with(".ko"));
    assert_eq!(test_modules.count() > 0, a.map.userland == map::Userland::Bringup);

    // Damaged copies of the first one are refused.
    let (path, module) = shipped[0];
    for (what, at) in [("payload", 100), ("signature", module.len() - 100)] {
        let mut damaged = module.clone();
        damaged[at] ^= 1;
        assert!(modules::check(&damaged, release, &certificates).is_err(), "flipped {what} of `{path}`");
    }
    assert!(modules::check(module, "6.0.0-other", &certificates).is_err(), "another release");
    let unsigned = fw_image::modsig::split(module)?.content;
    assert!(modules::check(unsigned, release, &certificates).is_err(), "unsigned");
    assert!(modules::check(module, release, &[]).is_err(), "no certificate");
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn no_path_of_the_build_machine_ships() -> Failable {
    let a = Artifacts::get();
    let needles = paths::needles(&a.root)?;
    assert!(!needles.is_empty());
    let seeded = format!("x{}/y", needles[0]);
    assert!(paths::check("seeded", seeded.as_bytes(), &needles).is_err());
    paths::check("loader", &loader_region(a)?, &needles)?;
    paths::check("GRUB", &a.read("grub-efi", "grub")?, &needles)?;
    paths::check("device tree", &a.read("dtb", "dtb")?, &needles)?;
    paths::check("grub.cfg", &a.boot_file("grub/grub.cfg")?, &needles)?;
    paths::check("vmlinuz", &a.boot_file("A/vmlinuz")?, &needles)?;
    paths::check("kernel", &kernel::image(a)?, &needles)?;
    let userland = modules::userland(a)?;
    paths::check("init", &userland.init, &needles)?;
    for (path, content) in &userland.files {
        paths::check(path, content, &needles)?;
    }
    Ok(())
}
