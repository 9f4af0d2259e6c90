//! The receipt of a prune: which backups went, which stayed, and why.

use std::collections::BTreeMap;

use resguardo_model::BackupId;
use resguardo_model::receipt::Subject;
use resguardo_vault::{StoredHead, Vault};
use serde_json::{Value, json};

use super::{Planned, PruneDone, PruneRequest};
use crate::context::Context;
use crate::copy;
use crate::error::OpsError;
use crate::receipt::{self, Record, value};
use crate::run::{OpenRun, described, state_of};

pub(super) fn of_done(
    ctx: &Context,
    vault: &Vault,
    run: &OpenRun<'_>,
    request: &PruneRequest<'_>,
    planned: Option<&Planned>,
    done: &mut PruneDone,
) -> Option<String> {
    let told = |kept: bool| {
        let some = done.backups.iter().filter(move |one| one.kept == kept);
        let some = some.map(|one| json!({ "id": one.id, "taken_at": one.taken_at, "why": one.why, "kept_until": one.kept_until }));
        Value::Array(some.collect())
    };
    let gone: Vec<BackupId> = done
        .backups
        .iter()
        .filter(|one| !one.kept)
        .map(|one| one.id)
        .collect();
    let objects = &done.objects;
    let mut details = common(request, &done.place);
    details.extend(copy::holdings(ctx, vault, request.source));
    details.extend(
        [
            ("kept", told(true)),
            ("deleted", told(false)),
            ("freed_bytes", value(done.freed_bytes)),
            ("objects_deleted", value(objects.deleted.objects)),
            ("bytes_deleted", value(objects.deleted.bytes)),
            ("bytes_waiting", value(objects.waiting.bytes)),
            ("waiting_until", value(objects.waiting_until)),
            ("findings", value(&done.findings)),
            ("seconds", value(done.seconds)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let record = Record {
        run,
        source: request.source,
        outcome: if done.unswept { "failed" } else { "succeeded" },
        subject: planned.map_or_else(Vec::new, |planned| subjects(planned.heads(), &gone)),
        tools: BTreeMap::new(),
        details,
        test: None,
    };
    receipt::store_or_note(ctx, record, &mut done.notes)
}

/// Of a prune that broke off: what it had taken away by then.
pub(super) fn of_failure(
    ctx: &Context,
    run: &OpenRun<'_>,
    request: &PruneRequest<'_>,
    vault: &Vault,
    planned: &Planned,
    error: &OpsError,
) -> Option<String> {
    // Unreadable, nothing is said of what is gone.
    let left = vault.heads(Some(request.source)).ok()?.heads;
    let is_gone = |id: &BackupId| !left.iter().any(|stored| stored.head.backup == *id);
    let gone: Vec<BackupId> = planned.doomed().into_iter().filter(is_gone).collect();
    let mut details = common(request, &vault.store().describe());
    details.extend(copy::holdings(ctx, vault, request.source));
    let deleted = planned
        .plan
        .deleted()
        .filter(|decision| gone.contains(&decision.id))
        .map(|decision| json!({ "id": decision.id, "taken_at": decision.taken_at, "why": decision.causes() }));
    details.insert("deleted".to_owned(), Value::Array(deleted.collect()));
    details.insert("error".to_owned(), value(described(error)));
    let record = Record {
        run,
        source: request.source,
        outcome: state_of(error).as_str(),
        subject: subjects(planned.heads(), &gone),
        tools: BTreeMap::new(),
        details,
        test: None,
    };
    // The error that brought us here is the one to be told.
    receipt::store(ctx, record).ok().flatten()
}

fn common(request: &PruneRequest<'_>, place: &str) -> BTreeMap<String, Value> {
    let zone = request.policy.map(|policy| zone_name(&policy.zone));
    [
        ("store", value(place)),
        ("environment", value(request.environment)),
        ("retention", value(request.policy.map(ToString::to_string))),
        ("timezone", value(zone)),
        (
            "keep_successful",
            value(request.policy.map(|policy| policy.keep_successful)),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn zone_name(zone: &jiff::tz::TimeZone) -> String {
    zone.iana_name().unwrap_or("the machine's").to_owned()
}

/// The heads of backups that are gone: what their receipts spoke of.
fn subjects(heads: &[StoredHead], gone: &[BackupId]) -> Vec<Subject> {
    let gone = heads
        .iter()
        .filter(|stored| gone.contains(&stored.head.backup));
    gone.map(|stored| Subject::new(&stored.key, stored.sha256))
        .collect()
}
