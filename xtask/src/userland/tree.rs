// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A root file system that is made here: its entries by path, as a tar stream, packed as squashfs.
//!
//! Every entry is owned by root and carries one time, so the same entries give the same bytes. Which entries they are is
//! the business of each userland.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fs_err as fs;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::{Failure, Result};
use tar::{Builder, EntryType, Header};

use super::pack;

/// One entry.
pub enum Entry {
    /// A folder.
    Folder {
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
    /// A file with this content.
    Text {
        /// Permission bits.
        mode: u32,
        /// Content.
        bytes: Vec<u8>,
    },
    /// A copy of a file.
    File {
        /// Permission bits.
        mode: u32,
        /// The file.
        source: PathBuf,
    },
}

/// The entries by path, in the order in which they are packed.
#[derive(Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Adds a folder with these permission bits, or sets them on one that is there.
    pub fn folder(&mut self, path: &str, mode: u32) {
        self.put(path.to_owned(), Entry::Folder { mode });
    }

    /// Adds an entry and the folders above it.
    pub fn put(&mut self, path: String, entry: Entry) {
        for (end, _) in path.match_indices('/') {
            self.entries.entry(path[..end].to_owned()).or_insert(Entry::Folder { mode: 0o755 });
        }
        self.entries.insert(path, entry);
    }

    /// Adds the files below the folder `dir` as `path`, readable for all.
    ///
    /// # Errors
    /// Anything but files and folders in it.
    pub fn add_files(&mut self, dir: &Path, path: &str) -> Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let source = entry.path();
            let refuse =
                |why: &str| Failure::new(format!("`{}` cannot go into an image", source.display())).why(why);
            let name = entry.file_name().into_string().map_err(|_| refuse("its name is no UTF-8"))?;
            let below = format!("{path}/{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.add_files(&source, &below)?;
            } else if kind.is_file() {
                self.put(below, Entry::File { mode: 0o644, source });
            } else {
                return Err(refuse("a module tree has files and folders only; links name the build machine"));
            }
        }
        Ok(())
    }

    /// Whether there is an entry.
    pub fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// Every path, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// How many modules are in the module tree.
    pub fn module_count(&self) -> usize {
        self.paths().filter(|p| p.starts_with("usr/lib/modules/") && p.ends_with(".ko")).count()
    }

    /// Writes the tar stream.
    pub fn write(&self, tar: &Path) -> Result<()> {
        let mut builder = Builder::new(BufWriter::new(fs::File::create(tar)?));
        let header = |kind, mode, size| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(size);
            header.set_mtime(SOURCE_DATE_EPOCH);
            header.set_uid(0);
            header.set_gid(0);
            header
        };
        for (path, entry) in &self.entries {
            match entry {
                Entry::Folder { mode } => {
                    builder.append_data(
                        &mut header(EntryType::Directory, *mode, 0),
                        path,
                        std::io::empty(),
                    )?;
                }
                Entry::Link { target } => {
                    builder.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)?;
                }
                Entry::Text { mode, bytes } => {
                    let size = bytes.len() as u64;
                    builder.append_data(
                        &mut header(EntryType::Regular, *mode, size),
                        path,
                        bytes.as_slice(),
                    )?;
                }
                Entry::File { mode, source } => {
                    let file = fs::File::open(source)?;
                    let size = file.metadata()?.len();
                    builder.append_data(&mut header(EntryType::Regular, *mode, size), path, file)?;
                }
            }
        }
        builder.into_inner()?.flush()?;
        Ok(())
    }
}

/// Packs a tar stream as squashfs. `tar2sqfs` and not `sqfstar`: the latter's version 4.5 refuses a zstd level.
///
/// # Errors
/// The program is missing or fails.
pub fn pack(tar: &Path, image: &Path, jobs: usize) -> Result<()> {
    let stream = fs::File::open(tar)?;
    pack::tar2sqfs(jobs)
        // The stream has every folder but the root itself.
        .args(["--defaults", &format!("uid=0,gid=0,mode=0755,mtime={SOURCE_DATE_EPOCH}")])
        .arg(image)
        .spawn(Stdio::from(stream.into_file()), Stdio::null(), Stdio::piped())?
        .finish()
}
