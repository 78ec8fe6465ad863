// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AppArmor at work: a profile is loaded, a process goes under it, and reads what it may and nothing else.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::{Outcome, Place, Trouble, ensure, raw};

/// `fixtures/make-apparmor.sh` says what it allows: reading `/mnt/allowed`.
const PROFILE: &[u8] = include_bytes!("../../fixtures/apparmor.bin");
const NAME: &str = "selftest";
/// Exit statuses of the child under the profile.
const AS_WANTED: u8 = 0;
const NOT_UNDER_IT: u8 = 1;
const ALLOWED_REFUSED: u8 = 2;
const REFUSED_ALLOWED: u8 = 3;

/// Loads the profile through `securityfs` and tries it on a child.
pub fn enforces(place: &Place, securityfs: &Path) -> Outcome {
    let (allowed, refused) = (place.path("allowed"), place.path("refused"));
    for path in [&allowed, &refused] {
        fs::write(path, "x")?;
    }
    let interface = securityfs.join("apparmor");
    write_whole(&interface.join(".load"), PROFILE).map_err(Trouble::during("loading the profile"))?;
    let profiles = fs::read_to_string(interface.join("profiles"))?;
    let wanted = format!("{NAME} (enforce)");
    ensure(profiles.lines().any(|l| l == wanted), format!("the profile is not in `{}`", profiles.trim()))?;
    let status = raw::in_child(|| {
        if write_whole(Path::new("/proc/self/attr/apparmor/current"), b"changeprofile selftest").is_err() {
            return NOT_UNDER_IT;
        }
        match (fs::read(&allowed), fs::read(&refused)) {
            (Err(_), _) => ALLOWED_REFUSED,
            (Ok(_), Err(e)) if e.kind() == io::ErrorKind::PermissionDenied => AS_WANTED,
            (Ok(_), _) => REFUSED_ALLOWED,
        }
    })?;
    write_whole(&interface.join(".remove"), NAME.as_bytes())
        .map_err(Trouble::during("removing the profile"))?;
    ensure(
        status == i32::from(AS_WANTED),
        format!(
            "the child ended with {status} ({NOT_UNDER_IT}: cannot go under the profile, {ALLOWED_REFUSED}: cannot read \
             what it may, {REFUSED_ALLOWED}: reads what it may not)"
        ),
    )?;
    Ok("a profile was loaded, and holds a process".into())
}

/// These files take a request in one piece.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = fs::OpenOptions::new().write(true).open(path)?.write(bytes)?;
    if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}
