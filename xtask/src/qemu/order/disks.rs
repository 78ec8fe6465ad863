// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The disks of the boot-order test: ours, laid out as the board file says, and what else people have in their slots.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::board::{Board, PartitionKind};
use fw_build::{Failure, Result};
use fw_image::crc::crc32;
use fw_image::disk::{Content, PartitionPlan, Plan, Start};
use fw_image::fat;
use fw_image::gpt;
use fw_image::guid::Guid;
use fw_image::lba::{Lba, MIB, SECTOR_BYTES};

use super::marker::{self, MARK, RETURNED, Then};
use super::table::{Disk, Slot};

/// Size of every disk; QEMU wants a power of two for cards.
const DISK_BYTES: u64 = 64 * MIB;
/// Size of an ESP: FAT32 cannot be much smaller.
const ESP_BYTES: u64 = 40 * MIB;
/// Sector of our own ESP does not matter to FAT's readers here; Talos's does, and `cargo xtask image` sets it.
const NO_HIDDEN_SECTORS: Lba = Lba(0);
/// UEFI's removable media path for AArch64 (UEFI 2.10, 3.5.1.1).
const BOOT_PATH: &str = "EFI/BOOT/BOOTAA64.EFI";

/// Makes the disk `disk` of `slot` in `dir`, or returns the one that is there. `None`: there is nothing in the slot.
///
/// # Errors
/// It cannot be written.
pub fn make(dir: &Path, board: &Board, slot: Slot, disk: Disk) -> Result<Option<PathBuf>> {
    let path = dir.join(format!("{}-{}.raw", slot.name(), disk.name()));
    if path.exists() {
        return Ok(Some(path));
    }
    let text = format!("{MARK} {} {}", slot.name(), disk.name());
    let maker = Maker { board, dir, path: &path };
    match disk {
        Disk::Absent => return Ok(None),
        Disk::Empty => fs::File::create(&path)?.set_len(DISK_BYTES)?,
        Disk::Ours => maker.ours(&text)?,
        Disk::Foreign => maker.foreign(&text)?,
        Disk::ForeignData => {
            maker.gpt(&[("data", Guid::LINUX_DATA, &[("photos/1.jpg", b"no boot loader")])])?
        }
        Disk::ForeignExtlinux => maker.extlinux(&text)?,
        Disk::ForeignReturns => {
            let program = marker::efi(&format!("{RETURNED} {}", slot.name()), Then::Return);
            maker.gpt(&[("esp", Guid::EFI_SYSTEM, &[(BOOT_PATH, &program)])])?;
        }
        Disk::ForeignBroken => {
            maker.gpt(&[("esp", Guid::EFI_SYSTEM, &[(BOOT_PATH, b"cut off in a download")])])?;
        }
        Disk::ForeignDamaged => maker.damaged(&text)?,
    }
    Ok(Some(path))
}

struct Maker<'a> {
    board: &'a Board,
    dir: &'a Path,
    path: &'a Path,
}

/// Files by path.
type Files<'a> = [(&'a str, &'a [u8])];

