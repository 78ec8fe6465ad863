// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs a test in a process of its own without root's powers, even when the tests run as root: root would hide
//! that a tool needs them. In its own process a test can also be given a tool that misbehaves.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use fs_err as fs;
use fw_build::run::Cmd;

/// Set in the process that the test is to run in.
const MARK: &str = "FW_TEST_UNPRIVILEGED";
/// `nobody`: owns nothing on the machine.
const NOBODY: u32 = 65534;

/// Runs `body` in a copy of this program that runs the test `test_name` only.
pub fn unprivileged(test_name: &str, body: impl FnOnce()) {
    unprivileged_with(test_name, &[], body);
}

/// As [`unprivileged`]; `tools` are shell scripts by name that come first on `PATH`.
pub fn unprivileged_with(test_name: &str, tools: &[(&str, &str)], body: impl FnOnce()) {
    let root = rustix::process::geteuid().is_root();
    if std::env::var_os(MARK).is_some() {
        assert!(!root, "`setpriv` did not drop root");
        return body();
    }
    let dir = tempfile::tempdir().expect("folder");
    set_mode(dir.path(), 0o755);
    let program = dir.path().join("test-program");
    // A copy: the build folder may lie where only root may look.
    install(&std::env::current_exe().expect("path of this program"), &program);
    let (home, bin) = (dir.path().join("home"), dir.path().join("bin"));
    fs::create_dir(&home).expect("folder");
    fs::create_dir(&bin).expect("folder");
    set_mode(&bin, 0o755);
    for (name, script) in tools {
        let real = which::which(name).expect("the real tool");
        let text = format!("#!/bin/sh\nREAL={}\n{script}\n", real.display());
        let draft = dir.path().join("draft");
        fs::write(&draft, text).expect("script");
        install(&draft, &bin.join(name));
    }
    let cmd = if root {
        chown(&home, Some(NOBODY), Some(NOBODY)).expect("owner");
        let id = NOBODY.to_string();
        let setpriv = Cmd::new("setpriv");
        setpriv.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--no-new-privs"]).arg(&program)
    } else {
        Cmd::new(&program)
    };
    let output = cmd
        .args(["--exact", test_name, "--nocapture", "--test-threads", "1"])
        .env(MARK, "1")
        .env("HOME", &home)
        .env("TMPDIR", &home)
        .path_first(&bin)
        .cwd(&home)
        .output()
        .unwrap_or_else(|failure| panic!("in a process of its own:\n{failure}"));
    let output = String::from_utf8_lossy(&output);
    // A name that matches nothing would pass too.
    assert!(output.contains("test result: ok. 1 passed; 0 failed; 0 ignored"), "{output}");
}

/// Copies a program in a process of its own. Were it written here, another test's child could hold it open for
/// writing between fork and exec, and starting it would fail with "text file busy".
fn install(from: &Path, to: &Path) {
    Cmd::new("install").args(["-m", "755"]).arg(from).arg(to).output().expect("installs");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode");
}
