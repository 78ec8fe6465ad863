// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes an image: clears the ends, gives old content back, streams the body while it is read back, and puts the
//! first MiB in place last.

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use fw_image::hex;
use sha2::{Digest, Sha256};

use crate::CHUNK_BYTES;
use crate::buffer::Buffer;
use crate::medium::Medium;
use crate::plan::{HEAD_CHUNKS, Plan};
use crate::progress::{Phase, Progress};
use crate::verify::{self, Sample, Written};

/// Chunks that are decompressed ahead.
const AHEAD: usize = 8;
/// Chunks that are written and not read back yet.
const BEHIND: usize = 32;
/// Given back at once, so that Ctrl-C is heard.
const DISCARD_BYTES: u64 = 256 << 20;
/// Cleared at the end of the medium: the backup GPT has 33 sectors there, md and ZFS labels up to 512 KiB.
const TAIL_BYTES: u64 = 1 << 20;

/// Why writing ended. The state of the medium is in [`Progress::state`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The medium is smaller than the image.
    #[error("the image needs {image_bytes} bytes, the medium has {medium_bytes}")]
    TooSmall {
        /// Of the image.
        image_bytes: u64,
        /// Of the medium.
        medium_bytes: u64,
    },
    /// The medium is not there any more.
    #[error(
        "the medium is gone: it was pulled out, or it stopped answering (at byte {offset_bytes}: {source})"
    )]
    Gone {
        /// Where.
        offset_bytes: u64,
        /// The system's words.
        source: io::Error,
    },
    /// It does not take what is written.
    #[error("cannot write at byte {offset_bytes}: {source}")]
    Write {
        /// Where.
        offset_bytes: u64,
        /// The system's words.
        source: io::Error,
    },
    /// It does not give back what was written.
    #[error("cannot read back at byte {offset_bytes}: {source}")]
    ReadBack {
        /// Where.
        offset_bytes: u64,
        /// The system's words.
        source: io::Error,
    },
    /// It gives back something else, even after a second write.
    #[error(
        "byte {offset_bytes} reads back as another than was written, twice: the medium is worn or counterfeit"
    )]
    Differs {
        /// The first such byte.
        offset_bytes: u64,
    },
    /// Its end shows what was written elsewhere.
    #[error(
        "the end of the medium (byte {offset_bytes}) was cleared and no longer is: it is smaller than it says"
    )]
    Counterfeit {
        /// Where.
        offset_bytes: u64,
    },
    /// The stream ended with an error.
    #[error("the image cannot be read: {0}")]
    Stream(io::Error),
    /// The stream is not what it was when it was checked.
    #[error("the image changed while it was written: {0}")]
    Changed(String),
    /// [`Progress::stop`].
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    pub(crate) fn write(offset_bytes: u64, source: io::Error) -> Error {
        if verify::is_gone(&source) {
            Error::Gone { offset_bytes, source }
        } else {
            Error::Write { offset_bytes, source }
        }
    }

    pub(crate) fn read_back(offset_bytes: u64, source: io::Error) -> Error {
        if verify::is_gone(&source) {
            Error::Gone { offset_bytes, source }
        } else {
            Error::ReadBack { offset_bytes, source }
        }
    }

    /// The byte of the medium that it is about.
    #[must_use]
    pub fn offset_bytes(&self) -> Option<u64> {
        match self {
            Error::Gone { offset_bytes, .. }
            | Error::Write { offset_bytes, .. }
            | Error::ReadBack { offset_bytes, .. }
            | Error::Differs { offset_bytes }
            | Error::Counterfeit { offset_bytes } => Some(*offset_bytes),
            Error::TooSmall { .. } | Error::Stream(_) | Error::Changed(_) | Error::Interrupted => None,
        }
    }
}

/// Whether old content is given back to the medium first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// All of it, where the medium can.
    All,
    /// Nothing.
    Nothing,
}

/// What to write, and how.
#[derive(Debug, Clone)]
pub struct Job {
    /// Size of the image.
    pub raw_bytes: u64,
    /// SHA-256 of the image in hex.
    pub raw_sha256: String,
    /// So many chunks an earlier run has seen right: they are read and compared before they are written.
    pub resume_chunks: u64,
    /// Whether old content is given back first. Never in a resumed run.
    pub discard: Discard,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Written.
    pub written_bytes: u64,
    /// Found on the medium as the image has it.
    pub kept_bytes: u64,
    /// Given back.
    pub discarded_bytes: u64,
    /// Chunks that needed a second write.
    pub rewritten_chunks: u64,
}

