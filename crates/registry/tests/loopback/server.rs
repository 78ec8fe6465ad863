// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Debian's `docker-registry` on a loopback port, a plain HTTP client to look at it, and a proxy that breaks.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fw_build::fetch::Progress;
use fw_build::run::{Cmd, Running};
use registry::{DockerConfig, Registry, Scheme};

/// Between attempts.
const FAST: Duration = Duration::from_millis(20);

/// Repository of all tests.
pub const REPOSITORY: &str = "test/overlay";

pub struct Server {
    running: Mutex<Option<Running>>,
    pub port: u16,
    dir: tempfile::TempDir,
}

impl Server {
    pub fn start(htpasswd: Option<&str>) -> Server {
        let dir = tempfile::tempdir().expect("folder");
        // Free a moment ago; the registry cannot choose one itself.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: false}}}}\nstorage:\n  filesystem: \
             {{rootdirectory: {}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            dir.path().join("data").display()
        );
        if let Some(text) = htpasswd {
            let file = dir.path().join("htpasswd");
            fs_err::write(&file, text).expect("file");
            config += &format!("auth:\n  htpasswd: {{realm: test, path: {}}}\n", file.display());
        }
        fs_err::write(dir.path().join("config.yml"), config).expect("file");
        let server = Server { running: Mutex::new(None), port, dir };
        server.run();
        server
    }

    /// Starts the process, or starts it again with what it had stored.
    pub fn run(&self) {
        let program =
            which::which("docker-registry").expect("`docker-registry`: apt-get install docker-registry");
        let log = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .expect("a log")
            .into_parts()
            .0;
        let cmd = Cmd::new(program).arg("serve").arg(self.dir.path().join("config.yml"));
        let running = cmd.spawn(Stdio::null(), Stdio::from(log), Stdio::null()).expect("starts");
        *self.running.lock().expect("process") = Some(running);
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the process.
    pub fn kill(&self) {
        if let Some(mut running) = self.running.lock().expect("process").take() {
            // Gone already is as good.
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }

    pub fn open(&self, tag: &str, config: &DockerConfig) -> Registry {
        open(self.port, tag, config)
    }

    /// A docker configuration with `auth`, base64 of user and password, for this registry.
    pub fn login(&self, auth: &str) -> DockerConfig {
        let path = self.dir.path().join("config.json");
        let text = format!(r#"{{"auths":{{"127.0.0.1:{}":{{"auth":"{auth}"}}}}}}"#, self.port);
        fs_err::write(&path, text).expect("file");
        DockerConfig::file(path)
    }

    /// Files with content in the registry's own storage.
    pub fn blob_files(&self) -> usize {
        fn count(folder: &Path) -> usize {
            let Ok(entries) = fs_err::read_dir(folder) else { return 0 };
            entries.flatten().map(|e| if e.path().is_dir() { count(&e.path()) } else { 1 }).sum()
        }
        count(&self.dir.path().join("data/docker/registry/v2/blobs"))
    }

    /// Requests so far, one line each in Apache's combined form.
    pub fn requests(&self) -> Vec<String> {
        let text = fs_err::read_to_string(self.dir.path().join("log")).expect("a log");
        text.lines().filter(|line| line.contains("HTTP/")).map(str::to_owned).collect()
    }

    /// What lies at a path below the repository, and the digest that the registry names, got without the client.
    pub fn get(&self, path: &str) -> (Vec<u8>, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connects");
        let accept =
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*";
        write!(
            stream,
            "GET /v2/{REPOSITORY}/{path} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAccept: {accept}\r\n\r\n",
            self.port
        )
        .expect("asks");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answers");
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("headers");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.lines().next().is_some_and(|status| status.contains(" 200 ")), "{path}: {head}");
        let digest = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("docker-content-digest").then(|| value.to_owned())
        });
        (answer[end + 4..].to_vec(), digest.expect("a digest"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A connection with whatever listens on a port.
pub fn open(port: u16, tag: &str, config: &DockerConfig) -> Registry {
    let reference = format!("127.0.0.1:{port}/{REPOSITORY}:{tag}");
    Registry::open(&reference, Scheme::Usual, config).expect("a reference").with_first_wait(FAST)
}

/// A port on which nobody listens.
pub fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

/// A proxy in front of `target`. The connection of each number passes as many bytes of answers as the list says and
/// ends then; what comes after the list passes all.
pub fn proxy(target: u16, limits: &'static [u64]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().take(200).enumerate() {
            let Ok(mut client) = stream else { return };
            let limit = limits.get(number).copied().unwrap_or(u64::MAX);
            let Ok(mut upstream) = TcpStream::connect(("127.0.0.1", target)) else { return };
            let (Ok(mut back), Ok(answer)) = (client.try_clone(), upstream.try_clone()) else { return };
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut answer.take(limit), &mut back);
                let _ = back.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut client, &mut upstream);
                let _ = upstream.shutdown(Shutdown::Both);
            });
        }
    });
    port
}

/// Progress that keeps its steps and calls a function at each.
pub struct Told<F: Fn(usize) + Sync> {
    steps: Mutex<Vec<String>>,
    at: F,
}

/// Only keeps them.
pub fn told() -> Told<fn(usize)> {
    Told::calling(|_| {})
}

impl<F: Fn(usize) + Sync> Told<F> {
    /// `at` gets the number of the step among those that send something, from 1 on.
    pub fn calling(at: F) -> Told<F> {
        Told { steps: Mutex::new(Vec::new()), at }
    }

    /// Steps that begin with a word.
    pub fn steps(&self, first: &str) -> Vec<String> {
        let steps = self.steps.lock().expect("steps");
        steps.iter().filter(|step| step.starts_with(first)).cloned().collect()
    }
}

impl<F: Fn(usize) + Sync> Progress for Told<F> {
    fn step(&self, what: &str) {
        self.steps.lock().expect("steps").push(what.to_owned());
        if what.starts_with("send sha256:") {
            (self.at)(self.steps("send sha256:").len());
        }
    }

    fn bytes(&self, done: u64, total: Option<u64>) {
        assert!(total.is_some_and(|total| done <= total), "{done} of {total:?}");
    }
}
