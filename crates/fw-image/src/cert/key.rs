// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The private RSA key: loaded, made, used; never shown.
//!
//! The numbers are wiped from memory when the key is dropped (`rsa` does it); texts that hold a key are
//! `Zeroizing`. Must not implement anything that prints or serialises the key by accident.

use std::fmt;

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use zeroize::Zeroizing;

use super::{Error, malformed};

/// Shortest key that is accepted.
pub const MINIMUM_BITS: usize = 2048;

const PKCS8: &str = "PRIVATE KEY";
const PKCS8_ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const PKCS1: &str = "RSA PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";

/// A private RSA key of at least [`MINIMUM_BITS`].
pub struct SigningKey(RsaPrivateKey);

impl fmt::Debug for SigningKey {
    /// Length only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} bit, private)", self.bits())
    }
}

impl SigningKey {
    /// Makes a key from the operating system's random numbers.
    pub fn generate(bits: usize) -> Result<Self, Error> {
        if bits < MINIMUM_BITS {
            return Err(Error::TooShort { what: "private key", bits });
        }
        RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits)
            .map(Self)
            .map_err(|e| Error::Generate(e.to_string()))
    }

    /// Reads the first private key of a PEM text: PKCS#8 (`PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`),
    /// not encrypted. Other blocks in the text, such as the certificate, are passed over.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let unreadable = |e: &dyn fmt::Display| malformed("private key", e);
        let key = if let Some(block) = pem_block(text, PKCS8) {
            RsaPrivateKey::from_pkcs8_pem(block).map_err(|e| {
                let wrong_algorithm =
                    matches!(e, rsa::pkcs8::Error::PublicKey(rsa::pkcs8::spki::Error::OidUnknown { .. }));
                if wrong_algorithm { Error::NotRsa("private key") } else { unreadable(&e) }
            })?
        } else if let Some(block) = pem_block(text, PKCS1) {
            // The old OpenSSL form has the cipher in header lines, which PEM proper does not know.
            if block.contains("ENCRYPTED") {
                return Err(Error::Encrypted);
            }
            RsaPrivateKey::from_pkcs1_pem(block).map_err(|e| unreadable(&e))?
        } else if pem_block(text, PKCS8_ENCRYPTED).is_some() {
            return Err(Error::Encrypted);
        } else if pem_block(text, SEC1).is_some() {
            return Err(Error::NotRsa("private key"));
        } else {
            return Err(Error::NoPem(PKCS8));
        };
        check_length("private key", &key.to_public_key())?;
        key.validate().map_err(|e| unreadable(&e))?;
        Ok(Self(key))
    }

    /// The key as PKCS#8 PEM, for a file of mode 0600.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, Error> {
        self.0.to_pkcs8_pem(LineEnding::LF).map_err(|e| Error::Generate(e.to_string()))
    }

    /// Length of the modulus.
    pub fn bits(&self) -> usize {
        self.0.n().bits()
    }

    pub(super) fn public_key(&self) -> RsaPublicKey {
        self.0.to_public_key()
    }

    /// Signs a SHA-512 digest with PKCS#1 v1.5: the same bytes each time.
    pub(crate) fn sign_sha512(&self, digest: &[u8]) -> Result<Vec<u8>, Error> {
        self.0
            .sign(Pkcs1v15Sign::new::<rsa::sha2::Sha512>(), digest)
            .map_err(|e| Error::Generate(e.to_string()))
    }
}

pub(super) fn check_length(what: &'static str, key: &RsaPublicKey) -> Result<(), Error> {
    let bits = key.n().bits();
    if bits < MINIMUM_BITS { Err(Error::TooShort { what, bits }) } else { Ok(()) }
}

/// The first PEM block with this label, from its `BEGIN` to its `END` line.
pub(super) fn pem_block<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let begin = text.find(&format!("-----BEGIN {label}-----"))?;
    let end_line = format!("-----END {label}-----");
    let end = text[begin..].find(&end_line)? + begin + end_line.len();
    text.get(begin..end)
}
