// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fetching against a server on loopback that misbehaves in every way that was thought of.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fs_err as fs;
use fw_build::fetch::{FetchConfig, Fetcher, Limits, Network, Progress};
use fw_build::key::sha256_bytes;
use fw_build::manifest::{Format, Location, Manifests, Origin, Pin};
use support::{Delivery, Reply, Request, Server};

const NAME: &str = "file-1.tar.xz";

/// Content that differs in every part, so that a wrong splice cannot go unnoticed.
fn content() -> Vec<u8> {
    (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Steps of a fetch, kept.
#[derive(Default)]
struct Steps(Mutex<Vec<String>>);

impl Steps {
    fn text(&self) -> String {
        self.0.lock().expect("steps").join("\n")
    }
}

impl Progress for Steps {
    fn step(&self, what: &str) {
        self.0.lock().expect("steps").push(what.to_owned());
    }
    fn bytes(&self, _done: u64, _total: Option<u64>) {}
}

/// A store in a temporary folder and a fetcher with short patience.
struct Bench {
    dir: tempfile::TempDir,
    config: FetchConfig,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().expect("dir");
        let config = FetchConfig { limits: impatient(), ..FetchConfig::bare(&dir.path().join("store")) };
        Bench { dir, config }
    }

    fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.config.clone())
    }

    /// Files of the store's folder for this content.
    fn files(&self, content: &[u8]) -> Vec<String> {
        let dir = self.config.store.join("src").join(sha256_bytes(content));
        let mut names: Vec<String> = fs::read_dir(dir)
            .into_iter()
            .flatten()
            .map(|e| e.expect("entry").file_name().into_string().expect("name"))
            .collect();
        names.sort();
        names
    }

    fn stored(&self, content: &[u8]) -> PathBuf {
        self.config.store.join("src").join(sha256_bytes(content)).join(NAME)
    }

    fn leave_part(&self, content: &[u8], part: &[u8]) {
        let path = self.stored(content);
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        fs::write(path.with_file_name(format!("{NAME}.part")), part).expect("part");
    }
}

fn impatient() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        // Long enough that a busy machine does not look like a stalled server.
        stall: Duration::from_secs(1),
        slowest_bytes_per_second: 1024,
        attempts: 2,
        pause: Duration::from_millis(5),
    }
}

/// A pin whose origins all promise `content`.
fn pin(urls: &[String], content: &[u8]) -> Pin {
    let origin = |url: &String| Origin {
        location: Location::Https { url: url.clone() },
        sha256: sha256_bytes(content),
        size_bytes: Some(content.len() as u64),
        format: Format::TarXz,
    };
    Pin {
        manifest: "thing".to_owned(),
        label: "one".to_owned(),
        version: "1".to_owned(),
        limits: Vec::new(),
        licence: "MIT".to_owned(),
        origins: urls.iter().map(origin).collect(),
    }
}

/// The same pin without sizes, as for origins whose publisher gives none.
fn sizeless(mut pin: Pin) -> Pin {
    pin.origins.iter_mut().for_each(|o| o.size_bytes = None);
    pin
}

fn fails(fetcher: &Fetcher, pin: &Pin) -> String {
    fetcher.fetch(pin, &()).expect_err("nothing to get").to_string()
}

#[test]
fn a_good_file_is_fetched_once_and_then_comes_from_the_store() {
    let (bench, content) = (Bench::new(), content());
    let server = Server::always(Reply::ok(&content));
    let pin = pin(&[server.url(NAME)], &content);
    let first = bench.fetcher().fetch(&pin, &()).expect("good");
    assert_eq!(first.path, bench.stored(&content));
    assert_eq!(fs::read(&first.path).expect("read"), content);
    assert_eq!((first.origin_label, first.format), (server.url(NAME), Format::TarXz));
    assert_eq!(first.sha256, sha256_bytes(&content));
    let second = bench.fetcher().fetch(&pin, &()).expect("stored");
    assert_eq!(second.path, first.path);
    assert_eq!(server.requests().len(), 1, "the second came from the store");
    assert_eq!(bench.files(&content), [NAME], "nothing else is left");
}

