// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Gets pinned files into the store. The only module that opens a socket.
//!
//! Order of the places, and a wrong digest is never used from any of them:
//!
//! 1. the store (`<store>/src/<sha256>/<file>`); the file is hashed again each time (0.1 s for 150 MB), so a
//!    truncated or changed one is put aside as `<file>.rejected` and fetched anew;
//! 2. the directories of `FW_MIRROR`, as `<dir>/<file>`, `<dir>/<last folder of the address>/<file>` or
//!    `<dir>/<sha256>/<file>` (so another store's `src` serves as a mirror); what lies there is never changed;
//! 3. the network, origins in the manifest's order: `https`, and `debian` from the host's mirror if it is known;
//! 4. Debian's snapshot archive for each `debian` origin.
//!
//! A `pypi` origin is got by Python's own client and a `go` origin by Go's, see [`pypi`] and [`go`]; the digest
//! decides there, too. [`Fetcher::go_dependencies`] fills the module cache that a Go build then works from offline.
//!
//! A file is downloaded into `<file>.part` under a lock per digest, synced, and published by rename. What a
//! killed process leaves is that `.part`: the next run goes on from its end, and since every byte of it is
//! hashed again it can do no harm. A download with a wrong digest is kept as `<file>.rejected` to be looked at.

mod apt;
mod attempt;
mod config;
mod go;
mod http;
mod part;
mod pypi;

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::failure::{Context, Failure, Result};
use crate::golang::{Go, Programs};
use crate::key::sha256_file;
use crate::manifest::{Format, Location, Origin, Pin};

pub use config::{FetchConfig, Limits, Network};
pub use http::is_loopback;

use attempt::Stop;
use http::Client;
use part::Expected;

/// Where progress of a fetch goes. Called from the thread that fetches.
pub trait Progress: Sync {
    /// A new step began, in words.
    fn step(&self, what: &str);
    /// `done` bytes of `total` (if known) of the present file are there.
    fn bytes(&self, done: u64, total: Option<u64>);
}

/// Progress that nobody watches.
impl Progress for () {
    fn step(&self, _what: &str) {}
    fn bytes(&self, _done: u64, _total: Option<u64>) {}
}

/// A pinned file that is in the store with the right digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The file in the store.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
    /// Label of the first origin of the pin with this digest ([`Origin::label`]): which bytes were used, named
    /// the same on every machine, whichever mirror they came through.
    pub origin_label: String,
    /// Its container.
    pub format: Format,
}

/// Fetches pins as its configuration says.
#[derive(Debug)]
pub struct Fetcher {
    config: FetchConfig,
    client: Client,
}

impl Fetcher {
    /// A fetcher; opens nothing yet.
    pub fn new(config: FetchConfig) -> Fetcher {
        let client = Client::new(&config);
        Fetcher { config, client }
    }

    /// Puts one of the pin's files into the store, if none is there, and returns it.
    ///
    /// # Errors
    /// No place has a file with the right digest: the failure lists every place with its reason. Or the
    /// store cannot be written.
    pub fn fetch(&self, pin: &Pin, progress: &dyn Progress) -> Result<Fetched> {
        let what = || format!("cannot get `{}` (version {})", pin.id(), pin.version);
        let mut tried = Vec::new();
        match self.fetch_inner(pin, &mut tried, progress) {
            Ok(Some(fetched)) => Ok(fetched),
            Ok(None) => Err(self.nowhere(Failure::new(what()), pin, &tried)),
            Err(failure) => Err(failure.during(what())),
        }
    }

    fn fetch_inner(
        &self,
        pin: &Pin,
        tried: &mut Vec<String>,
        progress: &dyn Progress,
    ) -> Result<Option<Fetched>> {
        for origin in &pin.origins {
            if std::ptr::eq(home(pin, origin), origin) && self.stored(origin, tried, progress)? {
                return Ok(Some(self.fetched(pin, origin)));
            }
        }
        for origin in &pin.origins {
            if self.look_in_mirrors(pin, origin, tried, progress)? {
                return Ok(Some(self.fetched(pin, origin)));
            }
        }
        for origin in &pin.origins {
            if self.get_by_client(pin, origin, tried, progress)? {
                return Ok(Some(self.fetched(pin, origin)));
            }
        }
        for (origin, url) in self.plan(pin) {
            if let Network::Forbidden { because } = &self.config.network {
                tried.push(format!("{url}: not tried, {because}"));
                continue;
            }
            let path = self.path_of(home(pin, origin));
            let _lock = self.lock(origin, progress)?;
            if self.intact(home(pin, origin))? {
                return Ok(Some(self.fetched(pin, origin)));
            }
            progress.step(&format!("download `{}` from {url}", origin.file_name()));
            let expected = Expected { sha256: Some(&origin.sha256), size_bytes: origin.size_bytes };
            let via = match origin.location {
                Location::Debian { .. } => http::Route::Debian,
                Location::Https { .. } | Location::Pypi { .. } | Location::Go(_) => http::Route::General,
            };
            let job = self.job(&url, via, expected, progress);
            match attempt::download(job, &path) {
                Ok(_) => return Ok(Some(self.fetched(pin, origin))),
                Err(Stop::Local(failure)) => return Err(failure),
                Err(stop) => {
                    progress.step(&format!("{url}: {stop}"));
                    tried.push(format!("{url}: {stop}"));
                }
            }
        }
        Ok(None)
    }

