// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The certificate slot of `CONFIG_SYSTEM_EXTRA_CERTIFICATE`, written and read in the raw `Image`.
//!
//! The kernel's `certs/system_certificates.S` lays out: the built-in list, directly behind it the slot,
//! then (aligned) a 32-bit counter of used bytes and the 64-bit size of the list. At boot the kernel
//! takes `size` bytes from the start of the list as DER certificates one behind the other
//! (`crypto/asymmetric_keys/x509_loader.c`). `scripts/insert-sys-cert.c` does the same to `vmlinux`:
//! copy, zero the rest of the slot, size += new - used, used = new. The raw `Image` is `vmlinux` from
//! `_text` on, so an address minus `_text` is an offset, and nothing has to be linked or copied again.
//!
//! Must not know whose certificate it is nor check its signature.

use super::symbols::{self, Symbols};
use crate::bytes::{le32, le64};

/// Start of every certificate the kernel's loader accepts: SEQUENCE with a two-byte length.
const DER_SEQUENCE: [u8; 2] = [0x30, 0x82];
const DER_HEADER_BYTES: usize = 4;

/// Why the slot could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A symbol is missing: the kernel was built without the slot.
    #[error("{0}; the kernel needs `CONFIG_SYSTEM_EXTRA_CERTIFICATE=y`")]
    Symbols(#[from] symbols::Error),
    /// A symbol lies before `_text`.
    #[error("`{0}` lies before `_text`: not a symbol of the raw image")]
    BeforeText(&'static str),
    /// A symbol lies past the end of the image.
    #[error(
        "`{symbol}` lies outside the image of {image_bytes} bytes: image and symbols are not of one build"
    )]
    Outside {
        /// Name of the symbol.
        symbol: &'static str,
        /// Length of the image.
        image_bytes: usize,
    },
    /// The values found contradict each other.
    #[error("certificate list is inconsistent ({0}): image and symbols are not of one build")]
    Inconsistent(String),
    /// More than fits.
    #[error("certificates need {need_bytes} bytes, the slot has {slot_bytes}")]
    TooLarge {
        /// Sum of the certificates.
        need_bytes: usize,
        /// `CONFIG_SYSTEM_EXTRA_CERTIFICATE_SIZE`.
        slot_bytes: usize,
    },
    /// A certificate that the kernel's loader could not step over.
    #[error("certificate {index} is not one DER certificate of 256 to 65535 bytes")]
    NotDer {
        /// Number of the certificate, from 0.
        index: usize,
    },
}

/// Where list, slot and counters lie in the raw image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// First byte of the built-in list.
    pub list_offset_bytes: usize,
    /// First byte of the slot.
    pub slot_offset_bytes: usize,
    /// Length of the slot.
    pub slot_bytes: usize,
    /// The 32-bit counter of used bytes.
    pub used_offset_bytes: usize,
    /// The 64-bit size of the list.
    pub list_size_offset_bytes: usize,
}