#[test]
fn a_changed_file_of_the_store_is_put_aside_and_fetched_again() {
    let (bench, content) = (Bench::new(), content());
    let server = Server::always(Reply::ok(&content));
    let pin = pin(&[server.url(NAME)], &content);
    let path = bench.fetcher().fetch(&pin, &()).expect("good").path;
    for bad in [&content[..1000], &[&content[1..], b"x"].concat()] {
        fs::write(&path, bad).expect("damage");
        let steps = Steps::default();
        bench.fetcher().fetch(&pin, &steps).expect("again");
        assert_eq!(fs::read(&path).expect("read"), content);
        assert!(steps.text().contains("changed since it was fetched"), "{}", steps.text());
        assert_eq!(fs::read(path.with_file_name(format!("{NAME}.rejected"))).expect("aside"), bad);
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_truncated_transfer_goes_on_where_it_stopped() {
    let (bench, content) = (Bench::new(), content());
    let whole = content.clone();
    let server = Server::start(move |request, n| {
        let delivery = if n == 0 { Delivery::Cut(100_000) } else { Delivery::Whole };
        Reply::ranged(request, &whole).header("etag", "\"v1\"").delivery(delivery)
    });
    let pin = pin(&[server.url(NAME)], &content);
    let fetched = bench.fetcher().fetch(&pin, &()).expect("resumed");
    assert_eq!(fs::read(&fetched.path).expect("read"), content);
    let resumed =
        Request { path: format!("/{NAME}"), range_start: Some(100_000), if_range: Some("\"v1\"".to_owned()) };
    assert_eq!(server.requests()[1..], [resumed]);
    assert_eq!(bench.files(&content), [NAME]);
}

#[test]
fn a_server_that_knows_no_ranges_sends_all_again() {
    let (bench, content) = (Bench::new(), content());
    let whole = content.clone();
    let server = Server::start(move |_, n| {
        let delivery = if n == 0 { Delivery::Cut(100_000) } else { Delivery::Whole };
        Reply::ok(&whole).delivery(delivery)
    });
    let fetched = bench.fetcher().fetch(&pin(&[server.url(NAME)], &content), &()).expect("restarted");
    assert_eq!(fs::read(&fetched.path).expect("read"), content);
}

#[test]
fn a_partial_file_of_something_else_does_no_harm() {
    let content = content();
    for size in [1000, content.len(), content.len() + 1] {
        let bench = Bench::new();
        bench.leave_part(&content, &vec![7; size]);
        let whole = content.clone();
        let server = Server::start(move |request, _| Reply::ranged(request, &whole));
        let fetched = bench.fetcher().fetch(&pin(&[server.url(NAME)], &content), &()).expect("restarted");
        assert_eq!(fs::read(&fetched.path).expect("read"), content);
        assert_eq!(bench.files(&content), [NAME], "the server is not blamed for the old bytes");
    }
}

#[test]
fn a_complete_partial_file_needs_no_server() {
    let (bench, content) = (Bench::new(), content());
    bench.leave_part(&content, &content);
    let server = Server::always(Reply::status(500));
    let fetched = bench.fetcher().fetch(&pin(&[server.url(NAME)], &content), &()).expect("published");
    assert_eq!(fs::read(&fetched.path).expect("read"), content);
    assert!(server.requests().is_empty());
}

#[test]
fn an_answer_that_begins_elsewhere_than_asked_is_refused() {
    let (bench, content) = (Bench::new(), content());
    bench.leave_part(&content, &content[..1000]);
    let whole = content.clone();
    let server = Server::start(move |_, _| {
        Reply::ok(&whole[2000..]).header("content-range", "bytes 2000-299999/300000").with_status(206)
    });
    let failure = fails(&bench.fetcher(), &pin(&[server.url(NAME)], &content));
    assert!(failure.contains("asked for bytes from 1000, got `bytes 2000-299999/300000`"), "{failure}");
}

#[test]
fn wrong_bytes_are_never_used_and_the_next_origin_is_tried() {
    let (bench, content) = (Bench::new(), content());
    let mut wrong = content.clone();
    wrong[299_999] ^= 1;
    let bad = Server::always(Reply::ok(&wrong));
    let good = Server::always(Reply::ok(&content));
    let steps = Steps::default();
    let both = pin(&[bad.url(NAME), good.url(NAME)], &content);
    let fetched = bench.fetcher().fetch(&both, &steps).expect("second origin");
    assert_eq!(fs::read(&fetched.path).expect("read"), content);
    for part in [bad.url(NAME), sha256_bytes(&content), sha256_bytes(&wrong)] {
        assert!(steps.text().contains(&part), "`{part}` is named: {}", steps.text());
    }
    let rejected = format!("{NAME}.rejected");
    assert_eq!(bench.files(&content), [NAME, &rejected]);
    assert_eq!(fs::read(fetched.path.with_file_name(rejected)).expect("aside"), wrong);

    let alone = Bench::new();
    let failure = fails(&alone.fetcher(), &pin(&[bad.url(NAME)], &content));
    assert!(failure.contains(&format!("expected {}", sha256_bytes(&content))), "{failure}");
    assert!(failure.contains(&format!("actual   {}", sha256_bytes(&wrong))), "{failure}");
    assert!(!alone.stored(&content).exists());
}

#[test]
fn a_wrong_size_is_seen_before_and_during_the_transfer() {
    let content = content();
    let longer = [&content[..], b"more"].concat();
    // The body never comes: the announced length is enough.
    let announced = Server::always(Reply::ok(&longer).delivery(Delivery::Stall(0)));
    let failure = fails(&Bench::new().fetcher(), &pin(&[announced.url(NAME)], &content));
    assert!(failure.contains("300004 bytes instead of 300000"), "{failure}");
    let chunked = [format!("{:x}\r\n", longer.len()).as_bytes(), &longer, b"\r\n0\r\n\r\n"].concat();
    let silent = Server::always(Reply::ok(&chunked).header("transfer-encoding", "chunked"));
    let bench = Bench::new();
    let failure = fails(&bench.fetcher(), &pin(&[silent.url(NAME)], &content));
    assert!(failure.contains("instead of 300000"), "{failure}");
    assert!(!bench.stored(&content).exists());
}

#[test]
fn a_stalled_or_dripping_server_is_given_up() {
    let content = content();
    for delivery in [
        Delivery::Stall(0),
        Delivery::Stall(1000),
        Delivery::Drip(1, Duration::from_millis(50)), // 20 bytes a second
    ] {
        let bench = Bench::new();
        let slow = Server::always(Reply::ok(&content).delivery(delivery));
        let good = Server::always(Reply::ok(&content));
        let steps = Steps::default();
        let began = Instant::now();
        let both = pin(&[slow.url(NAME), good.url(NAME)], &content);
        bench.fetcher().fetch(&both, &steps).expect("second origin");
        assert!(steps.text().contains("stalled"), "{delivery:?}: {}", steps.text());
        assert!(began.elapsed() < Duration::from_secs(60), "{delivery:?}: {:?}", began.elapsed());
    }
}

#[test]
fn a_slow_but_steady_server_is_waited_for() {
    let (bench, content) = (Bench::new(), content());
    // More than twice the stall limit in all, but never silent that long.
    let delivery = Delivery::Drip(15_000, Duration::from_millis(125));
    let server = Server::always(Reply::ok(&content).delivery(delivery));
    let began = Instant::now();
    bench.fetcher().fetch(&pin(&[server.url(NAME)], &content), &()).expect("slowly");
    assert!(began.elapsed() > impatient().stall * 2);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_page_instead_of_the_file_is_named() {
    let content = content();
    let page = b"\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>";
    for reply in [
        Reply::ok(page),
        Reply::ok(b"<HTML><title>Sign in</title>"),
        Reply::ok(b"<p><title>Sign in</title>").header("content-type", "text/html; charset=utf-8"),
    ] {
        let server = Server::always(reply);
        for pin in [pin(&[server.url(NAME)], &content), sizeless(pin(&[server.url(NAME)], &content))] {
            let bench = Bench::new();
            let failure = fails(&bench.fetcher(), &pin);
            assert!(failure.contains("an HTML page titled `Sign in` came instead"), "{failure}");
            assert!(!bench.stored(&content).exists());
        }
    }
}

#[test]
fn redirects_are_followed() {
    let (bench, content) = (Bench::new(), content());
    let whole = content.clone();
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/there" => Reply::ok(&whole),
        _ => Reply::status(302).header("location", "/there"),
    });
    bench.fetcher().fetch(&pin(&[server.url(NAME)], &content), &()).expect("redirected");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_busy_server_is_asked_again_and_a_missing_file_is_not() {
    let content = content();
    let whole = content.clone();
    let busy = Server::start(move |_, n| if n == 0 { Reply::status(503) } else { Reply::ok(&whole) });
    Bench::new().fetcher().fetch(&pin(&[busy.url(NAME)], &content), &()).expect("second attempt");
    let missing = Server::always(Reply::status(404));
    let failure = fails(&Bench::new().fetcher(), &pin(&[missing.url(NAME)], &content));
    assert!(failure.contains("answered 404 Not Found"), "{failure}");
    assert_eq!(missing.requests().len(), 1);
}

#[test]
fn when_all_fail_each_is_listed_with_its_reason() {
    let (mut bench, content) = (Bench::new(), content());
    let mirror = bench.dir.path().join("mirror");
    fs::create_dir(&mirror).expect("mkdir");
    fs::write(mirror.join(NAME), "other").expect("write");
    bench.config.mirrors = vec![mirror.clone(), bench.dir.path().join("absent")];
    let missing = Server::always(Reply::status(404));
    let broken = Server::always(Reply::ok(&content).delivery(Delivery::Cut(0)));
    let closed = "http://127.0.0.1:1/closed".to_owned();
    let failure = fails(&bench.fetcher(), &pin(&[missing.url("a"), broken.url("b"), closed], &content));
    let line_with = |part: &str| {
        failure.lines().find(|l| l.contains(part)).unwrap_or_else(|| panic!("no `{part}` in {failure}"))
    };
    assert_eq!(failure.lines().next(), Some("cannot get `thing/one` (version 1)"));
    assert!(line_with("/a:").contains("404 Not Found"));
    assert!(line_with("/b:").contains("ended early (2 attempts)"));
    assert!(line_with("/closed").contains("refused"));
    assert!(line_with("/absent").contains("no such directory"));
    // The mirror's file has the name of no origin here, so it is no candidate and not listed.
    assert!(!failure.contains(&mirror.join(NAME).display().to_string()));
    assert!(failure.contains("hint: ") && failure.contains("`FW_MIRROR`"), "{failure}");
}

#[test]
fn offline_asks_nobody() {
    let (mut bench, content) = (Bench::new(), content());
    bench.config.network = Network::Forbidden { because: "`FW_OFFLINE` is set".to_owned() };
    let server = Server::always(Reply::ok(&content));
    let pin = pin(&[server.url(NAME)], &content);
    let failure = fails(&bench.fetcher(), &pin);
    assert!(failure.contains("not tried, `FW_OFFLINE` is set"), "{failure}");
    assert!(failure.contains("hint: run `cargo xtask fetch` once with the network allowed"), "{failure}");
    let to = bench.fetcher().fetch_to(&server.url(NAME), None, None, &bench.dir.path().join("x"), &());
    assert!(to.expect_err("offline").to_string().contains("`FW_OFFLINE` is set"));
    assert!(server.requests().is_empty());
}

#[test]
fn mirror_directories_come_before_the_network() {
    let content = content();
    let digest = sha256_bytes(&content);
    for place in [NAME.to_owned(), format!("pub/{NAME}"), format!("{digest}/{NAME}")] {
        let mut bench = Bench::new();
        bench.config.network = Network::Forbidden { because: "test".to_owned() };
        bench.config.mirrors = vec![bench.dir.path().join("mirror")];
        let file = bench.config.mirrors[0].join(&place);
        fs::create_dir_all(file.parent().expect("parent")).expect("mkdir");
        fs::write(&file, &content).expect("write");
        let url = format!("https://x.example/pub/{NAME}");
        let fetched = bench.fetcher().fetch(&pin(std::slice::from_ref(&url), &content), &()).expect(&place);
        assert_eq!(fetched.path, bench.stored(&content));
        assert_eq!(fetched.origin_label, url, "the label does not depend on the mirror");
    }
}

#[test]
fn a_wrong_file_in_a_mirror_is_passed_over_and_left_alone() {
    let (mut bench, content) = (Bench::new(), content());
    let mirror = bench.dir.path().join("mirror");
    fs::create_dir(&mirror).expect("mkdir");
    bench.config.mirrors = vec![mirror.clone()];
    let server = Server::always(Reply::status(404));
    for wrong in [vec![0; content.len()], vec![0; 5], Vec::new()] {
        fs::write(mirror.join(NAME), &wrong).expect("write");
        let failure = fails(&bench.fetcher(), &pin(&[server.url(NAME)], &content));
        let named = mirror.join(NAME).display().to_string();
        assert!(
            failure.contains(&named) && failure.contains("instead of") | failure.contains("wrong SHA-256")
        );
        assert_eq!(fs::read(mirror.join(NAME)).expect("still there"), wrong);
        assert!(bench.files(&content).is_empty(), "{:?}", bench.files(&content));
    }
}

#[test]
fn debian_pins_go_to_the_mirror_then_upstream_then_the_snapshot_archive() {
    let content = content();
    let digest = sha256_bytes(&content);
    let sha1 = "0123456789abcdef0123456789abcdef01234567";
    let whole = content.clone();
    let snapshot = format!("/file/{sha1}");
    let server = Server::start(
        move |request, _| {
            if request.path == snapshot { Reply::ok(&whole) } else { Reply::status(404) }
        },
    );
    let bench = Bench::new();
    let dir = bench.dir.path().join("manifests");
    fs::create_dir(&dir).expect("mkdir");
    let head = |name: &str| format!("name = \"{name}\"\nlicence = \"x\"\ndescription = \"x\"\n");
    let snapshot_url = format!("snapshot-url = \"{}\"\n", server.url("file/{sha1}"));
    fs::write(dir.join("debian.toml"), head("debian") + &snapshot_url).expect("write");
    let pin = format!(
        "default = \"1\"\n[pins.1]\nversion = \"1\"\n[[pins.1.origins]]\nkind = \"debian\"\n\
         pool = \"pool/main/x/x/{NAME}\"\nsnapshot-sha1 = \"{sha1}\"\nformat = \"tar-xz\"\n\
         sha256 = \"{digest}\"\nsize-bytes = {}\n[[pins.1.origins]]\nkind = \"https\"\nurl = \"{}\"\n\
         format = \"tar-xz\"\nsha256 = \"{digest}\"\n",
        content.len(),
        server.url("upstream.tar.xz")
    );
    fs::write(dir.join("x.toml"), head("x") + &pin).expect("write");
    let manifests = Manifests::load(&dir).expect("manifests");
    let pin = manifests.pin("x", None).expect("pin");
    let mut config = bench.config.clone();
    config.debian_bases = vec![server.url("one/debian/"), server.url("two/debian")];
    let fetched = Fetcher::new(config).fetch(pin, &()).expect("snapshot");
    assert_eq!(fetched.origin_label, format!("debian:pool/main/x/x/{NAME}"));
    assert_eq!(fetched.path, bench.stored(&content));
    let paths: Vec<String> = server.requests().into_iter().map(|r| r.path).collect();
    let pool = format!("/debian/pool/main/x/x/{NAME}");
    let expected = [
        format!("/one{pool}"),
        format!("/two{pool}"),
        "/upstream.tar.xz".to_owned(),
        format!("/file/{sha1}"),
    ];
    assert_eq!(paths, expected);

    // Without a Debian mirror, and nothing that answers, the hint says how to name one.
    let other = Bench::new();
    let closed = Manifests::load(&dir).expect("manifests").pin("x", None).expect("pin").clone();
    let mut offline = other.config.clone();
    offline.network = Network::Forbidden { because: "test".to_owned() };
    let failure = fails(&Fetcher::new(offline), &closed);
    assert!(failure.contains("`FW_DEBIAN_MIRROR="), "{failure}");
}

#[test]
fn trouble_of_this_machine_stops_at_once() {
    let (bench, content) = (Bench::new(), content());
    let server = Server::always(Reply::ok(&content));
    let place = bench.stored(&content).parent().expect("parent").to_owned();
    fs::create_dir_all(place.parent().expect("src")).expect("mkdir");
    fs::write(&place, "a file where the folder should be").expect("write");
    let failure = fails(&bench.fetcher(), &pin(&[server.url("a"), server.url("b")], &content));
    assert!(failure.contains(&place.display().to_string()), "{failure}");
    assert!(server.requests().is_empty());
}

#[test]
fn one_address_to_one_file() {
    let (mut bench, content) = (Bench::new(), content());
    let digest = sha256_bytes(&content);
    let server = Server::always(Reply::ok(&content));
    let url = server.url("v1/file");
    let dest = bench.dir.path().join("new/dir/file");
    // A partial file cannot be checked without a digest, so it must not be continued.
    fs::create_dir_all(dest.parent().expect("parent")).expect("mkdir");
    fs::write(dest.with_file_name("file.part"), "junk").expect("write");
    let actual = bench.fetcher().fetch_to(&url, None, None, &dest, &()).expect("first");
    assert_eq!((actual.as_str(), fs::read(&dest).expect("read")), (digest.as_str(), content.clone()));
    bench.fetcher().fetch_to(&url, Some(&digest), None, &dest, &()).expect("there already");
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].range_start, None);
    let other = sha256_bytes(b"other");
    let failure =
        bench.fetcher().fetch_to(&url, Some(&other), None, &dest, &()).expect_err("wrong").to_string();
    assert!(failure.contains(&other) && failure.contains(&digest), "{failure}");
    assert_eq!(fs::read(&dest).expect("read"), content, "the old file stays");

    // Without a digest a mirror must say which release the file belongs to.
    bench.config.network = Network::Forbidden { because: "test".to_owned() };
    bench.config.mirrors = vec![bench.dir.path().join("mirror")];
    fs::create_dir_all(bench.config.mirrors[0].join("v1")).expect("mkdir");
    fs::write(bench.config.mirrors[0].join("file"), "of some release").expect("write");
    let fresh = bench.dir.path().join("fresh");
    bench.fetcher().fetch_to(&url, None, None, &fresh, &()).expect_err("no release named");
    fs::write(bench.config.mirrors[0].join("v1/file"), &content).expect("write");
    assert_eq!(bench.fetcher().fetch_to(&url, None, None, &fresh, &()).expect("mirror"), digest);
}

