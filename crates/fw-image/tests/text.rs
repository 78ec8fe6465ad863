// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The texts: `grub.cfg`, kernel command line, image map.

mod common;

use std::collections::BTreeMap;

use common::{image, plan};
use fw_image::cmdline::{Cmdline, CmdlineError, MAX_BYTES};
use fw_image::grubcfg::{self, Config, Entry, GrubError, Label, Reset};
use fw_image::map::{Evidence, ImageMap, MapError, Origin, Presence, Region, SCHEMA_VERSION, Userland};
use fw_image::talos::Line;

const OVERLAY: [&str; 4] = [
    "console=tty0",
    "console=ttyS2,1500000n8",
    "sysctl.kernel.kexec_load_disabled=1",
    "talos.dashboard.disabled=1",
];

/// What the board's overlay gives, in Talos's order.
const BOARD: &str = "talos.platform=metal console=tty0 console=ttyS2,1500000n8 sysctl.kernel.kexec_load_disabled=1 \
     talos.dashboard.disabled=1";

#[test]
fn command_line_of_the_board_for_each_line() {
    for talos in Line::ALL {
        let line = Cmdline::metal_arm64(talos, &OVERLAY, &[]).unwrap();
        assert_eq!(line.to_string(), format!("{BOARD} {}", talos.default_arguments().join(" ")));
    }
}

#[test]
fn command_line_without_an_overlay_has_the_platforms_consoles() {
    let line = Cmdline::metal_arm64::<&str>(Line::V1_10, &[], &[]).unwrap().to_string();
    assert!(line.starts_with("talos.platform=metal console=ttyAMA0 console=tty0 init_on_alloc=1 "), "{line}");
}

#[test]
fn extra_arguments_replace_add_and_delete() {
    let extra = [
        "console=ttyS0",
        "-talos.dashboard.disabled",
        "-pti=off",
        "-pti=on",
        "selinux=0",
        "quiet",
        "-nothing",
    ];
    let line = Cmdline::metal_arm64(Line::V1_10, &OVERLAY, &extra).unwrap().arguments();
    assert_eq!(line[..3], ["talos.platform=metal", "console=ttyS0", "sysctl.kernel.kexec_load_disabled=1"]);
    assert!(!line.iter().any(|a| a.starts_with("pti") || a.starts_with("talos.dashboard")), "{line:?}");
    // Added values stand with the key, after the one it had.
    assert_eq!(line[line.len() - 3..], ["selinux=1", "selinux=0", "quiet"]);
}

/// Where the order of the words matters: read from go-procfs, and compared with it in `conformance/`.
#[test]
fn extra_arguments_in_the_order_of_their_keys() {
    let tail = |extra: &[&str]| {
        let line = Cmdline::metal_arm64(Line::V1_14, &[], extra).unwrap().to_string();
        let base = Cmdline::metal_arm64::<&str>(Line::V1_14, &[], &[]).unwrap().to_string();
        line.strip_prefix(&base).unwrap_or(&line).trim_start().to_owned()
    };
    assert_eq!(tail(&["quiet", "-quiet"]), "", "the deletion comes second");
    assert_eq!(tail(&["-quiet", "quiet"]), "quiet");
    assert_eq!(tail(&["a=1", "b", "a=2"]), "a=1 a=2 b");
    assert_eq!(tail(&["a=1", "a=2", "-a=1"]), "a=2");
    assert_eq!(
        tail(&["a=1", "a=2", "-a=1", "-a"]),
        "a=2",
        "the first of the deletions decides what kind it is"
    );
    assert_eq!(tail(&["a=1", "a=2", "-a", "-a=1"]), "");
    assert_eq!(tail(&["a="]), "a");
    assert_eq!(tail(&["-", "x"]), "- x");
    // A key that lost its values keeps its place, one that was deleted does not.
    assert!(tail(&["-pti=on", "pti=off"]).contains(" slab_nomerge pti=off consoleblank=0 "));
    assert!(tail(&["-pti", "pti=off"]).ends_with(" pti=off"));
}

#[test]
fn command_lines_that_must_fail() {
    let of = |overlay: &[&str], extra: &[&str]| Cmdline::metal_arm64(Line::V1_10, overlay, extra);
    for argument in ["", "=1", "a b", "a=\"b", "a=b\n", "a=b c", "-=1"] {
        let form = Err(CmdlineError::Form(argument.to_owned()));
        assert_eq!(of(&[argument], &[]), form);
        assert_eq!(of(&[], &[argument]), form);
    }
    let repeated = of(&["slab_nomerge"], &[]);
    assert_eq!(repeated, Err(CmdlineError::RepeatsDefault("slab_nomerge".to_owned())));
    // No default of v1.10's, but one of v1.12's.
    assert!(of(&["module.sig_enforce=0"], &[]).is_ok());
    assert!(Cmdline::metal_arm64(Line::V1_12, &["module.sig_enforce=0"], &[]).is_err());
    let long = format!("a={}", "x".repeat(MAX_BYTES));
    assert!(matches!(of(&[long.as_str()], &[]), Err(CmdlineError::TooLong(_))));
    // Taken apart at its blanks, the first comes out whole, the second is taken for a deletion.
    let (whole, cut) = ("dyndbg=\"file drivers/usb/* +p\"", "dyndbg=\"file drivers/usb/* -p\"");
    assert!(of(&[], &[whole]).unwrap().to_string().ends_with(whole));
    assert_eq!(of(&[], &[cut]), Err(CmdlineError::Quoted(cut.to_owned())));
    assert_eq!(of(&[], &[whole, "+p\""]), Err(CmdlineError::Form("+p\"".to_owned())));
}

