// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which keys and certificates are taken, and which are refused with what words.

use super::*;
use fw_image::cert::self_signed;

const DAY: u64 = 24 * 60 * 60;

/// A P-384 pair of one secret number, in files; `days` says from when to when it is valid, counted from today.
fn pair(dir: &Path, number: u8, days: (i64, i64)) -> (PathBuf, PathBuf) {
    let at = |days: i64| now_seconds().checked_add_signed(days * DAY as i64).expect("a date");
    let validity = Validity { not_before_seconds: at(days.0), not_after_seconds: at(days.1) };
    let key = SigningKey::p384_from_scalar(&[number; 48]).expect("a key");
    let signer = self_signed(key, "test", validity).expect("a pair");
    let path = |end: &str| dir.join(format!("{number}-{}-{}.{end}", days.0, days.1));
    let pem = signer.key().expect("here").to_pkcs8_pem().expect("PEM");
    private_file(&path("key"), pem.as_bytes()).expect("file");
    private_file(&path("cert"), signer.certificate().to_pem().expect("PEM").as_bytes()).expect("file");
    (path("key"), path("cert"))
}

fn args((key, cert): (PathBuf, PathBuf)) -> KeyArgs {
    KeyArgs { signing_key: Some(key), signing_cert: Some(cert), ..KeyArgs::default() }
}

fn given(args: &KeyArgs) -> Result<Keys> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().to_owned();
    let cx = Context {
        board: fw_build::board::Board::load(&crate::context::root()?, "nanopi-m6")?,
        manifests: fw_build::manifest::Manifests::load(&crate::context::root()?.join("vendor-manifests"))?,
        store: fw_build::store::Store::at(&root)?,
        root,
    };
    let kernel = fw_build::key::KeyInputs::default().key();
    args.resolve(&GeneratedKeys { cx: &cx, kernel: &kernel })
}

#[test]
fn a_pair_and_an_old_certificate() {
    let dir = tempfile::tempdir().expect("folder");
    let (new, old) = (pair(dir.path(), 1, (-1, 30)), pair(dir.path(), 2, (-300, 1)));
    let keys = given(&KeyArgs { trust_cert: vec![old.1.clone()], ..args(new.clone()) }).expect("both");
    let names: Vec<_> = keys.all_certificates().map(Certificate::serial).collect();
    let serial = |path| read_certificate(path).expect("certificate").serial();
    assert_eq!(names, [serial(&new.1), serial(&old.1)]);
}

#[test]
fn must_fail_outside_the_term() {
    let dir = tempfile::tempdir().expect("folder");
    let good = pair(dir.path(), 1, (-1, 1));
    for (days, what) in [((-20, -1), "has expired"), ((1, 20), "is not valid yet")] {
        let bad = pair(dir.path(), 3, days);
        let text = given(&args(bad.clone())).expect_err(what).to_string();
        assert!(text.contains(what) && text.contains("never looks at these dates"), "{text}");
        let trusting = KeyArgs { trust_cert: vec![bad.1], ..args(good.clone()) };
        assert!(given(&trusting).expect_err(what).to_string().contains(what));
    }
}

#[test]
fn must_fail_a_foreign_key() {
    let dir = tempfile::tempdir().expect("folder");
    let (one, two) = (pair(dir.path(), 1, (-1, 1)), pair(dir.path(), 2, (-1, 1)));
    let text = given(&args((one.0, two.1))).expect_err("of two pairs").to_string();
    assert!(text.contains("does not belong to the certificate"), "{text}");
}

#[test]
fn must_fail_the_same_certificate_twice() {
    let dir = tempfile::tempdir().expect("folder");
    let one = pair(dir.path(), 1, (-1, 1));
    let text =
        given(&KeyArgs { trust_cert: vec![one.1.clone()], ..args(one) }).expect_err("twice").to_string();
    assert!(text.contains("cannot be trusted beside the others"), "{text}");
}

#[test]
fn must_fail_a_key_that_everyone_knows() {
    let dir = tempfile::tempdir().expect("folder");
    // The number of the self-test's stranger, in a certificate of another name.
    let text = given(&args(pair(dir.path(), 0x53, (-1, 1)))).expect_err("public").to_string();
    assert!(text.contains("must be in no kernel"), "{text}");
}

#[test]
fn an_encrypted_key_needs_its_passphrase_file() {
    let dir = tempfile::tempdir().expect("folder");
    let (key, cert) = pair(dir.path(), 1, (-1, 1));
    let closed = dir.path().join("closed.pem");
    let (secret, wrong) = (dir.path().join("secret"), dir.path().join("wrong"));
    private_file(&secret, b"s3cret\n").expect("file");
    private_file(&wrong, b"s3cres\n").expect("file");
    fw_build::run::Cmd::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:s3cret", "-in"])
        .args([&key, Path::new("-out"), &closed])
        .output()
        .expect("encrypts");
    let with = |file: &Path| KeyArgs {
        passphrase_file: Some(file.to_owned()),
        ..args((closed.clone(), cert.clone()))
    };
    given(&with(&secret)).expect("opens");
    assert!(given(&with(&wrong)).expect_err("wrong").to_string().contains("cannot sign with"));
}

#[cfg(not(feature = "pkcs11"))]
#[test]
fn must_fail_a_token_without_the_feature() {
    let dir = tempfile::tempdir().expect("folder");
    let (_, cert) = pair(dir.path(), 1, (-1, 1));
    let text = given(&args(("pkcs11:token=x;object=y".into(), cert))).expect_err("no feature").to_string();
    assert!(text.contains("--features pkcs11"), "{text}");
}
