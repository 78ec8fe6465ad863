// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `install` writes, and where, in the ways that Talos v1.10 to v1.14 run it.

use crate::support::{BOARD, Bench, DISK_BYTES, DTB, DTB_ON_ESP, LOADER, LOADER_AT, device_tree, loader};
use fw_image::fdt::Tree;

#[test]
fn writes_the_loader_and_the_device_tree_and_nothing_else() {
    let bench = Bench::new();
    let notes = bench.install().expect("good artifacts");
    assert!(notes.iter().any(|n| n.contains("U-Boot wrote")), "{notes:?}");
    let (disk, loader) = (bench.read("disk.raw"), bench.read(&format!("artifacts/{LOADER}")));
    assert_eq!(disk.len(), DISK_BYTES);
    assert!(disk[..LOADER_AT] == [0xee; LOADER_AT], "bytes before the loader");
    assert!(disk[LOADER_AT..LOADER_AT + loader.len()] == loader, "the loader");
    let behind = &disk[LOADER_AT + loader.len()..];
    assert!(behind == vec![0xee; behind.len()], "bytes behind the loader");
    assert_eq!(bench.read(&format!("image/{DTB_ON_ESP}")), bench.read(&format!("artifacts/{DTB}")));
    let folder = bench.path(&format!("image/{DTB_ON_ESP}"));
    assert_eq!(
        std::fs::read_dir(folder.parent().expect("folder")).expect("folder").count(),
        1,
        "no other file"
    );
}

#[test]
fn a_second_run_writes_nothing() {
    let bench = Bench::new();
    bench.install().expect("first");
    let modified = |path: &str| std::fs::metadata(bench.path(path)).and_then(|m| m.modified()).expect("time");
    let dtb = format!("image/{DTB_ON_ESP}");
    let before = (modified("disk.raw"), modified(&dtb));
    let notes = bench.install().expect("second");
    assert_eq!(before, (modified("disk.raw"), modified(&dtb)));
    assert_eq!(notes.iter().filter(|n| n.contains("is there already")).count(), 2, "{notes:?}");
}

#[test]
fn an_upgrade_replaces_both() {
    let bench = Bench::new();
    bench.install().expect("first");
    bench.artifact(LOADER, &loader(BOARD, b"a newer U-Boot"));
    let newer = [device_tree(BOARD), vec![0; 4]].concat();
    bench.artifact(DTB, &newer);
    bench.install().expect("upgrade");
    let loader = bench.read(&format!("artifacts/{LOADER}"));
    assert!(bench.read("disk.raw")[LOADER_AT..LOADER_AT + loader.len()] == loader);
    assert_eq!(bench.read(&format!("image/{DTB_ON_ESP}")), newer);
}

#[test]
fn fields_that_are_not_known_are_ignored() {
    let bench = Bench::new();
    let request = bench.request() + "future:\n  a: [1, {b: c}]\nextraOptions:\n  other: 5\n";
    let notes = bench.install_as(&request).expect("ignored");
    assert!(notes.iter().any(|n| n.contains("`other` is not known")), "{notes:?}");
}

#[test]
fn bootloader_none_touches_no_disk() {
    let mut bench = Bench::new();
    for options in
        ["{bootloader: none}", "{bootloader: \"none\"}", "{spi_boot: \"true\"}", "{spi_boot: true}"]
    {
        bench.options = options.to_owned();
        bench.install().expect(options);
        assert!(bench.read("disk.raw") == vec![0xee; DISK_BYTES], "{options}");
    }
    // Neither the disk nor U-Boot needs to be there then.
    std::fs::remove_file(bench.path("disk.raw")).expect("file");
    std::fs::remove_file(bench.path(&format!("artifacts/{LOADER}"))).expect("file");
    bench.install().expect("without them");
}

