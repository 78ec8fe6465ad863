// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the sources of an image are, and which commit they are: for its annotations.

use std::path::Path;

use fw_build::run::Cmd;
use fw_build::{Failure, Result};

/// Address and commit; absent where the checkout does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// An `https` address without user and password.
    pub source: Option<String>,
    /// Commit, with `-dirty` when tracked files differ from it.
    pub revision: Option<String>,
}

impl Origin {
    /// What a flag says, else what git knows.
    ///
    /// # Errors
    /// The flag is not an address.
    pub fn of(root: &Path, flag: Option<&str>) -> Result<Origin> {
        let git = |words: &[&str]| -> Option<String> {
            let out = Cmd::with_callers_env("git").arg("-C").arg(root).args(words).output().ok()?;
            Some(String::from_utf8_lossy(&out).trim().to_owned())
        };
        let source = match flag {
            Some(flag) => Some(address(flag).ok_or_else(|| {
                Failure::new(format!("`{flag}` is not an address of sources"))
                    .hint("for example `--source https://example.org/owner/repository`")
            })?),
            None => git(&["remote", "get-url", "origin"]).and_then(|url| address(&url)),
        };
        let clean = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|out| out.is_empty());
        let revision = git(&["rev-parse", "HEAD"]).filter(|commit| !commit.is_empty());
        let revision = revision.map(|commit| if clean { commit } else { format!("{commit}-dirty") });
        if source.is_none() {
            eprintln!("note: the image does not say where its sources are; `--source URL` does");
        }
        Ok(Origin { source, revision })
    }
}

/// The `https` form of an address, without credentials.
fn address(url: &str) -> Option<String> {
    let path = if let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) {
        // What stands before an `@` in the host part is a user, and may be a token.
        let (host, path) = rest.split_once('/')?;
        format!("{}/{path}", host.rsplit('@').next()?)
    } else if let Some(rest) = url.strip_prefix("ssh://git@").or_else(|| url.strip_prefix("git@")) {
        rest.replacen(':', "/", 1)
    } else {
        return None;
    };
    let path = path.trim_end_matches('/').trim_end_matches(".git");
    let odd = |c: char| c.is_whitespace() || c.is_control();
    (path.contains('/') && !path.contains(odd)).then(|| format!("https://{path}"))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses() {
        let wanted = Some("https://example.org/a/b".to_owned());
        for url in [
            "https://example.org/a/b",
            "https://example.org/a/b.git",
            "https://user:token@example.org/a/b.git",
            "git@example.org:a/b.git",
            "ssh://git@example.org/a/b",
        ] {
            assert_eq!(address(url), wanted, "{url}");
        }
        for url in
            ["", "/srv/git/a.git", "../a", "file:///a", "https://example.org", "https://example.org/a b"]
        {
            assert_eq!(address(url), None, "{url}");
        }
    }
}
