// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pure formats of the NanoPi M6 boot chain.
//!
//! Everything here works on byte slices, readers and writers that the caller gives: no network, no
//! process, no knowledge of where a file came from.

pub mod bl31;
mod bytes;
pub mod cert;
pub mod cmdline;
pub mod cpio;
pub mod crc;
pub mod ddr;
pub mod disk;
pub mod dt;
pub mod fat;
pub mod fdt;
pub mod fit;
pub mod gpt;
pub mod grubcfg;
pub mod guid;
pub mod idblock;
pub mod initramfs;
pub mod kernel;
pub mod kmod;
pub mod lba;
pub mod map;
pub mod meta;
pub mod modsig;
pub mod talos;
pub mod window;
pub mod xfs;
pub mod xz;

/// Lower-case hex text, the form of every digest in maps and manifests.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from(DIGITS[usize::from(d)])).collect()
}
