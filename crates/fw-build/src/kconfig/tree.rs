// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a source tree's Kconfig files say about each option: its conditions, its prompt, who selects it.
//!
//! Only what explains a dropped request is read; values are computed by the kernel's own `conf`, never here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::expr::Expr;
use crate::failure::{Failure, Result};

/// One place that defines an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// File relative to the tree, and line from 1.
    pub place: String,
    /// Conditions of the option and of everything around it; all must hold.
    pub depends: Vec<Expr>,
    /// Whether it can be set by hand.
    pub has_prompt: bool,
    /// Condition of the prompt alone.
    pub prompt_if: Option<Expr>,
    /// Number of the choice it is a member of.
    pub choice: Option<usize>,
}

/// A `select` or `imply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// The option that selects.
    pub by: String,
    /// Its condition.
    pub condition: Option<Expr>,
}

/// All options of a tree.
#[derive(Debug, Default)]
pub struct Tree {
    options: BTreeMap<String, Vec<Definition>>,
    selects: BTreeMap<String, Vec<Select>>,
    choices: usize,
}

/// A file may be read twice on purpose, but a tree that reads itself is damaged.
const DEPTH_LIMIT: usize = 32;

impl Tree {
    /// Reads `Kconfig` of a kernel tree and what it sources, for arm64.
    ///
    /// # Errors
    /// A file cannot be read, or has an expression that is none.
    pub fn load(root: &Path) -> Result<Tree> {
        let mut tree = Tree::default();
        let mut reader = Reader { root, tree: &mut tree, blocks: Vec::new() };
        reader.file(Path::new("Kconfig"), 0)?;
        Ok(tree)
    }

    /// Places that define an option, without `CONFIG_`; none where the kernel does not have it.
    pub fn definitions(&self, option: &str) -> &[Definition] {
        self.options.get(option).map_or(&[], Vec::as_slice)
    }

    /// What selects an option.
    pub fn selected_by(&self, option: &str) -> &[Select] {
        self.selects.get(option).map_or(&[], Vec::as_slice)
    }

    /// Members of a choice.
    pub fn members(&self, choice: usize) -> impl Iterator<Item = &str> {
        let of = move |d: &Definition| d.choice == Some(choice);
        self.options.iter().filter(move |(_, ds)| ds.iter().any(of)).map(|(name, _)| name.as_str())
    }

    /// How many options there are.
    pub fn len(&self) -> usize {
        self.options.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.options.is_empty()
    }
}

#[derive(Debug)]
enum Block {
    If,
    Menu,
    Choice(usize),
}

struct Reader<'a> {
    root: &'a Path,
    tree: &'a mut Tree,
    blocks: Vec<(Block, Vec<Expr>)>,
}

/// What the lines below belong to.
enum Open {
    Nothing,
    Option(String),
    /// A menu, choice or comment: only its conditions matter.
    Block,
}

