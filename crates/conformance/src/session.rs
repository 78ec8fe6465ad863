// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One line from start to end: build its program, run it on an image, have its imager make one, compare.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::fetch::Fetcher;
use fw_build::golang::Go;
use fw_build::run::{Cmd, LineSink};
use fw_build::{Context as _, Failure, Result};

use crate::go::{self, NoProgram};
use crate::imager;
use crate::inputs::{Inputs, Subject};
use crate::line::Line;
use crate::report::{Check, Outcome};
use crate::tools::Tools;

/// The program of a line, or what became of the line without one.
///
/// # Errors
/// The outcome: ignored where modules cannot be had, broken where the code does not compile.
pub fn program(
    fetcher: &Fetcher,
    go: &Go,
    line: &Line,
    sink: &mut dyn LineSink,
) -> std::result::Result<PathBuf, Outcome> {
    go::build(fetcher, go, line, sink).map_err(|no| match no {
        NoProgram::Modules(failure) => {
            Outcome::Ignored { reason: failure.during("its Go modules cannot be had").to_string() }
        }
        NoProgram::Code(failure) => {
            Outcome::Broken { reason: failure.during("its program does not build").to_string() }
        }
    })
}

/// Checks a line.
///
/// # Errors
/// The image cannot be taken apart, or there is no space to work in; all else is the line's outcome.
pub fn check(program: &Path, line: &Line, subject: &Subject<'_>) -> Result<Outcome> {
    let dir = tempfile::tempdir()?;
    let inputs = Inputs::unpack(subject, dir.path()).context("the image cannot be taken apart")?;
    let all = || -> Result<Vec<Check>> {
        let mut checks = run(program, &inputs, dir.path())?;
        if imager::is_rootless(line) {
            checks.push(imager::check(program, &inputs, subject, dir.path())?);
        }
        Ok(checks)
    };
    Ok(match all() {
        Ok(checks) => Outcome::Checked { checks },
        Err(failure) => {
            Outcome::Broken { reason: failure.during("its program did not run to the end").to_string() }
        }
    })
}

/// Runs the checks of a program.
///
/// # Errors
/// It does not end with 0, or what it prints is not understood.
pub fn run(program: &Path, inputs: &Inputs, dir: &Path) -> Result<Vec<Check>> {
    Check::list(&command(program, inputs, dir)?.output()?)
}

/// Has the imager make an image; returns where it is.
pub(crate) fn make_image(program: &Path, inputs: &Inputs, tools: &Tools, dir: &Path) -> Result<PathBuf> {
    let out = command(program, inputs, dir)?.path_first(tools.dir()).arg("--image").output()?;
    let path = PathBuf::from(String::from_utf8_lossy(&out).trim());
    if !path.is_file() {
        return Err(Failure::new("the imager names no image").why(format!("`{}`", path.display())));
    }
    Ok(path)
}

fn command(program: &Path, inputs: &Inputs, dir: &Path) -> Result<Cmd> {
    let json = dir.join("inputs.json");
    let text =
        serde_json::to_string_pretty(inputs).map_err(|e| Failure::new("cannot write the inputs").why(e))?;
    fs::write(&json, text)?;
    // The packages put large files into the temporary folder: beside the others, which go with it.
    Ok(Cmd::new(program).arg(json).cwd(dir).env("TMPDIR", dir))
}
