// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Says whether there is an image to look at: without one the artifact tests are listed as ignored, with the
//! command that makes one.

use std::path::Path;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(artifacts)");
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../out");
    for file in ["artifacts.tsv", "SHA256SUMS"] {
        println!("cargo::rerun-if-changed={}", out.join(file).display());
    }
    if out.join("artifacts.tsv").exists() && out.join("SHA256SUMS").exists() {
        println!("cargo::rustc-cfg=artifacts");
    }
}
