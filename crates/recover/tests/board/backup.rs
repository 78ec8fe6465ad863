// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is saved before it is lost, and which loaders are found.

use std::io::Cursor;

use recover::backup::{self, Backup, BackupError, Unsaved};
use recover::flash::{self, Span};
use recover::found;

use crate::maskrom::idblock;
use crate::model::Board;

const DDR: &[u8] = b"\0DDR 0123456789 typ 23/01/01-10:00:00,fwver: v1.12\n";
const SPL: &[u8] = b"\0U-Boot SPL 2017.09 (Jan 01 2023)\0";

/// A flash as from the factory: loader at sector 64 and a copy, the rest blank but for a table.
fn factory() -> Board {
    let mut board = Board::with_flash(3000);
    board.flash.fill(0xff);
    board.flash[512..][..8].copy_from_slice(b"EFI PART");
    let block = idblock(DDR, SPL);
    for sector in [64, 1088] {
        board.flash[sector * 512..][..block.len()].copy_from_slice(&block);
    }
    board
}

#[test]
fn a_backup_is_the_flash_and_every_change_to_it_is_seen() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("factory.bin");
    let mut device = factory().device();
    let record = backup::make(&mut device, &file, 2000, &mut |_, _| {}).expect("saved");
    assert_eq!((record.sectors, record.flash_sectors, record.chip.as_str()), (2000, 3000, "3588"));
    assert!(fs_err::read(&file).expect("file") == device.transport().0.flash[..2000 * 512]);
    assert!(!dir.path().join("factory.bin.part").exists());
    assert_eq!(Backup::load(&file).expect("loaded").record, record);
    // Never over another one.
    let again = backup::make(&mut device, &file, 2000, &mut |_, _| {});
    assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");
    // A byte, the length, the record.
    let good = fs_err::read(&file).expect("file");
    let mut bad = good.clone();
    bad[70_000] ^= 1;
    for bytes in [&bad[..], &good[512..], &[]] {
        fs_err::write(&file, bytes).expect("file");
        let changed = Backup::load(&file);
        assert!(matches!(changed, Err(BackupError::Changed { .. })), "{changed:?}");
    }
    fs_err::write(&file, &good).expect("file");
    let record_path = backup::record_path(&file);
    let json = fs_err::read_to_string(&record_path).expect("record");
    for text in ["", "{}", &json.replace("\": 1,", "\": 9,"), &json.replace("chip", "chop")] {
        fs_err::write(&record_path, text).expect("record");
        assert!(matches!(Backup::load(&file), Err(BackupError::Record { .. })), "{text}");
    }
    fs_err::remove_file(&record_path).expect("removed");
    assert!(matches!(Backup::load(&file), Err(BackupError::Unfinished(_))));
}

#[test]
fn a_flash_that_reads_differently_twice_gives_no_backup() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("moody.bin");
    let mut device = Board { moody: Some(777), ..factory() }.device();
    let wrong = backup::make(&mut device, &file, 2000, &mut |_, _| {});
    assert!(matches!(wrong, Err(BackupError::Differs(777))), "{wrong:?}");
    assert!(!file.exists() && !backup::record_path(&file).exists());
}

