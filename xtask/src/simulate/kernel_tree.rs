// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device tree that the kernel was given, out of the model's memory.

use fw_image::fdt::{Node, Tree};
use rk3588_model::machine::Machine;

/// Device trees are smaller; U-Boot refuses more (`CONFIG_SYS_FDT_PAD` is added to less than that).
const LIMIT_BYTES: usize = 1 << 20;
/// Properties that only U-Boot's own trees have (`doc/develop/devicetree/control.rst`).
const OF_U_BOOT: &str = "bootph-";

/// Its bytes, once the kernel has taken over.
pub fn read(machine: &Machine) -> Option<Vec<u8>> {
    let address = machine.kernel_fdt()?;
    let mut head = [0; 8];
    machine.ram.read_bytes(address, &mut head).ok()?;
    let size = u32::from_be_bytes(*head.last_chunk::<4>()?) as usize;
    let mut bytes = vec![0; size.min(LIMIT_BYTES)];
    machine.ram.read_bytes(address, &mut bytes).ok()?;
    Tree::parse(&bytes).ok()?;
    Some(bytes)
}

/// Whether it is the one that U-Boot itself was built with.
pub fn is_u_boots(tree: &Tree<'_>) -> bool {
    fn any(node: &Node<'_>) -> bool {
        node.properties.iter().any(|(name, _)| name.starts_with(OF_U_BOOT)) || node.children.iter().any(any)
    }
    tree.node("/").is_ok_and(any)
}
