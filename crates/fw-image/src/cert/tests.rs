// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys and certificates: made once for all tests of the crate (2048 bit, for speed).

use std::sync::OnceLock;

use super::generate::self_signed;
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

fn make() -> Signer {
    self_signed(SigningKey::generate(MINIMUM_BITS).expect("a key"), VALIDITY).expect("a certificate")
}

#[test]
fn a_made_pair_survives_pem() {
    let signer = signer();
    let key = signer.key().to_pkcs8_pem().expect("PEM");
    let certificate = signer.certificate().to_pem().expect("PEM");
    let again = Signer::from_pem(&key, &certificate).expect("the same pair");
    assert_eq!(again.certificate(), signer.certificate());
    assert_eq!(again.certificate().subject(), "CN=module signing key,O=talos-nanopi-m6");
    assert_eq!(again.certificate().not_before_seconds(), VALIDITY.not_before_seconds);
    // Past 2049: needs the other time type.
    assert_eq!(again.certificate().not_after_seconds(), VALIDITY.not_after_seconds);
    assert_eq!(again.certificate().not_after(), "2099-01-01T00:00:00Z");
    assert_eq!(again.certificate().bits(), MINIMUM_BITS);
    assert_eq!(again.certificate().der()[..2], [0x30, 0x82]);
    // One file with both, in either order, as the kernel's own signing_key.pem is.
    let both = format!("Bag Attributes\n{certificate}{}", *key);
    assert!(Signer::from_pem(&both, &both).is_ok());
}

#[test]
fn pkcs1_is_read_too() {
    use rsa::pkcs1::EncodeRsaPrivateKey;
    use rsa::pkcs8::{DecodePrivateKey, LineEnding};
    let pkcs8 = signer().key().to_pkcs8_pem().expect("PEM");
    let key = rsa::RsaPrivateKey::from_pkcs8_pem(&pkcs8).expect("our own PEM");
    let pkcs1 = key.to_pkcs1_pem(LineEnding::LF).expect("PEM");
    assert!(pkcs1.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let read = SigningKey::from_pem(&pkcs1).expect("PKCS#1");
    assert_eq!(*read.to_pkcs8_pem().expect("PEM"), *pkcs8);
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", signer().key()), "SigningKey(2048 bit, private)");
}

#[test]
fn must_fail_01_pair_of_two_keys() {
    let key = signer().key().to_pkcs8_pem().expect("PEM");
    let certificate = stranger().certificate().to_pem().expect("PEM");
    assert!(matches!(Signer::from_pem(&key, &certificate), Err(Error::Mismatch { .. })));
}

#[test]
fn must_fail_02_short_key() {
    use rsa::pkcs8::{EncodePrivateKey, LineEnding};
    assert!(matches!(SigningKey::generate(1024), Err(Error::TooShort { bits: 1024, .. })));
    let short = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).expect("a key");
    let pem = short.to_pkcs8_pem(LineEnding::LF).expect("PEM");
    assert!(matches!(SigningKey::from_pem(&pem), Err(Error::TooShort { bits: 1024, .. })));
}

#[test]
fn must_fail_03_encrypted_key() {
    let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    for pem in [pkcs8, old] {
        assert!(matches!(SigningKey::from_pem(pem), Err(Error::Encrypted)), "{pem}");
    }
}

#[test]
fn must_fail_04_not_rsa() {
    use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
    use x509_cert::der::{oid::db::rfc5912, pem};
    let key = rsa::RsaPrivateKey::from_pkcs8_pem(&signer().key().to_pkcs8_pem().expect("PEM"));
    let mut der = key.expect("our own PEM").to_pkcs8_der().expect("DER").as_bytes().to_vec();
    // The same structure under another algorithm's name: RSASSA-PSS differs in the last byte.
    let oid = crate::bytes::find(&der, rfc5912::RSA_ENCRYPTION.as_bytes()).expect("the algorithm");
    der[oid + rfc5912::RSA_ENCRYPTION.as_bytes().len() - 1] = 10;
    let pkcs8 = &pem::encode_string("PRIVATE KEY", LineEnding::LF, &der).expect("PEM");
    let sec1 = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
    for pem in [pkcs8, sec1] {
        let refused = SigningKey::from_pem(pem);
        assert!(matches!(refused, Err(Error::NotRsa("private key"))), "{refused:?}");
    }
}

#[test]
fn must_fail_05_truncated_or_changed() {
    let key = signer().key().to_pkcs8_pem().expect("PEM");
    let certificate = signer().certificate().to_pem().expect("PEM");
    assert!(matches!(SigningKey::from_pem(&key[..key.len() / 2]), Err(Error::NoPem("PRIVATE KEY"))));
    assert!(matches!(Certificate::from_pem(&key), Err(Error::NoPem("CERTIFICATE"))));
    let damaged = certificate.replacen("\nMII", "\nMIA", 1);
    assert!(matches!(Certificate::from_pem(&damaged), Err(Error::Malformed { .. })));
    let der = signer().certificate().der();
    assert!(matches!(Certificate::from_der(&der[..der.len() - 1]), Err(Error::Malformed { .. })));
}

#[test]
fn must_fail_06_validity_backwards() {
    let key = SigningKey::from_pem(&signer().key().to_pkcs8_pem().expect("PEM")).expect("our own key");
    let backwards = Validity { not_before_seconds: 2, not_after_seconds: 1 };
    assert!(matches!(self_signed(key, backwards), Err(Error::Generate(_))));
}
