// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the options take, and what they refuse.

use super::*;
use crate::yaml::mapping;

fn read(text: &str) -> Result<Options, Refusal> {
    Options::read(&mapping(text.as_bytes(), "the options")?, &mut |_| {})
}

fn refused(text: &str) -> String {
    read(text).expect_err(text).to_string()
}

#[test]
fn text_and_types_mean_the_same() {
    for text in [
        "bootloader: none",
        "bootloader: \"none\"",
        "bootloader: false",
        "bootloader: \"false\"",
        "spi_boot: true",
        "spi_boot: \"true\"",
        "spi_boot: 'yes'",
    ] {
        assert_eq!(read(text).expect(text).bootloader, Bootloader::None, "{text}");
    }
    for text in
        ["{}", "bootloader: u-boot", "bootloader: true", "spi_boot: false", "bootloader:", "spi_boot: \"0\""]
    {
        assert_eq!(read(text).expect(text).bootloader, Bootloader::UBoot, "{text}");
    }
    let consoles = ["tty0", "ttyS2,1500000n8"].map(str::to_owned).to_vec();
    for text in ["console: tty0 ttyS2,1500000n8", "console: [tty0, 'ttyS2,1500000n8']"] {
        assert_eq!(read(text).expect(text).console, Some(consoles.clone()), "{text}");
    }
    for (text, wanted) in
        [("cma: 128M", "128M"), ("cma: 268435456", "268435456"), ("cma: '0'", "0"), ("cma: 128MB", "128MB")]
    {
        assert_eq!(read(text).expect(text).cma.as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn addresses_and_arguments() {
    for text in ["mac: 02:00:c0:ff:ee:01", "mac: '02-00-C0-FF-EE-01'"] {
        assert_eq!(read(text).expect(text).mac, Some([2, 0, 0xc0, 0xff, 0xee, 1]), "{text}");
    }
    let wanted = ["a.b=1", "c=\"x y\""].map(str::to_owned).to_vec();
    for text in ["extraKernelArgs: ['a.b=1', 'c=\"x y\"']", "extraKernelArgs: 'a.b=1  c=\"x y\"'"] {
        assert_eq!(read(text).expect(text).extra_kernel_args, wanted, "{text}");
    }
    assert_eq!(read("dtb: rockchip/other.dtb").expect("a path").dtb.as_deref(), Some("rockchip/other.dtb"));
}

#[test]
fn must_fail_01_addresses() {
    assert!(refused("mac: '01:00:5e:00:00:01'").contains("multicast"));
    assert!(refused("mac: 'ff:ff:ff:ff:ff:ff'").contains("multicast"));
    assert!(refused("mac: '00:00:00:00:00:00'").contains("all zero"));
    for mac in
        ["02:00:c0:ff:ee", "02:00:c0:ff:ee:01:02", "02:00:c0:ff:ee:0g", "2:0:c0:ff:ee:1", "+2:00:00:00:00:01"]
    {
        assert!(refused(&format!("mac: '{mac}'")).contains("is not a MAC address"), "{mac}");
    }
    assert!(refused("mac: 5").contains("it is a number, not text"));
}

#[test]
fn must_fail_02_paths() {
    for path in ["../x.dtb", "/x.dtb", "a/../x.dtb", "a//x.dtb", "x.dts", "", "a/./x.dtb"] {
        assert!(refused(&format!("dtb: '{path}'")).contains("is not a path below"), "{path}");
    }
}

#[test]
fn must_fail_03_arguments() {
    assert!(refused("extraKernelArgs: ['a b']").contains("is not of the form"));
    assert!(refused("extraKernelArgs: ['=x']").contains("is not of the form"));
    assert!(refused("extraKernelArgs: \"a\\nb=\\x01\"").contains("is not of the form"));
    assert!(refused("extraKernelArgs: 'a=\"b'").contains("not closed"));
    assert!(refused("extraKernelArgs: '-console'").contains("cannot remove `console`"));
    assert!(refused("extraKernelArgs: pti=off").contains("Talos adds `pti` itself"));
    assert!(refused("extraKernelArgs: {a: b}").contains("a mapping, not text"));
    assert!(refused("extraKernelArgs: [[a]]").contains("a list, not text"));
    assert!(refused("console: []").contains("empty"));
    assert!(refused("console: 'console=tty0'").contains("is not a console"));
}

#[test]
fn must_fail_04_sizes() {
    for size in ["128X", "M", "-1", "1.5G", "5G", "99999999999999999999G", "0x10", "+5M"] {
        assert!(refused(&format!("cma: '{size}'")).contains("is not a size"), "{size}");
    }
}

#[test]
fn must_fail_05_words_that_contradict() {
    assert!(refused("bootloader: grub").contains("known: `u-boot`, `none`"));
    assert!(refused("{bootloader: u-boot, spi_boot: true}").contains("the opposite"));
    assert!(refused("spi_boot: maybe").contains("is not `true` or `false`"));
    assert!(refused("bootloader: [none]").contains("a list"));
    assert!(refused(&format!("console: {}", "x".repeat(2000))).contains("more than 1024"));
}

#[test]
fn must_fail_06_nearly_a_known_key() {
    for key in
        ["bootloadr", "bootLoader", "boot-loader", "Mac", "extrakernelargs", "consoles", "spiboot", "cmaa"]
    {
        assert!(refused(&format!("{key}: none")).contains("is not known"), "{key}");
    }
}

#[test]
fn other_keys_are_ignored_and_noted() {
    let mut notes = Vec::new();
    let map = mapping(b"somethingElse: 5\nfuture: {a: b}\n", "x").expect("YAML");
    let options = Options::read(&map, &mut |note| notes.push(note.to_owned())).expect("ignored");
    assert_eq!(options, Options::default());
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn distances() {
    let d = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
    assert_eq!((d("kitten", "sitting"), d("", "abc"), d("mac", "cma"), d("mac", "mac")), (3, 3, 2, 0));
}
