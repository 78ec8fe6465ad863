// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A tiny HTTP server on loopback that answers as a test tells it to, one request per connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub path: String,
    /// First byte of a `Range: bytes=N-`.
    pub range_start: Option<usize>,
    pub if_range: Option<String>,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy)]
pub enum Delivery {
    Whole,
    /// This many bytes of the body, then the connection is closed.
    Cut(usize),
    /// This many bytes of the body, then nothing until the server goes away.
    Stall(usize),
    /// Pieces of so many bytes with a pause between them.
    Drip(usize, Duration),
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delivery: Delivery,
}

impl Reply {
    pub fn status(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Vec::new(), delivery: Delivery::Whole }
    }

    pub fn ok(body: &[u8]) -> Reply {
        Reply { body: body.to_vec(), ..Reply::status(200) }
    }

    /// 206 with the rest of `whole` where a range was asked for, else 200 with all of it.
    pub fn ranged(request: &Request, whole: &[u8]) -> Reply {
        match request.range_start {
            Some(start) => Reply { body: whole[start..].to_vec(), ..Reply::status(206) }
                .header("content-range", &format!("bytes {start}-{}/{}", whole.len() - 1, whole.len())),
            None => Reply::ok(whole),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn with_status(mut self, status: u16) -> Reply {
        self.status = status;
        self
    }

    pub fn delivery(mut self, delivery: Delivery) -> Reply {
        self.delivery = delivery;
        self
    }
}

/// The server; it lives as long as the test process.
pub struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts it. `answer` gets each request and how many came before.
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (answer.clone(), log.clone());
                // An error here is a client that went away, which some tests want.
                std::thread::spawn(move || serve(stream, &*answer, &log));
            }
        });
        Server { address, seen }
    }

    /// The same answer for everything.
    pub fn always(reply: Reply) -> Server {
        Server::start(move |_, _| reply.clone())
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().expect("log").clone()
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &dyn Fn(&Request, usize) -> Reply,
    log: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut request = Request { path, range_start: None, if_range: None };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let start = value.trim_start_matches("bytes=").trim_end_matches('-');
                request.range_start = Some(start.parse().expect("a range of the form bytes=N-"));
            }
            "if-range" => request.if_range = Some(value.to_owned()),
            _ => {}
        }
    }
    let before = {
        let mut log = log.lock().expect("log");
        log.push(request.clone());
        log.len() - 1
    };
    let reply = answer(&request, before);
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    if !reply.headers.iter().any(|(name, _)| name == "transfer-encoding") {
        head += &format!("content-length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    match reply.delivery {
        Delivery::Whole => stream.write_all(&reply.body),
        Delivery::Cut(n) => stream.write_all(&reply.body[..n]),
        Delivery::Stall(n) => {
            stream.write_all(&reply.body[..n])?;
            std::thread::sleep(Duration::from_secs(600));
            Ok(())
        }
        Delivery::Drip(n, pause) => {
            for piece in reply.body.chunks(n) {
                stream.write_all(piece)?;
                std::thread::sleep(pause);
            }
            Ok(())
        }
    }
}
