// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board's own settings for the test: what its U-Boot was built with, read from that build's results.
//!
//! The order itself is handed to the rehearsal firmware as the environment that the board's build wrote. What is
//! compiled in must be the same in both builds; that is compared, not assumed.

use std::collections::BTreeSet;

use fw_build::{Failure, Result};
use fw_image::fdt::Tree;

use super::table::Slot;

/// Options that decide what is searched and started, by the beginning of their names.
const DECIDING: [&str; 10] = [
    "BOOTMETH_",
    "BOOTSTD",
    "BOOTCOMMAND",
    "USE_BOOTCOMMAND",
    "EFI_VARIABLE",
    "EFI_BOOTMGR",
    "EFI_PARTITION",
    "DOS_PARTITION",
    "ENV_IS_",
    "FS_FAT",
];

/// Options that only one machine can have.
const OF_ONE_MACHINE: [&str; 2] = [
    // QEMU's way to hand a kernel over; it is in no list of targets here.
    "BOOTMETH_QFW",
    // The question whether the environment is in SPI flash is asked only where there is one; here it is nowhere.
    "ENV_IS_IN_SPI_FLASH",
];

/// Checks that both `.config` files agree in what decides about booting.
///
/// # Errors
/// Names every option that differs.
pub fn same(board: &str, rehearsal: &str) -> Result<()> {
    let (ours, theirs) = (deciding(board), deciding(rehearsal));
    if ours.is_empty() {
        return Err(Failure::new("the configuration of the board's U-Boot has no boot options"));
    }
    if ours == theirs {
        return Ok(());
    }
    let failure = Failure::new("the rehearsal firmware is not configured as the board's U-Boot");
    let failure = ours.difference(&theirs).fold(failure, |f, o| f.why(format!("only the board: `{o}`")));
    let failure = theirs.difference(&ours).fold(failure, |f, o| f.why(format!("only the rehearsal: `{o}`")));
    Err(failure
        .hint("give both the same value in `defconfigs/nanopi-m6.config` and `defconfigs/qemu.config`"))
}

/// The deciding options that are set, as `NAME=value`.
fn deciding(config: &str) -> BTreeSet<&str> {
    config
        .lines()
        .filter_map(|line| line.strip_prefix("CONFIG_"))
        .filter(|option| DECIDING.iter().any(|name| option.starts_with(name)))
        .filter(|option| !OF_ONE_MACHINE.iter().any(|name| option.split('=').next() == Some(name)))
        .collect()
}

/// Which slot is behind U-Boot's `mmc0` and `mmc1`, by the aliases of the board's own device tree: the eMMC is the
/// one that cannot be removed.
///
/// # Errors
/// The tree has other aliases than one card slot and one eMMC.
pub fn cards(tree: &[u8]) -> Result<[Slot; 2]> {
    let unreadable = |e: fw_image::fdt::Error| Failure::new("cannot read U-Boot's device tree").why(e);
    let tree = Tree::parse(tree).map_err(unreadable)?;
    let mut slots = [Slot::Sd; 2];
    for (number, slot) in slots.iter_mut().enumerate() {
        let path = tree.string("/aliases", &format!("mmc{number}")).map_err(unreadable)?;
        if tree.optional(&path, "non-removable").map_err(unreadable)?.is_some() {
            *slot = Slot::Emmc;
        }
    }
    if slots[0] == slots[1] {
        return Err(Failure::new("U-Boot's device tree does not say which card is the eMMC")
            .why("exactly one of `mmc0` and `mmc1` must have the property `non-removable`"));
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARD: &str = "CONFIG_BOOTSTD=y\nCONFIG_BOOTMETH_EFILOADER=y\n# CONFIG_BOOTMETH_EFI_BOOTMGR is not set\n\
                         CONFIG_ENV_IS_NOWHERE=y\nCONFIG_BAUDRATE=1500000\n";

    #[test]
    fn other_options_and_the_machines_own_do_not_count() {
        same(BOARD, &format!("{BOARD}CONFIG_BAUDRATE=115200\nCONFIG_BOOTMETH_QFW=y\n")).expect("the same");
    }

    #[test]
    fn must_fail_other_boot_methods() {
        let more = format!("{BOARD}CONFIG_BOOTMETH_EFI_BOOTMGR=y\n");
        let text = same(BOARD, &more).expect_err("the boot manager").to_string();
        assert!(text.contains("only the rehearsal: `BOOTMETH_EFI_BOOTMGR=y`"), "{text}");
        let less = BOARD.replace("CONFIG_ENV_IS_NOWHERE=y\n", "");
        assert!(
            same(BOARD, &less)
                .expect_err("environment")
                .to_string()
                .contains("only the board: `ENV_IS_NOWHERE")
        );
        assert!(same("", "").is_err());
        assert!(cards(b"no tree").is_err());
    }
}
