// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `flash` and `inspect` say to a file that is no image for this board.

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the program; its exit code, and all that it said.
fn xtask(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let command = command.args(args).current_dir(folder).stdin(Stdio::null()).env("XDG_STATE_HOME", folder);
    let out = command.output().expect("ran");
    let text = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    (out.status.code(), text)
}

#[test]
fn an_image_that_would_not_boot_is_not_written_unless_asked_for() {
    let dir = tempfile::tempdir().expect("folder");
    // A firmware package for USB tools, which users write to cards.
    let mut package = b"RKFW".to_vec();
    package.resize(3 << 20, 0x5a);
    std::fs::write(dir.path().join("update.img"), &package).expect("file");
    std::fs::write(dir.path().join("card"), vec![0x11; 4 << 20]).expect("file");
    let args = ["flash", "update.img", "card", "--file", "--yes"];
    let (code, text) = xtask(dir.path(), &args);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("usb-package") && text.contains("nothing was written"), "{text}");
    assert!(text.contains("--allow-unbootable"), "{text}");
    let card = || std::fs::read(dir.path().join("card")).expect("file");
    assert!(card().iter().all(|b| *b == 0x11), "not a byte");
    let (code, text) = xtask(dir.path(), &[&args[..], &["--allow-unbootable"]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("warning: 1 findings") && card().starts_with(&package), "{text}");
}

#[test]
fn a_zip_is_answered_with_what_unpacks_it() {
    let dir = tempfile::tempdir().expect("folder");
    std::fs::write(dir.path().join("image.zip"), b"PK\x03\x04and so on").expect("file");
    std::fs::write(dir.path().join("card"), vec![0; 1 << 20]).expect("file");
    for args in [&["inspect", "image.zip"][..], &["flash", "image.zip", "card", "--file", "--yes"]] {
        let (code, text) = xtask(dir.path(), args);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(" zip") && text.contains("`unzip`"), "{text}");
    }
}