    fn job<'a>(
        &'a self,
        url: &'a str,
        route: http::Route,
        expected: Expected<'a>,
        progress: &'a dyn Progress,
    ) -> attempt::Job<'a> {
        attempt::Job { client: &self.client, limits: &self.config.limits, url, route, expected, progress }
    }

    /// Downloads one address into `dest` and returns the SHA-256 of what came.
    ///
    /// With `expected_sha256`, a `dest` that has it already is used as it is, and the `FW_MIRROR` directories
    /// are looked at first. Without it, the address's last folder and name (`<dir>/v1.2.3/file`) are looked up
    /// there, else it is fetched, and it is up to the caller whether to trust the digest returned: an existing
    /// `dest` is replaced, and a partial file is not continued. A redirect from `https` to `http` is refused in
    /// any case.
    ///
    /// # Errors
    /// As [`Fetcher::fetch`].
    pub fn fetch_to(
        &self,
        origin_url: &str,
        expected_sha256: Option<&str>,
        expected_size_bytes: Option<u64>,
        dest: &Path,
        progress: &dyn Progress,
    ) -> Result<String> {
        let what = || format!("cannot get `{origin_url}`");
        let expected = Expected { sha256: expected_sha256, size_bytes: expected_size_bytes };
        let name = dest.file_name().and_then(|n| n.to_str()).ok_or_else(|| {
            Failure::new(what()).why(format!("`{}` does not end in a file name", dest.display()))
        })?;
        if let Some(dir) = dest.parent() {
            fs::create_dir_all(dir).context(what())?;
        }
        let _lock =
            lock_file(&dest.with_file_name(format!(".{name}.lock")), name, progress).context(what())?;
        if let Some(sha256) = expected_sha256
            && dest.is_file()
            && sha256_file(dest)? == sha256
        {
            return Ok(sha256.to_owned());
        }
        let mut tried = Vec::new();
        for candidate in self.mirror_candidates(origin_url, expected_sha256) {
            if let Some(sha256) =
                self.copy_in(&candidate, dest, expected, &mut tried, progress).context(what())?
            {
                return Ok(sha256);
            }
        }
        if let Network::Forbidden { because } = &self.config.network {
            tried.push(format!("{origin_url}: not tried, {because}"));
        } else {
            progress.step(&format!("download {origin_url}"));
            let job = self.job(origin_url, http::Route::General, expected, progress);
            match attempt::download(job, dest) {
                Ok(sha256) => return Ok(sha256),
                Err(Stop::Local(failure)) => return Err(failure.during(what())),
                Err(stop) => tried.push(format!("{origin_url}: {stop}")),
            }
        }
        let failure = tried.iter().fold(Failure::new(what()), |f, line| f.why(line));
        Err(self
            .network_hint(failure)
            .hint(format!("or put `{}` into a directory and name it in `FW_MIRROR`", tail_of(origin_url, 2))))
    }

    /// Puts everything that building `programs` takes into `go`'s module cache: the toolchain it is bound to and every
    /// module that they import, each checked by Go against the `go.sum` of their module. A build can then run
    /// without the network.
    ///
    /// # Errors
    /// The network is forbidden and something is missing, or Go's client failed.
    pub fn go_dependencies(&self, go: &Go, programs: &Programs<'_>, progress: &dyn Progress) -> Result<()> {
        fs::create_dir_all(self.config.store.join("lock"))?;
        let lock = self.config.store.join("lock/go-modules.lock");
        let _lock = lock_file(&lock, "Go modules", progress)?;
        let offline = matches!(self.config.network, Network::Forbidden { .. });
        go::dependencies(go, programs, offline).map_err(|failure| self.network_hint(failure))
    }

    /// Has a `go` that is too old to build with get the toolchain `version` (`1.26.6`) into the store, where
    /// [`Go::find`] finds it from then on; Go's checksum database vouches for it.
    ///
    /// # Errors
    /// There is no `go` at all, or it cannot get the toolchain.
    pub fn go_toolchain(&self, version: &str, progress: &dyn Progress) -> Result<PathBuf> {
        fs::create_dir_all(self.config.store.join("lock"))?;
        let lock = self.config.store.join("lock/go-modules.lock");
        let _lock = lock_file(&lock, "Go modules", progress)?;
        let offline = matches!(self.config.network, Network::Forbidden { .. });
        go::toolchain(&self.config.store, version, offline).map_err(|failure| self.network_hint(failure))
    }

    /// Addresses to try over the network, in order.
    fn plan<'p>(&self, pin: &'p Pin) -> Vec<(&'p Origin, String)> {
        let mut plan = Vec::new();
        for origin in &pin.origins {
            match &origin.location {
                Location::Https { url } => plan.push((origin, url.clone())),
                Location::Debian { pool, .. } => {
                    let bases = self.config.debian_bases.iter();
                    plan.extend(bases.map(|base| (origin, format!("{}/{pool}", base.trim_end_matches('/')))));
                }
                // They have no address of their own: see `get_by_client`.
                Location::Pypi { .. } | Location::Go(_) => {}
            }
        }
        for origin in &pin.origins {
            if let Location::Debian { snapshot_url, .. } = &origin.location {
                plan.push((origin, snapshot_url.clone()));
            }
        }
        plan
    }

    /// Gets a wheel through Python's client or a module through Go's, and puts it into the store if it is the
    /// expected one. False for any other kind of origin.
    fn get_by_client(
        &self,
        pin: &Pin,
        origin: &Origin,
        tried: &mut Vec<String>,
        progress: &dyn Progress,
    ) -> Result<bool> {
        if matches!(origin.location, Location::Https { .. } | Location::Debian { .. }) {
            return Ok(false);
        }
        if let Network::Forbidden { because } = &self.config.network {
            tried.push(format!("{}: not tried, {because}", origin.label()));
            return Ok(false);
        }
        let _lock = self.lock(origin, progress)?;
        if self.intact(home(pin, origin))? {
            return Ok(true);
        }
        let dir = tempfile::tempdir()?;
        let got = match &origin.location {
            Location::Go(module) => {
                progress.step(&format!("go mod download {}", module.at_version()));
                go::download(module, &self.config.store, dir.path())
            }
            _ => {
                progress.step(&format!("pip download `{}`", origin.file_name()));
                pypi::download(origin.file_name(), &origin.sha256, dir.path())
            }
        };
        match got {
            Ok(file) => {
                let expected = Expected { sha256: Some(&origin.sha256), size_bytes: origin.size_bytes };
                let dest = self.path_of(home(pin, origin));
                Ok(self.copy_in(&file, &dest, expected, tried, progress)?.is_some())
            }
            Err(failure) => {
                tried.push(format!("{}: {}", origin.label(), failure.lines().join(" ")));
                Ok(false)
            }
        }
    }

    fn path_of(&self, origin: &Origin) -> PathBuf {
        self.config.store.join("src").join(&origin.sha256).join(origin.file_name())
    }

    fn fetched(&self, pin: &Pin, origin: &Origin) -> Fetched {
        let home = home(pin, origin);
        Fetched {
            path: self.path_of(home),
            sha256: home.sha256.clone(),
            origin_label: home.label(),
            format: home.format,
        }
    }

    fn lock(&self, origin: &Origin, progress: &dyn Progress) -> Result<std::fs::File> {
        let dir = self.config.store.join("lock");
        fs::create_dir_all(&dir)?;
        fs::create_dir_all(self.config.store.join("src").join(&origin.sha256))?;
        lock_file(&dir.join(format!("src-{}.lock", origin.sha256)), origin.file_name(), progress)
    }

    /// Whether the store has the origin's file, hashed now.
    fn intact(&self, origin: &Origin) -> Result<bool> {
        let path = self.path_of(origin);
        Ok(path.is_file() && sha256_file(&path)? == origin.sha256)
    }

    /// Like [`Fetcher::intact`], and puts a changed file aside.
    fn stored(&self, origin: &Origin, tried: &mut Vec<String>, progress: &dyn Progress) -> Result<bool> {
        if self.intact(origin)? {
            return Ok(true);
        }
        let path = self.path_of(origin);
        if !path.is_file() {
            return Ok(false);
        }
        let _lock = self.lock(origin, progress)?;
        if self.intact(origin)? {
            return Ok(true);
        }
        let aside = part::rejected_path(&path);
        fs::rename(&path, &aside)?;
        let note =
            format!("`{}`: changed since it was fetched, kept as `{}`", path.display(), aside.display());
        progress.step(&note);
        tried.push(note);
        Ok(false)
    }

    fn look_in_mirrors(
        &self,
        pin: &Pin,
        origin: &Origin,
        tried: &mut Vec<String>,
        progress: &dyn Progress,
    ) -> Result<bool> {
        let address = match &origin.location {
            Location::Https { url } => url,
            Location::Debian { pool, .. } => pool,
            Location::Pypi { file } => file,
            Location::Go(module) => &module.file,
        };
        let expected = Expected { sha256: Some(&origin.sha256), size_bytes: origin.size_bytes };
        for candidate in self.mirror_candidates(address, Some(&origin.sha256)) {
            let _lock = self.lock(origin, progress)?;
            if self
                .copy_in(&candidate, &self.path_of(home(pin, origin)), expected, tried, progress)?
                .is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Files of the mirror directories that may be the file at `address`.
    fn mirror_candidates(&self, address: &str, sha256: Option<&str>) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for dir in &self.config.mirrors {
            let mut names = vec![tail_of(address, 2).to_owned()];
            if let Some(sha256) = sha256 {
                // Without a digest the bare name says too little: every release has a `sha256sum.txt`.
                names.insert(0, tail_of(address, 1).to_owned());
                names.push(format!("{sha256}/{}", tail_of(address, 1)));
            }
            found.extend(names.into_iter().map(|n| dir.join(n)).filter(|p| p.is_file()));
        }
        found
    }

    /// Copies a mirror's file to `dest` if it is the expected one.
    fn copy_in(
        &self,
        source: &Path,
        dest: &Path,
        expected: Expected<'_>,
        tried: &mut Vec<String>,
        progress: &dyn Progress,
    ) -> Result<Option<String>> {
        progress.step(&format!("copy `{}`", source.display()));
        match part::copy(source, dest, expected, progress)? {
            Ok(sha256) => Ok(Some(sha256)),
            Err(mismatch) => {
                tried.push(format!("`{}`: {mismatch}", source.display()));
                Ok(None)
            }
        }
    }

    fn nowhere(&self, failure: Failure, pin: &Pin, tried: &[String]) -> Failure {
        let mut failure = tried.iter().fold(failure, |f, line| f.why(line));
        for dir in self.config.mirrors.iter().filter(|d| !d.is_dir()) {
            failure = failure.why(format!("`{}` of `FW_MIRROR`: no such directory", dir.display()));
        }
        let debian = pin.origins.iter().any(|o| matches!(o.location, Location::Debian { .. }));
        failure = self.network_hint(failure);
        if debian && self.config.debian_bases.is_empty() {
            failure = failure.hint("`FW_DEBIAN_MIRROR=http://MIRROR/debian` names a Debian mirror to use");
        }
        let mut names: Vec<String> = pin.origins.iter().map(|o| format!("`{}`", o.file_name())).collect();
        names.dedup();
        failure.hint(format!("or put {} into a directory and name it in `FW_MIRROR`", names.join(" or ")))
    }

    fn network_hint(&self, failure: Failure) -> Failure {
        match self.config.network {
            Network::Forbidden { .. } => {
                failure.hint("run `cargo xtask fetch` once with the network allowed; later builds need none")
            }
            Network::Allowed => failure
                .hint("check the network, then run the same command again: it goes on where it stopped"),
        }
    }
}

/// The first origin with the same bytes: it names the file in the store, so that a partial download from one
/// address goes on from another.
fn home<'p>(pin: &'p Pin, origin: &'p Origin) -> &'p Origin {
    pin.origins.iter().find(|o| o.sha256 == origin.sha256).unwrap_or(origin)
}

/// The last `parts` path parts of an address.
fn tail_of(address: &str, parts: usize) -> &str {
    let start = address.rmatch_indices('/').nth(parts - 1).map_or(0, |(at, _)| at + 1);
    &address[start..]
}

/// Takes an exclusive lock that ends with the process; says so when it has to wait.
fn lock_file(path: &Path, what: &str, progress: &dyn Progress) -> Result<std::fs::File> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?.into_parts().0;
    if file.try_lock().is_err() {
        progress.step(&format!("wait for another process that fetches `{what}`"));
        file.lock().map_err(Failure::from).context(format!("cannot lock `{}`", path.display()))?;
    }
    Ok(file)
}
