// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Unpacking good archives, and every kind that must be refused.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use fw_build::Result;
use fw_build::manifest::Format;
use fw_build::unpack::unpack;

const MTIME_SECONDS: u64 = 1_700_000_000;

/// One member, with a name that no careful writer would produce.
struct Member<'a> {
    name: &'a str,
    kind: tar::EntryType,
    mode: u32,
    link: &'a str,
    content: &'a [u8],
}

fn file<'a>(name: &'a str, content: &'a [u8]) -> Member<'a> {
    Member { name, kind: tar::EntryType::Regular, mode: 0o664, link: "", content }
}

fn link<'a>(kind: tar::EntryType, name: &'a str, link: &'a str) -> Member<'a> {
    Member { name, kind, mode: 0o777, link, content: b"" }
}

fn symlink<'a>(name: &'a str, target: &'a str) -> Member<'a> {
    link(tar::EntryType::Symlink, name, target)
}

fn dir(name: &str) -> Member<'_> {
    Member { name, kind: tar::EntryType::Directory, mode: 0o700, link: "", content: b"" }
}

/// A tar whose names are written into the header as they are.
fn tarball(members: &[Member<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for member in members {
        let mut header = tar::Header::new_gnu();
        let gnu = header.as_gnu_mut().expect("gnu");
        gnu.name[..member.name.len()].copy_from_slice(member.name.as_bytes());
        gnu.linkname[..member.link.len()].copy_from_slice(member.link.as_bytes());
        header.set_entry_type(member.kind);
        header.set_mode(member.mode);
        header.set_mtime(MTIME_SECONDS);
        header.set_size(member.content.len() as u64);
        header.set_cksum();
        builder.append(&header, member.content).expect("append");
    }
    builder.into_inner().expect("tar")
}

fn compressed(format: Format, tar: &[u8]) -> Vec<u8> {
    match format {
        Format::TarGz => {
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gz.write_all(tar).expect("gz");
            gz.finish().expect("gz")
        }
        Format::TarXz => {
            let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
            xz.write_all(tar).expect("xz");
            xz.finish().expect("xz")
        }
        Format::TarBz2 => {
            let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            bz2.write_all(tar).expect("bz2");
            bz2.finish().expect("bz2")
        }
        Format::Deb => deb(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar.xz", b"odd"),
            ("data.tar.xz", &compressed(Format::TarXz, tar)),
        ]),
        Format::Raw | Format::Zip => tar.to_vec(),
    }
}

fn deb(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut ar = b"!<arch>\n".to_vec();
    for (name, content) in members {
        ar.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).bytes(),
        );
        ar.extend_from_slice(content);
        if content.len() % 2 == 1 {
            ar.push(b'\n');
        }
    }
    ar
}

/// A folder that holds `box/dest` and nothing else, to see what leaves `dest`.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().expect("dir");
        fs::create_dir(dir.path().join("box")).expect("mkdir");
        Bench(dir)
    }

    fn dest(&self) -> PathBuf {
        self.0.path().join("box/dest")
    }

    fn unpack(&self, format: Format, bytes: &[u8], strip: usize) -> Result<()> {
        let archive = self.0.path().join("archive");
        fs::write(&archive, bytes).expect("write");
        unpack(&archive, format, &self.dest(), strip, None)
    }

    /// The failure, after a check that nothing was written beside the destination.
    fn refuses(&self, format: Format, bytes: &[u8]) -> String {
        let failure = self.unpack(format, bytes, 0).expect_err("must be refused").to_string();
        assert!(failure.starts_with("cannot unpack `"), "{failure}");
        self.nothing_outside();
        failure
    }

    fn nothing_outside(&self) {
        let names = |dir: &Path| -> Vec<String> {
            let entries = fs::read_dir(dir).expect("dir");
            entries.map(|e| e.expect("entry").file_name().into_string().expect("utf-8")).collect()
        };
        assert!(names(&self.0.path().join("box")).iter().all(|n| n == "dest"));
        assert!(names(self.0.path()).iter().all(|n| n == "box" || n == "archive"));
    }
}

