// SPDX-License-Identifier: Apache-2.0 OR MIT
//! User and password of a registry, from where `docker login` and its relatives keep them.
//!
//! `config.json` in `$DOCKER_CONFIG` or `~/.docker`: `auths` (base64 of `user:password`), or a credential helper, a
//! program `docker-credential-<name>` that is asked on its standard input. What is read here is sent to that registry
//! (and to the token service that it names) only, and never printed. Identity tokens are refused: the client cannot
//! exchange them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use fw_build::run::Cmd;
use fw_build::{Context as _, Failure, Result};
use serde::Deserialize;

/// Where Docker Hub's entry stands in the file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A docker configuration.
#[derive(Debug, Clone, Default)]
pub struct DockerConfig {
    path: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
struct Auth {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

/// The user's name that goes with an identity token (docker/cli, `cli/config/credentials`).
const TOKEN_USER: &str = "<token>";

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl DockerConfig {
    /// The configuration of this user.
    pub fn of_user() -> DockerConfig {
        let folder = std::env::var_os("DOCKER_CONFIG").filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
        DockerConfig { path: folder.or_else(home).map(|folder| folder.join("config.json")) }
    }

    /// A configuration file.
    pub fn file(path: impl Into<PathBuf>) -> DockerConfig {
        DockerConfig { path: Some(path.into()) }
    }

    /// No credentials for anybody.
    pub fn none() -> DockerConfig {
        DockerConfig::default()
    }

    /// User and password for a registry; none when the file has none.
    ///
    /// # Errors
    /// The file is not valid, or a helper failed.
    pub fn for_registry(&self, registry: &str) -> Result<Option<(String, String)>> {
        let Some(path) = self.path.as_ref().filter(|path| path.exists()) else { return Ok(None) };
        let wrong = |why: &dyn std::fmt::Display| {
            // Never the content: a parser's message may quote it.
            Failure::new(format!("`{}` cannot be used", path.display())).why(why)
        };
        let text = fs::read_to_string(path)?;
        let file: File = serde_json::from_str(&text).map_err(|e| {
            wrong(&format!("not the JSON of docker, line {} column {}", e.line(), e.column()))
        })?;
        let names = names_of(registry);
        let token = || {
            wrong(&format!("for `{registry}` it has an identity token, which is not understood here"))
                .hint(format!("`docker login {registry}` with a user and a password or access token"))
        };
        let helper = names.iter().find_map(|name| file.cred_helpers.get(name));
        if let Some(helper) = helper.or(file.creds_store.as_ref()).filter(|name| !name.is_empty())
            && let Some(found) = ask(helper, &names[0])?
        {
            return if found.0 == TOKEN_USER { Err(token()) } else { Ok(Some(found)) };
        }
        let Some(auth) = names.iter().find_map(|name| file.auths.get(name)) else { return Ok(None) };
        if !auth.identity_token.is_empty() {
            return Err(token());
        }
        if auth.auth.is_empty() {
            let plain = (auth.username.clone(), auth.password.clone());
            return Ok(Some(plain).filter(|(user, _)| !user.is_empty()));
        }
        let decoded = STANDARD.decode(auth.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (user, password) = pair.ok_or_else(|| {
            wrong(&format!("`auth` of `{registry}` is not base64 of a user and a password"))
        })?;
        Ok(Some((user.to_owned(), password.trim_end_matches('\0').to_owned())))
    }
}

/// The keys that a registry may have in the file, the usual one first.
fn names_of(registry: &str) -> Vec<String> {
    if registry == "index.docker.io" || registry == "docker.io" {
        return vec![DOCKER_HUB.to_owned(), "docker.io".to_owned(), "index.docker.io".to_owned()];
    }
    ["", "https://", "http://"]
        .iter()
        .flat_map(|scheme| ["", "/", "/v1/", "/v2/"].map(|path| format!("{scheme}{registry}{path}")))
        .collect()
}

/// Asks a credential helper (docker/docker-credential-helpers: `get`, the server on standard input).
fn ask(helper: &str, server: &str) -> Result<Option<(String, String)>> {
    if helper.is_empty() || !helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(Failure::new("the docker configuration names a credential helper with an odd name"));
    }
    let program = format!("docker-credential-{helper}");
    ask_program(Cmd::with_callers_env(&program), &program, server)
}

fn ask_program(cmd: Cmd, program: &str, server: &str) -> Result<Option<(String, String)>> {
    let mut running = cmd.arg("get").spawn(Stdio::piped(), Stdio::piped(), Stdio::null())?;
    if let Some(mut stdin) = running.child.stdin.take() {
        // A helper that does not read its input says so by its status.
        let _ = writeln!(stdin, "{server}");
    }
    let mut out = String::new();
    if let Some(stdout) = running.child.stdout.take() {
        out = std::io::read_to_string(stdout)?;
    }
    match running.finish() {
        Ok(()) => {}
        // "credentials not found in native keychain": its way to say that there are none.
        Err(_) if out.contains("credentials not found") => return Ok(None),
        Err(failure) => return Err(failure).context(format!("the credential helper `{program}` failed")),
    }
    let answer: Answer = serde_json::from_str(&out)
        .map_err(|_| Failure::new(format!("the credential helper `{program}` gave no credentials")))?;
    Ok(Some((answer.username, answer.secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, registry: &str) -> Result<Option<(String, String)>> {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("config.json");
        fs::write(&path, text).expect("file");
        DockerConfig::file(path).for_registry(registry)
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn forms_of_the_file() {
        // base64 of `me:p:w`; a password may have a colon.
        let auths = r#"{"auths":{"example.org":{"auth":"bWU6cDp3"},"https://index.docker.io/v1/":{"auth":"aHViOng="}}}"#;
        assert_eq!(with(auths, "example.org").expect("valid"), pair("me", "p:w"));
        assert_eq!(with(auths, "docker.io").expect("valid"), pair("hub", "x"));
        assert_eq!(with(auths, "other.org").expect("valid"), None);
        let address = r#"{"auths":{"https://example.org/v2/":{"username":"u","password":"p"}}}"#;
        assert_eq!(with(address, "example.org").expect("valid"), pair("u", "p"));
        assert_eq!(with(r#"{"auths":{"example.org":{}}}"#, "example.org").expect("valid"), None);
        assert_eq!(DockerConfig::file("/nonexistent").for_registry("x").expect("no file"), None);
    }

    /// A helper that answers as docker's own do: by the server's name on standard input.
    #[test]
    fn a_helper_is_asked() {
        let dir = tempfile::tempdir().expect("folder");
        let program = dir.path().join("docker-credential-made-up");
        let script = "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get example.org' ] || { echo 'credentials not found \
                      in native keychain'; exit 1; }\necho '{\"ServerURL\":\"x\",\"Username\":\"me\",\"Secret\":\"p:w\"}'\n";
        fs::write(&program, script).expect("script");
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
        let get = |server: &str| ask_program(Cmd::new(&program), "made-up", server);
        assert_eq!(get("example.org").expect("answers"), pair("me", "p:w"));
        assert_eq!(get("other.org").expect("has none"), None);
    }

    #[test]
    fn must_fail_01_files_that_are_damaged_say_nothing_of_their_content() {
        for text in ["{\"auths\": secret", r#"{"auths":{"example.org":{"auth":"secret!"}}}"#] {
            let why = with(text, "example.org").expect_err(text).to_string();
            assert!(why.contains("cannot be used") && !why.contains("secret"), "{why}");
        }
        let token = r#"{"auths":{"example.org":{"identitytoken":"secret"}}}"#;
        let why = with(token, "example.org").expect_err("a token").to_string();
        assert!(why.contains("identity token") && !why.contains("secret"), "{why}");
        let odd = r#"{"credHelpers":{"example.org":"../../bin/sh"}}"#;
        assert!(with(odd, "example.org").expect_err("odd").to_string().contains("odd name"));
        let missing = r#"{"credHelpers":{"example.org":"nowhere-to-be-found"}}"#;
        assert!(
            with(missing, "example.org")
                .expect_err("missing")
                .to_string()
                .contains("docker-credential-nowhere")
        );
    }
}
