// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An HTTP server on the loopback address that serves a release, rightly or wrongly.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is answered for a path; other paths give 404.
#[derive(Clone)]
pub enum Answer {
    /// The file.
    File(Vec<u8>),
    /// A page, as a login portal or a proxy sends it.
    Html,
    /// The first bytes only, and the connection ends, at every attempt.
    CutAfter(Vec<u8>, usize),
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    asked: Vec<String>,
}

/// The server; its thread ends with the process.
pub struct Server {
    base: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Starts on a free port.
    pub fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("address"));
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that went away is its own business.
                let _ = stream.and_then(|stream| answer(stream, &shared));
            }
        });
        Server { base, state }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// From now on answers `path` like this.
    pub fn put(&self, path: &str, answer: Answer) {
        self.state.lock().expect("lock").answers.insert(path.to_owned(), answer);
    }

    /// From now on answers 404.
    pub fn remove(&self, path: &str) {
        self.state.lock().expect("lock").answers.remove(path);
    }

    /// Paths that were asked for since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().expect("lock").asked)
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut start = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            start = range.split('-').next().and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        }
    }
    let found = {
        let mut state = state.lock().expect("lock");
        state.asked.push(path.clone());
        state.answers.get(&path).cloned()
    };
    match found {
        None => send(stream, "404 Not Found", "text/plain", "", b"Not Found", 9),
        Some(Answer::Html) => {
            let page = b"<!DOCTYPE html><title>Sign in</title>";
            send(stream, "200 OK", "text/html", "", page, page.len())
        }
        Some(Answer::File(bytes)) => part(stream, &bytes, start, bytes.len()),
        Some(Answer::CutAfter(bytes, end)) => part(stream, &bytes, start, end),
    }
}

/// Sends the bytes from `start` to `end`, and says that it sends all to the end of the file.
fn part(stream: TcpStream, bytes: &[u8], start: usize, end: usize) -> std::io::Result<()> {
    let rest = bytes.len() - start;
    let body = &bytes[start..end.max(start)];
    if start == 0 {
        return send(stream, "200 OK", "application/octet-stream", "", body, rest);
    }
    let range = format!("Content-Range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len());
    send(stream, "206 Partial Content", "application/octet-stream", &range, body, rest)
}

fn send(
    mut stream: TcpStream,
    status: &str,
    kind: &str,
    more: &str,
    body: &[u8],
    length: usize,
) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nETag: \"x\"\r\n{more}Connection: close\r\n\r\n"
    )?;
    stream.write_all(body)
}
