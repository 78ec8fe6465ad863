// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Dependency expressions of Kconfig, and their value for a finished `.config`.
//!
//! Grammar and arithmetic after `Documentation/kbuild/kconfig-language.rst`: n, m, y are 0, 1, 2; `&&` is the smaller,
//! `||` the larger, `!` two minus.

use std::fmt;

use super::{DotConfig, Value};

/// A three-valued truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tri {
    /// Off.
    No,
    /// As a module.
    Module,
    /// Built in.
    Yes,
}

impl fmt::Display for Tri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tri::No => "n",
            Tri::Module => "m",
            Tri::Yes => "y",
        })
    }
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// An option.
    Symbol(String),
    /// `y`, `m`, `n`, a number or a quoted text.
    Constant(String),
    /// `$(...)`: what the compiler can do. Taken as true: this text cannot know it.
    Macro(String),
    /// `!x`.
    Not(Box<Expr>),
    /// `a && b`.
    And(Box<Expr>, Box<Expr>),
    /// `a || b`.
    Or(Box<Expr>, Box<Expr>),
    /// `a = b`, `a != b`, `a < b` and so on.
    Compare(Box<Expr>, &'static str, Box<Expr>),
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = |e: &Expr, outer_and: bool| match e {
            Expr::Or(..) if outer_and => format!("({e})"),
            _ => e.to_string(),
        };
        match self {
            Expr::Symbol(name) => f.write_str(name),
            Expr::Constant(text) => f.write_str(text),
            Expr::Macro(text) => write!(f, "$({text})"),
            Expr::Not(e) => match **e {
                Expr::And(..) | Expr::Or(..) => write!(f, "!({e})"),
                _ => write!(f, "!{e}"),
            },
            Expr::And(a, b) => write!(f, "{} && {}", inner(a, true), inner(b, true)),
            Expr::Or(a, b) => write!(f, "{} || {}", inner(a, false), inner(b, false)),
            Expr::Compare(a, op, b) => write!(f, "{a}{op}{b}"),
        }
    }
}

impl Expr {
    /// Reads an expression; `None` where it is not one.
    pub fn parse(text: &str) -> Option<Expr> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0 };
        let expr = parser.or()?;
        (parser.at == tokens.len()).then_some(expr)
    }

    /// Its value for a configuration.
    pub fn eval(&self, config: &DotConfig) -> Tri {
        match self {
            Expr::Symbol(name) => match config.get(name) {
                Some(Value::Yes) => Tri::Yes,
                Some(Value::Module) => Tri::Module,
                _ => Tri::No,
            },
            Expr::Constant(text) => match text.as_str() {
                "y" => Tri::Yes,
                "m" => Tri::Module,
                _ => Tri::No,
            },
            Expr::Macro(_) => Tri::Yes,
            Expr::Not(e) => match e.eval(config) {
                Tri::No => Tri::Yes,
                Tri::Module => Tri::Module,
                Tri::Yes => Tri::No,
            },
            Expr::And(a, b) => a.eval(config).min(b.eval(config)),
            Expr::Or(a, b) => a.eval(config).max(b.eval(config)),
            Expr::Compare(a, op, b) => {
                if compare(&a.text(config), op, &b.text(config)) {
                    Tri::Yes
                } else {
                    Tri::No
                }
            }
        }
    }

    fn text(&self, config: &DotConfig) -> String {
        match self {
            Expr::Symbol(name) => match config.get(name) {
                Some(Value::Text(text)) => text.clone(),
                Some(value) => value.to_string(),
                // What has no line is n, or empty where it is a text.
                None => "n".to_owned(),
            },
            Expr::Constant(text) => text.trim_matches(['"', '\'']).to_owned(),
            other => other.to_string(),
        }
    }

    /// The parts that must all hold.
    pub fn conjuncts(&self) -> Vec<&Expr> {
        match self {
            Expr::And(a, b) => a.conjuncts().into_iter().chain(b.conjuncts()).collect(),
            other => vec![other],
        }
    }

    /// Options that stand in it without a `!`, which might help if they were on.
    pub fn wanted_symbols(&self) -> Vec<&str> {
        match self {
            Expr::Symbol(name) => vec![name],
            Expr::And(a, b) | Expr::Or(a, b) => {
                a.wanted_symbols().into_iter().chain(b.wanted_symbols()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Both must hold.
    pub fn and(self, other: Expr) -> Expr {
        Expr::And(Box::new(self), Box::new(other))
    }
}

fn compare(a: &str, op: &str, b: &str) -> bool {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let order = match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    };
    match op {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Op(&'static str),
    Word(String),
    Macro(String),
}

/// Longer operators first.
const OPERATORS: [&str; 11] = ["&&", "||", "!=", "<=", ">=", "=", "<", ">", "!", "(", ")"];

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if rest.starts_with('#') {
            break;
        }
        let taken = if rest.starts_with("$(") {
            let end = closing(rest)?;
            out.push(Token::Macro(rest[2..end].to_owned()));
            end + 1
        } else if let Some(op) = OPERATORS.iter().find(|op| rest.starts_with(**op)) {
            out.push(Token::Op(op));
            op.len()
        } else if let Some(quote) = rest.chars().next().filter(|c| *c == '"' || *c == '\'') {
            let end = rest[1..].find(quote)? + 2;
            out.push(Token::Word(rest[..end].to_owned()));
            end
        } else {
            let end =
                rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c))).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            out.push(Token::Word(rest[..end].to_owned()));
            end
        };
        rest = rest[taken..].trim_start();
    }
    Some(out)
}

