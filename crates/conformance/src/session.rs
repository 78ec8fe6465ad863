// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One line from start to end: build its program, run it on an image, have its imager make one, compare.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::run::{Cmd, LineSink};
use fw_build::{Context as _, Failure, Result};

use crate::go::{Go, NoProgram};
use crate::imager;
use crate::inputs::{Inputs, Subject};
use crate::line::Line;
use crate::report::{Check, Outcome};
use crate::tools::Tools;

/// Checks a line. `subject` is asked for only when there is a program to give it to.
///
/// # Errors
/// None of the line's own, which are its outcome; the image cannot be made, or there is no space to work in.
pub fn check<'a>(
    go: &Go,
    line: &Line,
    sink: &mut dyn LineSink,
    subject: impl FnOnce() -> Result<Subject<'a>>,
) -> Result<Outcome> {
    let program = match go.build(line, sink) {
        Ok(program) => program,
        Err(NoProgram::Modules(failure)) => {
            return Ok(Outcome::Ignored { reason: failure.during("its Go modules cannot be had").to_string() });
        }
        Err(NoProgram::Code(failure)) => {
            return Ok(Outcome::Broken { reason: failure.during("its program does not build").to_string() });
        }
    };
    let subject = subject()?;
    let dir = tempfile::tempdir()?;
    let inputs = Inputs::unpack(&subject, dir.path()).context("the image cannot be taken apart")?;
    let run = || -> Result<Vec<Check>> {
        let mut checks = run(&program, &inputs, dir.path())?;
        if imager::is_rootless(line) {
            checks.push(imager::check(&program, &inputs, &subject, dir.path())?);
        }
        Ok(checks)
    };
    Ok(match run() {
        Ok(checks) => Outcome::Checked { checks },
        Err(failure) => Outcome::Broken { reason: failure.during("its program did not run to the end").to_string() },
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
    let text = serde_json::to_string_pretty(inputs).map_err(|e| Failure::new("cannot write the inputs").why(e))?;
    fs::write(&json, text)?;
    // The packages put large files into the temporary folder: beside the others, which go with it.
    Ok(Cmd::new(program).arg(json).cwd(dir).env("TMPDIR", dir))
}
