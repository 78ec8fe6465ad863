// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask why STAGE`: what a stage's key is made of, and what changed since its last result.

use std::collections::BTreeMap;

use clap::Args as ClapArgs;
use fw_build::key::KeyInputs;
use fw_build::{Failure, Result};

use crate::context::Context;
use crate::exit::Exit;
use crate::stages;

/// Says why a stage would be built, or that it would not.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask why linux-collabora
  cargo xtask why image                                       the newest image, and how it differs from the one before
  FW_SELECT_LINUX=lts-6.12 cargo xtask why linux-collabora    what another pin would change")]
pub struct Args {
    /// Stage or result to explain.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(stages::ALL.into_iter().chain(RESULTS)))]
    stage: String,
}

/// Results that this program makes itself; what goes into the next one is known when `cargo xtask image` makes it.
const RESULTS: [&str; 4] = ["signed-kernel", "userland-bringup", "userland-talos", "image"];

/// Runs the verb.
///
/// # Errors
/// The stage's inputs cannot be read.
pub fn run(args: &Args) -> Result<Exit> {
    let cx = Context::load()?;
    if RESULTS.contains(&args.stage.as_str()) {
        return result(&cx, &args.stage);
    }
    let dir = tempfile::tempdir()?;
    let env = BTreeMap::from([("FW_BUILD".to_owned(), "explain".to_owned())]);
    stages::run_scripts(&cx.root, &[&args.stage], dir.path(), &env)?;
    let path = dir.path().join(format!("{}.inputs.json", args.stage));
    let inputs: KeyInputs = serde_json::from_slice(&fs_err::read(&path)?)
        .map_err(|e| Failure::new(format!("stage `{}` wrote no inputs", args.stage)).why(e))?;
    let key = inputs.key();
    println!("{} {}", args.stage, key.as_str());
    for (label, value) in inputs.iter() {
        println!("  {label:24} {value}");
    }
    if cx.store.lookup(&args.stage, &key).is_some() {
        println!("in the store: nothing to build");
        return Ok(Exit::Done);
    }
    match cx.store.last_inputs(&args.stage) {
        None => println!("not in the store: never built here"),
        Some(last) => {
            println!("not in the store; since the last result:");
            for (label, old, new) in inputs.changes(&last) {
                println!("  {label}: {} -> {}", old.unwrap_or("(absent)"), new.unwrap_or("(absent)"));
            }
        }
    }
    Ok(Exit::Done)
}

/// The newest result, and what made it another one than its predecessor.
fn result(cx: &Context, name: &str) -> Result<Exit> {
    let entries = cx.store.newest_first(name)?;
    let Some(newest) = entries.first() else {
        println!("{name}: not in the store, `cargo xtask image` makes it");
        return Ok(Exit::Done);
    };
    println!("{name} {}", newest.record.key.as_str());
    for (label, value) in newest.record.inputs.iter() {
        println!("  {label:24} {value}");
    }
    match entries.get(1) {
        None => println!("the only one in the store"),
        Some(before) => {
            println!("since the one before, {}:", before.record.key.as_str());
            for (label, old, new) in newest.record.inputs.changes(&before.record.inputs) {
                println!("  {label}: {} -> {}", old.unwrap_or("(absent)"), new.unwrap_or("(absent)"));
            }
        }
    }
    Ok(Exit::Done)
}
