// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `docs/conformance.md`, from a report. Nothing in it changes from run to run: no times, no paths.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::imager::MEANT;
use crate::report::{Check, Outcome, Report, Status};

const HEAD: &str = "\
<!-- SPDX-License-Identifier: Apache-2.0 OR MIT -->
<!-- Written by `cargo xtask conformance --write-docs`; do not edit. -->
# Conformance with Talos's own code

`cargo xtask conformance` builds one program per release line out of the Go packages that Talos is made of, as they
are published, and gives them our files: image, overlay, initramfs, command lines. It builds an image of each line's
layout with the self-test userland, since the container, the table and the boot files are the same as with Talos's.
";

const TOOLS: &str = "\
It needs Go 1.21 or later (`cargo xtask setup --conformance`) and a Go module proxy. Without them a line is reported as
ignored with the reason; under `--strict` that is a failure. The versions are those of `conformance/<line>/go.mod`, with
the replaces of Talos's own. The programs' module path lies below Talos's, which is how Go lets them import internal
packages (the parser of `grub.cfg`, META, UKI) without a change to them.

Apart from the two modules of Talos itself, every hash in `go.sum` is also in the `go.sum` that Talos publishes. v1.14 has
three exceptions: a module proxy may lack the commits of three libraries that Talos names, and an older release of each
stands in (`conformance/v1.14/go.mod`). Of their code, runs reach what registers types at the start of a program and
nothing else (`go build -cover -coverpkg`).
";

const LIMITS: &str = "
## What is not there

`executor-node` shuts the installer into a folder with `chroot`, which takes root or a user namespace; where neither is to
be had it is not run, and said so.

## Room on the disk

Modules, toolchains and compiled packages lie in `go/` of the store (`~/.cache/talos-nanopi-m6/go`, or below `FW_STORE`):
10 GB after all lines and `cargo xtask qemu --userland talos-source`. Go drops compiled packages that were not used for five
days when it builds the next time, and never a module. All of it can go at any time; the next run fetches and compiles again:

```console
$ rm -r ~/.cache/talos-nanopi-m6/go
```
";

const IMAGER: &str = "
## The imager's own image

From v1.13 on Talos's imager makes disk images without root and loop devices, so it runs here: our overlay as OCI
layout, our kernel and initramfs, the profile of the overlay; what it makes is compared with the image of
`cargo xtask image`, byte for byte where nothing else is said: protective MBR, both copies of the partition table with
all GUIDs, loader area, BIOS and META, every file on EFI and BOOT with its mode, `grub.cfg`, label and UUID of BOOT.
Before v1.13 the imager needs root and loop devices, and is only asked for its kernel command line.

It runs with tools of this machine in the place of those in its container: `mkfs.xfs` is an older one that gets the
features of our BOOT (Talos's own from v1.13 on, `lts_6.18.conf`, GRUB 2.12 cannot read), and `grub-mkimage` puts
together the pinned modules. So nothing is said here about features of xfs and about versions of GRUB.

Differences that are meant; any other one, and one of these that is no longer there, fails the check:

";

/// The file's text.
pub fn render(report: &Report) -> String {
    let mut text = format!("{HEAD}\n{TOOLS}\n## What was checked\n\n");
    let lines: Vec<(&String, &str, BTreeMap<&str, &Check>)> = report
        .lines
        .iter()
        .map(|(name, (release, outcome))| (name, release.as_str(), by_name(outcome)))
        .collect();
    text += "| Check | What it shows |";
    for (name, release, _) in &lines {
        let _ = write!(text, " {name} ({release}) |");
    }
    text += &format!("\n| --- | --- |{}\n", " --- |".repeat(lines.len()));
    for check in all(&lines) {
        let _ = write!(text, "| `{}` | {} |", check.check, check.shows);
        for (_, _, checks) in &lines {
            let word = match checks.get(check.check.as_str()).map(|c| c.status) {
                Some(Status::Passed) => "passed",
                Some(Status::Failed) => "**failed**",
                Some(Status::Absent) => "not run",
                None => "-",
            };
            let _ = write!(text, " {word} |");
        }
        text.push('\n');
    }
    text += "\n## Inputs that each check must refuse\n\nEach of them is tried in every run; one that is not noticed fails \
             the check.\n\n";
    for check in all(&lines) {
        let inputs: Vec<&str> = check.broken.iter().map(|b| b.input.as_str()).collect();
        let _ = writeln!(text, "- `{}`: {}", check.check, inputs.join("; "));
    }
    text += IMAGER;
    for (what, reason) in MEANT {
        let _ = writeln!(text, "- `{what}`: {reason}.");
    }
    text += LIMITS;
    text
}

/// Every check that some line has, in the order of the first line that has it.
fn all<'a>(lines: &[(&String, &str, BTreeMap<&str, &'a Check>)]) -> Vec<&'a Check> {
    let mut all: Vec<&Check> = Vec::new();
    for (_, _, checks) in lines {
        for check in checks.values() {
            match all.iter_mut().find(|c| c.check == check.check) {
                // The line that tried most inputs speaks for all.
                Some(known) if known.broken.len() < check.broken.len() => *known = check,
                Some(_) => {}
                None => all.push(check),
            }
        }
    }
    all
}

fn by_name(outcome: &Outcome) -> BTreeMap<&str, &Check> {
    match outcome {
        Outcome::Checked { checks } => checks.iter().map(|c| (c.check.as_str(), c)).collect(),
        Outcome::Ignored { .. } | Outcome::Broken { .. } => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Broken;

    #[test]
    fn the_table_has_a_column_per_line() {
        let check = |status, broken: &[&str]| Check {
            check: "meta".to_owned(),
            status,
            shows: "META is read".to_owned(),
            problems: Vec::new(),
            broken: broken
                .iter()
                .map(|input| Broken { input: (*input).to_owned(), caught: true, how: String::new() })
                .collect(),
        };
        let outcome = |status, broken: &[&str]| Outcome::Checked { checks: vec![check(status, broken)] };
        let ignored = Outcome::Ignored { reason: "no Go".to_owned() };
        let lines = [
            ("v1.10", ("v1.10.6", outcome(Status::Passed, &["a byte"]))),
            ("v1.11", ("v1.11.5", outcome(Status::Failed, &["a byte", "half"]))),
            ("v1.12", ("v1.12.0", ignored)),
        ]
        .map(|(name, (release, outcome))| (name.to_owned(), (release.to_owned(), outcome)));
        let text = render(&Report { lines: BTreeMap::from(lines) });
        assert!(text.contains("| v1.10 (v1.10.6) | v1.11 (v1.11.5) | v1.12 (v1.12.0) |"), "{text}");
        assert!(text.contains("| `meta` | META is read | passed | **failed** | - |"), "{text}");
        assert!(text.contains("- `meta`: a byte; half\n"), "{text}");
    }
}
