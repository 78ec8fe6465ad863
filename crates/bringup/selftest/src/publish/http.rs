// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A small HTTP server for one report: two pages, nothing to be changed, bounds on everything.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Document, page};

/// Connections at a time; the next ones are closed at once.
const MAX_CONNECTIONS: usize = 8;
/// A head that is longer is no browser's.
const MAX_HEAD_BYTES: usize = 8 << 10;
const MAX_HEADERS: usize = 64;
/// Time for the whole head, and for each piece of the answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes of a body that nobody asked for, read before the connection closes: a reset would take the answer along.
const MAX_LEFT_BYTES: usize = 64 << 10;
/// A thread that answers needs no more.
const STACK_BYTES: usize = 256 << 10;

/// Answers for ever. `source` gives the report of the moment.
pub fn serve(listener: &TcpListener, source: impl Fn() -> Option<Document> + Send + Sync + 'static) {
    let (source, open) = (Arc::new(source), Arc::new(AtomicUsize::new(0)));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // No descriptor left, or a connection that ended before it was taken: neither gets better by hurry.
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        let place = Place::take(&open);
        let Some(place) = place else { continue };
        let source = Arc::clone(&source);
        // Without a thread the connection is closed, as for the one too many.
        let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            let _place = place;
            let _ = converse(stream, || source());
        });
    }
}

/// One of the places for connections.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Place> {
        if open.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(Place(Arc::clone(open)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn converse(mut stream: TcpStream, source: impl Fn() -> Option<Document>) -> io::Result<()> {
    let deadline = Instant::now() + LIMIT;
    let head = read_head(&mut stream, deadline)?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(&respond(&head, source().as_ref()))?;
    stream.shutdown(Shutdown::Write)?;
    let mut left = [0; 4096];
    let mut read = 0;
    while read < MAX_LEFT_BYTES && wait(&stream, deadline)? {
        match stream.read(&mut left)? {
            0 => break,
            n => read += n,
        }
    }
    Ok(())
}

/// Reads until the empty line, the bound, or the end; what it is, is for the caller to say.
fn read_head(stream: &mut TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while head.len() < MAX_HEAD_BYTES && !head.windows(4).any(|w| w == b"\r\n\r\n") {
        if !wait(stream, deadline)? {
            break;
        }
        match stream.read(&mut piece)? {
            0 => break,
            n => head.extend(&piece[..n]),
        }
    }
    Ok(head)
}

/// Sets what is left as the time that a read may take; false when nothing is.
fn wait(stream: &TcpStream, deadline: Instant) -> io::Result<bool> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(false);
    }
    stream.set_read_timeout(Some(left))?;
    Ok(true)
}

/// The answer to the head of a request.
pub fn respond(head: &[u8], document: Option<&Document>) -> Vec<u8> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if head.len() >= MAX_HEAD_BYTES => {
            return answer("431 Request Header Fields Too Large", "text/plain", "too long\n", true);
        }
        Ok(httparse::Status::Partial) | Err(_) => {
            return answer("400 Bad Request", "text/plain", "no HTTP request\n", true);
        }
    }
    let with_body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return answer("405 Method Not Allowed", "text/plain", "only GET and HEAD\n", true),
    };
    let Some(document) = document else {
        return answer("503 Service Unavailable", "text/plain", "no report yet\n", with_body);
    };
    match path(request.path.unwrap_or_default()) {
        "/" => answer("200 OK", "text/html", &page::html(document), with_body),
        "/bringup-report.json" => answer("200 OK", "application/json", &document.to_json(), with_body),
        _ => answer("404 Not Found", "text/plain", "there is `/` and `/bringup-report.json`\n", with_body),
    }
}

/// The path of a target, which may be a whole address (RFC 9112, 3.2.2) and may have a query.
fn path(target: &str) -> &str {
    let target = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    target.split(['?', '#']).next().unwrap_or_default()
}

fn answer(status: &str, kind: &str, body: &str, with_body: bool) -> Vec<u8> {
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\n{allow}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    if with_body {
        bytes.extend(body.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(head: &[u8]) -> String {
        String::from_utf8(respond(head, Some(&Document::not_run("6.18.15-abc")))).expect("text")
    }

    #[test]
    fn both_pages_and_nothing_else() {
        let json = ask(b"GET /bringup-report.json HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, body) = json.split_once("\r\n\r\n").expect("head and body");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("application/json"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert_eq!(Document::parse(body), Some(Document::not_run("6.18.15-abc")));
        assert!(ask(b"GET / HTTP/1.0\r\n\r\n").contains("<!doctype html>"));
        assert!(ask(b"GET http://a.local/?x=1 HTTP/1.1\r\n\r\n").contains("<!doctype html>"));
        assert!(ask(b"GET http://a.local HTTP/1.1\r\n\r\n").contains("<!doctype html>"));
        let only_head = ask(b"HEAD / HTTP/1.1\r\n\r\n");
        assert!(only_head.starts_with("HTTP/1.1 200") && only_head.ends_with("\r\n\r\n"), "{only_head}");
        for (request, status) in [
            (&b"GET /../etc/passwd HTTP/1.1\r\n\r\n"[..], "404"),
            (b"GET /etc/passwd HTTP/1.1\r\n\r\n", "404"),
            (b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "405"),
            (b"GET /\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\n", "400"),
            (b"", "400"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01", "400"),
            (&[b'a'; MAX_HEAD_BYTES], "431"),
        ] {
            let text = ask(request);
            assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {text}");
        }
        assert!(ask(b"POST / HTTP/1.1\r\n\r\n").contains("Allow: GET, HEAD"));
        assert!(respond(b"GET / HTTP/1.1\r\n\r\n", None).starts_with(b"HTTP/1.1 503"));
    }

    fn server() -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let address = listener.local_addr().expect("address");
        thread::spawn(move || serve(&listener, || Some(Document::not_run("x"))));
        address
    }

    fn talk(address: std::net::SocketAddr, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        // The server may close before all of a long request is sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    #[test]
    fn connections_are_bounded_and_the_place_comes_back() {
        let address = server();
        assert!(talk(address, b"GET / HTTP/1.1\r\n\r\n").starts_with(b"HTTP/1.1 200"));
        // So many that say nothing; the next is closed without an answer.
        let silent: Vec<TcpStream> =
            (0..MAX_CONNECTIONS).map(|_| TcpStream::connect(address).expect("connects")).collect();
        let refused = (0..50).any(|_| {
            thread::sleep(Duration::from_millis(20));
            talk(address, b"GET / HTTP/1.1\r\n\r\n").is_empty()
        });
        assert!(refused, "connection {} was answered", MAX_CONNECTIONS + 1);
        drop(silent);
        let again = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(20));
            talk(address, b"GET / HTTP/1.1\r\n\r\n").starts_with(b"HTTP/1.1 200")
        });
        assert!(again, "the places did not come back");
    }

    #[test]
    fn a_head_without_end_and_a_body_that_nobody_wants_end() {
        let address = server();
        assert!(talk(address, &[b'x'; 100_000]).starts_with(b"HTTP/1.1 4"));
        let mut upload = b"POST / HTTP/1.1\r\nContent-Length: 30000\r\n\r\n".to_vec();
        upload.resize(30_000, b'y');
        assert!(talk(address, &upload).starts_with(b"HTTP/1.1 405"));
    }
}
