// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device tree of this checkout passes its checks, and each of the changes below makes them fail with the name of
//! the property and the reason.
//!
//! A changed copy of `dts/` is compiled and judged by the program itself, so its exit code counts. No compiled tree is
//! kept to compare with. Needs the source trees of `dt-rules/trees.toml` (from the store, else fetched).

mod mutations;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;

use mutations::{MUTATIONS, Mutation};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

/// Runs `cargo xtask dt` with these words.
fn dt(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("dt").args(words).env("FW_ROOT", root()).output().expect("it starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A copy of `dts/` with one text replaced in one file.
fn mutated(mutation: &Mutation) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let dts = root().join("dts");
    for name in fw_build::key::files_below(&dts).expect("the sources") {
        let to = dir.path().join(&name);
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::copy(dts.join(&name), to).expect("copied");
    }
    let file = dir.path().join(mutation.file);
    let source = fs::read_to_string(&file).expect("the file");
    assert!(source.contains(mutation.from), "{}: `{}` is not in the source", mutation.name, mutation.from);
    fs::write(&file, source.replacen(mutation.from, mutation.to, 1)).expect("written");
    dir
}

/// The kernel that `cargo xtask image` built last.
fn kernel() -> String {
    let list = root().join("out/artifacts.tsv");
    let list = fs::read_to_string(list).expect("`cargo xtask image` has run");
    let line = list.lines().find(|l| l.starts_with("linux-collabora\trelease\t")).expect("a kernel");
    let release = line.rsplit('\t').next().expect("a path");
    Path::new(release).parent().expect("a folder").display().to_string()
}

#[test]
fn this_checkout_passes() {
    let output = dt(&["check", "--quick"]);
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    for tree in ["linux-6.18", "linux-6.12", "u-boot-2025.01"] {
        assert!(said.contains(&format!("{tree}: ")), "{tree} was compiled:\n{said}");
    }
    let output = dt(&["coverage", "--kernel", &kernel()]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!text(&output).contains("MISSING"), "{}", text(&output));
}

#[test]
fn must_fail_each_mutation() {
    let kernel = kernel();
    for mutation in MUTATIONS {
        let dir = mutated(mutation);
        let dts = dir.path().display().to_string();
        let output = dt(&["check", "--quick", "--dts", &dts]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{}: not caught\n{said}", mutation.name);
        for word in mutation.says {
            assert!(said.contains(word), "{}: `{word}` is not in\n{said}", mutation.name);
        }
        if mutation.coverage {
            let output = dt(&["coverage", "--kernel", &kernel, "--dts", &dts]);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(1), "{}: coverage did not see it\n{said}", mutation.name);
            assert!(said.contains(mutation.says[0]), "{}: {said}", mutation.name);
        }
    }
}

#[test]
fn must_fail_a_value_that_the_bindings_forbid() {
    let mutation = Mutation {
        name: "a bus of three lines",
        file: "rk3588s-nanopi-m6.dtsi",
        from: "bus-width = <8>;",
        to: "bus-width = <3>;",
        says: &[],
        coverage: false,
    };
    let dir = mutated(&mutation);
    let output = dt(&["check", "--dts", &dir.path().display().to_string()]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said
        .lines()
        .find(|l| l.starts_with("bindings     nanopi-m6: mmc@fe2e0000"))
        .unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("bus-width"), "{line}");
}

#[test]
fn must_fail_a_device_without_a_driver() {
    let mutation = Mutation {
        name: "an RTC that no kernel knows",
        file: "rk3588s-nanopi-m6.dtsi",
        from: "\"haoyu,hym8563\"",
        to: "\"haoyu,hym9999\"",
        says: &[],
        coverage: true,
    };
    let dir = mutated(&mutation);
    let output = dt(&["coverage", "--kernel", &kernel(), "--dts", &dir.path().display().to_string()]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in [
        "RTC: no driver for `compatible` of `&hym8563`",
        "CONFIG_RTC_DRV_HYM8563",
        "`haoyu,hym9999`) has no driver",
    ] {
        assert!(said.contains(word), "`{word}` is not in\n{said}");
    }
}

#[test]
fn the_difference_from_the_neighbour_is_the_table() {
    let output = dt(&["diff"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    // The board's differences that a user would look for, in the words of the table.
    for words in [
        "LEDs\n  NanoPi R6C gpio1_C1 (sys), gpio1_C2, C3, C4\n  here       gpio1_A4 (sys), gpio1_A6 (user)",
        "5 V of the USB 3 socket\n  NanoPi R6C gpio1_D2\n  here       gpio3_D4",
        "pcie2x1l2 (M.2 M-key)",
        "power switch gpio3_C6",
        "USB 2 port 3\n  NanoPi R6C off",
        "fan\n  NanoPi R6C none",
        "linux-6.12: ",
        "without &rknn_core_0: ",
    ] {
        assert!(said.contains(words), "`{words}` is not in\n{said}");
    }
    assert_eq!(said.matches("\n  because ").count(), 12, "{said}");
}

#[test]
fn the_variant_is_the_board_plus_two_properties() {
    let overlay =
        fs::read_to_string(root().join("dts/overlays/rk3588s-nanopi-m6-emmc-hs400.dtso")).expect("there");
    let body: Vec<&str> = overlay.lines().skip_while(|l| !l.starts_with('&')).collect();
    assert_eq!(body, ["&sdhci {", "\tmmc-hs400-1_8v;", "\tmmc-hs400-enhanced-strobe;", "};"]);
    let board = fw_build::board::Board::load(&root(), "nanopi-m6").expect("the board file");
    assert_eq!(board.select["dt-variant"], "none", "the variant is off unless somebody asks for it");
}
