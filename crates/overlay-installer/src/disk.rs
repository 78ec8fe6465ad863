// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The disk or raw image file that U-Boot goes onto: what it is, and whether its place there is free.
//!
//! Opens without `O_EXCL` and takes no lock: at an upgrade other partitions of this very disk are mounted and
//! Talos's installer holds the lock. Reads tables, writes only the one range it is asked to.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use fw_image::gpt;
use fw_image::lba::{Lba, SECTOR_BYTES};

use crate::refusal::Refusal;

/// Where the kernel tells about mounts and block devices. Tests have their own.
#[derive(Debug, Clone)]
pub struct Places {
    /// `/proc/self/mountinfo`.
    pub mountinfo: PathBuf,
    /// `/sys/dev/block`: a folder `MAJOR:MINOR` for each block device.
    pub block_devices: PathBuf,
}

impl Default for Places {
    fn default() -> Places {
        Places { mountinfo: "/proc/self/mountinfo".into(), block_devices: "/sys/dev/block".into() }
    }
}

impl Places {
    /// Mount points of the device with this number, `8:0`.
    fn mounts_of(&self, number: &str) -> Vec<String> {
        // Fields of proc_pid_mountinfo(5): the third is the device, the fifth the mount point.
        let Ok(text) = std::fs::read_to_string(&self.mountinfo) else { return Vec::new() };
        let fields = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        fields.filter(|f| f.len() > 4 && f[2] == number).map(|f| f[4].to_owned()).collect()
    }

    /// Whether something is mounted at a folder.
    pub fn is_mount_point(&self, folder: &Path) -> bool {
        let Ok(folder) = folder.canonicalize() else { return false };
        let Ok(text) = std::fs::read_to_string(&self.mountinfo) else { return false };
        // Blanks in names are written as octal; a folder with one is then taken for not mounted.
        text.lines().filter_map(|line| line.split(' ').nth(4)).any(|point| Path::new(point) == folder)
    }

    fn block_fact(&self, number: &str, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.block_devices.join(number).join(name)).ok()?;
        Some(text.trim().to_owned())
    }
}

/// The opened disk.
#[derive(Debug)]
pub struct Disk {
    file: File,
    path: PathBuf,
}

impl Disk {
    /// Opens a disk and judges whether it is one that may be written to.
    pub fn open(path: &Path, places: &Places) -> Result<Disk, Refusal> {
        let refused =
            |why: String| Refusal::new(format!("`{}` cannot be written to", path.display())).why(why);
        // Asked first: opening some special files for writing has an effect.
        let meta =
            std::fs::metadata(path).map_err(|e| refused(e.to_string()).hint("is `installDisk` right?"))?;
        let kind = meta.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(refused("it is neither a block device nor a file".to_owned()));
        }
        if kind.is_block_device() {
            judge_device(&meta, places).map_err(refused)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file =
            file.map_err(|e| refused(e.to_string()).hint("a card may have its write-protect slider set"))?;
        Ok(Disk { file, path: path.to_owned() })
    }

    /// Checks that the range is inside of the disk and that nothing lies in it.
    pub fn check_free(&mut self, start: Lba, end: Lba, limit: Lba) -> Result<(), Refusal> {
        let path = self.path.display().to_string();
        let failed = |e: std::io::Error| Refusal::new(format!("cannot read `{path}`")).why(e);
        let size_bytes = self.file.seek(SeekFrom::End(0)).map_err(failed)?;
        if size_bytes < limit.bytes() {
            return Err(Refusal::new(format!("`{path}` is too small"))
                .why(format!("it has {size_bytes} bytes, the loader's gap alone has {}", limit.bytes()))
                .hint("is `installDisk` right?"));
        }
        let occupied = |why: String| {
            Refusal::new(format!("U-Boot has no place on `{path}`"))
                .why(why)
                .hint("flash an image of this board, whose partitions begin behind the loader")
        };
        let mut start_of_disk = vec![0; 8192];
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.read_exact(&mut start_of_disk))
            .map_err(failed)?;
        let has_table_at = |at: usize| start_of_disk[at..].starts_with(b"EFI PART");
        if has_table_at(4096) && !has_table_at(512) {
            return Err(occupied("its partition table counts in sectors of 4096 bytes".to_owned()));
        }
        let image = gpt::Image::read(&mut self.file).map_err(failed)?;
        for copy in [&image.primary, &image.backup].into_iter().flatten() {
            check_table(copy, start, end).map_err(occupied)?;
        }
        if image.table().is_none() {
            check_mbr(&start_of_disk, start, end).map_err(occupied)?;
        }
        Ok(())
    }

    /// Writes the bytes there and waits until the disk has them; nothing when they are there already.
    ///
    /// Returns whether something was written.
    pub fn put(&mut self, start: Lba, bytes: &[u8]) -> Result<bool, Refusal> {
        let failed = |e: std::io::Error| {
            Refusal::new(format!("cannot write U-Boot to `{}`", self.path.display()))
                .why(e)
                .hint("do not reboot before a second attempt: the loader may be half written")
        };
        let mut present = vec![0; bytes.len()];
        self.file.read_exact_at(&mut present, start.bytes()).map_err(failed)?;
        if present == bytes {
            return Ok(false);
        }
        self.file.write_all_at(bytes, start.bytes()).map_err(failed)?;
        self.file.sync_all().map_err(failed)?;
        Ok(true)
    }
}

