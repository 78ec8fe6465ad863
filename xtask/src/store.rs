// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask store`: what the store holds, and making room.

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use fw_build::store::Store;
use fw_build::store::prune::{Reason, Removable, Wanted};
use fw_build::{Result, status};

use crate::exit::Exit;

/// Says what the store holds, or makes room in it.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask store                        what takes how much room
  cargo xtask store prune --dry-run        what would go
  cargo xtask store prune --days 0 --caches
                                           all but sources and the newest result of each stage")]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Remove what a build would make again: folders of builds that ended, older results.
    Prune(Prune),
}

/// What goes.
#[derive(Debug, ClapArgs)]
struct Prune {
    /// Results made in the last DAYS stay; the newest of each stage always does.
    #[arg(long, value_name = "DAYS", default_value_t = DAYS)]
    days: u16,
    /// Also the kernel's source tree with its objects, and Go's modules and compiled packages.
    #[arg(long)]
    caches: bool,
    /// Only say what would go.
    #[arg(long)]
    dry_run: bool,
}

/// Results of the last two weeks stay unless asked otherwise: somebody compares with them.
const DAYS: u16 = 14;

/// The store's folders, in the order in which a build fills them.
const PARTS: [(&str, &str); 7] = [
    ("src", "sources, by digest"),
    ("talos", "files of Talos releases"),
    ("stage", "results of stages"),
    ("work", "folders of builds that run, failed or were killed"),
    ("warm", "the kernel's sources with their objects, for a short next build"),
    ("kconfig", "sources that decide a kernel's configuration"),
    ("go", "Go's modules and compiled packages"),
];

/// Runs the verb.
///
/// # Errors
/// The store cannot be read, or something in it cannot be removed.
pub fn run(args: &Args) -> Result<Exit> {
    let store = Store::from_env()?;
    match &args.what {
        None => show(&store)?,
        Some(What::Prune(prune)) => make_room(&store, prune)?,
    }
    Ok(Exit::Done)
}

fn show(store: &Store) -> Result<()> {
    println!("{}", store.root().display());
    let mut sum = 0;
    for (part, what) in PARTS {
        let usage = store.usage(part)?;
        if usage.count > 0 {
            sum += usage.size_bytes;
            println!("  {part:8} {:>10}  {:>4}  {what}", status::bytes(usage.size_bytes), usage.count);
        }
    }
    println!("  {:8} {:>10}", "in all", status::bytes(sum));
    let removable = store.removable(wanted(DAYS, false))?;
    if !removable.is_empty() {
        println!("`cargo xtask store prune` removes {} of it", status::bytes(total(&removable)));
    }
    Ok(())
}

fn make_room(store: &Store, args: &Prune) -> Result<()> {
    let mut freed = 0;
    for item in store.removable(wanted(args.days, args.caches))? {
        let name = item.dir.strip_prefix(store.root()).unwrap_or(&item.dir).display();
        if !args.dry_run && !store.remove(&item)? {
            println!("left      {name}: a build has taken it");
            continue;
        }
        freed += item.size_bytes;
        let verb = if args.dry_run { "would go" } else { "removed " };
        println!("{verb}  {:>10}  {name} ({})", status::bytes(item.size_bytes), why(item.reason));
    }
    if args.caches && !store.builders()?.is_empty() {
        println!("left      go: a build is running");
    }
    println!("{}  {:>10}  in all", if args.dry_run { "would go" } else { "freed   " }, status::bytes(freed));
    Ok(())
}

fn wanted(days: u16, caches: bool) -> Wanted {
    Wanted { min_age: Duration::from_secs(u64::from(days) * 24 * 3600), caches }
}

fn total(items: &[Removable]) -> u64 {
    items.iter().map(|item| item.size_bytes).sum()
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Abandoned => "its build ended",
        Reason::Superseded => "an older result",
        Reason::Objects => "objects of a kernel build",
        Reason::Cache => "made or fetched again when needed",
    }
}