#[test]
fn only_what_is_blank_or_saved_just_so_may_go() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("factory.bin");
    let mut device = factory().device();
    let all = Span { first: 0, count: 3000 };
    let block = idblock(DDR, SPL).len().div_ceil(512) as u64;
    // Sectors that are all zero inside of the block are blank, too: the header's last, and what pads the programs.
    let lost = backup::unsaved(&mut device, all, None).expect("looked").expect("a loader");
    assert_eq!(lost.sector, 1);
    assert!(lost.count > 2 && lost.count < 1 + 2 * block, "{lost:?}");
    let between = Span { first: 200, count: 800 };
    assert_eq!(backup::unsaved(&mut device, between, None).expect("looked"), None);
    backup::make(&mut device, &file, 3000, &mut |_, _| {}).expect("saved");
    let saved = Backup::load(&file).expect("loaded");
    assert_eq!(backup::unsaved(&mut device, all, Some(&saved)).expect("looked"), None);
    // Something that was written afterwards is not in it.
    flash::write(&mut device, Span { first: 300, count: 1 }, &mut Cursor::new([7; 512]), &mut |_| {})
        .expect("written");
    let lost = backup::unsaved(&mut device, all, Some(&saved)).expect("looked");
    assert_eq!(lost, Some(Unsaved { sector: 300, count: 1 }));
    // A short backup does not vouch for what is behind its end.
    let short = dir.path().join("short.bin");
    backup::make(&mut device, &short, 1000, &mut |_, _| {}).expect("saved");
    let short = Backup::load(&short).expect("loaded");
    let lost = backup::unsaved(&mut device, all, Some(&short)).expect("looked").expect("the copy");
    assert_eq!(lost.sector, 1088);
}

#[test]
fn a_factory_loader_is_hidden_and_comes_back() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("factory.bin");
    let mut device = factory().device();
    let before = device.transport().0.flash.clone();
    let found = found::loaders(&before);
    let at: Vec<u64> = found.iter().map(|f| f.sector).collect();
    assert_eq!(at, [64, 1088]);
    assert!(found.iter().all(|f| f.runs));
    assert_eq!(
        found[0].words,
        "DDR 0123456789 typ 23/01/01-10:00:00,fwver: v1.12; U-Boot SPL 2017.09 (Jan 01 2023)"
    );
    backup::make(&mut device, &file, 3000, &mut |_, _| {}).expect("saved");
    for f in found.iter().rev() {
        let header = Span { first: f.sector, count: f.header_sectors };
        flash::write(&mut device, header, &mut std::io::empty(), &mut |_| {}).expect("cleared");
    }
    let mut expected = before.clone();
    for sector in [64, 1088] {
        expected[sector * 512..][..2048].fill(0);
    }
    assert!(device.transport().0.flash == expected, "only the headers");
    assert!(found::loaders(&expected).is_empty());
    let saved = Backup::load(&file).expect("loaded");
    backup::restore(&mut device, &saved, &mut Cursor::new(fs_err::read(&file).expect("file")), &mut |_| {})
        .expect("restored");
    assert!(device.transport().0.flash == before);
    let other =
        backup::restore(&mut Board::with_flash(2999).device(), &saved, &mut std::io::empty(), &mut |_| {});
    assert!(matches!(other, Err(BackupError::OtherFlash { saved: 3000, there: 2999 })), "{other:?}");
}

#[test]
fn what_only_looks_like_a_loader_is_named_as_such() {
    let mut area = vec![0; 300 * 512];
    area[64 * 512..][..4].copy_from_slice(b"RKNS");
    area[100 * 512..][..4].copy_from_slice(&[0x3b, 0x8c, 0xdc, 0xfc]);
    // Not at the start of a sector.
    area[120 * 512 + 4..][..4].copy_from_slice(b"RKNS");
    area.extend(b"RKNS");
    let found = found::loaders(&area);
    assert_eq!(found.iter().map(|f| (f.sector, f.runs)).collect::<Vec<_>>(), [(64, false), (100, false)]);
    assert!(found[1].words.contains("version 1"), "{}", found[1].words);
}

#[test]
fn a_backup_that_was_cut_after_it_was_loaded_does_not_end_in_zeros() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("factory.bin");
    let mut device = factory().device();
    backup::make(&mut device, &file, 3000, &mut |_, _| {}).expect("saved");
    let saved = Backup::load(&file).expect("loaded");
    let content = fs_err::read(&file).expect("file");
    let mut cut = Cursor::new(&content[..1500 * 512]);
    let error = backup::restore(&mut device, &saved, &mut cut, &mut |_| {}).expect_err("cut").to_string();
    assert!(error.contains("ends 768000 bytes early"), "{error}");
    // What was not in the file any more is as it was.
    assert!(device.transport().0.flash[1536 * 512..] == content[1536 * 512..]);
}
