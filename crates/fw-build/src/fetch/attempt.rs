// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One address, as many attempts as make sense: range resume, stalls, truncation, wrong answers.
//!
//! It does not know pins or the store; it fills one destination file.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use ureq::Body;
use ureq::http::Response;

use super::Progress;
use super::config::Limits;
use super::http::{Client, Route};
use super::part::{CHUNK_BYTES, Expected, Mismatch, Part};
use crate::failure::Failure;

/// Attempts at one address in all, however much each of them brings.
const MOST_ATTEMPTS: u32 = 50;

/// As much of a page as is looked at to name it.
const PEEK_BYTES: usize = 2048;

/// Why an attempt ended.
#[derive(Debug)]
pub(super) enum Stop {
    /// Worth trying again at the same address.
    Transient(String),
    /// This address will not do.
    Refused(String),
    /// This machine's own trouble (a full disk, say): no address will do.
    Local(Failure),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Transient(why) | Stop::Refused(why) => f.write_str(why),
            Stop::Local(failure) => failure.fmt(f),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Local(failure)
    }
}

/// One file at one address.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub client: &'a Client,
    pub limits: &'a Limits,
    pub url: &'a str,
    pub route: Route,
    pub expected: Expected<'a>,
    pub progress: &'a dyn Progress,
}

/// Downloads it into `dest` and returns the file's SHA-256.
pub(super) fn download(job: Job<'_>, dest: &Path) -> Result<String, Stop> {
    let mut part = Part::open(dest)?;
    let result = attempts(job, &mut part);
    if result.is_err() && part.len() == 0 {
        part.discard()?;
    }
    result
}

fn attempts(job: Job<'_>, part: &mut Part) -> Result<String, Stop> {
    let Job { limits, expected, progress, .. } = job;
    let mut fruitless = 0;
    for attempt in 1.. {
        let before = part.len();
        let resumed = match transfer(job, part) {
            Ok(resumed) => resumed,
            Err(Stop::Transient(why)) => {
                fruitless = if part.len() > before { 1 } else { fruitless + 1 };
                if fruitless >= limits.attempts || attempt >= MOST_ATTEMPTS {
                    return Err(Stop::Transient(format!("{why} ({attempt} attempts)")));
                }
                progress.step(&format!("{why}; try again after {} bytes", part.len()));
                std::thread::sleep(limits.pause * fruitless);
                continue;
            }
            Err(stop) => return Err(stop),
        };
        match part.check(expected) {
            Ok(sha256) => {
                part.publish()?;
                return Ok(sha256);
            }
            // The old beginning may be another file's: once more from zero before the server is blamed.
            Err(_) if resumed => part.restart()?,
            Err(mismatch @ Mismatch::Digest { .. }) => {
                let aside = part.reject()?;
                return Err(Stop::Refused(format!("{mismatch}\n  kept as `{}`", aside.display())));
            }
            Err(mismatch @ Mismatch::Size { .. }) => {
                part.discard()?;
                return Err(Stop::Refused(mismatch.to_string()));
            }
        }
    }
    unreachable!("the loop only ends by returning")
}

/// One request. `true`: it went on after bytes of an earlier one.
fn transfer(job: Job<'_>, part: &mut Part) -> Result<bool, Stop> {
    let Job { client, url, route, expected, .. } = job;
    let validator = part.validator(url);
    let complete = expected.size_bytes.is_some_and(|size| part.len() >= size);
    if complete && expected.sha256.is_some() && part.check(expected).is_ok() {
        return Ok(true); // the process was killed between the last byte and the rename
    }
    // Without a digest nothing would notice that old and new bytes are not of one file.
    if complete || expected.sha256.is_none() {
        part.restart()?;
    }
    let start = part.len();
    let mut response = client.get(url, route, start, validator.as_deref().filter(|_| start > 0))?;
    let total = total_bytes(&response, start)?;
    let resumed = match response.status().as_u16() {
        206 if start > 0 => true,
        200 => {
            part.restart()?;
            false
        }
        416 if start > 0 => {
            part.restart()?;
            return Err(Stop::Transient("the server has no such range".to_owned()));
        }
        code @ (408 | 429 | 500..=599) => return Err(Stop::Transient(status_text(code))),
        code => return Err(Stop::Refused(status_text(code))),
    };
    if let (Some(expected), Some(actual)) = (expected.size_bytes, total)
        && expected != actual
    {
        let html = name_of_html(&mut response, None);
        return Err(Stop::Refused(html.unwrap_or(Mismatch::Size { expected, actual }.to_string())));
    }
    if !resumed {
        part.set_validator(strong_validator(&response).map(|v| (url, v)))?;
    }
    let total = total.or(expected.size_bytes);
    receive(job, &mut response, part, total)?;
    if let Some(size) = total.filter(|size| part.len() < *size) {
        return Err(Stop::Transient(format!("ended after {} of {size} bytes", part.len())));
    }
    Ok(resumed)
}

