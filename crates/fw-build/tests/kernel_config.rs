// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files in `kernel-config/` themselves, without a kernel.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::kconfig::required::{Required, TALOS_LINES};
use fw_build::kconfig::{Btf, FRAGMENTS, Request};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel-config")
}

fn texts(btf: Btf) -> Vec<(&'static str, String)> {
    let read = |name: &'static str| (name, fs::read_to_string(folder().join(name)).expect("fragment"));
    FRAGMENTS.into_iter().chain([btf.fragment()]).map(read).collect()
}

fn merge(texts: &[(&'static str, String)]) -> Request {
    Request::merge(texts.iter().map(|(n, t)| (*n, t.as_str()))).expect("fragments agree")
}

fn required() -> Required {
    let text = fs::read_to_string(folder().join("required.toml")).expect("table");
    Required::parse("required.toml", &text).expect("table")
}

#[test]
fn fragments_agree_and_ask_for_every_required_option() {
    for btf in [Btf::On, Btf::Off] {
        let found = required().check_fragments(&merge(&texts(btf)), btf);
        assert!(found.is_empty(), "{}", found.iter().map(|v| format!("{v}\n")).collect::<String>());
    }
}

#[test]
fn every_file_is_used() {
    let mut used: Vec<&str> = FRAGMENTS.to_vec();
    used.extend([Btf::On.fragment(), Btf::Off.fragment()]);
    used.sort_unstable();
    let names = fs::read_dir(folder()).expect("folder").map(|e| e.expect("entry").file_name());
    let mut there: Vec<String> =
        names.filter_map(|n| n.into_string().ok()).filter(|n| n.ends_with(".config")).collect();
    there.sort_unstable();
    assert_eq!(there, used);
}

/// Each required option in turn is taken out of its fragment: the check must name it and its reason.
#[test]
fn must_fail_each_required_option_taken_out() {
    let required = required();
    for btf in [Btf::On, Btf::Off] {
        let texts = texts(btf);
        let whole = merge(&texts);
        let mut count = 0;
        for requirement in required.of(btf, None) {
            let entry = whole.get(&requirement.option).expect("asked for");
            let mut less = texts.clone();
            let (_, text) = less.iter_mut().find(|(name, _)| *name == entry.file).expect("its fragment");
            let mut lines: Vec<&str> = text.lines().collect();
            lines.remove(entry.line - 1);
            *text = lines.join("\n");
            let found = required.check_fragments(&merge(&less), btf);
            assert_eq!(found.len(), 1, "{}", requirement.option);
            let message = found[0].to_string();
            assert!(message.contains(&format!("`CONFIG_{}`", requirement.option)), "{message}");
            assert!(message.contains(&requirement.reason), "{message}");
            count += 1;
        }
        assert!(count > 200, "the table shrank to {count} options");
    }
}

#[test]
fn each_talos_line_has_its_own_needs() {
    let required = required();
    let count = |line| required.of(Btf::Off, Some(line)).count();
    let counts = TALOS_LINES.map(count);
    assert!(counts[0] > counts[1], "v1.10 alone writes an IMA policy: {counts:?}");
    assert!(counts[2] > counts[1], "v1.12 added sysctls: {counts:?}");
}
