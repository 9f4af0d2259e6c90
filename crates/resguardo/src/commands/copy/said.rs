//! What `copy` says, for people and as `docs/json.md` has it.

use resguardo_model::size::ByteSize;
use resguardo_ops::copy::{CopyStatus, RebuildDone, SourceStatus, SyncDone};
use serde_json::{Value, json};

use crate::invocation::Invocation;
use crate::render::{Output, counted, finding_line, time};

pub(super) fn tell_synced(out: &Output, done: &SyncDone) {
    for finding in &done.synced.findings {
        out.warn(&finding_line(finding));
    }
    for (object, words) in &done.synced.kept {
        out.warn(&format!(
            "{object} is damaged at {} and cannot be replaced: {words}",
            done.copy
        ));
    }
    for note in &done.notes {
        out.note(note);
    }
    let synced = &done.synced;
    let held = synced.compared.held.len() as u64;
    let mut line = format!(
        "{}: {} sent to {}, {} in {}; it holds {}",
        done.source,
        counted(synced.sent.len() as u64, "backup", "backups"),
        done.copy,
        ByteSize(synced.bytes),
        time::length(done.seconds),
        counted(held, "backup", "backups"),
    );
    if !synced.mended.is_empty() {
        let mended = synced.mended.len() as u64;
        line += &format!("; {} mended", counted(mended, "object", "objects"));
    }
    let left_out = synced.unwanted.len() + synced.compared.pruned.len();
    if left_out > 0 {
        line += &format!("; {left_out} left out by its retention");
    }
    if synced.compared.missing.is_empty() {
        out.say(&line);
    } else {
        let missing = synced.compared.missing.len() as u64;
        let missing = counted(missing, "backup", "backups");
        out.print(&format!(
            "{line}; {}",
            out.bad(&format!("{missing} missing"))
        ));
    }
}

pub(super) fn synced_json(done: &SyncDone) -> Value {
    let synced = &done.synced;
    let ids = |list: &[resguardo_vault::Numbered]| -> Vec<String> {
        list.iter().map(|one| one.backup.to_string()).collect()
    };
    let left_out = [ids(&synced.compared.pruned), ids(&synced.unwanted)].concat();
    json!({
        "copy": done.copy,
        "place": done.place,
        "source": done.source,
        "sent": synced.sent.iter().map(|one| json!({
            "backup": one.backup.backup,
            "etag": one.etag,
            "stored_at": one.stored_at,
        })).collect::<Vec<_>>(),
        "objects": synced.objects,
        "records": synced.records,
        "bytes": synced.bytes,
        "mended": synced.mended,
        "refused": synced.kept.iter().map(|(object, why)| json!({
            "object": object,
            "why": why,
        })).collect::<Vec<_>>(),
        "held": synced.compared.held.len(),
        "missing": ids(&synced.compared.missing),
        "left_out": left_out,
        "findings": synced.findings,
        "whole": done.is_whole(),
        "seconds": done.seconds,
        "run": done.run,
        "receipt": done.receipt,
        "notes": done.notes,
    })
}

pub(super) fn state_of(source: &SourceStatus) -> String {
    match source.missing.len() {
        0 => "has everything".to_owned(),
        _ => "behind: `resguardo copy sync`".to_owned(),
    }
}

pub(super) fn status_json(status: &CopyStatus) -> Value {
    let sources = status.sources.as_ref().ok().map(|sources| {
        sources
            .iter()
            .map(|one| {
                json!({
                    "source": one.source,
                    "held": one.held,
                    "missing": one.missing,
                    "pruned": one.pruned,
                    "only_there": one.only_there,
                    "newest": one.newest,
                    "newest_there": one.newest_there,
                    "synced_at": one.synced_at,
                })
            })
            .collect::<Vec<_>>()
    });
    let error = status.sources.as_ref().err().map(ToString::to_string);
    json!({
        "copy": status.copy,
        "place": status.place,
        "sources": sources,
        "error": error,
    })
}

pub(super) fn tell_rebuilt(invocation: &Invocation, done: &RebuildDone) {
    let out = &invocation.out;
    for note in &done.notes {
        out.note(note);
    }
    for (source, synced) in &done.sources {
        for finding in &synced.findings {
            out.warn(&finding_line(finding));
        }
        out.say(&format!(
            "{source}: {} brought back, {}; {} mended",
            counted(synced.sent.len() as u64, "backup", "backups"),
            ByteSize(synced.bytes),
            counted(synced.mended.len() as u64, "object", "objects"),
        ));
    }
    for finding in &done.lost {
        out.warn(&format!("{}: this copy does not have it", finding.message));
    }
    out.say(&format!(
        "the vault is at {} again; look at it with `resguardo verify`",
        done.place
    ));
    out.json(&json!({
        "place": done.place,
        "from": done.from,
        "sources": done.sources.iter().map(|(source, synced)| json!({
            "source": source,
            "sent": synced.sent.iter().map(|one| one.backup.backup).collect::<Vec<_>>(),
            "objects": synced.objects,
            "records": synced.records,
            "bytes": synced.bytes,
            "mended": synced.mended,
            "missing": synced.compared.missing.iter().map(|one| one.backup).collect::<Vec<_>>(),
            "findings": synced.findings,
        })).collect::<Vec<_>>(),
        "lost": done.lost,
        "whole": done.is_whole(),
        "seconds": done.seconds,
        "receipts": done.receipts,
        "notes": done.notes,
    }));
}
