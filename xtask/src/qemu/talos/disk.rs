// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The disk before and after: Talos has rewritten the partition table, and must not have touched the loader.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use fs_err::File;
use fw_build::key::sha256_bytes;
use fw_build::run::Cmd;
use fw_build::{Context as _, Failure, Result};
use fw_image::gpt::{Image, TableCopy};
use fw_image::lba::{Lba, MIB, SECTOR_BYTES};

/// The loader's part of the disk: from the sector at which the boot ROM looks to the offset that Talos leaves free
/// for boards (20480 sectors), before which the loader must end.
const LOADER: (u64, u64) = (64, 20480);

/// Size of STATE in Talos v1.10.
const STATE_BYTES: u64 = 100 * MIB;

/// Flattens `layer` and compares it with the image `raw` under it; returns what was seen.
///
/// # Errors
/// A byte of the loader changed, a partition of the image was moved, or the table is not the one that Talos makes.
pub fn compare(raw: &Path, layer: &Path, disk_bytes: u64, dir: &Path) -> Result<Vec<String>> {
    let flat = dir.join("after.raw");
    Cmd::new("qemu-img")
        .args(["convert", "-f", "qcow2", "-O", "raw"])
        .args([layer, &flat])
        .output()
        .context("cannot read the layer")?;
    let (before, after) = (File::open(raw)?, File::open(&flat)?);
    let rows = judge(before, after, disk_bytes)?;
    fs_err::remove_file(&flat)?;
    Ok(rows)
}

fn judge(mut before: impl Read + Seek, mut after: impl Read + Seek, disk_bytes: u64) -> Result<Vec<String>> {
    let mut rows = vec![loader(&mut before, &mut after)?];
    let old = Image::read(&mut before)?;
    let new = Image::read(&mut after)?;
    if new.disk_sectors != disk_bytes / SECTOR_BYTES {
        return Err(Failure::new("the disk has another size than before"));
    }
    let damaged = |when: &str, e: &dyn std::fmt::Display| {
        Failure::new(format!("the partition table {when} the configuration is damaged")).why(e)
    };
    let old = old.primary.map_err(|e| damaged("before", &e))?;
    let copies =
        [new.primary.map_err(|e| damaged("after", &e))?, new.backup.map_err(|e| damaged("after", &e))?];
    let [new, backup] = &copies;
    if new.partitions != backup.partitions {
        return Err(Failure::new("the two copies of the partition table differ"));
    }
    rows.push(table(&old, new, disk_bytes / SECTOR_BYTES)?);
    rows.push(partitions(&old, new)?);
    Ok(rows)
}

fn loader(before: &mut (impl Read + Seek), after: &mut (impl Read + Seek)) -> Result<String> {
    let (start, end) = LOADER;
    let [old, new] = [read(before, start, end)?, read(after, start, end)?];
    if old.iter().all(|b| *b == 0) {
        return Err(Failure::new("the image has no loader, so that nothing was shown about it")
            .hint("build it with `--bootloader u-boot`"));
    }
    if let Some(at) = old.iter().zip(&new).position(|(a, b)| a != b) {
        let sector = start + at as u64 / SECTOR_BYTES;
        return Err(Failure::new(format!("Talos wrote into the loader's area, first at sector {sector}")));
    }
    let digest = sha256_bytes(&new);
    Ok(format!("loader: sectors {start} to {end} as before (sha256 {})", &digest[..16]))
}