impl Reader<'_> {
    fn file(&mut self, rel: &Path, depth: usize) -> Result<()> {
        if depth > DEPTH_LIMIT {
            return Err(Failure::new(format!("`{}` sources itself", rel.display())));
        }
        let text = fs::read_to_string(self.root.join(rel))?;
        let mut open = Open::Nothing;
        let mut help_indent: Option<usize> = None;
        let mut in_help = false;
        for (number, line) in logical_lines(&text) {
            if in_help {
                if line.trim().is_empty() {
                    continue;
                }
                let indent = indent(&line);
                let wanted = *help_indent.get_or_insert(indent);
                if indent >= wanted && indent > 0 {
                    continue;
                }
                in_help = false;
            }
            let words = line.trim();
            let (keyword, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
            let rest = rest.trim();
            let place = format!("{}:{number}", rel.display());
            match keyword {
                "help" | "---help---" => (in_help, help_indent) = (true, None),
                "config" | "menuconfig" => {
                    self.open_option(rest, &place);
                    open = Open::Option(rest.to_owned());
                }
                "menu" => {
                    self.blocks.push((Block::Menu, Vec::new()));
                    open = Open::Block;
                }
                "choice" => {
                    self.blocks.push((Block::Choice(self.tree.choices), Vec::new()));
                    self.tree.choices += 1;
                    open = Open::Block;
                }
                "if" => {
                    let condition = expr(rest, &place)?;
                    self.blocks.push((Block::If, vec![condition]));
                    open = Open::Nothing;
                }
                "endif" | "endmenu" | "endchoice" => {
                    self.blocks.pop();
                    open = Open::Nothing;
                }
                "comment" => open = Open::Nothing,
                "source" | "rsource" | "osource" | "orsource" => {
                    open = Open::Nothing;
                    self.source(keyword, rest, rel, depth)?;
                }
                "depends" | "visible" => self.condition(&open, keyword, rest, &place)?,
                "select" | "imply" => self.select(&open, rest, &place)?,
                "bool" | "tristate" | "string" | "int" | "hex" | "prompt" => {
                    self.prompt(&open, rest, &place)?;
                }
                // default, def_bool, range, option, macros: they decide values, not whether one may be set.
                _ => {}
            }
        }
        Ok(())
    }

    fn open_option(&mut self, name: &str, place: &str) {
        let depends = self.blocks.iter().flat_map(|(_, conditions)| conditions.clone()).collect();
        let choice = self.blocks.iter().rev().find_map(|(block, _)| match block {
            Block::Choice(number) => Some(*number),
            _ => None,
        });
        let place = place.to_owned();
        let definition = Definition { place, depends, has_prompt: false, prompt_if: None, choice };
        self.tree.options.entry(name.to_owned()).or_default().push(definition);
    }

    fn current(&mut self, open: &Open) -> Option<&mut Definition> {
        match open {
            Open::Option(name) => self.tree.options.get_mut(name)?.last_mut(),
            _ => None,
        }
    }

    fn condition(&mut self, open: &Open, keyword: &str, rest: &str, place: &str) -> Result<()> {
        let text = rest.strip_prefix(if keyword == "depends" { "on" } else { "if" }).unwrap_or(rest);
        let condition = expr(text, place)?;
        match open {
            Open::Block => {
                if let Some((_, conditions)) = self.blocks.last_mut() {
                    conditions.push(condition);
                }
            }
            _ => {
                if let Some(definition) = self.current(open) {
                    definition.depends.push(condition);
                }
            }
        }
        Ok(())
    }

    fn select(&mut self, open: &Open, rest: &str, place: &str) -> Result<()> {
        let Open::Option(by) = open else { return Ok(()) };
        let (target, condition) = match rest.split_once(char::is_whitespace) {
            Some((target, tail)) => {
                (target, tail.trim().strip_prefix("if").map(|t| expr(t, place)).transpose()?)
            }
            None => (rest, None),
        };
        self.tree.selects.entry(target.to_owned()).or_default().push(Select { by: by.clone(), condition });
        Ok(())
    }

    fn prompt(&mut self, open: &Open, rest: &str, place: &str) -> Result<()> {
        let Some(quote) = rest.chars().next().filter(|c| *c == '"' || *c == '\'') else { return Ok(()) };
        let Some(end) = rest[1..].find(quote) else { return Ok(()) };
        let tail = rest[end + 2..].trim();
        let condition = tail.strip_prefix("if").map(|t| expr(t, place)).transpose()?;
        if let Some(definition) = self.current(open) {
            definition.has_prompt = true;
            definition.prompt_if = condition;
        }
        Ok(())
    }

    fn source(&mut self, keyword: &str, rest: &str, from: &Path, depth: usize) -> Result<()> {
        let name = rest.trim_matches('"').replace("$(SRCARCH)", "arm64").replace("$(srctree)/", "");
        // User-mode Linux's own file; no other kernel reads it.
        if name.contains("$(") {
            return Ok(());
        }
        let path = if keyword.contains('r') && keyword != "source" && keyword != "osource" {
            from.parent().unwrap_or(Path::new("")).join(name)
        } else {
            PathBuf::from(name)
        };
        if keyword.starts_with('o') && !self.root.join(&path).exists() {
            return Ok(());
        }
        self.file(&path, depth + 1)
    }
}

fn expr(text: &str, place: &str) -> Result<Expr> {
    Expr::parse(text).ok_or_else(|| {
        Failure::new("a Kconfig file cannot be read")
            .why(format!("`{place}`: `{}` is no expression", text.trim()))
    })
}

/// Lines joined where they end in a backslash, each with the number of its first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut joining = false;
    for (number, line) in text.lines().enumerate() {
        let (body, more) = match line.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (line, false),
        };
        match out.last_mut() {
            Some((_, last)) if joining => last.push_str(body),
            _ => out.push((number + 1, body.to_owned())),
        }
        joining = more;
    }
    out
}

/// Width of the leading blanks, tabs to the next multiple of eight.
fn indent(line: &str) -> usize {
    let mut width = 0;
    for c in line.chars() {
        match c {
            ' ' => width += 1,
            '\t' => width = (width / 8 + 1) * 8,
            _ => break,
        }
    }
    width
}
