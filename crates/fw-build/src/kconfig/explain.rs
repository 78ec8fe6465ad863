// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why the kernel did not keep a request: the chain of conditions down to the option that is missing.

use super::expr::{Expr, Tri};
use super::tree::{Definition, Tree};
use super::{DotConfig, Mismatch, Value};

/// Chains in the kernel are rarely longer than five; a deeper one helps nobody.
const DEPTH_LIMIT: usize = 8;

/// Lines that explain a mismatch, indented by two blanks per step of the chain.
pub fn explain(mismatch: &Mismatch, tree: &Tree, config: &DotConfig) -> Vec<String> {
    let mut explainer = Explainer { tree, config, lines: Vec::new(), seen: Vec::new() };
    let entry = &mismatch.entry;
    let got = config.get(&entry.option).unwrap_or(&Value::No);
    match (&entry.value, got) {
        (Value::No, _) | (Value::Module, Value::Yes) => explainer.too_much(&entry.option, &entry.value),
        (Value::Module, _) => explainer.too_little(&entry.option, Tri::Module, 0),
        _ => explainer.too_little(&entry.option, Tri::Yes, 0),
    }
    explainer.lines
}

struct Explainer<'a> {
    tree: &'a Tree,
    config: &'a DotConfig,
    lines: Vec<String>,
    seen: Vec<String>,
}

impl Explainer<'_> {
    fn say(&mut self, depth: usize, text: impl Into<String>) {
        self.lines.push(format!("{:width$}{}", "", text.into(), width = depth * 2));
    }

    fn shown(&self, option: &str) -> String {
        let value = self.config.get(option).unwrap_or(&Value::No);
        format!("`{option}={value}`")
    }

    fn too_little(&mut self, option: &str, wanted: Tri, depth: usize) {
        if depth > DEPTH_LIMIT || self.seen.iter().any(|s| s == option) {
            return;
        }
        self.seen.push(option.to_owned());
        let definitions = self.tree.definitions(option);
        if definitions.is_empty() {
            self.say(depth, format!("`{option}` does not exist in this kernel"));
            return;
        }
        let open = |d: &&Definition| d.depends.iter().all(|e| e.eval(self.config) >= wanted);
        let met: Vec<Definition> = definitions.iter().filter(open).cloned().collect();
        if met.is_empty() {
            for definition in definitions {
                self.conditions(option, definition, wanted, depth);
            }
        } else {
            self.prompts(option, &met, depth);
        }
    }

    /// Names the conditions of a definition that do not hold, and follows the options in them.
    fn conditions(&mut self, option: &str, definition: &Definition, wanted: Tri, depth: usize) {
        let parts = definition.depends.iter().flat_map(Expr::conjuncts);
        let failing: Vec<Expr> = parts.filter(|e| e.eval(self.config) < wanted).cloned().collect();
        for part in failing {
            let value = part.eval(self.config);
            self.say(
                depth,
                format!("`{option}` depends on `{part}`, which is `{value}` ({})", definition.place),
            );
            for symbol in part.wanted_symbols() {
                if Expr::Symbol(symbol.to_owned()).eval(self.config) < wanted {
                    self.unset(symbol, wanted, depth + 1);
                }
            }
        }
    }

    /// An option in a condition that is not on: its own conditions, or that nobody asks for it.
    fn unset(&mut self, option: &str, wanted: Tri, depth: usize) {
        let definitions = self.tree.definitions(option);
        let settable = |d: &Definition| {
            d.has_prompt && d.depends.iter().chain(&d.prompt_if).all(|e| e.eval(self.config) >= wanted)
        };
        if definitions.iter().any(settable) && !definitions.iter().any(|d| d.choice.is_some()) {
            let shown = self.shown(option);
            self.say(depth, format!("{shown}: its own conditions are met, ask for it"));
        } else {
            self.too_little(option, wanted, depth);
        }
    }

    /// The conditions hold, so the option cannot be set by hand or something else was chosen.
    fn prompts(&mut self, option: &str, met: &[Definition], depth: usize) {
        let Some(definition) = met.iter().find(|d| d.has_prompt).or(met.first()) else { return };
        let place = &definition.place;
        if let Some(condition) = &definition.prompt_if
            && condition.eval(self.config) == Tri::No
        {
            self.say(
                depth,
                format!("`{option}` can be set by hand only if `{condition}`, which is `n` ({place})"),
            );
            for symbol in condition.wanted_symbols() {
                if Expr::Symbol(symbol.to_owned()).eval(self.config) < Tri::Yes {
                    self.unset(symbol, Tri::Yes, depth + 1);
                }
            }
        } else if let Some(choice) = definition.choice {
            let on = |m: &&str| self.config.get(m) == Some(&Value::Yes);
            let chosen: Vec<String> =
                self.tree.members(choice).filter(on).map(|m| format!("`{m}`")).collect();
            self.say(
                depth,
                format!("`{option}` is one of a choice, where {} is on ({place})", chosen.join(", ")),
            );
        } else if definition.has_prompt {
            self.say(
                depth,
                format!("the conditions of `{option}` are met ({place}): it has another type or range"),
            );
        } else {
            let by: Vec<String> = self.tree.selected_by(option).iter().map(|s| self.shown(&s.by)).collect();
            let by = if by.is_empty() { "nothing".to_owned() } else { shortened(by) };
            self.say(depth, format!("`{option}` cannot be set by hand; it is selected by {by} ({place})"));
        }
    }

    /// More than was asked for: something selects it, or its default cannot be overruled.
    fn too_much(&mut self, option: &str, wanted: &Value) {
        let on = |s: &&super::tree::Select| {
            let condition = s.condition.as_ref().map_or(Tri::Yes, |c| c.eval(self.config));
            Expr::Symbol(s.by.clone()).eval(self.config).min(condition) > Tri::No
        };
        let by: Vec<String> =
            self.tree.selected_by(option).iter().filter(on).map(|s| self.shown(&s.by)).collect();
        if by.is_empty() {
            self.say(0, format!("`{option}` cannot be `{wanted}` with these options; nothing selects it"));
        } else {
            self.say(0, format!("`{option}` is selected by {}", shortened(by)));
        }
    }
}

