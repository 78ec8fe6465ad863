// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The interrupt controller, a GIC-600 with eight redistributors, of which only the first serves a core.
//!
//! After the GICv3 architecture specification (IHI 0069). Security: an access from EL3 is secure, every other
//! is not, for nothing runs at secure EL1 here. [`state`] holds the interrupts and decides which one is next;
//! [`distributor`], [`redistributor`] and [`cpu_interface`] are the three ways to reach it.

pub mod cpu_interface;
pub mod distributor;
pub mod its;
pub mod redistributor;
pub mod state;

#[cfg(test)]
mod tests;

use crate::bus::{Lines, TimerLines};
use cpu_interface::CpuInterface;
use redistributor::Redistributors;
use state::State;

/// The whole controller.
#[derive(Debug, Default)]
pub struct Gic {
    /// Interrupts and their state.
    pub state: State,
    /// Registers of the redistributors that are not state of an interrupt.
    pub redistributors: Redistributors,
    /// Registers of the core's interface.
    pub cpu: CpuInterface,
    /// Both translation services.
    pub its: [its::Its; 2],
}

impl Gic {
    /// Puts the timers' outputs on their private interrupts and returns what the core sees.
    pub fn lines(&mut self, timers: TimerLines) -> Lines {
        // PPIs of the Arm base system architecture: 26 EL2 physical, 27 virtual, 29 secure, 30 physical.
        for (intid, level) in
            [(26, timers.hyp), (27, timers.virt), (29, timers.secure), (30, timers.physical)]
        {
            self.state.set_level(intid, level);
        }
        self.output()
    }

    /// What the core sees now: IRQ for the non-secure group, FIQ for the others.
    pub fn output(&self) -> Lines {
        match self.cpu.next(&self.state) {
            None => Lines::default(),
            Some((_, state::Group::NonSecure)) => Lines { irq: true, fiq: false },
            Some(_) => Lines { irq: false, fiq: true },
        }
    }
}
