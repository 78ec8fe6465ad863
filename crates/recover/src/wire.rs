// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Transfers as a trait, so that a model can stand in for a board; and the rule that a short transfer is an error.
//!
//! `rockusb` builds commands and judges the status that comes back; it does not see how many bytes a transfer had.
//! A board that sends half of a sector would be believed. [`Link`] sees it.

use rockusb::device::{Error, Transport};
use rockusb::operation::{OperationSteps, UsbStep};
use rockusb::protocol::COMMAND_STATUS_BYTES;

/// First bytes of a command status (USB mass storage, bulk-only, 5.2: `dCSWSignature`).
const STATUS_SIGNATURE: &[u8] = b"USBS";

/// Why a transfer failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Unplugged, without power, or restarted.
    #[error("the board is gone from USB")]
    Gone,
    /// The endpoint is halted: the board's word for "no".
    #[error("the board refused the transfer (stall)")]
    Stall,
    /// Nothing came in time.
    #[error("the board did not answer within {0} s")]
    Silent(u64),
    /// Fewer bytes than the command is about.
    #[error("the board sent {got} of {wanted} bytes")]
    Short {
        /// What came.
        got: usize,
        /// What was asked for.
        wanted: usize,
    },
    /// The system's words.
    #[error("{0}")]
    Other(String),
}

/// One control transfer to the board (USB 2.0, 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control<'a> {
    /// `bmRequestType`.
    pub request_type: u8,
    /// `bRequest`.
    pub request: u8,
    /// `wValue`.
    pub value: u16,
    /// `wIndex`: the boot ROM's number for what the bytes are.
    pub index: u16,
    /// The bytes.
    pub data: &'a [u8],
}

/// What can be done on a pair of bulk endpoints and endpoint 0.
pub trait Wire {
    /// Sends all bytes.
    ///
    /// # Errors
    /// See [`WireError`].
    fn send(&mut self, bytes: &[u8]) -> Result<(), WireError>;
    /// Receives at most `into.len()` bytes; a transfer may end sooner.
    ///
    /// # Errors
    /// See [`WireError`].
    fn receive(&mut self, into: &mut [u8]) -> Result<usize, WireError>;
    /// Sends a control transfer.
    ///
    /// # Errors
    /// See [`WireError`].
    fn control(&mut self, control: Control<'_>) -> Result<(), WireError>;
}

/// A wire with the protocol's steps on it.
#[derive(Debug)]
pub struct Link<W>(pub W);

impl<W: Wire> Transport for Link<W> {
    type TransportError = WireError;

    fn handle_operation<O, T>(&mut self, mut operation: O) -> Result<T, Error<WireError>>
    where
        O: OperationSteps<T>,
    {
        let mut short = None;
        // A status that came in place of the data it was to follow.
        let mut early: Option<[u8; COMMAND_STATUS_BYTES]> = None;
        loop {
            match operation.step() {
                UsbStep::WriteBulk { data } => self.0.send(data).map_err(Error::UsbError)?,
                UsbStep::ReadBulk { data } => {
                    let wanted = data.len();
                    if let Some(status) = early.take().filter(|_| wanted == COMMAND_STATUS_BYTES) {
                        data.copy_from_slice(&status);
                        continue;
                    }
                    let got = self.0.receive(data).map_err(Error::UsbError)?.min(wanted);
                    if got == wanted {
                        continue;
                    }
                    if wanted == COMMAND_STATUS_BYTES {
                        // What is behind the short status is left over from the command.
                        return Err(Error::UsbError(WireError::Short { got, wanted }));
                    }
                    let is_status = got == COMMAND_STATUS_BYTES && data.starts_with(STATUS_SIGNATURE);
                    early = data.first_chunk().filter(|_| is_status).copied();
                    short = Some(WireError::Short { got: if is_status { 0 } else { got }, wanted });
                }
                UsbStep::WriteControl { request_type, request, value, index, data } => {
                    let control = Control { request_type, request, value, index, data };
                    self.0.control(control).map_err(Error::UsbError)?;
                }
                // A status of failure says more than the missing bytes do.
                UsbStep::Finished(Err(e)) => return Err(Error::OperationError(e)),
                UsbStep::Finished(Ok(value)) => {
                    return short.map_or(Ok(value), |e| Err(Error::UsbError(e)));
                }
            }
        }
    }
}

/// One line about why an operation failed, in words for somebody who has not read the protocol.
#[must_use]
pub fn words(error: &Error<WireError>) -> String {
    use rockusb::operation::UsbOperationError as Op;
    match error {
        Error::UsbError(e) => e.to_string(),
        Error::OperationError(Op::FailedStatus) => "the board says that the command failed".to_owned(),
        Error::OperationError(Op::TagMismatch) => {
            "the board answered another command than the one sent (tag)".to_owned()
        }
        Error::OperationError(e) => format!("the board's answer makes no sense: {e}"),
    }
}
