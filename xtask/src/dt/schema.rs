// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The kernel's own bindings over a compiled tree, with dtschema as the kernel's `make dtbs_check` runs it.
//!
//! Reading five thousand bindings takes a minute or more, so the processed form is a result of the store
//! (`dt-schema`, with the Python packages beside it), and so is the report on each DTB (`dt-report`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::key::{KeyInputs, files_below, sha256_bytes, sha256_tree};
use fw_build::python::{SCHEMA_MODULES, find_python};
use fw_build::run::Cmd;
use fw_build::status::Phase;
use fw_build::store::{Built, Entry};
use fw_build::toolchain::first_line;
use fw_build::{Context as _, Failure, Result, unpack};

use super::complaint::Complaint;
use super::tree;
use crate::context::Context;
use crate::screen::Screen;

/// Raise it when the way to the processed schema changes.
const RECIPE_VERSION: u32 = 1;

/// Where the kernel has its bindings.
const BINDINGS: &str = "Documentation/devicetree/bindings";

/// First line of a report: an entry of the store is never empty, a report without a warning is.
const REPORT_HEAD: &str = "warnings:";

/// The processed bindings of one kernel, with what runs them.
pub struct Schema {
    entry: Entry,
    python: PathBuf,
}

impl Schema {
    /// Processes the bindings of the pin, after the patches in `patches` (the compatibles of this board), or finds
    /// them in the store.
    ///
    /// # Errors
    /// Kernel source or packages cannot be had, no Python has what they need, or a patch does not apply.
    pub fn ensure(
        cx: &Context,
        manifest: &str,
        label: &str,
        patches: &Path,
        screen: &Screen,
    ) -> Result<Schema> {
        let pin = cx.manifests.pin(manifest, Some(label))?.clone();
        let python = find_python(SCHEMA_MODULES)?;
        let mut inputs = KeyInputs::default();
        inputs.add("recipe", format!("dt-schema {RECIPE_VERSION}"))?;
        inputs.add("pin", format!("{} {}", pin.id(), pin.identity()))?;
        for wheel in cx.manifests.wheels() {
            inputs.add(format!("pin:{}", wheel.manifest), format!("{} {}", wheel.id(), wheel.identity()))?;
        }
        inputs.add("patches", sha256_tree(patches)?)?;
        inputs.add("tool:python", first_line(&Cmd::new(&python).arg("--version"))?)?;
        let outputs = [("schema", "schema.json"), ("packages", "packages")]
            .map(|(role, path)| (role.to_owned(), PathBuf::from(path)));
        let status = screen.step("dt bindings");
        let built = cx.store.ensure(
            "dt-schema",
            &inputs,
            &outputs,
            || status.phase(Phase::Waiting, None),
            |work| {
                status.phase(Phase::Fetching, None);
                let fetcher = cx.fetcher()?;
                let source = fetcher.fetch(&pin, &status)?;
                let packages = work.join("out/packages");
                fs::create_dir_all(&packages)?;
                for wheel in cx.manifests.wheels() {
                    let wheel = fetcher.fetch(wheel, &status)?;
                    // A wheel without compiled code is a zip file of what goes on the search path.
                    Cmd::new(&python)
                        .args(["-m", "zipfile", "-e"])
                        .arg(&wheel.path)
                        .arg(&packages)
                        .output()?;
                }
                status.phase(Phase::Building, None);
                status.step("unpack the kernel's bindings");
                let tree = work.join("src");
                fs::create_dir_all(&tree)?;
                let wanted = |path: &Path| path.starts_with(BINDINGS);
                unpack::unpack(&source.path, source.format, &tree, 1, Some(&wanted))?;
                for name in files_below(patches)? {
                    tree::patch(&patches.join(&name), &tree)
                        .output()
                        .context(format!("the patch `{}` of the bindings does not apply", name.display()))?;
                }
                status.step("process the kernel's bindings (about a minute)");
                program(&python, &packages, "mk_schema")
                    .args(["-j", "-o"])
                    .arg(work.join("out/schema.json"))
                    .arg(tree.join(BINDINGS))
                    .output()
                    .context("the kernel's bindings cannot be processed")?;
                Ok(Built::default())
            },
        );
        let (entry, origin) = built.inspect_err(|_| status.phase(Phase::Failed, None))?;
        status.phase(origin.into(), None);
        Ok(Schema { entry, python })
    }

