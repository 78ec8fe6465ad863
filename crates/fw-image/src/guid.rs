// SPDX-License-Identifier: Apache-2.0 OR MIT
//! GUIDs: text form, the mixed-endian form in a GPT, and derivation from a label.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A GUID, kept in the byte order of its text form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Guid([u8; 16]);

/// The text is not a GUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a GUID of the form 8-4-4-4-12 hex digits")]
pub struct GuidError(String);

impl Guid {
    /// All zero: in a GPT, the type of an unused entry.
    pub const NIL: Guid = Guid([0; 16]);
    /// EFI system partition (UEFI 2.10, table 5.7).
    pub const EFI_SYSTEM: Guid = Guid(0xC12A7328_F81F_11D2_BA4B_00A0C93EC93B_u128.to_be_bytes());
    /// BIOS boot partition, which Talos makes on arm64 too (talos-contracts 3.1).
    pub const BIOS_BOOT: Guid = Guid(0x21686148_6449_6E6F_744E_656564454649_u128.to_be_bytes());
    /// Linux file system data: Talos's type for BOOT and META.
    pub const LINUX_DATA: Guid = Guid(0x0FC63DAF_8483_4772_8E79_3D69D8477DE4_u128.to_be_bytes());

    /// The GUID that Talos from v1.13 on gives to a disk or partition with this label: version 8, the
    /// first 16 bytes of SHA-256 over the nil UUID followed by the label (RFC 9562, 5.8 for the shape).
    /// The disk itself has the label `talos-image-disk`.
    pub fn from_label(label: &str) -> Guid {
        let digest = Sha256::new().chain_update([0; 16]).chain_update(label.as_bytes()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes[6] = (bytes[6] & 0x0f) | 0x80; // version 8
        bytes[8] = (bytes[8] & 0x3f) | 0x80; // RFC variant
        Guid(bytes)
    }

    /// The bytes in the order of the text form (as xfs keeps a UUID).
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// A GUID from bytes in the order of the text form.
    pub fn from_bytes(bytes: [u8; 16]) -> Guid {
        Guid(bytes)
    }

    /// The bytes as a GPT has them: the first three fields little-endian (UEFI 2.10, appendix A).
    pub fn gpt_bytes(self) -> [u8; 16] {
        swap(self.0)
    }

    /// A GUID from the bytes of a GPT.
    pub fn from_gpt_bytes(bytes: [u8; 16]) -> Guid {
        Guid(swap(bytes))
    }
}

/// Text order to GPT order and back: the swap is its own inverse.
fn swap(mut b: [u8; 16]) -> [u8; 16] {
    b[0..4].reverse();
    b[4..6].reverse();
    b[6..8].reverse();
    b
}

impl fmt::Display for Guid {
    /// Upper case, as sgdisk and the UEFI specification write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

impl FromStr for Guid {
    type Err = GuidError;

    fn from_str(text: &str) -> Result<Guid, GuidError> {
        let error = || GuidError(text.to_owned());
        let groups: Vec<&str> = text.split('-').collect();
        if groups.iter().map(|g| g.len()).ne([8, 4, 4, 4, 12]) || groups.iter().any(|g| g.contains('+')) {
            return Err(error());
        }
        let value = u128::from_str_radix(&groups.concat(), 16).map_err(|_| error())?;
        Ok(Guid(value.to_be_bytes()))
    }
}

impl TryFrom<String> for Guid {
    type Error = GuidError;

    fn try_from(text: String) -> Result<Guid, GuidError> {
        text.parse()
    }
}

impl From<Guid> for String {
    fn from(guid: Guid) -> String {
        guid.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_disk_order() {
        let text = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
        let guid: Guid = text.to_lowercase().parse().unwrap();
        assert_eq!(guid, Guid::EFI_SYSTEM);
        assert_eq!(guid.to_string(), text);
        assert_eq!(guid.gpt_bytes()[..8], [0x28, 0x73, 0x2A, 0xC1, 0x1F, 0xF8, 0xD2, 0x11]);
        assert_eq!(Guid::from_gpt_bytes(guid.gpt_bytes()), guid);
    }

    #[test]
    fn refuses_other_text() {
        for text in ["", "C12A7328F81F11D2BA4B00A0C93EC93B", "+12A7328-F81F-11D2-BA4B-00A0C93EC93B", "g"] {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
    }

    /// Worked out with `(head -c 16 /dev/zero; printf LABEL) | sha256sum` and the two masks.
    #[test]
    fn derived_from_a_label() {
        assert_eq!(Guid::from_label("EFI").to_string(), "BCA5174B-0118-8A6A-AF0B-2C6E1585ACAE");
        assert_eq!(Guid::from_label("talos-image-disk").to_string(), "D92D45B3-CDE9-8760-BE9F-A2A71FAC8D11");
    }
}
