// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs the stage: the recipe is in `src/stage.rs`, the work in `fw-build`.

#[path = "src/stage.rs"]
mod stage;

fn main() {
    fw_build::stage_main(stage::spec);
}