/// The form of Talos's own renderer, line by line.
const GOLDEN: &str = r#"set default="A - Talos v1.10.9"

set timeout=3

insmod all_video

terminal_input console
terminal_output console

menuentry "A - Talos v1.10.9" {
  set gfxmode=auto
  set gfxpayload=text
  linux /A/vmlinuz talos.platform=metal x=\{a\}\;\&\$b\|\<c\>\"d\\e
  initrd /A/initramfs.xz
}
menuentry "Reset Talos installation and return to maintenance mode" {
  set gfxmode=auto
  set gfxpayload=text
  linux /A/vmlinuz talos.platform=metal x=\{a\}\;\&\$b\|\<c\>\"d\\e talos.experimental.wipe=system:EPHEMERAL,STATE
  initrd /A/initramfs.xz
}
"#;
const CMDLINE: &str = r#"talos.platform=metal x={a};&$b|<c>"d\e"#;

#[test]
fn grub_golden_both_ways() {
    // The writers of v1.10 and of v1.11 to v1.14 differ only where there is a fallback; the reader never changed.
    for version in ["v1.10.9", "v1.11.6", "v1.12.11", "v1.13.9", "v1.14.0-rc.1"] {
        let config = Config::image(version, CMDLINE);
        let golden = GOLDEN.replace("v1.10.9", version);
        assert_eq!(config.render().unwrap(), golden);
        assert_eq!(grubcfg::parse(&golden).unwrap(), config);
    }
}

#[test]
fn grub_with_two_slots_and_a_fallback() {
    let entries = vec![Entry::talos(Label::B, "v1.10.9", "b"), Entry::talos(Label::A, "v1.10.8", "a \\ {")];
    let config = Config { default: Label::B, fallback: Some(Label::A), entries, reset: Reset::Absent };
    let text = config.render().unwrap();
    assert!(text.starts_with(
        "set default=\"B - Talos v1.10.9\"\nset fallback=\"A - Talos v1.10.8\"\nset timeout=3\n"
    ));
    let parsed = grubcfg::parse(&text).unwrap();
    assert_eq!((parsed.default, parsed.fallback, parsed.reset), (Label::B, Some(Label::A), Reset::Absent));
    assert_eq!(parsed.entries.iter().map(|e| e.label).collect::<Vec<_>>(), [Label::A, Label::B]);
    assert_eq!(parsed.entry(Label::A).unwrap().cmdline, "a \\ {");
}

#[test]
fn must_fail_grub_cfg_with_a_second_default() {
    let twice = "set default=\"A - Talos v1.10.9\"";
    // Anywhere, indented or not, of the same entry or not: Talos counts lines.
    for second in [twice.to_owned(), format!("  {twice}"), "set default=\"B\"".to_owned()] {
        let text = GOLDEN.replacen("insmod all_video", &format!("insmod all_video\n{second}"), 1);
        let error = grubcfg::parse(&text).unwrap_err();
        assert_eq!(error, GrubError::Defaults(2));
        assert!(error.to_string().contains("2 `set default") && error.to_string().contains("exactly one"));
    }
}

#[test]
fn grub_files_that_must_fail() {
    let parse = |from: &str, to: &str| {
        assert!(GOLDEN.contains(from), "`{from}` is not in the file");
        grubcfg::parse(&GOLDEN.replacen(from, to, 1)).unwrap_err()
    };
    assert_eq!(parse("set default=", "set somehow="), GrubError::Defaults(0));
    let fallbacks = "set fallback=\"A\"\nset fallback=\"A\"\ninsmod";
    assert_eq!(parse("insmod", fallbacks), GrubError::Fallbacks(2));
    let missing = GrubError::Missing { what: "fallback", label: Label::B };
    assert_eq!(parse("insmod", "set fallback=\"B - x\"\ninsmod"), missing);
    assert_eq!(parse("default=\"A -", "default=\"Linux"), GrubError::Label("Linux Talos v1.10.9".to_owned()));
    assert_eq!(parse("default=\"A", "default=\"B"), GrubError::Missing { what: "default", label: Label::B });
    assert_eq!(
        parse("menuentry \"A - ", "menuentry \"C - "),
        GrubError::Label("C - Talos v1.10.9".to_owned())
    );
    assert_eq!(parse("menuentry \"Reset", "menuentry \"A Reset"), GrubError::Duplicate(Label::A));
    assert_eq!(parse("menuentry \"A", "menuentry 'A"), GrubError::Form(10));
    let command =
        |command, count| GrubError::Command { name: "A - Talos v1.10.9".to_owned(), command, count };
    assert_eq!(parse("  initrd", "  echo"), command("initrd", 0));
    assert_eq!(parse("  initrd", "  linux /B/vmlinuz x\n  initrd"), command("linux", 2));
    let cut = GOLDEN.trim_end().strip_suffix('}').unwrap();
    assert_eq!(grubcfg::parse(cut).unwrap_err(), GrubError::Form(16));
}