const ARCHIVES: [Format; 4] = [Format::TarGz, Format::TarXz, Format::TarBz2, Format::Deb];

#[test]
fn files_modes_links_and_times_arrive() {
    let program = Member { mode: 0o4755, ..file("./top/bin/run", b"#!") };
    let tar = tarball(&[
        Member { content: b"comment", ..link(tar::EntryType::XGlobalHeader, "pax_global_header", "") },
        dir("./top/"),
        file("./top/text", b"hello"),
        program,
        symlink("./top/bin/alias", "../text"),
        link(tar::EntryType::Link, "./top/same", "./top/text"),
    ]);
    for format in ARCHIVES {
        let bench = Bench::new();
        bench.unpack(format, &compressed(format, &tar), 1).expect("good");
        let dest = bench.dest();
        let mode = |name: &str| fs::metadata(dest.join(name)).expect("stat").permissions().mode() & 0o7777;
        assert_eq!(fs::read(dest.join("text")).expect("read"), b"hello");
        assert_eq!(fs::read(dest.join("same")).expect("read"), b"hello");
        assert_eq!(fs::read_link(dest.join("bin/alias")).expect("link"), Path::new("../text"));
        assert_eq!((mode("text"), mode("bin/run"), mode("bin")), (0o644, 0o755, 0o755), "{format}");
        let time = fs::metadata(dest.join("text")).expect("stat").modified().expect("time");
        assert_eq!(time, SystemTime::UNIX_EPOCH + Duration::from_secs(MTIME_SECONDS));
        assert!(!dest.join("pax_global_header").exists() && !dest.join("top").exists());
    }
}

#[test]
fn the_filter_chooses_by_stripped_name() {
    let tar = tarball(&[dir("a"), dir("a/b"), file("a/b/yes", b"1"), file("a/b/no", b"2"), dir("a/c")]);
    let bench = Bench::new();
    let archive = bench.0.path().join("archive");
    fs::write(&archive, compressed(Format::TarGz, &tar)).expect("write");
    let wanted = |path: &Path| path == Path::new("b/yes");
    unpack(&archive, Format::TarGz, &bench.dest(), 1, Some(&wanted)).expect("good");
    assert_eq!(fs::read(bench.dest().join("b/yes")).expect("read"), b"1");
    assert!(!bench.dest().join("b/no").exists() && !bench.dest().join("c").exists());
    let none = |_: &Path| false;
    let failure = unpack(&archive, Format::TarGz, &bench.dest(), 1, Some(&none)).expect_err("nothing");
    assert!(failure.to_string().contains("no member of it is wanted"), "{failure}");
}

#[test]
fn names_that_leave_the_destination_are_refused() {
    let outside = tempfile::tempdir().expect("dir");
    let absolute = outside.path().join("x").display().to_string();
    for (name, says) in
        [("../x", "has `..`"), ("a/../../x", "has `..`"), ("a/..", "has `..`"), (&*absolute, "absolute name")]
    {
        let failure =
            Bench::new().refuses(Format::TarGz, &compressed(Format::TarGz, &tarball(&[file(name, b"x")])));
        assert!(failure.contains(says), "{name}: {failure}");
    }
    assert!(!outside.path().join("x").exists());
}

#[test]
fn links_that_point_outside_are_refused() {
    for target in ["..", "../x", "/etc", "a/../../x", "in/../.."] {
        let failure = Bench::new()
            .refuses(Format::TarGz, &compressed(Format::TarGz, &tarball(&[symlink("l", target)])));
        assert!(failure.contains("points out of the destination"), "{target}: {failure}");
    }
    let tar = tarball(&[dir("a"), symlink("a/l", "../x"), symlink("a/m", ".")]);
    Bench::new().unpack(Format::TarGz, &compressed(Format::TarGz, &tar), 0).expect("these stay inside");
    let failure = Bench::new()
        .unpack(Format::TarGz, &compressed(Format::TarGz, &tar), 1)
        .expect_err("outside once the first part is gone");
    assert!(failure.to_string().contains("points out"), "{failure}");
}

