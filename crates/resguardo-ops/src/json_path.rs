//! A path to one value of a JSON document, as checks of answers name it: `data.items[0].id`, `$.token`,
//! `["odd key"].x`, and `data.items.length()` for how many there are.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// The path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Name(String),
    Index(usize),
    Length,
}

/// The text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no path into JSON: {why}")]
pub struct NoJsonPath {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl JsonPath {
    /// The value there, `None` if there is none.
    #[must_use]
    pub fn find(&self, document: &Value) -> Option<Value> {
        let mut at = document;
        for key in &self.keys {
            at = match key {
                Key::Name(name) => at.get(name)?,
                Key::Index(index) => at.get(index)?,
                Key::Length => {
                    let length = match at {
                        Value::Array(items) => items.len(),
                        Value::Object(fields) => fields.len(),
                        _ => return None,
                    };
                    return Some(Value::from(length));
                }
            };
        }
        Some(at.clone())
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for JsonPath {
    type Err = NoJsonPath;

    fn from_str(text: &str) -> Result<Self, NoJsonPath> {
        let bad = |why| NoJsonPath {
            text: text.to_owned(),
            why,
        };
        let mut keys = Vec::new();
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        if rest.is_empty() && !text.is_empty() {
            return Ok(Self {
                text: text.to_owned(),
                keys,
            });
        }
        let mut first = !text.starts_with('$');
        while !rest.is_empty() || first {
            let (key, after) = if let Some(inner) = rest.strip_prefix('[') {
                in_brackets(inner)
                    .ok_or_else(|| bad("a bracket holds a number or a quoted name"))?
            } else {
                let name = rest.strip_prefix('.').unwrap_or(rest);
                if !first && name.len() == rest.len() {
                    return Err(bad("a dot or a bracket separates names"));
                }
                let end = name.find(['.', '[']).unwrap_or(name.len());
                (named(&name[..end]), &name[end..])
            };
            if matches!(&key, Key::Name(name) if name.is_empty()) {
                return Err(bad("a name is empty"));
            }
            if key == Key::Length && !after.is_empty() {
                return Err(bad("nothing comes after length()"));
            }
            keys.push(key);
            rest = after;
            first = false;
        }
        Ok(Self {
            text: text.to_owned(),
            keys,
        })
    }
}

/// A name without quotes; digits alone are an index.
fn named(name: &str) -> Key {
    match name.parse() {
        _ if name == "length()" => Key::Length,
        Ok(index) => Key::Index(index),
        Err(_) => Key::Name(name.to_owned()),
    }
}

/// What stands after an opening bracket, and what follows the closing one.
fn in_brackets(inner: &str) -> Option<(Key, &str)> {
    for quote in ['"', '\''] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let end = quoted.find(quote)?;
            let after = quoted[end + 1..].strip_prefix(']')?;
            return Some((Key::Name(quoted[..end].to_owned()), after));
        }
    }
    let (index, after) = inner.split_once(']')?;
    Some((Key::Index(index.parse().ok()?), after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_found() {
        let document = json!({
            "token": "t",
            "data": { "items": [{ "id": 7, "a.b": null }, {}], "7": "seven" },
        });
        for (path, value) in [
            ("$", Some(document.clone())),
            ("token", Some(json!("t"))),
            ("$.token", Some(json!("t"))),
            ("data.items[0].id", Some(json!(7))),
            ("$['data'].items.0[\"id\"]", Some(json!(7))),
            ("data.items[0]['a.b']", Some(Value::Null)),
            ("data.items.length()", Some(json!(2))),
            ("token.length()", None),
            ("data['7']", Some(json!("seven"))),
            ("data.items[2]", None),
            ("data.nope.id", None),
        ] {
            let found = path.parse::<JsonPath>().unwrap().find(&document);
            assert_eq!(found, value, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "a[",
            "a[x]",
            "a['b",
            "a[0]b",
            "a.length().b",
            "$a",
        ] {
            assert!(text.parse::<JsonPath>().is_err(), "{text}");
        }
    }
}