/// Writes the image that `stream` gives, and reads all of it back. `journal` hears, now and then, how many chunks
/// from the start are right.
///
/// # Errors
/// See [`Error`]; the state of the medium is in `progress`.
pub fn run(
    medium: &dyn Medium,
    stream: &mut (dyn Read + Send),
    job: &Job,
    progress: &Progress,
    journal: &mut (dyn FnMut(u64) + Send),
) -> Result<Summary, Error> {
    let size = medium.size_bytes();
    if size < job.raw_bytes {
        return Err(Error::TooSmall { image_bytes: job.raw_bytes, medium_bytes: size });
    }
    progress.total_bytes.store(job.raw_bytes, Ordering::Relaxed);
    // Where the last chunk is not full, zeros follow it, as far as the medium goes.
    let image_end = job.raw_bytes.next_multiple_of(CHUNK_BYTES as u64).min(size);
    let tail = tail_start(size, image_end);
    progress.enter(Phase::Clearing);
    clear(medium, 0, image_end.min(CHUNK_BYTES as u64))?;
    clear(medium, tail, size - tail)?;
    medium.flush().map_err(|e| Error::write(0, e))?;
    if job.discard == Discard::All && job.resume_chunks == 0 {
        progress.enter(Phase::Discarding);
        discard(medium, CHUNK_BYTES as u64, tail, progress)?;
    }
    progress.enter(Phase::Body);
    let (head, sample) = body(medium, stream, job, image_end, progress, journal)?;
    medium.flush().map_err(|e| Error::write(image_end, e))?;
    sample.look_again(medium)?;
    check_tail(medium, tail, size)?;
    progress.enter(Phase::Head);
    write_all(medium, &head, 0).map_err(|e| Error::write(0, e))?;
    medium.flush().map_err(|e| Error::write(0, e))?;
    medium.settle(0, head.len() as u64).map_err(|e| Error::write(0, e))?;
    verify::check(medium, &head, 0, &mut Buffer::zeroed(CHUNK_BYTES), progress)?;
    Progress::add(&progress.written_bytes, head.len() as u64);
    Progress::add(&progress.verified_bytes, head.len() as u64);
    progress.enter(Phase::Complete);
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let kept_bytes = load(&progress.kept_bytes);
    Ok(Summary {
        written_bytes: load(&progress.written_bytes) - kept_bytes,
        kept_bytes,
        discarded_bytes: load(&progress.discarded_bytes),
        rewritten_chunks: load(&progress.rewritten_chunks),
    })
}

/// Where the cleared end begins: 1 MiB before the end, but never inside the image.
fn tail_start(size_bytes: u64, image_end: u64) -> u64 {
    let aligned = size_bytes.saturating_sub(TAIL_BYTES) / CHUNK_BYTES as u64 * CHUNK_BYTES as u64;
    aligned.max(image_end)
}

fn clear(medium: &dyn Medium, offset_bytes: u64, length_bytes: u64) -> Result<(), Error> {
    for (at, length) in pieces(offset_bytes, length_bytes) {
        write_all(medium, &Buffer::zeroed(length), at).map_err(|e| Error::write(at, e))?;
    }
    Ok(())
}

fn pieces(offset_bytes: u64, length_bytes: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..length_bytes)
        .step_by(CHUNK_BYTES)
        .map(move |at| (offset_bytes + at, (length_bytes - at).min(CHUNK_BYTES as u64) as usize))
}

/// An end that was cleared first and shows something after the image was written is the image: counterfeit media
/// wrap around.
fn check_tail(medium: &dyn Medium, tail: u64, size: u64) -> Result<(), Error> {
    medium.settle(tail, size - tail).map_err(|e| Error::write(tail, e))?;
    for (at, length) in pieces(tail, size - tail) {
        let mut there = Buffer::zeroed(length);
        read_all(medium, &mut there, at).map_err(|e| Error::read_back(at, e))?;
        if !there.is_zero() {
            return Err(Error::Counterfeit { offset_bytes: at });
        }
    }
    Ok(())
}

fn discard(medium: &dyn Medium, from: u64, to: u64, progress: &Progress) -> Result<(), Error> {
    let mut at = from;
    while at < to {
        if progress.stopped() {
            return Err(Error::Interrupted);
        }
        let length = (to - at).min(DISCARD_BYTES);
        match medium.discard(at, length) {
            Ok(()) => Progress::add(&progress.discarded_bytes, length),
            Err(e) if verify::is_gone(&e) => return Err(Error::write(at, e)),
            // A medium that cannot: nothing is lost, zeros are then read and written. The summary says so.
            Err(_) => return Ok(()),
        }
        at += length;
    }
    Ok(())
}

/// Everything but the first chunk, which it returns, with a sample of what was written.
fn body(
    medium: &dyn Medium,
    stream: &mut (dyn Read + Send),
    job: &Job,
    image_end: u64,
    progress: &Progress,
    journal: &mut (dyn FnMut(u64) + Send),
) -> Result<(Buffer, Sample), Error> {
    thread::scope(|scope| {
        let (decoded, chunks) = sync_channel(AHEAD);
        let decoder = scope.spawn(move || decode(stream, job, image_end, &decoded));
        let (written, to_check) = sync_channel(BEHIND);
        let verifier = scope.spawn(move || verify::run(medium, &to_check, progress, journal));
        let result = write_body(medium, chunks, job, &written, progress);
        // The verifier ends when nobody can send any more.
        drop(written);
        let verified = verifier.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let decoded = decoder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Who failed first? A writer that could not hand over failed because of the verifier; one that got no
        // more chunks because of the decoder.
        let sample = verified?;
        let head = result?;
        decoded?;
        let head = head.ok_or_else(|| Error::Changed("it is shorter than it was".to_owned()))?;
        Ok((head, sample))
    })
}