#[test]
fn grub_configurations_that_must_fail() {
    let with_cmdline = |cmdline: &str| Config::image("v1.10.9", cmdline).render().unwrap_err();
    for (cmdline, character) in [("a\nb", '\n'), ("a='b'", '\''), ("a #b", '#')] {
        let text = cmdline.to_owned();
        assert_eq!(with_cmdline(cmdline), GrubError::Character { what: "command line", text, character });
    }
    assert!(Config::image("v1\"", "a").render().is_err());
    let mut config = Config::image("v1.10.9", "a");
    config.entries[0].initrd = "/A/initramfs xz".to_owned();
    assert!(matches!(config.render(), Err(GrubError::Character { what: "path", character: ' ', .. })));
    config.entries.clear();
    assert_eq!(config.render(), Err(GrubError::Missing { what: "default", label: Label::A }));
}

fn map() -> ImageMap {
    let layout = plan().check().unwrap();
    let (_folder, mut file, _) = image(&layout);
    let mut regions: Vec<_> =
        layout.write(&mut file).unwrap().iter().map(|w| Region::of(w, None, None)).collect();
    regions.reverse();
    regions[0].version = Some("1".to_owned());
    let origin =
        Origin { version: "2025.01".to_owned(), origin: "debian".to_owned(), sha256: "00".to_owned() };
    ImageMap {
        schema_version: SCHEMA_VERSION,
        image: "metal-arm64-nanopi-m6.raw".to_owned(),
        board: "nanopi-m6".to_owned(),
        size_bytes: layout.size_bytes(),
        sha256: "11".to_owned(),
        userland: Userland::Bringup,
        kernel_release: "6.18.15-talos-00000000".to_owned(),
        talos_version: "v1.10.9".to_owned(),
        btf: Presence::Off,
        evidence: Evidence::BuiltOnly,
        regions,
        origins: BTreeMap::from([("u-boot".to_owned(), origin)]),
        facts: BTreeMap::new(),
    }
}

#[test]
fn map_is_sorted_and_reads_back() {
    let map = map();
    let json = map.to_json().unwrap();
    let read = ImageMap::from_json(&json).unwrap();
    let names: Vec<_> = read.regions.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["gpt-primary", "loader", "gpt-entries", "EFI", "BIOS", "BOOT", "META", "gpt-backup"]);
    assert_eq!(read.to_json().unwrap(), json);
    assert_eq!(read.region("loader").unwrap().offset_bytes, 32_768);
    assert!(
        json.starts_with("{\n  \"schema_version\": 2,\n  \"image\": \"metal-arm64-nanopi-m6.raw\",\n"),
        "{json}"
    );
    assert!(json.contains("\"userland\": \"bringup\"") && json.contains("\"btf\": \"off\""), "{json}");
    assert!(json.ends_with("}\n"));
}

#[test]
fn blocks_that_are_zero_have_no_digest() {
    let mut image = vec![0; 200_000];
    image[1000 + 70_000] = 1;
    let blocks = fw_image::map::blocks(&mut std::io::Cursor::new(&image), 1000, 199_000).unwrap();
    let second = &image[1000 + 65_536..1000 + 131_072];
    assert_eq!(blocks, BTreeMap::from([(1, fw_image::map::block_digest(second))]));
    assert_eq!(blocks[&1].len(), 32);
    assert!(fw_image::map::blocks(&mut std::io::Cursor::new(&image), 1000, 199_001).is_err(), "past the end");
}

#[test]
fn maps_that_must_fail() {
    let json = map().to_json().unwrap();
    let newer = json.replacen("\"schema_version\": 2", "\"schema_version\": 3, \"more\": true", 1);
    assert!(matches!(ImageMap::from_json(&newer), Err(MapError::Version(3))));
    let older = json.replacen("\"schema_version\": 2", "\"schema_version\": 1", 1);
    assert_eq!(ImageMap::from_json(&older).unwrap().regions.len(), 8, "published maps stay readable");
    let unknown = json.replacen("\"image\"", "\"more\": 1, \"image\"", 1);
    assert!(matches!(ImageMap::from_json(&unknown), Err(MapError::Json(_))));
    assert!(ImageMap::from_json(&json[..json.len() / 2]).is_err());
}
