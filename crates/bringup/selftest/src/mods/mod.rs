// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Kernel modules: which ones a machine's devices ask for, in which order they load.

pub mod alias;
pub mod dep;
pub mod load;

/// The name the kernel knows a module by: dashes and underscores are the same, the kernel prints the
/// latter (kmod, `modname_normalize`).
pub fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// The module name of a file such as `kernel/drivers/net/dummy.ko`.
pub fn name_of_file(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    canonical(file.strip_suffix(".ko").unwrap_or(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name_of_file("kernel/drivers/char/hw_random/virtio-rng.ko"), "virtio_rng");
        assert_eq!(name_of_file("dummy.ko"), "dummy");
    }
}
