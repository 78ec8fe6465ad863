// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys and certificates: made once for all tests of the crate (2048 bit and P-384, for speed).

use std::sync::OnceLock;

use super::*;

const VALIDITY: Validity = Validity { not_before_seconds: 1_735_689_600, not_after_seconds: 4_070_908_800 };

/// The crate's test signer.
pub(crate) fn signer() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(make)
}

/// Another pair with the same name.
pub(crate) fn stranger() -> &'static Signer {
    static STRANGER: OnceLock<Signer> = OnceLock::new();
    STRANGER.get_or_init(make)
}

/// A pair over P-384.
pub(crate) fn elliptic() -> &'static Signer {
    static ELLIPTIC: OnceLock<Signer> = OnceLock::new();
    ELLIPTIC.get_or_init(|| {
        let key = SigningKey::p384_from_scalar(&[7; 48]).expect("a key");
        self_signed(key, "an elliptic key", VALIDITY).expect("a certificate")
    })
}

fn make() -> Signer {
    let key = SigningKey::generate(MINIMUM_BITS).expect("a key");
    self_signed(key, "module signing key", VALIDITY).expect("a certificate")
}

/// The PEM text of a pair's key.
pub(crate) fn key_pem(signer: &Signer) -> zeroize::Zeroizing<String> {
    signer.key().expect("not in a token").to_pkcs8_pem().expect("PEM")
}

