// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Small texts; the files of `kernel-config/` themselves are checked in `tests/kernel_config.rs`.

use super::required::{Required, expect_required};
use super::*;

const FRAGMENT: &str = "\
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# What the file is for.

# First reason,
# in two lines.
CONFIG_A=y
CONFIG_B=m
# Second reason.
# CONFIG_C is not set

# Values.
CONFIG_D=\"a b\"
CONFIG_E=-1
CONFIG_F=0xb0
CONFIG_G=\"\"
";

const TABLE: &str = "\
[[group]]
source = 'T 6.2'
reason = 'Talos waits for it'
values = ['y']
options = ['A']
[[group]]
source = 'B 4'
reason = 'the flash'
values = ['m', 'y']
options = ['B']
[[group]]
source = 'T 6.3'
reason = 'off'
values = ['n']
options = ['C']
[[group]]
source = 'T 6.1'
reason = 'type information'
when = 'btf-on'
values = ['y']
options = ['BTF']
[[group]]
source = 'T 6.3'
reason = 'policy'
lines = ['v1.10']
values = ['y']
options = ['IMA']
";

fn merge(text: &str) -> Request {
    Request::merge([("one.config", text)]).expect("merge")
}

fn config(text: &str) -> DotConfig {
    DotConfig::parse(text).expect("parse")
}

#[test]
fn reads_values_and_reasons() {
    let request = merge(FRAGMENT);
    let got: Vec<_> =
        request.entries().map(|e| (e.option.as_str(), e.value.to_string(), e.reason.as_str())).collect();
    assert_eq!(
        got,
        [
            ("A", "y".into(), "First reason, in two lines."),
            ("B", "m".into(), "First reason, in two lines."),
            ("C", "n".into(), "Second reason."),
            ("D", "\"a b\"".into(), "Values."),
            ("E", "-1".into(), "Values."),
            ("F", "0xb0".into(), "Values."),
            ("G", "\"\"".to_owned(), "Values."),
        ]
    );
    assert_eq!(request.get("B").expect("B").line, 8);
}

#[test]
fn allconfig_is_read_back_to_the_same_values() {
    let request = merge(FRAGMENT);
    let text = request.allconfig();
    assert!(text.starts_with("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=\"a b\"\n"), "{text}");
    assert_eq!(check_requested(&request, &config(&text)), []);
    let reworded = FRAGMENT.replace("First reason", "Another reason");
    assert_eq!(merge(&reworded).allconfig(), text);
}

#[test]
fn absent_is_as_good_as_off() {
    assert_eq!(check_requested(&merge("# r\n# CONFIG_C is not set\n"), &config("# comment\n")), []);
}

#[test]
fn must_fail_dropped_and_changed_options() {
    let text = merge(FRAGMENT).allconfig().replace("CONFIG_A=y\n", "").replace("CONFIG_B=m", "CONFIG_B=y");
    let text = text.replace("# CONFIG_C is not set", "CONFIG_C=y").replace("=0xb0", "=0x1");
    let found = check_requested(&merge(FRAGMENT), &config(&text));
    let failure = expect_kept(&found, &|m| vec![format!("because of {}", m.entry.option)])
        .expect_err("four mismatches")
        .to_string();
    assert_eq!(
        failure,
        "the kernel dropped or changed 4 requested options\n  \
         `CONFIG_A`: wanted `y`, got nothing: it does not exist in this kernel, or what it depends on is off \
         (`one.config` line 7: First reason, in two lines.)\n    because of A\n  \
         `CONFIG_B`: wanted `m`, got `y` (`one.config` line 8: First reason, in two lines.)\n    because of B\n  \
         `CONFIG_C`: wanted `n`, got `y` (`one.config` line 10: Second reason.)\n    because of C\n  \
         `CONFIG_F`: wanted `0xb0`, got `0x1` (`one.config` line 15: Values.)\n    because of F\n\
         hint: ask for what the chain ends in, or drop the request; for one kernel version: `versions.toml`"
    );
    assert_eq!(expect_kept(&[], &|_| Vec::new()), Ok(()));
}

#[test]
fn must_fail_option_asked_for_twice() {
    let twice = |second| Request::merge([("a.config", "# r\nCONFIG_A=y\n"), ("b.config", second)]);
    let error = twice("# r\nCONFIG_A=m\n").expect_err("conflict").to_string();
    assert_eq!(error, "`CONFIG_A` is asked for twice: `a.config` line 2 (`y`) and `b.config` line 2 (`m`)");
    assert!(matches!(twice("# r\nCONFIG_A=y\n"), Err(Error::Twice { .. })), "agreeing is a mistake too");
    let same_file = Request::merge([("a.config", "# r\nCONFIG_A=y\n# CONFIG_A is not set\n")]);
    assert!(matches!(same_file, Err(Error::Twice { .. })));
    assert!(matches!(DotConfig::parse("CONFIG_A=y\nCONFIG_A=m\n"), Err(Error::Twice { .. })));
}