/// Where the parenthesis that `$(` opens is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Parser<'_> {
    fn eat(&mut self, op: &'static str) -> bool {
        let there = self.tokens.get(self.at) == Some(&Token::Op(op));
        self.at += usize::from(there);
        there
    }

    fn or(&mut self) -> Option<Expr> {
        let mut left = self.and()?;
        while self.eat("||") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Some(left)
    }

    fn and(&mut self) -> Option<Expr> {
        let mut left = self.unary()?;
        while self.eat("&&") {
            left = left.and(self.unary()?);
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Expr> {
        if self.eat("!") {
            return Some(Expr::Not(Box::new(self.unary()?)));
        }
        if self.eat("(") {
            let inner = self.or()?;
            return self.eat(")").then_some(inner);
        }
        let left = self.word()?;
        for op in ["!=", "<=", ">=", "=", "<", ">"] {
            if self.eat(op) {
                return Some(Expr::Compare(Box::new(left), op, Box::new(self.word()?)));
            }
        }
        Some(left)
    }

    fn word(&mut self) -> Option<Expr> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        match token {
            Token::Op(_) => None,
            Token::Macro(text) => Some(Expr::Macro(text.clone())),
            Token::Word(word) => {
                let constant = matches!(word.as_str(), "y" | "m" | "n")
                    || word.starts_with(['"', '\''])
                    || word.starts_with("0x")
                    || word.bytes().all(|b| b.is_ascii_digit() || b == b'-');
                Some(if constant { Expr::Constant(word.clone()) } else { Expr::Symbol(word.clone()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(text: &str) -> Tri {
        let config =
            DotConfig::parse("CONFIG_Y=y\nCONFIG_M=m\nCONFIG_N4=4\nCONFIG_T=\"gcc\"\n").expect("config");
        Expr::parse(text).unwrap_or_else(|| panic!("{text}")).eval(&config)
    }

    #[test]
    fn arithmetic_is_kconfigs() {
        for (text, wanted) in [
            ("Y", Tri::Yes),
            ("M", Tri::Module),
            ("ABSENT", Tri::No),
            ("!M", Tri::Module),
            ("Y && M", Tri::Module),
            ("ABSENT || M", Tri::Module),
            ("!ABSENT && (ABSENT || Y)", Tri::Yes),
            ("ABSENT || Y && M", Tri::Module),
            ("M=m", Tri::Yes),
            ("M!=m", Tri::No),
            ("M=n || Y", Tri::Yes),
            ("N4 >= 4 && N4 < 0x10", Tri::Yes),
            ("T = \"gcc\"", Tri::Yes),
            ("$(cc-option,-fx=(1)) && Y", Tri::Yes),
            ("Y # a comment", Tri::Yes),
        ] {
            assert_eq!(eval(text), wanted, "{text}");
        }
    }

    #[test]
    fn is_shown_as_it_was_written() {
        for text in ["A && (B || C)", "A || B && C", "!(A && B) && C=m", "$(success,true) && A"] {
            assert_eq!(Expr::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn must_fail_what_is_no_expression() {
        for text in ["", "A &&", "(A", "A B", "&& A", "$(open", "\"open"] {
            assert_eq!(Expr::parse(text), None, "{text}");
        }
    }
}
