// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which of its five parts the program plays, told from the name it was started by.

/// The parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// `/init` of the initramfs: finds the real root and goes there.
    InitramfsInit,
    /// `/sbin/init` of the real root: runs the self-test, then acts.
    RootInit,
    /// Any other name: prints the report and ends.
    Report,
    /// One topic of [`crate::features`], in a process of its own.
    Feature(String),
    /// Serves the report over the network: [`crate::publish::service`].
    Serve,
}

/// The role for a program name (`argv[0]`) and its first two arguments; `None` for unknown ones.
///
/// The kernel passes words of its command line on as arguments of init, so an argument only counts when
/// the name does not already decide.
pub fn of(program: &str, first: Option<&str>, second: Option<&str>) -> Option<Role> {
    match program {
        "/init" => return Some(Role::InitramfsInit),
        "/sbin/init" | "/usr/sbin/init" => return Some(Role::RootInit),
        _ => {}
    }
    match first {
        Some("feature") => second.map(|topic| Role::Feature(topic.to_owned())),
        None | Some("report") => Some(Role::Report),
        Some("serve") => Some(Role::Serve),
        Some("init") => Some(Role::InitramfsInit),
        Some("sbin/init") => Some(Role::RootInit),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_names_decide_whatever_follows() {
        assert_eq!(of("/init", Some("single"), None), Some(Role::InitramfsInit));
        assert_eq!(of("/sbin/init", Some("init"), None), Some(Role::RootInit));
    }

    #[test]
    fn the_argument_decides_for_other_names() {
        assert_eq!(of("selftest", None, None), Some(Role::Report));
        assert_eq!(of("/usr/sbin/selftest", Some("report"), None), Some(Role::Report));
        assert_eq!(of("selftest", Some("init"), None), Some(Role::InitramfsInit));
        assert_eq!(of("selftest", Some("sbin/init"), None), Some(Role::RootInit));
        assert_eq!(of("/proc/self/exe", Some("serve"), None), Some(Role::Serve));
        assert_eq!(of("selftest", Some("--help"), None), None);
        assert_eq!(of("selftest", Some("feature"), Some("nft")), Some(Role::Feature("nft".into())));
        assert_eq!(of("selftest", Some("feature"), None), None);
    }
}
