// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the engine does when processes are killed, race, or run as cargo's build scripts.
//!
//! The other processes are this test program, started again for the same test with a role in its environment. A
//! process says how far it is by files in a folder; waits look at them and are bounded.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use fw_build::key::KeyInputs;
use fw_build::run::{Cmd, Quiet, die_with_parent};
use fw_build::stage::{Inputs, StageSpec};
use fw_build::stage_main;
use fw_build::store::{Built, Entry, Origin, Store};
use rustix::process::{Pid, Signal, kill_process};

/// What a started process is; absent in the test itself.
const ROLE: &str = "FW_TEST_PROCESS_ROLE";
/// The folder that a test shares with its processes.
const DIR: &str = "FW_TEST_PROCESS_DIR";

/// Longer than any step takes on a busy machine; whoever waits goes on as soon as it may.
const PATIENCE: Duration = Duration::from_secs(10);

/// Name of the made-up stage.
const STAGE: &str = "made-up";

/// A started process, killed at the latest when the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn signal(&mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("process is there");
        self.0.wait().expect("process ends");
    }
}

/// This program again, to run only `test`, in a role.
fn again(test: &str, role: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.args(["--exact", test, "--nocapture"]).env(ROLE, role).env(DIR, dir);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn start(test: &str, role: &str, dir: &Path) -> Process {
    Process(again(test, role, dir).spawn().expect("own program starts"))
}

/// Takes the role that this process has; `false` in the test itself.
fn took_a_role() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    match role.as_str() {
        "halting builder" => halting_builder(),
        "racing builder" => racing_builder(),
        "parent" => run_long_command(|cmd| cmd.run(&mut Quiet)),
        "cargo" => cargo_with_a_long_stage(),
        "long stage" => stage_main(long_stage),
        "stage" => between_marks(|| stage_main(small_stage)),
        "stage with patch" => between_marks(|| stage_main(stage_with_patch)),
        other => panic!("no role `{other}`"),
    }
    true
}

fn shared_dir() -> PathBuf {
    std::env::var_os(DIR).expect("folder of the test").into()
}

/// Waits until `done` gives something.
#[track_caller]
fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn exists(path: &Path) -> Option<()> {
    path.exists().then_some(())
}

fn inputs() -> KeyInputs {
    let mut inputs = KeyInputs::default();
    inputs.add("x", "1").expect("once");
    inputs
}

fn outputs() -> [(String, PathBuf); 1] {
    [("file".to_owned(), "f".into())]
}

fn content(entry: &Entry) -> String {
    fs::read_to_string(entry.path("file").expect("role")).expect("output")
}

// --- A builder that is killed ------------------------------------------------------------------------------

fn halting_builder() {
    die_with_parent().expect("system call");
    let dir = shared_dir();
    let store = Store::at(dir.join("store")).expect("store");
    let halt = |work: &Path| {
        fs::write(work.join("out/f"), "half")?;
        fs::write(work.join("out/stray"), "of the first builder")?;
        fs::write(work.join("built"), "a tool's stamp: nothing to do")?;
        fs::write(dir.join("half-way"), "")?;
        loop {
            std::thread::park();
        }
    };
    store.ensure(STAGE, &inputs(), &outputs(), || (), halt).expect("killed before it returns");
}

