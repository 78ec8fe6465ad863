// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Overlay options of the command line, judged by the overlay's own program before they are frozen in an image.

use fs_err as fs;
use fw_build::{Failure, Result};

/// Options as they lie in the image, and the kernel arguments that they give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// YAML for `/overlay/extra-options`.
    pub yaml: String,
    /// Arguments of the overlay.
    pub kernel_args: Vec<String>,
}

impl Options {
    /// Reads `key=value` words, or one `@FILE`.
    ///
    /// # Errors
    /// A word of another form, or an option that the overlay refuses.
    pub fn of(words: &[String]) -> Result<Options> {
        let yaml = match words {
            [] => "{}\n".to_owned(),
            [word] if word.starts_with('@') => fs::read_to_string(&word[1..])?,
            words => {
                let mut yaml = String::new();
                for word in words {
                    let (key, value) =
                        word.split_once('=').filter(|(key, _)| is_key(key)).ok_or_else(|| {
                            Failure::new(format!("`{word}` is not an overlay option"))
                                .hint("`--overlay-option key=value`, or a single `--overlay-option @FILE`")
                        })?;
                    if value.contains(char::is_control) {
                        return Err(Failure::new(format!("overlay option `{key}` has a control character")));
                    }
                    yaml += &format!("{key}: '{}'\n", value.replace('\'', "''"));
                }
                yaml
            }
        };
        let mut note = |text: &str| eprintln!("note: {text}");
        let reply = overlay_installer::get_options(yaml.as_bytes(), &mut note)
            .map_err(|refusal| Failure::new("the overlay refuses its options").why(refusal))?;
        Ok(Options { yaml, kernel_args: reply.kernel_args })
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<Options> {
        Options::of(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn words_and_files() {
        assert_eq!(of(&[]).expect("none").yaml, "{}\n");
        let options = of(&["cma=256M", "extraKernelArgs=a='b"]).expect("options");
        assert_eq!(options.yaml, "cma: '256M'\nextraKernelArgs: 'a=''b'\n");
        assert!(options.kernel_args.ends_with(&["cma=256M".to_owned(), "a='b".to_owned()]));
        let dir = tempfile::tempdir().expect("folder");
        let file = dir.path().join("options.yaml");
        fs::write(&file, "bootloader: none\n").expect("file");
        assert_eq!(of(&[&format!("@{}", file.display())]).expect("a file").yaml, "bootloader: none\n");
    }

    #[test]
    fn must_fail_01_refused_options() {
        for words in [
            &["mac=01:00:5e:00:00:01"][..],
            &["bootloadr=none"],
            &["x"],
            &["=x"],
            &["a=\n"],
            &["a b=c"],
            &["@/nonexistent"],
            &["cma=1M", "cma=2M"],
        ] {
            assert!(of(words).is_err(), "{words:?}");
        }
    }
}
