// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The report as it reaches people without a serial cable: over HTTP, and on the EFI partition of the layer.
//!
//! Both are compared with what the console said. The only address that is ever talked to is a port of this machine's
//! loopback link, behind which QEMU has the guest.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bringup_selftest::publish::{Document, State, esp};
use fw_build::run::Cmd;
use fw_build::{Context as _, Failure, Result};
use fw_image::fat;

use super::judge::Judge;
use super::machine::concat;

/// The guest hands over the whole report right after its last line.
const LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);
/// More than a report has.
const MAX_BYTES: u64 = 4 << 20;
/// Lines about publishing are added after the file on the medium is written.
const ABOUT_PUBLISHING: &str = "report.";

/// A port that is free now. QEMU takes it a moment later; if another program was quicker, QEMU says so and ends.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Fetches the report from the running guest until it is the finished one, and compares it.
///
/// # Errors
/// None came, or it says something else than the console.
pub fn check_network(port: u16, judge: &Judge<'_>) -> Result<String> {
    let what = "the report over the network";
    let began = Instant::now();
    let document = loop {
        let failure = match fetch(port) {
            // The guest serves what it had before the last lines for a moment.
            Ok(document) => match compare(what, &document, judge, &|_| true) {
                Ok(()) => break document,
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        if began.elapsed() >= LIMIT {
            return Err(failure);
        }
        thread::sleep(PAUSE);
    };
    let addresses: usize = document.interfaces.iter().map(|i| i.addresses.len()).sum();
    Ok(format!("{what}: {} checks, {addresses} addresses", document.checks.len()))
}

/// Reads the report from the EFI partition, at its place in the layer of a boot that has ended, and compares it.
///
/// # Errors
/// There is none, it is the one that the image was made with, or it says something else than the console.
pub fn check_medium(
    dir: &Path,
    layer: &Path,
    offset_bytes: u64,
    length_bytes: u64,
    judge: &Judge<'_>,
) -> Result<String> {
    let what = "the report on the EFI partition";
    let flat = dir.join("efi.fat");
    let source = concat(
        &format!(
            "driver=raw,offset={offset_bytes},size={length_bytes},file.driver=qcow2,file.file.driver=file,\
             file.file.filename="
        ),
        layer,
    );
    Cmd::new("qemu-img").args(["convert", "-O", "raw", "--image-opts"]).arg(source).arg(&flat).output()?;
    let mut file = fs_err::OpenOptions::new().read(true).write(true).open(&flat)?;
    let text = fat::read(&mut file, esp::FILE)
        .map_err(|e| Failure::new(format!("{what} cannot be read")).why(e))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?;
    fs_err::remove_file(&flat)?;
    let document = parse(what, &text)?;
    compare(what, &document, judge, &|name| !name.starts_with(ABOUT_PUBLISHING))?;
    Ok(format!("{what}: {} checks", document.checks.len()))
}

fn fetch(port: u16) -> Result<Document> {
    let what = "the report over the network";
    let mut text = String::new();
    let mut talk = || -> std::io::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"GET /bringup-report.json HTTP/1.1\r\nHost: nanopi-m6-bringup.local\r\n\r\n")?;
        stream.take(MAX_BYTES).read_to_string(&mut text)?;
        Ok(())
    };
    talk().context(format!("{what} cannot be fetched"))?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => parse(what, body),
        _ => Err(Failure::new(format!("{what} was refused"))
            .why(format!("`{}`", text.lines().next().unwrap_or("no answer")))),
    }
}

fn parse(what: &str, text: &str) -> Result<Document> {
    Document::parse(text).ok_or_else(|| Failure::new(format!("{what} is none that this program knows")))
}

