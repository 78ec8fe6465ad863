// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The public half: which keys the kernel can verify with, and the verification itself.
//!
//! Must not accept a key that the kernel would refuse: a certificate that the boot skips leaves every
//! module of the image unloadable.

use std::fmt;

use p384::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::{rfc5912, rfc5912::SECP_384_R_1};
use x509_cert::der::referenced::OwnedToRef;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::{Error, malformed};

/// Shortest RSA key that is accepted: below it, forging is within reach of an attacker with money.
pub const MINIMUM_BITS: usize = 2048;

/// The RSA lengths that the kernel verifies, of those that are long enough (`rsa_check_key_length` of its
/// `crypto/rsa.c`); it refuses every other one.
pub const RSA_BITS: [usize; 3] = [2048, 3072, 4096];

/// Signature algorithms of certificates that the kernel's parser knows (`x509_note_sig_algo` of
/// `crypto/asymmetric_keys/x509_cert_parser.c`), without SHA-1 and SHA-224, which its configuration lacks, and
/// without the national and SHA-3 ones, which nothing else in a boot chain speaks.
const CERTIFICATE_ALGORITHMS: [ObjectIdentifier; 6] = [
    rfc5912::SHA_256_WITH_RSA_ENCRYPTION,
    rfc5912::SHA_384_WITH_RSA_ENCRYPTION,
    rfc5912::SHA_512_WITH_RSA_ENCRYPTION,
    rfc5912::ECDSA_WITH_SHA_256,
    rfc5912::ECDSA_WITH_SHA_384,
    rfc5912::ECDSA_WITH_SHA_512,
];

/// The kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS#1 v1.5, with a modulus of this many bits.
    Rsa(usize),
    /// ECDSA over NIST's P-384.
    EcdsaP384,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Algorithm::Rsa(bits) => write!(f, "RSA-{bits}"),
            Algorithm::EcdsaP384 => f.write_str("ECDSA P-384"),
        }
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// RSA of one of [`RSA_BITS`].
    Rsa(RsaPublicKey),
    /// P-384.
    P384(p384::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads the key of a certificate.
    pub(super) fn of_certificate(spki: &SubjectPublicKeyInfoOwned) -> Result<Self, Error> {
        const WHAT: &str = "certificate";
        if spki.algorithm.oid == rfc5912::RSA_ENCRYPTION {
            let key = RsaPublicKey::try_from(spki.owned_to_ref()).map_err(|e| malformed(WHAT, e))?;
            check_length(WHAT, key.n().bits())?;
            return Ok(PublicKey::Rsa(key));
        }
        let curve = || spki.algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok();
        if spki.algorithm.oid == rfc5912::ID_EC_PUBLIC_KEY && curve() == Some(SECP_384_R_1) {
            let point = spki.subject_public_key.raw_bytes();
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|e| malformed(WHAT, e))?;
            return Ok(PublicKey::P384(key));
        }
        Err(Error::Unsupported(WHAT))
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            PublicKey::Rsa(key) => Algorithm::Rsa(key.n().bits()),
            PublicKey::P384(_) => Algorithm::EcdsaP384,
        }
    }

    /// Whether `signature`, in the encoding of CMS, is one over a SHA-512 digest.
    pub(crate) fn verifies_sha512(&self, digest: &[u8], signature: &[u8]) -> bool {
        match self {
            PublicKey::Rsa(key) => {
                key.verify(Pkcs1v15Sign::new::<rsa::sha2::Sha512>(), digest, signature).is_ok()
            }
            PublicKey::P384(key) => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
        }
    }
}

/// Refuses what the kernel's certificate parser does not know.
pub(super) fn check_certificate_algorithm(oid: ObjectIdentifier) -> Result<(), Error> {
    if CERTIFICATE_ALGORITHMS.contains(&oid) { Ok(()) } else { Err(Error::CertificateAlgorithm(oid)) }
}

/// Refuses an RSA length that is too short or that the kernel does not verify.
pub(super) fn check_length(what: &'static str, bits: usize) -> Result<(), Error> {
    if bits < MINIMUM_BITS {
        return Err(Error::TooShort { what, bits });
    }
    if RSA_BITS.contains(&bits) { Ok(()) } else { Err(Error::OddLength { what, bits }) }
}
