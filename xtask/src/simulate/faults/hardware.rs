// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of the board: devices that do not answer as they should.

use fw_build::Result;
use rk3588_model::behaviour::Behaviour;
use rk3588_model::machine::Board;
use rk3588_model::soc::Override;

use super::subject::Subject;

/// `os_reg2` to `os_reg5` of PMU1GRF: the geometry of DRAM.
const GEOMETRY: [u64; 4] = [0xfd58_a208, 0xfd58_a20c, 0xfd58_a210, 0xfd58_a214];

fn without(board: &mut Board, behaviour: Behaviour) -> Result<()> {
    board.behaviours = board.behaviours.without(behaviour);
    Ok(())
}

pub fn pll(_: &Subject, board: &mut Board) -> Result<()> {
    without(board, Behaviour::PllLock)
}

pub fn sd_reset(_: &Subject, board: &mut Board) -> Result<()> {
    without(board, Behaviour::DwMmcReset)
}

pub fn warm_reset(_: &Subject, board: &mut Board) -> Result<()> {
    without(board, Behaviour::DsuWarmReset)
}

pub fn gic_waker(_: &Subject, board: &mut Board) -> Result<()> {
    without(board, Behaviour::GicWaker)
}

pub fn otp(_: &Subject, board: &mut Board) -> Result<()> {
    without(board, Behaviour::OtpReady)
}

pub fn dram(_: &Subject, board: &mut Board) -> Result<()> {
    board.ddr_tag = false;
    board.overrides.extend(GEOMETRY.map(|address| Override { address, mask: u32::MAX, value: 0 }));
    Ok(())
}