#[test]
fn a_fixed_mac_address_is_in_the_installed_tree_only() {
    let mut bench = Bench::new();
    bench.options = "{mac: \"02:00:c0:ff:ee:01\"}".to_owned();
    bench.install().expect("an address");
    let installed = bench.read(&format!("image/{DTB_ON_ESP}"));
    let tree = Tree::parse(&installed).expect("a tree");
    let node = tree.string("/aliases", "ethernet0").expect("alias");
    assert_eq!(tree.property(&node, "local-mac-address").expect("set"), [2, 0, 0xc0, 0xff, 0xee, 1]);
    assert_eq!(bench.read(&format!("artifacts/{DTB}")), device_tree(BOARD));
}

#[test]
fn another_device_tree_goes_to_the_usual_name() {
    let mut bench = Bench::new();
    let other = [device_tree(BOARD), vec![0; 8]].concat();
    bench.artifact("arm64/dtb/rockchip/rk3588s-nanopi-m6-emmc-hs400.dtb", &other);
    bench.options = "{dtb: rockchip/rk3588s-nanopi-m6-emmc-hs400.dtb}".to_owned();
    bench.install().expect("another tree");
    assert_eq!(bench.read(&format!("image/{DTB_ON_ESP}")), other);
}

/// Imager of v1.13, and of v1.14.1 and later: plain folders, `boot/EFI` is moved to `EFI` afterwards.
#[test]
fn v1_13_image_mode_leaves_the_move_possible() {
    let bench = Bench::new();
    bench.write("image/boot/EFI/EFI/boot/BOOTAA64.EFI", b"GRUB");
    bench.install().expect("folders");
    assert!(!bench.path("image/EFI").exists(), "`EFI` would make the imager's move fail");
    std::fs::rename(bench.path("image/boot/EFI"), bench.path("image/EFI")).expect("the imager's move");
    assert!(bench.path("image/EFI/dtb/rockchip/rk3588s-nanopi-m6.dtb").is_file());
}

/// Imager of v1.14.0: GRUB is in `EFI` already, which becomes the ESP, and nothing is moved.
#[test]
fn v1_14_0_image_mode_has_the_tree_on_the_esp() {
    let bench = Bench::new();
    bench.write("image/EFI/EFI/boot/BOOTAA64.EFI", b"GRUB");
    let notes = bench.install().expect("folders");
    assert!(notes.iter().any(|n| n.contains("v1.14.0")), "{notes:?}");
    assert_eq!(bench.read("image/EFI/dtb/rockchip/rk3588s-nanopi-m6.dtb"), device_tree(BOARD));
    assert_eq!(bench.read(&format!("image/{DTB_ON_ESP}")), device_tree(BOARD));
}

/// The program itself, as Talos starts it: talk is on standard error only.
#[test]
fn the_program_answers_and_refuses() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let run = |args: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_overlay-installer"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        // A program that refuses early may close its input first.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let out = child.wait_with_output().expect("ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let (code, out, err) = run(&["get-options"], "unknownThing: 5\n");
    assert_eq!(code, Some(0));
    assert!(out.starts_with("name: 'nanopi-m6'\nkernelArgs:\n") && out.ends_with("offset: 20480\n"), "{out}");
    assert!(err.contains("`unknownThing` is not known"), "{err}");
    for (args, input) in [
        (vec![], ""),
        (vec!["unknown"], ""),
        (vec!["get-options", "more"], "{}"),
        (vec!["get-options"], "a: ["),
        (vec!["get-options"], "mac: '01:00:00:00:00:00'"),
        (vec!["install"], "{}"),
        (vec!["install"], "a: \0"),
    ] {
        let (code, out, err) = run(&args, input);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{args:?} {input:?}");
        assert!(err.starts_with("error: "), "{args:?} {input:?}: {err}");
    }
    let bench = Bench::new();
    let (code, out, err) = run(&["install"], &bench.request());
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert!(err.contains("U-Boot wrote"), "{err}");
    let (code, out, _) = run(&["--help"], "");
    assert!(code == Some(0) && out.contains("Examples:"), "{out}");
}
