// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board's U-Boot for microSD and eMMC: what lies at sector 64 of an image.

#[path = "recipe.rs"]
mod recipe;

use fw_build::Result;
use fw_build::stage::{Inputs, StageSpec};

use self::recipe::{Output, Variant};

/// What the board's U-Boot gives.
const OUTPUTS: [Output; 6] = [
    ("u-boot-rockchip", "u-boot-rockchip.bin", "u-boot-rockchip.bin"),
    ("idbloader", "idbloader.img", "idbloader.img"),
    ("fit", "u-boot.itb", "u-boot.itb"),
    ("dtb", "u-boot.dtb", "u-boot.dtb"),
    ("config", ".config", "config"),
    // The built-in environment as text: the order of boot targets is read from it, not retyped.
    ("environment", "u-boot-initial-env", "u-boot-initial-env"),
];

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let fragments = &["nanopi-m6.config", "nanopi-m6-cards.config"];
    let (stage, outputs) = ("u-boot-nanopi-m6", &OUTPUTS);
    // The file begins at sector 64; SPL reads the FIT at sector 16384 (SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR).
    let fit_at = (16384 - 64) * 512;
    recipe::build(inputs, &Variant { stage, fragments, trees: None, outputs, idblock_at: 0, fit_at })
}
