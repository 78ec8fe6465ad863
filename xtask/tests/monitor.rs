// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The verb on a pair of pseudo-terminals: a log as the board gives it, a signal, a cable that is pulled, and a keyboard
//! whose Ctrl-C goes to the board.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::ioctl::{Getter, Setter, ioctl, opcode};
use rustix::process::{Pid, Signal, kill_process};

/// The board's end, and the path of the port.
fn pair() -> (File, PathBuf) {
    let board = OpenOptions::new().read(true).write(true).open("/dev/ptmx").expect("pseudo-terminals");
    /// `TIOCSPTLCK` and `TIOCGPTN` of Linux's `asm-generic/ioctls.h`.
    const UNLOCK: rustix::ioctl::Opcode = opcode::write::<i32>(b'T', 0x31);
    const NUMBER: rustix::ioctl::Opcode = opcode::read::<u32>(b'T', 0x30);
    #[expect(unsafe_code, reason = "rustix's own wrappers are behind a feature that nothing else needs")]
    // SAFETY: both take or give one 32-bit number, of the type given here.
    let number = unsafe {
        ioctl(&board, Setter::<UNLOCK, i32>::new(0)).expect("unlocked");
        ioctl(&board, Getter::<NUMBER, u32>::new()).expect("number")
    };
    (board, PathBuf::from(format!("/dev/pts/{number}")))
}

fn corpus(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/boot-log/tests").join(name);
    std::fs::read(path).expect("log")
}

/// Starts the verb and waits until it has the port: what is sent before is lost.
fn start(port: &Path, log: &Path) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["monitor", "--log"])
        .args([log, port])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut talk = BufReader::new(child.stderr.take().expect("piped"));
    let mut first = String::new();
    talk.read_line(&mut first).expect("a line");
    assert!(first.contains("at 1500000 baud"), "{first}");
    (child, talk)
}

/// Plays a log, and takes as many bytes from the screen, so that all of it was seen.
fn play(board: &mut File, child: &mut Child, log: &[u8]) -> Vec<u8> {
    let mut shown = vec![0; log.len()];
    let screen = child.stdout.as_mut().expect("piped");
    for (piece, place) in log.chunks(500).zip(shown.chunks_mut(500)) {
        board.write_all(piece).expect("sent");
        screen.read_exact(place).expect("shown");
    }
    shown
}

fn rest(mut talk: BufReader<std::process::ChildStderr>) -> String {
    let mut text = String::new();
    talk.read_to_string(&mut text).expect("text");
    text
}

#[test]
fn a_signal_ends_it_with_the_diagnosis_and_the_log_is_whole() {
    let dir = tempfile::tempdir().expect("folder");
    let (mut board, port) = pair();
    let log = dir.path().join("boot.log");
    let (mut child, talk) = start(&port, &log);
    let console = corpus("other/complete.log");
    assert!(play(&mut board, &mut child, &console) == console);
    kill_process(Pid::from_child(&child), Signal::INT).expect("sent");
    let status = child.wait().expect("ends");
    let talk = rest(talk);
    assert_eq!(status.code(), Some(0), "{talk}");
    assert!(talk.contains("the boot is complete") && talk.contains("kernel took"), "{talk}");
    assert!(std::fs::read(&log).expect("log") == console);
}

#[test]
fn a_cable_that_is_pulled_is_named_with_what_was_seen_until_then() {
    let dir = tempfile::tempdir().expect("folder");
    let (mut board, port) = pair();
    let log = dir.path().join("boot.log");
    let (mut child, talk) = start(&port, &log);
    let console = corpus("corpus/ddr-hangs.log");
    play(&mut board, &mut child, &console);
    drop(board);
    let status = child.wait().expect("ends");
    let talk = rest(talk);
    assert_eq!(status.code(), Some(1), "{talk}");
    assert!(talk.contains("ddr-hangs") && talk.contains("is gone") && talk.contains("hint:"), "{talk}");
    assert!(std::fs::read(&log).expect("log") == console);
}

#[test]
fn at_a_terminal_every_key_goes_to_the_board_but_one() {
    let (mut board, port) = pair();
    let command = format!("'{}' monitor '{}'", env!("CARGO_BIN_EXE_xtask"), port.display());
    let mut child = Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of package bsdutils, starts");
    let mut screen = BufReader::new(child.stdout.take().expect("piped"));
    let mut first = String::new();
    screen.read_line(&mut first).expect("a line");
    assert!(first.contains("at 1500000 baud"), "{first}");
    // The port is opened before the terminal is raw: the board's word is shown when it is.
    board.write_all(b"=> ").expect("sent");
    let mut prompt = [0; 3];
    screen.read_exact(&mut prompt).expect("shown");
    assert_eq!(&prompt, b"=> ");
    let mut keyboard = child.stdin.take().expect("piped");
    keyboard.write_all(b"\x03\x1a\rhelp").expect("typed");
    let mut typed = [0; 7];
    board.read_exact(&mut typed).expect("arrives");
    assert_eq!(&typed, b"\x03\x1a\rhelp");
    keyboard.write_all(&[0x1d]).expect("typed");
    let status = child.wait().expect("ends");
    let mut shown = String::new();
    screen.read_to_string(&mut shown).expect("text");
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(shown.contains("not recognised"), "{shown}");
}
