// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Replaces the module tree inside a squashfs image, without root and without losing an inode's attributes.
//!
//! `sqfs2tar` → tar stream, filtered here → `tar2sqfs`. Nothing is ever unpacked into a file system, so owners,
//! device nodes and `security.*` xattrs need no privilege. `tar2sqfs` and not `sqfstar`: sqfstar 4.5 drops the
//! root directory's owner, mode, time and label, and refuses zstd's level. Measured with squashfs-tools-ng 1.2.0:
//! same bytes for 1, 2 and 4 jobs and at different times.
//!
//! It does not know where the image came from.

use std::collections::BTreeSet;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ChildStderr, Stdio};

use fw_build::fetch::Progress;
use fw_build::run::{Cmd, Running};
use fw_build::{Context, Failure, Result};
use tar::EntryType;

use super::super::pack;
use super::inventory::{Hashing, Inventory, compare};
use super::modules::{MODULES_DIR, ModuleTree};
use super::tarstream::{self, Group, Xattrs};

/// The xattr that holds the SELinux label.
const LABEL_XATTR: &[u8] = b"security.selinux";
/// Label of Talos's module tree (talos-contracts 5.1), for a release that labels files but not that folder.
const MODULE_LABEL: &[u8] = b"system_u:object_r:module_t:s0";
/// Bytes of a pipe's buffer on our side.
const BUFFER_BYTES: usize = 256 << 10;

/// What was found and replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Kernel releases of the trees that were there.
    pub stock_releases: Vec<String>,
    /// SELinux label that the new tree got, without a closing zero byte; none if the image carries no labels.
    pub label: Option<String>,
    /// Entries taken over unchanged, the root included.
    pub kept_entries: usize,
}

