// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The private key in this process: loaded, made, used; never shown.
//!
//! The numbers are wiped from memory when the key is dropped (`rsa` and `p384` do it); texts that hold a key
//! are `Zeroizing`. Must not implement anything that prints or serialises the key by accident.

use std::fmt;

use p384::ecdsa::signature::hazmat::PrehashSigner;
use pkcs8::{DecodePrivateKey, EncodePrivateKey, EncryptedPrivateKeyInfo, LineEnding, SecretDocument};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use zeroize::Zeroizing;

use super::public::{Algorithm, PublicKey, check_length};
use super::{Error, malformed};

const PKCS8: &str = "PRIVATE KEY";
const PKCS8_ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const PKCS1: &str = "RSA PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
const WHAT: &str = "private key";

/// A private key of a kind that the kernel verifies.
pub struct SigningKey(Private);

enum Private {
    Rsa(RsaPrivateKey),
    P384(p384::ecdsa::SigningKey),
}

impl fmt::Debug for SigningKey {
    /// Kind only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, private)", self.public_key().algorithm())
    }
}

impl SigningKey {
    /// Makes an RSA key from the operating system's random numbers.
    ///
    /// # Errors
    /// A length that the kernel does not verify.
    pub fn generate(bits: usize) -> Result<Self, Error> {
        check_length(WHAT, bits)?;
        RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits)
            .map(|key| Self(Private::Rsa(key)))
            .map_err(|e| Error::Generate(e.to_string()))
    }

    /// The P-384 key with this secret number, big-endian.
    ///
    /// # Errors
    /// The number is zero or not below the order of the curve.
    pub fn p384_from_scalar(scalar: &[u8; 48]) -> Result<Self, Error> {
        p384::ecdsa::SigningKey::from_bytes(scalar.into())
            .map(|key| Self(Private::P384(key)))
            .map_err(|e| malformed(WHAT, e))
    }

    /// Whether the first private key of a PEM text needs a passphrase.
    pub fn is_encrypted(text: &str) -> bool {
        pem_block(text, PKCS8).is_none()
            && pem_block(text, PKCS1).is_none()
            && pem_block(text, PKCS8_ENCRYPTED).is_some()
    }

    /// Reads the first private key of a PEM text: PKCS#8 (`PRIVATE KEY`, or `ENCRYPTED PRIVATE KEY` with a
    /// passphrase), PKCS#1 (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`). Other blocks in the text, such as
    /// the certificate, are passed over.
    ///
    /// # Errors
    /// No key, one of another kind, a short one, or the passphrase is missing or wrong.
    pub fn from_pem(text: &str, passphrase: Option<&[u8]>) -> Result<Self, Error> {
        let key = if let Some(block) = pem_block(text, PKCS8) {
            Self::from_pkcs8(&document(block, PKCS8)?)?
        } else if let Some(block) = pem_block(text, PKCS1) {
            refuse_old_encryption(block)?;
            Self(Private::Rsa(RsaPrivateKey::from_pkcs1_pem(block).map_err(|e| malformed(WHAT, e))?))
        } else if let Some(block) = pem_block(text, PKCS8_ENCRYPTED) {
            Self::from_pkcs8(&decrypt(block, passphrase)?)?
        } else if let Some(block) = pem_block(text, SEC1) {
            refuse_old_encryption(block)?;
            let key = p384::SecretKey::from_sec1_pem(block).map_err(|_| Error::Unsupported(WHAT))?;
            Self(Private::P384(key.into()))
        } else {
            return Err(Error::NoPem(PKCS8));
        };
        if let Private::Rsa(rsa) = &key.0 {
            check_length(WHAT, rsa.n().bits())?;
            rsa.validate().map_err(|e| malformed(WHAT, e))?;
        }
        Ok(key)
    }

    fn from_pkcs8(document: &SecretDocument) -> Result<Self, Error> {
        let der = document.as_bytes();
        match RsaPrivateKey::from_pkcs8_der(der) {
            Ok(key) => return Ok(Self(Private::Rsa(key))),
            Err(pkcs8::Error::PublicKey(pkcs8::spki::Error::OidUnknown { .. })) => {}
            Err(e) => return Err(malformed(WHAT, e)),
        }
        // Another curve is "parameters malformed", another algorithm "unknown OID": neither is a P-384 key.
        p384::ecdsa::SigningKey::from_pkcs8_der(der)
            .map(|key| Self(Private::P384(key)))
            .map_err(|_| Error::Unsupported(WHAT))
    }

    /// The key as PKCS#8 PEM, for a file of mode 0600.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, Error> {
        match &self.0 {
            Private::Rsa(key) => key.to_pkcs8_pem(LineEnding::LF),
            Private::P384(key) => key.to_pkcs8_pem(LineEnding::LF),
        }
        .map_err(|e| Error::Generate(e.to_string()))
    }

    /// What kind of key it is.
    pub fn algorithm(&self) -> Algorithm {
        self.public_key().algorithm()
    }

    pub(super) fn public_key(&self) -> PublicKey {
        match &self.0 {
            Private::Rsa(key) => PublicKey::Rsa(key.to_public_key()),
            Private::P384(key) => PublicKey::P384(*key.verifying_key()),
        }
    }

    /// The public key as it stands in a certificate.
    pub(super) fn public_key_der(&self) -> pkcs8::spki::Result<pkcs8::Document> {
        use pkcs8::EncodePublicKey;
        match &self.0 {
            Private::Rsa(key) => key.to_public_key().to_public_key_der(),
            Private::P384(key) => key.verifying_key().to_public_key_der(),
        }
    }

    /// Signs a SHA-512 digest, in the encoding of CMS: PKCS#1 v1.5, or the DER pair of ECDSA with the number
    /// of RFC 6979 in the place of a random one. The same bytes each time.
    pub(super) fn sign_sha512(&self, digest: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.0 {
            Private::Rsa(key) => key
                .sign(Pkcs1v15Sign::new::<rsa::sha2::Sha512>(), digest)
                .map_err(|e| Error::Sign(e.to_string())),
            Private::P384(key) => {
                let signature: p384::ecdsa::Signature =
                    key.sign_prehash(digest).map_err(|e| Error::Sign(e.to_string()))?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
        }
    }
}

