// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board's U-Boot for SPI NOR flash, which shares its pins with the eMMC: the recipe of `u-boot-nanopi-m6` with
//! another fragment and device tree.

#[path = "../../u-boot-nanopi-m6/src/recipe.rs"]
mod recipe;

use fw_build::Result;
use fw_build::stage::{Inputs, StageSpec};

use self::recipe::{Output, Variant};

/// What it gives.
const OUTPUTS: [Output; 3] = [
    ("u-boot-rockchip-spi", "u-boot-rockchip-spi.bin", "u-boot-rockchip-spi.bin"),
    ("dtb", "u-boot.dtb", "u-boot.dtb"),
    ("config", ".config", "config"),
];

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let fragments = &["nanopi-m6.config", "nanopi-m6-spi.config"];
    let (stage, outputs) = ("u-boot-spi", &OUTPUTS);
    // The file begins at the flash's first byte; the boot ROM reads from 32 KiB (rk3588s-u-boot.dtsi, simple-bin-spi),
    // SPL from SYS_SPI_U_BOOT_OFFS.
    let (idblock_at, fit_at) = (0x8000, 0x6_0000);
    recipe::build(inputs, &Variant { stage, fragments, trees: Some("spi"), outputs, idblock_at, fit_at })
}
