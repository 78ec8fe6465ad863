// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which mixes are built, which are refused, and what is said about them.

use std::path::PathBuf;

use clap::Parser;

use super::*;
use crate::image::Args;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn known(flags: &[&str]) -> Result<Known> {
    let board = Board::load(&root(), "nanopi-m6")?;
    let manifests = Manifests::load(&root().join("vendor-manifests"))?;
    let args = Command::parse_from(["image"].iter().chain(flags)).args;
    judge(&Selection::of(&args, &board)?, &board, &manifests, args.untested)
}

/// A file in a folder that lives as long as the test.
fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
    let path = dir.path().join(name);
    fs::write(&path, bytes).expect("file");
    path.to_str().expect("text").to_owned()
}

fn blob(version: &str) -> Vec<u8> {
    format!("\0DDR 0123456789 typ 24/09/06-09:51:11,fwver: {version}\n\0").into_bytes()
}

#[test]
fn the_default_mix_needs_no_flag() {
    let known = known(&[]).expect("the board file's own selection");
    assert_eq!(known.evidence, Evidence::BuiltOnly);
    assert!(known.parts.contains("DDR v1.18, BL31 lts-v2.12.1, U-Boot 2025.01"), "{}", known.parts);
}

#[test]
fn must_fail_01_another_mix_without_the_flag() {
    let text = known(&["--ddr", "v1.20"]).expect_err("no set has it").to_string();
    assert!(text.contains("nothing is known about this mix"), "{text}");
    assert!(text.contains("DDR `v1.20` instead of `v1.18`") && text.contains("hint: `--untested`"), "{text}");
    let known = known(&["--ddr", "v1.20", "--untested"]).expect("allowed");
    assert_eq!(known.evidence, Evidence::Untested);
    assert!(known.reason.contains("DDR `v1.20` instead of `v1.18`"), "{}", known.reason);
}

#[test]
fn must_fail_02_old_and_known_bad_blobs_even_with_the_flag() {
    let dir = tempfile::tempdir().expect("folder");
    for (version, why) in
        [("v1.15", "older than v1.16"), ("v1.13", "memory errors are reported"), ("v1.08", "older than")]
    {
        let path = file(&dir, version, &blob(version));
        let text = known(&["--ddr", &path, "--untested"]).expect_err("refused").to_string();
        assert!(text.contains(why), "{version}: {text}");
    }
    let path = file(&dir, "page.html", b"<html>");
    assert!(known(&["--ddr", &path]).expect_err("no blob").to_string().contains("not a Rockchip DDR blob"));
}

#[test]
fn must_fail_03_a_file_that_only_calls_itself_as_a_pin() {
    let dir = tempfile::tempdir().expect("folder");
    let path = file(&dir, "ddr.bin", &blob("v1.18"));
    let text = known(&["--ddr", &path]).expect_err("not the pin's bytes").to_string();
    assert!(text.contains("DDR `file-v1.18` instead of `v1.18`"), "{text}");
}

#[test]
fn must_fail_04_a_bl31_that_is_none() {
    let dir = tempfile::tempdir().expect("folder");
    let raw = file(&dir, "bl31.bin", &[0; 4096]);
    let text = known(&["--bl31", &raw, "--untested"]).expect_err("raw").to_string();
    assert!(text.contains("a raw image does not say where it is loaded to"), "{text}");
    let host = std::env::current_exe().expect("path").to_str().expect("text").to_owned();
    assert!(known(&["--bl31", &host, "--untested"]).is_err(), "a program of the host");
    assert!(known(&["--bl31", "/nowhere/bl31.elf"]).is_err());
}

#[test]
fn without_a_loader_nothing_is_asked() {
    let known = known(&["--bootloader", "none", "--ddr", "v1.20"]).expect("no loader in the image");
    assert!(!known.parts.contains("DDR"), "{}", known.parts);
}
