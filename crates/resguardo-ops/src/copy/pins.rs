//! Pins that a vault lost when it was made again from a copy: this machine remembers their receipts.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use resguardo_model::receipt::{Predicate, Verb};
use resguardo_model::{BackupId, Sha256Digest, SourceName};
use resguardo_vault::verify_envelope;
use serde_json::Value;

use crate::context::Context;
use crate::error::OpsError;
use crate::history;

/// The last that a receipt says of the pin of a backup.
struct Told {
    at: (Timestamp, u64),
    source: SourceName,
    pinned: bool,
    reason: String,
    until: Option<Timestamp>,
}

/// For each backup of the vault that was pinned by what this machine remembers, and is not: what to do.
pub(super) fn lost(ctx: &Context) -> Result<Vec<String>, OpsError> {
    let vault = ctx.vault()?;
    let doing = || OpsError::vault("reading the pins of the vault".to_owned());
    let pins = vault.pins(None).map_err(doing())?.pins;
    let pinned: HashSet<BackupId> = pins.iter().map(|pin| pin.backup).collect();
    let heads = history::heads(ctx, None)?.heads;
    let there: HashSet<BackupId> = heads.iter().map(|stored| stored.head.backup).collect();
    let now = ctx.clock.now();
    let told = remembered(ctx)?.into_iter();
    let lost = told
        .filter(|(backup, _)| there.contains(backup) && !pinned.contains(backup))
        .filter(|(_, told)| told.pinned && told.until.is_none_or(|until| now < until));
    Ok(lost.map(|(backup, told)| words(backup, &told)).collect())
}

fn words(backup: BackupId, told: &Told) -> String {
    let until = told
        .until
        .map_or_else(String::new, |until| format!(" until {until:.0}"));
    format!(
        "backup {backup} of {} was pinned{until} ({}), and the copy did not have the pin: `resguardo pin {backup} --reason TEXT` makes it again",
        told.source, told.reason
    )
}

/// By backup, from receipts that are believed here.
fn remembered(ctx: &Context) -> Result<BTreeMap<BackupId, Told>, OpsError> {
    let vault = ctx.vault()?;
    let mut newest: BTreeMap<BackupId, Told> = BTreeMap::new();
    // A catalog that cannot be read remembers nothing.
    let cached = ctx.catalog.receipts(vault.id(), None).unwrap_or_default();
    for bytes in cached.into_values() {
        let Ok((statement, writer)) = verify_envelope(&bytes) else {
            continue;
        };
        let predicate = statement.predicate;
        let is_believed = vault.trusts(writer, &Sha256Digest::of(&bytes));
        if !is_believed || predicate.verb != Verb::Pin || predicate.vault != vault.id() {
            continue;
        }
        if let Some((backup, told)) = told(&predicate)
            && newest.get(&backup).is_none_or(|old| old.at < told.at)
        {
            newest.insert(backup, told);
        }
    }
    Ok(newest)
}

fn told(predicate: &Predicate) -> Option<(BackupId, Told)> {
    let detail = |name: &str| predicate.details.get(name);
    let text = |name: &str| detail(name).and_then(Value::as_str);
    let told = Told {
        at: (predicate.finished_at, predicate.sequence),
        source: predicate.source.clone(),
        pinned: detail("pinned")?.as_bool()?,
        reason: text("reason").unwrap_or_default().to_owned(),
        until: text("until").and_then(|until| until.parse().ok()),
    };
    Some((text("backup")?.parse().ok()?, told))
}
