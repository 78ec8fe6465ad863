// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The connection: reference, credentials, runtime, retries.

use std::future::Future;
use std::io;
use std::time::Duration;

use fw_build::fetch::{Progress, is_loopback};
use fw_build::{Failure, Result};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use crate::credentials::DockerConfig;

/// What the client's requests end with.
pub(crate) type Answer<T> = std::result::Result<T, OciDistributionError>;

/// Attempts for each request; between them the wait doubles.
const ATTEMPTS: u32 = 4;

/// How long the other side may say nothing, and take nothing, before a request counts as lost.
pub(crate) const SILENCE: Duration = Duration::from_secs(120);

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// TLS; plain HTTP only with a registry on this machine, as docker does.
    Usual,
    /// Plain HTTP with any.
    PlainHttp,
}

/// One image reference of a registry.
pub struct Registry {
    pub(crate) client: Client,
    pub(crate) reference: Reference,
    pub(crate) auth: RegistryAuth,
    runtime: tokio::runtime::Runtime,
    first_wait: Duration,
}

impl Registry {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// The reference has another form, or the docker configuration cannot be read.
    pub fn open(reference: &str, scheme: Scheme, config: &DockerConfig) -> Result<Registry> {
        // The form that skopeo and many manifests have.
        let plain = reference.strip_prefix("docker://").unwrap_or(reference);
        let parsed: Reference = plain.parse().map_err(|e| {
            Failure::new(format!("`{reference}` is not an image reference"))
                .why(e)
                .hint("for example `registry.example.org/nanopi-m6-overlay:v0.1.0`")
        })?;
        let registry = parsed.resolve_registry().to_owned();
        let protocol = match scheme {
            Scheme::PlainHttp => ClientProtocol::Http,
            Scheme::Usual if is_loopback(&format!("http://{registry}")) => ClientProtocol::Http,
            Scheme::Usual => ClientProtocol::Https,
        };
        let auth = match config.for_registry(&registry)? {
            Some((user, password)) => RegistryAuth::Basic(user, password),
            None => RegistryAuth::Anonymous,
        };
        // An error says that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_from(ClientConfig {
            protocol,
            // One request for a blob: what every registry takes, which is not so of chunks.
            use_monolithic_push: true,
            connect_timeout: Some(Duration::from_secs(20)),
            ..ClientConfig::default()
        })
        .map_err(|e| Failure::new("cannot prepare the registry client").why(e))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Registry { client, reference: parsed, auth, runtime, first_wait: Duration::from_secs(1) })
    }

    /// The reference, as it was resolved.
    pub fn reference(&self) -> String {
        self.reference.to_string()
    }

    /// Waits less before the second attempt, for tests.
    #[must_use]
    pub fn with_first_wait(self, first_wait: Duration) -> Registry {
        Registry { first_wait, ..self }
    }

    /// Runs requests to their end on this thread.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(future)
    }

    /// Tries a request again while the reason may pass: the network, a busy or restarting server. `what` continues
    /// "cannot".
    pub(crate) async fn retry<T>(
        &self,
        what: &str,
        progress: &dyn Progress,
        mut request: impl AsyncFnMut() -> Answer<T>,
    ) -> Result<T> {
        let mut wait = self.first_wait;
        let mut attempt = 1;
        loop {
            match request().await {
                Ok(done) => return Ok(done),
                Err(e) if attempt < ATTEMPTS && may_pass(&e) => {
                    attempt += 1;
                    progress.step(&format!("{what}: attempt {attempt} of {ATTEMPTS}"));
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(e) => return Err(self.failure(what, &e, attempt)),
            }
        }
    }

    fn failure(&self, what: &str, e: &OciDistributionError, attempts: u32) -> Failure {
        let registry = self.reference.resolve_registry();
        let mut failure = Failure::new(format!("registry `{registry}`: cannot {what}")).why(chain(e));
        if attempts > 1 {
            failure = failure.why(format!("tried {attempts} times"));
        }
        match Kind::of(e) {
            Kind::Refused => {
                let (why, hint) = match &self.auth {
                    RegistryAuth::Anonymous => ("no credentials were found for it", "writes them to"),
                    _ => {
                        ("the credentials of the docker configuration were not accepted", "replaces them in")
                    }
                };
                failure.why(why).hint(format!("`docker login {registry}` {hint} `~/.docker/config.json`"))
            }
            Kind::Missing => failure.hint("is the repository's name right, and is the tag there?"),
            Kind::MayPass => failure
                .hint("the same command carries on: what arrived is not sent again")
                .hint("is the name right? A registry without TLS needs `--plain-http`"),
            Kind::Other => failure,
        }
    }
}

/// What an error means for the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Wrong or missing credentials.
    Refused,
    /// There is no such thing.
    Missing,
    /// Another attempt may help.
    MayPass,
    /// It will not.
    Other,
}

