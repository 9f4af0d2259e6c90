//! The shape of `[[sources.X.checks.steps]]`, as it is written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use super::Leaf;

/// One request of a check, and the answer that is expected.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepFile {
    /// URL to ask, or a path of the application that `serve` starts; `${PORT}` is its port. `${NAME}` in
    /// URL, headers and body is what an earlier step captured, or an environment variable.
    pub url: Option<Leaf<String>>,
    /// The method. Default: GET.
    pub method: Option<Leaf<String>>,
    /// Headers to send. Cookies that earlier answers set are sent too.
    pub headers: Option<BTreeMap<String, String>>,
    /// Body to send.
    pub body: Option<Leaf<String>>,
    /// The status that is expected. Default: 200.
    pub status: Option<Leaf<u16>>,
    /// This regular expression matches the body.
    pub matches: Option<Leaf<String>>,
    /// Values that the answer has, by their paths: `{ "data.items[0].id" = 7 }`.
    pub json: Option<BTreeMap<String, Leaf<JsonScalar>>>,
    /// Names by which later steps know values of the answer: `{ token = "data.token" }`. They are secrets.
    pub capture: Option<BTreeMap<String, Leaf<String>>>,
}

/// A text, number, true or false that an answer has.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonScalar(pub serde_json::Value);

impl<'de> Deserialize<'de> for JsonScalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if value.is_array() || value.is_object() || value.is_null() {
            let why = "an answer is compared with a text, a number, true or false";
            return Err(serde::de::Error::custom(why));
        }
        Ok(Self(value))
    }
}

impl JsonSchema for JsonScalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "JsonScalar".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
