// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Makes a signing key and a self-signed certificate for it.
//!
//! The certificate says what `certs/default_x509.genkey` of the kernel says: not a CA, for digital
//! signatures, with key identifiers. It is signed with SHA-512 because that is the digest the kernel has
//! built in for module signatures: any other might not be there to check it with.

use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest, Sha256, Sha512};
use x509_cert::der::asn1::{BitString, GeneralizedTime, Null, OctetString, UtcTime};
use x509_cert::der::oid::db::rfc5912::{ECDSA_WITH_SHA_512, SHA_512_WITH_RSA_ENCRYPTION};
use x509_cert::der::{Any, Decode, Encode};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{AsExtension, Extension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::Time;
use x509_cert::{TbsCertificate, Version};

use super::{Algorithm, Certificate, Error, Signer, SigningKey};

/// Length of a key made here.
pub const GENERATED_BITS: usize = 4096;
/// Common name of a key made here.
const COMMON_NAME: &str = "module signing key";
/// Organisation of every certificate made here.
const ORGANISATION: &str = "talos-nanopi-m6";
/// Bytes of the serial number; RFC 5280 4.1.2.2 allows 20 and wants a positive number.
const SERIAL_BYTES: usize = 16;
/// Bytes of the key identifier (RFC 7093, method 1: the first 160 bits of a SHA-256).
const KEY_ID_BYTES: usize = 20;
/// First second that UTCTime cannot hold (2050-01-01); RFC 5280 4.1.2.5.
const UTC_TIME_END_SECONDS: u64 = 2_524_608_000;

/// When a certificate is valid. The kernel does not look at it; `openssl` and people do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Start, seconds since 1970.
    pub not_before_seconds: u64,
    /// End, seconds since 1970.
    pub not_after_seconds: u64,
}

/// Makes a key of [`GENERATED_BITS`] and its certificate. Takes some seconds.
pub fn generate(validity: Validity) -> Result<Signer, Error> {
    self_signed(SigningKey::generate(GENERATED_BITS)?, COMMON_NAME, validity)
}

/// Makes the certificate of an existing key. The same key, name and validity give the same certificate.
///
/// # Errors
/// The validity ends before it starts, or a name that X.501 does not allow.
pub fn self_signed(key: SigningKey, common_name: &str, validity: Validity) -> Result<Signer, Error> {
    if validity.not_after_seconds <= validity.not_before_seconds {
        return Err(Error::Generate("the validity ends before it starts".to_owned()));
    }
    let der = certificate(&key, common_name, validity).map_err(|e| Error::Generate(e.to_string()))?;
    Signer::new(key, Certificate::from_der(&der)?)
}

/// The algorithm of signatures by this key, and its parameters (RFC 5758 3.2: none for ECDSA; RFC 4055 5: NULL).
fn algorithm(key: &SigningKey) -> AlgorithmIdentifierOwned {
    match key.algorithm() {
        Algorithm::Rsa(_) => {
            AlgorithmIdentifierOwned { oid: SHA_512_WITH_RSA_ENCRYPTION, parameters: Some(Any::from(Null)) }
        }
        Algorithm::EcdsaP384 => AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA_512, parameters: None },
    }
}

/// From the key and the validity: no two certificates of different content share one.
fn serial(spki: &[u8], validity: Validity) -> [u8; SERIAL_BYTES] {
    let mut hash = Sha256::new();
    hash.update(spki);
    hash.update(validity.not_before_seconds.to_be_bytes());
    hash.update(validity.not_after_seconds.to_be_bytes());
    let mut serial = [0; SERIAL_BYTES];
    serial.copy_from_slice(&hash.finalize()[..SERIAL_BYTES]);
    // The top bit clear and the next one set: positive, and always the same length.
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

fn certificate(
    key: &SigningKey,
    common_name: &str,
    validity: Validity,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let spki_der = key.public_key_der()?;
    let spki = SubjectPublicKeyInfoOwned::from_der(spki_der.as_bytes())?;
    let key_id = OctetString::new(&Sha256::digest(spki.subject_public_key.raw_bytes())[..KEY_ID_BYTES])?;
    let name = Name::from_str(&format!("CN={common_name},O={ORGANISATION}"))?;
    let algorithm = algorithm(key);
    let serial = serial(spki_der.as_bytes(), validity);
    let constraints = BasicConstraints { ca: false, path_len_constraint: None };
    let authority =
        AuthorityKeyIdentifier { key_identifier: Some(key_id.clone()), ..AuthorityKeyIdentifier::default() };
    let tbs = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&serial)?,
        signature: algorithm.clone(),
        issuer: name.clone(),
        validity: x509_cert::time::Validity {
            not_before: time(validity.not_before_seconds)?,
            not_after: time(validity.not_after_seconds)?,
        },
        extensions: Some(vec![
            extension(&constraints, &name)?,
            extension(&KeyUsage(KeyUsages::DigitalSignature.into()), &name)?,
            extension(&SubjectKeyIdentifier(key_id), &name)?,
            extension(&authority, &name)?,
        ]),
        subject: name,
        subject_public_key_info: spki,
        issuer_unique_id: None,
        subject_unique_id: None,
    };
    let signature = key.sign_sha512(&Sha512::digest(tbs.to_der()?))?;
    let certificate = x509_cert::Certificate {
        tbs_certificate: tbs,
        signature_algorithm: algorithm,
        signature: BitString::from_bytes(&signature)?,
    };
    Ok(certificate.to_der()?)
}

fn extension(value: &impl AsExtension, name: &Name) -> x509_cert::der::Result<Extension> {
    value.to_extension(name, &[])
}

fn time(seconds: u64) -> x509_cert::der::Result<Time> {
    let since_1970 = Duration::from_secs(seconds);
    if seconds < UTC_TIME_END_SECONDS {
        UtcTime::from_unix_duration(since_1970).map(Time::UtcTime)
    } else {
        GeneralizedTime::from_unix_duration(since_1970).map(Time::GeneralTime)
    }
}
