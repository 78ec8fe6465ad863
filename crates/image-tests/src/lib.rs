// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Layout assertions over the built artifacts.
