// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which disks may be written, on machines that are made up.

use std::os::unix::fs::symlink;
use std::path::Path;

use flasher::device::linux::{self, Roots};
use flasher::device::{Bus, Device, LookupError, Refusal, Use};

const GB: u64 = 1_000_000_000;
const IMAGE_BYTES: u64 = 1_306_525_696;

/// A machine in a folder.
struct Machine {
    dir: tempfile::TempDir,
    roots: Roots,
}

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::tempdir().expect("folder");
        let roots = Roots { sys: dir.path().join("sys"), proc: dir.path().join("proc") };
        fs_err::create_dir_all(roots.sys.join("block")).expect("folder");
        fs_err::create_dir_all(roots.proc.join("self")).expect("folder");
        let machine = Machine { dir, roots };
        machine.mounts("22 1 0:5 / /proc rw - proc proc rw\n");
        machine
    }

    /// A disk at a path below `devices`, with files in it, and its partitions.
    fn disk(&self, at: &str, number: &str, bytes: u64, files: &[(&str, &str)], partitions: &[(&str, &str)]) {
        let dir = self.roots.sys.join("devices").join(at);
        let name = Path::new(at).file_name().expect("name");
        let put = |file: &str, text: &str| {
            let path = dir.join(file);
            fs_err::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs_err::write(path, format!("{text}\n")).expect("written");
        };
        put("dev", number);
        put("size", &(bytes / 512).to_string());
        for (file, text) in files {
            put(file, text);
        }
        fs_err::create_dir_all(dir.join("holders")).expect("folder");
        for (partition, number) in partitions {
            put(&format!("{partition}/partition"), "1");
            put(&format!("{partition}/dev"), number);
            fs_err::create_dir_all(dir.join(partition).join("holders")).expect("folder");
        }
        symlink(&dir, self.roots.sys.join("block").join(name)).expect("link");
    }

    fn holder(&self, at: &str, by: &str) {
        let holders = self.roots.sys.join("devices").join(at).join("holders");
        fs_err::create_dir_all(&holders).expect("folder");
        symlink(self.dir.path(), holders.join(by)).expect("link");
    }

    fn mounts(&self, lines: &str) {
        fs_err::write(self.roots.proc.join("self/mountinfo"), lines).expect("written");
    }

    fn named(&self, name: &str) -> Device {
        linux::named(&self.roots, name).expect(name)
    }
}

const READER: &str = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb";
const SATA: &str = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda";

fn reader(machine: &Machine, bytes: u64) {
    let files = [
        ("removable", "1"),
        ("ro", "0"),
        ("device/vendor", "Generic "),
        ("device/model", "MassStorageClass"),
    ];
    machine.disk(READER, "8:16", bytes, &files, &[("sdb1", "8:17")]);
    let usb = machine.roots.sys.join("devices/pci0000:00/0000:00:14.0/usb2/2-1");
    fs_err::write(usb.join("idVendor"), "05e3\n").expect("written");
    fs_err::write(usb.join("serial"), "000000001206\n").expect("written");
}

#[test]
fn a_card_in_a_reader_is_welcome() {
    let machine = Machine::new();
    reader(&machine, 32 * GB);
    let card = machine.named("sdb");
    assert_eq!(card.refusals(IMAGE_BYTES, None), []);
    assert_eq!((card.bus, card.removable, card.model.as_str()), (Bus::Usb, true, "Generic MassStorageClass"));
    assert_eq!((card.serial.as_str(), &card.partitions[..]), ("000000001206", &["sdb1".to_owned()][..]));
    assert!(card.identity().contains("32000000000 bytes"));
}

#[test]
fn what_is_mounted_is_refused_by_number_by_name_and_through_holders() {
    let machine = Machine::new();
    reader(&machine, 32 * GB);
    machine.mounts("30 1 8:17 / /media/me/my\\040card rw - vfat /dev/sdb1 rw\n");
    let use_of = Use::Mounted { what: "sdb1".into(), at: "/media/me/my card".into() };
    assert_eq!(machine.named("sdb").uses, [use_of]);
    // btrfs: the number is made up, the source names the partition.
    machine.mounts("30 1 0:44 /@ /mnt rw - btrfs /dev/sdb1 rw\n");
    let refusals = machine.named("sdb").refusals(IMAGE_BYTES, Some("sdb"));
    assert!(matches!(&refusals[..], [Refusal::InUse(uses)] if uses[0].contains("/mnt")), "{refusals:?}");
    // The system on LVM on LUKS on the partition: naming it changes nothing.
    machine.mounts("30 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw\n");
    machine.disk("virtual/block/dm-0", "253:0", GB, &[], &[]);
    machine.disk("virtual/block/dm-1", "253:1", GB, &[], &[]);
    machine.holder(&format!("{READER}/sdb1"), "dm-0");
    machine.holder("virtual/block/dm-0", "dm-1");
    let refusals = machine.named("sdb").refusals(IMAGE_BYTES, Some("sdb"));
    assert_eq!(refusals, [Refusal::System("`dm-1` is `/`".to_owned())]);
    assert!(!refusals[0].can_be_overridden());
}

