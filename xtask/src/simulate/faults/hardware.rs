// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of the board: devices that do not answer as they should.

use fw_build::Result;
use rk3588_model::behaviour::Behaviour;
use rk3588_model::machine::Board;
use rk3588_model::soc::Override;

use super::medium;
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

pub fn usb_stuck(s: &Subject, board: &mut Board) -> Result<()> {
    // U-Boot looks at USB when nothing else boots.
    medium::no_esp(s, board)?;
    without(board, Behaviour::UsbReset)
}

/// `PMU1GRF_OS_REG2` and `_OS_REG4`: each the geometry of two channels.
const OS_REGS: [u64; 2] = [0xfd58_a208, 0xfd58_a210];
/// What they say of 4 GiB (one rank with 15 row bits), with 13 row bits: a quarter of it.
const ONE_GIB: u32 = 0x3304_3304;

pub fn dram_registers(_: &Subject, board: &mut Board) -> Result<()> {
    board.overrides.extend(OS_REGS.map(|address| Override { address, mask: u32::MAX, value: ONE_GIB }));
    Ok(())
}