/// A whole disk, not read-only, and not mounted itself (its partitions may well be).
fn judge_device(meta: &Metadata, places: &Places) -> Result<(), String> {
    let number = format!("{}:{}", rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    judge_number(&number, places)
}

fn judge_number(number: &str, places: &Places) -> Result<(), String> {
    if let Some(index) = places.block_fact(number, "partition") {
        return Err(format!("it is partition {index} of a disk, not a whole disk"));
    }
    if places.block_fact(number, "ro").is_some_and(|ro| ro != "0") {
        return Err("the kernel says that it is read-only".to_owned());
    }
    match places.mounts_of(number).first() {
        Some(point) => Err(format!("the device itself is mounted at `{point}`")),
        None => Ok(()),
    }
}

fn check_table(copy: &gpt::TableCopy, start: Lba, end: Lba) -> Result<(), String> {
    for (number, partition) in &copy.partitions {
        if partition.first < end && partition.last >= start {
            return Err(format!(
                "partition {number} `{}` ({} to {}) lies where it goes ({start} to {})",
                partition.name,
                partition.first,
                partition.last,
                Lba(end.0 - 1)
            ));
        }
    }
    let header = &copy.header;
    let bytes = u64::from(header.entry_count) * u64::from(header.entry_bytes);
    let after = header.entries.plus(bytes.div_ceil(SECTOR_BYTES));
    if header.entries < end && after > start {
        return Err(format!("the partition table's entries lie at {}, where it goes", header.entries));
    }
    Ok(())
}

/// A disk with a DOS table only.
fn check_mbr(sector: &[u8], start: Lba, end: Lba) -> Result<(), String> {
    if sector[510..512] != [0x55, 0xaa] {
        return Ok(());
    }
    for (index, entry) in sector[446..510].chunks_exact(16).enumerate() {
        let word =
            |at: usize| entry[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        // 0xEE covers a whole GPT disk.
        let (kind, first, count) = (entry[4], word(8), word(12));
        if kind != 0 && kind != 0xee && first < end.0 && first + count > start.0 {
            return Err(format!(
                "DOS partition {} (type {kind:#04x}, from sector {first}) lies where it goes",
                index + 1
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(dir: &Path) -> Places {
        let mountinfo = dir.join("mountinfo");
        std::fs::write(
            &mountinfo,
            "36 1 8:1 / /boot rw - xfs /dev/sda1 rw\n37 1 8:16 / /data rw - ext4 /dev/sdb rw\n",
        )
        .expect("file");
        for (number, name, text) in [("8:1", "partition", "1\n"), ("8:0", "ro", "0\n"), ("8:32", "ro", "1\n")]
        {
            let folder = dir.join("block").join(number);
            std::fs::create_dir_all(&folder).expect("folder");
            std::fs::write(folder.join(name), text).expect("file");
        }
        Places { mountinfo, block_devices: dir.join("block") }
    }

    #[test]
    fn a_disk_with_mounted_partitions_is_fine() {
        let dir = tempfile::tempdir().expect("folder");
        assert_eq!(judge_number("8:0", &places(dir.path())), Ok(()));
        // Nothing is known where /sys is not mounted.
        assert_eq!(judge_number("179:0", &places(dir.path())), Ok(()));
    }

    #[test]
    fn must_fail_01_partition_read_only_mounted() {
        let dir = tempfile::tempdir().expect("folder");
        let judge = |number| judge_number(number, &places(dir.path())).expect_err("must be refused");
        assert!(judge("8:1").contains("partition 1"), "{}", judge("8:1"));
        assert!(judge("8:32").contains("read-only"));
        assert!(judge("8:16").contains("mounted at `/data`"));
    }

    #[test]
    fn must_fail_02_not_a_disk() {
        for path in ["/dev/null", "/proc", "/nonexistent/disk"] {
            let refusal = Disk::open(Path::new(path), &Places::default()).expect_err("must be refused");
            assert!(refusal.to_string().contains("cannot be written to"), "{refusal}");
        }
    }

    #[test]
    fn must_fail_03_dos_partitions() {
        let mut sector = vec![0; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(check_mbr(&sector, Lba(64), Lba(20000)), Ok(()), "an empty table");
        sector[446 + 4] = 0x83;
        sector[446 + 8..446 + 16].copy_from_slice(&[0, 8, 0, 0, 0, 0, 1, 0]);
        let why = check_mbr(&sector, Lba(64), Lba(20000)).expect_err("sector 2048 is inside");
        assert!(why.contains("from sector 2048"), "{why}");
        sector[446 + 4] = 0xee;
        assert_eq!(check_mbr(&sector, Lba(64), Lba(20000)), Ok(()));
    }

    #[test]
    fn mount_points() {
        let dir = tempfile::tempdir().expect("folder");
        let folder = dir.path().canonicalize().expect("path");
        let mountinfo = folder.join("mountinfo");
        std::fs::write(&mountinfo, format!("36 1 8:1 / {} rw - vfat x rw\n", folder.display()))
            .expect("file");
        let places = Places { mountinfo, ..Places::default() };
        assert!(places.is_mount_point(&folder));
        assert!(!places.is_mount_point(&folder.join("..")));
    }
}
