// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The release lines of Talos that images are made for, and what differs between them.
//!
//! Facts only: sizes of partitions are the board file's, merging arguments is [`crate::cmdline`]'s. Source:
//! talos-contracts 11, and Talos's own list (pkg/machinery/imager/quirks/quirks.go), which goes by major, minor and
//! patch and ignores what stands behind a hyphen.

use std::fmt;

/// A release line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// v1.10.
    V1_10,
    /// v1.11.
    V1_11,
    /// v1.12.
    V1_12,
    /// v1.13.
    V1_13,
    /// v1.14.
    V1_14,
}

/// Why a version has no line here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not of the form `vX.Y.Z` or `vX.Y.Z-pre`.
    #[error("`{0}` is not a Talos release: one looks like `v1.10.9` or `v1.14.0-rc.1`")]
    Form(String),
    /// A release of another line.
    #[error(
        "the disk layout and kernel arguments of Talos {version} are not known here; known are those of {known}"
    )]
    Unsupported {
        /// The version.
        version: String,
        /// Names of the known lines.
        known: String,
    },
}

/// Feature set of the xfs that Talos's own imager makes for BOOT: the name of a file of xfsprogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum XfsFeatures {
    /// `lts_6.12.conf`; GRUB 2.12 reads it.
    Lts6_12,
    /// `lts_6.18.conf`, with parent pointers and exchange-range; GRUB 2.14 reads it.
    Lts6_18,
}

/// Whether a line has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It has.
    Yes,
    /// It has not.
    No,
}

impl Line {
    /// All lines, oldest first.
    pub const ALL: [Line; 5] = [Line::V1_10, Line::V1_11, Line::V1_12, Line::V1_13, Line::V1_14];

    /// The line of a release, `vX.Y.Z` or `vX.Y.Z-pre`.
    ///
    /// # Errors
    /// See [`VersionError`].
    pub fn of(version: &str) -> Result<Line, VersionError> {
        let form = || VersionError::Form(version.to_owned());
        let rest = version.strip_prefix('v').ok_or_else(form)?;
        let core = rest.split_once('-').map_or(rest, |(core, _)| core);
        let parts: Vec<&str> = core.split('.').collect();
        let number = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
        let pre_ok = rest.split_once('-').is_none_or(|(_, pre)| {
            !pre.is_empty() && pre.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        });
        if parts.len() != 3 || !parts.iter().all(number) || !pre_ok {
            return Err(form());
        }
        let name = format!("v{}.{}", parts[0], parts[1]);
        Line::ALL.into_iter().find(|l| l.name() == name).ok_or_else(|| {
            let known = Line::ALL.map(Line::name).join(", ");
            VersionError::Unsupported { version: version.to_owned(), known }
        })
    }

