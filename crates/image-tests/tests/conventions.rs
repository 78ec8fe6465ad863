// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What CONTRIBUTING.md and ARCHITECTURE.md promise about the tracked files, held against all of them.
//!
//! Needs no built image. Each rule is a function from files to complaints; a second test gives it a made-up text
//! that it must refuse. Those texts are put together from pieces, so that this file passes its own rules.

use std::path::Path;
use std::slice::from_ref;

use fw_build::run::Cmd;
use fw_build::{Context, Result};

/// A tracked text file: its path in the workspace and its content.
type File = (String, String);

/// The crates that were asked for by name.
const ASKED_FOR: [&str; 10] =
    ["cc", "cmake", "bindgen", "fs_extra", "flate2", "tar", "ureq", "sha2", "tempfile", "which"];

/// Variables that tests set for the processes which they start; no user ever sees them.
const TEST_VARIABLES: &str = "FW_TEST_";

/// How the name of a source archive or a blob ends.
const BLOB_SUFFIXES: [&str; 15] = [
    ".tar", ".tgz", ".gz", ".xz", ".bz2", ".zst", ".zip", ".deb", ".dsc", ".bin", ".elf", ".img", ".raw",
    ".patch", ".diff",
];

/// All tracked text files.
fn tracked() -> Result<Vec<File>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listed = Cmd::new("git")
        // A checkout that another user owns, as in a container, is only listed here; nothing of it is run.
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .cwd(&root)
        .output()
        .context("cannot list the tracked files (package `git`)")?;
    let mut files = Vec::new();
    for name in String::from_utf8_lossy(&listed).split_terminator('\0') {
        // Not there: deleted, but not yet in the index.
        let Ok(bytes) = fs_err::read(root.join(name)) else { continue };
        if let Ok(text) = String::from_utf8(bytes) {
            files.push((name.to_owned(), text));
        }
    }
    Ok(files)
}

fn content<'a>(files: &'a [File], path: &str) -> &'a str {
    &files.iter().find(|(name, _)| name == path).unwrap_or_else(|| panic!("`{path}` is not tracked")).1
}

/// Runs of letters, digits and `_`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// Written by cargo or by Go, or the text of a licence.
fn is_foreign(path: &str) -> bool {
    path == "Cargo.lock" || path.starts_with("LICENSES/") || path.ends_with("/go.sum")
}

/// What a console printed, byte for byte: a line more would be another log. Their folder's README names the licence.
fn is_console_log(path: &str) -> bool {
    path.starts_with("crates/boot-log/tests/") && path.ends_with(".log")
}

fn is_manifest(path: &str) -> bool {
    path.starts_with("vendor-manifests/")
}

/// A Rust file without its tests; nothing of a file that holds only tests.
fn without_tests<'a>(path: &str, text: &'a str) -> &'a str {
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
    if !is_rust(path) {
        text
    } else if path.contains("/tests/") || stem == "tests" || stem.ends_with("_tests") {
        ""
    } else {
        text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
    }
}

/// Every file says under which licence it is, in its first five lines (a patch: in its header).
fn without_licence(files: &[File]) -> Vec<String> {
    let licensed = |text: &str| {
        text.lines().take(5).any(|l| {
            l.split_once("SPDX-License-Identifier: ").is_some_and(|(_, id)| words(id).next().is_some())
        })
    };
    let unlicensed =
        files.iter().filter(|(path, text)| !is_foreign(path) && !is_console_log(path) && !licensed(text));
    unlicensed.map(|(path, _)| format!("`{path}`: no SPDX line in the first five")).collect()
}

fn is_digest(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A SHA-256 stands in a manifest; elsewhere only a test's own vector may, and never one that a manifest has.
fn stray_digests(files: &[File]) -> Vec<String> {
    let manifests = files.iter().filter(|(path, _)| is_manifest(path));
    let pinned: Vec<&str> = manifests.flat_map(|(_, text)| words(text).filter(|w| is_digest(w))).collect();
    let mut complaints = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| !is_manifest(path) && !is_foreign(path)) {
        let code = words(without_tests(path, text)).filter(|w| is_digest(w));
        complaints.extend(code.map(|d| format!("`{path}`: digest {d} belongs into a manifest")));
        let copies = words(text).filter(|w| pinned.contains(w));
        complaints.extend(copies.map(|d| format!("`{path}`: digest {d} is a manifest's")));
    }
    complaints
}

