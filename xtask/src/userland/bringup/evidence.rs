// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Two keys that sign copies of the test module: one that no kernel has, and one whose certificate has expired.
//!
//! Their secret numbers stand here for everyone to read: the copies must be the same bytes in every build. So no
//! shipped kernel may ever trust them. The rehearsal puts the second one's certificate into a kernel in
//! memory, beside the shipped one, to show that the kernel never looks at dates.

use fw_build::{Failure, Result};
use fw_image::cert::{Certificate, Signer, SigningKey, Validity, self_signed};

const STRANGER: [u8; 48] = [0x53; 48];
const EXPIRED: [u8; 48] = [0x45; 48];
/// 2025-01-01 to 2125-01-01.
const VALID: Validity = Validity { not_before_seconds: 1_735_689_600, not_after_seconds: 4_891_363_200 };
/// The year 2020.
const PAST: Validity = Validity { not_before_seconds: 1_577_836_800, not_after_seconds: 1_609_459_200 };
/// The self-test looks for it in `/proc/keys`.
const EXPIRED_NAME: &str = "expired test key";

/// A key that no kernel has.
///
/// # Errors
/// None that a build of this program has not.
pub fn stranger() -> Result<Signer> {
    pair(&STRANGER, "stranger", VALID)
}

/// A key whose certificate expired long ago.
///
/// # Errors
/// As [`stranger`].
pub fn expired() -> Result<Signer> {
    pair(&EXPIRED, EXPIRED_NAME, PAST)
}

/// Whether a certificate is one of these: no image may be made that trusts it.
///
/// # Errors
/// As [`stranger`].
pub fn is_public(certificate: &Certificate) -> Result<bool> {
    for signer in [stranger()?, expired()?] {
        if signer.certificate().has_key_of(certificate) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn pair(number: &[u8; 48], name: &str, validity: Validity) -> Result<Signer> {
    SigningKey::p384_from_scalar(number)
        .and_then(|key| self_signed(key, name, validity))
        .map_err(|e| Failure::new(format!("cannot make the key `{name}` of the test modules")).why(e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fw_image::cert::Term;

    #[test]
    fn one_is_valid_and_one_has_expired_and_both_are_known() {
        let (stranger, expired) = (stranger().expect("a key"), expired().expect("a key"));
        let now = crate::signed::now_seconds();
        assert_eq!(stranger.certificate().term(now), Term::Valid);
        assert_eq!(expired.certificate().term(now), Term::Expired);
        // The self-test reads the kernel's description: organisation, then name.
        assert_eq!(expired.certificate().subject(), "CN=expired test key,O=talos-nanopi-m6");
        for signer in [&stranger, &expired] {
            assert!(is_public(signer.certificate()).expect("keys"));
        }
        let other = pair(&[9; 48], "expired test key", VALID).expect("a key");
        assert!(!is_public(other.certificate()).expect("keys"));
    }
}
