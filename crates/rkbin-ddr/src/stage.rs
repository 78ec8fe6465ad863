// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The DDR blob: fetched, checked, never changed.

use fw_build::stage::{Inputs, StageSpec};
use fw_build::{Result, ddr};

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let pin = inputs.pin("rkbin")?;
    let mut spec = StageSpec::new("rkbin-ddr", 1)?;
    spec.pin(&pin)?.output("ddr", "ddr.bin");
    Ok(spec.recipe(move |cx| {
        let blob = &cx.fetched(&pin)?.path;
        ddr::check(blob, &pin.version)?;
        cx.publish(blob, "ddr.bin")
    }))
}