#[test]
fn threads_that_race_download_once() {
    let (bench, content) = (Bench::new(), content());
    let delivery = Delivery::Drip(100_000, Duration::from_millis(50));
    let server = Server::always(Reply::ok(&content).delivery(delivery));
    let pin = pin(&[server.url(NAME)], &content);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| bench.fetcher().fetch(&pin, &()).expect("fetched"));
        }
    });
    assert_eq!(server.requests().len(), 1);
}

/// Set in the processes that the two tests below start: address of the file and the store.
const CHILD: &str = "FW_TEST_FETCH_CHILD";

/// Starts this test program again, to run only `test` and with it [`be_a_child`].
fn child(test: &str, url: &str, store: &Path) -> Child {
    Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", test])
        .env(CHILD, format!("{url} {}", store.display()))
        .stdout(Stdio::null())
        .spawn()
        .expect("own program starts")
}

/// In a child: fetches and returns `true`.
fn be_a_child() -> bool {
    let Ok(job) = std::env::var(CHILD) else { return false };
    let (url, store) = job.split_once(' ').expect("two words");
    let limits = Limits { stall: Duration::from_secs(60), ..impatient() };
    let config = FetchConfig { limits, ..FetchConfig::bare(Path::new(store)) };
    Fetcher::new(config).fetch(&pin(&[url.to_owned()], &content()), &()).expect("fetched");
    true
}