#[test]
fn nothing_is_written_through_a_link() {
    let inside = tarball(&[dir("real"), symlink("l", "real"), file("l/x", b"x")]);
    let failure = Bench::new().refuses(Format::TarGz, &compressed(Format::TarGz, &inside));
    assert!(failure.contains("`l` is a symbolic link, not a folder"), "{failure}");

    // A link that was there before leads outside; neither a member below it nor one in its place goes there.
    for member in [file("l/x", b"x"), dir("l")] {
        let bench = Bench::new();
        fs::create_dir_all(bench.dest()).expect("mkdir");
        std::os::unix::fs::symlink("..", bench.dest().join("l")).expect("link");
        bench.refuses(Format::TarGz, &compressed(Format::TarGz, &tarball(&[member])));
    }
    let bench = Bench::new();
    let victim = bench.0.path().join("archive");
    fs::create_dir_all(bench.dest()).expect("mkdir");
    std::os::unix::fs::symlink(&victim, bench.dest().join("l")).expect("link");
    let bytes = compressed(Format::TarGz, &tarball(&[file("l", b"new")]));
    bench.unpack(Format::TarGz, &bytes, 0).expect("the link is replaced");
    assert_eq!(fs::read(bench.dest().join("l")).expect("read"), b"new");
    assert_eq!(fs::read(&victim).expect("read"), bytes, "what it pointed to is as before");
}

#[test]
fn a_folder_is_never_replaced() {
    for member in [symlink("d", "e"), file("d", b"x")] {
        let tar = tarball(&[dir("d"), member, file("d/x", b"x")]);
        let failure = Bench::new().refuses(Format::TarGz, &compressed(Format::TarGz, &tar));
        assert!(failure.contains("`d` is a folder and a file"), "{failure}");
    }
}

#[test]
fn hard_links_stay_inside() {
    let hard = tar::EntryType::Link;
    for (target, says) in [
        ("../archive", "has `..`"),
        ("/etc/passwd", "absolute name"),
        ("absent", "no file unpacked before it"),
        ("l/archive", "`l` is a symbolic link"),
    ] {
        let bench = Bench::new();
        fs::create_dir_all(bench.dest()).expect("mkdir");
        std::os::unix::fs::symlink("../..", bench.dest().join("l")).expect("link");
        let failure =
            bench.refuses(Format::TarGz, &compressed(Format::TarGz, &tarball(&[link(hard, "h", target)])));
        assert!(failure.contains(says), "{target}: {failure}");
    }
}

#[test]
fn devices_and_pipes_are_refused() {
    for kind in [tar::EntryType::Char, tar::EntryType::Block, tar::EntryType::Fifo] {
        let failure = Bench::new()
            .refuses(Format::TarGz, &compressed(Format::TarGz, &tarball(&[link(kind, "dev", "")])));
        assert!(failure.contains("`dev` is a device or pipe"), "{failure}");
    }
}

/// Content that no compressor makes small, so that a cut falls into the data.
fn noise() -> Vec<u8> {
    let mut state = 1u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..200_000).map(step).collect()
}

#[test]
fn truncated_archives_are_refused_wherever_they_end() {
    let noise = noise();
    let tar = tarball(&[file("a", &noise), file("b", b"last")]);
    for format in ARCHIVES {
        let whole = compressed(format, &tar);
        Bench::new().unpack(format, &whole, 0).expect("whole");
        for keep in [1, 5, 40, whole.len() / 2, whole.len() - 40, whole.len() - 5, whole.len() - 1] {
            let failure = Bench::new().refuses(format, &whole[..keep]);
            assert!(
                failure.contains("truncated") || (keep < 40 && failure.contains("it is")),
                "{format}, {keep} of {} bytes: {failure}",
                whole.len()
            );
        }
    }
}

#[test]
fn damaged_archives_are_refused() {
    let noise = noise();
    let tar = tarball(&[file("a", &noise)]);
    for format in ARCHIVES {
        let mut bytes = compressed(format, &tar);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        let failure = Bench::new().refuses(format, &bytes);
        assert!(failure.contains("it is damaged") || failure.contains("truncated"), "{format}: {failure}");
    }
}