fn receive(
    job: Job<'_>,
    response: &mut Response<Body>,
    part: &mut Part,
    total: Option<u64>,
) -> Result<(), Stop> {
    let Job { client, limits, expected, progress, .. } = job;
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut window_began, mut window_bytes) = (Instant::now(), 0);
    loop {
        let n = match response.body_mut().as_reader().read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) => return Err(client.judge(ureq::Error::from(e))),
        };
        if part.len() == 0
            && let Some(page) = name_of_html(response, Some(&buffer[..n]))
        {
            return Err(Stop::Refused(page));
        }
        part.append(&buffer[..n])?;
        progress.bytes(part.len(), total);
        if let Some(size) = expected.size_bytes.filter(|size| part.len() > *size) {
            let actual = part.len();
            part.restart()?;
            return Err(Stop::Refused(format!("more than {actual} bytes instead of {size}")));
        }
        window_bytes += n as u64;
        let window = window_began.elapsed();
        if window >= limits.stall {
            if (window_bytes as f64) < limits.slowest_bytes_per_second as f64 * window.as_secs_f64() {
                return Err(Stop::Transient(format!(
                    "stalled: {window_bytes} bytes in {:.1} s",
                    window.as_secs_f64()
                )));
            }
            (window_began, window_bytes) = (Instant::now(), 0);
        }
    }
}

/// Size of the whole file as the answer states it; an answer to a range must begin where it was asked to.
fn total_bytes(response: &Response<Body>, start: u64) -> Result<Option<u64>, Stop> {
    if response.status() != 206 {
        return Ok(header(response, "content-length").and_then(|v| v.parse().ok()));
    }
    // RFC 9110 section 14.4: `bytes FIRST-LAST/SIZE`, where SIZE may be `*`.
    let range = header(response, "content-range").unwrap_or_default();
    let parsed = range.strip_prefix("bytes ").and_then(|r| r.split_once('/')).and_then(|(span, size)| {
        let first: u64 = span.split_once('-')?.0.parse().ok()?;
        Some((first, size.parse().ok()))
    });
    match parsed {
        Some((first, size)) if first == start => Ok(size),
        _ => Err(Stop::Refused(format!("asked for bytes from {start}, got `{range}`"))),
    }
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name).and_then(|v| v.to_str().ok())
}

/// What may stand in `If-Range`: an entity tag that is not weak (RFC 9110 section 13.1.5), else the date.
fn strong_validator(response: &Response<Body>) -> Option<&str> {
    header(response, "etag").filter(|tag| !tag.starts_with("W/")).or(header(response, "last-modified"))
}

fn status_text(code: u16) -> String {
    let reason = ureq::http::StatusCode::from_u16(code).ok().and_then(|s| s.canonical_reason());
    format!("answered {code} {}", reason.unwrap_or_default()).trim_end().to_owned()
}

/// Names an HTML page that came in place of the file. `first`: bytes already read, else some are read here.
fn name_of_html(response: &mut Response<Body>, first: Option<&[u8]>) -> Option<String> {
    let said = header(response, "content-type")
        .is_some_and(|t| t.trim_start().to_ascii_lowercase().starts_with("text/html"));
    let mut own = Vec::new();
    let first = match first {
        Some(bytes) => &bytes[..bytes.len().min(PEEK_BYTES)],
        None => {
            // Only to name the page better: what cannot be read changes nothing.
            let _ = response.body_mut().as_reader().take(PEEK_BYTES as u64).read_to_end(&mut own);
            &own
        }
    };
    let text = String::from_utf8_lossy(first);
    let lower = text.to_ascii_lowercase();
    let start = lower.trim_start_matches('\u{feff}').trim_start();
    if !said && !start.starts_with("<!doctype html") && !start.starts_with("<html") {
        return None;
    }
    let title = lower.find("<title>").zip(lower.find("</title>")).and_then(|(a, b)| text.get(a + 7..b));
    let title = title.map(|t| format!(" titled `{}`", t.trim())).unwrap_or_default();
    Some(format!("an HTML page{title} came instead of the file (a proxy's or login page?)"))
}
