// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Recorded consoles, whole and damaged.

use super::*;

const RELEASE: &str = "6.18.15-0a1b2c3d";

/// What these recordings must come to.
fn expectation() -> &'static Expectation {
    static EXPECTATION: std::sync::OnceLock<Expectation> = std::sync::OnceLock::new();
    let must = |check, why| MustPass { check, why };
    EXPECTATION.get_or_init(|| Expectation {
        must_pass: vec![
            must("kernel-release", "w"),
            must("watchdog0", "i6300esb"),
            must("net.*", "virtio-net"),
        ],
        may_skip: vec!["thermal"],
    })
}

const BOOT: &str = "\
U-Boot 2025.01 (Jan 01 2025 - 00:00:00 +0000)
Booting: virtio-blk#31.bootdev.part_1 with efi
Welcome to GRUB!
GNU GRUB  version 2.12-1~bpo12+1
[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x414fd0b1]
[    0.000000] Linux version 6.18.15-0a1b2c3d (fw@fw) (aarch64-linux-gnu-gcc 12.2.0) #1 SMP
BRINGUP kernel-release pass 6.18.15-0a1b2c3d
BRINGUP watchdog0 pass i6300ESB timer, timeout 30 s, inactive
BRINGUP thermal skip no zones
BRINGUP net.eth0 pass carrier, 1000 Mbit/s, MAC 52:54:00:4d:36:01 local
";
const RESULT: &str = "BRINGUP RESULT pass=3 fail=0 skip=1\n";

/// Feeds lines until a verdict; `Open` when they end before.
fn judge(mode: Mode, text: &str) -> (Judge<'static>, Verdict) {
    let mut judge = Judge::new(mode, RELEASE, expectation());
    for line in text.lines() {
        let verdict = judge.line(line);
        if verdict != Verdict::Open {
            return (judge, verdict);
        }
    }
    (judge, Verdict::Open)
}

