//! The shapes of `docs/json.md`, made from what the use cases answer.

use resguardo_ops::access::Access;
use resguardo_ops::list::ListedBackup;
use resguardo_ops::prune::{PruneDone, PrunedBackup};
use resguardo_ops::receipts::ReceiptSummary;
use resguardo_ops::show::ShownFile;
use resguardo_ops::users::{Token, User};
use serde_json::{Value, json};

pub(super) fn backup(backup: &ListedBackup) -> Value {
    json!({
        "id": backup.id,
        "source": backup.source,
        "engine": backup.engine,
        "taken_at": backup.taken_at,
        "finished_at": backup.finished_at,
        "reason": backup.reason,
        "raw_bytes": backup.raw_bytes,
        "stored_bytes": backup.stored_bytes,
        "writer": backup.writer,
        "trusted": backup.trusted,
        "proven_at": backup.proven_at,
        "last_drill": backup.last_drill.map(|last| json!({ "at": last.at, "verdict": last.verdict })),
        "note": backup.note,
        "commit": backup.commit,
        "migration": backup.migration,
        "database": (!backup.database.is_empty()).then_some(&backup.database),
        "copies": backup.copies,
        "frees_bytes": backup.frees_bytes,
        "pinned": backup.pin.as_ref().map(|pin| json!({
            "reason": pin.reason,
            "until": pin.until,
            "trusted": pin.trusted,
        })),
    })
}

pub(super) fn file(file: &ShownFile) -> Value {
    json!({
        "path": file.path,
        "kind": file.kind,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "extents": file.extents,
    })
}

pub(super) fn receipt(receipt: &ReceiptSummary) -> Value {
    json!({
        "run": receipt.run,
        "key": receipt.key,
        "sha256": receipt.sha256,
        "verb": receipt.verb,
        "source": receipt.source,
        "backup": receipt.backup,
        "outcome": receipt.outcome,
        "started_at": receipt.started_at,
        "finished_at": receipt.finished_at,
        "sequence": receipt.sequence,
        "writer": receipt.writer,
        "trusted": receipt.trusted,
    })
}

pub(super) fn pruned(done: &PruneDone) -> Value {
    let backups = |kept: bool| -> Vec<Value> {
        let some = done.backups.iter().filter(|backup| backup.kept == kept);
        some.map(pruned_backup).collect()
    };
    json!({
        "source": done.source,
        "environment": done.environment,
        "retention": done.policy,
        "kept": backups(true),
        "deleted": backups(false),
        "freed_bytes": done.freed_bytes,
        "findings": done.findings,
        "notes": done.notes,
        "dry_run": true,
        "command": format!("resguardo prune {}", done.source),
    })
}

fn pruned_backup(backup: &PrunedBackup) -> Value {
    json!({
        "id": backup.id,
        "taken_at": backup.taken_at,
        "reason": backup.reason,
        "why": backup.why.join("; "),
        "causes": backup.why,
        "frees_bytes": backup.frees_bytes,
        "kept_until": backup.kept_until,
    })
}

pub(super) fn access(access: &Access) -> Value {
    let writers = access.writers.iter().map(|seen| {
        json!({
            "writer": seen.writer,
            "trusted": seen.trusted,
            "retired": seen.retired,
            "backups": seen.backups,
            "receipts": seen.receipts,
            "sources": seen.sources,
            "last_at": seen.last_at,
        })
    });
    let store = access
        .store
        .iter()
        .map(|says| json!({ "subject": says.subject, "says": says.says, "concern": says.concern }));
    json!({
        "recipients": access.recipients,
        "writers": writers.collect::<Vec<_>>(),
        "own_writer": access.own_writer,
        "can_read": access.can_read,
        "store": store.collect::<Vec<_>>(),
        "last_review": access.last_review.as_ref().map(|review| json!({
            "at": review.at,
            "by": review.by,
            "next": review.next.map(|day| day.to_string()),
        })),
        "notes": access.notes,
    })
}

pub(super) fn user(user: &User) -> Value {
    json!({
        "name": user.name,
        "role": user.role,
        "created_at": user.created_at,
        "changed_at": user.changed_at,
    })
}

pub(super) fn token(token: &Token) -> Value {
    json!({
        "name": token.name,
        "scope": token.role.scope(),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
    })
}
