// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Kernel settings that Talos writes during boot: it waits for the first group without a limit.
//!
//! They are the machine's own: what can be set back is set back.

use std::fs;

use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure};

pub(super) const TOPIC: Topic = Topic {
    name: "sysctl",
    checks: &["sysctl.kspp-1.10", "sysctl.kspp-1.12", "sysctl.talos"],
    network: Network::Machine,
    run,
};

/// Recommendations of the kernel self-protection project that Talos 1.10 and 1.11 wait for (talos-contracts 6.2).
const KSPP_1_10: &[(&str, &str)] = &[
    ("kernel/kptr_restrict", "1"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/perf_event_paranoid", "3"),
    ("kernel/yama/ptrace_scope", "1"),
    ("user/max_user_namespaces", "0"),
    ("kernel/unprivileged_bpf_disabled", "1"),
    ("net/core/bpf_jit_harden", "2"),
];

/// What Talos 1.12 and later wait for on top, or with another value (talos-contracts 6.2).
const KSPP_1_12: &[(&str, &str)] = &[
    ("kernel/kptr_restrict", "2"),
    ("kernel/yama/ptrace_scope", "2"),
    ("dev/tty/ldisc_autoload", "0"),
    ("dev/tty/legacy_tiocsti", "0"),
    ("fs/protected_symlinks", "1"),
    ("fs/protected_hardlinks", "1"),
    ("fs/protected_fifos", "2"),
    ("fs/protected_regular", "2"),
    ("fs/suid_dumpable", "0"),
    ("kernel/randomize_va_space", "2"),
    ("vm/unprivileged_userfaultfd", "0"),
];

/// Others that Talos writes (talos-contracts 6.2, last paragraph).
const TALOS: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/default/forwarding", "1"),
    ("net/ipv6/conf/default/accept_ra", "2"),
    ("net/bridge/bridge-nf-call-iptables", "1"),
    ("net/bridge/bridge-nf-call-ip6tables", "1"),
    ("net/ipv4/tcp_keepalive_time", "600"),
    ("net/ipv4/tcp_keepalive_intvl", "60"),
    ("kernel/panic", "10"),
    ("kernel/pid_max", "262144"),
    ("vm/overcommit_memory", "1"),
    ("fs/inotify/max_user_instances", "8192"),
    ("fs/aio-max-nr", "1048576"),
];

fn run(_: &Place, lines: &mut Lines<'_>) {
    lines.add("sysctl.kspp-1.10", take("/proc/sys", KSPP_1_10));
    lines.add("sysctl.kspp-1.12", take("/proc/sys", KSPP_1_12));
    lines.add("sysctl.talos", take("/proc/sys", TALOS));
}

/// Writes every value and reads it back.
fn take(root: &str, settings: &[(&str, &str)]) -> Outcome {
    let mut wrong = Vec::new();
    for (name, value) in settings {
        if let Err(Trouble::Fail(why) | Trouble::Skip(why)) = set(&format!("{root}/{name}"), value) {
            wrong.push(format!("{}: {why}", name.replace('/', ".")));
        }
    }
    ensure(wrong.is_empty(), wrong.join("; "))?;
    Ok(format!("{} settings take their values", settings.len()))
}

fn set(path: &str, value: &str) -> Result<(), Trouble> {
    let before = fs::read_to_string(path).map_err(Trouble::during("is missing"))?;
    fs::write(path, value).map_err(Trouble::during(format!("does not take {value}")))?;
    let after = fs::read_to_string(path)?;
    // Some can only be raised; they stay.
    let _ = fs::write(path, &before);
    ensure(after.trim() == value, format!("is {} after writing {value}", after.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_is_named_and_the_old_value_comes_back() {
        let dir = tempfile::tempdir().expect("folder");
        let root = dir.path().to_str().expect("UTF-8");
        fs::create_dir(dir.path().join("kernel")).expect("folder");
        fs::write(dir.path().join("kernel/panic"), "0\n").expect("file");
        assert!(take(root, &[("kernel/panic", "10")]).is_ok());
        assert_eq!(fs::read_to_string(dir.path().join("kernel/panic")).expect("file"), "0\n");
        let refused = take(root, &[("kernel/panic", "10"), ("kernel/yama/ptrace_scope", "1")]);
        let Err(Trouble::Fail(why)) = refused else { panic!("{refused:?}") };
        assert!(why.starts_with("kernel.yama.ptrace_scope: is missing: "), "{why}");
    }
}
