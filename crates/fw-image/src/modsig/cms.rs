// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The CMS message (RFC 5652) of a module signature, built from the `cms` crate's types: its builder
//! always adds signed attributes.
//!
//! Must not accept any other form than the one [`sign`] writes: what ships has exactly one.

use ::cms::cert::IssuerAndSerialNumber;
use ::cms::content_info::{CmsVersion, ContentInfo};
use ::cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos};
use sha2::{Digest, Sha512};
use x509_cert::der::asn1::{Null, OctetString, SetOfVec};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::{rfc5911, rfc5912};
use x509_cert::der::{Any, Decode, Encode};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::Error;
use crate::cert::{Algorithm, Certificate, Signer};

/// The message over `content`, DER.
pub(super) fn sign(content: &[u8], signer: &Signer) -> Result<Vec<u8>, Error> {
    let signature = signer.sign_sha512(&Sha512::digest(content))?;
    encode(signer.certificate(), &signature).map_err(|e| Error::Cms(e.to_string()))
}

fn encode(certificate: &Certificate, signature: &[u8]) -> x509_cert::der::Result<Vec<u8>> {
    // RFC 5754 section 2: no parameters with SHA-512.
    let digest_alg = AlgorithmIdentifierOwned { oid: rfc5912::ID_SHA_512, parameters: None };
    let signature_algorithm = signature_algorithm(certificate);
    let info = SignerInfo {
        // Version 1 goes with issuer and serial number (RFC 5652 section 5.3).
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(identity(certificate)),
        digest_alg: digest_alg.clone(),
        signed_attrs: None,
        signature_algorithm,
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let signed_data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![digest_alg])?,
        encap_content_info: EncapsulatedContentInfo { econtent_type: rfc5911::ID_DATA, econtent: None },
        certificates: None,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![info])?),
    };
    let content = Any::encode_from(&signed_data)?;
    ContentInfo { content_type: rfc5911::ID_SIGNED_DATA, content }.to_der()
}

/// RFC 3370 section 3.2: rsaEncryption with NULL; RFC 5754 section 3.3: ecdsa-with-SHA512 without parameters. The
/// kernel takes both (`pkcs7_sig_note_pkey_algo` of `crypto/asymmetric_keys/pkcs7_parser.c`) and reads an ECDSA
/// signature as X9.62, the DER pair; of a SHA-512 digest P-384 uses the first 384 bits.
fn signature_algorithm(certificate: &Certificate) -> AlgorithmIdentifierOwned {
    match certificate.algorithm() {
        Algorithm::Rsa(_) => {
            AlgorithmIdentifierOwned { oid: rfc5912::RSA_ENCRYPTION, parameters: Some(Any::from(Null)) }
        }
        Algorithm::EcdsaP384 => {
            AlgorithmIdentifierOwned { oid: rfc5912::ECDSA_WITH_SHA_512, parameters: None }
        }
    }
}

/// Checks the form of the message, finds its signer and checks the signature.
pub(super) fn verify<'c>(
    content: &[u8],
    message: &[u8],
    certificates: &'c [Certificate],
) -> Result<&'c Certificate, Error> {
    let info = signer_info(message)?;
    let SignerIdentifier::IssuerAndSerialNumber(sid) = &info.sid else {
        return refuse("the signer is not named by issuer and serial number");
    };
    let certificate =
        certificates.iter().find(|certificate| identity(certificate) == *sid).ok_or_else(|| {
            Error::UnknownSigner { serial: sid.serial_number.to_string(), certificates: certificates.len() }
        })?;
    let algorithm = signature_algorithm(certificate).oid;
    expect("signature algorithm", info.signature_algorithm.oid, algorithm)?;
    if !certificate.public_key().verifies_sha512(&Sha512::digest(content), info.signature.as_bytes()) {
        return Err(Error::Mismatch);
    }
    // Versions, parameters and unsigned attributes are covered by no signature: all that is left to
    // differ is compared here.
    let ours = encode(certificate, info.signature.as_bytes()).map_err(|e| Error::Cms(e.to_string()))?;
    if ours != message {
        return refuse("it is not encoded as `sign-file` does it");
    }
    Ok(certificate)
}

/// The one signer of a message of our form.
fn signer_info(message: &[u8]) -> Result<SignerInfo, Error> {
    let damaged = |e: x509_cert::der::Error| Error::Cms(e.to_string());
    let outer = ContentInfo::from_der(message).map_err(damaged)?;
    expect("content type", outer.content_type, rfc5911::ID_SIGNED_DATA)?;
    let data: SignedData = outer.content.decode_as().map_err(damaged)?;
    expect("inner content type", data.encap_content_info.econtent_type, rfc5911::ID_DATA)?;
    if data.encap_content_info.econtent.is_some() {
        return refuse("it carries content; the module stands outside");
    }
    if data.certificates.is_some() || data.crls.is_some() {
        return refuse("it carries certificates");
    }
    let mut infos = data.signer_infos.0.into_vec();
    let (Some(info), true) = (infos.pop(), infos.is_empty()) else {
        return refuse("it does not have exactly one signer");
    };
    if info.signed_attrs.is_some() {
        return refuse("it has signed attributes, which the kernel refuses in modules");
    }
    expect("digest", info.digest_alg.oid, rfc5912::ID_SHA_512)?;
    Ok(info)
}

fn identity(certificate: &Certificate) -> IssuerAndSerialNumber {
    let tbs = &certificate.parsed().tbs_certificate;
    IssuerAndSerialNumber { issuer: tbs.issuer.clone(), serial_number: tbs.serial_number.clone() }
}

fn expect(what: &str, found: ObjectIdentifier, wanted: ObjectIdentifier) -> Result<(), Error> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::Cms(format!("{what} is {found}, not {wanted}")))
}

fn refuse<T>(why: &str) -> Result<T, Error> {
    Err(Error::Cms(why.to_owned()))
}