impl Maker<'_> {
    /// Our partitions with their types, attributes and offset; only the sizes are smaller.
    fn ours(&self, text: &str) -> Result<()> {
        let program = marker::efi(text, Then::Stay);
        let esp = self.fat(&[(BOOT_PATH, &program)])?;
        let mut partitions = Vec::new();
        for partition in &self.board.disk.partitions {
            let (type_guid, attributes, size_bytes, content) = match partition.kind {
                PartitionKind::Efi => (Guid::EFI_SYSTEM, 0, ESP_BYTES, Content::file(&esp)?),
                PartitionKind::Bios => {
                    (Guid::BIOS_BOOT, gpt::ATTRIBUTE_LEGACY_BIOS_BOOTABLE, MIB, Content::Zero)
                }
                PartitionKind::Linux => (Guid::LINUX_DATA, 0, MIB, Content::Zero),
            };
            partitions.push(planned(&partition.name, type_guid, attributes, size_bytes, content));
        }
        self.write(self.board.disk.offset_sectors, partitions)
    }

    /// Another system: its loader in the place for removable media and in one of its own, and U-Boot's variables on
    /// the ESP, with a BootOrder that asks for the latter.
    fn foreign(&self, text: &str) -> Result<()> {
        let program = marker::efi(text, Then::Stay);
        let own = marker::efi(&format!("{text} by its BootOrder"), Then::Stay);
        let variables = boot_order_variables(FOREIGN_PATH);
        let own_path = FOREIGN_PATH.trim_start_matches('\\').replace('\\', "/");
        let files: &Files<'_> = &[(BOOT_PATH, &program), (&own_path, &own), ("ubootefi.var", &variables)];
        self.gpt(&[("esp", Guid::EFI_SYSTEM, files)])
    }

    /// A system that boots through `extlinux.conf`, without an ESP.
    fn extlinux(&self, text: &str) -> Result<()> {
        let kernel = marker::kernel(text);
        let config = b"default foreign\nlabel foreign\n\tkernel /Image\n";
        self.gpt(&[("root", Guid::LINUX_DATA, &[("extlinux/extlinux.conf", config), ("Image", &kernel)])])
    }

    /// A bootable disk whose partition table was damaged, the copy at the end as well.
    fn damaged(&self, text: &str) -> Result<()> {
        use std::os::unix::fs::FileExt;
        self.foreign(text)?;
        let file = fs::OpenOptions::new().write(true).open(self.path)?;
        for lba in [1, DISK_BYTES / SECTOR_BYTES - 1] {
            // The table's first entry array checksum: UEFI 2.10, table 5-5, offset 88.
            file.file().write_all_at(&[0x5a; 4], lba * SECTOR_BYTES + 88)?;
        }
        Ok(())
    }

    /// A disk with one FAT partition per item: name, type, files.
    fn gpt(&self, content: &[(&str, Guid, &Files<'_>)]) -> Result<()> {
        let mut partitions = Vec::new();
        for (name, type_guid, files) in content {
            let fat = Content::file(&self.fat(files)?)?;
            partitions.push(planned(name, *type_guid, 0, ESP_BYTES, fat));
        }
        self.write(0, partitions)
    }

    fn fat(&self, files: &Files<'_>) -> Result<PathBuf> {
        let path = self.dir.join("esp.fat");
        let mut image =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        image.set_len(ESP_BYTES)?;
        let spec = fat::Spec {
            size_bytes: ESP_BYTES,
            label: "EFI".to_owned(),
            volume_id: fat::volume_id("EFI"),
            partition_start: NO_HIDDEN_SECTORS,
        };
        fat::build(&mut image, &spec, files)
            .map_err(|e| Failure::new("cannot make a test disk's ESP").why(e))?;
        Ok(path)
    }

    fn write(&self, offset_sectors: u64, partitions: Vec<PartitionPlan>) -> Result<()> {
        let refused = |e: &dyn std::fmt::Display| Failure::new("a test disk cannot be made").why(e);
        let disk_guid = Guid::from_label(&self.path.display().to_string());
        let plan = Plan { size_bytes: DISK_BYTES, disk_guid, offset_sectors, partitions, raw: Vec::new() };
        let mut file = fs::File::create(self.path)?.into_parts().0;
        plan.check().map_err(|e| refused(&e))?.write(&mut file).map_err(|e| refused(&e))?;
        Ok(())
    }
}

fn planned(name: &str, type_guid: Guid, attributes: u64, size_bytes: u64, content: Content) -> PartitionPlan {
    PartitionPlan {
        name: name.to_owned(),
        owner: "xtask".to_owned(),
        type_guid,
        guid: Guid::from_label(name),
        attributes,
        start: Start::Next,
        size_bytes,
        content,
    }
}

/// Where the foreign system keeps its own loader.
const FOREIGN_PATH: &str = r"\EFI\foreign\grubaa64.efi";

/// U-Boot's file of EFI variables (include/efi_variable.h) with `Boot0000` for `program` and a `BootOrder` of it.
fn boot_order_variables(program: &str) -> Vec<u8> {
    // EFI_GLOBAL_VARIABLE, UEFI 2.10, 3.3.
    let global = 0x61df_e48b_ca93_d211_aa0d_00e0_9803_2b8c_u128.to_be_bytes();
    let utf16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect() };
    // A load option (3.1.3): active, a path of one file node (10.3.5.4) and the end node.
    let name = utf16(program);
    let node = [&[4, 4], &((name.len() + 4) as u16).to_le_bytes()[..], &name].concat();
    let path = [&node[..], &[0x7f, 0xff, 4, 0]].concat();
    let option =
        [&1u32.to_le_bytes()[..], &(path.len() as u16).to_le_bytes(), &utf16("foreign"), &path].concat();
    let mut entries = Vec::new();
    for (name, data) in [("Boot0000", option), ("BootOrder", vec![0, 0])] {
        // Non-volatile, for boot services and at run time.
        entries.extend((data.len() as u32).to_le_bytes());
        entries.extend(7u32.to_le_bytes());
        entries.extend(0u64.to_le_bytes());
        entries.extend(global);
        entries.extend(utf16(name));
        entries.extend(data);
        entries.resize(entries.len().next_multiple_of(8), 0);
    }
    let length = entries.len() as u32 + 24;
    let mut file = 0u64.to_le_bytes().to_vec();
    file.extend(0x0161_5669_6645_6255_u64.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(crc32(&entries).to_le_bytes());
    file.extend(entries);
    file
}
