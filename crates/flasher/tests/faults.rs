// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Media that fail: every fault ends in an error that names the place, and in a true statement about the medium.

mod common;

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{MIB, image, job, noise};
use flasher::medium::Medium;
use flasher::progress::{Phase, Progress};
use flasher::write::{Discard, Error, Job, Summary, run};

/// What a [`Double`] does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Every write takes this many bytes at most.
    ShortWrites(usize),
    /// Every third call is interrupted by a signal.
    Signals,
    /// Writes at or behind this byte fail with an I/O error.
    WriteError(u64),
    /// Reads at or behind this byte do, once something was written there.
    ReadError(u64),
    /// From this number of writes on it is gone.
    Vanishes(u64),
    /// The first write of this byte stores another one; so many writes of it do.
    BadByte(u64, u64),
    /// So large in truth: addresses wrap around there.
    Wraps(u64),
    /// Takes nothing any more, without an error.
    Full(u64),
}

struct Double {
    bytes: Mutex<Vec<u8>>,
    fault: Fault,
    discards: bool,
    writes: AtomicU64,
    calls: AtomicU64,
    bad_writes: AtomicU64,
    written_bytes: AtomicU64,
    on_write: Box<dyn Fn(u64) + Sync>,
}

impl Double {
    /// A used card: nothing on it is zero.
    fn new(mib: usize, fault: Fault) -> Double {
        Double {
            bytes: Mutex::new(noise(mib * MIB, 99)),
            fault,
            discards: false,
            writes: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            bad_writes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            on_write: Box::new(|_| {}),
        }
    }

    fn wrap(&self, offset: u64) -> usize {
        match self.fault {
            Fault::Wraps(size) => (offset % size) as usize,
            _ => offset as usize,
        }
    }

    fn signal(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.fault == Fault::Signals && call % 3 == 1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match self.fault {
            Fault::Vanishes(after) if self.writes.load(Ordering::Relaxed) >= after => {
                Err(io::Error::from_raw_os_error(19)) // ENODEV
            }
            _ => Ok(()),
        }
    }
}

