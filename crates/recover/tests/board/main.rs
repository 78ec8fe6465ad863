// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Everything that does not need a cable, on a model of the boot ROM and of a usbplug.

mod backup;
mod flash;
mod maskrom;
mod model;