/// Runs `openssl` in a folder.
fn openssl(directory: &std::path::Path, arguments: &[&str]) {
    let run = std::process::Command::new("openssl").args(arguments).current_dir(directory).output();
    let out =
        run.unwrap_or_else(|e| panic!("cannot run `openssl`: {e}\nhint: install the package `openssl`"));
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_made_pair_survives_pem() {
    let signer = signer();
    let key = key_pem(signer);
    let certificate = signer.certificate().to_pem().expect("PEM");
    let again = Signer::from_pem(&key, None, &certificate).expect("the same pair");
    assert_eq!(again.certificate(), signer.certificate());
    assert_eq!(again.certificate().subject(), "CN=module signing key,O=talos-nanopi-m6");
    assert_eq!(again.certificate().not_before_seconds(), VALIDITY.not_before_seconds);
    // Past 2049: needs the other time type.
    assert_eq!(again.certificate().not_after_seconds(), VALIDITY.not_after_seconds);
    assert_eq!(again.certificate().not_after(), "2099-01-01T00:00:00Z");
    assert_eq!(again.certificate().algorithm(), Algorithm::Rsa(MINIMUM_BITS));
    assert_eq!(again.certificate().der()[..2], [0x30, 0x82]);
    // One file with both, in either order, as the kernel's own signing_key.pem is.
    let both = format!("Bag Attributes\n{certificate}{}", *key);
    assert!(Signer::from_pem(&both, None, &both).is_ok());
}

#[test]
fn pkcs1_is_read_too() {
    use rsa::pkcs1::EncodeRsaPrivateKey;
    use rsa::pkcs8::{DecodePrivateKey, LineEnding};
    let pkcs8 = key_pem(signer());
    let key = rsa::RsaPrivateKey::from_pkcs8_pem(&pkcs8).expect("our own PEM");
    let pkcs1 = key.to_pkcs1_pem(LineEnding::LF).expect("PEM");
    assert!(pkcs1.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let read = SigningKey::from_pem(&pkcs1, None).expect("PKCS#1");
    assert_eq!(*read.to_pkcs8_pem().expect("PEM"), *pkcs8);
}

#[test]
fn elliptic_keys_are_read_in_both_forms() {
    let pkcs8 = key_pem(elliptic());
    let read = SigningKey::from_pem(&pkcs8, None).expect("PKCS#8");
    assert_eq!(read.algorithm(), Algorithm::EcdsaP384);
    let dir = tempfile::tempdir().expect("folder");
    std::fs::write(dir.path().join("key"), pkcs8.as_bytes()).expect("file");
    openssl(dir.path(), &["ec", "-in", "key", "-out", "sec1"]);
    let sec1 = std::fs::read_to_string(dir.path().join("sec1")).expect("file");
    assert!(sec1.contains("-----BEGIN EC PRIVATE KEY-----"), "{sec1}");
    let read = SigningKey::from_pem(&sec1, None).expect("SEC 1");
    assert_eq!(*read.to_pkcs8_pem().expect("PEM"), *pkcs8);
    let certificate = Certificate::from_pem(&elliptic().certificate().to_pem().expect("PEM"));
    assert_eq!(certificate.expect("our own").algorithm().to_string(), "ECDSA P-384");
}

#[test]
fn an_encrypted_key_opens_with_its_passphrase_only() {
    let dir = tempfile::tempdir().expect("folder");
    for (signer, cipher) in [(signer(), "-aes-256-cbc"), (elliptic(), "-aes-128-cbc")] {
        std::fs::write(dir.path().join("plain"), key_pem(signer).as_bytes()).expect("file");
        for kdf in [&["-v2prf", "hmacWithSHA512"][..], &["-scrypt"]] {
            let pkcs8 =
                ["pkcs8", "-topk8", "-in", "plain", "-out", "closed", "-passout", "pass:s3cret", "-v2"];
            let arguments: Vec<&str> = pkcs8.iter().chain(&[&cipher[1..]]).chain(kdf).copied().collect();
            openssl(dir.path(), &arguments);
            let closed = std::fs::read_to_string(dir.path().join("closed")).expect("file");
            assert!(SigningKey::is_encrypted(&closed) && !SigningKey::is_encrypted(&key_pem(signer)));
            let opened = SigningKey::from_pem(&closed, Some(b"s3cret")).expect("the passphrase");
            assert_eq!(*opened.to_pkcs8_pem().expect("PEM"), *key_pem(signer));
            assert!(matches!(SigningKey::from_pem(&closed, None), Err(Error::Encrypted)));
            let wrong = SigningKey::from_pem(&closed, Some(b"s3cres"));
            // A wrong key leaves sound padding behind once in 256 times: then it is no key.
            assert!(matches!(
                wrong,
                Err(Error::Passphrase(_) | Error::Malformed { .. } | Error::Unsupported(_))
            ));
        }
    }
}

#[test]
fn a_made_certificate_is_the_same_each_time_and_its_number_its_own() {
    let again = |validity| {
        let key = SigningKey::from_pem(&key_pem(elliptic()), None).expect("our own key");
        self_signed(key, "an elliptic key", validity).expect("a certificate").certificate().clone()
    };
    assert_eq!(again(VALIDITY), *elliptic().certificate());
    let longer = again(Validity { not_after_seconds: VALIDITY.not_after_seconds + 1, ..VALIDITY });
    assert_ne!(longer.serial(), elliptic().certificate().serial());
}

#[test]
fn the_term_has_two_ends() {
    let certificate = signer().certificate();
    for (now, term) in [
        (VALIDITY.not_before_seconds - 1, Term::NotYet),
        (VALIDITY.not_before_seconds, Term::Valid),
        (VALIDITY.not_after_seconds, Term::Valid),
        (VALIDITY.not_after_seconds + 1, Term::Expired),
    ] {
        assert_eq!(certificate.term(now), term, "{now}");
    }
}

/// A token that holds a key of this process.
#[derive(Debug)]
struct Card(SigningKey);

impl Token for Card {
    fn sign_sha512(&self, digest: &[u8]) -> Result<Vec<u8>, String> {
        self.0.sign_sha512(digest).map_err(|e| e.to_string())
    }
}

#[test]
fn a_token_signs_and_a_foreign_one_is_refused() {
    let card = || Box::new(Card(SigningKey::from_pem(&key_pem(signer()), None).expect("our own key")));
    let paired = Signer::with_token(card(), signer().certificate().clone()).expect("a pair");
    assert!(paired.key().is_none());
    assert_eq!(paired.sign_sha512(&[1; 64]).expect("signs"), signer().sign_sha512(&[1; 64]).expect("signs"));
    for other in [stranger(), elliptic()] {
        let refused = Signer::with_token(card(), other.certificate().clone());
        assert!(matches!(refused, Err(Error::Mismatch { .. })));
    }
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", signer().key().expect("here")), "SigningKey(RSA-2048, private)");
}

#[test]
fn must_fail_01_pair_of_two_keys() {
    let key = key_pem(signer());
    let certificate = stranger().certificate().to_pem().expect("PEM");
    assert!(matches!(Signer::from_pem(&key, None, &certificate), Err(Error::Mismatch { .. })));
}

#[test]
fn must_fail_02_short_key() {
    use rsa::pkcs8::{EncodePrivateKey, LineEnding};
    assert!(matches!(SigningKey::generate(1024), Err(Error::TooShort { bits: 1024, .. })));
    let short = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).expect("a key");
    let pem = short.to_pkcs8_pem(LineEnding::LF).expect("PEM");
    assert!(matches!(SigningKey::from_pem(&pem, None), Err(Error::TooShort { bits: 1024, .. })));
}

#[test]
fn must_fail_03_old_encryption() {
    for label in ["RSA", "EC"] {
        let old = format!(
            "-----BEGIN {label} PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END {label} PRIVATE KEY-----\n"
        );
        assert!(matches!(SigningKey::from_pem(&old, Some(b"x")), Err(Error::OldEncryption)), "{old}");
    }
}

#[test]
fn must_fail_04_another_kind_of_key() {
    let dir = tempfile::tempdir().expect("folder");
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("file");
    for algorithm in [
        &["-algorithm", "ED25519"][..],
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"],
    ] {
        openssl(dir.path(), &[&["genpkey", "-out", "key"], algorithm].concat());
        let refused = SigningKey::from_pem(&read("key"), None);
        assert!(matches!(refused, Err(Error::Unsupported("private key"))), "{algorithm:?}: {refused:?}");
        openssl(dir.path(), &["req", "-x509", "-new", "-key", "key", "-subj", "/CN=x", "-out", "cert"]);
        let refused = Certificate::from_pem(&read("cert"));
        assert!(matches!(refused, Err(Error::Unsupported("certificate"))), "{algorithm:?}: {refused:?}");
    }
    // The old form names no algorithm, only a curve.
    openssl(dir.path(), &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key"]);
    assert!(matches!(SigningKey::from_pem(&read("key"), None), Err(Error::Unsupported("private key"))));
}

#[test]
fn must_fail_05_truncated_or_changed() {
    let key = key_pem(signer());
    let certificate = signer().certificate().to_pem().expect("PEM");
    assert!(matches!(SigningKey::from_pem(&key[..key.len() / 2], None), Err(Error::NoPem("PRIVATE KEY"))));
    assert!(matches!(Certificate::from_pem(&key), Err(Error::NoPem("CERTIFICATE"))));
    let damaged = certificate.replacen("\nMII", "\nMIA", 1);
    assert!(matches!(Certificate::from_pem(&damaged), Err(Error::Malformed { .. })));
    let der = signer().certificate().der();
    assert!(matches!(Certificate::from_der(&der[..der.len() - 1]), Err(Error::Malformed { .. })));
}

#[test]
fn must_fail_06_validity_backwards() {
    let key = SigningKey::from_pem(&key_pem(signer()), None).expect("our own key");
    let backwards = Validity { not_before_seconds: 2, not_after_seconds: 1 };
    assert!(matches!(self_signed(key, "x", backwards), Err(Error::Generate(_))));
}

#[test]
fn must_fail_07_a_length_that_the_kernel_refuses() {
    assert!(matches!(SigningKey::generate(2056), Err(Error::OddLength { bits: 2056, .. })));
    let odd = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2056).expect("a key");
    let pem = pkcs8::EncodePrivateKey::to_pkcs8_pem(&odd, pkcs8::LineEnding::LF).expect("PEM");
    assert!(matches!(SigningKey::from_pem(&pem, None), Err(Error::OddLength { bits: 2056, .. })));
}

#[test]
fn must_fail_08_a_certificate_that_the_kernel_cannot_read() {
    let dir = tempfile::tempdir().expect("folder");
    std::fs::write(dir.path().join("key"), key_pem(signer()).as_bytes()).expect("file");
    let make = |extra: &[&str]| {
        let base = ["req", "-x509", "-new", "-key", "key", "-subj", "/CN=x", "-out", "cert"];
        openssl(dir.path(), &[&base, extra].concat());
        Certificate::from_pem(&std::fs::read_to_string(dir.path().join("cert")).expect("file"))
    };
    make(&["-sha256"]).expect("the usual digest");
    for extra in [&["-sha1"][..], &["-sha256", "-sigopt", "rsa_padding_mode:pss"]] {
        let refused = make(extra);
        assert!(matches!(refused, Err(Error::CertificateAlgorithm(_))), "{extra:?}: {refused:?}");
    }
}