#[test]
fn must_fail_malformed_lines() {
    for bad in [
        "CONFIG_A",
        "CONFIG_A=yes",
        "CONFIG_A=\"open",
        "config_A=y",
        "CONFIG_=y",
        "CONFIG_A-B=y",
        "CONFIG_A=0x",
    ] {
        let text = format!("# reason\n{bad}\n");
        let error = parse_fragment("f", &text).expect_err(bad);
        assert_eq!(error, Error::Malformed { file: "f".into(), line: 2, text: bad.into() });
        assert!(DotConfig::parse(&text).is_err(), "{bad}");
    }
}

#[test]
fn must_fail_option_without_reason() {
    let error = parse_fragment("f", "# header\n\nCONFIG_A=y\n").expect_err("no reason");
    assert_eq!(error.to_string(), "`f` line 3: no comment above `CONFIG_A` gives its reason");
}

#[test]
fn required_options_are_found() {
    let required = Required::parse("required.toml", TABLE).expect("table");
    let kernel = config("CONFIG_A=y\nCONFIG_B=y\nCONFIG_IMA=y\n");
    assert_eq!(required.check_config(&kernel, Btf::Off, None), []);
    assert_eq!(required.check_config(&kernel, Btf::On, None).len(), 1);
    let without_ima = config("CONFIG_A=y\nCONFIG_B=m\n");
    assert_eq!(required.check_config(&without_ima, Btf::Off, Some("v1.12")), []);
    assert_eq!(required.check_config(&without_ima, Btf::Off, Some("v1.10")).len(), 1);
    assert_eq!(required.check_config(&without_ima, Btf::Off, None).len(), 1, "all lines at once");
}

#[test]
fn must_fail_missing_required_option() {
    let required = Required::parse("required.toml", TABLE).expect("table");
    let found = required.check_config(&config("# CONFIG_A is not set\nCONFIG_C=m\n"), Btf::Off, None);
    assert_eq!(
        expect_required(&found).expect_err("four").to_string(),
        "the kernel configuration lacks 4 required options\n  \
         `CONFIG_A`: wanted `y`, `.config` has `n`: Talos waits for it (T 6.2)\n  \
         `CONFIG_B`: wanted `m` or `y`, `.config` does not name it: the flash (B 4)\n  \
         `CONFIG_C`: wanted `n`, `.config` has `m`: off (T 6.3)\n  \
         `CONFIG_IMA`: wanted `y`, `.config` does not name it: policy (T 6.3; Talos v1.10)\n\
         hint: add the option to its fragment in `kernel-config/`, or change `required.toml` with a reason"
    );
}

#[test]
fn must_fail_required_option_no_fragment_asks_for() {
    let required = Required::parse("required.toml", TABLE).expect("table");
    let found = required.check_fragments(&merge("# r\nCONFIG_A=m\nCONFIG_B=m\nCONFIG_IMA=y\n"), Btf::Off);
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "`CONFIG_A`: wanted `y`, the fragments ask for `m`: Talos waits for it (T 6.2)",
            "`CONFIG_C`: wanted `n`, no fragment asks for it: off (T 6.3)",
        ]
    );
}

#[test]
fn what_something_else_selects_is_looked_for_in_the_result_only() {
    let table = "[[group]]\nsource = 's'\nreason = 'r'\nselected = true\nvalues = ['y']\noptions = ['LIB']\n";
    let required = Required::parse("required.toml", table).expect("table");
    assert_eq!(required.check_fragments(&Request::default(), Btf::Off), []);
    assert_eq!(required.check_config(&config("CONFIG_LIB=y\n"), Btf::Off, None), []);
    assert_eq!(required.check_config(&config("CONFIG_LIB=m\n"), Btf::Off, None).len(), 1);
}

#[test]
fn must_fail_bad_tables() {
    let cases = [
        (TABLE.replace("when =", "if ="), "unknown field `if`"),
        (TABLE.replace("btf-on", "sometimes"), "unknown variant `sometimes`"),
        (TABLE.replace("v1.10", "v1.9"), "`v1.9` is none of the Talos lines"),
        (TABLE.replace("['m', 'y']", "['perhaps']"), "`perhaps` is no Kconfig value"),
        (TABLE.replace("['m', 'y']", "[]"), "lacks values"),
        (TABLE.replace("['B']", "['A']"), "`CONFIG_A` is named twice"),
    ];
    for (text, wanted) in cases {
        let error = Required::parse("required.toml", &text).expect_err(wanted).to_string();
        assert!(error.starts_with("`required.toml`: ") && error.contains(wanted), "{error}");
    }
}
