// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Unpacks tar.gz, tar.xz, tar.bz2, .deb and .zip files without ever writing outside the destination.
//!
//! Kept: regular files with their executable bit and time, folders, symbolic links, hard links. Modes become
//! 0755 or 0644 whatever the umask says. Refused, because no source archive needs them and they reach out of
//! the tree: `..` and absolute names, symbolic links that point out of the destination (a later reader would
//! follow them), members below a symbolic link, hard links to anything outside, devices and pipes. Owners,
//! set-id bits and extended attributes are dropped.
//!
//! What is refused or damaged leaves a partial tree behind: unpack into a folder that is thrown away on failure.

mod deb;
mod decode;
mod tree;
mod zip;

use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::failure::{Failure, Result};
use crate::manifest::Format;

use tree::Tree;

/// Unpacks `archive` into `dest`, which is made if it is not there.
///
/// The first `strip_components` parts of each name are dropped, and members that have no more parts than
/// that with them. `filter` sees each remaining name and says whether the member is wanted; folders that
/// hold a wanted member are made in any case.
///
/// # Errors
/// The archive is empty, truncated, damaged, of another format, has a member that is refused, or nothing in
/// it is wanted; or the destination cannot be written.
pub fn unpack(
    archive: &Path,
    format: Format,
    dest: &Path,
    strip_components: usize,
    filter: Option<&dyn Fn(&Path) -> bool>,
) -> Result<()> {
    let what = format!("cannot unpack `{}`", archive.display());
    unpack_inner(archive, format, dest, strip_components, filter).map_err(|e| e.during(what))
}

fn unpack_inner(
    archive: &Path,
    format: Format,
    dest: &Path,
    strip_components: usize,
    filter: Option<&dyn Fn(&Path) -> bool>,
) -> Result<()> {
    let mut file = fs::File::open(archive)?;
    if file.metadata()?.len() == 0 {
        return Err(Failure::new("it is empty"));
    }
    if format == Format::Zip {
        fs::create_dir_all(dest)?;
        let kept = zip::members(file, &mut Tree::new(dest), strip_components, filter)?;
        return if kept == 0 { Err(nothing_wanted()) } else { Ok(()) };
    }
    let decoder = match format {
        Format::Raw | Format::Zip => return Err(Failure::new("it is a plain file, not an archive")),
        Format::TarGz => decode::gz(file),
        Format::TarXz => decode::xz(file)?,
        Format::TarBz2 => decode::bz2(file),
        Format::Deb => deb::data_member(&mut file)?.decoder(file)?,
    };
    fs::create_dir_all(dest)?;
    let mut tree = Tree::new(dest);
    let kept = decode::ahead(decoder, |reader| members(reader, &mut tree, strip_components, filter))?;
    if kept == 0 {
        return Err(nothing_wanted());
    }
    Ok(())
}

fn nothing_wanted() -> Failure {
    Failure::new("no member of it is wanted")
}

/// Writes the wanted members and returns how many they were.
fn members(
    reader: &mut dyn Read,
    tree: &mut Tree,
    strip_components: usize,
    filter: Option<&dyn Fn(&Path) -> bool>,
) -> Result<u64> {
    let mut archive = tar::Archive::new(reader);
    let mut kept = 0;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let full = tree::clean(&tree::from_bytes(&entry.path_bytes()))?;
        let path: PathBuf = full.components().skip(strip_components).collect();
        if path.as_os_str().is_empty() || filter.is_some_and(|wanted| !wanted(&path)) {
            continue;
        }
        let link = entry.link_name_bytes().map(|b| tree::from_bytes(&b));
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            tree.dir(&path)?;
        } else if kind.is_symlink() {
            tree.symlink(&path, &link.ok_or_else(|| no_target(&path))?)?;
        } else if kind.is_hard_link() {
            let target = tree::clean(&link.ok_or_else(|| no_target(&path))?)?;
            let target: PathBuf = target.components().skip(strip_components).collect();
            tree.hard_link(&path, &target)?;
        } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            let mode = entry.header().mode().map_err(damaged)?;
            let mtime_seconds = entry.header().mtime().map_err(damaged)?;
            tree.file(&path, mode & 0o111 != 0, mtime_seconds, &mut entry)?;
        } else if kind.is_pax_global_extensions() {
            continue; // the comment that `git archive` writes
        } else {
            return Err(Failure::new(format!("member `{}` is a device or pipe", path.display())));
        }
        kept += 1;
    }
    // Checksums and the end of a compressed file come after the last member: read on to see them.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(damaged)?;
    Ok(kept)
}

fn no_target(path: &Path) -> Failure {
    Failure::new(format!("link `{}` has no target", path.display()))
}

/// A read error of an archive, in words.
fn damaged(error: std::io::Error) -> Failure {
    let failure = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Failure::new("it ends early: the file is truncated"),
        _ => Failure::new(format!("it is damaged or of another format: {error}")),
    };
    failure.hint("remove the file; the next run fetches it again")
}
