// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every rule has a log of its name in `corpus/` that it explains, and explains it first.

use std::path::{Path, PathBuf};

use boot_log::{Class, Diagnosis, Rules, Scanner, Stage};

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn diagnose<'r>(rules: &'r Rules, log: &[u8]) -> Diagnosis<'r> {
    let mut scanner = Scanner::new(rules);
    // In pieces, as a serial line gives them: no verdict may depend on where a read ends.
    for piece in log.chunks(37) {
        scanner.feed(piece);
    }
    scanner.finish()
}

#[test]
fn every_rule_is_the_first_finding_of_its_log_and_every_log_has_a_rule() {
    let rules = Rules::builtin();
    let mut wrong = Vec::new();
    for rule in rules.all() {
        let log = read(&folder("corpus").join(format!("{}.log", rule.id)));
        let diagnosis = diagnose(&rules, &log);
        let ids: Vec<_> = diagnosis.findings.iter().map(|f| f.rule.id.as_str()).collect();
        if ids.first() != Some(&rule.id.as_str()) {
            wrong.push(format!("{}: found {ids:?}, reached {:?}", rule.id, diagnosis.reached));
        }
        if rule.class == Class::Fatal && diagnosis.reached == Some(Stage::Ready) {
            wrong.push(format!("{}: ends the boot, and its log is of a complete one", rule.id));
        }
        // One cause, one finding: a fixture shows its own symptom and no other.
        if ids.len() > 1 {
            wrong.push(format!("{}: also {:?}", rule.id, &ids[1..]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let logs = std::fs::read_dir(folder("corpus")).unwrap().count();
    assert_eq!(logs, rules.all().len(), "logs in corpus/ and rules");
}

#[test]
fn a_rule_taken_out_is_missed() {
    // The corpus test can fail: without a rule its log is not explained by it.
    let text = include_str!("../rules.toml");
    let without = text.replacen(
        "when = { seen = ['Bad hash value for",
        "when = { seen = ['never printed, Bad hash value for",
        1,
    );
    let rules = Rules::parse(&without).unwrap();
    let diagnosis = diagnose(&rules, &read(&folder("corpus").join("fit-hash.log")));
    assert_ne!(diagnosis.findings[0].rule.id, "fit-hash");
}

#[test]
fn the_memory_that_the_rehearsal_gives_to_qemu_is_no_finding() {
    let rules = Rules::builtin();
    let log =
        |name: &str| format!("U-Boot 2025.01-{name} (Jan 01 2025 - 00:00:00 +0000)\r\nDRAM:  2 GiB\r\n");
    let found = |log: String| {
        let findings = diagnose(&rules, log.as_bytes()).findings;
        findings.iter().any(|f| f.rule.id == "dram-too-small")
    };
    assert!(!found(log("qemu")) && found(log("nanopi-m6")));
}

#[test]
fn a_finding_names_the_line_that_an_editor_shows() {
    let rules = Rules::builtin();
    let log = "\r\n\r\nU-Boot 2025.01-nanopi-m6 (x)\r\n\r\nDRAM:  2 GiB\r\n";
    let diagnosis = diagnose(&rules, log.as_bytes());
    let finding = diagnosis.findings.iter().find(|f| f.rule.id == "dram-too-small").expect("found");
    assert_eq!(finding.line, Some(5));
}

#[test]
fn a_complete_boot_has_no_finding() {
    let rules = Rules::builtin();
    let diagnosis = diagnose(&rules, &read(&folder("other/complete.log")));
    assert_eq!(diagnosis.reached, Some(Stage::Ready));
    assert!(diagnosis.findings.is_empty(), "{diagnosis}");
    assert!(diagnosis.recognised());
}

#[test]
fn an_unknown_log_is_said_to_be_unknown() {
    let rules = Rules::builtin();
    let diagnosis = diagnose(&rules, &read(&folder("other/unknown-device.log")));
    assert!(!diagnosis.recognised());
    assert!(diagnosis.to_string().contains("not recognised"), "{diagnosis}");
}

#[test]
fn a_log_cut_at_any_byte_ends_in_a_verdict() {
    let rules = Rules::builtin();
    let log = read(&folder("other/complete.log"));
    let mut reached = None;
    for end in (0..log.len()).step_by(61) {
        let diagnosis = diagnose(&rules, &log[..end]);
        assert!(diagnosis.reached >= reached, "a longer log got less far, at byte {end}");
        reached = diagnosis.reached;
        assert!(!diagnosis.to_string().is_empty());
    }
}

#[test]
fn rules_that_could_not_be_right_are_refused() {
    let stage = "[[stage]]\nid = \"spl\"\nbanner = 'x'\n";
    let rule = |id: &str, when: &str, explains: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nclass = \"note\"\nstage = \"spl\"\nsymptom = \"s\"\nfix = \"f\"\nsource = [\"s\"]\n\
             causes = [{{ cause = \"c\", test = \"t\" }}]\nwhen = {{ {when} }}\nexplains = [{explains}]\n"
        )
    };
    let seen = "seen = ['a']";
    for (text, what) in [
        (format!("{stage}{}{}", rule("a", seen, ""), rule("a", seen, "")), "two of this name"),
        (format!("{stage}{}", rule("a", "", "")), "always apply"),
        (format!("{stage}{}", rule("a", seen, "\"b\"")), "no other rule"),
        (format!("{stage}{}", rule("a", "seen = ['(']", "")), "regular expression"),
        (format!("{stage}{}", rule("a", "sene = ['a']", "")), "not readable"),
    ] {
        let error = Rules::parse(&text).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn grub_may_greet_and_show_its_menu_in_one_boot_or_only_the_menu() {
    let rules = Rules::builtin();
    let menu = "\x1b[2J\x1b[1;1H\x1b[2;25HGNU GRUB  version 2.12\r\n";
    let boot = |grub: &str| format!("U-Boot SPL 2025.01 (x)\r\nU-Boot 2025.01 (x)\r\n{grub}");
    for grub in [menu.to_owned(), format!("Welcome to GRUB!\r\n{menu}")] {
        let diagnosis = diagnose(&rules, boot(&grub).as_bytes());
        assert_eq!((diagnosis.reached, diagnosis.boots), (Some(Stage::Grub), 1), "{grub:?}");
    }
    // SPL twice is two boots.
    assert_eq!(diagnose(&rules, format!("{}{}", boot(menu), boot("")).as_bytes()).boots, 2);
}
