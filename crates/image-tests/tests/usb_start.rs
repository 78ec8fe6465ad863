// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask recover start` on the model of the SoC: SPL as the boot ROM would place it after a start over USB, and
//! what it does then. The transfer itself is in crate `recover`; that a real boot ROM does the same is not shown here.

use image_tests::artifacts::Artifacts;
use recover::loader::Loader;
use rk3588_model::bootrom::BootSource;
use rk3588_model::machine::{Board, Machine};
use rk3588_model::storage::Disk;

/// Where the boot ROM leaves the number of what it booted from, and that of USB (U-Boot, `BROM_BOOTSOURCE_ID_ADDR` and
/// `BROM_BOOTSOURCE_USB`).
const SOURCE_ADDRESS: u64 = 0xff00_0010;
const SOURCE_USB: u32 = 10;
/// Where SPL is linked to (`SPL_TEXT_BASE`): the start of DRAM, where the program of request 472 goes.
const SPL_ADDRESS: u64 = 0;
/// Instructions after which U-Boot has shown itself, with room for a medium that is tried and fails.
const LIMIT: u64 = 400_000_000;

fn image() -> Disk {
    let disk = Artifacts::get().raw().expect("the image was unpacked");
    let bytes = disk.metadata().expect("a file").len();
    Disk::new(disk, bytes)
}

/// A board on which the loader of the built image was started over USB. The model's boot ROM wants a medium, and finds
/// one; then SPL and the boot source are put in the place of what it loaded.
fn started(board: Board) -> Machine {
    let mut raw = Artifacts::get().raw().expect("the image was unpacked");
    let loader = Loader::of_image(&mut raw).expect("the image has a loader").accepted().expect("a good blob");
    let [spl] = &loader.dram[..] else { panic!("one program for DRAM") };
    let pokes = vec![(SPL_ADDRESS, spl.bytes.clone()), (SOURCE_ADDRESS, SOURCE_USB.to_le_bytes().to_vec())];
    Machine::power_on(Board { pokes, ..board }).expect("a medium with a loader")
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn spl_started_over_usb_takes_u_boot_from_the_card() {
    let mut machine =
        started(Board { sd: Some(image()), boot_source: Some(BootSource::Sd), ..Board::default() });
    let shown = machine.expect("U-Boot 2025.01-nanopi-m6", LIMIT);
    let text = machine.console.text();
    assert!(shown.is_ok(), "{shown:?}: {text}");
    assert!(text.contains("Trying to boot from MMC1"), "{text}");
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn without_a_card_it_takes_u_boot_from_the_emmc() {
    let mut machine =
        started(Board { emmc: Some(image()), boot_source: Some(BootSource::Emmc), ..Board::default() });
    let shown = machine.expect("U-Boot 2025.01-nanopi-m6", LIMIT);
    let text = machine.console.text();
    assert!(shown.is_ok(), "{shown:?}: {text}");
    let (card, emmc) = (text.find("Trying to boot from MMC1"), text.find("Trying to boot from MMC2"));
    assert!(card.is_some() && card < emmc, "the card first: {text}");
}
