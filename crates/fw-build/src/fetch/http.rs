// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The HTTP client: certificates of the platform, proxies, timeouts, and what its errors mean.

use std::time::Duration;

use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy, Timeout};

use super::attempt::Stop;
use super::config::{FetchConfig, Limits};

/// Which settings an address needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// The proxy of the environment, if any.
    General,
    /// A Debian archive: the proxy of apt, if any.
    Debian,
}

/// Whether `url` is plain HTTP to this machine.
pub fn is_loopback(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some(v6) = host.strip_prefix('[') {
        return v6.split_once(']').is_some_and(|(address, _)| address == "::1");
    }
    let host = host.split(':').next().unwrap_or_default();
    host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|a| a.is_loopback())
}

#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    debian_proxy: Option<Proxy>,
    stall: Duration,
}

impl Client {
    pub fn new(config: &FetchConfig) -> Client {
        let Limits { connect, stall, .. } = config.limits;
        let agent = Agent::config_builder()
            .user_agent("fw-build")
            // The certificates the machine's owner trusts, not a bundled list: works behind a TLS-inspecting proxy.
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            // Status codes are judged here, with the address and the body's first bytes at hand.
            .http_status_as_error(false)
            // Ranges are counted in bytes of the file, not of a compressed transfer.
            .accept_encoding("identity")
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            // Per read, not for the whole answer: a slow line may take as long as it takes.
            .timeout_per_read(Some(stall))
            .timeout_per_write(Some(stall))
            .timeout_recv_response(Some(stall))
            .build()
            .new_agent();
        let debian_proxy = config.debian_proxy.as_deref().and_then(|p| Proxy::new(p).ok());
        Client { agent, debian_proxy, stall }
    }

    /// Sends a GET, optionally for the bytes from `range_start` on and only if the file is still `validator`'s.
    pub fn get(
        &self,
        url: &str,
        route: Route,
        range_start: u64,
        validator: Option<&str>,
    ) -> Result<Response<Body>, Stop> {
        // A redirect from https to plain http would let anyone on the way choose the bytes.
        let mut config = self.agent.get(url).config().https_only(url.starts_with("https://"));
        if is_loopback(url) {
            config = config.proxy(None);
        } else if route == Route::Debian
            && url.starts_with("http://")
            && let Some(proxy) = &self.debian_proxy
        {
            config = config.proxy(Some(proxy.clone()));
        }
        let mut request = config.build();
        if range_start > 0 {
            request = request.header("range", format!("bytes={range_start}-"));
            if let Some(validator) = validator {
                request = request.header("if-range", validator);
            }
        }
        request.call().map_err(|e| self.judge(e))
    }

    /// What an error of the client means for the next step.
    pub fn judge(&self, error: ureq::Error) -> Stop {
        use ureq::Error as E;
        let stall = self.stall.as_secs_f32();
        match error {
            E::HostNotFound => Stop::Refused("host not found".to_owned()),
            E::Timeout(Timeout::Connect | Timeout::Resolve) => {
                Stop::Refused("no connection in time".to_owned())
            }
            E::Timeout(_) => Stop::Transient(format!("stalled: nothing came for {stall} s")),
            E::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                Stop::Transient("the connection ended early".to_owned())
            }
            E::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
                Stop::Refused("connection refused".to_owned())
            }
            E::Io(e) => Stop::Transient(e.to_string()),
            E::Rustls(e) => Stop::Refused(format!("TLS: {e}")),
            E::Tls(e) => Stop::Refused(format!("TLS: {e}")),
            E::RequireHttpsOnly(to) => Stop::Refused(format!("redirects to `{to}`, which is not https")),
            other => Stop::Refused(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_is_this_machine_only() {
        for url in ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:9/x", "http://127.9.9.9/"]
        {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["https://127.0.0.1/x", "http://127.0.0.1.example/x", "http://example/127.0.0.1", "http://[::2]/"]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
