// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A session on a pair of pseudo-terminals: the other end is a board that plays a recorded log at its own rate, and
//! noise at any other.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use boot_log::{Rules, Stage};
use rustix::ioctl::{Getter, Setter, ioctl, opcode};
use rustix::termios::tcgetattr;
use serial_monitor::{Ends, Port, Settings, Watch, run};

/// The controlling end, and the path of the other.
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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boot-log/tests").join(name);
    std::fs::read(path).expect("log")
}

/// Plays `log` once the rate is right, noise before. Returns what it was sent.
fn board(mut end: File, rate: u32, log: Vec<u8>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let noise = [0x00, 0xfe, 0x80, b'a', 0xc0, 0x00, 0xf8, b'b'].repeat(8);
        let begin = Instant::now();
        while tcgetattr(&end).expect("rate").output_speed() != rate {
            assert!(begin.elapsed() < Duration::from_secs(20), "nobody set {rate} baud");
            end.write_all(&noise).expect("sent");
            std::thread::sleep(Duration::from_millis(30));
        }
        for piece in log.chunks(100) {
            end.write_all(piece).expect("sent");
        }
        // One key, as the session below presses it.
        let mut typed = vec![0; 5];
        end.read_exact(&mut typed).expect("typed");
        std::thread::sleep(Duration::from_millis(1500));
        typed
    })
}

/// The session's screen, talk, log, end and how far the boot got.
fn session(rate: u32, log: &str) -> (Vec<u8>, String, Vec<u8>, Ends, Option<Stage>) {
    let rules = Rules::builtin();
    let (board_end, path) = pair();
    let mut port = Port::open(&path, 1_500_000).expect("port");
    let player = board(board_end, rate, corpus(log));
    let mut watch = Watch::new(&rules, Settings { stall: Duration::from_millis(400), ..Settings::default() });
    let (keys, typed) = channel();
    let (mut screen, mut talk, mut file) = (Vec::new(), Vec::new(), Vec::new());
    keys.send(b"help\r".to_vec()).expect("typed");
    let limit = Some(Duration::from_secs(3));
    let ends =
        run(&mut port, &mut watch, &typed, limit, &mut screen, &mut talk, Some(&mut file)).expect("ran");
    let diagnosis = watch.finish();
    assert_eq!(player.join().expect("board"), b"help\r", "the keyboard reaches the board");
    (screen, String::from_utf8_lossy(&talk).into_owned(), file, ends, diagnosis.reached)
}

#[test]
fn a_complete_boot_at_the_boards_rate() {
    let (screen, talk, file, _, reached) = session(1_500_000, "other/complete.log");
    assert_eq!(reached, Some(Stage::Ready), "{talk}");
    assert!(screen == corpus("other/complete.log") && file == screen, "every byte is shown and kept");
    for stage in ["DDR init", "U-Boot SPL", "BL31", "GRUB", "kernel", "userland", "ready"] {
        assert!(talk.contains(stage), "{stage}: {talk}");
    }
    assert!(!talk.contains("trying"), "{talk}");
}

#[test]
fn another_rate_is_found_and_a_boot_that_hangs_is_diagnosed_while_it_hangs() {
    let (_, talk, file, _, reached) = session(115_200, "corpus/ddr-hangs.log");
    assert!(talk.contains("no text at 1500000 baud; trying 115200"), "{talk}");
    assert_eq!(reached, Some(Stage::Ddr), "{talk}");
    assert!(talk.contains("nothing for") && talk.contains("ddr-hangs"), "{talk}");
    assert!(file.len() > corpus("corpus/ddr-hangs.log").len(), "the noise is in the log, too");
}

#[test]
fn the_escape_key_ends_it_and_an_adapter_that_is_pulled_out_is_named() {
    let rules = Rules::builtin();
    let (mut end, path) = pair();
    let mut port = Port::open(&path, 1_500_000).expect("port");
    let mut watch = Watch::new(&rules, Settings::default());
    let (keys, typed) = channel();
    keys.send(b"ab\x1dcd".to_vec()).expect("typed");
    let mut sink = Vec::new();
    let mut go = |port: &mut Port| {
        run(port, &mut watch, &typed, None, &mut std::io::sink(), &mut sink, None).expect("ran")
    };
    assert_eq!(go(&mut port), Ends::Typed);
    let mut sent = [0; 2];
    end.read_exact(&mut sent).expect("sent");
    assert_eq!(&sent, b"ab", "what follows the escape key is not sent");
    drop(end);
    assert!(matches!(go(&mut port), Ends::Gone(_)));
}
