// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A container registry as a place to send images to and to fetch them from.
//!
//! The protocol is `oci-client`'s; here are what a command line needs around it: credentials of the usual docker
//! configuration, retries, progress, and blobs that are there already not being sent again. The async runtime stays
//! inside of this crate, which is built only with xtask's feature `push`. Must not be used for sources of a build: those
//! come through `fw_build::fetch`, by digest. What was fetched is checked by `fw_image::oci::open`, as from anywhere.

mod credentials;
mod pull;
mod push;
mod session;

pub use credentials::DockerConfig;
pub use pull::Pulled;
pub use push::Pushed;
pub use session::{Registry, Scheme};
