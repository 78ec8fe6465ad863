// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What every verb starts from: the workspace root, the board, the manifests and the store.

use std::path::{Path, PathBuf};

use fw_build::board::Board;
use fw_build::fetch::{FetchConfig, Fetcher};
use fw_build::manifest::Manifests;
use fw_build::store::Store;
use fw_build::{Failure, Result};

/// The loaded context.
pub struct Context {
    /// Workspace root.
    pub root: PathBuf,
    /// The board.
    pub board: Board,
    /// All manifests.
    pub manifests: Manifests,
    /// The store.
    pub store: Store,
}

impl Context {
    /// Loads everything.
    ///
    /// # Errors
    /// A file is not valid, or there is no place for the store.
    pub fn load() -> Result<Context> {
        let root = root()?;
        Ok(Context {
            board: Board::load(&root, "nanopi-m6")?,
            manifests: Manifests::load(&root.join("vendor-manifests"))?,
            store: Store::from_env()?,
            root,
        })
    }

    /// A fetcher for the store.
    ///
    /// # Errors
    /// The environment's fetch settings are not valid.
    pub fn fetcher(&self) -> Result<Fetcher> {
        Ok(Fetcher::new(FetchConfig::from_env(&self.root, self.store.root())?))
    }

    /// The folder for results, `out/` in the workspace.
    pub fn out(&self) -> PathBuf {
        self.root.join("out")
    }
}

/// The workspace root: cargo sets `FW_ROOT` from `.cargo/config.toml`; a bare run of the binary looks upward.
///
/// # Errors
/// Not inside the workspace.
pub fn root() -> Result<PathBuf> {
    if let Some(root) = std::env::var_os("FW_ROOT") {
        return Ok(PathBuf::from(root));
    }
    let cwd = std::env::current_dir()?;
    cwd.ancestors().find(|d| d.join("vendor-manifests").is_dir()).map(Path::to_owned).ok_or_else(|| {
        Failure::new("cannot find the workspace")
            .why(format!("no `vendor-manifests` folder in or above `{}`", cwd.display()))
            .hint("run `cargo xtask` from inside the checkout")
    })
}
