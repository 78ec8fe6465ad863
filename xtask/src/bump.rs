// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask bump linux-collabora --version X`: fetches another kernel version, checks it against the publisher's
//! list of digests, writes its pin and shows what it does to the configuration.
//!
//! The manifest is written last, and only when the new kernel keeps every request.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use fs_err as fs;
use fw_build::kconfig::DotConfig;
use fw_build::kconfig::folder::{Folder, expect_requested};
use fw_build::kconfig::required::expect_required;
use fw_build::manifest::{Location, Manifests, Origin, Pin};
use fw_build::run::Cmd;
use fw_build::status::Phase;
use fw_build::{Context as _, Failure, Result};

use crate::context::Context;
use crate::exit::Exit;
use crate::kconfig::{KernelSource, differences};
use crate::screen::Screen;

/// Pins another version of a source.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask bump linux-collabora --version 6.18.16             replaces pin `lts-6.18`
  cargo xtask bump linux-collabora --version 6.19.1 --label mainline-6.19
  cargo xtask bump linux-collabora --version 6.18.16 --keyring /etc/kernel.org.gpg

The digest comes from the publisher's list. With --keyring the list's signature is checked with `gpgv`; without it,
the encrypted connection to the publisher is all that vouches for the list.")]
pub struct Args {
    /// Stage whose source it is.
    #[arg(value_parser = ["linux-collabora"])]
    stage: String,
    /// Upstream's version.
    #[arg(long)]
    version: String,
    /// Pin to write; without it the pin of the same line (`lts-6.18` for 6.18.16).
    #[arg(long)]
    label: Option<String>,
    /// Public keys for the list's signature, as `gpgv` reads them.
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Write the pin even if the kernel drops a request of the fragments.
    #[arg(long)]
    force: bool,
}

/// Runs the verb.
///
/// # Errors
/// The publisher cannot be reached, the sources are not what its list says, or the kernel drops a request.
pub fn run(args: &Args) -> Result<Exit> {
    let cx = Context::load()?;
    check_version(&args.version)?;
    if args.keyring.is_none() {
        eprintln!(
            "warning: the signature of the publisher's list of digests is not checked\n  \
             nothing but the connection to the publisher vouches for it\n\
             hint: `--keyring FILE` checks it with `gpgv`"
        );
    }
    let screen = Screen::start()?;
    let label = match &args.label {
        Some(label) => label.clone(),
        None => same_line(&cx.manifests, &args.version)?,
    };
    let new = Pin { label: label.clone(), ..fetched(&cx, args, &screen)? };
    let selected = cx.board.selected("linux")?;
    let old_label = if cx.manifests.pin("linux", Some(&label)).is_ok() { &label } else { &selected };
    let old = cx.manifests.pin("linux", Some(old_label))?;
    let kept = compare(&cx, old, &new, &screen);
    drop(screen);
    match kept {
        Err(failure) if !args.force => {
            return Err(
                failure.hint("`--force` writes the pin all the same, so that the fragments can follow")
            );
        }
        Err(failure) => eprintln!("warning: {failure}"),
        Ok(()) => {}
    }
    let path = cx.manifests.dir().join("linux.toml");
    let text = with_pin(&fs::read_to_string(&path)?, &new)?;
    write(&path, &text)?;
    eprintln!("wrote pin `{}` of {} to `{}`", new.label, new.version, path.display());
    Ok(Exit::Done)
}

