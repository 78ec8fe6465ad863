// SPDX-License-Identifier: Apache-2.0 OR MIT
//! All checks of the device tree's sources, in one run: compiles every tree once, asks every check, collects.
//!
//! The checks themselves are the neighbouring modules; what they ask for is data in `dt-rules/`.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::key::files_below;
use fw_build::{Context as _, Failure, Result};
use fw_image::dt::Dt;
use serde::de::DeserializeOwned;

use super::agree::{Agreement, Pair, Trees};
use super::complaint::Complaint;
use super::neighbour::{Explained, Neighbour};
use super::references::References;
use super::rules::Rules;
use super::schema::{self, Schema};
use super::style;
use super::tree::{self, Reach, SourceTree};
use crate::context::Context;
use crate::screen::Screen;

/// The tables of `dt-rules/`.
pub struct Tables {
    /// `trees.toml`.
    pub trees: Trees,
    /// `properties.toml`.
    pub rules: Rules,
    /// `references.toml`.
    pub references: References,
    /// `neighbour.toml`.
    pub neighbour: Neighbour,
    /// `bindings/`: patches of the kernel's bindings.
    pub patches: PathBuf,
}

impl Tables {
    /// Reads the tables below the workspace's root.
    ///
    /// # Errors
    /// A file is missing or has an unknown key.
    pub fn load(root: &Path) -> Result<Tables> {
        let dir = root.join("dt-rules");
        Ok(Tables {
            trees: read(&dir.join("trees.toml"))?,
            rules: read(&dir.join("properties.toml"))?,
            references: read(&dir.join("references.toml"))?,
            neighbour: read(&dir.join("neighbour.toml"))?,
            patches: dir.join("bindings"),
        })
    }
}

/// Reads one table.
///
/// # Errors
/// The file is missing or not of the table's form.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    toml::from_str(&fs::read_to_string(path)?)
        .map_err(|e| Failure::new(format!("`{}` is not usable", path.display())).why(e))
}

/// One line of the result: a check, what it looked at, what it found.
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    /// What was looked at, with counts.
    pub scope: String,
    /// What is wrong.
    pub complaints: Vec<Complaint>,
}

/// The sources in all trees that are at hand.
pub struct Compiled {
    /// Each tree with and without the board; the first one is what ships.
    pub pairs: Vec<Pair>,
    /// The neighbour in the first tree.
    pub neighbour: Dt,
    /// Folders of the trees that could not be had, with the reason.
    pub unreachable: Vec<(String, String)>,
    first: SourceTree,
}

/// Compiles the sources of `dts` in every tree of the table.
///
/// # Errors
/// A required tree cannot be had, or the board does not compile in one.
pub fn compile(cx: &Context, tables: &Tables, dts: &Path, screen: &Screen) -> Result<Compiled> {
    let (mut pairs, mut unreachable, mut first) = (Vec::new(), Vec::new(), None);
    let name = board_file(cx);
    for row in &tables.trees.tree {
        let tree = match (tree::ensure(cx, row, screen), row.reach) {
            (Ok(tree), _) => tree,
            (Err(failure), Reach::Required) => return Err(failure),
            (Err(failure), Reach::IfFetched) => {
                let lines = failure.lines();
                // The reason of the first place; its address says nothing here.
                let why = lines.get(1).or(lines.first()).map_or("", |l| l.trim());
                unreachable.push((row.folder.clone(), why.rsplit(": ").next().unwrap_or(why).to_owned()));
                continue;
            }
        };
        let board = tree.questions(&dts.join(&row.folder).join(&name), dts)?;
        pairs.push(Pair { folder: row.folder.clone(), soc: tree.soc_alone(&cx.board.soc)?, board });
        first.get_or_insert(tree);
    }
    let first = first.ok_or_else(|| Failure::new("`trees.toml` names no tree"))?;
    let neighbour = first.questions(&first.own(&tables.neighbour.source), dts)?;
    Ok(Compiled { pairs, neighbour, unreachable, first })
}

/// Compiles the sources of `dts` in the tree that ships.
///
/// # Errors
/// As [`compile`].
pub fn compile_shipped(cx: &Context, tables: &Tables, dts: &Path, screen: &Screen) -> Result<Dt> {
    let row = tables.trees.tree.first().ok_or_else(|| Failure::new("`trees.toml` names no tree"))?;
    let tree = tree::ensure(cx, row, screen)?;
    tree.questions(&dts.join(&row.folder).join(board_file(cx)), dts)
}

/// What the description itself must be before it means anything to ask who drives it.
pub fn description(tables: &Tables, folder: &str, board: &Dt) -> [Finding; 2] {
    [
        Finding {
            check: "properties",
            scope: format!("{folder}: {} rules", tables.rules.count()),
            complaints: tables.rules.judge(board),
        },
        Finding {
            check: "references",
            scope: format!("{folder}: {} references", board.references().count()),
            complaints: tables.references.judge(board, folder),
        },
    ]
}

