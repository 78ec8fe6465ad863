// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A serial port: 8 data bits, no parity, one stop bit, no flow control, raw.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};

/// An open port.
#[derive(Debug)]
pub struct Port {
    file: File,
}

impl Port {
    /// Opens it at a rate.
    ///
    /// # Errors
    /// It cannot be opened, is no terminal, or its driver does not do the rate.
    pub fn open(path: &Path, baud: u32) -> io::Result<Port> {
        // NONBLOCK: some drivers wait for a carrier otherwise. NOCTTY: it must not become our terminal.
        let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits();
        let flags = i32::try_from(flags).map_err(io::Error::other)?;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        let mut termios = tcgetattr(&file)?;
        termios.make_raw();
        termios.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD | ControlModes::CS8;
        termios.control_modes &= !(ControlModes::CRTSCTS | ControlModes::CSTOPB | ControlModes::PARENB);
        termios.set_speed(baud)?;
        tcsetattr(&file, OptionalActions::Now, &termios)?;
        Ok(Port { file })
    }

    /// Sets another rate. What has arrived at the old one stays readable.
    ///
    /// # Errors
    /// The driver does not do it.
    pub fn set_baud(&self, baud: u32) -> io::Result<()> {
        let mut termios = tcgetattr(&self.file)?;
        termios.set_speed(baud)?;
        Ok(tcsetattr(&self.file, OptionalActions::Now, &termios)?)
    }

    /// Some bytes, or none when nothing came within `wait`.
    ///
    /// # Errors
    /// The port is gone: an adapter that was pulled out gives an end or an I/O error.
    pub fn read(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize> {
        match self.file.read(bytes) {
            // The port is there and has nothing: the driver says so, as no blocking was asked for.
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                std::thread::sleep(wait);
                Ok(0)
            }
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            result => result,
        }
    }

    /// Sends all bytes.
    ///
    /// # Errors
    /// The port is gone, or takes nothing for two seconds.
    pub fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut patience = 200;
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    if patience == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    patience -= 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Ports that a board may be at, by names that stay: adapters by maker and serial number, else by number.
#[must_use]
pub fn candidates(dev: &Path) -> Vec<PathBuf> {
    let list = |dir: PathBuf, is_port: fn(&str) -> bool| -> Vec<PathBuf> {
        let Ok(entries) = fs_err::read_dir(dir) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .filter(|e| is_port(&e.file_name().to_string_lossy()))
            .map(|e| e.path())
            .collect();
        paths.sort();
        paths
    };
    let named = list(dev.join("serial/by-id"), |_| true);
    if !named.is_empty() {
        return named;
    }
    // Linux: USB adapters; macOS: `cu`, which does not wait for a carrier.
    list(dev.to_owned(), |n| ["ttyUSB", "ttyACM", "cu.usb", "cu.wch"].iter().any(|p| n.starts_with(p)))
}