fn read(disk: &mut (impl Read + Seek), start: u64, end: u64) -> Result<Vec<u8>> {
    disk.seek(SeekFrom::Start(start * SECTOR_BYTES))?;
    let mut bytes = Vec::new();
    disk.take((end - start) * SECTOR_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where the table lies now. Talos leaves its beginning where it was: it takes the place of the entries and the first
/// usable sector from the header (go-blockdevice v2.0.19, `partitioning/gpt`), so that nothing it makes can come to lie
/// on the loader. The end follows the size of the disk.
fn table(old: &TableCopy, new: &TableCopy, sectors: u64) -> Result<String> {
    let last = Lba(sectors - 1);
    for (what, found, expected) in [
        ("the entries", new.header.entries, old.header.entries),
        ("the first usable sector", new.header.first_usable, old.header.first_usable),
        ("the backup header", new.header.other, last),
    ] {
        if found != expected {
            return Err(Failure::new(format!("{what} of the partition table: {found}, not {expected}")));
        }
    }
    if old.header.disk_guid != new.header.disk_guid {
        return Err(Failure::new("the disk's GUID changed"));
    }
    Ok(format!(
        "table: entries still at {}, first usable still {}, backup moved from {} to {last}",
        new.header.entries, new.header.first_usable, old.header.other
    ))
}

/// The image's partitions are where they were, and the two of Talos behind them.
fn partitions(old: &TableCopy, new: &TableCopy) -> Result<String> {
    for (number, partition) in &old.partitions {
        let found = new.partitions.iter().find(|(n, _)| n == number).map(|(_, p)| p);
        if found != Some(partition) {
            return Err(Failure::new(format!("partition {number} ({}) is not what it was", partition.name)));
        }
    }
    let mut shown = Vec::new();
    for name in ["STATE", "EPHEMERAL"] {
        let (number, partition) = new
            .partitions
            .iter()
            .find(|(_, p)| p.name == name)
            .ok_or_else(|| Failure::new(format!("the table has no partition {name}")))?;
        let size_bytes = partition.size_sectors() * SECTOR_BYTES;
        if name == "STATE" && size_bytes != STATE_BYTES {
            return Err(Failure::new(format!("STATE has {size_bytes} bytes, not {STATE_BYTES}")));
        }
        shown.push(format!("{number} {name} from {} ({} MiB)", partition.first, size_bytes / MIB));
    }
    Ok(format!("partitions: the image's {} unchanged, new {}", old.partitions.len(), shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err::OpenOptions;
    use fw_image::gpt::{Geometry, Partition, Table};
    use fw_image::guid::Guid;
    use std::io::Write;

    const SECTORS: u64 = 300 << 11;

    fn partition(name: &str, first: u64, sectors: u64) -> Partition {
        Partition {
            name: name.to_owned(),
            type_guid: Guid::LINUX_DATA,
            guid: Guid::from_label(name),
            first: Lba(first),
            last: Lba(first + sectors - 1),
            attributes: 0,
        }
    }

    fn disk(sectors: u64, offset: u64, loader: u8, partitions: Vec<Partition>) -> File {
        let path = tempfile::NamedTempFile::new().expect("file").into_temp_path();
        let mut file = OpenOptions::new().read(true).write(true).open(&*path).expect("opened");
        file.set_len(sectors * SECTOR_BYTES).expect("size");
        let geometry = Geometry::new(sectors, offset).expect("room");
        let table = Table { disk_guid: Guid::from_label("disk"), geometry, partitions };
        for (at, bytes) in table.encode().expect("table") {
            file.seek(SeekFrom::Start(at.0 * SECTOR_BYTES)).expect("seek");
            file.write_all(&bytes).expect("write");
        }
        file.seek(SeekFrom::Start(LOADER.0 * SECTOR_BYTES)).expect("seek");
        file.write_all(&[loader; 1000]).expect("write");
        file
    }

    fn before() -> File {
        disk(100 << 11, 20480, 7, vec![partition("META", 22528, 2048)])
    }

    fn after(loader: u8, offset: u64, meta_sectors: u64, state_sectors: u64) -> Result<Vec<String>> {
        let state = partition("STATE", 30720, state_sectors);
        let ephemeral = partition("EPHEMERAL", 30720 + (110 << 11), 2048);
        let parts = vec![partition("META", 22528, meta_sectors), state, ephemeral];
        judge(before(), disk(SECTORS, offset, loader, parts), SECTORS * SECTOR_BYTES)
    }

    #[test]
    fn a_rewritten_table_and_an_untouched_loader_pass() {
        let rows = after(7, 20480, 2048, 100 << 11).expect("passes");
        assert!(rows[0].starts_with("loader: sectors 64 to 20480 as before"), "{rows:?}");
        assert_eq!(
            rows[2],
            "partitions: the image's 1 unchanged, new 2 STATE from LBA 30720 (100 MiB), 3 EPHEMERAL from LBA 256000 (1 MiB)"
        );
    }

    #[test]
    fn must_fail_what_talos_would_not_do() {
        for (result, says) in [
            (after(8, 20480, 2048, 100 << 11), "wrote into the loader's area, first at sector 64"),
            (after(7, 0, 2048, 100 << 11), "the entries of the partition table: "),
            (after(7, 20480, 1024, 100 << 11), "partition 1 (META) is not what it was"),
            (after(7, 20480, 2048, 99 << 11), "STATE has"),
            (judge(before(), before(), SECTORS * SECTOR_BYTES), "another size"),
            (
                judge(disk(100 << 11, 20480, 0, Vec::new()), before(), SECTORS * SECTOR_BYTES),
                "the image has no loader",
            ),
        ] {
            let failure = result.expect_err(says).to_string();
            assert!(failure.contains(says), "{says}: {failure}");
        }
    }
}
