// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of tools: what for, how found, from which packages. Data only.
//!
//! Package names hold for Debian 12, Debian 13 and Ubuntu 24.04 unless a row says otherwise. The Rust target
//! of the board's programs is not here: rustup or a distribution brings it, see [`super::rust`].

use super::distro::Distro;

/// How a tool is found.
#[derive(Debug, Clone, Copy)]
pub enum Probe {
    /// A program on `PATH` or in an `sbin` folder.
    Program(&'static str),
    /// The aarch64 C compiler that the stages would use, asked what it makes code for.
    Aarch64Compiler,
    /// A file at one of these absolute paths; `*` stands for any text inside one path component.
    File(&'static [&'static str]),
    /// A Python with what binman imports and with C headers.
    BinmanPython,
    /// A Python with what the check of device trees against their bindings imports.
    SchemaPython,
}

/// What is not possible without the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// `cargo xtask image`.
    Image,
    /// `cargo test`, `cargo xtask test`.
    Tests,
    /// `cargo xtask qemu`.
    Rehearsal,
}

impl Need {
    /// The command that fails without it.
    pub fn command(self) -> &'static str {
        match self {
            Image => "cargo xtask image",
            Tests => "cargo test",
            Rehearsal => "cargo xtask qemu",
        }
    }
}

/// Which hosts need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// All.
    Any,
    /// Those that are not aarch64 themselves.
    Cross,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Name for people.
    pub name: &'static str,
    /// What needs it, and why.
    pub purpose: &'static str,
    /// What is not possible without it.
    pub need: Need,
    /// Which hosts need it.
    pub hosts: Hosts,
    /// How it is found.
    pub probe: Probe,
    /// Packages on most distributions of [`Distro`].
    pub packages: &'static [&'static str],
    /// Distributions where it comes from other packages.
    pub packages_on: &'static [(Distro, &'static [&'static str])],
}

impl Tool {
    /// The packages that bring it.
    pub fn packages(&self, distro: Distro) -> &'static [&'static str] {
        self.packages_on.iter().find(|(d, _)| *d == distro).map_or(self.packages, |(_, p)| p)
    }
}

const fn tool(
    need: Need,
    name: &'static str,
    purpose: &'static str,
    probe: Probe,
    packages: &'static [&'static str],
) -> Tool {
    Tool { name, purpose, need, hosts: Hosts::Any, probe, packages, packages_on: &[] }
}

const fn program(
    need: Need,
    name: &'static str,
    purpose: &'static str,
    packages: &'static [&'static str],
) -> Tool {
    tool(need, name, purpose, Probe::Program(name), packages)
}

const fn header(
    name: &'static str,
    purpose: &'static str,
    paths: &'static [&'static str],
    packages: &'static [&'static str],
) -> Tool {
    tool(Image, name, purpose, Probe::File(paths), packages)
}

/// The package of QEMU's arm system emulator: the one whose suite must be that of `qemu-utils`.
pub const QEMU_SYSTEM_PACKAGE: &str = "qemu-system-arm";

/// The package that `qemu-system-arm` must match, since both pin the same `qemu-system-common`.
pub const QEMU_UTILS_PACKAGE: &str = "qemu-utils";

use Need::{Image, Rehearsal, Tests};

