// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `install` refuses. Each refusal is followed by a look at every file: nothing may have been written.

use crate::support::{BOARD, Bench, DISK_BYTES, DTB, FIT_AT, LOADER, SUMS, device_tree, loader};
use fw_image::gpt::{Geometry, Partition, Table};
use fw_image::guid::Guid;
use fw_image::lba::Lba;

/// A change of the U-Boot file, and what the refusal must say.
fn loader_refused(change: impl FnOnce(&mut Vec<u8>), says: &str) {
    let bench = Bench::new();
    let mut file = loader(BOARD, b"U-Boot");
    change(&mut file);
    bench.artifact(LOADER, &file);
    let refusal = bench.refused();
    assert!(refusal.contains(says), "`{says}` is not in: {refusal}");
}

fn refused_with(options: &str, says: &str) {
    let mut bench = Bench::new();
    bench.options = options.to_owned();
    let refusal = bench.refused();
    assert!(refusal.contains(says), "`{says}` is not in: {refusal}");
}

#[test]
fn must_fail_01_damaged_loader() {
    loader_refused(|file| file[0] = b'X', "id block magic");
    loader_refused(|file| file[0x500] ^= 1, "SHA-256 of the header");
    loader_refused(|file| file[2048] ^= 1, "SHA-256 of entry 0");
    loader_refused(|file| file[5 * 1024] ^= 1, "SHA-256 of entry 1");
    loader_refused(|file| file[FIT_AT] ^= 1, "magic");
    loader_refused(|file| file[FIT_AT + 0x1000] ^= 1, "FIT image `atf-1`: sha256");
    loader_refused(|file| file.truncate(FIT_AT), "truncated");
    loader_refused(|file| file.truncate(FIT_AT - 1), "ends before its FIT");
    loader_refused(|file| file.truncate(FIT_AT + 0x1000 + 100), "lies past");
    loader_refused(|file| file.truncate(100), "truncated");
    loader_refused(Vec::clear, "it is empty");
}

#[test]
fn must_fail_02_loader_that_reaches_the_table() {
    let bench = Bench::new();
    let room = (20480 - 64) * 512;
    let mut file = loader(BOARD, b"U-Boot");
    file.resize(room, 0);
    bench.artifact(LOADER, &file);
    bench.install().expect("the last sector before the table");
    file.push(0);
    bench.artifact(LOADER, &file);
    assert!(bench.refused().contains("must end before sector 20480"));
}

#[test]
fn must_fail_03_artifacts_of_another_board() {
    let bench = Bench::new();
    bench.artifact(LOADER, &loader("radxa,rock-5a", b"U-Boot"));
    assert!(bench.refused().contains("is for `radxa,rock-5a, rockchip,rk3588s`"));
    bench.artifact(LOADER, &loader(BOARD, b"U-Boot"));
    bench.artifact(DTB, &device_tree("radxa,rock-5a"));
    assert!(bench.refused().contains("not a device tree of this board"));
    // Swapped with each other.
    bench.artifact(DTB, &loader(BOARD, b"U-Boot"));
    assert!(bench.refused().contains("cannot be used"));
    bench.artifact(DTB, &device_tree(BOARD));
    bench.artifact(LOADER, &device_tree(BOARD));
    assert!(bench.refused().contains("id block magic"));
}

#[test]
fn must_fail_04_missing_or_odd_artifacts() {
    for path in [LOADER, DTB] {
        let bench = Bench::new();
        let file = bench.path(&format!("artifacts/{path}"));
        std::fs::remove_file(&file).expect("file");
        assert!(bench.refused().contains("hint: use the artifacts of the overlay"), "{path}");
        std::fs::create_dir(&file).expect("folder");
        assert!(bench.refused().contains("not a regular file"), "{path}");
    }
    let bench = Bench::new();
    bench.artifact(DTB, &vec![0; (4 << 20) + 1]);
    assert!(bench.refused().contains("no device tree is as large"));
    bench.artifact(DTB, &device_tree(BOARD)[..200]);
    assert!(bench.refused().contains("truncated"));
    refused_with("{dtb: rockchip/none.dtb}", "rockchip/none.dtb");
}

#[test]
fn must_fail_05_disks() {
    let bench = Bench::new();
    bench.disk(&vec![0; 20480 * 512 - 1]);
    assert!(bench.refused().contains("is too small"));
    bench.disk(&[]);
    assert!(bench.refused().contains("is too small"));
    std::fs::remove_file(bench.path("disk.raw")).expect("file");
    assert!(bench.refused().contains("is `installDisk` right?"));
    std::fs::create_dir(bench.path("disk.raw")).expect("folder");
    assert!(bench.refused().contains("neither a block device nor a file"));
}

