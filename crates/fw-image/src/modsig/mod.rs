// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signatures of kernel modules, in the form the kernel's `scripts/sign-file` writes and
//! `kernel/module/signing.c` reads.
//!
//! A signed module is the module, then a CMS message in DER, then the 12-byte `struct
//! module_signature`, then the text `~Module signature appended~\n`. The CMS message is a SignedData
//! over the detached module: SHA-512, RSA PKCS#1 v1.5, one signer named by issuer and serial number, no
//! certificates, no signed attributes (the kernel refuses messages that have them in modules).
//!
//! This module must not strip or compress modules: what is signed must already be what ships.

mod cms;
#[rustfmt::skip] // Compared byte by byte with bindgen's output.
#[allow(
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    reason = "generated from the C header with its own names"
)]
mod sys;

use std::mem::{offset_of, size_of};

use crate::bytes::array;
use crate::cert::{self, Certificate, Signer};
use sys::module_signature;

/// Text at the very end of a signed module (`MODULE_SIG_STRING` without C's NUL).
pub const MARKER: &[u8] = sys::MODULE_SIG_STRING.split_last().expect("a C string ends in NUL").1;
const INFO_BYTES: usize = size_of::<module_signature>();
const ID_TYPE_PKCS7: u8 = sys::pkey_id_type_PKEY_ID_PKCS7 as u8;

/// Why a module could not be signed or its signature was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Signing what already carries a signature would sign the signature.
    #[error("the module is already signed")]
    AlreadySigned,
    /// No marker at the end.
    #[error("the module is not signed")]
    NotSigned,
    /// Marker, but the block before it is damaged (`kernel/module_signature.c`, `mod_check_sig`).
    #[error("the module's signature block is damaged: {0}")]
    Trailer(String),
    /// The CMS message is damaged or has another form than the one the kernel is given here.
    #[error("the module's CMS signature: {0}")]
    Cms(String),
    /// No certificate has the signer's issuer and serial number.
    #[error(
        "the module is signed with the key of serial {serial}, which is none of the {certificates} certificates"
    )]
    UnknownSigner {
        /// Serial number in the signature, in hexadecimal.
        serial: String,
        /// How many certificates were offered.
        certificates: usize,
    },
    /// The signature is not that of this module.
    #[error("the module's signature does not match its content")]
    Mismatch,
    /// The key could not sign.
    #[error(transparent)]
    Key(#[from] cert::Error),
}

/// A signed module, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The module as it was before signing.
    pub content: &'a [u8],
    /// The CMS message, DER.
    pub cms: &'a [u8],
}

/// Signs a module; gives the signed file. The same key and module give the same bytes.
pub fn sign(module: &[u8], signer: &Signer) -> Result<Vec<u8>, Error> {
    if module.ends_with(MARKER) {
        return Err(Error::AlreadySigned);
    }
    append(module, &cms::sign(module, signer)?)
}

/// Appends a CMS message (DER) with the kernel's trailer.
pub fn append(module: &[u8], cms: &[u8]) -> Result<Vec<u8>, Error> {
    let length = u32::try_from(cms.len()).map_err(|_| Error::Cms("longer than 4 GiB".to_owned()))?;
    let mut info = [0_u8; INFO_BYTES];
    info[offset_of!(module_signature, id_type)] = ID_TYPE_PKCS7;
    info[offset_of!(module_signature, sig_len)..][..4].copy_from_slice(&length.to_be_bytes());
    Ok([module, cms, &info, MARKER].concat())
}

/// Takes a signed module apart, with the checks of the kernel's `mod_check_sig`.
pub fn split(file: &[u8]) -> Result<Signed<'_>, Error> {
    let rest = file.strip_suffix(MARKER).ok_or(Error::NotSigned)?;
    let too_short = || Error::Trailer(format!("the file has {} bytes", file.len()));
    let (rest, info) = rest.split_at_checked(rest.len().wrapping_sub(INFO_BYTES)).ok_or_else(too_short)?;
    let length = array(info, offset_of!(module_signature, sig_len)).map(u32::from_be_bytes);
    let length = length.ok_or_else(too_short)? as usize;
    let id_type = info[offset_of!(module_signature, id_type)];
    if id_type != ID_TYPE_PKCS7 {
        return Err(Error::Trailer(format!("key identifier type {id_type}, not {ID_TYPE_PKCS7} (PKCS#7)")));
    }
    // Everything before the length but the type must be zero.
    let unused =
        (0..offset_of!(module_signature, sig_len)).filter(|at| *at != offset_of!(module_signature, id_type));
    if unused.into_iter().any(|at| info[at] != 0) {
        return Err(Error::Trailer("a reserved byte is not zero".to_owned()));
    }
    if length == 0 || length >= rest.len() {
        return Err(Error::Trailer(format!("{length} signature bytes in {}", rest.len())));
    }
    let (content, cms) = rest.split_at(rest.len() - length);
    Ok(Signed { content, cms })
}

/// Checks a signed module against the certificates the kernel has; gives the one that signed it.
pub fn verify<'c>(file: &[u8], certificates: &'c [Certificate]) -> Result<&'c Certificate, Error> {
    let signed = split(file)?;
    cms::verify(signed.content, signed.cms, certificates)
}

#[cfg(test)]
mod tests;