impl Slot {
    /// Finds the slot by the kernel's symbols.
    ///
    /// `System.map` has no sizes: the slot then reaches to its counter, as `insert-sys-cert -s` counts.
    pub fn locate(symbols: &Symbols) -> Result<Self, Error> {
        let text = symbols.address(symbols::TEXT)?;
        let offset = |symbol: &'static str| {
            let address = symbols.address(symbol)?;
            address
                .checked_sub(text)
                .and_then(|offset| usize::try_from(offset).ok())
                .ok_or(Error::BeforeText(symbol))
        };
        let slot_offset_bytes = offset(symbols::EXTRA_CERTIFICATE)?;
        let used_offset_bytes = offset(symbols::EXTRA_CERTIFICATE_USED)?;
        let reach = used_offset_bytes
            .checked_sub(slot_offset_bytes)
            .ok_or_else(|| Error::Inconsistent("the counter stands before the slot".to_owned()))?;
        let slot_bytes = match symbols.size_bytes(symbols::EXTRA_CERTIFICATE)? {
            Some(size) => usize::try_from(size).unwrap_or(usize::MAX),
            None => reach,
        };
        if slot_bytes > reach {
            return Err(Error::Inconsistent("the slot reaches over its counter".to_owned()));
        }
        Ok(Self {
            list_offset_bytes: offset(symbols::CERTIFICATE_LIST)?,
            slot_offset_bytes,
            slot_bytes,
            used_offset_bytes,
            list_size_offset_bytes: offset(symbols::CERTIFICATE_LIST_SIZE)?,
        })
    }

    /// Writes the certificates (DER) into the slot of `image`, replacing what was there.
    ///
    /// With no certificate the slot is emptied. The image keeps its length.
    pub fn insert(&self, image: &mut [u8], certificates: &[&[u8]]) -> Result<(), Error> {
        let (used, list_size) = self.counters(image)?;
        for (index, der) in certificates.iter().enumerate() {
            if der_length(der) != Some(der.len()) {
                return Err(Error::NotDer { index });
            }
        }
        let joined = certificates.concat();
        if joined.len() > self.slot_bytes {
            return Err(Error::TooLarge { need_bytes: joined.len(), slot_bytes: self.slot_bytes });
        }
        // `counters` has read at each of these places, so they are inside.
        let slot = &mut image[self.slot_offset_bytes..][..self.slot_bytes];
        slot[..joined.len()].copy_from_slice(&joined);
        slot[joined.len()..].fill(0);
        let list_size = list_size - used + joined.len();
        image[self.used_offset_bytes..][..4].copy_from_slice(&(joined.len() as u32).to_le_bytes());
        image[self.list_size_offset_bytes..][..8].copy_from_slice(&(list_size as u64).to_le_bytes());
        Ok(())
    }

    /// All certificates (DER) the kernel will load at boot: the built-in list, then the slot.
    pub fn certificates(&self, image: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let (_, list_size) = self.counters(image)?;
        let mut rest = &image[self.list_offset_bytes..][..list_size];
        let mut all = Vec::new();
        while !rest.is_empty() {
            let length = der_length(rest)
                .filter(|length| *length <= rest.len())
                .ok_or(Error::NotDer { index: all.len() })?;
            all.push(rest[..length].to_vec());
            rest = &rest[length..];
        }
        Ok(all)
    }

    /// Used bytes of the slot and size of the list, after checking that they and the image agree.
    fn counters(&self, image: &[u8]) -> Result<(usize, usize), Error> {
        let outside = |symbol| move || Error::Outside { symbol, image_bytes: image.len() };
        let used = le32(image, self.used_offset_bytes).ok_or_else(outside(symbols::EXTRA_CERTIFICATE_USED))?
            as usize;
        let list_size =
            le64(image, self.list_size_offset_bytes).ok_or_else(outside(symbols::CERTIFICATE_LIST_SIZE))?;
        let list_size = usize::try_from(list_size).unwrap_or(usize::MAX);
        if used > self.slot_bytes {
            return Err(Error::Inconsistent(format!("{used} of {} slot bytes are used", self.slot_bytes)));
        }
        // The loader walks from the list into the slot: they must touch.
        let built_in = self.slot_offset_bytes.checked_sub(self.list_offset_bytes);
        if list_size.checked_sub(used) != built_in || built_in.is_none() {
            return Err(Error::Inconsistent(format!("list size {list_size}, {used} of them in the slot")));
        }
        let end = self.slot_offset_bytes.checked_add(self.slot_bytes);
        if end.is_none_or(|end| end > image.len()) {
            return Err(outside(symbols::EXTRA_CERTIFICATE)());
        }
        Ok((used, list_size))
    }
}

/// Length of the DER value at the start, header included, in the one form the kernel steps over.
fn der_length(der: &[u8]) -> Option<usize> {
    let header = der.get(..DER_HEADER_BYTES)?;
    header
        .starts_with(&DER_SEQUENCE)
        .then(|| usize::from(u16::from_be_bytes([header[2], header[3]])) + DER_HEADER_BYTES)
}

mod search;

#[cfg(test)]
mod tests;
