// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Turns missing tools into apt commands. Plans only; [`crate::setup`] runs them.

use fw_build::run::Cmd;

use super::distro::Distro;
use super::probe::Finding;
use super::tools::{QEMU_SYSTEM_PACKAGE, QEMU_UTILS_PACKAGE};

/// What apt and dpkg know about this machine.
#[derive(Debug, Clone, Default)]
pub struct Installed {
    /// Version of `qemu-utils`, when it is installed.
    pub qemu_utils: Option<String>,
}

impl Installed {
    /// Asks dpkg.
    pub fn here() -> Installed {
        Installed { qemu_utils: installed_version(QEMU_UTILS_PACKAGE) }
    }
}

/// One `apt-get install`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Suite that is preferred, for packages that must come from there.
    pub suite: Option<&'static str>,
    /// Packages, sorted.
    pub packages: Vec<String>,
}

impl Install {
    /// The arguments after `apt-get`.
    pub fn args(&self) -> Vec<String> {
        let mut args = vec!["install".to_owned(), "--yes".to_owned(), "--no-install-recommends".to_owned()];
        if let Some(suite) = self.suite {
            args.extend(["-t".to_owned(), suite.to_owned()]);
        }
        args.extend(self.packages.iter().cloned());
        args
    }
}

/// The installs that bring what `findings` lack, and `extra` packages. Empty when nothing is missing.
///
/// `qemu-system-arm` and `qemu-utils` pin the same version of QEMU's common files: where the installed
/// `qemu-utils` comes from backports, apt could not install the other one from the plain suite.
pub fn plan(findings: &[Finding], extra: &[&str], distro: Distro, installed: &Installed) -> Vec<Install> {
    let missing = findings.iter().filter(|f| f.result.is_err());
    let mut packages: Vec<String> =
        missing.flat_map(|f| f.tool.packages(distro)).chain(extra).map(|p| (*p).to_owned()).collect();
    packages.sort();
    packages.dedup();
    let mut installs = Vec::new();
    let backports = installed.qemu_utils.as_deref().is_some_and(|v| v.contains("~bpo"));
    if backports && let Some(at) = packages.iter().position(|p| p == QEMU_SYSTEM_PACKAGE) {
        let qemu = packages.remove(at);
        installs.push(Install { suite: Some(distro.backports()), packages: vec![qemu] });
    }
    if !packages.is_empty() {
        installs.insert(0, Install { suite: None, packages });
    }
    installs
}

/// The version of an installed package.
pub fn installed_version(package: &str) -> Option<String> {
    let query = Cmd::new("dpkg-query").args(["-W", "-f=${db:Status-Status} ${Version}", package]);
    let text = String::from_utf8(query.output().ok()?).ok()?;
    text.strip_prefix("installed ").map(str::to_owned)
}

/// Which of `packages` apt has no candidate for: unknown ones, or any before the first `apt-get update`.
pub fn without_candidate(packages: &[String]) -> Vec<String> {
    let Ok(out) = Cmd::new("apt-cache").arg("policy").args(packages).output() else {
        return packages.to_vec();
    };
    unknown_in(&String::from_utf8_lossy(&out), packages)
}

/// Reads `apt-cache policy`: a block per known package, whose `Candidate:` may be `(none)`.
fn unknown_in(policy: &str, packages: &[String]) -> Vec<String> {
    let mut known = Vec::new();
    let mut block = "";
    for line in policy.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|l| !l.starts_with(' ')) {
            block = name;
        } else if line.trim_start().strip_prefix("Candidate: ").is_some_and(|c| c != "(none)") {
            known.push(block);
        }
    }
    packages.iter().filter(|p| !known.contains(&p.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tools::TOOLS;

    fn finding(name: &str, found: bool) -> Finding {
        let tool = TOOLS.iter().find(|t| t.name == name).expect("in the table");
        Finding { tool, result: if found { Ok("/x".into()) } else { Err("gone".into()) } }
    }

    #[test]
    fn only_what_is_missing_once_and_sorted() {
        let findings = [
            finding("tar2sqfs", false),
            finding("sqfs2tar", false),
            finding("bc", false),
            finding("make", true),
        ];
        let installs = plan(&findings, &[], Distro::Debian12, &Installed::default());
        assert_eq!(
            installs,
            [Install { suite: None, packages: vec!["bc".into(), "squashfs-tools-ng".into()] }]
        );
        assert_eq!(
            installs[0].args().join(" "),
            "install --yes --no-install-recommends bc squashfs-tools-ng"
        );
        assert!(plan(&findings[3..], &[], Distro::Debian12, &Installed::default()).is_empty());
    }

    #[test]
    fn qemu_follows_qemu_utils_to_backports() {
        let findings = [finding("qemu-system-aarch64", false), finding("bc", false)];
        let plain = Installed { qemu_utils: Some("1:7.2+dfsg-7+deb12u18".into()) };
        assert_eq!(plan(&findings, &[], Distro::Debian12, &plain).len(), 1);
        let bpo = Installed { qemu_utils: Some("1:10.0.2+ds-2~bpo12+1".into()) };
        let installs = plan(&findings, &[], Distro::Debian12, &bpo);
        assert_eq!(installs[0].packages, ["bc"]);
        assert_eq!(
            installs[1].args().join(" "),
            "install --yes --no-install-recommends -t bookworm-backports qemu-system-arm"
        );
    }

    #[test]
    fn candidates() {
        let policy = "bc:\n  Installed: (none)\n  Candidate: 1.07\n  Version table:\n     1.07 500\n\
                      swig:\n  Installed: (none)\n  Candidate: (none)\n";
        let names = ["bc", "swig", "gone"].map(str::to_owned);
        assert_eq!(unknown_in(policy, &names), ["swig", "gone"]);
    }
}