/// Writes to `out` the image `rootfs` with `tree` in place of everything below `usr/lib/modules`, then reads the
/// result again and compares every entry's type, owner, mode, time, content and xattrs.
///
/// # Errors
/// `rootfs` is not a squashfs image with that folder, one of the two programs is missing or fails, or the result
/// is not what was put into it. `out` is then not to be used.
pub fn replace_modules(
    rootfs: &Path,
    tree: &ModuleTree,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Replaced> {
    repack(rootfs, tree, out, progress).context("cannot replace the modules in the root file system")
}

fn repack(rootfs: &Path, tree: &ModuleTree, out: &Path, progress: &dyn Progress) -> Result<Replaced> {
    progress.step("replace the modules in the root file system");
    let mut filter = Filter::default();
    let unpack = unpacker(rootfs);
    let pack = packer(out);
    pipe(&unpack, Some(&pack), |reader, writer| {
        let mut written = BufWriter::with_capacity(BUFFER_BYTES, writer);
        tarstream::for_each(reader, |group, data| filter.entry(group, data, &mut written))?;
        let xattrs = filter.module_xattrs()?;
        tree.append(&xattrs, &mut written, &mut filter.inventory)?;
        tarstream::finish(&mut written)?;
        Ok(written.flush()?)
    })?;
    progress.step("check the new root file system");
    let mut found = Inventory::default();
    pipe(&unpacker(out), None, |reader, _| {
        tarstream::for_each(reader, |group, data| {
            let mut data = Hashing::new(data);
            io::copy(&mut data, &mut io::sink())?;
            found.add(group, data.digest())
        })
    })?;
    let label = filter.label.take();
    let expected = filter.inventory.resolve()?;
    compare(&expected, &found.resolve()?)?;
    Ok(Replaced {
        stock_releases: filter.stock_releases.into_iter().collect(),
        label: label.map(|l| String::from_utf8_lossy(l.strip_suffix(b"\0").unwrap_or(&l)).into_owned()),
        kept_entries: filter.kept_entries,
    })
}

fn unpacker(image: &Path) -> Cmd {
    Cmd::new("sqfs2tar")
        // An entry that tar cannot hold (a socket) is an error, not a warning.
        .arg("--no-skip")
        // Without it the root directory's owner, mode, time and xattrs are lost.
        .args(["--root-becomes", "."])
        .arg(image)
}

fn packer(image: &Path) -> Cmd {
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    pack::tar2sqfs(jobs).arg("--force").arg(image)
}

/// Decides what becomes of each entry.
#[derive(Default)]
struct Filter {
    inventory: Inventory,
    kept_entries: usize,
    stock_releases: BTreeSet<String>,
    modules_dir: Option<Xattrs>,
    /// Any label that was seen: it shows whether labels end in a zero byte.
    seen_label: Option<Vec<u8>>,
    label: Option<Vec<u8>>,
}

impl Filter {
    fn entry(&mut self, group: &Group, data: &mut dyn Read, out: &mut dyn Write) -> Result<()> {
        if let Some(below) = below_modules(&group.path) {
            let first = below.split(|c| *c == b'/').next().unwrap_or_default();
            self.stock_releases.insert(String::from_utf8_lossy(first).into_owned());
            return Ok(());
        }
        if group.kind == EntryType::Link && below_modules(&group.link).is_some() {
            return Err(Failure::new(format!("`{}` is a hard link into the stock modules", group.display()))
                .why("its content would go with them"));
        }
        if group.path == MODULES_DIR.as_bytes() {
            if group.kind != EntryType::Directory {
                return Err(Failure::new(format!("`{MODULES_DIR}` is not a directory")));
            }
            self.modules_dir = Some(group.xattrs.clone());
        }
        if let Some(label) = group.xattrs.get(LABEL_XATTR) {
            self.seen_label.get_or_insert_with(|| label.clone());
        }
        let mut data = Hashing::new(data);
        group.pass_on(&mut data, out)?;
        self.kept_entries += 1;
        self.inventory.add(group, data.digest())
    }

    /// Xattrs of the new tree: the label that the release gives its own modules folder.
    fn module_xattrs(&mut self) -> Result<Xattrs> {
        let Some(dir) = &self.modules_dir else {
            return Err(Failure::new(format!("there is no `{MODULES_DIR}` in it"))
                .why("so it is not the root file system of Talos"));
        };
        self.label = dir.get(LABEL_XATTR).cloned().or_else(|| {
            let seen = self.seen_label.as_ref()?;
            let mut label = MODULE_LABEL.to_vec();
            label.extend(seen.ends_with(b"\0").then_some(0));
            Some(label)
        });
        Ok(self.label.iter().map(|l| (LABEL_XATTR.to_vec(), l.clone())).collect())
    }
}

/// The part of `path` below the modules folder.
fn below_modules(path: &[u8]) -> Option<&[u8]> {
    path.strip_prefix(MODULES_DIR.as_bytes())?.strip_prefix(b"/")
}

/// Runs `from`, and `to` if it is given, with `pump` between them.
///
/// Of several failures the first cause is reported: a program that ended by itself before one that merely lost
/// its other end.
fn pipe(
    from: &Cmd,
    to: Option<&Cmd>,
    pump: impl FnOnce(BufReader<&mut dyn Read>, &mut dyn Write) -> Result<()>,
) -> Result<()> {
    let mut source = from.spawn(Stdio::null(), Stdio::piped(), Stdio::piped())?;
    let mut sink = match to.map(|to| to.spawn(Stdio::piped(), Stdio::null(), Stdio::piped())).transpose() {
        Ok(sink) => sink,
        Err(failure) => {
            stop(&mut source)?;
            return Err(failure);
        }
    };
    std::thread::scope(|scope| {
        // Read beside the pump: a program that fills the pipe of its messages would stand still.
        let source_notes = source.child.stderr.take();
        let source_notes = scope.spawn(|| notes(source_notes));
        let sink_notes = sink.as_mut().and_then(|s| s.child.stderr.take());
        let sink_notes = scope.spawn(|| notes(sink_notes));
        let mut stdout = source.child.stdout.take();
        let mut writer = Watched { inner: sink.as_mut().and_then(|s| s.child.stdin.take()), failed: None };
        let pumped = {
            let reader: &mut dyn Read = stdout.as_mut().ok_or_else(|| Failure::new("a pipe is missing"))?;
            pump(BufReader::with_capacity(BUFFER_BYTES, reader), &mut writer)
        };
        let write_failed = writer.failed.is_some();
        drop((stdout, writer));
        if pumped.is_err() {
            stop(&mut source)?;
        }
        let source_end = end(source, pumped.is_err());
        // A packer whose input was cut may well end in peace, or complain; neither is the cause.
        let sink_end = match sink {
            Some(sink) if pumped.is_ok() || write_failed => end(sink, false),
            Some(mut sink) => stop(&mut sink),
            None => Ok(()),
        };
        let with = |failure: Failure, notes: std::thread::ScopedJoinHandle<'_, String>| {
            let notes = notes.join().unwrap_or_default();
            notes.lines().fold(failure, |f, line| f.why(format!("| {line}"))).hint(
                "check that the disk has room; `cargo xtask doctor` checks the tools, of squashfs-tools-ng here",
            )
        };
        match (source_end, sink_end) {
            (Err(failure), _) => Err(with(failure, source_notes)),
            (Ok(()), Err(failure)) => Err(with(failure, sink_notes)),
            (Ok(()), Ok(())) => pumped,
        }
    })
}

/// Waits for a program. With `cut`, an end by signal is not its fault: its reader went away.
fn end(mut running: Running, cut: bool) -> Result<()> {
    let status = running.child.wait()?;
    if cut && status.signal().is_some() {
        return Ok(());
    }
    running.finish()
}

/// Ends a program of ours that may have ended already.
fn stop(running: &mut Running) -> Result<()> {
    // A child that is gone but not yet waited for can be killed again without harm.
    running.child.kill()?;
    running.child.wait()?;
    Ok(())
}

fn notes(stderr: Option<ChildStderr>) -> String {
    let mut text = Vec::new();
    // What cannot be read is not quoted; the exit status still counts.
    let _ = stderr.map(|mut s| s.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Remembers that a write failed.
struct Watched<W> {
    inner: Option<W>,
    failed: Option<io::ErrorKind>,
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Some(inner) = &mut self.inner else { return Ok(buffer.len()) };
        inner.write(buffer).inspect_err(|e| self.failed = Some(e.kind()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.as_mut().map_or(Ok(()), Write::flush)
    }
}