#[test]
fn swap_raid_locks_and_empty_readers_are_refused() {
    let machine = Machine::new();
    reader(&machine, 32 * GB);
    let swaps = "Filename\tType\tSize\tUsed\tPriority\n/dev/sdb1 partition 1000 0 -2\n";
    fs_err::write(machine.roots.proc.join("swaps"), swaps).expect("written");
    assert!(matches!(&machine.named("sdb").refusals(1, None)[..], [Refusal::InUse(_)]));
    fs_err::remove_file(machine.roots.proc.join("swaps")).expect("removed");
    machine.holder(READER, "md0");
    let held = machine.named("sdb").refusals(1, None);
    assert!(matches!(&held[..], [Refusal::InUse(uses)] if uses[0] == "`md0` is built on `sdb`"), "{held:?}");
    fs_err::remove_file(machine.roots.sys.join("devices").join(READER).join("holders/md0")).expect("removed");
    fs_err::write(machine.roots.sys.join("devices").join(READER).join("ro"), "1\n").expect("written");
    assert_eq!(machine.named("sdb").refusals(1, None), [Refusal::ReadOnly]);

    let machine = Machine::new();
    reader(&machine, 0);
    assert_eq!(machine.named("sdb").refusals(1, None), [Refusal::Empty]);
}

#[test]
fn built_in_and_large_disks_need_their_name_and_small_ones_are_too_small() {
    let machine = Machine::new();
    machine.disk(SATA, "8:0", 512 * GB, &[("removable", "0"), ("device/model", "SSD 850")], &[]);
    let sata = machine.named("sda");
    assert_eq!(sata.refusals(IMAGE_BYTES, None), [Refusal::Fixed("internal")]);
    assert_eq!(sata.refusals(IMAGE_BYTES, Some("sdb")), [Refusal::Fixed("internal")]);
    assert_eq!(sata.refusals(IMAGE_BYTES, Some("sda")), []);
    machine.disk("platform/mmc0:0001/block/mmcblk0", "179:0", 62 * GB, &[("device/type", "MMC")], &[]);
    assert_eq!(machine.named("mmcblk0").refusals(1, None), [Refusal::Fixed("eMMC")]);
    machine.disk("platform/mmc1:aaaa/block/mmcblk1", "179:8", 62 * GB, &[("device/type", "SD")], &[]);
    assert_eq!(machine.named("mmcblk1").refusals(1, None), []);
    machine.disk("pci0000:00/nvme/nvme0/nvme0n1", "259:0", 500 * GB, &[("device/serial", "S4EW")], &[]);
    let nvme = machine.named("nvme0n1");
    assert_eq!((nvme.serial.as_str(), nvme.refusals(1, None)), ("S4EW", vec![Refusal::Fixed("NVMe")]));

    let machine = Machine::new();
    reader(&machine, 8_000 * GB);
    assert_eq!(machine.named("sdb").refusals(IMAGE_BYTES, None), [Refusal::Large]);
    assert_eq!(machine.named("sdb").refusals(IMAGE_BYTES, Some("sdb")), []);
    let machine = Machine::new();
    reader(&machine, GB);
    let small = machine.named("sdb").refusals(IMAGE_BYTES, Some("sdb"));
    assert!(matches!(small[..], [Refusal::TooSmall { need_bytes: IMAGE_BYTES, .. }]), "{small:?}");
}

#[test]
fn partitions_and_unknown_names_are_told_apart() {
    let machine = Machine::new();
    reader(&machine, GB);
    machine.disk("virtual/block/zram0", "252:0", GB, &[], &[]);
    machine.disk("virtual/block/loop0", "7:0", 0, &[], &[]);
    let error = linux::named(&machine.roots, "sdb1").expect_err("a partition");
    assert!(matches!(&error, LookupError::Partition { disk, .. } if disk == "sdb"), "{error}");
    assert!(matches!(linux::named(&machine.roots, "sdz"), Err(LookupError::Unknown(_))));
    let all: Vec<_> = linux::all(&machine.roots).expect("all").into_iter().map(|d| d.name).collect();
    assert_eq!(all, ["sdb"]);
}

/// The machine that runs this test: its root disk, if it has one, is never offered.
#[test]
fn the_system_disk_of_this_machine_is_refused() {
    let roots = Roots::default();
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").expect("mounts");
    let Ok(all) = linux::all(&roots) else { return };
    let root_is_a_disk = mounts.lines().any(|l| l.split(' ').nth(4) == Some("/") && l.contains(" /dev/"));
    let refused = |d: &Device| d.refusals(1, Some(&d.name)).iter().any(|r| matches!(r, Refusal::System(_)));
    assert_eq!(all.iter().any(refused), root_is_a_disk, "{all:?}");
}
