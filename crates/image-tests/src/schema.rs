// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Holds JSON against a schema: the part of JSON Schema (draft 2020-12) that this project's schemas use. A keyword that
//! is not known is an error, so that a schema cannot promise what nobody checks.

use serde_json::Value;

/// What is wrong, with the place in the document.
///
/// # Errors
/// The first thing that does not fit.
pub fn check(document: &Value, schema: &Value) -> Result<(), String> {
    at(document, schema, schema, "$")
}

fn at(value: &Value, schema: &Value, root: &Value, place: &str) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else { return Err(format!("{place}: the schema is no object")) };
    let wrong = |why: &str| {
        Err(format!("{place}: {why}: {}", value.to_string().chars().take(80).collect::<String>()))
    };
    for (keyword, wanted) in keywords {
        match keyword.as_str() {
            "$comment" | "$schema" | "title" | "$defs" => {}
            "$ref" => {
                let name = wanted.as_str().and_then(|r| r.strip_prefix("#/$defs/")).unwrap_or_default();
                at(value, &root["$defs"][name], root, place)?;
            }
            "anyOf" => {
                let any = wanted
                    .as_array()
                    .is_some_and(|all| all.iter().any(|s| at(value, s, root, place).is_ok()));
                if !any {
                    return wrong("fits none of the alternatives");
                }
            }
            "const" if value != wanted => return wrong("is another constant"),
            "enum" if !wanted.as_array().is_some_and(|all| all.contains(value)) => {
                return wrong("is none of the names");
            }
            "type" => {
                let fits = match wanted.as_str().unwrap_or_default() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => return Err(format!("{place}: the type `{other}` is not known")),
                };
                if !fits {
                    return wrong("is of another type");
                }
            }
            "minimum" if value.as_i64().is_some_and(|v| v < wanted.as_i64().unwrap_or(0)) => {
                return wrong("is too small");
            }
            "minItems"
                if value.as_array().is_some_and(|v| (v.len() as u64) < wanted.as_u64().unwrap_or(0)) =>
            {
                return wrong("has too few items");
            }
            "maxItems"
                if value.as_array().is_some_and(|v| (v.len() as u64) > wanted.as_u64().unwrap_or(0)) =>
            {
                return wrong("has too many items");
            }
            "pattern" => {
                let text = value.as_str().unwrap_or_default();
                let fits = match wanted.as_str().unwrap_or_default() {
                    "^[0-9a-f]{64}$" => {
                        text.len() == 64
                            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
                    }
                    "^[a-z0-9-]+$" => {
                        !text.is_empty()
                            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    }
                    other => return Err(format!("{place}: the pattern `{other}` is not known")),
                };
                if !fits {
                    return wrong("does not fit the pattern");
                }
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    at(item, wanted, root, &format!("{place}[{i}]"))?;
                }
            }
            "required" => {
                let missing = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
                if let Some(name) = missing.into_iter().find(|name| value.get(name).is_none()) {
                    return wrong(&format!("lacks `{name}`"));
                }
            }
            "properties" => {
                for (name, schema) in wanted.as_object().into_iter().flatten() {
                    if let Some(found) = value.get(name) {
                        at(found, schema, root, &format!("{place}.{name}"))?;
                    }
                }
            }
            "additionalProperties" if wanted == &Value::Bool(false) => {
                let known = schema["properties"].as_object();
                for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                    if known.is_none_or(|k| !k.contains_key(name)) {
                        return wrong(&format!("has `{name}`, which the schema does not know"));
                    }
                }
            }
            "const" | "enum" | "minimum" | "minItems" | "maxItems" => {}
            other => return Err(format!("{place}: the keyword `{other}` is not known")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_not_fit_is_refused() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {
                "a": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/n"}]},
                "b": {"type": "array", "items": {"enum": ["x"]}, "maxItems": 1}
            },
            "$defs": {"n": {"type": "integer", "minimum": 0}}
        });
        for good in [json!({"a": null}), json!({"a": 1, "b": ["x"]})] {
            assert_eq!(check(&good, &schema), Ok(()));
        }
        for bad in [
            json!([]),
            json!({}),
            json!({"a": -1}),
            json!({"a": 1, "c": 1}),
            json!({"a": 1, "b": ["y"]}),
            json!({"a": 1, "b": ["x", "x"]}),
        ] {
            assert!(check(&bad, &schema).is_err(), "{bad}");
        }
        assert!(check(&json!(1), &json!({"multipleOf": 2})).is_err(), "an unknown keyword");
        assert!(check(&json!("a"), &json!({"pattern": "a"})).is_err(), "an unknown pattern");
    }
}
