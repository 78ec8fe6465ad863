// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask conformance`: our files against the Go packages of Talos's release lines.
//!
//! Makes an image of each line's layout, hands it to [`conformance::session`], and says what came out. What is
//! compared with what is that crate's business and that of `conformance/checks/`.

mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use clap::Args as ClapArgs;
use conformance::docs;
use conformance::go;
use conformance::inputs::{MachineConfig, Merge, Subject};
use conformance::line::{self, Line};
use conformance::report::{Outcome, Report, Status, Strictness};
use conformance::session;
use fs_err as fs;
use fw_build::run::Quiet;
use fw_build::{Failure, Result, golang};
use fw_image::cmdline::Cmdline;
use fw_image::map::ImageMap;
use fw_image::talos;

use parts::Parts;

use crate::context::Context;
use crate::exit::Exit;
use crate::image::{self, Userland};
use crate::userland::BRINGUP_KERNEL_ARGS;

/// The table of what was checked.
const DOCS: &str = "docs/conformance.md";

/// What users add to the kernel's command line, in every form that the merge has a rule for.
const EXTRA_ARGUMENTS: [&[&str]; 4] = [
    &["quiet", "a=1", "a=2", "b"],
    &["console=ttyS0", "console=ttyS1,115200", "talos.platform=nocloud"],
    &["-slab_nomerge", "-console=tty0", "-printk.devkmsg", "printk.devkmsg=off"],
    &["-nothing", "-talos.dashboard.disabled=0", "x=y=z"],
];

/// What the images carry in META: one of the tags that are the user's (talos-contracts 3.6).
const META_TAG: u8 = 12;
const META_VALUE: &str = "written with the image";

/// Checks image, overlay and command lines with Talos's own Go packages.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask conformance                 all lines; a line that cannot be checked here is named and ignored
  cargo xtask conformance --strict        an ignored line or check is a failure (CI)
  cargo xtask conformance --line v1.13    one line
  cargo xtask conformance --write-docs    and write the table in docs/conformance.md

It needs Go 1.21 or later (`cargo xtask setup --conformance`) and a Go module proxy. The first run fetches 400 MB of
modules and compiles for some 7 CPU-minutes; both stay in the store. Which Talos release is linked, says
conformance/<line>/go.mod.")]
pub struct Args {
    /// A line or a check that did not run is a failure.
    #[arg(long)]
    strict: bool,
    /// Only this line, such as v1.10; may be given several times.
    #[arg(long = "line", value_name = "LINE")]
    lines: Vec<String>,
    /// Print the report as JSON, with every broken input and how it was noticed.
    #[arg(long)]
    json: bool,
    /// Write docs/conformance.md from this run. All lines must have been checked.
    #[arg(long, conflicts_with = "lines")]
    write_docs: bool,
}

/// Runs the verb.
///
/// # Errors
/// No such line, an image that cannot be made, or documentation that is not that of this run.
pub fn run(args: &Args) -> Result<Exit> {
    let cx = Context::load()?;
    let lines = chosen(line::all(&cx.root)?, &args.lines)?;
    let mut report = Report::default();
    match go::find(cx.store.root(), &lines) {
        Ok(go) => {
            let parts = Parts::make(&cx)?;
            for line in &lines {
                let began = Instant::now();
                let outcome = one(&cx, &go, line, &parts)?;
                eprintln!("{}: {} ({:.0} s)", line.name, summary(&outcome), began.elapsed().as_secs_f64());
                report.lines.insert(line.name.clone(), (line.release.clone(), outcome));
            }
        }
        Err(failure) => {
            for line in &lines {
                let outcome = Outcome::Ignored { reason: failure.to_string() };
                report.lines.insert(line.name.clone(), (line.release.clone(), outcome));
            }
        }
    }
    if args.json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|e| Failure::new("cannot print the report").why(e))?;
        println!("{text}");
    }
    let strictness = if args.strict { Strictness::Strict } else { Strictness::Lenient };
    let mut complaints = report.complaints(strictness);
    if complaints.is_empty() {
        complaints.extend(documentation(&cx.root, args, &report)?);
    }
    for ignored in ignored(&report) {
        eprintln!("{ignored}");
    }
    for complaint in &complaints {
        eprintln!("error: {complaint}");
    }
    Ok(if complaints.is_empty() { Exit::Done } else { Exit::Failed })
}

fn chosen(all: Vec<Line>, names: &[String]) -> Result<Vec<Line>> {
    let known: BTreeSet<&str> = all.iter().map(|l| l.name.as_str()).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(name.as_str())) {
        let known: Vec<&str> = all.iter().map(|l| l.name.as_str()).collect();
        return Err(Failure::new(format!("there is no line `{name}`"))
            .why(format!("known: {}", known.join(", ")))
            .hint("`conformance/README.md` says how a line is added"));
    }
    Ok(all.into_iter().filter(|line| names.is_empty() || names.contains(&line.name)).collect())
}

