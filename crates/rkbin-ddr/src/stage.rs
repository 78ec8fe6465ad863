// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The DDR blob: fetched or brought along, its version read and judged, never changed.

use fw_build::stage::{Inputs, Source, StageSpec};
use fw_build::{Failure, Result};
use fw_image::ddr::{self, Blob, Version};

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let source = inputs.source("rkbin")?;
    let mut spec = StageSpec::new("rkbin-ddr", 1)?;
    match &source {
        Source::Pin(pin) => spec.pin(pin)?,
        Source::File(path) => spec.file("ddr", path)?,
    };
    spec.output("ddr", "ddr.bin");
    Ok(spec.recipe(move |cx| {
        let (path, name) = match &source {
            Source::Pin(pin) => (cx.fetched(pin)?.path.clone(), format!("of pin `{}`", pin.id())),
            Source::File(path) => (path.clone(), format!("`{}`", path.display())),
        };
        let refused =
            |e: &dyn std::fmt::Display| Failure::new(format!("the DDR blob {name} is refused")).why(e);
        let blob = ddr::parse(&std::fs::read(&path)?).and_then(Blob::accepted).map_err(|e| refused(&e))?;
        if let Source::Pin(pin) = &source {
            let wanted: Version = pin.version.parse().map_err(|e| refused(&e))?;
            if blob.version != wanted {
                return Err(refused(&format!("it calls itself {}, the pin says {wanted}", blob.version)));
            }
        }
        cx.publish(&path, "ddr.bin")
    }))
}
