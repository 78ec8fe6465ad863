// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The DDR blob: fetched, its version read and judged, never changed.

use fw_build::stage::{Inputs, StageSpec};
use fw_build::{Failure, Result};
use fw_image::ddr::{self, Blob, Version};

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let pin = inputs.pin("rkbin")?;
    let mut spec = StageSpec::new("rkbin-ddr", 1)?;
    spec.pin(&pin)?.output("ddr", "ddr.bin");
    Ok(spec.recipe(move |cx| {
        let path = &cx.fetched(&pin)?.path;
        let refused = |e: &dyn std::fmt::Display| {
            Failure::new(format!("the DDR blob of pin `{}` is refused", pin.id())).why(e)
        };
        let blob = ddr::parse(&std::fs::read(path)?).and_then(Blob::accepted).map_err(|e| refused(&e))?;
        let wanted: Version = pin.version.parse().map_err(|e| refused(&e))?;
        if blob.version != wanted {
            return Err(refused(&format!("it calls itself {}, the pin says {wanted}", blob.version)));
        }
        cx.publish(path, "ddr.bin")
    }))
}
