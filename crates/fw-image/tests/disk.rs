// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Plans that must be refused, by number, and the written image.

mod common;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};

use common::{SIZE_BYTES, image, plan, tool};
use fw_image::disk::{Content, Kind, Layout, Plan, PlanError, RawPlan, Start, WriteError};
use fw_image::gpt::GptError;
use fw_image::lba::{Lba, SECTOR_BYTES};
use fw_image::window::Window;
use sha2::{Digest, Sha256};

/// The example plan with one change, which must be refused.
fn refused(change: impl FnOnce(&mut Plan)) -> PlanError {
    let mut plan = plan();
    plan.check().expect("the plan is sound before the change");
    change(&mut plan);
    plan.check().unwrap_err()
}

fn loader(start: Lba, length_bytes: usize) -> RawPlan {
    RawPlan { start, content: Content::Bytes(vec![1; length_bytes]), ..plan().raw[0].clone() }
}

#[test]
fn must_fail_01_two_raw_regions_overlap() {
    let error = refused(|p| p.raw.push(RawPlan { name: "env".to_owned(), ..loader(Lba(18_564), 512) }));
    assert_eq!(
        error.to_string(),
        "regions `loader` of `u-boot-nanopi-m6` and `env` of `u-boot-nanopi-m6` overlap at LBA 18564"
    );
}

#[test]
fn must_fail_02_two_partitions_overlap() {
    let error = refused(|p| p.partitions[2].start = Start::At(Lba(229_375)));
    let (a, b) = ("BIOS".to_owned(), "BOOT".to_owned());
    assert_eq!(error, PlanError::Gpt(GptError::Overlap { a, b, at: Lba(229_375) }));
}

#[test]
fn must_fail_03_loader_past_its_limit() {
    // From LBA 64 to 20480 there are 20416 sectors: that fits, one byte more does not.
    let mut fits = plan();
    fits.raw[0] = loader(Lba(64), 20_416 * 512);
    fits.check().unwrap();
    let error = refused(|p| p.raw[0] = loader(Lba(64), 20_416 * 512 + 1));
    assert_eq!(
        error.to_string(),
        "region `loader` (LBA 64, 10452993 bytes) ends at LBA 20481, past its limit LBA 20480"
    );
}

#[test]
fn must_fail_04_loader_over_the_partition_table() {
    // A wrong limit in a board file must not open the way to the entries.
    let error = refused(|p| {
        p.raw[0] = RawPlan { limit: Lba(30_000), ..loader(Lba(64), (20_483 - 64) * 512) };
    });
    assert_eq!(
        error.to_string(),
        "regions `loader` of `u-boot-nanopi-m6` and `gpt-entries` of `xtask` overlap at LBA 20482"
    );
    let error = refused(|p| p.raw[0] = loader(Lba(1), 512));
    assert_eq!(
        error.to_string(),
        "regions `gpt-primary` of `xtask` and `loader` of `u-boot-nanopi-m6` overlap at LBA 1"
    );
}

#[test]
fn must_fail_05_raw_region_past_the_end() {
    let last = Lba(SIZE_BYTES / SECTOR_BYTES - 1);
    let error = refused(|p| {
        p.raw.push(RawPlan { limit: Lba(u64::MAX), name: "tail".to_owned(), ..loader(last, 513) })
    });
    assert_eq!(
        error.to_string(),
        "region `tail` ends at byte 1306525697, past the end of the image (1306525696 bytes)"
    );
    let beyond = |p: &mut Plan| p.raw[0] = RawPlan { limit: Lba(u64::MAX), ..loader(Lba(u64::MAX - 1), 1) };
    assert!(matches!(refused(beyond), PlanError::PastEnd { .. }));
}

#[test]
fn must_fail_06_zero_length_blob() {
    let error = refused(|p| p.raw[0] = loader(Lba(64), 0));
    assert_eq!(
        error.to_string(),
        "region `loader` of `u-boot-nanopi-m6` is empty: its content has zero bytes"
    );
    let error = refused(|p| p.partitions[0].content = Content::Bytes(Vec::new()));
    assert!(matches!(error, PlanError::ZeroLength { .. }), "{error}");
    let error = refused(|p| p.raw[0].content = Content::Zero);
    assert_eq!(error, PlanError::NoSize("loader".to_owned()));
}

#[test]
fn must_fail_07_partition_outside_the_usable_range() {
    let before = refused(|p| p.partitions[0].start = Start::At(Lba(20_514)));
    assert_eq!(
        before.to_string(),
        "partition `EFI` (LBA 20514 to LBA 225313) is outside the usable range (LBA 22528 to LBA 2551774)"
    );
    let after = refused(|p| p.partitions[2].size_bytes = SIZE_BYTES);
    assert!(matches!(after, PlanError::Gpt(GptError::OutsideUsable { .. })), "{after}");
    let far = refused(|p| p.partitions[2].size_bytes = u64::MAX);
    assert!(matches!(far, PlanError::Gpt(GptError::OutsideUsable { .. })), "{far}");
}