impl Kind {
    pub(crate) fn of(e: &OciDistributionError) -> Kind {
        match e {
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => Kind::Refused,
            OciDistributionError::ServerError { code, .. } => Kind::of_status(*code),
            OciDistributionError::RequestError(e) => {
                e.status().map_or(Kind::MayPass, |status| Kind::of_status(status.as_u16()))
            }
            OciDistributionError::IoError(_) => Kind::MayPass,
            OciDistributionError::ImageManifestNotFoundError(_) => Kind::Missing,
            OciDistributionError::RegistryError { envelope, .. } => {
                let has = |codes: &[OciErrorCode]| envelope.errors.iter().any(|e| codes.contains(&e.code));
                if has(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                    Kind::Refused
                } else if has(&[
                    OciErrorCode::ManifestUnknown,
                    OciErrorCode::NameUnknown,
                    OciErrorCode::NotFound,
                    OciErrorCode::BlobUnknown,
                ]) {
                    Kind::Missing
                } else if has(&[OciErrorCode::Toomanyrequests]) {
                    Kind::MayPass
                } else {
                    Kind::Other
                }
            }
            _ => Kind::Other,
        }
    }

    fn of_status(code: u16) -> Kind {
        match code {
            401 | 403 => Kind::Refused,
            404 => Kind::Missing,
            408 | 429 | 500.. => Kind::MayPass,
            _ => Kind::Other,
        }
    }
}

fn may_pass(e: &OciDistributionError) -> bool {
    Kind::of(e) == Kind::MayPass
}

/// Ends a small request that gets no answer.
pub(crate) async fn within<T>(request: impl Future<Output = Answer<T>>) -> Answer<T> {
    tokio::time::timeout(SILENCE, request).await.map_err(|_| silence())?
}

/// The other side says nothing.
pub(crate) fn silence() -> OciDistributionError {
    io::Error::new(io::ErrorKind::TimedOut, format!("nothing moved for {} s", SILENCE.as_secs())).into()
}

/// An error with its causes; `reqwest` says only the first half by itself.
fn chain(e: &OciDistributionError) -> String {
    let mut text = e.to_string();
    let mut source = std::error::Error::source(e);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    without_queries(&text)
}

/// Addresses without what stands behind their `?`: registries hand out addresses of blobs and uploads that carry a
/// signature there, with which anybody may do the same.
fn without_queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, address) = rest.split_at(at);
        let ends = |c: char| c.is_whitespace() || matches!(c, ')' | '"' | '\'' | '`' | '<' | '>');
        let (address, behind) = address.split_at(address.find(ends).unwrap_or(address.len()));
        out.push_str(before);
        match address.split_once('?') {
            Some((plain, _)) => {
                out.push_str(plain);
                out.push_str("?…");
            }
            None => out.push_str(address),
        }
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn must_fail_02_signatures_of_addresses_are_not_told() {
        let url = "https://cdn.example.org/blobs/sha256/ab?X-Amz-Signature=secret&x=1".to_owned();
        let error = OciDistributionError::ServerError { code: 503, url, message: "busy".to_owned() };
        let text = chain(&error);
        assert!(text.contains("https://cdn.example.org/blobs/sha256/ab?…"), "{text}");
        assert!(!text.contains("secret") && text.contains("busy"), "{text}");
        let both = "a (http://x/?b=secret): c 'https://y/z?d=secret' e";
        assert_eq!(without_queries(both), "a (http://x/?…): c 'https://y/z?…' e");
        assert_eq!(without_queries("why? :// none"), "why? :// none");
    }

    fn open(reference: &str) -> Result<Registry> {
        Registry::open(reference, Scheme::Usual, &DockerConfig::none())
    }

    #[test]
    fn references() {
        for reference in ["127.0.0.1:5000/a/b:v1", "docker://127.0.0.1:5000/a/b:v1"] {
            assert_eq!(open(reference).expect("a reference").reference(), "127.0.0.1:5000/a/b:v1");
        }
        assert_eq!(
            open("m6-overlay").expect("docker's own").reference(),
            "docker.io/library/m6-overlay:latest"
        );
    }

    #[test]
    fn must_fail_01_not_references() {
        for text in ["Not A Reference", "", "https://example.org/a:v1", "example.org/a:b:c"] {
            let why = open(text).err().expect(text).to_string();
            assert!(why.contains("is not an image reference") && why.contains("hint:"), "{why}");
        }
    }

    #[test]
    fn what_is_worth_another_attempt() {
        let status = |code| OciDistributionError::ServerError {
            code,
            url: "http://x/".to_owned(),
            message: String::new(),
        };
        for (code, kind) in [
            (401, Kind::Refused),
            (403, Kind::Refused),
            (404, Kind::Missing),
            (413, Kind::Other),
            (429, Kind::MayPass),
            (500, Kind::MayPass),
            (503, Kind::MayPass),
        ] {
            assert_eq!(Kind::of(&status(code)), kind, "{code}");
        }
        assert!(may_pass(&silence()));
    }
}
