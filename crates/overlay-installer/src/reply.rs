// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The answer to `get-options`: YAML, and nothing but YAML.

use std::fmt;

use crate::board::Board;
use crate::options::Options;

/// Name, kernel arguments and the table's offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Informational.
    pub name: String,
    /// Arguments that replace Talos's own of the same key.
    pub kernel_args: Vec<String>,
    /// 512-byte sectors to skip before the entries of the partition table.
    pub offset_sectors: u64,
}

impl Reply {
    /// The board's arguments as the options change them.
    pub fn new(board: &Board, options: &Options) -> Reply {
        let mut kernel_args: Vec<String> = Vec::new();
        let consoles = options.console.iter().flatten().map(|console| format!("console={console}"));
        kernel_args.extend(consoles);
        let kept = |arg: &&String| options.console.is_none() || !arg.starts_with("console=");
        kernel_args.extend(board.kernel.args.iter().filter(kept).cloned());
        kernel_args.extend(options.cma.iter().map(|size| format!("cma={size}")));
        kernel_args.extend(options.extra_kernel_args.iter().cloned());
        Reply { name: board.name.clone(), kernel_args, offset_sectors: board.disk.offset_sectors }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "name: {}\nkernelArgs:", quoted(&self.name))?;
        for arg in &self.kernel_args {
            writeln!(f, "  - {}", quoted(arg))?;
        }
        writeln!(f, "partitionOptions:\n  offset: {}", self.offset_sectors)
    }
}

/// A single-quoted scalar (YAML 1.2.2, 7.3.2): only the quote itself is special. Control characters, which
/// it cannot have, were refused with the options.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Value, mapping};

    fn reply(options: &str) -> Reply {
        crate::get_options(options.as_bytes(), &mut |_| {}).expect(options)
    }

    #[test]
    fn the_board_alone() {
        let reply = reply("{}\n");
        assert_eq!(reply.offset_sectors, 20480);
        assert_eq!(
            reply.kernel_args,
            [
                "console=tty0",
                "console=ttyS2,1500000n8",
                "sysctl.kernel.kexec_load_disabled=1",
                "talos.dashboard.disabled=1"
            ]
        );
    }

    #[test]
    fn options_change_the_arguments() {
        let reply = reply(
            "{console: 'ttyS2,115200n8', cma: 256M, extraKernelArgs: ['a=''b', 'c: d #e']}"
                .replace("'c: d #e'", "'c=\"d #e\"'")
                .as_str(),
        );
        assert_eq!(
            reply.kernel_args,
            [
                "console=ttyS2,115200n8",
                "sysctl.kernel.kexec_load_disabled=1",
                "talos.dashboard.disabled=1",
                "cma=256M",
                "a='b",
                "c=\"d #e\""
            ]
        );
        // What is printed reads back as it was meant.
        let map = mapping(reply.to_string().as_bytes(), "the reply").expect("YAML");
        let wanted: Vec<Value> = reply.kernel_args.into_iter().map(Value::Text).collect();
        assert_eq!(map["kernelArgs"], Value::List(wanted));
        assert!(matches!(&map["partitionOptions"], Value::Map(m) if m["offset"] == Value::Int(20480)));
        assert_eq!(map["name"], Value::Text("nanopi-m6".to_owned()));
    }
}