#[test]
fn processes_that_race_download_once() {
    if be_a_child() {
        return;
    }
    let (bench, content) = (Bench::new(), content());
    let delivery = Delivery::Drip(50_000, Duration::from_millis(100));
    let server = Server::always(Reply::ok(&content).delivery(delivery));
    let start = || child("processes_that_race_download_once", &server.url(NAME), &bench.config.store);
    for mut process in [start(), start(), start()] {
        assert!(process.wait().expect("wait").success());
    }
    assert_eq!(server.requests().len(), 1);
    assert_eq!(fs::read(bench.stored(&content)).expect("read"), content);
}

#[test]
fn a_killed_process_leaves_only_what_the_next_one_continues() {
    if be_a_child() {
        return;
    }
    let (bench, content) = (Bench::new(), content());
    let whole = content.clone();
    let server = Server::start(move |request, n| {
        let delivery = if n == 0 { Delivery::Stall(200_000) } else { Delivery::Whole };
        Reply::ranged(request, &whole).delivery(delivery)
    });
    let test = "a_killed_process_leaves_only_what_the_next_one_continues";
    let mut process = child(test, &server.url(NAME), &bench.config.store);
    let part = bench.stored(&content).with_file_name(format!("{NAME}.part"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::metadata(&part).map_or(0, |m| m.len()) < 200_000 {
        assert!(Instant::now() < deadline, "the child makes no progress");
        std::thread::sleep(Duration::from_millis(10));
    }
    process.kill().expect("kill");
    process.wait().expect("wait");
    assert!(!bench.stored(&content).exists(), "half a file is never under its name");
    bench.fetcher().fetch(&pin(&[server.url(NAME)], &content), &()).expect("continued");
    assert_eq!(server.requests()[1].range_start, Some(200_000));
    assert_eq!(fs::read(bench.stored(&content)).expect("read"), content);
}
