// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A machine made of a temporary folder and answers written down beforehand. Tests only.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use tempfile::TempDir;

use crate::machine::{Amount, Machine, Ops, RtcTime, TopicEnd};
use crate::report::Report;

/// Called with the file name of a module that was loaded.
type LoadHook = Box<dyn Fn(&str)>;
/// Called with the time after a pause.
type PauseHook = Box<dyn Fn(Duration)>;

/// Answers of the operations, and what was asked.
#[derive(Default)]
pub struct FakeOps {
    /// Answer per module file name; a file that is not listed loads.
    pub module_answers: RefCell<BTreeMap<String, Errno>>,
    /// File names of modules in the order they were given to the kernel.
    pub loaded: RefCell<Vec<String>>,
    /// Modules unloaded.
    pub unloaded: RefCell<Vec<String>>,
    /// Kernel message that a file's loading leaves.
    pub messages: RefCell<BTreeMap<String, String>>,
    pending: RefCell<Vec<String>>,
    /// What topics leave behind; one that is not listed prints nothing.
    pub topics: RefCell<BTreeMap<String, TopicEnd>>,
    /// Answer for every device read.
    pub amount: Cell<Option<Result<Amount, Errno>>>,
    /// Answers of the clock, one per read; the last one stays.
    pub rtc: RefCell<VecDeque<Result<RtcTime, Errno>>>,
    /// Answer of the random generator.
    pub random: Cell<Option<Result<u8, Errno>>>,
    /// Address of every interface.
    pub ipv4: Cell<Option<(Ipv4Addr, u8)>>,
    /// Interfaces raised.
    pub raised: RefCell<Vec<String>>,
    /// Called when a module loads: a driver may bring up devices.
    pub on_load: RefCell<Option<LoadHook>>,
    /// Called after a pause: devices appear while nothing is done.
    pub on_pause: RefCell<Option<PauseHook>>,
    /// Time that loading one file takes.
    pub load_time: Cell<Duration>,
    clock: Cell<Duration>,
}

impl Ops for FakeOps {
    fn load_module(&self, file: &Path) -> Result<(), Errno> {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        self.loaded.borrow_mut().push(name.clone());
        self.pending.borrow_mut().extend(self.messages.borrow().get(&name).cloned());
        self.clock.set(self.clock.get() + self.load_time.get());
        if let Some(errno) = self.module_answers.borrow().get(&name) {
            return Err(*errno);
        }
        if let Some(hook) = &*self.on_load.borrow() {
            hook(&name);
        }
        Ok(())
    }

    fn kernel_messages(&self) -> Result<Vec<String>, Errno> {
        Ok(self.pending.take())
    }

    fn run_topic(&self, topic: &str, _limit: Duration) -> TopicEnd {
        self.topics.borrow().get(topic).cloned().unwrap_or_default()
    }

    fn unload_module(&self, name: &str) -> Result<(), Errno> {
        self.unloaded.borrow_mut().push(name.to_owned());
        Ok(())
    }

    fn read_device(&self, _device: &Path, _limit: Duration) -> Result<Amount, Errno> {
        self.amount.get().expect("the test sets what a device read gives")
    }

    fn random(&self, _device: &Path, bytes: &mut [u8], _limit: Duration) -> Result<(), Errno> {
        let step = self.random.get().expect("the test sets what the generator gives")?;
        let mut value = 7_u8;
        for byte in bytes {
            *byte = value;
            value = value.wrapping_add(step);
        }
        Ok(())
    }

    fn read_rtc(&self, _device: &Path) -> Result<RtcTime, Errno> {
        let mut answers = self.rtc.borrow_mut();
        if answers.len() > 1 {
            answers.pop_front().expect("not empty")
        } else {
            *answers.front().expect("the test sets what the clock gives")
        }
    }

    fn raise_link(&self, interface: &str) -> Result<(), Errno> {
        self.raised.borrow_mut().push(interface.to_owned());
        Ok(())
    }

    fn ipv4(&self, _interface: &str) -> Option<(Ipv4Addr, u8)> {
        self.ipv4.get()
    }

    fn now(&self) -> Duration {
        self.clock.get()
    }

    fn pause(&self, time: Duration) {
        self.clock.set(self.clock.get() + time);
        if let Some(hook) = &*self.on_pause.borrow() {
            hook(self.clock.get());
        }
    }
}

/// A made-up machine.
pub struct Fixture {
    dir: TempDir,
    /// Its operations.
    pub ops: FakeOps,
}

impl Fixture {
    /// An empty machine.
    pub fn new() -> Self {
        Fixture { dir: tempfile::tempdir().expect("a temporary folder"), ops: FakeOps::default() }
    }

    /// Writes a file with its folders.
    pub fn file(&self, path: &str, text: &str) {
        let path = self.machine().path(path);
        fs::create_dir_all(path.parent().expect("has a folder")).expect("folders");
        fs::write(path, text).expect("file");
    }

    /// Makes a link with its folders.
    pub fn link(&self, path: &str, target: &str) {
        let path = self.machine().path(path);
        fs::create_dir_all(path.parent().expect("has a folder")).expect("folders");
        symlink(target, path).expect("link");
    }

    /// The machine.
    pub fn machine(&self) -> Machine<'_> {
        Machine::new(self.dir.path(), &self.ops)
    }

    /// The lines that a check reports, without the leading word.
    pub fn lines(&self, check: impl FnOnce(&Machine<'_>, &mut Report<'_>)) -> Vec<String> {
        let mut lines = Vec::new();
        let mut print =
            |line: &str| lines.push(line.strip_prefix("BRINGUP ").expect("the prefix").to_owned());
        check(&self.machine(), &mut Report::new(&mut print));
        lines
    }
}