/// All URLs of a text that name a host (a computed host names none), as (host, whole).
fn urls(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("://").filter_map(|(at, _)| {
        let scheme = ["https", "http"].into_iter().find(|s| text[..at].ends_with(s))?;
        let rest = &text[at + 3..];
        let end = rest.find(|c: char| c.is_whitespace() || "\"'`<>()|\\,;".contains(c)).unwrap_or(rest.len());
        let host = rest[..end].split(['/', ':', '?', '#']).next()?;
        let named = host.contains('.') && !host.starts_with(['{', '[', '.']);
        named.then(|| (host, &text[at - scheme.len()..at + 3 + end]))
    })
}

/// Names that are nobody's (RFC 2606), and this machine.
fn is_reserved(host: &str) -> bool {
    host.ends_with(".example") || host.starts_with("127.")
}

/// Addresses of sources stand in manifests. Elsewhere no URL of an archive or blob is allowed, and Rust code
/// outside of comments names no host that a manifest names.
fn stray_urls(files: &[File]) -> Vec<String> {
    let manifests = files.iter().filter(|(path, _)| is_manifest(path));
    let origins: Vec<&str> = manifests.flat_map(|(_, text)| urls(text).map(|(host, _)| host)).collect();
    let mut complaints = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| !is_manifest(path) && !is_foreign(path)) {
        for (host, url) in urls(text) {
            let name = url.split(['?', '#']).next().unwrap_or(url).trim_end_matches('.');
            if !is_reserved(host) && BLOB_SUFFIXES.iter().any(|s| name.ends_with(s)) {
                complaints.push(format!("`{path}`: `{url}` belongs into a manifest"));
            }
        }
        let code = without_tests(path, text).lines().filter(|l| is_rust(path) && !l.trim().starts_with("//"));
        let named = code.flat_map(urls).filter(|(host, _)| origins.contains(host));
        complaints.extend(named.map(|(_, url)| format!("`{path}`: code names the origin `{url}`")));
    }
    complaints
}

/// The verbs of xtask's command line, as they are typed.
fn verbs(main: &str) -> Vec<String> {
    let body =
        main.split_once("enum Verb {").and_then(|(_, rest)| rest.split_once("\n}")).map_or("", |b| b.0);
    let variants = body.lines().map(str::trim).filter(|l| l.starts_with(|c: char| c.is_ascii_uppercase()));
    // The verbs of another file, not one.
    let variants = variants.filter(|l| !l.contains("::Verb)"));
    let kebab = |name: &str| {
        let hyphened = name.char_indices().flat_map(|(i, c)| {
            let hyphen = (i > 0 && c.is_ascii_uppercase()).then_some('-');
            hyphen.into_iter().chain([c.to_ascii_lowercase()])
        });
        hyphened.collect()
    };
    variants.filter_map(|v| words(v).next().map(kebab)).collect()
}

