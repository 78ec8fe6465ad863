// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of the board: devices that do not answer as they should.

use fw_build::Result;
use rk3588_model::behaviour::Behaviour;
use rk3588_model::machine::Board;

use super::subject::Subject;

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