/// Name of the board's source in each tree's folder: the DTB's, with another ending.
fn board_file(cx: &Context) -> String {
    let stem = Path::new(&cx.board.dtb).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    format!("{stem}.dts")
}

/// The checks that need the compiled sources only: seconds.
///
/// # Errors
/// A source cannot be read.
pub fn quick(tables: &Tables, compiled: &Compiled, dts: &Path) -> Result<Vec<Finding>> {
    let mut findings = vec![Finding {
        check: "style",
        scope: format!("{} files", files_below(dts)?.len()),
        complaints: style::judge(dts)?,
    }];
    for pair in &compiled.pairs {
        findings.extend(description(tables, &pair.folder, &pair.board));
    }
    let shipped = &compiled.pairs[0];
    for (agreement, pair) in agreements(tables, compiled) {
        findings.push(Finding {
            check: "agreement",
            scope: format!(
                "{} with {}: {} properties, {} nodes left out",
                pair.folder,
                shipped.folder,
                agreement.compared,
                agreement.omitted.len()
            ),
            complaints: agreement.complaints,
        });
    }
    let (explained, complaints) = differences(tables, compiled);
    let count: usize = explained.iter().map(|e| e.differences.len()).sum();
    findings.push(Finding {
        check: "neighbour",
        scope: format!("{}: {count} differences under {} topics", tables.neighbour.name, explained.len()),
        complaints,
    });
    Ok(findings)
}

/// Each other tree held against the first.
pub fn agreements<'c>(tables: &Tables, compiled: &'c Compiled) -> Vec<(Agreement, &'c Pair)> {
    let (first, others) = (&compiled.pairs[0], &compiled.pairs[1..]);
    others.iter().map(|other| (tables.trees.judge(first, other), other)).collect()
}

/// The differences from the neighbour under their topics.
pub fn differences<'t>(tables: &'t Tables, compiled: &Compiled) -> (Vec<Explained<'t>>, Vec<Complaint>) {
    tables.neighbour.judge(&compiled.neighbour, &compiled.pairs[0].board)
}

/// The checks by other programs: warnings of `dtc` with `W=1`, and the kernel's bindings. A minute or two the first
/// time, then from the store.
///
/// # Errors
/// A program is missing or ended with an error of its own.
pub fn thorough(
    cx: &Context,
    tables: &Tables,
    compiled: &Compiled,
    dts: &Path,
    screen: &Screen,
) -> Result<Vec<Finding>> {
    let (first, folder) = (&compiled.first, &compiled.pairs[0].folder);
    let board = first.plain(&dts.join(folder).join(board_file(cx)), dts)?;
    let neighbour = first.plain(&first.own(&tables.neighbour.source), dts)?;
    let new = board.warnings.iter().filter(|w| !neighbour.warnings.contains(w));
    let mut findings = vec![Finding {
        check: "dtc W=1",
        scope: format!(
            "{folder}: {} warnings, {} has {}",
            board.warnings.len(),
            tables.neighbour.name,
            neighbour.warnings.len()
        ),
        complaints: new.map(|w| Complaint::because(w.clone(), "the neighbour has no such warning")).collect(),
    }];
    let row = &tables.trees.tree[0];
    let schema = Schema::ensure(cx, &row.manifest, &row.pin, &tables.patches, screen)?;
    let known = schema.report(cx, &tables.neighbour.name, &neighbour.dtb, screen)?;
    let mut trees = vec![(cx.board.name.clone(), board.dtb.clone())];
    for (variant, overlay) in variants(dts, cx)? {
        let dtb = tree::overlaid(&board.dtb, &overlay).context(format!("variant `{variant}`"))?;
        trees.push((variant, dtb));
    }
    for (name, dtb) in &trees {
        let report = schema.report(cx, name, dtb, screen)?;
        findings.push(Finding {
            check: "bindings",
            scope: format!(
                "{name}: {} warnings, {} has {}",
                report.len(),
                tables.neighbour.name,
                known.len()
            ),
            complaints: schema::new_warnings(name, &report, &known),
        });
    }
    Ok(findings)
}

/// Variants of the tree: name and overlay source (`dts/overlays/<board>-<variant>.dtso`).
fn variants(dts: &Path, cx: &Context) -> Result<Vec<(String, PathBuf)>> {
    let stem = board_file(cx);
    let prefix = format!("{}-", stem.trim_end_matches(".dts"));
    let dir = dts.join("overlays");
    let mut found = Vec::new();
    for name in files_below(&dir)? {
        let text = name.to_string_lossy().into_owned();
        if let Some(variant) = text.strip_prefix(&prefix).and_then(|t| t.strip_suffix(".dtso")) {
            found.push((variant.to_owned(), dir.join(&name)));
        }
    }
    Ok(found)
}
