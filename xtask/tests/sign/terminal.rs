// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The passphrase of an encrypted key, typed at a terminal; `script` (package `bsdutils`) gives the program one.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use fw_build::run::Cmd;
use fw_image::modsig;

use crate::support::{Place, RELEASE, elliptic, module};

const SECRET: &str = "s3cret words";

/// A folder with an encrypted key, its certificate and an unsigned module.
fn place() -> Place {
    let place = Place::new();
    place.pair("plain", &elliptic(1, (-1, 1)));
    place.write("secret", format!("{SECRET}\n").as_bytes());
    Cmd::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", "plain.key", "-out", "locked.key"])
        .args(["-passout", "file:secret"])
        .cwd(place.path(""))
        .output()
        .expect("openssl encrypts it");
    place.write("extra.ko", &module(&place, RELEASE));
    place
}

fn sign() -> String {
    format!(
        "'{}' sign module extra.ko --signing-key locked.key --signing-cert plain.pem",
        env!("CARGO_BIN_EXE_xtask")
    )
}

/// Runs the program at a terminal, types `line` at its prompt, and gives exit status and all that the terminal showed.
fn typed(place: &Place, line: &str) -> (Option<i32>, String) {
    let mut child = Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &sign(), "/dev/null"])
        .current_dir(place.path(""))
        .env("FW_STORE", place.path("store"))
        .env("FW_KEYS", place.path("keys"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script starts");
    let (mut keyboard, mut screen) =
        (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut shown = Vec::new();
    let mut byte = [0];
    // Before the prompt the echo is still on, and what was typed ahead is thrown away.
    while !String::from_utf8_lossy(&shown).contains("passphrase of") || !shown.ends_with(b": ") {
        assert_eq!(screen.read(&mut byte).expect("readable"), 1, "{}", String::from_utf8_lossy(&shown));
        shown.push(byte[0]);
    }
    keyboard.write_all(format!("{line}\n").as_bytes()).expect("typed");
    screen.read_to_end(&mut shown).expect("readable");
    let status = child.wait().expect("ends").code();
    (status, String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn the_passphrase_is_typed_and_never_shown() {
    let place = place();
    let unsigned = place.read("extra.ko");
    let (status, shown) = typed(&place, SECRET);
    assert_eq!(status, Some(0), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
    assert_eq!(modsig::split(&place.read("extra.ko")).expect("signed").content, unsigned);
}

#[test]
fn must_fail_a_wrong_passphrase() {
    let place = place();
    let unsigned = place.read("extra.ko");
    let (status, shown) = typed(&place, "another");
    assert_eq!(status, Some(1), "{shown}");
    assert!(shown.contains("error:") && !shown.contains("another"), "{shown}");
    assert_eq!(place.read("extra.ko"), unsigned, "nothing is written");
}

#[test]
fn must_fail_neither_file_nor_terminal() {
    let place = place();
    // A session of its own has no terminal.
    let Output { status, stderr, .. } = Command::new("setsid")
        .args(["--wait", "sh", "-c", &sign()])
        .current_dir(place.path(""))
        .env("FW_STORE", place.path("store"))
        .env("FW_KEYS", place.path("keys"))
        .stdin(Stdio::null())
        .output()
        .expect("setsid runs");
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("needs a passphrase") && text.contains("--passphrase-file"), "{text}");
}
