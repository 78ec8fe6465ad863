// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which zeros of an image are always written, whatever the medium says it holds there.

use std::io::Cursor;
use std::ops::RangeInclusive;

use fw_image::gpt;

use crate::CHUNK_BYTES;

/// So much of an image is looked at for its partition table: Talos's overlays put the entry array at 10 MiB.
pub const HEAD_CHUNKS: usize = 16;

/// Where zeros are written for certain: outside of partitions, and at both ends of each partition, where file
/// systems, RAID, LVM and Talos's META keep what identifies them. Inside a partition the medium may already hold
/// zeros; there they are read first.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Insides of partitions, in chunks.
    insides: Vec<RangeInclusive<u64>>,
}

impl Plan {
    /// From the first [`HEAD_CHUNKS`] chunks of an image. An image without a readable table has no insides.
    #[must_use]
    pub fn of(head: &[u8]) -> Plan {
        // The cursor ends where the head ends, so there is no backup table; the primary one is enough.
        let Ok(image) = gpt::Image::read(&mut Cursor::new(head)) else { return Plan::default() };
        let Ok(table) = &image.primary else { return Plan::default() };
        let chunk = CHUNK_BYTES as u64 / fw_image::lba::SECTOR_BYTES;
        let insides = table.partitions.iter().filter_map(|(_, p)| {
            // One chunk at either end is metadata, and so is a chunk that is only partly inside.
            let first = p.first.0.div_ceil(chunk).checked_add(1)?;
            let end = p.last.0.checked_add(1)? / chunk;
            let last = end.checked_sub(2)?;
            (first <= last).then_some(first..=last)
        });
        Plan { insides: insides.collect() }
    }

    /// Whether zeros in this chunk are written without a look.
    #[must_use]
    pub fn is_metadata(&self, chunk: u64) -> bool {
        !self.insides.iter().any(|inside| inside.contains(&chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fw_image::gpt::{Geometry, Partition, Table};
    use fw_image::guid::Guid;

    #[test]
    fn ends_of_partitions_and_all_between_them_are_metadata() {
        let mut table = Table {
            disk_guid: Guid::from_label("disk"),
            geometry: Geometry::new(64 * 2048, 20480).expect("geometry"),
            partitions: Vec::new(),
        };
        for (name, mib) in [("A", 10), ("B", 1), ("C", 2), ("D", 20)] {
            let (first, last) = table.next_place(mib << 20);
            let guid = Guid::from_label(name);
            table.partitions.push(Partition {
                name: name.to_owned(),
                type_guid: guid,
                guid,
                first,
                last,
                attributes: 0,
            });
        }
        let mut head = vec![0; HEAD_CHUNKS * CHUNK_BYTES];
        for (at, bytes) in &table.encode().expect("encoded")[..2] {
            head[at.bytes() as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        let plan = Plan::of(&head);
        // A: 11 to 20, B: 21, C: 22 to 23, D: 24 to 43.
        let inside: Vec<u64> = (0..64).filter(|&c| !plan.is_metadata(c)).collect();
        assert_eq!(inside, (12..=19).chain(25..=42).collect::<Vec<_>>());
    }

    #[test]
    fn without_a_table_all_is_metadata() {
        let plan = Plan::of(&vec![0; HEAD_CHUNKS * CHUNK_BYTES]);
        assert!((0..100).all(|c| plan.is_metadata(c)));
        assert!(Plan::of(&[]).is_metadata(0));
    }
}
