// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading and writing, and everything that can go wrong on the way.

use std::io::Cursor;

use recover::flash::{self, FlashError, Span};
use rockusb::protocol::StorageIndex;

use crate::model::{Board, Fault, READ, WRITE};

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i % 253) as u8 ^ 0x5a).collect()
}

fn flash_of(device: &recover::Device<Board>) -> &[u8] {
    &device.transport().0.flash
}

#[test]
fn the_board_says_what_it_is() {
    let info = flash::info(&mut Board::with_flash(1000).device()).expect("info");
    assert_eq!((info.chip.as_str(), info.flash_id.as_str(), info.sectors), ("3588", "EMMC", 1000));
    assert_eq!(info.medium.as_deref(), Some("emmc"));
    assert_eq!(
        info.capabilities,
        ["direct sectors", "first 4 MiB", "reading sectors", "switching the flash"]
    );
}

#[test]
fn what_is_written_is_there_and_the_neighbours_stay() {
    let mut device = Board::with_flash(1000).device();
    let before = flash_of(&device).to_vec();
    let bytes = pattern(300 * 512 + 7);
    let mut done = 0;
    let span = Span { first: 500, count: 301 };
    flash::write(&mut device, span, &mut Cursor::new(&bytes), &mut |n| done = n).expect("written");
    assert_eq!(done, 301);
    let mut expected = before;
    expected[500 * 512..][..bytes.len()].copy_from_slice(&bytes);
    expected[500 * 512 + bytes.len()..801 * 512].fill(0);
    assert!(flash_of(&device) == expected);
    let mut back = Vec::new();
    flash::read(&mut device, span, &mut back, &mut |_| {}).expect("read");
    assert!(back == expected[500 * 512..801 * 512]);
}

#[test]
fn beyond_the_end_nothing_is_tried() {
    let mut device = Board::with_flash(1000).device();
    let before = flash_of(&device).to_vec();
    for span in [Span { first: 999, count: 2 }, Span { first: u64::MAX, count: 9 }] {
        let wrong = flash::write(&mut device, span, &mut std::io::empty(), &mut |_| {});
        assert!(matches!(wrong, Err(FlashError::Outside(_, 1000))), "{wrong:?}");
        assert!(flash::read(&mut device, span, &mut Vec::new(), &mut |_| {}).is_err());
    }
    assert!(flash_of(&device) == before);
    flash::write(&mut device, Span { first: 999, count: 1 }, &mut std::io::empty(), &mut |_| {})
        .expect("the last sector");
}

#[test]
fn every_answer_that_is_wrong_is_an_error_and_says_which() {
    for (fault, word) in [
        (Fault::ShortData, "sent 32768 of 65536 bytes"),
        (Fault::StatusInsteadOfData, "says that the command failed"),
        (Fault::Failed, "says that the command failed"),
        (Fault::Tag, "another command"),
        (Fault::Signature, "makes no sense"),
        (Fault::ShortStatus, "sent 7 of 13 bytes"),
        (Fault::Residue, "sent 65024 of 65536 bytes"),
        (Fault::Stall, "refused"),
        (Fault::Silent, "did not answer within 20 s"),
        (Fault::Vanish, "gone from USB"),
    ] {
        let board = Board { fault: Some((fault, READ, 1)), ..Board::with_flash(1000) };
        let mut out = Vec::new();
        let wrong = flash::read(&mut board.device(), Span { first: 0, count: 400 }, &mut out, &mut |_| {});
        let Err(e @ FlashError::Transfer { at: Span { first: 128, count: 128 }, .. }) = wrong else {
            panic!("{fault:?}: {wrong:?}");
        };
        assert!(e.to_string().starts_with("reading sectors 128 to 255: "), "{e}");
        assert!(e.to_string().contains(word), "{fault:?}: {e}");
        assert_eq!(out.len(), 128 * 512, "what came before is good");
    }
}

#[test]
fn a_bit_that_turns_and_a_write_that_is_lost_are_found() {
    for (fault, sector) in [(Fault::Flip, 355), (Fault::Lost, 228)] {
        let board = Board { fault: Some((fault, WRITE, 1)), ..Board::with_flash(1000) };
        let bytes = pattern(400 * 512);
        let span = Span { first: 100, count: 400 };
        let wrong = flash::write(&mut board.device(), span, &mut Cursor::new(&bytes), &mut |_| {});
        let Err(FlashError::Differs { sector: found, state }) = wrong else { panic!("{fault:?}: {wrong:?}") };
        assert_eq!(found, sector);
        assert_eq!(state[0], "sectors 100 to 227: written and read back");
    }
}

/// The sectors that a line is about.
fn about(line: &str) -> Option<(std::ops::Range<usize>, &str)> {
    let rest = line.strip_prefix("sectors ")?;
    let (first, rest) = rest.split_once(" to ")?;
    let (last, rest) = rest.split_once([' ', ':'])?;
    Some((first.parse().ok()?..last.parse::<usize>().ok()? + 1, rest))
}

