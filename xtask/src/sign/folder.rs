// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where generated keys are kept: never in the store, which may be shared, nor in the checkout, which is
//! published.

use std::path::{Component, Path, PathBuf};

use fw_build::{Failure, Result};

use crate::context::Context;

/// `FW_KEYS`, else `talos-nanopi-m6/keys` in the user's state folder.
///
/// # Errors
/// There is no such folder, or it is no place for a key.
pub fn of(cx: &Context) -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let dir = var("FW_KEYS")
        .or_else(|| var("XDG_STATE_HOME").map(|d| d.join("talos-nanopi-m6/keys")))
        .or_else(|| var("HOME").map(|d| d.join(".local/state/talos-nanopi-m6/keys")))
        .ok_or_else(|| {
            Failure::new("no folder for the generated key").why("neither `FW_KEYS` nor `HOME` is set")
        })?;
    check(&dir, &[("the store", cx.store.root()), ("the checkout", &cx.root)])?;
    Ok(dir)
}

/// Refuses a relative folder, which is another one in every working directory, and one inside `forbidden`.
fn check(dir: &Path, forbidden: &[(&str, &Path)]) -> Result<()> {
    let refuse = |why: String| {
        Err(Failure::new(format!("`{}` is no place for signing keys", dir.display()))
            .why(why)
            .hint("set `FW_KEYS` to an absolute path outside of store and checkout, or leave it unset"))
    };
    if !dir.is_absolute() || dir.components().any(|c| c == Component::ParentDir) {
        return refuse("it is not an absolute path without `..`".to_owned());
    }
    let place = real(dir);
    for (name, folder) in forbidden {
        if place.starts_with(real(folder)) {
            return refuse(format!("it lies in {name}, `{}`", folder.display()));
        }
    }
    Ok(())
}

/// The path with the links of its existing part followed.
fn real(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (std::fs::canonicalize(existing), path.strip_prefix(existing)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_out_of_store_and_checkout() {
        let dir = tempfile::tempdir().expect("folder");
        let store = dir.path().join("store");
        std::fs::create_dir_all(store.join("stage")).expect("folder");
        std::os::unix::fs::symlink(&store, dir.path().join("alias")).expect("link");
        let forbidden = [("the store", store.as_path())];
        check(&dir.path().join("keys/none-yet"), &forbidden).expect("a place of its own");
        check(&dir.path().join("store-keys"), &forbidden).expect("only begins like the store");
        for (bad, why) in [
            (store.clone(), "it lies in the store"),
            (store.join("keys/none-yet"), "it lies in the store"),
            (dir.path().join("alias/keys"), "it lies in the store"),
            (PathBuf::from("keys"), "not an absolute path"),
            (dir.path().join("keys/../store/keys"), "not an absolute path"),
        ] {
            let text = check(&bad, &forbidden).expect_err("refused").to_string();
            assert!(text.contains(why) && text.contains("hint: set `FW_KEYS`"), "{text}");
        }
    }
}
