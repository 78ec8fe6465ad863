// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The checks. Each takes the machine and adds its lines to the report; none ends the program.

mod block;
mod clock;
mod cpu;
mod features;
mod modules;
mod network;
mod pcie;
mod random;
mod signature;
mod system;
mod thermal;
mod watchdog;

use crate::machine::Machine;
use crate::report::Report;

/// Folder with what the composition tells the self-test.
const SHARE: &str = "/usr/share/selftest";

/// Runs every check in order.
///
/// Modules come before what they drive. Links are raised early and looked at late, because negotiation
/// takes seconds that the block reads can use. Features come last: they change kernel settings.
pub fn run(machine: &Machine<'_>, report: &mut Report<'_>) {
    system::identity(machine, report);
    signature::check(machine, report);
    modules::devices(machine, report);
    modules::listed(machine, report);
    let links = network::raise(machine);
    system::memory(machine, report);
    cpu::online(machine, report);
    cpu::frequency(machine, report);
    thermal::check(machine, report);
    clock::check(machine, report);
    watchdog::check(machine, report);
    random::check(machine, report);
    pcie::check(machine, report);
    block::check(machine, report);
    network::check(machine, &links, report);
    features::check(machine, report);
    system::uptime(machine, report);
}
