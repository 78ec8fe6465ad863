// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The kernel command line of a Talos v1.10 metal image for arm64, by Talos's merge rules
//! (talos-contracts 4.2). Knows nothing of GRUB's quoting.

/// Arguments every Talos v1.10 image gets, in this order (step 4 of talos-contracts 4.2).
pub const DEFAULTS_V1_10: [&str; 10] = [
    "init_on_alloc=1",
    "slab_nomerge",
    "pti=on",
    "consoleblank=0",
    "nvme_core.io_timeout=4294967295",
    "printk.devkmsg=on",
    "ima_template=ima-ng",
    "ima_appraise=fix",
    "ima_hash=sha512",
    "selinux=1",
];

/// Why an argument is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CmdlineError {
    /// Empty, without a key, or with white space outside double quotes.
    #[error("`{0}` is not one kernel argument of the form `key` or `key=value`")]
    Form(String),
    /// An overlay argument whose key the defaults have: Talos would print both.
    #[error("overlay argument `{0}` repeats one of Talos's own: it would appear twice")]
    RepeatsDefault(String),
    /// The line is longer than the arm64 kernel keeps (`COMMAND_LINE_SIZE`).
    #[error("the kernel command line has {0} bytes; the kernel cuts it at {MAX_BYTES}")]
    TooLong(usize),
}

/// `COMMAND_LINE_SIZE` of arm64 (arch/arm64/include/uapi/asm/setup.h), less the final NUL.
pub const MAX_BYTES: usize = 2047;

/// A command line: keys in order of first appearance, each with all its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cmdline {
    keys: Vec<(String, Vec<Option<String>>)>,
}

impl Cmdline {
    /// An empty line.
    pub fn new() -> Cmdline {
        Cmdline::default()
    }

    /// The line of a metal image for arm64 as Talos v1.10's imager makes it: platform, consoles, the
    /// overlay's arguments, defaults, and the profile's extra arguments.
    ///
    /// # Errors
    /// See [`CmdlineError`].
    pub fn metal_arm64_v1_10<S: AsRef<str>>(overlay: &[S], extra: &[S]) -> Result<Cmdline, CmdlineError> {
        let mut line = Cmdline::new();
        line.append("talos.platform=metal")?;
        line.replace(&["console=ttyAMA0", "console=tty0"])?;
        for argument in overlay {
            let key = split(argument.as_ref())?.0;
            if DEFAULTS_V1_10.iter().any(|d| d.split('=').next() == Some(key)) {
                return Err(CmdlineError::RepeatsDefault(argument.as_ref().to_owned()));
            }
        }
        line.replace(overlay)?;
        for argument in DEFAULTS_V1_10 {
            line.append(argument)?;
        }
        line.customize(extra)?;
        match line.to_string().len() {
            length if length > MAX_BYTES => Err(CmdlineError::TooLong(length)),
            _ => Ok(line),
        }
    }

    /// Adds an argument after the values its key has already; duplicates are kept.
    ///
    /// # Errors
    /// [`CmdlineError::Form`].
    pub fn append(&mut self, argument: &str) -> Result<(), CmdlineError> {
        let (key, value) = split(argument)?;
        let value = value.map(str::to_owned);
        match self.keys.iter_mut().find(|(k, _)| k == key) {
            Some((_, values)) => values.push(value),
            None => self.keys.push((key.to_owned(), vec![value])),
        }
        Ok(())
    }

    /// Adds arguments; each key among them first loses the values it had, but keeps its position.
    ///
    /// # Errors
    /// [`CmdlineError::Form`].
    pub fn replace<S: AsRef<str>>(&mut self, arguments: &[S]) -> Result<(), CmdlineError> {
        for argument in arguments {
            let (key, _) = split(argument.as_ref())?;
            if let Some((_, values)) = self.keys.iter_mut().find(|(k, _)| k == key) {
                values.clear();
            }
        }
        arguments.iter().try_for_each(|argument| self.append(argument.as_ref()))
    }

    /// The profile's `extraKernelArgs`: `console` and `talos.platform` replace, others are added, a
    /// leading `-` deletes a key, or one value of a key.
    ///
    /// # Errors
    /// [`CmdlineError::Form`].
    pub fn customize<S: AsRef<str>>(&mut self, arguments: &[S]) -> Result<(), CmdlineError> {
        let (mut replacing, mut adding) = (Vec::new(), Vec::new());
        for argument in arguments.iter().map(AsRef::as_ref) {
            match argument.strip_prefix('-') {
                Some(rest) => self.delete(split(rest)?),
                None if matches!(split(argument)?.0, "console" | "talos.platform") => {
                    replacing.push(argument)
                }
                None => adding.push(argument),
            }
        }
        self.replace(&replacing)?;
        adding.into_iter().try_for_each(|argument| self.append(argument))
    }

    fn delete(&mut self, (key, value): (&str, Option<&str>)) {
        for (_, values) in self.keys.iter_mut().filter(|(k, _)| k == key) {
            values.retain(|v| value.is_some() && v.as_deref() != value);
        }
        self.keys.retain(|(_, values)| !values.is_empty());
    }

    /// All arguments, in printing order.
    pub fn arguments(&self) -> Vec<String> {
        let one = |key: &String, value: &Option<String>| match value {
            Some(value) => format!("{key}={value}"),
            None => key.clone(),
        };
        self.keys.iter().flat_map(|(key, values)| values.iter().map(move |v| one(key, v))).collect()
    }
}

impl std::fmt::Display for Cmdline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.arguments().join(" "))
    }
}

/// Key and value of an argument.
fn split(argument: &str) -> Result<(&str, Option<&str>), CmdlineError> {
    let (key, value) = match argument.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (argument, None),
    };
    let mut inside_quotes = false;
    let bad_space = argument.chars().any(|c| {
        inside_quotes ^= c == '"';
        c.is_control() || (c.is_whitespace() && !inside_quotes)
    });
    if key.is_empty() || key.contains('"') || bad_space || inside_quotes {
        return Err(CmdlineError::Form(argument.to_owned()));
    }
    Ok((key, value))
}