/// README.md names every verb: `cargo xtask VERB`, or the verb alone in backticks.
fn unnamed_verbs(main: &str, readme: &str) -> Vec<String> {
    let names = |verb: &str| {
        let typed = format!("cargo xtask {verb}");
        let mut places = readme.match_indices(&typed).map(|(at, _)| &readme[at + typed.len()..]);
        readme.contains(&format!("`{verb}`"))
            || places.any(|behind| !behind.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
    };
    verbs(main).iter().filter(|v| !names(v)).map(|v| format!("README.md does not name `{v}`")).collect()
}

/// docs/variables.md lists every `FW_` variable of the Rust sources, and the sources know all that it lists.
fn variables(files: &[File], doc: &str) -> Vec<String> {
    /// Documented as `FW_SELECT_<NAME>` and by example, made in the code with `format!`.
    const FAMILY: &str = "FW_SELECT_";
    let rust = || files.iter().filter(|(path, _)| is_rust(path));
    let mut complaints = Vec::new();
    for (path, text) in rust() {
        let used =
            words(text).filter(|w| w.starts_with("FW_") && w.len() > 3 && !w.starts_with(TEST_VARIABLES));
        for name in used {
            let documented = if name.starts_with(FAMILY) { FAMILY } else { name };
            if !words(doc).any(|w| w == documented) {
                complaints.push(format!("`{path}`: `{name}` is not in docs/variables.md"));
            }
        }
    }
    let is_variable = |w: &&str| w.contains('_') && w.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    for name in words(doc).filter(is_variable) {
        let literal = if name.starts_with(FAMILY) { format!("\"{FAMILY}") } else { format!("\"{name}\"") };
        if !rust().any(|(path, text)| without_tests(path, text).contains(&literal)) {
            complaints.push(format!("docs/variables.md: no source reads `{name}`"));
        }
    }
    complaints
}

/// Every asked-for crate is used, and ARCHITECTURE.md's table says where.
fn missing_crates(lock: &str, architecture: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for name in ASKED_FOR {
        if !lock.lines().any(|l| l == format!("name = \"{name}\"")) {
            complaints.push(format!("`{name}` is not in Cargo.lock"));
        }
        let row = format!("| {name} | ");
        if !architecture.lines().any(|l| l.starts_with(&row) && l.len() > row.len() + 2) {
            complaints.push(format!("ARCHITECTURE.md does not say where `{name}` is used"));
        }
    }
    complaints
}

/// No path into somebody's home: it works on one machine only, and tells whose.
fn home_paths(files: &[File]) -> Vec<String> {
    let absolute =
        |before: &str| !before.ends_with(|c: char| c.is_ascii_alphanumeric() || "._-~}>".contains(c));
    let mut complaints = Vec::new();
    for (path, text) in files {
        for (number, line) in text.lines().enumerate() {
            let root = line.match_indices(concat!("/root", "/")).any(|(at, _)| absolute(&line[..at]));
            let home = line.match_indices(concat!("/home", "/")).any(|(at, found)| {
                let somebody = line[at + found.len()..].starts_with(|c: char| c.is_ascii_alphanumeric());
                absolute(&line[..at]) && somebody
            });
            if root || home {
                complaints.push(format!("`{path}`:{}: a path into a home folder", number + 1));
            }
        }
    }
    complaints
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn tracked_files_keep_the_rules() -> Result<()> {
    let files = tracked()?;
    assert!(files.iter().any(|(path, _)| is_manifest(path)), "the list of files is not the workspace's");
    let main = content(&files, "xtask/src/main.rs");
    let builds = content(&files, "xtask/src/builds.rs");
    for source in [main, builds] {
        assert!(verbs(source).len() >= 7, "the verbs were found: {:?}", verbs(source));
    }
    let complaints = [
        without_licence(&files),
        stray_digests(&files),
        stray_urls(&files),
        unnamed_verbs(main, content(&files, "README.md")),
        unnamed_verbs(builds, content(&files, "README.md")),
        variables(&files, content(&files, "docs/variables.md")),
        missing_crates(content(&files, "Cargo.lock"), content(&files, "ARCHITECTURE.md")),
        home_paths(&files),
    ];
    assert_none(&complaints.concat());
    Ok(())
}

/// One made-up file.
fn file(path: &str, text: impl Into<String>) -> File {
    (path.to_owned(), text.into())
}

#[test]
fn must_fail_files_without_licence() {
    let good = file("a.rs", "// SPDX-License-Identifier: MIT\n");
    let late = file("b.sh", "#\n#\n#\n#\n#\n# SPDX-License-Identifier: MIT\n");
    let empty = file("c.toml", "# SPDX-License-Identifier: \n");
    let generated = file("Cargo.lock", "version = 4\n");
    let console = file("crates/boot-log/tests/corpus/x.log", "U-Boot\n");
    let other_log = file("docs/x.log", "U-Boot\n");
    let complaints = without_licence(&[good, late, empty, generated, console, other_log]);
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    assert!(complaints[2].contains("`docs/x.log`"), "{complaints:?}");
    assert!(complaints[0].contains("`b.sh`") && complaints[1].contains("`c.toml`"), "{complaints:?}");
}

#[test]
fn must_fail_stray_digests() {
    let (pinned, other) = ("0f".repeat(32), "1e".repeat(32));
    let manifest = file("vendor-manifests/x.toml", format!("sha256 = \"{pinned}\""));
    let inline_tests = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\nconst A: &str = \"{other}\";\n}}\n");
    let fine = [
        file("Cargo.lock", format!("checksum = \"{other}\"")),
        file("crates/a/tests/t.rs", format!("\"{other}\"")),
        file("crates/a/src/b.rs", inline_tests),
        file("docs/a.md", format!("a longer number: {other}00")),
    ];
    assert_none(&stray_digests(&[from_ref(&manifest), &fine[..]].concat()));
    let bad = [
        file("crates/a/src/lib.rs", format!("const A: &str = \"{other}\";")),
        file("boards/b.toml", format!("x = \"{}\"", other.to_uppercase())),
        file("crates/a/tests/t.rs", format!("\"{pinned}\"")),
    ];
    let complaints = stray_digests(&[from_ref(&manifest), &bad[..]].concat());
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    assert!(complaints[2].contains("is a manifest's"), "{complaints:?}");
}

#[test]
fn must_fail_stray_urls() {
    let url = |rest: &str| ["https", "://", rest].concat();
    let manifest = file("vendor-manifests/x.toml", format!("url = \"{}\"", url("origin.test/x.tar.gz")));
    let fine = [
        file("README.md", format!("see [it]({}), not `{}`", url("origin.test/about"), url("x.example/a.xz"))),
        file("a.rs", format!("// from {}\nformat!(\"{}\")", url("origin.test/doc"), url("{host}/a.xz"))),
        file("crates/a/tests/b.rs", format!("\"{}\"", url("127.0.0.1:1/a.deb"))),
    ];
    assert_none(&stray_urls(&[from_ref(&manifest), &fine[..]].concat()));
    let bad = [
        file("README.md", format!("get {}.", url("elsewhere.test/a.tar.gz"))),
        file("crates/a/tests/b.rs", format!("\"{}\"", url("elsewhere.test/a.bin?raw=1"))),
        file("a.rs", format!("let base = \"{}\";", url("origin.test/"))),
    ];
    let complaints = stray_urls(&[from_ref(&manifest), &bad[..]].concat());
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    assert!(complaints[2].contains("code names the origin"), "{complaints:?}");
}

#[test]
fn must_fail_unnamed_verbs() {
    let main = "enum Verb {\n    /// Do it.\n    Image(image::Args),\n    DryRun,\n    Why(why::Args),\n}\nfn main() {}\n";
    assert_eq!(verbs(main), ["image", "dry-run", "why"]);
    assert_none(&unnamed_verbs(main, "$ cargo xtask image\n`cargo xtask dry-run`, `why`"));
    let complaints = unnamed_verbs(main, "cargo xtask images, and why not dry-run, `cargo xtask why`");
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[0].contains("`image`") && complaints[1].contains("`dry-run`"), "{complaints:?}");
}