/// A version goes into addresses and a file: digits and dots, perhaps a candidate's suffix.
fn check_version(version: &str) -> Result<()> {
    let (numbers, suffix) = version.split_once("-rc").unwrap_or((version, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = numbers.split('.').collect();
    if (2..=3).contains(&parts.len()) && parts.iter().all(|p| digits(p)) && digits(suffix) {
        return Ok(());
    }
    Err(Failure::new(format!("`{version}` is not a kernel version"))
        .hint("give it as in `--version 6.18.16`"))
}

/// Label of the pin that has a version of the same line.
fn same_line(manifests: &Manifests, version: &str) -> Result<String> {
    let line: Vec<&str> = version.split(['.', '-']).take(2).collect();
    let label = format!("lts-{}", line.join("."));
    manifests.pin("linux", Some(&label)).map(|_| label).map_err(|e| e.hint("`--label NAME` makes a new pin"))
}

/// The new pin, its file fetched and equal to what the publisher's list says.
fn fetched(cx: &Context, args: &Args, screen: &Screen) -> Result<Pin> {
    let publisher = cx.manifests.new_versions("linux")?;
    let url = publisher.source(&args.version);
    let name = url.rsplit('/').next().unwrap_or(&url).to_owned();
    let work = tempfile::tempdir()?;
    let fetcher = cx.fetcher()?;
    let status = screen.step(&format!("linux {}", args.version));
    status.phase(Phase::Fetching, None);
    let list = work.path().join("sha256sums.asc");
    fetcher.fetch_to(&publisher.digests(&args.version), None, None, &list, &status)?;
    let signed = match &args.keyring {
        Some(keyring) => {
            let out = work.path().join("sha256sums");
            // `--output` is the text that the signature covers: what stands outside of it is not looked at.
            Cmd::new("gpgv")
                .arg("--keyring")
                .arg(fs::canonicalize(keyring)?)
                .arg("--output")
                .arg(&out)
                .arg(&list)
                .output()
                .context("the signature of the list of digests does not hold")?;
            out
        }
        // The user was warned.
        None => list,
    };
    let sha256 = digest_of(&fs::read_to_string(&signed)?, &name)?;
    let origin =
        Origin { location: Location::Https { url }, sha256, size_bytes: None, format: publisher.format };
    let mut pin = Pin {
        manifest: "linux".to_owned(),
        label: args.version.clone(),
        version: args.version.clone(),
        limits: Vec::new(),
        licence: cx.manifests.pin("linux", None)?.licence.clone(),
        origins: vec![origin],
    };
    let file = fetcher.fetch(&pin, &status)?;
    pin.origins[0].size_bytes = Some(fs::metadata(&file.path)?.len());
    status.phase(Phase::Cached, None);
    Ok(pin)
}

/// The digest of a file in a list as `sha256sum` writes it, perhaps inside a signed message.
fn digest_of(list: &str, name: &str) -> Result<String> {
    let found: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_once("  "))
        .filter(|(_, file)| *file == name)
        .map(|(digest, _)| digest)
        .collect();
    match found[..] {
        [digest] if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(digest.to_lowercase())
        }
        [] => Err(Failure::new(format!("the publisher's list has no `{name}`"))
            .hint("is the version published? Candidates (-rc) are not in the list")),
        _ => Err(Failure::new(format!("the publisher's list has no single digest for `{name}`"))),
    }
}

/// Prints the difference of the configurations and checks the new one.
fn compare(cx: &Context, old: &Pin, new: &Pin, screen: &Screen) -> Result<()> {
    let folder = Folder::load(&cx.root.join("kernel-config"))?;
    let btf = cx.board.kernel.btf.into();
    let source = KernelSource::open(cx, new, screen)?;
    let request = folder.request(btf, &new.version)?;
    let config = DotConfig::parse(&source.requested(&request)?)?;
    match KernelSource::open(cx, old, screen).and_then(|s| s.requested(&folder.request(btf, &old.version)?)) {
        Ok(text) => {
            let lines = differences(&DotConfig::parse(&text)?, &config);
            for line in &lines {
                println!("{line}");
            }
            eprintln!("{} options differ: {} -> {}", lines.len(), old.version, new.version);
        }
        Err(failure) => eprintln!("note: no comparison with {}: {failure}", old.version),
    }
    expect_requested(&request, &config, source.tree())?;
    expect_required(&folder.required(&new.version).check_config(&config, btf, None))
}

/// The manifest's text with the pin: a pin of that label is replaced, a new one goes to the end. Comments inside a
/// replaced pin speak of the old files and go with it; limits belong to the line and stay.
fn with_pin(text: &str, pin: &Pin) -> Result<String> {
    let [Origin { location: Location::Https { url }, sha256, size_bytes: Some(size_bytes), format }] =
        &pin.origins[..]
    else {
        return Err(Failure::new(format!("pin `{}` cannot be written", pin.id())));
    };
    let format = format.to_string().replace('.', "-");
    let head = format!("[pins.\"{}\"]", pin.label);
    let lines: Vec<&str> = text.lines().collect();
    let begin = lines.iter().position(|l| l.trim() == head);
    let end = begin.map(|begin| {
        let other = |l: &&str| l.starts_with('[') && !l.starts_with(&format!("[[pins.\"{}\"", pin.label));
        let next = lines[begin + 1..].iter().position(other).map_or(lines.len(), |n| begin + 1 + n);
        // A comment right above the next pin is about that one.
        let about_next = lines[begin + 1..next].iter().rev().take_while(|l| l.starts_with('#')).count();
        next - about_next
    });
    let (before, old, after) = match (begin, end) {
        (Some(begin), Some(end)) => (&lines[..begin], &lines[begin..end], &lines[end..]),
        _ => (&lines[..], &lines[..0], &lines[..0]),
    };
    let mut out: Vec<String> = before.iter().map(|l| (*l).to_owned()).collect();
    if begin.is_none() {
        out.push(String::new());
    }
    out.push(head);
    out.push(format!("version = \"{}\"", pin.version));
    if let Some(from) = old.iter().position(|l| l.starts_with("limits = [")) {
        let length = old[from..].iter().position(|l| l.ends_with(']')).map_or(0, |n| n + 1);
        out.extend(old[from..from + length].iter().map(|l| (*l).to_owned()));
    }
    out.push(format!("[[pins.\"{}\".origins]]", pin.label));
    out.extend([
        "kind = \"https\"".to_owned(),
        format!("url = \"{url}\""),
        format!("format = \"{format}\""),
        format!("sha256 = \"{sha256}\""),
        format!("size-bytes = {size_bytes}"),
    ]);
    if !after.is_empty() {
        out.push(String::new());
    }
    out.extend(after.iter().map(|l| (*l).to_owned()));
    Ok(out.join("\n") + "\n")
}