fn shortened(mut names: Vec<String>) -> String {
    const SHOWN: usize = 6;
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.join(", ") + &tail
}

#[cfg(test)]
mod tests {
    use super::super::{Request, check_requested};
    use super::*;

    const KCONFIG: &str = "\
mainmenu \"test\"
config MODULES
\tbool \"modules\"
config NET
\tbool \"net\"
menu \"Drivers\"
\tdepends on NET
config BUS
\tbool \"bus\"
\tdepends on HELPER || OTHER
\thelp
\t  A help text with the word
\t  config INSIDE
\t  depends on nothing
config HELPER
\tbool
config SELECTOR
\tbool \"selects\"
\tselect HELPER
\tselect FORCED if \\
\t\tNET
config DRIVER
\ttristate \"driver\"
\tdepends on BUS && $(cc-option,-x)
endmenu
config FORCED
\tbool \"forced\"
config HIDDEN
\tbool \"hidden\" if NET && EXPERT
config EXPERT
\tbool \"expert\"
choice
\tprompt \"one\"
config ONE
\tbool \"one\"
config TWO
\tbool \"two\"
endchoice
source \"more/Kconfig\"
";

    fn lines(fragment: &str, config: &str) -> Vec<String> {
        let dir = tempfile::tempdir().expect("dir");
        fs_err::write(dir.path().join("Kconfig"), KCONFIG).expect("write");
        fs_err::create_dir(dir.path().join("more")).expect("dir");
        fs_err::write(dir.path().join("more/Kconfig"), "config FAR\n\tbool \"far\"\n").expect("write");
        let tree = Tree::load(dir.path()).expect("tree");
        assert_eq!(tree.definitions("FAR").len(), 1);
        assert!(tree.definitions("INSIDE").is_empty(), "help is not configuration");
        let request = Request::merge([("f", format!("# r\n{fragment}\n").as_str())]).expect("request");
        let config = DotConfig::parse(config).expect("config");
        check_requested(&request, &config).iter().flat_map(|m| explain(m, &tree, &config)).collect()
    }

    #[test]
    fn the_chain_ends_at_the_option_that_nobody_asked_for() {
        assert_eq!(
            lines("CONFIG_DRIVER=m", ""),
            [
                "`DRIVER` depends on `NET`, which is `n` (Kconfig:22)",
                "  `NET=n`: its own conditions are met, ask for it",
                "`DRIVER` depends on `BUS`, which is `n` (Kconfig:22)",
                "  `BUS` depends on `NET`, which is `n` (Kconfig:8)",
                "    `NET=n`: its own conditions are met, ask for it",
                "  `BUS` depends on `HELPER || OTHER`, which is `n` (Kconfig:8)",
                "    `HELPER` depends on `NET`, which is `n` (Kconfig:15)",
                "      `NET=n`: its own conditions are met, ask for it",
                "    `OTHER` does not exist in this kernel",
            ]
        );
        assert_eq!(
            lines("CONFIG_DRIVER=m", "CONFIG_NET=y\n"),
            [
                "`DRIVER` depends on `BUS`, which is `n` (Kconfig:22)",
                "  `BUS` depends on `HELPER || OTHER`, which is `n` (Kconfig:8)",
                "    `HELPER` cannot be set by hand; it is selected by `SELECTOR=n` (Kconfig:15)",
                "    `OTHER` does not exist in this kernel",
            ]
        );
    }

    #[test]
    fn the_other_reasons_are_told_apart() {
        assert_eq!(lines("CONFIG_GONE=y", ""), ["`GONE` does not exist in this kernel"]);
        assert_eq!(
            lines("CONFIG_HIDDEN=y", "CONFIG_NET=y\n"),
            [
                "`HIDDEN` can be set by hand only if `NET && EXPERT`, which is `n` (Kconfig:28)",
                "  `EXPERT=n`: its own conditions are met, ask for it",
            ]
        );
        assert_eq!(
            lines("CONFIG_ONE=y", "CONFIG_TWO=y\n"),
            ["`ONE` is one of a choice, where `TWO` is on (Kconfig:34)"]
        );
        assert_eq!(
            lines("# CONFIG_FORCED is not set", "CONFIG_FORCED=y\nCONFIG_SELECTOR=y\nCONFIG_NET=y\n"),
            ["`FORCED` is selected by `SELECTOR=y`"]
        );
        assert_eq!(
            lines("# CONFIG_FORCED is not set", "CONFIG_FORCED=y\nCONFIG_SELECTOR=y\n"),
            ["`FORCED` cannot be `n` with these options; nothing selects it"]
        );
    }
}