fn failure(mode: Mode, text: &str) -> String {
    match judge(mode, text).1 {
        Verdict::Failed(failure) => failure.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_report() {
    let (judge, verdict) = judge(Mode::Report, &format!("{BOOT}{RESULT}"));
    assert_eq!(verdict, Verdict::Passed);
    assert_eq!(judge.tally(), (3, 1));
}

#[test]
fn each_missing_step_is_named() {
    for (removed, named) in [
        ("U-Boot 2025", "GRUB came before U-Boot's banner"),
        ("Linux version", "`BRINGUP RESULT` came before the kernel's version line"),
    ] {
        let text: String = format!("{BOOT}{RESULT}")
            .lines()
            .filter(|l| !l.contains(removed))
            .map(|l| format!("{l}\n"))
            .collect();
        let text = failure(Mode::Report, &text);
        assert!(text.starts_with(named), "{text}");
        assert!(text.contains("hint: "), "{text}");
    }
    let no_grub: String = BOOT.lines().filter(|l| !l.contains("GRUB")).map(|l| format!("{l}\n")).collect();
    assert!(failure(Mode::Report, &no_grub).starts_with("the kernel's version line came before GRUB"));
}

#[test]
fn another_kernel_fails() {
    for other in ["6.18.15-ffffffff", "6.18.15-0a1b2c3d-dirty", "6.18.15"] {
        let text =
            failure(Mode::Report, &BOOT.replace("version 6.18.15-0a1b2c3d", &format!("version {other}")));
        assert!(text.contains(&format!("running `{other}`, expected `{RELEASE}`")), "{text}");
    }
}

#[test]
fn a_failed_check_fails() {
    let text = failure(
        Mode::Report,
        &format!(
            "{BOOT}BRINGUP signature.unsigned fail the kernel loaded it\nBRINGUP RESULT pass=3 fail=1 skip=1\n"
        ),
    );
    assert!(text.contains("signature.unsigned: the kernel loaded it"), "{text}");
    // A fail that only the sum tells of.
    let text = failure(Mode::Report, &format!("{BOOT}BRINGUP RESULT pass=3 fail=1 skip=1\n"));
    assert!(text.contains("1 checks failed"), "{text}");
    let text = failure(Mode::Report, &format!("{BOOT}BRINGUP RESULT pass=3\n"));
    assert!(text.contains("the result cannot be read"), "{text}");
}

#[test]
fn a_fail_stays_a_fail_when_the_check_is_reported_again() {
    let again = "BRINGUP watchdog0 fail gone\nBRINGUP watchdog0 pass back\n";
    assert!(failure(Mode::Report, &format!("{BOOT}{again}{RESULT}")).contains("watchdog0: gone"));
}

#[test]
fn what_qemu_has_must_pass() {
    let skipped =
        BOOT.replace("watchdog0 pass i6300ESB timer, timeout 30 s, inactive", "watchdog0 skip none");
    let text = failure(Mode::Report, &format!("{skipped}{RESULT}"));
    assert!(text.contains("watchdog0: skipped (none), but QEMU has it: i6300esb"), "{text}");
    let unreported: String =
        BOOT.lines().filter(|l| !l.contains("net.eth0")).map(|l| format!("{l}\n")).collect();
    let text = failure(Mode::Report, &format!("{unreported}{RESULT}"));
    assert!(text.contains("net.*: not reported, but QEMU has it: virtio-net"), "{text}");
}

#[test]
fn crashes_end_it_at_once() {
    let text = failure(Mode::Report, &format!("{BOOT}[    1.0] Kernel panic - not syncing: VFS\n"));
    assert!(text.starts_with("the kernel panicked while waiting for `BRINGUP RESULT`"), "{text}");
    assert!(text.contains("| [    1.0] Kernel panic"), "{text}");
    let text = failure(Mode::Report, &format!("{BOOT}U-Boot 2025.01 (Jan 01 2025)\n"));
    assert!(text.starts_with("the machine was reset before `BRINGUP RESULT`"), "{text}");
}

#[test]
fn poweroff_needs_the_kernels_word_and_an_end() {
    let down = format!("{BOOT}{RESULT}selftest: powering off\n[    9.0] reboot: Power down\n");
    let (mut judge_, verdict) = judge(Mode::Poweroff, &down);
    assert_eq!(verdict, Verdict::Open);
    assert_eq!(judge_.end(End::Off), Verdict::Passed);
    let (mut judge_, _) = judge(Mode::Poweroff, &down);
    assert!(matches!(judge_.end(End::Status(Some(1))), Verdict::Failed(_)));
    // QEMU gone without the kernel's word.
    let (mut judge_, _) = judge(Mode::Poweroff, &format!("{BOOT}{RESULT}"));
    let Verdict::Failed(failure) = judge_.end(End::Off) else { panic!("must fail") };
    assert_eq!(failure.what(), "the machine went off while waiting for the kernel powering off");
}

#[test]
fn reboot_comes_back() {
    let asked = format!("{BOOT}{RESULT}[    9.0] reboot: Restarting system\n");
    assert_eq!(judge(Mode::Reboot, &asked).1, Verdict::Open);
    assert_eq!(judge(Mode::Reboot, &format!("{asked}U-Boot 2025.01 (Jan)\n")).1, Verdict::Passed);
    // A reset that the kernel did not ask for is not a reboot.
    let text = failure(Mode::Reboot, &format!("{BOOT}{RESULT}U-Boot 2025.01 (Jan)\n"));
    assert!(text.starts_with("the machine was reset before the kernel restarting"), "{text}");
}

#[test]
fn the_watchdog_and_not_the_kernel_resets() {
    let text = format!("{BOOT}{RESULT}selftest: watchdog armed, must reset this machine in 5 s\n");
    assert_eq!(judge(Mode::Watchdog, &text).1, Verdict::Open);
    assert_eq!(judge(Mode::Watchdog, &format!("{text}U-Boot 2025.01 (Jan)\n")).1, Verdict::Passed);
    let asked = failure(Mode::Watchdog, &format!("{text}[    9.0] reboot: Restarting system\n"));
    assert!(
        asked.starts_with("the kernel restarting came before U-Boot's banner after the reset"),
        "{asked}"
    );
    let late =
        failure(Mode::Watchdog, &format!("{text}selftest: watchdog did not reset this machine in 35 s\n"));
    assert!(late.starts_with("the watchdog did not reset the machine"), "{late}");
}

#[test]
fn a_timeout_says_what_was_awaited_and_quotes_twenty_lines() {
    let noise: String = (0..50).map(|i| format!("noise {i}\n")).collect();
    let (mut judge_, _) = judge(Mode::Report, &format!("{BOOT}{noise}"));
    let Verdict::Failed(failure) = judge_.end(End::TimedOut(Duration::from_secs(300))) else {
        panic!("must fail")
    };
    let text = failure.to_string();
    assert!(text.starts_with("no sign of `BRINGUP RESULT` in 300 s"), "{text}");
    assert!(text.contains("the last 20 console lines:") && text.contains("| noise 30"), "{text}");
    assert!(!text.contains("noise 29"), "{text}");
}

#[test]
fn a_skip_that_nothing_allows() {
    let more = format!("{BOOT}BRINGUP ns.user skip no such namespace\n{RESULT}");
    let text = failure(Mode::Report, &more);
    assert!(text.contains("ns.user: skipped (no such namespace), and nothing says that it may be"), "{text}");
    assert!(!text.contains("thermal: skipped"), "{text}");
    // Of several interfaces one may be without a cable: that is what the star is for.
    let unplugged = format!("{BOOT}BRINGUP net.eth1 skip no carrier\n{RESULT}");
    assert_eq!(judge(Mode::Report, &unplugged).1, Verdict::Passed);
}