/// Whether a report says what the console said, as far as it must have it.
fn compare(
    what: &str,
    document: &Document,
    judge: &Judge<'_>,
    must_have: &dyn Fn(&str) -> bool,
) -> Result<()> {
    let failure = |why: String| Err(Failure::new(format!("{what} is not what the console said")).why(why));
    if document.state != State::Finished {
        return failure(format!("its state is `{:?}`", document.state));
    }
    if document.kernel != judge.release() {
        return failure(format!("it is of kernel `{}`", document.kernel));
    }
    if document.result.is_none_or(|sum| sum.fail > 0) {
        return failure(format!("its sum is {:?}", document.result));
    }
    let said: BTreeMap<&str, String> = judge.verdicts().filter(|(name, _)| must_have(name)).collect();
    let has: BTreeMap<&str, String> =
        document.checks.iter().map(|c| (c.name.as_str(), c.verdict.to_string())).collect();
    if let Some((name, verdict)) = said.iter().find(|(name, verdict)| has.get(*name) != Some(verdict)) {
        return failure(format!("`{name}` was `{verdict}`, it has {:?}", has.get(name)));
    }
    match has.keys().find(|name| !said.contains_key(*name)) {
        Some(name) => failure(format!("the console had no line `{name}`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bringup_selftest::publish::document::{Check, Sum};
    use bringup_selftest::report::Verdict;
    use fw_image::lba::Lba;

    use super::*;
    use crate::qemu::expect::{Expectation, Mode};

    const RELEASE: &str = "6.18.15-x";

    fn document() -> Document {
        let check = |name: &str, verdict| Check { name: name.into(), verdict, detail: String::new() };
        Document {
            state: State::Finished,
            result: Some(Sum { pass: 1, fail: 0, skip: 1, features: 0, features_passed: 0 }),
            checks: vec![check("a", Verdict::Pass), check("b", Verdict::Skip)],
            ..Document::not_run(RELEASE)
        }
    }

    fn judged(expected: &Expectation) -> Judge<'_> {
        let mut judge = Judge::new(Mode::Report, RELEASE, expected);
        for line in ["BRINGUP a pass fine", "BRINGUP b skip none", "BRINGUP report.esp pass here"] {
            judge.line(line);
        }
        judge
    }

    #[test]
    fn must_fail_a_report_that_says_something_else() {
        let expected = Expectation::default();
        let judge = judged(&expected);
        let medium = |name: &str| !name.starts_with(ABOUT_PUBLISHING);
        compare("it", &document(), &judge, &medium).expect("the same");
        let why = |change: &dyn Fn(&mut Document), why: &str| {
            let mut other = document();
            change(&mut other);
            let text = compare("it", &other, &judge, &medium).expect_err(why).to_string();
            assert!(text.contains(why), "{text}");
        };
        why(&|d| d.state = State::NotRun, "NotRun");
        why(&|d| d.kernel = "6.18.15-y".into(), "6.18.15-y");
        why(&|d| d.result = None, "None");
        why(&|d| d.result.as_mut().expect("a sum").fail = 1, "fail: 1");
        why(&|d| d.checks[0].verdict = Verdict::Skip, "`a` was `pass`");
        why(&|d| d.checks.truncate(1), "`b` was `skip`");
        why(&|d| d.checks.push(Check { name: "c".into(), ..d.checks[0].clone() }), "no line `c`");
        let text = compare("it", &document(), &judge, &|_| true).expect_err("lacks one").to_string();
        assert!(text.contains("`report.esp` was `pass`"), "{text}");
    }

    fn serve(answers: &'static [&'static str]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let port = listener.local_addr().expect("address").port();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a client");
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        port
    }

    #[test]
    fn must_fail_no_server_and_wrong_answers() {
        let text = |port| fetch(port).expect_err("refused").to_string();
        assert!(text(free_port().expect("a port")).contains("cannot be fetched"));
        assert!(text(serve(&["HTTP/1.1 503 Service Unavailable\r\n\r\n"])).contains("503 Service"));
        assert!(text(serve(&[""])).contains("no answer"));
        assert!(text(serve(&["HTTP/1.1 200 OK\r\n\r\n{}"])).contains("none that this program knows"));
    }

    #[test]
    fn the_medium_is_read_through_the_layer() {
        let dir = tempfile::tempdir().expect("folder");
        let (raw, layer) = (dir.path().join("disk,1.raw"), dir.path().join("layer,1.qcow2"));
        let (offset_bytes, length_bytes) = (1 << 20, 40 << 20);
        let make = |report: &str| {
            let spec = fat::Spec {
                size_bytes: length_bytes,
                label: "EFI".into(),
                volume_id: 1,
                partition_start: Lba(2048),
            };
            let mut partition = std::io::Cursor::new(vec![0; length_bytes as usize]);
            fat::build(&mut partition, &spec, &[(esp::FILE, report.as_bytes())]).expect("built");
            let mut disk = vec![0; offset_bytes as usize];
            disk.extend(partition.into_inner());
            disk.resize(64 << 20, 0);
            fs_err::write(&raw, disk).expect("disk");
            let _ = fs_err::remove_file(&layer);
            Cmd::new("qemu-img")
                .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
                .args([&raw, &layer])
                .output()
                .expect("a layer");
        };
        let expected = Expectation::default();
        let check = || check_medium(dir.path(), &layer, offset_bytes, length_bytes, &judged(&expected));
        make(&document().to_json());
        let line = check().expect("the same");
        assert!(line.ends_with("2 checks"), "{line}");
        make(&Document::not_run(RELEASE).to_json());
        let refused = check().expect_err("never run");
        assert!(refused.to_string().contains("NotRun"), "{refused}");
    }
}