#[test]
fn must_fail_unlisted_variables() {
    let (new, family) = (["FW_", "NEW"].concat(), ["FW_", "SELECT_"].concat());
    let source = |names: &[&str]| {
        let reads: Vec<String> = names.iter().map(|n| format!("var(\"{n}\");\n")).collect();
        [file("a.rs", reads.concat())]
    };
    let doc = format!("| `{new}` | path |\n| `{family}<NAME>` | label |");
    assert_none(&variables(&source(&[&new, &format!("{family}{{}}")]), &doc));
    let complaints = variables(&source(&[&new, &format!("{family}LINUX"), &format!("{new}ER")]), &doc);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains(&format!("`{new}ER`")), "{complaints:?}");
    // A comment does not read a variable.
    let complaints = variables(&[file("a.rs", format!("// {new}\n\"{family}\""))], &doc);
    assert_eq!(complaints, [format!("docs/variables.md: no source reads `{new}`")]);
}

#[test]
fn must_fail_missing_crates() {
    let lock: String = ASKED_FOR.iter().map(|n| format!("[[package]]\nname = \"{n}\"\n")).collect();
    let table: String = ASKED_FOR.iter().map(|n| format!("| {n} | somewhere |\n")).collect();
    assert_none(&missing_crates(&lock, &table));
    let complaints = missing_crates(&lock.replace("\"tar\"", "\"tar2\""), &table.replace("somewhere", ""));
    assert_eq!(complaints.len(), 1 + ASKED_FOR.len(), "{complaints:?}");
}

#[test]
fn must_fail_home_paths() {
    let fine = "~/.cache /home/<name>/x ROOTFS/root/x {dir}/home/x root:x:0:0::/root:/bin/sh";
    assert_none(&home_paths(&[file("a.md", fine)]));
    for bad in [concat!("cd /root", "/x"), concat!("\"/home", "/somebody/x\""), concat!("=/root", "/")] {
        assert_eq!(home_paths(&[file("a.md", bad)]).len(), 1, "{bad}");
    }
}
