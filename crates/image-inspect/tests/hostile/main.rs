// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Parsers meet files that were made to hurt them: mutations of real ones for `FW_TEST_FUZZ_SECONDS` (4 if not set), and
//! fixtures of what is known to hurt. Each input must end without a panic, in bounded time and memory.
//!
//! `FW_TEST_FUZZ_SEED=N` (7 if not set) draws other mutations. `FW_TEST_FUZZ_CORPUS=DIR` writes the seeds there, a folder for each target, as `cargo fuzz` wants them.

mod builders;
mod costs;
mod fixtures;
mod mutator;
mod seeds;
mod verdicts;
mod watch;

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use image_inspect::fuzz::TARGETS;

use crate::mutator::Mutator;
use crate::watch::Watch;

/// What one input may use beside its own size. C libraries' memory is bounded by their own limits.
const MEMORY_BYTES: usize = 192 << 20;
/// Processor time of one input; machines that test are busy, so the clock on the wall would say nothing.
const SECONDS: f64 = 5.0;

/// Runs one input; says what was wrong with the run.
pub fn run(target: &str, input: &[u8]) -> Result<(), String> {
    let watch = Watch::start();
    let result = catch_unwind(|| image_inspect::fuzz::run(target, input));
    let (seconds, peak) = watch.stop();
    if let Err(panic) = result {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        return Err(format!("panic: {}", text.unwrap_or_default()));
    }
    if seconds > SECONDS {
        return Err(format!("{seconds:.1} s"));
    }
    if peak > MEMORY_BYTES + 8 * input.len() {
        return Err(format!("{} MB for {} bytes", peak >> 20, input.len()));
    }
    Ok(())
}

#[test]
fn mutations_of_real_files_end_in_findings_or_errors() {
    let seconds = std::env::var("FW_TEST_FUZZ_SECONDS")
        .ok()
        .map(|s| s.parse::<f64>().expect("FW_TEST_FUZZ_SECONDS in seconds"));
    let each = Duration::from_secs_f64(seconds.unwrap_or(4.0) / TARGETS.len() as f64);
    let start =
        std::env::var("FW_TEST_FUZZ_SEED").map_or(7, |s| s.parse().expect("FW_TEST_FUZZ_SEED is a number"));
    let seeds = seeds::all();
    if let Some(folder) = std::env::var_os("FW_TEST_FUZZ_CORPUS") {
        seeds::write(&seeds, std::path::Path::new(&folder));
    }
    std::panic::set_hook(Box::new(|_| {}));
    let mut wrong = Vec::new();
    for (target, _) in TARGETS {
        let seeds = &seeds[target];
        assert!(!seeds.is_empty(), "no seed for {target}");
        let (began, mut runs) = (Instant::now(), 0);
        let mut mutator = Mutator::new(start);
        for seed in seeds {
            run(target, seed).unwrap_or_else(|e| panic!("{target}: its own seed: {e}"));
        }
        while began.elapsed() < each {
            let input = mutator.mutate(seeds);
            runs += 1;
            if let Err(why) = run(target, &input) {
                let path = std::env::temp_dir().join(format!("fuzz-{target}-{runs}.bin"));
                let kept = std::fs::write(&path, &input).map(|()| path.display().to_string());
                wrong.push(format!("{target}: {why}; input: {}", kept.unwrap_or_default()));
                break;
            }
        }
        println!("{target:10} {runs} runs from {} seeds", seeds.len());
    }
    let _ = std::panic::take_hook();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The runner sees what it is there for.
#[test]
fn must_fail_panic_and_memory() {
    let watch = Watch::start();
    let block = std::hint::black_box(vec![1_u8; 8 << 20]);
    drop(block);
    let (_, peak) = watch.stop();
    assert!(peak >= 8 << 20, "{peak}");
    assert!(catch_unwind(|| image_inspect::fuzz::run("no such target", &[])).is_err());
}