#[test]
fn must_fail_08_content_longer_than_its_partition() {
    let error = refused(|p| p.partitions[3].content = Content::Bytes(vec![1; (1 << 20) + 1]));
    assert_eq!(error.to_string(), "the content of partition `META` has 1048577 bytes, the partition 1048576");
}

#[test]
fn must_fail_09_names_used_twice() {
    let error = refused(|p| p.raw[0].name = "META".to_owned());
    assert_eq!(error, PlanError::DuplicateName("META".to_owned()));
}

#[test]
fn must_fail_10_sizes_that_are_no_disk() {
    assert_eq!(refused(|p| p.size_bytes -= 1), PlanError::Size(SIZE_BYTES - 1));
    let error = refused(|p| p.size_bytes = 1 << 20);
    assert!(matches!(error, PlanError::Gpt(GptError::DiskTooSmall { .. })), "{error}");
    let error = refused(|p| p.partitions[1].size_bytes = 0);
    assert_eq!(error, PlanError::Gpt(GptError::Empty("BIOS".to_owned())));
}

#[test]
fn must_fail_11_content_that_changed_after_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let blob = folder.path().join("u-boot-rockchip.bin");
    std::fs::write(&blob, [7; 1000]).unwrap();
    let mut plan = plan();
    plan.raw[0].content = Content::file(&blob).unwrap();
    let layout = plan.check().unwrap();
    std::fs::write(&blob, vec![7; 20_000_000]).unwrap();
    let mut out = File::create(folder.path().join("disk.raw")).unwrap();
    let error = layout.write(&mut out).unwrap_err();
    assert!(
        matches!(error, WriteError::Changed { planned_bytes: 1000, found_bytes: 20_000_000, .. }),
        "{error}"
    );
}

/// A layout with something in every kind of region.
fn filled() -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let efi = folder.path().join("efi.img");
    let mut bytes = vec![0; 40 << 20];
    bytes[0] = 0xEB;
    bytes[20 << 20] = 0x55;
    std::fs::write(&efi, bytes).unwrap();
    let mut plan = plan();
    plan.partitions[0].content = Content::file(&efi).unwrap();
    plan.partitions[3].content = Content::Bytes(b"meta".to_vec());
    let layout = plan.check().unwrap();
    (folder, layout)
}

#[test]
fn image_is_sparse_and_digests_are_of_its_bytes() {
    let (_folder, layout) = filled();
    let (_image_folder, mut file, _) = image(&layout);
    let written = layout.write(&mut file).unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!(metadata.len(), SIZE_BYTES);
    // 9.5 MB of loader, some 16 KiB of table, a few blocks: far from the 1.3 GB of the file.
    assert!(metadata.blocks() * 512 < 12_000_000, "{} bytes on disk", metadata.blocks() * 512);

    let names: Vec<_> =
        written.iter().map(|w| (w.name.as_str(), w.kind, w.offset_bytes, w.length_bytes)).collect();
    assert_eq!(
        names,
        [
            ("gpt-primary", Kind::Table, 0, 1_024),
            ("loader", Kind::Raw, 32_768, 9_472_512),
            ("gpt-entries", Kind::Table, 20_482 * 512, 16_384),
            ("EFI", Kind::Partition, 22_528 * 512, 100 << 20),
            ("BIOS", Kind::Partition, 227_328 * 512, 1 << 20),
            ("BOOT", Kind::Partition, 229_376 * 512, 1_000 << 20),
            ("META", Kind::Partition, 2_277_376 * 512, 1 << 20),
            ("gpt-backup", Kind::Table, 2_551_775 * 512, 33 * 512),
        ]
    );
    for region in &written {
        let mut window = Window::new(&file, region.offset_bytes, region.length_bytes);
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        while let got @ 1.. = window.read(&mut buffer).unwrap() {
            digest.update(&buffer[..got]);
        }
        assert_eq!(region.sha256, fw_image::hex(&digest.finalize()), "{}", region.name);
    }
    assert_eq!(bytes_at::<1>(&file, 22_528 * 512 + (20 << 20)), [0x55]);
    assert_eq!(bytes_at(&file, 2_277_376 * 512), *b"meta");
}

fn bytes_at<const N: usize>(file: &File, offset_bytes: u64) -> [u8; N] {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset_bytes).unwrap();
    bytes
}

#[test]
fn an_older_image_in_the_file_leaves_nothing_behind() {
    let (_folder, layout) = filled();
    let (_image_folder, mut file, path) = image(&layout);
    layout.write(&mut file).unwrap();
    let fresh = plan();
    fresh.check().unwrap().write(&mut file).unwrap();
    assert_eq!(bytes_at(&file, 2_277_376 * 512), [0; 4]);
    assert!(tool("sgdisk", "gdisk", &["--verify", path.to_str().unwrap()]).contains("No problems found"));
}