    /// All warnings about a DTB, each as one text of several lines.
    ///
    /// # Errors
    /// dtschema ended with an error of its own.
    pub fn report(&self, cx: &Context, name: &str, dtb: &[u8], screen: &Screen) -> Result<BTreeSet<String>> {
        let mut inputs = KeyInputs::default();
        inputs.add("recipe", format!("dt-report {RECIPE_VERSION}"))?;
        inputs.add("stage:dt-schema", self.entry.record.key.as_str())?;
        inputs.add("dtb", sha256_bytes(dtb))?;
        let outputs = [("report".to_owned(), PathBuf::from("report.txt"))];
        let status = screen.step(&format!("dt {name}"));
        let built = cx.store.ensure(
            "dt-report",
            &inputs,
            &outputs,
            || status.phase(Phase::Waiting, None),
            |work| {
                status.phase(Phase::Building, None);
                status.step("hold the tree against the bindings");
                // A name of its own for every tree would make equal warnings differ.
                fs::write(work.join("board.dtb"), dtb)?;
                let said = work.join("said.txt");
                let quiet = std::process::Stdio::null;
                let file = fs::File::create(&said)?.into_parts().0;
                // -m: nodes that no binding describes, as `make dtbs_check` asks.
                let running = program(&self.python, &self.entry.path("packages")?, "dtb_validate")
                    .args(["-m", "-s"])
                    .arg(self.entry.path("schema")?)
                    .arg("board.dtb")
                    .cwd(work)
                    .spawn(quiet(), quiet(), file.into())?;
                running.finish().context(format!("dtschema failed on {name}"))?;
                let text = format!("{REPORT_HEAD}\n{}", fs::read_to_string(&said)?);
                fs::write(work.join("out/report.txt"), text)?;
                Ok(Built::default())
            },
        );
        let (entry, origin) = built.inspect_err(|_| status.phase(Phase::Failed, None))?;
        status.phase(origin.into(), None);
        warnings(&fs::read_to_string(entry.path("report")?)?)
    }
}

/// A program of dtschema: its packages alone on the search path, beside what the interpreter itself has.
fn program(python: &Path, packages: &Path, module: &str) -> Cmd {
    let call = format!("from dtschema.{module} import main; raise SystemExit(main())");
    // -B: no byte code is written into an entry of the store.
    Cmd::new(python).args(["-B", "-s", "-c", &call]).env("PYTHONPATH", packages)
}

/// A report's warnings: each begins in the first column with the DTB's name and goes on indented.
fn warnings(report: &str) -> Result<BTreeSet<String>> {
    let body =
        report.strip_prefix(REPORT_HEAD).ok_or_else(|| Failure::new("a report of the store is damaged"))?;
    let mut found: Vec<String> = Vec::new();
    for line in body.lines().filter(|l| !l.is_empty()) {
        match (line.starts_with(char::is_whitespace), found.last_mut()) {
            (true, Some(last)) => {
                last.push('\n');
                last.push_str(line.trim());
            }
            // dtschema names the file by its full path, which differs from report to report.
            _ => found.push(line.split_once("board.dtb: ").map_or(line, |(_, said)| said).to_owned()),
        }
    }
    Ok(found.into_iter().collect())
}

/// Warnings that the neighbour does not have.
pub fn new_warnings(name: &str, own: &BTreeSet<String>, neighbour: &BTreeSet<String>) -> Vec<Complaint> {
    let new = own.difference(neighbour);
    new.map(|warning| {
        let lines: Vec<&str> = warning.lines().collect();
        let schema = lines.iter().rev().find(|l| l.contains("from schema")).copied().unwrap_or_default();
        let said = lines.first().copied().unwrap_or_default();
        Complaint::because(format!("{name}: {said}"), schema.trim_start_matches("from schema $id: "))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "warnings:\nboard.dtb: / (x,y): compatible: 'oneOf' conditional failed:\n\t'a' was expected\n\
        \tfrom schema $id: http://x.example/arm/rockchip.yaml#\n/w/1/board.dtb: mmc@1 (z): 'foo' does not match\n";

    #[test]
    fn a_warning_has_several_lines() {
        let found = warnings(REPORT).expect("a report");
        assert_eq!(found.len(), 2, "{found:?}");
        let known =
            warnings("warnings:\n/w/2/board.dtb: mmc@1 (z): 'foo' does not match\n").expect("a report");
        let new = new_warnings("board", &found, &known);
        assert_eq!(new.len(), 1, "{new:?}");
        assert_eq!(new[0].what, "board: / (x,y): compatible: 'oneOf' conditional failed:");
        assert_eq!(new[0].reason.as_deref(), Some("http://x.example/arm/rockchip.yaml#"));
        assert!(new_warnings("board", &known, &found).is_empty());
    }

    #[test]
    fn must_fail_a_damaged_report() {
        assert!(warnings("board.dtb: x").is_err());
    }
}
