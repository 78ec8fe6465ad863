// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The module signing key and its certificate.
//!
//! RSA only, at least 2048 bit, PEM on disk. The kernel looks the certificate up by issuer and serial
//! number and never compares its validity dates; whether an expired one is refused is the caller's
//! decision ([`Certificate::not_after_seconds`]). This module must not read or write files, and a private
//! key must not leave it except through [`SigningKey::to_pkcs8_pem`].

mod generate;
mod key;

pub use generate::{GENERATED_BITS, Validity, generate};
pub use key::{MINIMUM_BITS, SigningKey};

use rsa::RsaPublicKey;
use sha2::{Digest, Sha256};
use x509_cert::der::referenced::OwnedToRef;
use x509_cert::der::{Decode, DecodePem, Encode};

/// Why a key or a certificate was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No PEM block of a known kind.
    #[error("no PEM block `{0}` in the text")]
    NoPem(&'static str),
    /// A key behind a passphrase.
    #[error("the private key is encrypted; decrypt it first (`openssl pkey -in KEY -out PLAIN`)")]
    Encrypted,
    /// An EC, Ed25519 or DSA key.
    #[error("the {0} is not an RSA key; the kernel configuration verifies RSA signatures only")]
    NotRsa(&'static str),
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
    /// Key and certificate are not of one pair.
    #[error("the private key does not belong to the certificate of `{subject}`")]
    Mismatch {
        /// Subject of the certificate.
        subject: String,
    },
    /// A key could not be made, or a certificate could not be signed or encoded.
    #[error("cannot make a signing key: {0}")]
    Generate(String),
}

fn malformed(what: &'static str, why: impl std::fmt::Display) -> Error {
    Error::Malformed { what, why: why.to_string() }
}

/// An X.509 certificate with an RSA key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
    public_key: RsaPublicKey,
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
        let spki = &parsed.tbs_certificate.subject_public_key_info;
        if spki.algorithm.oid != x509_cert::der::oid::db::rfc5912::RSA_ENCRYPTION {
            return Err(Error::NotRsa("certificate"));
        }
        let public_key =
            RsaPublicKey::try_from(spki.owned_to_ref()).map_err(|e| malformed("certificate", e))?;
        key::check_length("certificate", &public_key)?;
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

    /// Length of the key.
    pub fn bits(&self) -> usize {
        use rsa::traits::PublicKeyParts;
        self.public_key.n().bits()
    }

    /// Start of validity, seconds since 1970.
    pub fn not_before_seconds(&self) -> u64 {
        self.parsed.tbs_certificate.validity.not_before.to_unix_duration().as_secs()
    }

    /// End of validity, seconds since 1970.
    pub fn not_after_seconds(&self) -> u64 {
        self.parsed.tbs_certificate.validity.not_after.to_unix_duration().as_secs()
    }

    /// End of validity as `2035-01-01T00:00:00Z`, for messages.
    pub fn not_after(&self) -> String {
        self.parsed.tbs_certificate.validity.not_after.to_date_time().to_string()
    }

    pub(crate) fn parsed(&self) -> &x509_cert::Certificate {
        &self.parsed
    }

    pub(crate) fn public_key(&self) -> &RsaPublicKey {
        &self.public_key
    }
}

/// A private key with the certificate it belongs to: all that signing needs.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    certificate: Certificate,
}

impl Signer {
    /// Pairs key and certificate; refuses them when they do not belong together.
    pub fn new(key: SigningKey, certificate: Certificate) -> Result<Self, Error> {
        if key.public_key() != certificate.public_key {
            return Err(Error::Mismatch { subject: certificate.subject() });
        }
        Ok(Self { key, certificate })
    }

    /// Reads both PEM texts (`--signing-key`, `--signing-cert`) and pairs them.
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self, Error> {
        Self::new(SigningKey::from_pem(key)?, Certificate::from_pem(certificate)?)
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The private key.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }
}

#[cfg(test)]
pub(crate) mod tests;