fn write(path: &Path, text: &str) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::NamedTempFile::new_in(dir)?;
    std::io::Write::write_all(&mut temp, text.as_bytes())?;
    temp.as_file().set_permissions(fs::metadata(path)?.permissions())?;
    temp.as_file().sync_all()?;
    temp.persist(path).map_err(|e| Failure::from(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(label: &str) -> Pin {
        Pin {
            manifest: "linux".to_owned(),
            label: label.to_owned(),
            version: "6.18.16".to_owned(),
            limits: Vec::new(),
            licence: "GPL-2.0-only".to_owned(),
            origins: vec![Origin {
                location: Location::Https { url: "http://127.0.0.1:9/linux-6.18.16.tar.xz".to_owned() },
                sha256: "ab".repeat(32),
                size_bytes: Some(12345),
                format: fw_build::manifest::Format::TarXz,
            }],
        }
    }

    /// The manifest of this checkout, written to a folder of its own and read back.
    fn rewritten(pin: &Pin) -> Manifests {
        let root = crate::context::root().expect("workspace").join("vendor-manifests");
        let dir = tempfile::tempdir().expect("dir");
        for name in ["linux.toml", "debian.toml"] {
            fs::copy(root.join(name), dir.path().join(name)).expect("copy");
        }
        let path = dir.path().join("linux.toml");
        let text = with_pin(&fs::read_to_string(&path).expect("read"), pin).expect("written");
        write(&path, &text).expect("write");
        Manifests::load(dir.path()).expect("still a manifest")
    }

    #[test]
    fn a_pin_is_replaced_and_the_others_stay() {
        let before = crate::context::root().expect("workspace").join("vendor-manifests");
        let before = Manifests::load(&before).expect("manifests");
        let after = rewritten(&sample("lts-6.18"));
        let pin = after.pin("linux", Some("lts-6.18")).expect("pin");
        assert_eq!(pin.version, "6.18.16");
        assert_eq!(pin.origins, sample("x").origins);
        for label in ["lts-6.12", "lts-6.12.57", "collabora-6.9"] {
            let (old, new) = (before.pin("linux", Some(label)), after.pin("linux", Some(label)));
            assert_eq!(old.expect(label), new.expect(label));
        }
        let twelve = rewritten(&sample("lts-6.12"));
        let limits = &twelve.pin("linux", Some("lts-6.12")).expect("pin").limits;
        assert_eq!(
            *limits,
            before.pin("linux", Some("lts-6.12")).expect("pin").limits,
            "limits are of the line"
        );
    }

    #[test]
    fn a_new_label_is_added() {
        let after = rewritten(&sample("mainline"));
        assert_eq!(after.pin("linux", Some("mainline")).expect("pin").version, "6.18.16");
        assert_eq!(after.pin("linux", Some("lts-6.18")).expect("pin").version, "6.18.15");
    }

    #[test]
    fn the_list_must_have_exactly_one_digest() {
        let (a, b) = ("aa".repeat(32), "BB".repeat(32));
        let list = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{a}  linux-6.tar.gz\n{b}  linux-6.tar.xz\n"
        );
        assert_eq!(digest_of(&list, "linux-6.tar.xz").expect("there"), "bb".repeat(32));
        for (list, name) in [(list.clone(), "linux-7.tar.xz"), (list.clone() + &list, "linux-6.tar.xz")] {
            assert!(digest_of(&list, name).is_err());
        }
        assert!(digest_of("short  f\n", "f").is_err());
    }

    #[test]
    fn must_fail_versions_that_are_none() {
        for bad in ["", "6", "6.18.x", "6.18.16.1", "../6.18", "6.18-rc", "v6.18"] {
            assert!(check_version(bad).is_err(), "{bad}");
        }
        for good in ["6.18", "6.18.16", "6.19-rc3"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
    }
}