/// The stream as chunks of full size, the last one filled up with zeros; its size and digest must be the job's.
fn decode(
    stream: &mut dyn Read,
    job: &Job,
    image_end: u64,
    chunks: &SyncSender<Buffer>,
) -> Result<(), Error> {
    let mut digest = Sha256::new();
    let (mut at, mut ended) = (0, false);
    while at < image_end && !ended {
        let mut chunk = Buffer::zeroed((image_end - at).min(CHUNK_BYTES as u64) as usize);
        let got = read_full(stream, &mut chunk).map_err(Error::Stream)?;
        digest.update(&chunk[..got]);
        ended = got < chunk.len();
        at += got as u64;
        if got > 0 && chunks.send(chunk).is_err() {
            return Ok(()); // The writer gave up and says why.
        }
    }
    if at != job.raw_bytes || !ended && read_full(stream, &mut [0]).map_err(Error::Stream)? != 0 {
        return Err(Error::Changed("its size is another".to_owned()));
    }
    if hex(&digest.finalize()) != job.raw_sha256 {
        return Err(Error::Changed("its digest is another".to_owned()));
    }
    Ok(())
}

fn write_body(
    medium: &dyn Medium,
    chunks: Receiver<Buffer>,
    job: &Job,
    written: &SyncSender<Written>,
    progress: &Progress,
) -> Result<Option<Buffer>, Error> {
    let start: Vec<Buffer> = chunks.iter().take(HEAD_CHUNKS).collect();
    let plan = Plan::of(&start.iter().flat_map(|b| b.iter().copied()).collect::<Vec<u8>>());
    let mut head = None;
    let mut scratch = Buffer::zeroed(CHUNK_BYTES);
    for (chunk, bytes) in (0..).zip(start.into_iter().chain(chunks)) {
        if progress.stopped() {
            return Err(Error::Interrupted);
        }
        if chunk == 0 {
            head = Some(bytes);
            continue;
        }
        let offset = chunk * CHUNK_BYTES as u64;
        let length = bytes.len() as u64;
        let look_first = chunk < job.resume_chunks || !plan.is_metadata(chunk) && bytes.is_zero();
        let there = look_first && is_there(medium, &bytes, offset, &mut scratch)?;
        if there {
            Progress::add(&progress.kept_bytes, length);
        } else {
            write_all(medium, &bytes, offset).map_err(|e| Error::write(offset, e))?;
        }
        Progress::add(&progress.written_bytes, length);
        let bytes = (!there).then_some(bytes);
        if written.send(Written { chunk, bytes }).is_err() {
            return Ok(head); // The verifier gave up and says why.
        }
    }
    Ok(head)
}

/// Whether the medium already holds these bytes. One that cannot be read here is written.
fn is_there(medium: &dyn Medium, bytes: &[u8], offset: u64, scratch: &mut Buffer) -> Result<bool, Error> {
    let there = &mut scratch[..bytes.len()];
    medium.settle(offset, bytes.len() as u64).map_err(|e| Error::write(offset, e))?;
    match read_all(medium, there, offset) {
        Ok(()) => Ok(*there == *bytes),
        Err(e) if verify::is_gone(&e) => Err(Error::read_back(offset, e)),
        Err(_) => Ok(false),
    }
}

/// Writes all of `bytes`. After a short write it goes on from the last whole block, which direct I/O wants.
pub(crate) fn write_all(medium: &dyn Medium, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
    let block = medium.block_bytes();
    let mut done = 0;
    while done < bytes.len() {
        match medium.write_at(&bytes[done..], offset_bytes + done as u64) {
            Ok(n) if done + n >= bytes.len() => break,
            Ok(n) if n < block => {
                return Err(io::Error::new(io::ErrorKind::WriteZero, "the medium takes no more bytes"));
            }
            Ok(n) => done += n / block * block,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads all of `bytes`; the end of the medium before that is an error.
pub(crate) fn read_all(medium: &dyn Medium, bytes: &mut [u8], offset_bytes: u64) -> io::Result<()> {
    let block = medium.block_bytes();
    let mut done = 0;
    while done < bytes.len() {
        match medium.read_at(&mut bytes[done..], offset_bytes + done as u64) {
            Ok(n) if done + n >= bytes.len() => break,
            Ok(n) if n < block => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => done += n / block * block,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads until `buffer` is full or the stream ends.
fn read_full(stream: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
