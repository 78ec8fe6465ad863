// SPDX-License-Identifier: Apache-2.0 OR MIT
//! YAML from standard input, with limits: what Talos sends is small, flat and has no anchors.
//!
//! Values keep their type, because `--overlay-option k=v` always sends text while a profile's `options` may
//! have any type. Must not know which keys there are.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use crate::refusal::Refusal;

/// The most that is read from standard input. Talos's own requests have a few hundred bytes.
pub const MAX_INPUT_BYTES: usize = 1 << 20;

/// Deeper than any option; keeps a hostile document from exhausting the stack.
const MAX_DEPTH: usize = 16;
/// Values of one document.
const MAX_NODES: usize = 4096;

/// A value of any type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Another number, which no option takes.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A mapping.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The top level of a document, which must be a mapping; an empty document is an empty one.
pub fn mapping(input: &[u8], what: &str) -> Result<BTreeMap<String, Value>, Refusal> {
    let refused = || Refusal::new(format!("{what} on standard input cannot be used"));
    if input.len() > MAX_INPUT_BYTES {
        return Err(refused().why(format!("more than {MAX_INPUT_BYTES} bytes")));
    }
    if let Some(at) = input.iter().position(|byte| *byte == 0) {
        return Err(refused().why(format!("byte {at} is NUL, which YAML text cannot have")));
    }
    let text = std::str::from_utf8(input).map_err(|e| refused().why(format!("not UTF-8 text: {e}")))?;
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let options = serde_saphyr::options! {
        // Go's decoder refuses a key twice, too.
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        budget: serde_saphyr::budget! {
            // Go's encoder writes neither; they are the stuff of documents that grow when they are read.
            max_anchors: 0,
            max_aliases: 0,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            max_nodes: MAX_NODES,
            max_total_scalar_bytes: MAX_INPUT_BYTES,
        },
    };
    let value: Value = serde_saphyr::from_str_with_options(text, options)
        .map_err(|e| refused().why(e.without_snippet()).hint("see `docs/overlay.md` for what it takes"))?;
    match value {
        Value::Map(map) => Ok(map),
        Value::Null => Ok(BTreeMap::new()),
        other => Err(refused().why(format!("it is {}, not a mapping", other.kind()))),
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        // Larger numbers than any option takes; the option's own check then says what it wants.
        Ok(i128::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = items.next_entry()? {
            map.insert(key, value);
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(input: &[u8]) -> String {
        mapping(input, "the request").expect_err("must be refused").to_string()
    }

    #[test]
    fn types_are_kept() {
        let text = b"a: true\nb: \"true\"\nc: 5\nd: [x, 1]\ne: {f: g}\nh:\ni: '12:34:56'\n";
        let map = mapping(text, "the request").expect("good YAML");
        assert_eq!(map["a"], Value::Bool(true));
        assert_eq!(map["b"], Value::Text("true".to_owned()));
        assert_eq!(map["c"], Value::Int(5));
        assert_eq!(map["d"], Value::List(vec![Value::Text("x".to_owned()), Value::Int(1)]));
        assert!(matches!(&map["e"], Value::Map(inner) if inner["f"] == Value::Text("g".to_owned())));
        assert_eq!(map["h"], Value::Null);
        assert_eq!(map["i"], Value::Text("12:34:56".to_owned()));
    }

    #[test]
    fn nothing_is_an_empty_mapping() {
        for text in ["", "\n", "{}", "{}\n", "null\n", "---\n"] {
            assert_eq!(mapping(text.as_bytes(), "x").expect(text), BTreeMap::new(), "{text:?}");
        }
    }

    #[test]
    fn must_fail_01_not_a_mapping() {
        for (text, kind) in [("[a]", "a list"), ("text", "text"), ("5", "a number")] {
            assert!(refused(text.as_bytes()).contains(kind), "{text}");
        }
    }

    #[test]
    fn must_fail_02_bytes_that_are_no_text() {
        assert!(refused(b"a: b\0c").contains("byte 4 is NUL"));
        assert!(refused(b"a: \xff\xfe").contains("not UTF-8"));
        assert!(refused(&vec![b'#'; MAX_INPUT_BYTES + 1]).contains("more than"));
    }

    #[test]
    fn must_fail_03_malformed() {
        for text in ["a: [", "a: b: c", "a: 'b", "{a: b", "a: 1\na: 2\n", "a: 1\n---\nb: 2\n", "%YAML 9\nx"] {
            assert!(refused(text.as_bytes()).contains("cannot be used"), "{text}");
        }
    }

    #[test]
    fn must_fail_04_documents_that_grow() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let references = [format!("*a{}", i - 1)].repeat_with_comma(8);
            bomb.push_str(&format!("a{i}: &a{i} [{references}]\n"));
        }
        refused(bomb.as_bytes());
        refused(b"a: &x 1\nb: *x\n");
        refused(b"a: &x {k: v}\nb:\n  <<: *x\n");
        refused("[".repeat(100_000).as_bytes());
        refused(format!("a: {}1{}", "{k: ".repeat(2000), "}".repeat(2000)).as_bytes());
        refused(("a:\n- ".to_owned() + &"x\n- ".repeat(MAX_NODES)).as_bytes());
        let nested: String = (0..200).map(|depth| format!("{}k:\n", " ".repeat(depth))).collect();
        refused(nested.as_bytes());
    }

    trait RepeatWithComma {
        fn repeat_with_comma(&self, count: usize) -> String;
    }

    impl RepeatWithComma for [String; 1] {
        fn repeat_with_comma(&self, count: usize) -> String {
            vec![self[0].as_str(); count].join(", ")
        }
    }
}
