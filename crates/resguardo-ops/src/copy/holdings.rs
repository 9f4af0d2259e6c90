//! What a receipt says of a copy at which something was done: where it is, and what it holds now.

use std::collections::{BTreeMap, BTreeSet};

use resguardo_model::SourceName;
use resguardo_vault::{Numbered, StoredHead, Vault};
use serde_json::Value;

use super::Stretches;
use crate::context::Context;
use crate::history;
use crate::receipt::value;

/// Details for the receipt of a run at `vault`: none if it is no copy. What cannot be read now is not said.
pub(crate) fn holdings(
    ctx: &Context,
    vault: &Vault,
    source: &SourceName,
) -> BTreeMap<String, Value> {
    let mut details = BTreeMap::new();
    if !vault.is_copy() {
        return details;
    }
    let place = vault.store().describe();
    let sources = BTreeSet::from([source.clone()]);
    let known = history::copies(ctx, &sources).unwrap_or_default();
    if let Some(copied) = known.at(source, &place) {
        details.insert("copy".to_owned(), value(&copied.name));
    }
    details.insert("place".to_owned(), value(place));
    let (Ok(there), Ok(here), Ok(records)) = (
        vault.heads(Some(source)),
        history::heads(ctx, Some(source)),
        vault.prune_records(source),
    ) else {
        return details;
    };
    let trusted = |heads: Vec<StoredHead>| heads.into_iter().filter(|stored| stored.trusted);
    let holds: Vec<Numbered> = trusted(there.heads)
        .map(|stored| Numbered::of(&stored))
        .collect();
    let absent =
        trusted(here.heads).map(|stored| (Numbered::of(&stored), records.explain(&stored)));
    let absent: Vec<(Numbered, bool)> = absent.filter(|(one, _)| !holds.contains(one)).collect();
    let left_out = absent.iter().filter(|(_, is_explained)| *is_explained);
    let left_out: Vec<Numbered> = left_out.map(|(one, _)| *one).collect();
    let absent: Vec<Numbered> = absent.into_iter().map(|(one, _)| one).collect();
    let (holds, left_out) = (
        Stretches::without(&holds, &absent),
        Stretches::without(&left_out, &holds),
    );
    details.insert("holds".to_owned(), value(holds));
    details.insert("left_out".to_owned(), value(left_out));
    details
}
