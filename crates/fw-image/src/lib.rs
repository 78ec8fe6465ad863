// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pure formats of the NanoPi M6 boot chain.
//!
//! Everything here works on byte slices, readers and writers that the caller gives: no network, no
//! process, no knowledge of where a file came from.
//!
//! Without the feature `full` (a default one) there are only the formats that need neither C code nor
//! compression: what the overlay's static installer checks before it writes.

#[cfg(feature = "full")]
pub mod bl31;
mod bytes;
#[cfg(feature = "full")]
pub mod cert;
#[cfg(feature = "full")]
pub mod cmdline;
#[cfg(feature = "full")]
pub mod cpio;
pub mod crc;
pub mod ddr;
#[cfg(feature = "full")]
pub mod disk;
#[cfg(feature = "full")]
pub mod dt;
#[cfg(feature = "full")]
pub mod fat;
pub mod fdt;
pub mod fdt_edit;
pub mod fit;
pub mod gpt;
#[cfg(feature = "full")]
pub mod grubcfg;
pub mod guid;
pub mod idblock;
#[cfg(feature = "full")]
pub mod initramfs;
#[cfg(feature = "full")]
pub mod installer;
#[cfg(feature = "full")]
pub mod kernel;
#[cfg(feature = "full")]
pub mod kmod;
pub mod lba;
#[cfg(feature = "full")]
pub mod map;
#[cfg(feature = "full")]
pub mod meta;
#[cfg(feature = "full")]
pub mod modsig;
#[cfg(feature = "full")]
pub mod oci;
#[cfg(feature = "full")]
pub mod overlay;
#[cfg(feature = "full")]
pub mod profile;
#[cfg(feature = "full")]
pub mod squashfs;
#[cfg(feature = "full")]
pub mod talos;
#[cfg(feature = "full")]
pub mod uki;
#[cfg(feature = "full")]
pub mod window;
#[cfg(feature = "full")]
pub mod xfs;
#[cfg(feature = "full")]
pub mod xz;

/// Lower-case hex text, the form of every digest in maps and manifests.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from(DIGITS[usize::from(d)])).collect()
}
