// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An image made up for tests: partitions, data here and there, and long stretches of zeros.

#![allow(dead_code, reason = "each test file uses a part")]

use flasher::write::{Discard, Job};
use fw_image::gpt::{Geometry, Partition, Table};
use fw_image::guid::Guid;
use fw_image::hex;
use sha2::{Digest, Sha256};

pub const MIB: usize = 1 << 20;

/// Numbers without a pattern, the same in every run (xorshift32).
pub fn noise(length: usize, mut seed: u32) -> Vec<u8> {
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(4)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}

/// 48 MiB and a bit: loader at 32 KiB, table as Talos lays it, a partition of 30 MiB that is mostly zeros.
pub fn image() -> Vec<u8> {
    let mut image = vec![0; 48 * MIB + 5 * 4096];
    let mut table = Table {
        disk_guid: Guid::from_label("disk"),
        geometry: Geometry::new(image.len() as u64 / 512, 20480).expect("geometry"),
        partitions: Vec::new(),
    };
    for (name, mib) in [("EFI", 4), ("BOOT", 30)] {
        let ((first, last), guid) = (table.next_place(mib << 20), Guid::from_label(name));
        let name = name.to_owned();
        table.partitions.push(Partition { name, type_guid: guid, guid, first, last, attributes: 0 });
    }
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(32 << 10, &noise(3 * MIB, 1));
    for (at, bytes) in table.encode().expect("encoded") {
        put(at.bytes() as usize, &bytes);
    }
    put(11 * MIB, &noise(MIB, 2));
    put(20 * MIB + 77, &noise(3 * MIB, 3));
    put(44 * MIB, &noise(512, 4));
    image
}

pub fn job(image: &[u8]) -> Job {
    Job {
        raw_bytes: image.len() as u64,
        raw_sha256: hex(&Sha256::digest(image)),
        resume_chunks: 0,
        discard: Discard::All,
    }
}