/// Every tool, in the order in which `doctor` lists them.
pub const TOOLS: &[Tool] = &[
    tool(
        Image,
        "aarch64 C compiler",
        "compiles BL31, U-Boot and the kernel",
        Probe::Aarch64Compiler,
        &["gcc-aarch64-linux-gnu"],
    ),
    Tool {
        hosts: Hosts::Cross,
        ..header(
            "aarch64 C library",
            "the compiler's own checks link against it",
            &["/usr/aarch64-linux-gnu/include/stdio.h", "/usr/include/aarch64-linux-gnu/gnu/libc-version.h"],
            &["libc6-dev-arm64-cross"],
        )
    },
    program(Image, "gcc", "compiles the build tools of kernel and U-Boot", &["gcc", "libc6-dev"]),
    program(Image, "make", "drives BL31, U-Boot and kernel", &["make"]),
    program(Image, "bc", "kernel: time constants", &["bc"]),
    program(Image, "bison", "kernel and U-Boot: Kconfig and dtc parsers", &["bison"]),
    program(Image, "flex", "kernel and U-Boot: Kconfig and dtc scanners", &["flex"]),
    program(Image, "perl", "kernel: configuration and header scripts", &["perl"]),
    program(Image, "patch", "applies the patches of the stages", &["patch"]),
    program(Image, "swig", "U-Boot: pylibfdt, which binman uses", &["swig"]),
    tool(
        Image,
        "Python for binman",
        "U-Boot: pyelftools, setuptools, pkg_resources and Python.h in one interpreter",
        Probe::BinmanPython,
        &["python3", "python3-dev", "python3-pkg-resources", "python3-pyelftools", "python3-setuptools"],
    ),
    header(
        "OpenSSL headers",
        "kernel certificate tools, U-Boot's mkimage, the test of module signatures",
        &["/usr/include/openssl/evp.h"],
        &["libssl-dev"],
    ),
    header("GnuTLS headers", "U-Boot: mkeficapsule", &["/usr/include/gnutls/gnutls.h"], &["libgnutls28-dev"]),
    header("libelf headers", "kernel: BTF of the modules", &["/usr/include/gelf.h"], &["libelf-dev"]),
    program(Image, "pahole", "kernel: BTF, when the board file turns it on", &["dwarves"]),
    program(Image, "dtc", "compiles and reads back device trees", &["device-tree-compiler"]),
    program(Image, "depmod", "kernel: module dependencies", &["kmod"]),
    program(Image, "zstd", "kernel: the EFI zboot payload", &["zstd"]),
    program(Image, "xz", "kernel and U-Boot: archives and GRUB's image", &["xz-utils"]),
    program(Image, "mkfs.xfs", "the BOOT partition", &["xfsprogs"]),
    program(Image, "mke2fs", "the ext4 file system that the self-test mounts", &["e2fsprogs"]),
    program(Image, "grub-mkimage", "the GRUB EFI program", &["grub-common"]),
    program(Image, "hexdump", "kernel: the size of the EFI zboot payload", &["bsdextrautils"]),
    program(Image, "tar2sqfs", "the root file system of both userlands, with labels", &["squashfs-tools-ng"]),
    program(Image, "sqfs2tar", "reads the Talos root file system, with its labels", &["squashfs-tools-ng"]),
    program(Tests, "unsquashfs", "reads root file systems independently", &["squashfs-tools"]),
    program(Tests, "mkfs.vfat", "makes a second opinion on the EFI partition", &["dosfstools"]),
    program(Tests, "mcopy", "reads the EFI partition independently", &["mtools"]),
    program(Tests, "sgdisk", "reads the partition table independently", &["gdisk"]),
    program(Tests, "dumpimage", "reads the FIT independently", &["u-boot-tools"]),
    program(Image, "fdtoverlay", "variants of the device tree", &["device-tree-compiler"]),
    tool(
        Tests,
        "Python for dtschema",
        "`cargo xtask dt check`: pip and libfdt's binding in one interpreter",
        Probe::SchemaPython,
        &["python3", "python3-libfdt", "python3-pip"],
    ),
    program(
        Tests,
        "docker-registry",
        "a registry to send to and to fetch from (feature `push`)",
        &["docker-registry"],
    ),
    program(Tests, "softhsm2-util", "a token for signing keys (feature `pkcs11`)", &["softhsm2"]),
    program(Tests, "git", "lists the tracked files, whose conventions are tested", &["git"]),
    program(Tests, "openssl", "checks module signatures independently", &["openssl"]),
    program(Tests, "qemu-aarch64", "a second opinion on the interpreter of the SoC model", &["qemu-user"]),
    program(Tests, "cmake", "builds zlib-ng, the second opinion on gzip", &["cmake"]),
    tool(
        Tests,
        "libclang",
        "bindgen compares our constants with the kernel's headers",
        Probe::File(&[
            "/usr/lib/llvm-*/lib/libclang.so*",
            "/usr/lib/llvm-*/lib/libclang-*.so*",
            "/usr/lib/*-linux-gnu/libclang*.so*",
        ]),
        &["libclang-dev"],
    ),
    program(Rehearsal, "qemu-system-aarch64", "the machine of the rehearsal", &[QEMU_SYSTEM_PACKAGE]),
    program(
        Rehearsal,
        "qemu-img",
        "layers over the image, so that it is never written",
        &[QEMU_UTILS_PACKAGE],
    ),
    program(Rehearsal, "qemu-io", "sets the self-test's mode in such a layer", &[QEMU_UTILS_PACKAGE]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_complete_and_named_once() {
        for (i, tool) in TOOLS.iter().enumerate() {
            assert!(TOOLS[i + 1..].iter().all(|other| other.name != tool.name), "{} twice", tool.name);
            assert!(!tool.purpose.is_empty() && !tool.packages.is_empty(), "{}", tool.name);
            for distro in [Distro::Debian12, Distro::Debian13, Distro::Ubuntu2404] {
                assert!(!tool.packages(distro).is_empty(), "{} on {distro}", tool.name);
            }
            if let Probe::File(paths) = tool.probe {
                assert!(paths.iter().all(|p| p.starts_with('/')), "{}", tool.name);
            }
        }
    }
}
