// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is put behind Talos's own initramfs: system extensions, a layer with this project's modules, an embedded
//! machine configuration. All the way Talos's imager does it (talos-contracts 5.4 to 5.6), in one appended segment.
//!
//! ```text
//! initramfs ─ zstd(cpio: ., init, rootfs.sqsh)
//! appended  ─ zstd(cpio: N.sqsh …, extensions.yaml, modules.dep.sqsh, usr/lib/firmware …)
//! ```
//!
//! [`agree`] reads an initramfs, ours or somebody else's, and says whether its modules are those of a kernel. Nothing
//! here fetches anything or knows of disks.

pub mod agree;
pub mod append;
pub mod constraint;
pub mod extension;
pub mod layers;
pub mod modules;
pub mod squash;
pub mod tree;

pub use agree::{Agreed, agree};
pub use append::{Additions, Appended, append};
pub use extension::{Extension, embedded_configuration};