impl Medium for Double {
    fn size_bytes(&self) -> u64 {
        self.bytes.lock().unwrap().len() as u64
    }
    fn block_bytes(&self) -> usize {
        512
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.signal()?;
        (self.on_write)(offset);
        self.writes.fetch_add(1, Ordering::Relaxed);
        assert!(
            offset.is_multiple_of(512) && bytes.len().is_multiple_of(512),
            "{offset} {}: not aligned",
            bytes.len()
        );
        let mut take = bytes.len();
        match self.fault {
            Fault::ShortWrites(most) => take = take.min(most),
            Fault::WriteError(from) if offset + bytes.len() as u64 > from => {
                return Err(io::Error::from_raw_os_error(5)); // EIO
            }
            Fault::Full(from) if offset >= from => return Ok(0),
            _ => {}
        }
        let at = self.wrap(offset);
        let mut store = self.bytes.lock().unwrap();
        store[at..at + take].copy_from_slice(&bytes[..take]);
        self.written_bytes.fetch_add(take as u64, Ordering::Relaxed);
        if let Fault::BadByte(byte, times) = self.fault {
            let hit = (offset..offset + take as u64).contains(&byte);
            if hit && self.bad_writes.fetch_add(1, Ordering::Relaxed) < times {
                store[byte as usize] ^= 0x10;
            }
        }
        Ok(take)
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.signal()?;
        match self.fault {
            Fault::ReadError(from) if offset + bytes.len() as u64 > from => {
                return Err(io::Error::from_raw_os_error(5));
            }
            _ => {}
        }
        let at = self.wrap(offset);
        bytes.copy_from_slice(&self.bytes.lock().unwrap()[at..at + bytes.len()]);
        Ok(bytes.len())
    }
    fn discard(&self, offset: u64, length: u64) -> io::Result<()> {
        if !self.discards {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.bytes.lock().unwrap()[offset as usize..(offset + length) as usize].fill(0);
        Ok(())
    }
    fn settle(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn flash(medium: &Double, image: &[u8], job: &Job) -> (Result<Summary, Error>, Progress, u64) {
    let progress = Progress::default();
    let mut seen = 0;
    let result = run(medium, &mut &image[..], job, &progress, &mut |chunks| seen = chunks);
    (result, progress, seen)
}

/// The image, then whatever; the last MiB is zero.
fn assert_holds(medium: &Double, image: &[u8]) {
    let bytes = medium.bytes.lock().unwrap();
    let first = bytes.iter().zip(image).position(|(a, b)| a != b);
    assert_eq!(first, None, "the first byte that is not the image's");
    let padding = &bytes[image.len()..image.len().next_multiple_of(MIB).min(bytes.len())];
    assert!(padding.iter().all(|&b| b == 0), "what follows the image in its last MiB");
    if bytes.len() >= image.len() + 2 * MIB {
        assert!(bytes[bytes.len() - MIB..].iter().all(|&b| b == 0), "the end keeps an old backup table");
    }
}

/// An old table at the end, an old journal inside of a partition, an old loader in the gap: nothing may be left.
#[test]
fn a_used_medium_holds_the_image_to_the_last_zero() {
    let image = image();
    for discards in [false, true] {
        let medium = Double { discards, ..Double::new(64, Fault::None) };
        let (result, progress, _) = flash(&medium, &image, &job(&image));
        let summary = result.expect("written");
        assert_holds(&medium, &image);
        assert_eq!(progress.phase(), Phase::Complete);
        assert_eq!(summary.written_bytes + summary.kept_bytes, image.len().next_multiple_of(MIB) as u64);
        // What was given back reads as zeros, and zeros inside of partitions need no write then.
        assert_eq!(summary.kept_bytes > 20 << 20, discards, "{summary:?}");
    }
}

#[test]
fn a_medium_of_exactly_the_images_size_has_no_end_to_clear() {
    let image = image();
    let medium = Double { bytes: Mutex::new(noise(image.len(), 5)), ..Double::new(1, Fault::None) };
    flash(&medium, &image, &job(&image)).0.expect("written");
    assert_holds(&medium, &image);
}

#[test]
fn too_small_a_medium_is_not_touched() {
    let image = image();
    let medium = Double::new(48, Fault::None);
    let (result, progress, _) = flash(&medium, &image, &job(&image));
    assert!(matches!(result, Err(Error::TooSmall { .. })));
    assert_eq!((progress.phase(), medium.writes.into_inner()), (Phase::Untouched, 0));
}

#[test]
fn short_writes_and_signals_change_nothing() {
    let image = image();
    for fault in
        [Fault::ShortWrites(512), Fault::ShortWrites(1000), Fault::ShortWrites(65536), Fault::Signals]
    {
        let medium = Double::new(64, fault);
        flash(&medium, &image, &job(&image)).0.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_holds(&medium, &image);
    }
}

/// Whether an error is the expected one.
type IsIt = fn(&Error) -> bool;

#[test]
fn faults_are_named_with_their_place_and_the_medium_does_not_boot() {
    let image = image();
    let cases: [(Fault, IsIt); 5] = [
        (Fault::WriteError(30 << 20), |e| matches!(e, Error::Write { .. })),
        (Fault::ReadError(21 << 20), |e| matches!(e, Error::ReadBack { .. })),
        (Fault::Vanishes(9), |e| matches!(e, Error::Gone { .. })),
        (Fault::Full(12 << 20), |e| matches!(e, Error::Write { .. })),
        (
            Fault::BadByte((20 << 20) + 4711, u64::MAX),
            |e| matches!(e, Error::Differs { offset_bytes } if *offset_bytes == (20 << 20) + 4711),
        ),
    ];
    for (fault, is_it) in cases {
        // The end is cleared first: writing beyond the fault would find it at once.
        let medium = Double::new(64, fault);
        let (result, progress, _) = flash(&medium, &image, &job(&image));
        let error = result.expect_err("a fault");
        assert!(is_it(&error), "{fault:?}: {error}");
        assert!(error.offset_bytes().is_some(), "{error}");
        let phase = progress.phase();
        assert!(phase == Phase::Body || phase == Phase::Clearing, "{fault:?}: {phase:?}");
        let bytes = medium.bytes.lock().unwrap();
        if phase == Phase::Body {
            assert!(bytes[..MIB].iter().all(|&b| b == 0), "{fault:?}: a table or loader is there");
            assert!(progress.state("x").join(" ").contains("passes over"));
        }
    }
}

#[test]
fn a_byte_that_is_wrong_once_is_written_again_and_counted() {
    let image = image();
    for byte in [(20_u64 << 20) + 4711, 40 << 10] {
        // The first MiB is written twice: cleared, then for real.
        let times = if byte < 1 << 20 { 2 } else { 1 };
        let medium = Double::new(64, Fault::BadByte(byte, times));
        let summary = flash(&medium, &image, &job(&image)).0.expect("written");
        assert_eq!(summary.rewritten_chunks, 1);
        assert_holds(&medium, &image);
    }
}

#[test]
fn a_medium_that_is_smaller_than_it_says_is_found_out() {
    let image = image();
    // 64 MiB by its own word, less in truth: what is written later lies over what was right when it was read back.
    for truth in [16, 20, 24, 40] {
        let (result, progress, _) = flash(&Double::new(64, Fault::Wraps(truth << 20)), &image, &job(&image));
        let error = result.expect_err("wraps");
        assert!(matches!(error, Error::Counterfeit { .. }), "{truth} MiB: {error}");
        assert_eq!(progress.phase(), Phase::Body);
    }
}

#[test]
fn an_image_that_changed_since_it_was_checked_never_becomes_bootable() {
    let image = image();
    let mut changed = image.clone();
    changed[45 << 20] ^= 1;
    let mut longer = image.clone();
    longer.extend([0; 4096]);
    for other in [&changed[..], &image[..image.len() - 4096], &longer[..], &image[..9 << 20]] {
        let medium = Double::new(64, Fault::None);
        let (result, progress, _) = flash(&medium, other, &job(&image));
        assert!(matches!(result, Err(Error::Changed(_))), "{result:?}");
        assert_eq!(progress.phase(), Phase::Body);
        assert!(medium.bytes.lock().unwrap()[..MIB].iter().all(|&b| b == 0));
    }
}

#[test]
fn stopped_in_the_middle_and_resumed() {
    let image = image();
    let progress = std::sync::Arc::new(Progress::default());
    let stopper = std::sync::Arc::clone(&progress);
    let mut medium = Double::new(64, Fault::None);
    medium.on_write = Box::new(move |offset| {
        if (43 << 20..60 << 20).contains(&offset) {
            stopper.stop();
        }
    });
    let mut seen = 0;
    let result = run(&medium, &mut &image[..], &job(&image), &progress, &mut |chunks| seen = chunks);
    assert!(matches!(result, Err(Error::Interrupted)), "{result:?}");
    assert_eq!(seen, 33, "the journal's last word");
    let state = progress.state("/dev/sdx").join("\n");
    assert!(state.contains("of 48 MiB are written"), "{state}");

    medium.on_write = Box::new(|_| {});
    let again = Job { resume_chunks: seen, ..job(&image) };
    medium.written_bytes.store(0, Ordering::Relaxed);
    let summary = flash(&medium, &image, &again).0.expect("resumed");
    assert_holds(&medium, &image);
    // Chunks 1 to 32 by the journal, 33 to 43 because they are zeros; the end, 44 to 48 and the first MiB twice
    // were written.
    assert_eq!(summary.kept_bytes, 43 << 20, "{summary:?}");
    assert_eq!(medium.written_bytes.load(Ordering::Relaxed), 8 << 20);

    // A journal is not believed: another card in the same reader.
    let other = Double::new(64, Fault::None);
    let summary = flash(&other, &image, &again).0.expect("written");
    assert_eq!(summary.kept_bytes, 0);
    assert_holds(&other, &image);
}

#[test]
fn nothing_is_given_back_when_that_is_not_wanted() {
    let image = image();
    let medium = Double { discards: true, ..Double::new(64, Fault::None) };
    let job = Job { discard: Discard::Nothing, ..job(&image) };
    assert_eq!(flash(&medium, &image, &job).0.expect("written").discarded_bytes, 0);
    // What lies behind the image is not ours then.
    assert!(medium.bytes.lock().unwrap()[50 * MIB..60 * MIB] == noise(64 * MIB, 99)[50 * MIB..60 * MIB]);
}