fn one(cx: &Context, go: &golang::Go, line: &Line, parts: &Parts) -> Result<Outcome> {
    eprintln!("{}: Talos {}, Go toolchain {}", line.name, line.release, go.toolchain());
    let program = match session::program(&cx.fetcher()?, go, line, &mut Quiet) {
        Ok(program) => program,
        Err(outcome) => return Ok(outcome),
    };
    let args = image::Args {
        userland: Some(Userland::Bringup),
        talos: Some(line.release.clone()),
        meta: vec![format!("{META_TAG}={META_VALUE}")],
        ..image::Args::default()
    };
    let made = image::make(cx, &args)?;
    let map = ImageMap::from_json(&fs::read_to_string(made.entry.path("map")?)?)
        .map_err(|e| Failure::new("the image's map cannot be read").why(e))?;
    let board = &cx.board.kernel.args;
    let image: Vec<String> =
        BRINGUP_KERNEL_ARGS.iter().map(|a| (*a).to_owned()).chain(board.iter().cloned()).collect();
    let merge = |overlay: &[String], extra: &[&str]| -> Result<Merge> {
        let line = Cmdline::metal_arm64(
            made.selection.line,
            overlay,
            &extra.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>(),
        )
        .map_err(|e| Failure::new("kernel arguments cannot be merged").why(e))?;
        Ok(Merge {
            overlay: overlay.to_vec(),
            extra: extra.iter().map(|e| (*e).to_owned()).collect(),
            line: line.to_string(),
        })
    };
    let mut merges = vec![merge(&image, &[])?];
    for extra in EXTRA_ARGUMENTS {
        merges.push(merge(board, extra)?);
    }
    let release_cmdline = merge(board, &[])?.line;
    let consoles: Vec<String> = image.iter().filter(|a| a.starts_with("console=")).cloned().collect();
    let region =
        made.selection.disk.regions.first().ok_or_else(|| Failure::new("the board file has no loader"))?;
    let subject = Subject {
        image: &made.entry.path("raw-xz")?,
        map: &map,
        offset_sectors: made.selection.disk.offset_sectors,
        loader_sectors: (region.start_lba, region.limit_lba),
        dtb: &cx.board.dtb,
        meta: &BTreeMap::from([(META_TAG, META_VALUE.to_owned())]),
        overlay_args: board,
        release_cmdline: &release_cmdline,
        imager_extra: &consoles,
        merges: &merges,
        machine_configs: &machine_configs(made.selection.line)?,
        overlay: Some(&parts.overlay),
        systemd: Some((&parts.stub, &parts.manager)),
        grub_modules: Some(&parts.grub_modules),
    };
    session::check(&program, line, &subject)
}

/// Our patches of machine configurations for a line, of every kind.
fn machine_configs(line: talos::Line) -> Result<Vec<MachineConfig>> {
    let one = |options: &machine_config::Options| {
        let patches = machine_config::patches(options)
            .map_err(|e| Failure::new("no machine configuration can be made").why(e))?;
        Ok(MachineConfig {
            name: options.to_string(),
            patches: patches.into_iter().map(|p| p.text).collect(),
        })
    };
    machine_config::examples(line).iter().map(one).collect()
}

/// Compares the documentation with this run, or writes it. A run that saw only a part says nothing about it.
fn documentation(root: &Path, args: &Args, report: &Report) -> Result<Option<String>> {
    let whole = report.complaints(Strictness::Strict).is_empty();
    let path = root.join(DOCS);
    let text = docs::render(report);
    if args.write_docs {
        if !whole {
            return Ok(Some(format!("`{DOCS}` was not written: not every check of every line ran")));
        }
        fs::write(&path, text)?;
        eprintln!("wrote `{DOCS}`");
    } else if whole && args.lines.is_empty() && fs::read_to_string(&path).unwrap_or_default() != text {
        return Ok(Some(format!(
            "`{DOCS}` does not say what this run found\nhint: `cargo xtask conformance --write-docs`"
        )));
    }
    Ok(None)
}

fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ignored { .. } => "ignored".to_owned(),
        Outcome::Broken { .. } => "broken".to_owned(),
        Outcome::Checked { checks } => {
            let count = |status| checks.iter().filter(|c| c.status == status).count();
            let inputs: usize = checks.iter().map(|c| c.broken.iter().filter(|b| b.caught).count()).sum();
            format!(
                "{} checks passed, {} failed, {} not run; {inputs} broken inputs caught",
                count(Status::Passed),
                count(Status::Failed),
                count(Status::Absent)
            )
        }
    }
}

/// What was not looked at, by name: nobody shall take it for a success.
fn ignored(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for (line, (_, outcome)) in &report.lines {
        match outcome {
            Outcome::Ignored { reason } => lines.push(format!("ignored: {line}: {reason}")),
            Outcome::Broken { .. } => {}
            Outcome::Checked { checks } => lines.extend(
                checks
                    .iter()
                    .filter(|c| c.status == Status::Absent)
                    .map(|c| format!("ignored: {line}: `{}`: its input was not made", c.check)),
            ),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_line_lists_the_known_ones() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let all = line::all(&root).expect("lines");
        let names: Vec<&str> = all.iter().map(|l| l.name.as_str()).collect();
        // A line that images are made for is one that Talos's code of it has seen.
        assert_eq!(names, talos::Line::ALL.map(|line| line.name()));
        let failure = chosen(all.clone(), &["v1.9".to_owned()]).expect_err("unknown").to_string();
        assert!(failure.contains("known: v1.10, v1.11"), "{failure}");
        assert_eq!(chosen(all, &["v1.12".to_owned()]).expect("one").len(), 1);
    }
}
