// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pure formats of the NanoPi M6 boot chain.
//!
//! Everything here works on byte slices, readers and writers that the caller gives: no network, no
//! process, no knowledge of where a file came from.