/// The DER bytes of a PEM block, wiped when dropped.
fn document(block: &str, label: &str) -> Result<SecretDocument, Error> {
    let (found, document) = SecretDocument::from_pem(block).map_err(|e| malformed(WHAT, e))?;
    if found == label { Ok(document) } else { Err(Error::NoPem(PKCS8)) }
}

/// Opens a PKCS#8 block that is encrypted by PBES2 (RFC 8018): what `openssl genpkey -aes256` writes.
fn decrypt(block: &str, passphrase: Option<&[u8]>) -> Result<SecretDocument, Error> {
    let passphrase = passphrase.ok_or(Error::Encrypted)?;
    let document = document(block, PKCS8_ENCRYPTED)?;
    let info = EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|e| malformed(WHAT, e))?;
    info.decrypt(passphrase).map_err(|e| Error::Passphrase(e.to_string()))
}

/// The old OpenSSL form has the cipher in header lines, which PEM proper does not know, and derives its key
/// with one round of MD5.
fn refuse_old_encryption(block: &str) -> Result<(), Error> {
    if block.contains("ENCRYPTED") { Err(Error::OldEncryption) } else { Ok(()) }
}

/// The first PEM block with this label, from its `BEGIN` to its `END` line.
pub(super) fn pem_block<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let begin = text.find(&format!("-----BEGIN {label}-----"))?;
    let end_line = format!("-----END {label}-----");
    let end = text[begin..].find(&end_line)? + begin + end_line.len();
    text.get(begin..end)
}
