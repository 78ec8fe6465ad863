// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Flags for pahole, which makes BTF from debug information.
//!
//! The kernel's `scripts/Makefile.btf` chooses them by version and adds `-j`. With several threads no version before
//! 1.27 promises the same types in the same order twice, so the flags are given here, without it.

use crate::failure::{Failure, Result};

/// Flags for the version that `pahole --version` prints (`v1.24`), as `scripts/Makefile.btf` of Linux 6.12 and 6.18
/// has them, without `-j`.
///
/// # Errors
/// No version, or one before 1.22, which the kernel does not use.
pub fn flags(version_line: &str) -> Result<&'static str> {
    let unknown = |why: &str| {
        Failure::new(format!("pahole `{version_line}` cannot make BTF")).why(why).hint(
            "`cargo xtask setup` installs it (Debian and Ubuntu: package `dwarves`), or set `btf = \"off\"`",
        )
    };
    let numbers = version_line.trim().trim_start_matches('v').split_once('.');
    let (Some(1), Some(minor)) =
        numbers.map_or((None, None), |(a, b)| (a.parse::<u32>().ok(), b.parse::<u32>().ok()))
    else {
        return Err(unknown("expected a version such as `v1.24`"));
    };
    match minor {
        ..22 => Err(unknown("the kernel wants 1.22 or later")),
        22..=24 => Ok("--btf_gen_floats"),
        25 => Ok("--btf_gen_floats --skip_encoding_btf_inconsistent_proto --btf_gen_optimized"),
        26..30 => Ok(
            "--btf_features=encode_force,var,float,enum64,decl_tag,type_tag,optimized_func,consistent_func,decl_tag_kfuncs",
        ),
        _ => Ok(
            "--btf_features=encode_force,var,float,enum64,decl_tag,type_tag,optimized_func,consistent_func,decl_tag_kfuncs --btf_features=attributes",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::flags;

    #[test]
    fn versions_have_their_flags_and_none_has_threads() {
        assert_eq!(flags("v1.24").expect("1.24"), "--btf_gen_floats");
        assert!(flags("v1.25").expect("1.25").contains("--btf_gen_optimized"));
        assert!(flags("1.26").expect("1.26").starts_with("--btf_features=encode_force"));
        assert!(flags("v1.30").expect("1.30").ends_with("attributes"));
        for minor in 22..40 {
            let given = flags(&format!("v1.{minor}")).expect("known");
            assert!(given.split(' ').all(|f| !f.starts_with("-j")), "{given}");
        }
    }

    #[test]
    fn must_fail_unknown_versions() {
        for bad in ["", "v1", "v2.0", "v1.21", "pahole"] {
            assert!(flags(bad).is_err(), "{bad}");
        }
    }
}