    /// As in file names and tables: `v1.10`.
    pub fn name(self) -> &'static str {
        match self {
            Line::V1_10 => "v1.10",
            Line::V1_11 => "v1.11",
            Line::V1_12 => "v1.12",
            Line::V1_13 => "v1.13",
            Line::V1_14 => "v1.14",
        }
    }

    /// Kernel arguments that every image of the line gets, in this order (talos-contracts 4.2, step 4; Talos
    /// pkg/machinery/kernel/kernel.go of each line).
    ///
    /// `slab_nomerge` and `pti=on` are what Talos waits for (KSPP, talos-contracts 6.2): without them it does not come up.
    pub fn default_arguments(self) -> Vec<&'static str> {
        type Applies = fn(Line) -> bool;
        let arguments: [(&str, Applies); 12] = [
            // From v1.14 on it is the kernel's own default.
            ("init_on_alloc=1", |l| l < Line::V1_14),
            ("slab_nomerge", |_| true),
            ("pti=on", |_| true),
            ("consoleblank=0", |_| true),
            // From v1.14 on for one cloud only.
            ("nvme_core.io_timeout=4294967295", |l| l < Line::V1_14),
            ("printk.devkmsg=on", |_| true),
            ("ima_template=ima-ng", |l| l < Line::V1_11),
            ("ima_appraise=fix", |l| l < Line::V1_11),
            ("ima_hash=sha512", |l| l < Line::V1_11),
            ("selinux=1", |_| true),
            // From here on not the kernel's configuration but this asks for signed modules.
            ("module.sig_enforce=1", |l| l >= Line::V1_12),
            ("proc_mem.force_override=never", |l| l >= Line::V1_13),
        ];
        arguments.into_iter().filter(|(_, has)| has(self)).map(|(argument, _)| argument).collect()
    }

    /// What Talos's own imager makes BOOT with (talos-contracts 3.4).
    pub fn xfs_features(self) -> XfsFeatures {
        if self < Line::V1_13 { XfsFeatures::Lts6_12 } else { XfsFeatures::Lts6_18 }
    }

    /// Oldest kernel that the line's own programs can do with: the mount calls they make (talos-contracts 5.6, 11;
    /// derived from sources).
    pub fn oldest_kernel(self) -> (u32, u32) {
        match self {
            Line::V1_10 | Line::V1_11 => (5, 12),
            // Extensions are stacked with one mount option per layer.
            Line::V1_12 | Line::V1_13 => (6, 8),
            // `/etc` is stacked from file descriptors, always.
            Line::V1_14 => (6, 13),
        }
    }

    /// Whether a machine configuration can be embedded in the image (Talos, quirk `SupportsEmbeddedConfig`).
    pub fn embedded_configuration(self) -> Support {
        if self < Line::V1_12 { Support::No } else { Support::Yes }
    }

    /// Whether the files of a system extension keep their SELinux labels (talos-contracts 11).
    pub fn extension_labels(self) -> Support {
        if self < Line::V1_13 { Support::No } else { Support::Yes }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for XfsFeatures {
    /// Name of the options file of xfsprogs, without its ending.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            XfsFeatures::Lts6_12 => "lts_6.12",
            XfsFeatures::Lts6_18 => "lts_6.18",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_versions() {
        for (version, line) in [
            ("v1.10.0", Line::V1_10),
            ("v1.10.9", Line::V1_10),
            ("v1.13.12", Line::V1_13),
            ("v1.14.0-rc.1", Line::V1_14),
            ("v1.11.0-alpha.2-3-gabc", Line::V1_11),
        ] {
            assert_eq!(Line::of(version), Ok(line), "{version}");
        }
    }

    #[test]
    fn must_fail_other_versions() {
        for version in
            ["", "1.10.9", "v1.10", "v1.10.", "v1.10.x", "v1.10.9-", "v1.10.9-a b", "v1.1.0.9", "latest"]
        {
            assert_eq!(Line::of(version), Err(VersionError::Form(version.to_owned())), "{version}");
        }
        for version in ["v1.9.6", "v1.15.0", "v2.10.0", "v1.100.0"] {
            let text = Line::of(version).expect_err(version).to_string();
            assert!(text.contains(version) && text.contains("v1.10, v1.11, v1.12, v1.13, v1.14"), "{text}");
        }
    }

    /// The expectations of Talos's own tests (pkg/imager/imager_test.go, pkg/machinery/kernel/kernel_test.go).
    #[test]
    fn default_arguments_of_each_line() {
        let text = |line: Line| line.default_arguments().join(" ");
        let common = "init_on_alloc=1 slab_nomerge pti=on consoleblank=0 nvme_core.io_timeout=4294967295 printk.devkmsg=on";
        assert_eq!(
            text(Line::V1_10),
            format!("{common} ima_template=ima-ng ima_appraise=fix ima_hash=sha512 selinux=1")
        );
        assert_eq!(text(Line::V1_11), format!("{common} selinux=1"));
        assert_eq!(text(Line::V1_12), format!("{common} selinux=1 module.sig_enforce=1"));
        let tail = "selinux=1 module.sig_enforce=1 proc_mem.force_override=never";
        assert_eq!(text(Line::V1_13), format!("{common} {tail}"));
        assert_eq!(text(Line::V1_14), format!("slab_nomerge pti=on consoleblank=0 printk.devkmsg=on {tail}"));
    }
}