#[test]
fn wherever_the_cable_is_pulled_the_words_about_the_flash_are_true() {
    let mut new = pattern(600 * 512);
    let span = Span { first: 64, count: 600 };
    let old = Board::with_flash(1000).flash;
    for with_loader in [false, true] {
        if with_loader {
            new[..4].copy_from_slice(b"RKNS");
        }
        // Five steps; with an ID block the first is written twice.
        let commands = 5 + usize::from(with_loader);
        for n in 0..=commands {
            let board = Board { fault: Some((Fault::Vanish, WRITE, n)), ..Board::with_flash(1000) };
            let mut device = board.device();
            let result = flash::write(&mut device, span, &mut Cursor::new(&new), &mut |_| {});
            let there = flash_of(&device);
            if n == commands {
                result.expect("nobody pulled the cable");
                assert!(there[64 * 512..664 * 512] == new);
                continue;
            }
            let Err(FlashError::Transfer { state, gone: true, .. }) = result else { panic!("{result:?}") };
            let mut covered = 0;
            for (sectors, words) in state.iter().filter_map(|line| about(line)) {
                let bytes = sectors.start * 512..sectors.end * 512;
                let wanted = new.get(bytes.start - 64 * 512..bytes.end - 64 * 512).expect("in the span");
                covered += sectors.len();
                match words {
                    w if w.starts_with("are cleared") || w.contains("finds no loader") => {
                        assert!(there[bytes].iter().all(|b| *b == 0), "{state:?}");
                    }
                    w if w.contains("written and read back") => assert!(there[bytes] == *wanted, "{state:?}"),
                    w if w.contains("not touched") => {
                        assert!(there[bytes.clone()] == old[bytes], "{state:?}")
                    }
                    w => assert!(w.contains("may hold"), "{w}"),
                }
            }
            assert_eq!(covered, 600, "every sector is spoken of once: {state:?}");
            assert_eq!(state.last().map(String::as_str), Some("nothing else was touched"));
            assert!(there[..64 * 512] == old[..64 * 512] && there[664 * 512..] == old[664 * 512..]);
            // An ID block is there only with everything behind it.
            let whole = there[192 * 512..664 * 512] == new[128 * 512..];
            assert!(!with_loader || whole || !there[64 * 512..].starts_with(b"RKNS"), "{n}: {state:?}");
        }
    }
}

/// A file that ends with an error after so many bytes.
struct Ends(Cursor<Vec<u8>>, u64);

impl std::io::Read for Ends {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.0.position() >= self.1 {
            return Err(std::io::Error::other("interrupted"));
        }
        self.0.read(into)
    }
}

#[test]
fn a_source_that_ends_with_an_error_leaves_a_flash_that_is_known() {
    let mut new = pattern(600 * 512);
    new[..4].copy_from_slice(b"RKNS");
    let mut device = Board::with_flash(1000).device();
    let old = flash_of(&device).to_vec();
    let mut from = Ends(Cursor::new(new.clone()), 256 * 512);
    let wrong = flash::write(&mut device, Span { first: 64, count: 600 }, &mut from, &mut |_| {});
    let Err(FlashError::Source { state, .. }) = wrong else { panic!("{wrong:?}") };
    assert_eq!(
        state,
        [
            "sectors 64 to 191 are cleared: the boot ROM finds no loader there",
            "sectors 192 to 319: written and read back",
            "sectors 320 to 663: not touched",
            "nothing else was touched",
        ]
    );
    let there = flash_of(&device);
    assert!(there[64 * 512..192 * 512].iter().all(|b| *b == 0));
    assert!(there[192 * 512..320 * 512] == new[128 * 512..256 * 512]);
    assert!(there[320 * 512..] == old[320 * 512..]);
}

#[test]
fn a_loader_that_hides_what_is_there_is_not_believed() {
    let board = Board { hides_behind: Some(65536), ..Board::with_flash(70000) };
    let mut device = board.device();
    let hidden = flash::read(&mut device, Span { first: 65400, count: 1000 }, &mut Vec::new(), &mut |_| {});
    assert!(matches!(hidden, Err(FlashError::Hidden(Span { first: 65528, count: 128 }))), "{hidden:?}");
    // A buffer of the loader that is smaller than a command: what is read begins with true bytes.
    let board = Board { hides_behind: Some(65536), hides_each: 32, ..Board::with_flash(70000) };
    let last = Span { first: 65500, count: 100 };
    let hidden = flash::read(&mut board.device(), last, &mut Vec::new(), &mut |_| {});
    assert!(matches!(hidden, Err(FlashError::Hidden(_))), "{hidden:?}");
    // The same bytes before that place may be somebody's.
    let mut board = Board::with_flash(1000);
    board.flash.fill(0xcc);
    flash::read(&mut board.device(), Span { first: 0, count: 1000 }, &mut Vec::new(), &mut |_| {})
        .expect("read");
}

#[test]
fn another_flash_is_chosen_and_the_choice_is_checked() {
    let mut device = Board::with_flash(100).device();
    flash::choose(&mut device, StorageIndex::SpiNor).expect("chosen");
    assert_eq!(flash::info(&mut device).expect("info").medium.as_deref(), Some("spi-nor"));
    let mut device = Board { stays: true, ..Board::with_flash(100) }.device();
    let stays = flash::choose(&mut device, StorageIndex::SpiNor).expect_err("it stays");
    assert_eq!(stays.to_string(), "the usbplug does not switch to `spi-nor`: it says that it is at `emmc`");
}
