// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask dt`: is the board's device tree right, and does the kernel drive what it describes.
//!
//! The facts are data in `dt-rules/`; the modules here know device trees, not the board.

mod agree;
pub mod check;
mod complaint;
pub mod coverage;
mod delta;
mod neighbour;
mod references;
mod rules;
mod schema;
mod style;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use fw_build::Result;
use fw_build::store::Entry;

pub use complaint::Complaint;

use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::stages;
use check::{Finding, Tables};
use coverage::State;

/// Checks the board's device tree.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask dt check             everything: style, properties, references, all source trees, bindings
  cargo xtask dt check --quick     without dtschema: seconds
  cargo xtask dt coverage          which driver of the kernel drives each device (builds the kernel)
  cargo xtask dt diff              how the board differs from its neighbour, and what each tree leaves out

docs/device-tree.md says what is checked and how to change the tables in dt-rules/.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Hold the sources against rules, trees, neighbour and bindings.
    Check(CheckArgs),
    /// Say which driver of the shipped kernel drives each device of the shipped tree.
    Coverage(CoverageArgs),
    /// Print the differences from the neighbour and between the source trees.
    Diff(DiffArgs),
}

#[derive(Debug, ClapArgs)]
struct CheckArgs {
    /// Only what needs no other program than `dtc`: no dtschema, no W=1.
    #[arg(long)]
    quick: bool,
    /// Another folder of sources than `dts/`.
    #[arg(long, value_name = "DIR")]
    dts: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
struct CoverageArgs {
    /// Every node, not only gaps.
    #[arg(long)]
    all: bool,
    /// Another folder of sources than `dts/`.
    #[arg(long, value_name = "DIR")]
    dts: Option<PathBuf>,
    /// A result of the kernel stage in the store, instead of the selected one.
    #[arg(long, value_name = "DIR")]
    kernel: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
struct DiffArgs {
    /// Every single difference, not only the topics.
    #[arg(long)]
    all: bool,
    /// Another folder of sources than `dts/`.
    #[arg(long, value_name = "DIR")]
    dts: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// A source tree cannot be had, or the sources do not compile.
pub fn run(args: &Args) -> Result<Exit> {
    let cx = Context::load()?;
    match &args.verb {
        Verb::Check(args) => run_check(&cx, &Tables::load(&cx.root)?, args),
        Verb::Coverage(args) => run_coverage(&cx, args),
        Verb::Diff(args) => run_diff(&cx, &Tables::load(&cx.root)?, args),
    }
}

fn run_coverage(cx: &Context, args: &CoverageArgs) -> Result<Exit> {
    let tables = Tables::load(&cx.root)?;
    let dts = args.dts.clone().unwrap_or_else(|| cx.root.join("dts"));
    let screen = Screen::start()?;
    let kernel = match &args.kernel {
        Some(dir) => Entry::load(dir)?,
        None => {
            let stage = "linux-collabora";
            stages::build(&cx.root, &[stage], screen.dir(), &BTreeMap::new())?.get(stage)?.clone()
        }
    };
    let board = check::compile_shipped(cx, &tables, &dts, &screen)?;
    drop(screen);
    let findings = check::description(&tables, &tables.trees.tree[0].folder, &board);
    let coverage = coverage::Table::load(&cx.root)?.judge(&board, &coverage::kernel(&kernel)?);
    let release = fs_err::read_to_string(kernel.path("release")?)?;
    let count = |wanted: fn(&State) -> bool| coverage.nodes.iter().filter(|n| wanted(&n.state)).count();
    println!(
        "{} enabled devices, kernel {}: {} driven, {} read by other means, {} wanted gaps, {} missing",
        coverage.nodes.len(),
        release.trim(),
        count(|s| matches!(s, State::Driven(..))),
        count(|s| *s == State::OtherMeans),
        count(|s| matches!(s, State::Gap(..))),
        count(|s| *s == State::Missing),
    );
    println!("\nwhat the board cannot do without");
    for stake in &coverage.stakes {
        let result =
            if stake.complaints.is_empty() { stake.drivers.join("; ") } else { "MISSING".to_owned() };
        println!("  {:44} {result}", stake.device);
    }
    println!("\nwanted gaps");
    let gaps: BTreeSet<(&String, &String, &String)> = coverage
        .nodes
        .iter()
        .filter_map(|n| match &n.state {
            State::Gap(option, reason) => Some((n.compatible.first()?, option, reason)),
            _ => None,
        })
        .collect();
    for (compatible, option, reason) in gaps {
        println!("  {compatible}\n    closed by {option}\n    open because: {reason}");
    }
    if args.all {
        println!("\nall devices");
        for node in &coverage.nodes {
            let state = match &node.state {
                State::Driven(compatible, driver) => format!("{driver} ({compatible})"),
                State::OtherMeans => "other means".to_owned(),
                State::Gap(..) => "wanted gap".to_owned(),
                State::Missing => "MISSING".to_owned(),
            };
            println!("  {:32} {state}", node.node);
        }
    }
    println!();
    let drivers = Finding {
        check: "drivers",
        scope: format!("{} devices, {} of them table stakes", coverage.nodes.len(), coverage.stakes.len()),
        complaints: coverage.complaints(),
    };
    Ok(print(findings.iter().chain([&drivers])))
}

fn run_check(cx: &Context, tables: &Tables, args: &CheckArgs) -> Result<Exit> {
    let dts = args.dts.clone().unwrap_or_else(|| cx.root.join("dts"));
    let screen = Screen::start()?;
    let compiled = check::compile(cx, tables, &dts, &screen)?;
    let mut findings = check::quick(tables, &compiled, &dts)?;
    if !args.quick {
        findings.extend(check::thorough(cx, tables, &compiled, &dts, &screen)?);
    }
    drop(screen);
    for (folder, why) in &compiled.unreachable {
        println!("{:12} {folder}: not compiled, {why}", "trees");
    }
    Ok(print(findings.iter()))
}

/// One line per check, then what is wrong.
fn print<'f>(findings: impl Iterator<Item = &'f Finding> + Clone) -> Exit {
    for Finding { check, scope, complaints } in findings.clone() {
        let result = match complaints.len() {
            0 => "ok".to_owned(),
            n => format!("{n} wrong"),
        };
        println!("{check:12} {scope:68} {result}");
    }
    let wrong: usize = findings.clone().map(|f| f.complaints.len()).sum();
    if wrong == 0 {
        return Exit::Done;
    }
    println!();
    for finding in findings {
        for complaint in &finding.complaints {
            println!("{:12} {complaint}", finding.check);
        }
    }
    eprintln!("error: the device tree is not right: {wrong} complaints");
    Exit::Failed
}

fn run_diff(cx: &Context, tables: &Tables, args: &DiffArgs) -> Result<Exit> {
    let dts = args.dts.clone().unwrap_or_else(|| cx.root.join("dts"));
    let screen = Screen::start()?;
    let compiled = check::compile(cx, tables, &dts, &screen)?;
    drop(screen);
    let shipped = &compiled.pairs[0];
    let (explained, complaints) = check::differences(tables, &compiled);
    println!("{} -> {} ({})", tables.neighbour.name, cx.board.model, shipped.folder);
    for topic in &explained {
        println!("\n{}", topic.row.topic);
        println!("  {:10} {}", tables.neighbour.name, topic.row.neighbour);
        println!("  {:10} {}", "here", topic.row.here);
        println!("  {:10} {}", "because", topic.row.reason);
        for difference in topic.differences.iter().filter(|_| args.all) {
            println!("    {}", difference.line(&shipped.board));
        }
    }
    let mut wrong = complaints;
    for (agreement, pair) in check::agreements(tables, &compiled) {
        println!("\n{}: {} properties as in {}", pair.folder, agreement.compared, shipped.folder);
        for (node, reason) in &agreement.omitted {
            println!("  without {node}: {reason}");
        }
        wrong.extend(agreement.complaints);
    }
    for (folder, why) in &compiled.unreachable {
        println!("\n{folder}: not compiled, {why}");
    }
    for complaint in &wrong {
        println!("\n{complaint}");
    }
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Failed })
}
