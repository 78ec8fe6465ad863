// SPDX-License-Identifier: Apache-2.0 OR MIT
//! busybox, static, for the self-test userland. Its Rust program is built by xtask.

use fw_build::Result;
use fw_build::stage::{Inputs, StageSpec};

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let pin = inputs.pin("busybox")?;
    let mut spec = StageSpec::new("bringup", 1)?;
    spec.pin(&pin)?.output("busybox", "bin/busybox");
    Ok(spec.recipe(move |cx| {
        let tree = cx.unpack_filtered(&pin, 0, Some(&|p| p.ends_with("bin/busybox")))?;
        let busybox =
            ["usr/bin/busybox", "bin/busybox"].map(|p| tree.join(p)).into_iter().find(|p| p.is_file());
        let busybox = busybox
            .ok_or_else(|| fw_build::Failure::new(format!("`{}` holds no `bin/busybox`", pin.id())))?;
        fw_build::check::elf_aarch64(&busybox)?;
        cx.publish(&busybox, "bin/busybox")
    }))
}
