//! `retention`, as it is written: a table of tiers and reasons, or the word `minimum`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use resguardo_model::Reason;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Leaf, Length};

/// How long backups are kept.
#[derive(Debug)]
pub enum RetentionFile {
    /// `"minimum"`: none but what is never deleted.
    Minimum,
    /// So many of each, or so long by reason.
    Table(Box<RetentionTable>),
}

/// How long backups are kept: so many of each, or so long by reason. Other keys are reasons, with `_`
/// for `-`.
#[derive(Debug, Default, JsonSchema)]
#[schemars(extend("additionalProperties" = { "type": "string", "pattern": "^[0-9]+[smhdw]$" }))]
pub struct RetentionTable {
    /// So many of the newest.
    pub last: Option<Leaf<u32>>,
    /// The newest of each of so many hours.
    pub hourly: Option<Leaf<u32>>,
    /// The newest of each of so many days.
    pub daily: Option<Leaf<u32>>,
    /// The newest of each of so many weeks.
    pub weekly: Option<Leaf<u32>>,
    /// The newest of each of so many months.
    pub monthly: Option<Leaf<u32>>,
    /// The newest of each of so many years.
    pub yearly: Option<Leaf<u32>>,
    /// Everything that is younger.
    pub within: Option<Leaf<Length>>,
    /// So many of the newest are never deleted, at least 1. Default: 2.
    pub keep_successful: Option<Leaf<u32>>,
    /// Backups of a reason while they are younger, like pre_migration = "90d". Default for safety: 30d.
    #[schemars(skip)]
    pub reasons: BTreeMap<Reason, Leaf<Length>>,
}

const KNOWN: [&str; 11] = [
    "last",
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "yearly",
    "within",
    "keep_successful",
    // Reasons that Resguardo gives, and that runbooks name; others are as good.
    "pre_migration",
    "pre_update",
    "safety",
];

impl<'de> Deserialize<'de> for RetentionFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RetentionVisitor)
    }
}

struct RetentionVisitor;

impl<'de> Visitor<'de> for RetentionVisitor {
    type Value = RetentionFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table like { daily = 14, weekly = 8 }, or \"minimum\"")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<RetentionFile, E> {
        match word {
            "minimum" => Ok(RetentionFile::Minimum),
            "none" => Err(E::custom(
                "\"none\" says too little: \"minimum\" keeps only what is never deleted; without `retention` nothing is ever deleted",
            )),
            other => Err(E::custom(format_args!(
                "{other:?} is no retention; write a table like {{ daily = 14, weekly = 8 }}, or \"minimum\""
            ))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RetentionFile, A::Error> {
        let mut table = RetentionTable::default();
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let counts = match key {
                Key::Reason(reason) => {
                    table.reasons.insert(reason, map.next_value()?);
                    continue;
                }
                Key::Known("within") => {
                    table.within = Some(map.next_value()?);
                    continue;
                }
                Key::Known("last") => &mut table.last,
                Key::Known("hourly") => &mut table.hourly,
                Key::Known("daily") => &mut table.daily,
                Key::Known("weekly") => &mut table.weekly,
                Key::Known("monthly") => &mut table.monthly,
                Key::Known("yearly") => &mut table.yearly,
                Key::Known(_) => &mut table.keep_successful,
            };
            *counts = Some(map.next_value()?);
        }
        Ok(RetentionFile::Table(Box::new(table)))
    }
}

/// A key of the table.
enum Key {
    /// One that is no reason.
    Known(&'static str),
    /// Any other.
    Reason(Reason),
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tier, or the reason of backups")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        let tiers = &KNOWN[..8];
        if let Some(known) = tiers.iter().copied().find(|known| *known == key) {
            return Ok(Key::Known(known));
        }
        let unknown = || E::unknown_field(key, &KNOWN);
        let written = key.replace('-', "_");
        let is_known = KNOWN.contains(&&*written);
        // A slip of the pen would be a reason that no backup has, and those that were meant would go.
        if !is_known && KNOWN.iter().any(|known| is_slip(&written, known)) {
            return Err(unknown());
        }
        let reason = written.replace('_', "-").parse();
        reason.map(Key::Reason).map_err(|_| unknown())
    }
}

fn is_slip(key: &str, known: &str) -> bool {
    strsim::damerau_levenshtein(key, known) <= 1 + known.len() / 9
}

impl JsonSchema for RetentionFile {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RetentionFile".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<RetentionTable>();
        schemars::json_schema!({ "anyOf": [table, { "const": "minimum" }] })
    }
}
