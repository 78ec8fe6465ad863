// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signing, splitting, verifying, and an oracle that is not ours: `openssl cms -verify`.

use std::path::Path;
use std::process::{Command, Output};

use super::*;
use crate::cert::tests::{elliptic, key_pem, signer, stranger};

const MODULE: &[u8] = b"\x7fELF, what stands for a module\n\x00\xff";

fn signed() -> Vec<u8> {
    sign(MODULE, signer()).expect("a module and a key")
}

fn certificates() -> Vec<Certificate> {
    [stranger(), signer(), elliptic()].map(|s| s.certificate().clone()).into()
}

#[test]
fn signs_splits_and_verifies() {
    let file = signed();
    assert_eq!(MARKER, b"~Module signature appended~\n");
    assert_eq!(INFO_BYTES, 12);
    assert_eq!(split(&file).expect("our own").content, MODULE);
    assert_eq!(verify(&file, &certificates()).expect("our own"), signer().certificate());
    assert_eq!(file, signed());
    let file = sign(MODULE, elliptic()).expect("a module and a key");
    assert_eq!(verify(&file, &certificates()).expect("our own"), elliptic().certificate());
    assert_eq!(file, sign(MODULE, elliptic()).expect("the same bytes each time"));
}

fn openssl(directory: &Path, arguments: &[&str]) -> Output {
    Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|e| panic!("cannot run `openssl`: {e}\nhint: install the package `openssl`"))
}

const OPENSSL_VERIFY: [&str; 14] = [
    "cms",
    "-verify",
    "-binary",
    "-inform",
    "DER",
    "-in",
    "sig",
    "-content",
    "module",
    "-certfile",
    "cert",
    "-nointern",
    "-noverify",
    "-out",
];

#[test]
fn openssl_accepts_the_signature_and_refuses_another_module() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).expect("a file");
    let arguments: Vec<&str> = OPENSSL_VERIFY.into_iter().chain(["/dev/null"]).collect();
    for signer in [elliptic(), signer()] {
        let file = sign(MODULE, signer).expect("a module and a key");
        write("sig", split(&file).expect("our own").cms);
        write("module", MODULE);
        write("cert", signer.certificate().to_pem().expect("PEM").as_bytes());
        let accepted = openssl(directory.path(), &arguments);
        assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));

        let mut changed = MODULE.to_vec();
        changed[5] ^= 1;
        write("module", &changed);
        assert!(!openssl(directory.path(), &arguments).status.success(), "a changed module was accepted");
    }
    let printed = openssl(directory.path(), &["cms", "-cmsout", "-print", "-inform", "DER", "-in", "sig"]);
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(text.contains("algorithm: sha512") && text.contains("issuerAndSerialNumber"), "{text}");
    for absent in ["signedAttrs", "certificates"] {
        let line = text.lines().skip_while(|line| !line.contains(&format!("{absent}:"))).nth(1);
        assert_eq!(line.map(str::trim), Some("<ABSENT>"), "{absent} in\n{text}");
    }
}

#[test]
fn openssl_finds_the_certificate_sound() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let signed_by = |signer: &Signer| {
        let pem = signer.certificate().to_pem().expect("PEM");
        std::fs::write(directory.path().join("cert"), pem).expect("a file");
    };
    signed_by(elliptic());
    let checked = openssl(directory.path(), &["verify", "-check_ss_sig", "-CAfile", "cert", "cert"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    signed_by(signer());
    // Self-signed: it is its own anchor. Checks the signature and the extensions.
    let checked = openssl(directory.path(), &["verify", "-check_ss_sig", "-CAfile", "cert", "cert"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let printed = openssl(directory.path(), &["x509", "-in", "cert", "-noout", "-text"]);
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    for part in ["CA:FALSE", "Digital Signature", "sha512WithRSAEncryption", "CN = module signing key"] {
        // OpenSSL 3.2 and later print `CN=`.
        let found = text.contains(part) || text.contains(&part.replace(" = ", "="));
        assert!(found, "`{part}` is not in\n{text}");
    }
}

#[test]
fn must_fail_01_unsigned_and_signed_twice() {
    assert!(matches!(verify(MODULE, &certificates()), Err(Error::NotSigned)));
    assert!(matches!(sign(&signed(), signer()), Err(Error::AlreadySigned)));
}

#[test]
fn must_fail_02_any_flipped_byte() {
    for file in [signed(), sign(MODULE, elliptic()).expect("a module and a key")] {
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0x01;
            assert!(verify(&changed, &certificates()).is_err(), "byte {at} of {}", file.len());
        }
    }
}

#[test]
fn must_fail_03_truncated() {
    let file = signed();
    let tail = INFO_BYTES + MARKER.len();
    for len in [file.len() - 1, file.len() - MARKER.len(), 0] {
        assert!(matches!(verify(&file[..len], &certificates()), Err(Error::NotSigned)), "length {len}");
    }
    // The front is missing: the signature is longer than what is left.
    for from in [file.len() - tail, file.len() - MARKER.len(), file.len() - tail - 10] {
        assert!(matches!(split(&file[from..]), Err(Error::Trailer(_))), "from {from}");
    }
}

#[test]
fn must_fail_04_stranger_with_the_same_name() {
    let file = sign(MODULE, stranger()).expect("a module and a key");
    let ours = [signer().certificate().clone()];
    assert!(matches!(verify(&file, &ours), Err(Error::UnknownSigner { certificates: 1, .. })));
}

#[test]
fn must_fail_05_reserved_bytes_and_type() {
    let file = signed();
    let info = file.len() - MARKER.len() - INFO_BYTES;
    for at in 0..8 {
        let mut changed = file.clone();
        changed[info + at] ^= 0x80;
        assert!(matches!(split(&changed), Err(Error::Trailer(_))), "byte {at}");
    }
}

#[test]
fn must_fail_06_message_with_signed_attributes() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).expect("a file");
    write("module", MODULE);
    write("cert", signer().certificate().to_pem().expect("PEM").as_bytes());
    write("key", key_pem(signer()).as_bytes());
    let base =
        ["cms", "-sign", "-binary", "-md", "sha512", "-in", "module", "-signer", "cert", "-inkey", "key"];
    let message = |extra: &[&str]| {
        let arguments: Vec<&str> =
            base.iter().chain(extra).copied().chain(["-outform", "DER", "-out", "sig"]).collect();
        let made = openssl(directory.path(), &arguments);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        append(MODULE, &std::fs::read(directory.path().join("sig")).expect("a signature")).expect("short")
    };
    // The form `sign-file` asks OpenSSL for is the one that is accepted …
    verify(&message(&["-noattr", "-nocerts"]), &certificates()).expect("sign-file's form");
    // … and each deviation is refused, though OpenSSL's signature is good.
    for (extra, why) in [
        (&["-nocerts"][..], "signed attributes"),
        (&["-noattr"][..], "carries certificates"),
        (&["-noattr", "-nocerts", "-keyid"][..], "issuer and serial"),
        (&["-noattr", "-nocerts", "-nodetach"][..], "carries content"),
    ] {
        let certificates = certificates();
        let refused = verify(&message(extra), &certificates);
        assert!(matches!(&refused, Err(Error::Cms(text)) if text.contains(why)), "{why}: {refused:?}");
    }
}
