// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Killed in the middle with SIGKILL, then resumed, on a regular file and on a loop device.
//!
//! The run that is killed is this test program itself, started again with a variable that makes it the writer.

mod common;

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{MIB, image, job, noise};
use flasher::journal::Journal;
use flasher::medium::{Disk, Kind, Medium};
use flasher::progress::Progress;
use flasher::write::{Job, Summary, run};

/// Folder and target of the writer.
const WRITER: &str = "FLASHER_TEST_WRITER";

/// A card that takes its time, so that the kill comes while it writes.
struct Slow(Disk);

impl Medium for Slow {
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }
    fn block_bytes(&self) -> usize {
        self.0.block_bytes()
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if (37 << 20..60 << 20).contains(&offset) {
            std::thread::sleep(Duration::from_millis(500));
        }
        self.0.write_at(bytes, offset)
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }
    // Nothing is given back, so that what is kept was kept because of the journal.
    fn discard(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn settle(&self, offset: u64, length: u64) -> io::Result<()> {
        self.0.settle(offset, length)
    }
    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

fn kind_of(target: &Path) -> Kind {
    if target.starts_with("/dev") { Kind::Block } else { Kind::File }
}

/// Data everywhere, so that no chunk is kept for being zero.
fn full_image() -> Vec<u8> {
    let mut full = noise(48 * MIB, 7);
    full[..16 * MIB].copy_from_slice(&image()[..16 * MIB]);
    full
}

fn flash(target: &Path, folder: &Path) -> (Journal, Summary) {
    let image = full_image();
    let medium = Slow(Disk::open(target, kind_of(target)).expect("opened"));
    let journal = Journal::new(folder, &job(&image).raw_sha256, "test");
    let job = Job { resume_chunks: journal.verified_chunks(), ..job(&image) };
    let mut save = |chunks| journal.save(chunks).expect("saved");
    let summary = run(&medium, &mut &image[..], &job, &Progress::default(), &mut save).expect("written");
    (journal, summary)
}

/// The writer that is going to be killed; as a test of its own it has nothing to do.
#[test]
fn writer() {
    if let Ok(paths) = std::env::var(WRITER) {
        let (folder, target) = paths.split_once(':').expect("two paths");
        flash(Path::new(target), Path::new(folder));
    }
}

fn killed_and_resumed(target: &Path, folder: &Path) {
    let mut child = Command::new(std::env::current_exe().expect("self"))
        .args(["--exact", "writer", "--nocapture"])
        .env(WRITER, format!("{}:{}", folder.display(), target.display()))
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    let journal = Journal::new(folder, &job(&full_image()).raw_sha256, "test");
    let begin = Instant::now();
    while journal.verified_chunks() < 33 {
        assert!(begin.elapsed() < Duration::from_secs(120), "no journal came");
        assert!(child.try_wait().expect("status").is_none(), "it was not slow enough");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("killed");
    assert!(!child.wait().expect("ended").success());

    let mut first = vec![0; MIB];
    let mut file = fs_err::File::open(target).expect("target");
    file.read_exact(&mut first).expect("read");
    assert!(first.iter().all(|&b| b == 0), "a table or loader is on a medium that is not complete");

    let (journal, summary) = flash(target, folder);
    assert!(summary.kept_bytes >= 32 << 20, "not resumed: {summary:?}");
    assert!(summary.written_bytes < 17 << 20, "written again: {summary:?}");
    journal.remove().expect("removed");
    let mut all = vec![0; 48 * MIB];
    file.seek(SeekFrom::Start(0)).expect("seek");
    file.read_exact(&mut all).expect("read");
    assert!(all == full_image(), "the medium does not hold the image");
}

#[test]
fn on_a_regular_file() {
    let dir = tempfile::tempdir().expect("folder");
    let target = dir.path().join("card.img");
    fs_err::write(&target, noise(64 * MIB, 9)).expect("written");
    killed_and_resumed(&target, dir.path());
}

/// A loop device over a file; detached when dropped.
struct Loop(PathBuf);

impl Loop {
    /// None where the system has no loop devices for us.
    fn over(file: &Path) -> Option<Loop> {
        let out = Command::new("losetup").args(["--find", "--show"]).arg(file).output().ok()?;
        let device = String::from_utf8(out.stdout).ok()?.trim().to_owned();
        (out.status.success() && !device.is_empty()).then(|| Loop(device.into()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

#[test]
fn on_a_loop_device() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("card.img");
    fs_err::write(&file, noise(64 * MIB, 9)).expect("written");
    let Some(device) = Loop::over(&file) else {
        eprintln!("no loop device for this user: the same is tested on a regular file");
        return;
    };
    killed_and_resumed(&device.0, dir.path());
    // A block device is taken exclusively: somebody else who has it keeps us out, and we keep out others.
    let ours = Disk::open(&device.0, Kind::Block).expect("opened");
    let error = Disk::open(&device.0, Kind::Block).expect_err("taken");
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}");
    ours.discard(50 << 20, 4 << 20).expect("a loop device punches holes");
    let mut bytes = vec![1; MIB];
    ours.settle(50 << 20, 4 << 20).expect("settled");
    fs_err::File::open(&file)
        .and_then(|mut f| {
            f.seek(SeekFrom::Start(51 << 20))?;
            f.read_exact(&mut bytes)
        })
        .expect("read");
    assert!(bytes.iter().all(|&b| b == 0));
}
