// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The imager profile that an overlay carries in `profiles/<name>.yaml`.
//!
//! Talos's imager decodes every profile of an overlay and silently ignores keys that it does not know; an
//! overlay without `bootloader: grub` gets systemd-boot on arm64, whose variables this board's firmware cannot
//! keep (talos issue 10859). So what is written here is read again by stricter rules than Talos's. Facts:
//! `talos/pkg/imager/profile` of v1.10 to v1.14.

use serde::Deserialize;

/// Smallest disk that Talos's layout fits on, 1246 MiB (`MinImageSize` of the imager).
pub const MIN_DISK_BYTES: u64 = 1246 << 20;

/// Why a profile is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not YAML, a key that Talos would ignore, or a value of another type.
    #[error("the profile cannot be read: {0}")]
    Syntax(String),
    /// A value that does not make an image for this board.
    #[error("the profile's `{key}` is {found}, not {wanted}")]
    Value {
        /// Path of the key.
        key: &'static str,
        /// What is there.
        found: String,
        /// What must be there.
        wanted: &'static str,
    },
}

/// A profile, as far as an overlay for one board uses it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Profile {
    /// `arm64`. The imager's `--arch` wins over it, and is the builder's own when it is not given.
    #[serde(default)]
    pub arch: String,
    /// `metal`.
    #[serde(default)]
    pub platform: String,
    /// `false`; absent means the same.
    #[serde(default)]
    pub secureboot: bool,
    /// What is made.
    #[serde(default)]
    pub output: Output,
}

/// `output` of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Output {
    /// `image`.
    #[serde(default)]
    pub kind: String,
    /// `.xz`.
    #[serde(default)]
    pub out_format: String,
    /// The disk.
    #[serde(default)]
    pub image_options: ImageOptions,
}

/// `output.imageOptions` of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageOptions {
    /// Bytes of the disk. From v1.11 on the imager adds 1000 MiB to it.
    #[serde(default)]
    pub disk_size: u64,
    /// `raw`.
    #[serde(default)]
    pub disk_format: String,
    /// `grub`; absent means systemd-boot.
    #[serde(default)]
    pub bootloader: String,
}

impl Profile {
    /// The profile of this board: a raw image with GRUB, packed by xz.
    pub fn sbc(disk_size_bytes: u64) -> Profile {
        let word = str::to_owned;
        Profile {
            arch: word("arm64"),
            platform: word("metal"),
            secureboot: false,
            output: Output {
                kind: word("image"),
                out_format: word(".xz"),
                image_options: ImageOptions {
                    disk_size: disk_size_bytes,
                    disk_format: word("raw"),
                    bootloader: word("grub"),
                },
            },
        }
    }

    /// The profile's text.
    pub fn to_yaml(&self) -> String {
        let options = &self.output.image_options;
        format!(
            "# SPDX-License-Identifier: Apache-2.0 OR MIT\n\
             arch: {}\nplatform: {}\nsecureboot: {}\n\
             output:\n  kind: {}\n  outFormat: {}\n  imageOptions:\n    diskSize: {}\n    diskFormat: {}\n    \
             # Without this line arm64 gets systemd-boot, which cannot keep its variables on U-Boot.\n    bootloader: {}\n",
            self.arch,
            self.platform,
            self.secureboot,
            self.output.kind,
            self.output.out_format,
            options.disk_size,
            options.disk_format,
            options.bootloader,
        )
    }

    /// Reads a profile and checks that it makes an image which this board can start and upgrade.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn read(text: &str) -> Result<Profile, ProfileError> {
        let syntax = |e: serde_saphyr::Error| ProfileError::Syntax(e.without_snippet().to_string());
        let profile: Profile = serde_saphyr::from_str(text).map_err(syntax)?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), ProfileError> {
        let options = &self.output.image_options;
        // Talos compares words without regard to case; `arch` and `platform` it does not.
        let words = [
            ("output.imageOptions.bootloader", options.bootloader.to_lowercase(), "grub"),
            ("arch", self.arch.clone(), "arm64"),
            ("platform", self.platform.clone(), "metal"),
            ("output.kind", self.output.kind.to_lowercase(), "image"),
            ("output.imageOptions.diskFormat", options.disk_format.to_lowercase(), "raw"),
        ];
        for (key, found, wanted) in words {
            if found != wanted {
                let found = if found.is_empty() { "absent".to_owned() } else { format!("`{found}`") };
                return Err(ProfileError::Value { key, found, wanted });
            }
        }
        if self.secureboot {
            let (key, found) = ("secureboot", "`true`".to_owned());
            return Err(ProfileError::Value { key, found, wanted: "false: it selects systemd-boot" });
        }
        if options.disk_size < MIN_DISK_BYTES {
            let (key, found) = ("output.imageOptions.diskSize", options.disk_size.to_string());
            return Err(ProfileError::Value { key, found, wanted: "at least 1306525696 (1246 MiB)" });
        }
        if !["raw", ".tar.gz", ".xz", ".gz", ".zst"].contains(&self.output.out_format.as_str()) {
            let (key, found) = ("output.outFormat", format!("`{}`", self.output.out_format));
            return Err(ProfileError::Value { key, found, wanted: "one of raw, .tar.gz, .xz, .gz, .zst" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> String {
        Profile::sbc(MIN_DISK_BYTES).to_yaml()
    }

    fn refused(from: &str, to: &str) -> String {
        assert!(good().contains(from), "the profile has no `{from}`");
        Profile::read(&good().replacen(from, to, 1)).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(Profile::read(&good()).expect("good"), Profile::sbc(MIN_DISK_BYTES));
        let upper = good().replace("bootloader: grub", "bootloader: GRUB");
        assert!(Profile::read(&upper).is_ok(), "Talos compares without regard to case");
    }

    #[test]
    fn must_fail_01_profile_without_bootloader_grub() {
        let why = "`output.imageOptions.bootloader` is absent, not grub";
        assert!(refused("    bootloader: grub\n", "").contains(why));
        for other in ["sd-boot", "dual-boot", "none"] {
            assert!(
                refused("bootloader: grub", &format!("bootloader: {other}")).contains("not grub"),
                "{other}"
            );
        }
        // What Talos would ignore without a word.
        assert!(refused("bootloader: grub", "bootLoader: grub").contains("bootLoader"));
        assert!(refused("    bootloader: grub\n", "bootloader: grub\n").contains("bootloader"));
    }

    #[test]
    fn must_fail_02_other_values() {
        assert!(refused("arch: arm64", "arch: amd64").contains("`arch`"));
        assert!(refused("arch: arm64\n", "").contains("`arch` is absent"));
        assert!(refused("platform: metal", "platform: aws").contains("`platform`"));
        assert!(refused("secureboot: false", "secureboot: true").contains("systemd-boot"));
        assert!(refused("diskSize: 1306525696", "diskSize: 1306525695").contains("at least"));
        assert!(refused("diskSize: 1306525696", "diskSize: 1246MiB").contains("cannot be read"));
        assert!(refused("kind: image", "kind: installer").contains("`output.kind`"));
        assert!(refused("diskFormat: raw", "diskFormat: ova").contains("diskFormat"));
        assert!(refused("outFormat: .xz", "outFormat: .rar").contains("outFormat"));
        assert!(refused("output:", "output: [").contains("cannot be read"));
    }
}
