// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files in `kernel-config/` themselves, without a kernel.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::kconfig::folder::Folder;
use fw_build::kconfig::required::{Required, TALOS_LINES, expect_required};
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

/// Every sysctl that a line waits for is awaited by the later ones, too, and its options are required by the table.
#[test]
fn awaited_sysctls_are_required() {
    let kspp = Folder::load(&folder()).expect("folder").kspp;
    let required = required();
    for sysctl in kspp.sysctls.iter().filter(|s| !s.talos.is_empty()) {
        let first = TALOS_LINES.iter().position(|l| sysctl.talos.contains_key(*l)).expect("a line");
        assert_eq!(sysctl.talos.len(), TALOS_LINES.len() - first, "{}", sysctl.name);
        for option in &sysctl.options {
            let required = required.of(Btf::On, None).any(|r| r.option == *option);
            // What nobody can switch off without EXPERT needs no request.
            assert!(
                required || ["PRINTK", "MMU"].contains(&option.as_str()),
                "{} of {}",
                option,
                sysctl.name
            );
        }
    }
    let awaited = |line: &str| kspp.sysctls.iter().filter(|s| s.talos.contains_key(line)).count();
    assert_eq!(TALOS_LINES.map(awaited), [7, 7, 16, 16, 16], "talos-contracts 6.2");
}

/// Each required option in turn is taken out of its fragment: the check must name it and its reason.
#[test]
fn must_fail_each_required_option_taken_out() {
    let required = required();
    for btf in [Btf::On, Btf::Off] {
        let texts = texts(btf);
        let whole = merge(&texts);
        let mut count = 0;
        for requirement in required.of(btf, None).filter(|r| !r.selected) {
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
            // As the stage meets it: before anything is fetched.
            let failure = expect_required(&found).expect_err("the build fails").to_string();
            assert!(failure.contains(&requirement.reason), "{failure}");
            count += 1;
        }
        assert!(count > 200, "the table shrank to {count} options");
    }
}

/// The same through the files themselves, as the stage reads them.
#[test]
fn must_fail_a_folder_without_a_required_option() {
    let copy = tempfile::tempdir().expect("folder");
    for entry in fs::read_dir(folder()).expect("folder") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copy");
    }
    let load = || Folder::load(copy.path()).expect("readable");
    assert!(load().request(Btf::On, "6.18.15").is_ok());
    // Not in 6.12, but required: the table of versions must not hide that nobody asks for it.
    for option in ["SECURITY_YAMA", "USB_DWC3_GENERIC_PLAT"] {
        let entry = load().request(Btf::On, "6.18.15").expect("request").get(option).expect(option).clone();
        let path = copy.path().join(&entry.file);
        let whole = fs::read_to_string(&path).expect("read");
        fs::write(&path, whole.replace(&format!("CONFIG_{option}=y\n"), "")).expect("write");
        for version in ["6.18.15", "6.12.107"] {
            let failure = load().request(Btf::On, version).expect_err("lacks it").to_string();
            assert!(failure.contains(&format!("`CONFIG_{option}`")), "{failure}");
        }
        fs::write(&path, whole).expect("write");
    }
}

#[test]
fn a_version_gets_what_it_has() {
    let folder = Folder::load(&folder()).expect("folder");
    let asked = |version: &str| folder.request(Btf::On, version).expect("request");
    assert!(asked("6.18.15").get("NETFILTER_XTABLES_LEGACY").is_some());
    assert!(asked("6.12.107").get("NETFILTER_XTABLES_LEGACY").is_none());
    let bounded = folder.versions.absent("6.9.0").count();
    assert_eq!(asked("6.18.15").entries().count() - asked("6.9.0").entries().count(), bounded);
}

#[test]
fn each_talos_line_has_its_own_needs() {
    let required = required();
    let count = |line| required.of(Btf::Off, Some(line)).count();
    let counts = TALOS_LINES.map(count);
    assert!(counts[0] > counts[1], "v1.10 alone writes an IMA policy: {counts:?}");
    assert!(counts[2] > counts[1], "v1.12 added sysctls: {counts:?}");
}
