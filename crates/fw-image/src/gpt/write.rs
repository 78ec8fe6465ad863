// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A checked table into sectors.

use super::{
    ENTRY_BYTES, ENTRY_COUNT, ENTRY_SECTORS, GptError, HEADER_BYTES, Partition, REVISION, SIGNATURE, Table,
};
use crate::crc::crc32;
use crate::lba::{Lba, SECTOR_BYTES};

/// One of the two copies: where its header and entries are, and where the other header is.
struct Place {
    header: Lba,
    other: Lba,
    entries: Lba,
}

impl Table {
    /// The three pieces to be written, each with its first sector: protective MBR and primary header
    /// (two sectors), primary entries, backup entries with the backup header.
    ///
    /// # Errors
    /// Whatever [`Table::check`] finds.
    pub fn encode(&self) -> Result<[(Lba, Vec<u8>); 3], GptError> {
        self.check()?;
        let g = &self.geometry;
        let entries = self.entries();
        let primary = Place { header: Lba(1), other: g.last(), entries: g.entries() };
        let backup = Place { header: g.last(), other: Lba(1), entries: g.backup_entries() };
        let head = [self.protective_mbr(), self.header(&primary, &entries)].concat();
        let tail = [&entries[..], &self.header(&backup, &entries)].concat();
        Ok([(Lba(0), head), (primary.entries, entries), (backup.entries, tail)])
    }

    /// Bytes of Talos's library: boot flag 0, start CHS `00 02 00`, end CHS `FF FF FF`, length = last
    /// LBA, capped (talos-contracts 3.2).
    fn protective_mbr(&self) -> Vec<u8> {
        let mut mbr = vec![0; SECTOR_BYTES as usize];
        let length = u32::try_from(self.geometry.last().0).unwrap_or(u32::MAX);
        mbr[446..454].copy_from_slice(&[0x00, 0x00, 0x02, 0x00, 0xEE, 0xFF, 0xFF, 0xFF]);
        mbr[454..458].copy_from_slice(&1_u32.to_le_bytes());
        mbr[458..462].copy_from_slice(&length.to_le_bytes());
        mbr[510..].copy_from_slice(&[0x55, 0xAA]);
        mbr
    }

    fn entries(&self) -> Vec<u8> {
        let mut array = vec![0; (ENTRY_SECTORS * SECTOR_BYTES) as usize];
        for (entry, partition) in array.chunks_exact_mut(ENTRY_BYTES).zip(&self.partitions) {
            encode_entry(entry, partition);
        }
        array
    }

    fn header(&self, place: &Place, entries: &[u8]) -> Vec<u8> {
        let g = &self.geometry;
        let mut h = vec![0; SECTOR_BYTES as usize];
        h[0..8].copy_from_slice(SIGNATURE);
        h[8..12].copy_from_slice(&REVISION.to_le_bytes());
        h[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        for (at, lba) in [
            (24, place.header),
            (32, place.other),
            (40, g.first_usable()),
            (48, g.last_usable()),
            (72, place.entries),
        ] {
            h[at..at + 8].copy_from_slice(&lba.0.to_le_bytes());
        }
        h[56..72].copy_from_slice(&self.disk_guid.gpt_bytes());
        h[80..84].copy_from_slice(&(ENTRY_COUNT as u32).to_le_bytes());
        h[84..88].copy_from_slice(&(ENTRY_BYTES as u32).to_le_bytes());
        h[88..92].copy_from_slice(&crc32(entries).to_le_bytes());
        let crc = crc32(&h[..HEADER_BYTES]); // its own field, bytes 16 to 19, is still zero
        h[16..20].copy_from_slice(&crc.to_le_bytes());
        h
    }
}

fn encode_entry(entry: &mut [u8], p: &Partition) {
    entry[0..16].copy_from_slice(&p.type_guid.gpt_bytes());
    entry[16..32].copy_from_slice(&p.guid.gpt_bytes());
    entry[32..40].copy_from_slice(&p.first.0.to_le_bytes());
    entry[40..48].copy_from_slice(&p.last.0.to_le_bytes());
    entry[48..56].copy_from_slice(&p.attributes.to_le_bytes());
    for (unit, bytes) in p.name.encode_utf16().zip(entry[56..].chunks_exact_mut(2)) {
        bytes.copy_from_slice(&unit.to_le_bytes());
    }
}
