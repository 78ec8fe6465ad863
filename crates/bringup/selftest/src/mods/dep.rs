// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `modules.dep`: which files must be loaded before a module.
//!
//! Format (depmod): `PATH: NEEDED NEEDED …`, paths relative to the tree of the release. The needed ones are
//! complete (not only direct), and the one to load first stands last.

use std::collections::BTreeMap;

use super::{canonical, name_of_file};

/// The parsed file.
#[derive(Debug, Default)]
pub struct Deps {
    by_name: BTreeMap<String, (String, Vec<String>)>,
}

impl Deps {
    /// Parses the text; lines without a colon are passed over.
    pub fn parse(text: &str) -> Self {
        let by_name = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(path, needed)| {
                let needed = needed.split_whitespace().map(str::to_owned).collect();
                (name_of_file(path.trim()), (path.trim().to_owned(), needed))
            })
            .collect();
        Deps { by_name }
    }

    /// The files to load for a module, in order, its own last; `None` when it is not shipped.
    pub fn files_for(&self, module: &str) -> Option<Vec<&str>> {
        let (path, needed) = self.by_name.get(&canonical(module))?;
        Some(needed.iter().rev().chain([path]).map(String::as_str).collect())
    }

    /// How many modules are shipped.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether no module is shipped.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_needed_come_first_in_reverse_order() {
        let deps = Deps::parse(
            "kernel/fs/btrfs/btrfs.ko: kernel/lib/raid6/raid6_pq.ko kernel/crypto/xor.ko kernel/lib/neon.ko\n\
             kernel/drivers/char/virtio-rng.ko:\n\nnonsense\n",
        );
        assert_eq!(deps.len(), 2);
        assert_eq!(
            deps.files_for("btrfs").expect("shipped"),
            [
                "kernel/lib/neon.ko",
                "kernel/crypto/xor.ko",
                "kernel/lib/raid6/raid6_pq.ko",
                "kernel/fs/btrfs/btrfs.ko"
            ]
        );
        assert_eq!(deps.files_for("virtio_rng").expect("shipped"), ["kernel/drivers/char/virtio-rng.ko"]);
        assert_eq!(deps.files_for("ext4"), None);
    }
}
