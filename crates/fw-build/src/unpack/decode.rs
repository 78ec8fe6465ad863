// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Decompressors, run ahead of the writer in a thread of their own.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use liblzma::stream::MtStreamBuilder;

use crate::failure::{Failure, Result};

/// A decompressor that may move to another thread.
pub(super) type Decoder = Box<dyn Read + Send>;

const INPUT_BUFFER_BYTES: usize = 256 << 10;
/// One piece that goes from the decompressor to the writer.
const PIECE_BYTES: usize = 512 << 10;
/// Pieces in flight.
const PIECES: usize = 16;
/// More threads gain nothing: writing the files is the slower half by then.
const MOST_THREADS: usize = 4;
/// Above this, liblzma decodes with fewer threads; it is no limit on what it accepts.
const THREADING_MEMORY_BYTES: u64 = 1 << 30;

pub(super) fn gz(input: impl Read + Send + 'static) -> Decoder {
    Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(INPUT_BUFFER_BYTES, input)))
}

pub(super) fn bz2(input: impl Read + Send + 'static) -> Decoder {
    Box::new(bzip2::bufread::MultiBzDecoder::new(BufReader::with_capacity(INPUT_BUFFER_BYTES, input)))
}

/// Files made by a threaded xz are decoded with threads too.
pub(super) fn xz(input: impl Read + Send + 'static) -> Result<Decoder> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(MOST_THREADS));
    let stream = MtStreamBuilder::new()
        .threads(threads as u32)
        .memlimit_threading(THREADING_MEMORY_BYTES)
        .memlimit_stop(u64::MAX)
        .decoder()
        .map_err(|e| Failure::new("cannot start the xz decoder").why(e))?;
    let input = BufReader::with_capacity(INPUT_BUFFER_BYTES, input);
    Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream)))
}

/// Runs `use_it` on a reader whose bytes are decoded ahead by another thread.
pub(super) fn ahead<T>(decoder: Decoder, use_it: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
    let (sender, receiver) = sync_channel(PIECES);
    std::thread::scope(|scope| {
        scope.spawn(move || decode(decoder, &sender));
        // Dropped at the end of this block, which also ends a decoder that is still at work.
        use_it(&mut Pieces { receiver, piece: Vec::new(), at: 0, ended: false })
    })
}

/// Sends what comes out piece by piece. An empty piece is the proper end and nothing else.
fn decode(mut decoder: Decoder, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let result = decoder.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
        let messages = match result {
            // What came before an error is still handed on.
            Err(error) if piece.is_empty() => vec![Err(error)],
            Err(error) => vec![Ok(piece), Err(error)],
            Ok(_) => vec![Ok(piece)],
        };
        for message in messages {
            let last = message.as_ref().map_or(true, Vec::is_empty);
            // A failed send means that the writer has given up.
            if sender.send(message).is_err() || last {
                return;
            }
        }
    }
}

struct Pieces {
    receiver: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() && !self.ended {
            self.piece = self.receiver.recv().map_err(|_| io::Error::other("the decompressor stopped"))??;
            self.at = 0;
            self.ended = self.piece.is_empty();
        }
        let n = buffer.len().min(self.piece.len() - self.at);
        buffer[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
