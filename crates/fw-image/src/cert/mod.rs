// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The module signing key and its certificate.
//!
//! RSA of 2048, 3072 or 4096 bits, or ECDSA over P-384: what the kernel can verify. The kernel looks the
//! certificate up by issuer and serial number and never compares its validity dates; whether an expired one
//! is refused is the caller's decision ([`Certificate::term`]). This module must not read or write files, and
//! a private key must not leave it except through [`SigningKey::to_pkcs8_pem`].

mod generate;
mod key;
mod public;
mod signer;

pub use generate::{GENERATED_BITS, Validity, generate, self_signed};
pub use key::SigningKey;
pub use public::{Algorithm, MINIMUM_BITS, RSA_BITS};
pub use signer::{Signer, Token, ecdsa_der};

use public::PublicKey;
use sha2::{Digest, Sha256};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, DecodePem, Encode};

/// Why a key or a certificate was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No PEM block of a known kind.
    #[error("no PEM block `{0}` in the text")]
    NoPem(&'static str),
    /// A key behind a passphrase.
    #[error("the private key is encrypted, and no passphrase was given")]
    Encrypted,
    /// Encrypted in the form from before PKCS#8.
    #[error(
        "the private key is encrypted in OpenSSL's old form; convert it (`openssl pkcs8 -topk8 -in KEY -out NEW`)"
    )]
    OldEncryption,
    /// The passphrase does not open the key, or its cipher is unknown.
    #[error("the passphrase does not open the private key: {0}")]
    Passphrase(String),
    /// Ed25519, DSA, another curve.
    #[error("the {0} has neither an RSA nor a P-384 key; the kernel verifies with no other")]
    Unsupported(&'static str),
    /// The kernel's certificate parser would skip it.
    #[error(
        "the certificate is signed with algorithm {0}, which the kernel does not know; SHA-512 with RSA works"
    )]
    CertificateAlgorithm(ObjectIdentifier),
    /// Damaged PEM or DER. The text of a decoder never holds key bytes.
    #[error("the {what} cannot be read: {why}")]
    Malformed {
        /// Key or certificate.
        what: &'static str,
        /// What the decoder said.
        why: String,
    },
    /// Too small to be trusted.
    #[error("the {what} has {bits} bit, at least {MINIMUM_BITS} are needed")]
    TooShort {
        /// Key or certificate.
        what: &'static str,
        /// Length of the modulus.
        bits: usize,
    },
    /// A length that the kernel's RSA refuses.
    #[error("the {what} has {bits} bit; the kernel verifies RSA keys of 2048, 3072 and 4096 bit only")]
    OddLength {
        /// Key or certificate.
        what: &'static str,
        /// Length of the modulus.
        bits: usize,
    },
    /// Key and certificate are not of one pair.
    #[error("the private key does not belong to the certificate of `{subject}`")]
    Mismatch {
        /// Subject of the certificate.
        subject: String,
    },
    /// A key could not be made, or a certificate could not be signed or encoded.
    #[error("cannot make a signing key: {0}")]
    Generate(String),
    /// The key is there and does not sign.
    #[error("cannot sign: {0}")]
    Sign(String),
}

fn malformed(what: &'static str, why: impl std::fmt::Display) -> Error {
    Error::Malformed { what, why: why.to_string() }
}

/// Where a moment lies against a certificate's validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// Before its start.
    NotYet,
    /// Within.
    Valid,
    /// After its end.
    Expired,
}

/// An X.509 certificate that the kernel can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
    public_key: PublicKey,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let block = key::pem_block(text, "CERTIFICATE").ok_or(Error::NoPem("CERTIFICATE"))?;
        let parsed = x509_cert::Certificate::from_pem(block).map_err(|e| malformed("certificate", e))?;
        Self::from_der(&parsed.to_der().map_err(|e| malformed("certificate", e))?)
    }

    /// Reads one DER certificate, as it stands in the kernel's slot.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let parsed = x509_cert::Certificate::from_der(der).map_err(|e| malformed("certificate", e))?;
        let public_key = PublicKey::of_certificate(&parsed.tbs_certificate.subject_public_key_info)?;
        public::check_certificate_algorithm(parsed.signature_algorithm.oid)?;
        Ok(Self { der: der.to_vec(), parsed, public_key })
    }

    /// The DER bytes, as they go into the kernel's slot.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate as PEM text.
    pub fn to_pem(&self) -> Result<String, Error> {
        use x509_cert::der::EncodePem;
        self.parsed.to_pem(x509_cert::der::pem::LineEnding::LF).map_err(|e| malformed("certificate", e))
    }

    /// SHA-256 of the DER bytes: names the certificate in maps and keys.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// Subject, as RFC 4514 writes it.
    pub fn subject(&self) -> String {
        self.parsed.tbs_certificate.subject.to_string()
    }

    /// Serial number in hexadecimal, as `modinfo` prints `sig_key`.
    pub fn serial(&self) -> String {
        self.parsed.tbs_certificate.serial_number.to_string()
    }

    /// Whether the kernel could take one for the other: it looks for issuer and serial number only.
    pub fn has_identity_of(&self, other: &Certificate) -> bool {
        let identity = |c: &Certificate| {
            let tbs = &c.parsed.tbs_certificate;
            (tbs.issuer.clone(), tbs.serial_number.clone())
        };
        identity(self) == identity(other)
    }

    /// Whether both are for the same key.
    pub fn has_key_of(&self, other: &Certificate) -> bool {
        self.public_key == other.public_key
    }

    /// What kind of key it has.
    pub fn algorithm(&self) -> Algorithm {
        self.public_key.algorithm()
    }

    /// Where a moment (seconds since 1970) lies against its validity. The kernel does not ask.
    pub fn term(&self, now_seconds: u64) -> Term {
        if now_seconds < self.not_before_seconds() {
            Term::NotYet
        } else if now_seconds > self.not_after_seconds() {
            Term::Expired
        } else {
            Term::Valid
        }
    }

    /// Start of validity, seconds since 1970.
    pub fn not_before_seconds(&self) -> u64 {
        self.parsed.tbs_certificate.validity.not_before.to_unix_duration().as_secs()
    }

    /// End of validity, seconds since 1970.
    pub fn not_after_seconds(&self) -> u64 {
        self.parsed.tbs_certificate.validity.not_after.to_unix_duration().as_secs()
    }

    /// Start of validity as `2025-01-01T00:00:00Z`, for messages.
    pub fn not_before(&self) -> String {
        self.parsed.tbs_certificate.validity.not_before.to_date_time().to_string()
    }

    /// End of validity as `2035-01-01T00:00:00Z`, for messages.
    pub fn not_after(&self) -> String {
        self.parsed.tbs_certificate.validity.not_after.to_date_time().to_string()
    }

    pub(crate) fn parsed(&self) -> &x509_cert::Certificate {
        &self.parsed
    }

    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

#[cfg(test)]
pub(crate) mod tests;
