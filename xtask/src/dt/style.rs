// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The kernel's coding style for device trees, as far as lines show it
//! (`Documentation/devicetree/bindings/dts-coding-style.rst`).
//!
//! Looks at text only; what the tree means is for the other checks.

use std::path::Path;

use fs_err as fs;
use fw_build::Result;
use fw_build::key::files_below;

use super::complaint::Complaint;

/// Width that the kernel's style keeps to, a tab counting as eight.
const WIDTH: usize = 100;

/// Judges all sources below a folder.
///
/// # Errors
/// A file cannot be read.
pub fn judge(dts: &Path) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    for name in files_below(dts)? {
        let text = fs::read_to_string(dts.join(&name))?;
        complaints.extend(judge_text(&name.display().to_string(), &text));
    }
    Ok(complaints)
}

fn judge_text(name: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut say =
        |line: usize, what: &str| complaints.push(Complaint::new(format!("`{name}`:{line}: {what}")));
    if !text.starts_with("// SPDX-License-Identifier: (GPL-2.0-only OR MIT)\n") {
        say(1, "the licence line of device trees is `(GPL-2.0-only OR MIT)`");
    }
    if !text.ends_with('\n') || text.ends_with("\n\n") {
        say(text.lines().count(), "the file must end with one line feed");
    }
    // Names of the open nodes' last child, to see the order; the first level is references.
    let mut last: Vec<String> = vec![String::new()];
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let body = line.trim_start_matches('\t');
        let depth = line.len() - body.len();
        if line.ends_with([' ', '\t']) {
            say(number, "blanks at the end");
        }
        if body.starts_with(' ') && !body.starts_with(" *") && depth == 0 {
            say(number, "indented with blanks");
        }
        if body.chars().count() + 8 * depth > WIDTH {
            say(number, "longer than 100 columns");
        }
        if body == "};" {
            last.truncate(depth + 1);
        }
        let Some(opened) = body.strip_suffix(" {") else { continue };
        last.resize(depth + 1, String::new());
        let node = opened.rsplit(": ").next().unwrap_or(opened);
        if let Some(before) = last.get(depth).filter(|before| !in_order(before, node)) {
            say(number, &format!("`{node}` belongs before `{before}`"));
        }
        last[depth] = node.to_owned();
        last.push(String::new());
    }
    complaints
}

/// Whether two nodes of one parent may follow each other: references by label and named nodes by alphabet, nodes
/// with an address by address. Nodes of different kinds, and those that are sorted by what they describe
/// (regulators of a PMIC, trips and cooling maps, which rise), may stand in any order.
fn in_order(before: &str, node: &str) -> bool {
    let unsorted = |n: &str| {
        ["dcdc-reg", "pldo-reg", "nldo-reg", "package-fan", "map-fan", "trips", "cooling-maps"]
            .iter()
            .any(|p| n.starts_with(p))
    };
    let special = |n: &str| n == "/" || n == "aliases" || n == "chosen";
    if before.is_empty() || unsorted(before) || unsorted(node) || special(before) {
        return true;
    }
    if special(node) || before.starts_with('&') != node.starts_with('&') {
        return node == "/" || !special(node) && before.starts_with('/');
    }
    match (before.split_once('@'), node.split_once('@')) {
        (Some((_, a)), Some((_, b))) => match (u64::from_str_radix(a, 16), u64::from_str_radix(b, 16)) {
            (Ok(a), Ok(b)) => a <= b,
            _ => true,
        },
        (None, None) => before <= node,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "// SPDX-License-Identifier: (GPL-2.0-only OR MIT)\n";

    fn said(body: &str) -> Vec<String> {
        judge_text("x", &format!("{HEAD}{body}")).into_iter().map(|c| c.what).collect()
    }

    #[test]
    fn good_style_is_not_touched() {
        let good = "/ {\n\taliases {\n\t};\n\n\tchosen {\n\t};\n\n\tadc {\n\t};\n\n\tx: leds {\n\t};\n};\n\n&a {\n\tb@42 {\n\t};\n\n\tb@43 {\n\t};\n};\n\n&b {\n};\n";
        assert_eq!(said(good), Vec::<String>::new());
    }

    #[test]
    fn must_fail_order_and_blanks() {
        assert!(said("&b {\n};\n\n&a {\n};\n")[0].contains("`&a` belongs before `&b`"));
        assert!(
            said("/ {\n\tleds {\n\t};\n\n\tadc {\n\t};\n};\n")[0].contains("`adc` belongs before `leds`")
        );
        assert!(
            said("&a {\n\tb@43 {\n\t};\n\n\tb@42 {\n\t};\n};\n")[0].contains("`b@42` belongs before `b@43`")
        );
        assert!(said("&a {\n\tx; \n};\n")[0].contains("blanks at the end"));
        assert!(said("&a {\n    x;\n};\n")[0].contains("indented with blanks"));
        assert!(said("&a {\n};\n\n")[0].contains("one line feed"));
        assert!(judge_text("x", "/ {\n};\n")[0].what.contains("licence line"));
        let long = format!("&a {{\n\tx = <{}>;\n}};\n", "1".repeat(90));
        assert!(said(&long)[0].contains("100 columns"));
    }
}
