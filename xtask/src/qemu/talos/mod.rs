// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rehearsal of an image with `talos-source`: Talos's own `machined` comes up on our kernel, answers `talosctl` in
//! maintenance mode, takes a machine configuration and lays out our disk.
//!
//! What is judged is what Talos says: its lines on the console, and its answers over a port that is forwarded on loopback.
//! The guest has no network, so it ends where images would be pulled: no kubelet, no etcd. See `docs/rehearsal.md`.

mod console;
mod ctl;
mod disk;
mod report;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use fs_err as fs;
use fw_build::run::Cmd;
use fw_build::status::seconds;
use fw_build::{Context as _, Failure, Result};
use fw_image::map::ImageMap;

use self::console::{Additions, Console, Sign};
use self::ctl::Talosctl;
use super::boot::Guest;
use super::machine::{self, Forward, Start};
use super::{layer, published};

/// Size of the disk that the guest sees: the image, and room for STATE (100 MiB) and EPHEMERAL (2 GiB or more).
pub const DISK_BYTES: u64 = 8 << 30;

/// Longest time of the whole rehearsal where none is given: an emulated machine on two busy cores needs a third of it.
pub const TIMEOUT: Duration = Duration::from_secs(3600);

/// Pause between two looks at what the guest answers.
const POLL: Duration = Duration::from_secs(5);

/// Longest time that QEMU may take to write its part of the disk and end.
const LONGEST_END: Duration = Duration::from_secs(60);

/// What a rehearsal works on.
pub struct Rehearsal<'a> {
    /// Map of the image.
    pub map: &'a ImageMap,
    /// Firmware of the machine.
    pub firmware: &'a Path,
    /// The raw image; only read.
    pub raw: &'a Path,
    /// Folder for layers and files.
    pub dir: &'a Path,
    /// `talosctl`, compiled from the same module as `machined`.
    pub talosctl: &'a Path,
    /// Longest time of it all.
    pub limit: Duration,
}

impl Rehearsal<'_> {
    /// Runs it; returns the lines of the report.
    ///
    /// # Errors
    /// A sign did not come, Talos's answers are not as expected, or the loader area changed.
    pub fn run(&self) -> Result<Vec<String>> {
        let start = Instant::now();
        let deadline = start + self.limit;
        let layer = layer::sized(self.dir, self.raw, "talos-source", DISK_BYTES)?;
        let port = published::free_port()?;
        let begin = Start::Firmware(self.firmware.to_owned());
        let forward = Forward::talos(port);
        let arguments = machine::arguments(&begin, &layer, machine::Console::Piped, forward);
        let qemu = Cmd::new(machine::PROGRAM).args(arguments);
        let (reader, writer) = std::io::pipe()?;
        let mut guest =
            Guest(qemu.spawn(Stdio::null(), Stdio::from(writer.try_clone()?), Stdio::from(writer))?);
        let additions = Additions::of(self.map);
        let (embedded, layers) = (additions.embedded(), additions.row());
        let before = additions.before_configuration();
        let mut console = Console::new(reader, &self.map.kernel_release, &self.map.talos_version, additions);
        let mut report = report::Report::new(start);

        for sign in before {
            console.wait_for(sign, deadline)?;
            report.seen(sign.name());
            if sign == Sign::Rootfs {
                report.rows(layers.iter().cloned().collect());
            }
        }
        let talosctl = Talosctl::new(self.talosctl, port, self.dir)?;
        if !embedded {
            report.rows(talosctl.maintenance(DISK_BYTES)?);
            talosctl.configure().context("Talos did not take the machine configuration")?;
            report.seen("the machine configuration, made and checked by `talosctl`, is taken");
        }

        for sign in Sign::AFTER_CONFIGURATION {
            console.wait_for(sign, deadline)?;
            report.seen(sign.name());
        }
        // Its API now wants certificates; those of a configuration in the image are its owner's.
        if !embedded {
            report.rows(self.configured(&talosctl, &mut console, deadline)?);
        }
        end(&mut guest, &mut console)?;
        report.rows(disk::compare(self.raw, &layer, DISK_BYTES, self.dir)?);
        let time = seconds(start.elapsed().as_secs_f64());
        report.rows(vec![format!(
            "talos-source passed in {time} ({} checks, {} refusals of SELinux in permissive mode not shown)",
            report.count(),
            console.denials()
        )]);
        Ok(report.lines())
    }

    /// What the configured machine answers, once its API is served by a container of `machined`'s own.
    fn configured(
        &self,
        talosctl: &Talosctl,
        console: &mut Console,
        deadline: Instant,
    ) -> Result<Vec<String>> {
        loop {
            match talosctl.configured(&self.map.talos_version, &self.map.kernel_release) {
                Err(failure) if Instant::now() + POLL >= deadline => return Err(failure),
                Err(_) => console.listen(POLL)?,
                rows => return rows,
            }
        }
    }
}

/// Ends QEMU in a way that writes its part of the disk, and waits for it.
fn end(guest: &mut Guest, console: &mut Console) -> Result<()> {
    let pid = i32::try_from(guest.0.child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| Failure::new("QEMU has no process number"))?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(std::io::Error::from)?;
    let deadline = Instant::now() + LONGEST_END;
    console.listen(LONGEST_END)?;
    // The console is closed before the process has ended: the disk's layer is written in between.
    while guest.0.child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            return Err(Failure::new("QEMU did not end within a minute"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Writes `text` to a file of `dir` and returns its path.
fn written(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    fs::write(&path, text)?;
    Ok(path)
}
