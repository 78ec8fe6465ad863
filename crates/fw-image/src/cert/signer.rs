// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A private key, here or in a token, with the certificate it belongs to: all that signing needs.

use std::fmt;

use super::key::SigningKey;
use super::{Certificate, Error, malformed};

/// The two numbers of a P-384 signature one behind the other, as tokens give them (48 bytes each), as the DER
/// pair of CMS and X9.62.
///
/// # Errors
/// Another length, or a number out of range.
pub fn ecdsa_der(pair: &[u8]) -> Result<Vec<u8>, Error> {
    let signature =
        p384::ecdsa::Signature::from_slice(pair).map_err(|e| malformed("token's signature", e))?;
    Ok(signature.to_der().as_bytes().to_vec())
}

/// A key that signs without showing itself: a smart card, an HSM, a signing service.
pub trait Token: Send + Sync + fmt::Debug {
    /// Signs a SHA-512 digest, in the encoding of CMS: PKCS#1 v1.5 for RSA, the DER pair for ECDSA.
    ///
    /// # Errors
    /// What the token said; never anything secret.
    fn sign_sha512(&self, digest: &[u8]) -> Result<Vec<u8>, String>;
}

#[derive(Debug)]
enum Holder {
    Here(Box<SigningKey>),
    Token(Box<dyn Token>),
}

/// A private key with the certificate it belongs to.
#[derive(Debug)]
pub struct Signer {
    holder: Holder,
    certificate: Certificate,
}

impl Signer {
    /// Pairs key and certificate.
    ///
    /// # Errors
    /// They do not belong together.
    pub fn new(key: SigningKey, certificate: Certificate) -> Result<Self, Error> {
        if key.public_key() != *certificate.public_key() {
            return Err(Error::Mismatch { subject: certificate.subject() });
        }
        Ok(Self { holder: Holder::Here(Box::new(key)), certificate })
    }

    /// Pairs the key in a token with its certificate: a trial signature must verify.
    ///
    /// # Errors
    /// The token cannot sign, or they do not belong together.
    pub fn with_token(token: Box<dyn Token>, certificate: Certificate) -> Result<Self, Error> {
        let signer = Self { holder: Holder::Token(token), certificate };
        signer.sign_sha512(&[0x5a; 64])?;
        Ok(signer)
    }

    /// Reads both PEM texts (`--signing-key`, `--signing-cert`) and pairs them.
    ///
    /// # Errors
    /// A text cannot be read, or they do not belong together.
    pub fn from_pem(key: &str, passphrase: Option<&[u8]>, certificate: &str) -> Result<Self, Error> {
        Self::new(SigningKey::from_pem(key, passphrase)?, Certificate::from_pem(certificate)?)
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The private key; `None` when it is in a token.
    pub fn key(&self) -> Option<&SigningKey> {
        match &self.holder {
            Holder::Here(key) => Some(key),
            Holder::Token(_) => None,
        }
    }

    /// Signs a SHA-512 digest.
    pub(crate) fn sign_sha512(&self, digest: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.holder {
            Holder::Here(key) => key.sign_sha512(digest),
            Holder::Token(token) => {
                let signature = token.sign_sha512(digest).map_err(Error::Sign)?;
                // A token answers over a wire: what it gives is looked at before it goes anywhere.
                if !self.certificate.public_key().verifies_sha512(digest, &signature) {
                    return Err(Error::Mismatch { subject: self.certificate.subject() });
                }
                Ok(signature)
            }
        }
    }
}
