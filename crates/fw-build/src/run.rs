// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only place that starts a process.
//!
//! Every command gets a clean environment, dies with its parent, and reports one of three failures: it did
//! not start, it exited with a status, it was killed. It must not decide *what* to run.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::failure::{Failure, Result};
use crate::trace;

/// Seconds since the epoch that every build sees as "now": 2025-01-01T00:00:00Z.
///
/// One constant for all stages, so a rebuilt stage differs only where its inputs differ.
pub const SOURCE_DATE_EPOCH: u64 = 1_735_689_600;

/// How many of the last output lines a failure quotes.
const TAIL_LINES: usize = 20;

/// How many lines that look like compiler errors a failure quotes: with parallel make the error is
/// rarely among the last lines.
const ERROR_LINES: usize = 6;

/// Receives the output of a command line by line.
pub trait LineSink {
    /// One line without its line feed.
    fn line(&mut self, line: &str);
}

/// Discards the output; the failure still quotes its tail.
pub struct Quiet;

impl LineSink for Quiet {
    fn line(&mut self, _line: &str) {}
}

/// One external command.
#[derive(Debug, Clone)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    cwd: Option<PathBuf>,
    path_first: Vec<PathBuf>,
    log: Option<PathBuf>,
}

impl Cmd {
    /// A command with the clean environment: `PATH` (plus the `sbin` folders), `HOME`, a C locale, UTC and
    /// [`SOURCE_DATE_EPOCH`]; nothing else of the caller's environment.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut env = BTreeMap::new();
        for (key, value) in [("LC_ALL", "C.UTF-8"), ("LANG", "C.UTF-8"), ("TZ", "UTC")] {
            env.insert(key.into(), value.into());
        }
        env.insert("SOURCE_DATE_EPOCH".into(), SOURCE_DATE_EPOCH.to_string().into());
        if let Some(home) = std::env::var_os("HOME") {
            env.insert("HOME".into(), home);
        }
        Cmd {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env,
            cwd: None,
            path_first: Vec::new(),
            log: None,
        }
    }

    /// A command that sees the caller's environment: cargo and rustup, which find their homes there.
    ///
    /// Without what `cargo run` tells a program about its own package: some build scripts (ring's) watch
    /// `CARGO_MANIFEST_DIR`, so a nested cargo that inherits it would compile half of the dependencies again, and
    /// the next cargo without it once more.
    pub fn with_callers_env(program: impl AsRef<OsStr>) -> Self {
        let env = std::env::vars_os().filter(|(name, _)| !name.to_str().is_some_and(is_of_cargo_run));
        Cmd { env: env.collect(), ..Cmd::new(program) }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(key.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Puts a folder in front of `PATH`, so that a tool chosen on purpose wins over the host's order.
    #[must_use]
    pub fn path_first(mut self, dir: impl Into<PathBuf>) -> Self {
        self.path_first.push(dir.into());
        self
    }

    /// Names the log file that a failure message points at.
    #[must_use]
    pub fn log_path(mut self, log: impl Into<PathBuf>) -> Self {
        self.log = Some(log.into());
        self
    }

    /// The command as a reader would type it.
    pub fn display(&self) -> String {
        let mut words = vec![self.program.to_string_lossy().into_owned()];
        words.extend(self.args.iter().map(|a| {
            let a = a.to_string_lossy();
            if a.is_empty() || a.contains([' ', '"', '\'', '$']) { format!("'{a}'") } else { a.into_owned() }
        }));
        words.join(" ")
    }

    /// Runs the command, its two outputs joined and handed to `sink` line by line.
    ///
    /// # Errors
    /// Not started, exit status other than 0, or killed by a signal.
    pub fn run(&self, sink: &mut dyn LineSink) -> Result<()> {
        let (reader, writer) = std::io::pipe()?;
        let mut command = self.command();
        command.stdout(writer.try_clone()?).stderr(writer).stdin(Stdio::null());
        let mut child = command.spawn().map_err(|e| self.not_started(&e))?;
        // The parent's copies of the write end live in `command`; without this the read never ends.
        drop(command);
        let mut tail = Tail::default();
        read_lines(reader, |line| {
            trace::line(|| line.to_owned());
            tail.push(line);
            sink.line(line);
        });
        let status = child.wait()?;
        self.check(status, &tail)
    }

    /// Runs the command and returns its standard output; standard error is quoted on failure.
    ///
    /// # Errors
    /// As [`Cmd::run`].
    pub fn output(&self) -> Result<Vec<u8>> {
        let out = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .map_err(|e| self.not_started(&e))?;
        let mut tail = Tail::default();
        for line in String::from_utf8_lossy(&out.stderr).lines() {
            trace::line(|| line.to_owned());
            tail.push(line);
        }
        self.check(out.status, &tail)?;
        Ok(out.stdout)
    }

    /// Starts the command with the given streams and leaves it to the caller; [`Running::finish`] checks it.
    ///
    /// # Errors
    /// The command did not start.
    pub fn spawn(&self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Running> {
        let child = self
            .command()
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .map_err(|e| self.not_started(&e))?;
        Ok(Running { cmd: self.clone(), child })
    }

    /// Every way of starting comes through here.
    fn command(&self) -> Command {
        trace::line(|| match &self.cwd {
            Some(cwd) => format!("$ {} (in {})", self.display(), cwd.display()),
            None => format!("$ {}", self.display()),
        });
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().envs(&self.env).env("PATH", self.search_path());
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        let parent = rustix::process::getpid();
        #[expect(unsafe_code, reason = "pre_exec is the only hook between fork and exec")]
        // SAFETY: the closure makes two system calls, both async-signal-safe; it does not allocate or lock.
        unsafe {
            command.pre_exec(move || {
                death_with_parent()?;
                if rustix::process::getppid() != Some(parent) {
                    // The parent died between fork and the call above; nobody would ever signal us.
                    return Err(std::io::Error::other("the parent process is gone"));
                }
                Ok(())
            });
        }
        command
    }

    fn search_path(&self) -> OsString {
        let host = std::env::var_os("PATH").unwrap_or_default();
        let mut dirs = self.path_first.clone();
        dirs.extend(std::env::split_paths(&host));
        // mkfs.xfs, sgdisk and depmod live in sbin, which Debian leaves out of an ordinary user's PATH.
        for dir in ["/usr/local/sbin", "/usr/sbin", "/sbin"] {
            if !dirs.iter().any(|d| d == Path::new(dir)) {
                dirs.push(dir.into());
            }
        }
        std::env::join_paths(dirs).unwrap_or(host)
    }

    fn not_started(&self, e: &std::io::Error) -> Failure {
        let program = self.program.to_string_lossy();
        let failure = Failure::new(format!("cannot start `{program}`")).why(e);
        if e.kind() == std::io::ErrorKind::NotFound {
            failure.hint(
                "`cargo xtask doctor` lists the tools that are missing, `cargo xtask setup` installs them",
            )
        } else {
            failure
        }
    }

    fn check(&self, status: ExitStatus, tail: &Tail) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with status {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "ended in an unknown way".to_owned(),
        };
        let mut failure = Failure::new(format!("`{}` {how}", self.program.to_string_lossy()))
            .why(format!("command: {}", self.display()));
        if let Some(cwd) = &self.cwd {
            failure = failure.why(format!("in: {}", cwd.display()));
        }
        for line in tail.lines() {
            failure = failure.why(format!("| {line}"));
        }
        if let Some(log) = &self.log {
            failure = failure.hint(format!("the whole output is in `{}`", log.display()));
        }
        Err(failure)
    }
}

/// Variables that cargo sets for the package whose program or test it runs.
fn is_of_cargo_run(name: &str) -> bool {
    const PREFIXES: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    name == "CARGO_PRIMARY_PACKAGE" || name == "OUT_DIR" || PREFIXES.iter().any(|p| name.starts_with(p))
}

/// A started command.
pub struct Running {
    cmd: Cmd,
    /// The process; its piped streams are taken from here.
    pub child: Child,
}

impl Running {
    /// Waits for the end and checks the status; a piped standard error that was not taken is quoted.
    ///
    /// # Errors
    /// Exit status other than 0, or killed by a signal.
    pub fn finish(mut self) -> Result<()> {
        let mut tail = Tail::default();
        if let Some(stderr) = self.child.stderr.take() {
            read_lines(stderr, |line| {
                trace::line(|| line.to_owned());
                tail.push(line);
            });
        }
        let status = self.child.wait()?;
        self.cmd.check(status, &tail)
    }
}

/// The lines a failure quotes: what looks like an error, then the end.
#[derive(Default)]
struct Tail {
    errors: Vec<String>,
    last: VecDeque<String>,
}

impl Tail {
    fn push(&mut self, line: &str) {
        let looks_wrong = line.contains("error:") || line.contains("Error:") || line.starts_with("ERROR");
        if looks_wrong && self.errors.len() < ERROR_LINES {
            self.errors.push(line.to_owned());
        }
        if self.last.len() == TAIL_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    fn lines(&self) -> impl Iterator<Item = &String> {
        self.errors.iter().filter(|e| !self.last.contains(e)).chain(&self.last)
    }
}

fn read_lines(reader: impl Read, mut each: impl FnMut(&str)) {
    let mut reader = BufReader::new(reader);
    let mut buffer = Vec::new();
    // A read error means that the other side is gone; the exit status then tells the story.
    while matches!(reader.read_until(b'\n', &mut buffer), Ok(n) if n > 0) {
        each(String::from_utf8_lossy(&buffer).trim_end_matches(['\n', '\r']));
        buffer.clear();
    }
}

/// CPU time, in seconds, of all child processes that have ended and were waited for, with their descendants.
///
/// # Errors
/// `/proc/self/stat` is not there or not in its form.
pub fn children_cpu_seconds() -> Result<f64> {
    // User and system time of children in proc_pid_stat(5), fields 16 and 17. The second field, the program's name
    // in parentheses, may contain spaces, so counting starts after it, at field 3.
    let stat = fs_err::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>());
    let ticks = fields
        .filter(|f| f.len() > 14)
        .and_then(|f| Some(f[13].parse::<u32>().ok()? + f[14].parse::<u32>().ok()?));
    // USER_HZ is 100 on every machine that Rust's hosts run on (`include/asm-generic/param.h`).
    ticks.map(|t| f64::from(t) / 100.0).ok_or_else(|| Failure::new("`/proc/self/stat` has an unknown form"))
}

/// Makes this process die (SIGTERM) when its parent does.
///
/// A build script calls it first: SIGTERM to cargo alone would otherwise leave the script and its `make`
/// running as orphans.
///
/// # Errors
/// The system call failed.
pub fn die_with_parent() -> Result<()> {
    death_with_parent().map_err(Failure::from)
}

/// SIGTERM and not SIGKILL: make then ends its own children before it goes. Elsewhere than on Linux, where nothing is
/// built, a command outlives a parent that was killed.
fn death_with_parent() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lines(Vec<String>);
    impl LineSink for Lines {
        fn line(&mut self, line: &str) {
            self.0.push(line.to_owned());
        }
    }

    #[test]
    fn environment_is_clean_and_dated() {
        let out = Cmd::new("env").output().expect("env runs");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("SOURCE_DATE_EPOCH=1735689600"), "{text}");
        assert!(!text.contains("CARGO_"), "{text}");
    }

    #[test]
    fn a_nested_cargo_does_not_see_this_package() {
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "cargo runs this test");
        let out = Cmd::with_callers_env("env").output().expect("env runs");
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(!text.contains("CARGO_MANIFEST_DIR=") && !text.contains("CARGO_PKG_NAME="), "{text}");
        assert!(text.contains("PATH="), "{text}");
    }

    #[test]
    fn the_time_of_children_is_counted() {
        let before = children_cpu_seconds().expect("stat");
        Cmd::new("sh")
            .args(["-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"])
            .output()
            .expect("runs");
        assert!(children_cpu_seconds().expect("stat") > before);
    }

    #[test]
    fn joins_both_outputs() {
        let mut lines = Lines(Vec::new());
        Cmd::new("sh").args(["-c", "echo one; echo two >&2"]).run(&mut lines).expect("runs");
        assert_eq!(lines.0, ["one", "two"]);
    }

    #[test]
    fn three_kinds_of_failure() {
        let missing = Cmd::new("no-such-tool-here").output().expect_err("does not exist");
        assert!(missing.to_string().contains("cannot start `no-such-tool-here`"), "{missing}");
        assert!(missing.to_string().contains("hint: `cargo xtask doctor`"), "{missing}");
        let status = Cmd::new("sh").args(["-c", "echo broke >&2; exit 3"]).output().expect_err("exits 3");
        assert!(status.to_string().contains("ended with status 3"), "{status}");
        assert!(status.to_string().contains("| broke"), "{status}");
        let killed = Cmd::new("sh").args(["-c", "kill -9 $$"]).output().expect_err("killed");
        assert!(killed.to_string().contains("was killed by signal 9"), "{killed}");
    }

    #[test]
    fn an_early_error_line_is_quoted_with_the_tail() {
        let script = "echo 'x.c:1: error: early'; i=0; while [ $i -lt 50 ]; do echo noise $i; i=$((i+1)); done; exit 2";
        let failure = Cmd::new("sh").args(["-c", script]).run(&mut Quiet).expect_err("exits 2").to_string();
        assert!(failure.contains("error: early") && failure.contains("noise 49"), "{failure}");
        assert!(!failure.contains("noise 20\n"), "{failure}");
    }

    #[test]
    fn a_child_dies_with_the_thread_that_started_it() {
        use std::os::unix::process::ExitStatusExt;
        // The kernel ties the death signal to the parent thread, so a thread that ends stands in for a
        // parent process that is killed.
        let mut running = std::thread::spawn(|| {
            Cmd::new("sleep")
                .arg("60")
                .spawn(Stdio::null(), Stdio::null(), Stdio::null())
                .map_err(|e| e.to_string())
        })
        .join()
        .expect("thread")
        .expect("starts");
        let status = running.child.wait().expect("ends at once");
        assert_eq!(status.signal(), Some(15));
    }
}
