// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Container registries, for the verbs that send to one or fetch from one.
//!
//! Only with the feature `push`, because the client brings an async runtime. Without it every use ends, before anything
//! is built, with the command that has it. Sources of a build never come this way.

use fw_build::Result;
use fw_image::oci::{Layout, Platform, ReadImage};

use crate::screen::Screen;

#[cfg(feature = "push")]
mod with {
    use fw_build::Failure;
    use fw_build::status::{Phase, Status, bytes};
    use fw_image::oci;
    use registry::{DockerConfig, Registry, Scheme};

    use super::*;

    /// One reference in a registry.
    pub struct Remote(Registry);

    impl Remote {
        /// Prepares a connection with the credentials of the docker configuration; nothing is sent yet.
        ///
        /// # Errors
        /// Not a reference, or a docker configuration that cannot be used.
        pub fn open(reference: &str, plain_http: bool) -> Result<Remote> {
            let scheme = if plain_http { Scheme::PlainHttp } else { Scheme::Usual };
            Ok(Remote(Registry::open(reference, scheme, &DockerConfig::of_user())?))
        }

        /// Sends a layout, and says what was done.
        ///
        /// # Errors
        /// The registry refused, or cannot be reached.
        pub fn send(&self, layout: &Layout, screen: &Screen) -> Result<String> {
            let done = drawn(screen, "push", |status| self.0.push(layout, status))?;
            Ok(format!(
                "{}@{} ({} of {} parts, {})",
                self.0.reference(),
                done.digest,
                done.sent,
                done.sent + done.present,
                bytes(done.sent_bytes)
            ))
        }

        /// Fetches the image for a platform, with every digest compared.
        ///
        /// # Errors
        /// The registry refused, cannot be reached, or has something else.
        pub fn fetch(&self, platform: &Platform, screen: &Screen) -> Result<Vec<ReadImage>> {
            let pulled = drawn(screen, "pull", |status| self.0.pull(platform, status))?;
            oci::open(&pulled)
                .map_err(|e| Failure::new(format!("`{}` is damaged", self.0.reference())).why(e))
        }
    }

    fn drawn<T>(screen: &Screen, name: &str, run: impl FnOnce(&Status) -> Result<T>) -> Result<T> {
        let status = screen.step(name);
        status.phase(Phase::Fetching, None);
        let done = run(&status);
        status.phase(if done.is_ok() { Phase::Built } else { Phase::Failed }, None);
        done
    }
}

#[cfg(not(feature = "push"))]
mod without {
    use fw_build::Failure;

    use super::*;

    /// What this build of xtask never has.
    pub enum Remote {}

    impl Remote {
        /// Says which command has it.
        ///
        /// # Errors
        /// Always.
        pub fn open(reference: &str, _plain_http: bool) -> Result<Remote> {
            let words: Vec<String> = std::env::args().skip(1).collect();
            Err(Failure::new(format!("cannot speak with the registry of `{reference}`"))
                .why("this build of xtask has no registry client: only the feature `push` brings its async runtime")
                .hint(format!("`cargo run -p xtask --features push -- {}`", words.join(" "))))
        }

        /// Cannot be called: there is no value of this type.
        ///
        /// # Errors
        /// None.
        pub fn send(&self, _layout: &Layout, _screen: &Screen) -> Result<String> {
            match *self {}
        }

        /// Cannot be called: there is no value of this type.
        ///
        /// # Errors
        /// None.
        pub fn fetch(&self, _platform: &Platform, _screen: &Screen) -> Result<Vec<ReadImage>> {
            match *self {}
        }
    }

    #[test]
    fn must_fail_01_without_the_feature() {
        let why = Remote::open("example.org/a:v1", false).err().expect("none").to_string();
        assert!(why.contains("`example.org/a:v1`"), "{why}");
        assert!(why.contains("`cargo run -p xtask --features push -- "), "{why}");
    }
}

#[cfg(feature = "push")]
pub use with::Remote;
#[cfg(not(feature = "push"))]
pub use without::Remote;