fn table(first: u64, last: u64, offset_sectors: u64) -> Vec<u8> {
    let disk_sectors = DISK_BYTES as u64 / 512;
    let geometry = Geometry::new(disk_sectors, offset_sectors).expect("a disk");
    let partition = Partition {
        name: "r-data".to_owned(),
        type_guid: Guid::LINUX_DATA,
        guid: Guid::from_label("x"),
        first: Lba(first),
        last: Lba(last),
        attributes: 0,
    };
    let table = Table { geometry, disk_guid: Guid::from_label("disk"), partitions: vec![partition] };
    let mut disk = vec![0; DISK_BYTES];
    for (at, bytes) in table.encode().expect("a table") {
        let at = at.bytes() as usize;
        disk[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    disk
}

#[test]
fn must_fail_06_partitions_over_the_loader() {
    let bench = Bench::new();
    // A volume that a user put into the free space before the first partition.
    bench.disk(&table(2048, 6143, 0));
    assert!(bench.refused().contains("partition 1 `r-data` (LBA 2048 to LBA 6143) lies where it goes"));
    // The backup copy alone says it, too.
    let mut disk = table(2048, 6143, 0);
    disk[512..520].fill(0);
    bench.disk(&disk);
    assert!(bench.refused().contains("`r-data`"));
    // The table's entries themselves, as some tool may move them.
    bench.disk(&table(22528, 24000, 1000));
    assert!(bench.refused().contains("entries lie at LBA 1002"));
    // As in our images, and as Talos leaves it after the first boot.
    for offset in [20480, 0] {
        bench.disk(&table(22528, 24000, offset));
        bench.install().expect("a free gap");
    }
    // Sectors of 4096 bytes: the loader would lie elsewhere than the partitions say.
    let mut disk = vec![0; DISK_BYTES];
    disk[4096..4104].copy_from_slice(b"EFI PART");
    bench.disk(&disk);
    assert!(bench.refused().contains("sectors of 4096 bytes"));
}

#[test]
fn must_fail_07_no_place_for_the_device_tree() {
    let bench = Bench::new();
    bench.write("image/boot/EFI/dtb", b"a file");
    assert!(bench.refused().contains("is not a folder"));
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("image/boot/EFI/dtb/rockchip/rk3588s-nanopi-m6.dtb")).expect("folder");
    assert!(bench.refused().contains("there is a folder of that name"));
    let request = bench.request().replace(&format!("{}/image", bench.dir.path().display()), "/proc");
    assert!(bench.refused_as(&request).contains("cannot write `/proc/boot/EFI"));
}

#[test]
fn must_fail_08_options() {
    refused_with("{mac: \"01:00:5e:00:00:01\"}", "multicast");
    refused_with("{bootloadr: none}", "looks like `bootloader`");
    refused_with("{dtb: ../../../etc/passwd.dtb}", "is not a path below");
    refused_with("[bootloader]", "`extraOptions` is a list");
    let mut bench = Bench::new();
    bench.options = "{mac: \"02:00:c0:ff:ee:01\"}".to_owned();
    let mut tree = dtoolkit::model::DeviceTree::new();
    let compatible = dtoolkit::model::DeviceTreeProperty::new("compatible", format!("{BOARD}\0").as_bytes());
    tree.root.add_property(compatible.expect("a legal name"));
    bench.artifact(DTB, &tree.to_dtb());
    assert!(bench.refused().contains("has no place for the MAC address"));
}

#[test]
fn must_fail_09_requests() {
    let bench = Bench::new();
    for (request, says) in [
        ("", "`artifactsPath` is empty"),
        ("{}", "`artifactsPath` is empty"),
        ("[]", "a list, not a mapping"),
        ("installDisk: [a]", "`installDisk` is a list"),
        ("installDisk: 5\nartifactsPath: x", "`installDisk` is a number"),
        ("mountPrefix: {}", "`mountPrefix` is a mapping"),
        ("artifactsPath: &a x\nmountPrefix: *a", "cannot be used"),
        ("installDisk: a\ninstallDisk: b", "cannot be used"),
        ("installDisk: 'a", "cannot be used"),
        ("a: \0", "NUL"),
    ] {
        let refusal = bench.refused_as(request);
        assert!(refusal.contains(says), "{request}: `{says}` is not in: {refusal}");
    }
    let request = bench.request();
    let request = request.lines().filter(|l| !l.starts_with("installDisk")).collect::<Vec<_>>().join("\n");
    assert!(bench.refused_as(&request).contains("`installDisk` is empty"));
}

/// Talos takes a damaged layer of an OCI layout, and nothing else judges the properties of a device tree.
#[test]
fn must_fail_10_artifacts_that_are_not_as_listed() {
    let mut bench = Bench::new();
    let mut tree = device_tree(BOARD);
    let at = tree.windows(10).position(|w| w == b"rgmii-rxid").expect("the property");
    tree[at] ^= 1;
    bench.write(&format!("artifacts/{DTB}"), &tree);
    assert!(bench.refused().contains("it was damaged or exchanged on its way"));
    bench.artifact(DTB, &device_tree(BOARD));
    bench.write(&format!("artifacts/{LOADER}"), &loader(BOARD, b"another U-Boot"));
    assert!(bench.refused().contains("it was damaged or exchanged on its way"));
    // Nor one that somebody laid beside the others, or that is listed by another name.
    bench.artifact(LOADER, &loader(BOARD, b"U-Boot"));
    bench.write("artifacts/arm64/dtb/own.dtb", &device_tree(BOARD));
    bench.options = "{dtb: own.dtb}".to_owned();
    assert!(bench.refused().contains("does not list `arm64/dtb/own.dtb`"));
    bench.options.clear();
    bench.write(&format!("artifacts/{SUMS}"), b"arm64\n");
    assert!(bench.refused().contains("is not a list of digests"));
    std::fs::remove_file(bench.path(&format!("artifacts/{SUMS}"))).expect("file");
    assert!(bench.refused().contains("SHA256SUMS` cannot be used"));
    bench.artifact(LOADER, &loader(BOARD, b"U-Boot"));
    bench.install().expect("as listed");
}
