// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Holds what this project makes against Talos's own Go packages.
//!
//! `conformance/<line>/` is a Go module that links the packages of one Talos release, unpatched; `conformance/checks/`
//! is what all of them run. This crate builds the programs, gives them files out of an image, and reads what they
//! found. It makes no image, and it never turns a check that did not run into one that passed.

pub mod docs;
pub mod go;
pub mod imager;
pub mod inputs;
pub mod line;
pub mod report;
pub mod session;
pub mod tools;
pub mod upgrade;
