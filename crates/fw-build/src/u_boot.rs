// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Configures and builds an unpacked U-Boot tree: what the board's loader and the rehearsal firmware share.
//!
//! Which board, which sources and which outputs is the business of the stages.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::failure::{Context, Failure, Result};
use crate::kconfig::{self, DotConfig, Request};
use crate::python::find_binman_python;
use crate::run::Cmd;
use crate::stage::BuildCx;
use crate::toolchain::Toolchain;

/// Name of the merged configuration inside the tree; no board of U-Boot is called so.
const MERGED: &str = "fw-build-merged_defconfig";

/// An unpacked U-Boot tree with the tools to build it.
pub struct UBoot<'a> {
    cx: &'a BuildCx<'a>,
    tree: &'a Path,
    cross_compile: String,
    python: PathBuf,
}

impl<'a> UBoot<'a> {
    /// Chooses the Python for binman, before anything is compiled.
    ///
    /// # Errors
    /// No interpreter has binman's modules.
    pub fn new(cx: &'a BuildCx<'a>, tree: &'a Path, chain: &Toolchain) -> Result<UBoot<'a>> {
        Ok(UBoot { cx, tree, cross_compile: chain.cross_compile().to_owned(), python: find_binman_python()? })
    }

    /// `make` for this tree, without a target.
    pub fn make(&self) -> Cmd {
        let cmd = self
            .cx
            .make(self.tree)
            .arg(format!("CROSS_COMPILE={}", self.cross_compile))
            .arg(format!("PYTHON3={}", self.python.display()));
        match self.python.parent() {
            // binman and its helpers start through `env python3`, past the variable above.
            Some(dir) => cmd.path_first(dir),
            None => cmd,
        }
    }

    /// Merges fragments over a defconfig of the tree and refuses every value that did not come out as asked for.
    ///
    /// # Errors
    /// The tree has no such defconfig, a fragment is malformed, or U-Boot dropped one of the options.
    pub fn configure(&self, base: &str, fragments: &[PathBuf]) -> Result<()> {
        let configs = self.tree.join("configs");
        let mut asked = Vec::new();
        for fragment in fragments {
            let name = fragment.file_name().unwrap_or_default().to_string_lossy().into_owned();
            asked.push((name, fs::read_to_string(fragment)?));
        }
        let asked = asked.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let request = Request::merge(asked).map_err(unusable)?;
        let base_text =
            fs::read_to_string(configs.join(base)).context("the U-Boot tree lacks the base defconfig")?;
        // The later line wins in Kconfig, as in U-Boot's own scripts/kconfig/merge_config.sh.
        fs::write(configs.join(MERGED), format!("{base_text}\n{}", request.allconfig()))?;
        self.cx.run(self.make().arg(MERGED))?;
        refuse_dropped(&request, &fs::read_to_string(self.tree.join(".config"))?)
    }
}

fn unusable(e: kconfig::Error) -> Failure {
    Failure::new("the U-Boot configuration cannot be used").why(e)
}

fn refuse_dropped(request: &Request, dotconfig: &str) -> Result<()> {
    let config = DotConfig::parse(dotconfig).map_err(unusable)?;
    let dropped = kconfig::check_requested(request, &config);
    if dropped.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(format!("U-Boot dropped or changed {} requested options", dropped.len()));
    let failure = dropped.iter().fold(failure, Failure::why);
    Err(failure.hint("look the option's `depends on` up in U-Boot's Kconfig, and ask for that too"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str =
        "# Ethernet of the M6V2.\nCONFIG_PHY_MOTORCOMM=y\n\n# Not fitted.\n# CONFIG_RTL8169 is not set\n";

    fn request() -> Request {
        Request::merge([("board.config", ASKED)]).expect("well formed")
    }

    #[test]
    fn kept_options_pass() {
        refuse_dropped(&request(), "CONFIG_PHY_MOTORCOMM=y\nCONFIG_OTHER=y\n").expect("both kept");
    }

    #[test]
    fn must_fail_dropped_and_changed_options() {
        let text = refuse_dropped(&request(), "CONFIG_RTL8169=y\n").expect_err("neither kept").to_string();
        assert!(text.starts_with("U-Boot dropped or changed 2 requested options"), "{text}");
        assert!(text.contains("`CONFIG_PHY_MOTORCOMM`: wanted `y`, got nothing"), "{text}");
        assert!(text.contains("`CONFIG_RTL8169`: wanted `n`, got `y`"), "{text}");
    }

    #[test]
    fn the_boards_fragments_are_well_formed() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../defconfigs");
        let (board, cards, spi) = ("nanopi-m6.config", "nanopi-m6-cards.config", "nanopi-m6-spi.config");
        for names in [&[board, cards][..], &[board, spi], &["qemu.config"]] {
            let texts = names.iter().map(|n| fs::read_to_string(dir.join(n)).expect("fragment"));
            let texts: Vec<String> = texts.collect();
            let pairs = names.iter().copied().zip(texts.iter().map(String::as_str));
            let request = Request::merge(pairs).expect("every option once, with a reason");
            assert!(request.get("LOCALVERSION").is_some(), "{names:?} name no machine");
        }
    }
}