#[test]
fn a_killed_builder_leaves_nothing_to_trust_and_the_next_run_builds() {
    if took_a_role() {
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    let mut builder = start(
        "a_killed_builder_leaves_nothing_to_trust_and_the_next_run_builds",
        "halting builder",
        dir.path(),
    );
    wait_for("the builder to be half-way", || exists(&dir.path().join("half-way")));
    let store = Store::at(dir.path().join("store")).expect("store");
    let key = inputs().key();
    assert!(store.lookup(STAGE, &key).is_none(), "visible before it is complete");
    builder.signal(Signal::KILL);

    assert!(store.lookup(STAGE, &key).is_none(), "half a result is trusted");
    assert!(!store.entry_dir(STAGE, &key).exists(), "half a result is where results are");
    assert!(
        store.last_inputs(STAGE).is_none(),
        "`cargo xtask why` would compare with a build that never was"
    );

    let build = |work: &Path| {
        let left: Vec<PathBuf> = fw_build::key::files_below(work)?;
        assert!(left.is_empty(), "the killed builder's files are in the next one's folder: {left:?}");
        fs::write(work.join("out/f"), "whole")?;
        Ok(Built::default())
    };
    let free = || panic!("the dead builder's lock is still held");
    let (entry, origin) = store.ensure(STAGE, &inputs(), &outputs(), free, build).expect("builds");
    assert_eq!((origin, content(&entry).as_str()), (Origin::Built, "whole"));
    entry.verify().expect("digests are right");
    assert!(!entry.dir.join("stray").exists());
}

// --- Two builders of one key -------------------------------------------------------------------------------

/// Builds, but not before the other one waits for it.
fn racing_builder() {
    die_with_parent().expect("system call");
    let dir = shared_dir();
    let store = Store::at(dir.join("store")).expect("store");
    let waiting = || fs::write(dir.join("waiting"), "").expect("mark");
    let build = |work: &Path| {
        let mut builds = fs::OpenOptions::new().create(true).append(true).open(dir.join("builds"))?;
        // One write, so that two builders give two lines.
        builds.write_all(format!("{}\n", std::process::id()).as_bytes())?;
        wait_for("the other builder to wait", || exists(&dir.join("waiting")));
        fs::write(work.join("out/f"), "made once")?;
        Ok(Built::default())
    };
    let (entry, origin) = store.ensure(STAGE, &inputs(), &outputs(), waiting, build).expect("an entry");
    assert_eq!(content(&entry), "made once");
    fs::write(dir.join(format!("{origin:?}")), "").expect("mark");
}

#[test]
fn two_processes_that_race_for_one_key_build_once() {
    if took_a_role() {
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    let test = "two_processes_that_race_for_one_key_build_once";
    let mut racers = [(); 2].map(|()| start(test, "racing builder", dir.path()));
    // What a racer itself waits for is bounded.
    let ended = racers.each_mut().map(|r| r.0.wait().expect("ends").success());
    let builds = fs::read_to_string(dir.path().join("builds")).expect("somebody built");
    assert_eq!(builds.lines().count(), 1, "built by the processes {builds:?}");
    assert_eq!(ended, [true, true]);
    for origin in [Origin::Built, Origin::Cached] {
        assert!(dir.path().join(format!("{origin:?}")).exists(), "no racer got its entry as {origin:?}");
    }
}

// --- Children of a parent that is killed -------------------------------------------------------------------

/// A shell that writes its process id and becomes a `sleep`, longer than any wait here.
fn run_long_command(run: impl FnOnce(&Cmd) -> fw_build::Result<()>) {
    let script = r#"echo $$ > "$1.new" && mv "$1.new" "$1" && exec sleep 60"#;
    let cmd = Cmd::new("sh").args(["-c", script, "sh"]).arg(shared_dir().join("pid"));
    run(&cmd).expect("killed before it returns");
}

/// As cargo does: starts a build script without any care for how it ends.
fn cargo_with_a_long_stage() {
    let dir = shared_dir();
    let mut script =
        stage("a_stage_and_its_command_die_with_cargo", "long stage", &dir, "full").spawn().expect("starts");
    script.wait().expect("killed before it returns");
}

fn long_stage(_: &Inputs) -> fw_build::Result<StageSpec> {
    let spec = StageSpec::new(STAGE, 1)?;
    Ok(spec.recipe(|cx| {
        run_long_command(|cmd| cx.run(cmd.clone()));
        Ok(())
    }))
}

/// The process runs: it is there, not a zombie, and not another one with the same number.
fn runs(pid: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // `pid (name) state …`
    let alive = |name: &str| {
        stat.split_once(&format!("({name}) ")).is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    };
    alive("sh") || alive("sleep")
}

#[track_caller]
fn long_command_dies_with(mut process: Process, dir: &Path, signal: Signal) {
    let pid = wait_for("the command to start", || fs::read_to_string(dir.join("pid")).ok());
    let pid = pid.trim();
    assert!(runs(pid), "the command ended by itself");
    process.signal(signal);
    wait_for("the command to die", || (!runs(pid)).then_some(()));
}

#[test]
fn a_command_dies_with_its_parent() {
    if took_a_role() {
        return;
    }
    for signal in [Signal::KILL, Signal::TERM] {
        let dir = tempfile::tempdir().expect("dir");
        let parent = start("a_command_dies_with_its_parent", "parent", dir.path());
        long_command_dies_with(parent, dir.path(), signal);
    }
}

#[test]
fn a_stage_and_its_command_die_with_cargo() {
    if took_a_role() {
        return;
    }
    for signal in [Signal::KILL, Signal::TERM] {
        let dir = tempfile::tempdir().expect("dir");
        let cargo = start("a_stage_and_its_command_die_with_cargo", "cargo", dir.path());
        long_command_dies_with(cargo, dir.path(), signal);
    }
}

// --- stage_main as a build script --------------------------------------------------------------------------

const BEGIN: &str = "-- begin of the script's output";
const END: &str = "-- end of the script's output";

/// The test harness writes to standard output, too.
fn between_marks(script: impl FnOnce()) {
    println!("\n{BEGIN}");
    script();
    println!("{END}");
}

/// This program as a stage's build script, with the variables that cargo gives it.
fn stage(test: &str, role: &str, dir: &Path, mode: &str) -> Command {
    let mut command = again(test, role, dir);
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    command.env("CARGO_MANIFEST_DIR", crate_dir).env("FW_ROOT", crate_dir.join("../.."));
    // A folder for the status keeps it off the terminal of whoever runs the tests.
    let status = dir.join("status");
    fs::create_dir_all(&status).expect("status folder");
    command.env("FW_BUILD", mode).env("FW_STORE", dir.join("store")).env("FW_STATUS_DIR", status);
    command
}

/// Runs a script and returns the lines that it printed for cargo.
fn lines_of(mut script: Command) -> Vec<String> {
    let out = script.stdout(Stdio::piped()).output().expect("own program starts");
    let text = String::from_utf8(out.stdout).expect("text");
    let inner = text.split_once(&format!("{BEGIN}\n")).and_then(|(_, rest)| rest.split_once(END));
    inner.unwrap_or_else(|| panic!("marks are missing: {text}")).0.lines().map(str::to_owned).collect()
}

fn errors(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|l| l.strip_prefix("cargo::error=")).collect()
}

fn small_stage(_: &Inputs) -> fw_build::Result<StageSpec> {
    let mut spec = StageSpec::new(STAGE, 1)?;
    spec.output("file", "f");
    Ok(spec.recipe(|cx| {
        fs::write(shared_dir().join("recipe-ran"), "")?;
        Ok(fs::write(cx.out().join("f"), "made")?)
    }))
}

#[test]
fn an_unknown_mode_is_refused_and_the_known_ones_are_named() {
    if took_a_role() {
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    let test = "an_unknown_mode_is_refused_and_the_known_ones_are_named";
    let lines = lines_of(stage(test, "stage", dir.path(), "ful"));
    assert_eq!(errors(&lines), ["`FW_BUILD=ful` is not known", "  known: full, skip, cached, explain"]);
    assert!(!dir.path().join("recipe-ran").exists());
    assert!(
        lines.contains(&"cargo::rerun-if-env-changed=FW_BUILD".to_owned()),
        "cargo looks again: {lines:?}"
    );
}

#[test]
fn skip_looks_at_nothing() {
    if took_a_role() {
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    let mut script = stage("skip_looks_at_nothing", "stage", dir.path(), "skip");
    // A workspace without board file and manifests would be an error in any other mode.
    script.env("FW_ROOT", dir.path()).env("FW_STORE", "relative");
    let lines = lines_of(script);
    let (rerun, rest): (Vec<_>, Vec<_>) = lines.iter().partition(|l| l.starts_with("cargo::rerun-if-"));
    assert_eq!(rest, ["cargo::rustc-env=FW_STAGE_DIR="]);
    assert!(rerun.contains(&&"cargo::rerun-if-env-changed=FW_BUILD".to_owned()), "{rerun:?}");
    assert!(!dir.path().join("store").exists() && !dir.path().join("recipe-ran").exists());
}

#[test]
fn cached_fails_on_an_empty_store_and_takes_what_full_built() {
    if took_a_role() {
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    let run = |mode| {
        let test = "cached_fails_on_an_empty_store_and_takes_what_full_built";
        lines_of(stage(test, "stage", dir.path(), mode))
    };
    let ran = dir.path().join("recipe-ran");

    let lines = run("cached");
    let expected = [
        "stage `made-up` is not in the store",
        "  `FW_BUILD=cached` forbids building",
        "hint: `cargo xtask why made-up` says what changed",
    ];
    assert_eq!(errors(&lines), expected);
    assert!(!ran.exists() && !lines.iter().any(|l| l.contains("metadata")), "{lines:?}");

    let full = run("full");
    assert_eq!(errors(&full), [""; 0]);
    assert!(ran.exists());
    fs::remove_file(&ran).expect("mark");

    let cached = run("cached");
    assert_eq!(cached, full, "cargo and the dependants are told the same");
    assert!(!ran.exists());
    let result =
        full.iter().find_map(|l| l.strip_prefix("cargo::metadata=dir=")).expect("dependants get the folder");
    assert_eq!(content(&Entry::load(Path::new(result)).expect("entry")), "made");
}

#[test]
fn who_listens_hears_commands_their_output_and_the_stores_decisions() {
    if took_a_role() {
        return;
    }
    let test = "who_listens_hears_commands_their_output_and_the_stores_decisions";
    let dir = tempfile::tempdir().expect("dir");
    fs::create_dir(dir.path().join("patches")).expect("folder");
    fs::write(dir.path().join("patches/0001-four.patch"), patch("one")).expect("patch");
    let heard = dir.path().join("status").join(fw_build::trace::FILE);
    let script = || {
        let mut script = stage(test, "stage with patch", dir.path(), "full");
        script.env("CARGO_PKG_NAME", STAGE);
        script
    };
    // Nobody asked: the script makes no file of its own.
    let mut nobody = script();
    nobody.env("FW_STORE", dir.path().join("other-store"));
    let unheard = lines_of(nobody);
    assert!(!heard.exists());

    let run = || {
        let script = script();
        fs::write(&heard, "").expect("a listener");
        (lines_of(script), fs::read_to_string(&heard).expect("heard"))
    };
    let (lines, first) = run();
    for wanted in [
        "made-up: store: `made-up` is not there under key ",
        "made-up: $ patch -p1 ",
        "made-up: patching file f",
        "made-up: store: `made-up` was made: ",
    ] {
        assert!(first.lines().any(|l| l.starts_with(wanted)), "no `{wanted}`: {first}");
    }
    assert!(first.lines().all(|l| l.starts_with("made-up: ")), "{first}");
    let keys =
        |lines: &[String]| lines.iter().filter(|l| l.contains("metadata=key")).cloned().collect::<Vec<_>>();
    assert_eq!(keys(&lines), keys(&unheard), "listening changes no key");
    let (_, second) = run();
    assert_eq!(second.lines().count(), 1, "{second}");
    assert!(second.starts_with("made-up: store: `made-up` is there: /"), "{second}");
}

// --- Patches -----------------------------------------------------------------------------------------------

const SOURCE: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n";

/// Changes the fourth line; the first line of its context is `first`.
fn patch(first: &str) -> String {
    format!("--- a/f\n+++ b/f\n@@ -1,7 +1,7 @@\n {first}\n two\n three\n-four\n+FOUR\n five\n six\n seven\n")
}

/// Its output is a source file after the patches of the test.
fn stage_with_patch(_: &Inputs) -> fw_build::Result<StageSpec> {
    let mut spec = StageSpec::new(STAGE, 1)?;
    spec.output("file", "f");
    Ok(spec.recipe(|cx| {
        fs::write(cx.out().join("f"), SOURCE)?;
        cx.patch_all(&cx.out(), &shared_dir().join("patches"))
    }))
}

#[test]
fn a_patch_that_needs_fuzz_is_refused() {
    if took_a_role() {
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    fs::create_dir(dir.path().join("patches")).expect("folder");
    let run = |text: String| {
        fs::write(dir.path().join("patches/0001-four.patch"), text).expect("patch");
        lines_of(stage("a_patch_that_needs_fuzz_is_refused", "stage with patch", dir.path(), "full"))
    };
    // `patch` by itself would take it: one line of context differs.
    let lines = run(patch("another"));
    let refused = errors(&lines);
    let expected = ["stage `made-up` failed", "  patch `0001-four.patch` does not apply"];
    assert!(refused.starts_with(&expected), "not refused: {lines:?}");
    assert!(refused.contains(&"hint: refresh the patch for the selected source version"), "{lines:?}");

    let lines = run(patch("one"));
    let result = lines.iter().find_map(|l| l.strip_prefix("cargo::metadata=dir=")).expect("builds");
    let entry = Entry::load(Path::new(result)).expect("entry");
    assert_eq!(content(&entry), SOURCE.replace("four", "FOUR"));
}