#[test]
fn empty_and_foreign_files_are_refused() {
    let text = b"<html>not an archive at all, but long enough to hold any header there is........</html>";
    for format in ARCHIVES {
        let failure = Bench::new().refuses(format, b"");
        assert!(failure.contains("it is empty"), "{format}: {failure}");
        let failure = Bench::new().refuses(format, text);
        assert!(failure.contains("it is"), "{format}: {failure}");
        let failure = Bench::new().refuses(format, &compressed(format, &tarball(&[])));
        assert!(failure.contains("no member"), "{format}: {failure}");
    }
    let failure = Bench::new().refuses(Format::Raw, b"blob");
    assert!(failure.contains("plain file, not an archive"), "{failure}");
}

#[test]
fn packages_of_unknown_shape_are_refused() {
    let other = deb(&[("debian-binary", b"2.0\n"), ("data.tar.lz9", b"x")]);
    let failure = Bench::new().refuses(Format::Deb, &other);
    assert!(failure.contains("`data.tar.lz9` has a compression that is not supported"), "{failure}");
    let none = deb(&[("debian-binary", b"2.0\n"), ("control.tar.xz", b"x")]);
    let failure = Bench::new().refuses(Format::Deb, &none);
    assert!(failure.contains("no member `data.tar.*`"), "{failure}");
    let mut bent = deb(&[("debian-binary", b"2.0\n"), ("data.tar.xz", b"x")]);
    bent[8 + 60 + 4 + 58] = b'!';
    let failure = Bench::new().refuses(Format::Deb, &bent);
    assert!(failure.contains("no ar member header at byte 72"), "{failure}");
}

/// A zip file with these members; `None` is a symbolic link.
fn zipped(members: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, content) in members {
        match content {
            Some(content) => {
                zip.start_file(*name, options).expect("member");
                zip.write_all(content).expect("content");
            }
            None => zip.add_symlink(*name, "../../etc/passwd", options).expect("link"),
        }
    }
    zip.finish().expect("zip").into_inner()
}

fn unpack_zip(bytes: &[u8]) -> (tempfile::TempDir, Result<()>) {
    let dir = tempfile::tempdir().expect("dir");
    let archive = dir.path().join("m.zip");
    fs::write(&archive, bytes).expect("write");
    let result = unpack(&archive, Format::Zip, &dir.path().join("out"), 2, None);
    (dir, result)
}

#[test]
fn a_go_module_is_unpacked_without_the_folders_that_name_it() {
    let module =
        zipped(&[("host.example/m@v1/go.mod", Some(b"module m")), ("host.example/m@v1/a/b.go", Some(b"b"))]);
    let (dir, result) = unpack_zip(&module);
    result.expect("unpacks");
    let out = dir.path().join("out");
    assert_eq!(fs::read(out.join("go.mod")).expect("go.mod"), b"module m");
    assert_eq!(fs::read(out.join("a/b.go")).expect("b.go"), b"b");
    let mode = fs::metadata(out.join("go.mod")).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn must_fail_zip_that_leaves_its_place_or_is_damaged() {
    let good = zipped(&[("host.example/m@v1/go.mod", Some(b"module m, with some more text to cut off"))]);
    for (bytes, says) in [
        (zipped(&[("host.example/m@v1/../../../x", Some(b"x"))]), "`..` in its name"),
        (zipped(&[("host.example/m@v1/link", None)]), "symbolic link"),
        (zipped(&[("alone", Some(b"x"))]), "no member of it is wanted"),
        (good[..good.len() - 9].to_vec(), "damaged"),
        (b"<html>".to_vec(), "damaged"),
    ] {
        let failure = unpack_zip(&bytes).1.expect_err(says).to_string();
        assert!(failure.contains(says), "{says}: {failure}");
    }
    let mut flipped = good;
    let at = flipped.windows(6).position(|w| w == b"module").map_or(60, |at| at + 2);
    flipped[at] ^= 1;
    assert!(unpack_zip(&flipped).1.is_err(), "a member with one bit changed");
}
