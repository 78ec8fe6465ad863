// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What every verb must do at a prompt and in a pipe.

use std::process::{Command, Output, Stdio};

fn xtask(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(args).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs it with an output whose reader is gone before the first line.
fn into_a_closed_pipe(args: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = xtask(args).stdout(writer).stderr(Stdio::piped()).spawn().expect("started");
    child.wait_with_output().expect("ended")
}

#[test]
fn a_reader_that_has_seen_enough_ends_every_verb_without_a_word() {
    for args in [
        &["diagnose", "--rules"][..],
        &["inspect", "--kinds"],
        &["completions", "bash"],
        &["flash", "--list"],
        &["--help"],
    ] {
        let Output { status, stderr, .. } = into_a_closed_pipe(args);
        assert_eq!(text(&stderr), "", "{args:?}");
        // clap prints its help by itself, and takes a reader that is gone for done.
        let code = if args == ["--help"] { 0 } else { 141 };
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn nothing_is_coloured_where_no_terminal_is() {
    for args in [&["diagnose", "--rules"][..], &["--help"], &["nonsense"], &["recover", "lst"]] {
        let out = xtask(args).output().expect("ran");
        let all = text(&out.stdout) + &text(&out.stderr);
        assert!(!all.contains('\x1b'), "{args:?}: {all}");
    }
}

#[test]
fn verbose_shows_each_command_where_it_starts() {
    let commands = |args: &[&str]| {
        let out = xtask(args).output().expect("ran");
        assert!(!text(&out.stdout).lines().any(|l| l.starts_with("$ ")), "data and talk are apart");
        text(&out.stderr).lines().filter(|l| l.starts_with("$ ")).count()
    };
    assert_eq!(commands(&["doctor"]), 0);
    assert!(commands(&["doctor", "--verbose"]) > 0);
    assert!(commands(&["-v", "doctor"]) > 0);
    let out = xtask(&["doctor", "-q", "-v"]).output().expect("ran");
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
}

#[test]
fn a_mistyped_word_gets_the_one_that_was_meant() {
    for (args, meant) in [
        (&["recovr"][..], "recover"),
        (&["recover", "erase-loder"], "erase-loader"),
        (&["recover", "info", "--medum", "emmc"], "--medium"),
        (&["recover", "info", "--medium", "emc"], "emmc"),
        (&["image", "--kernel", "lts-6.81"], "lts-6.18"),
        (&["image", "--userland", "bring-up"], "bringup"),
        (&["simulate", "--fault", "nonsense"], "fault"),
    ] {
        let out = xtask(args).output().expect("ran");
        let stderr = text(&out.stderr);
        assert!(stderr.contains(meant), "{args:?}: {stderr}");
        assert!(matches!(out.status.code(), Some(1 | 2)), "{args:?}");
    }
}

#[test]
fn without_a_board_recover_says_what_to_press_or_what_the_machine_lacks() {
    for args in [&["recover", "list"][..], &["recover", "info"], &["recover", "backup", "never-written.bin"]]
    {
        let out = xtask(args).output().expect("ran");
        let stderr = text(&out.stderr);
        // A developer's machine may have a board; then there is nothing to see here.
        if out.status.success() {
            continue;
        }
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        assert!(stderr.contains("MASK key") || stderr.contains("needs its host's USB"), "{args:?}: {stderr}");
        assert!(!std::path::Path::new("never-written.bin").exists());
    }
}
