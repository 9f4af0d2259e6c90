//! What `copy` says, for people and as `docs/json.md` has it.

use resguardo_model::size::ByteSize;
use resguardo_model::{Finding, FindingKind};
use resguardo_ops::copy::{
    CopyStatus, RebuildDone, Rebuilt, SourceStatus, SyncDone, left_behind_json, settle_command,
};
use resguardo_vault::{LeftBehind, Synced};
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
    let findings = done.synced.findings.iter();
    for differs in findings.filter(|one| one.kind == FindingKind::RecordDiffers) {
        out.note(&settle_command(&done.copy, &differs.object));
    }
    for line in believing(&done.synced.left_behind, "copy sync") {
        out.note(&line);
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

/// What was found wrong there, and was not put right since.
pub(super) fn damage_of(source: &SourceStatus) -> &[Finding] {
    let verified = source.verified.as_ref();
    verified.map_or(&[], |verified| &verified.findings)
}

pub(super) fn state_of(copy: &str, source: &SourceStatus) -> String {
    let mut states: Vec<String> = source
        .remedies
        .iter()
        .map(|one| {
            let count = counted(one.findings, "object", "objects");
            format!("{count} {}: {}", one.state, one.command)
        })
        .collect();
    if !source.missing.is_empty() {
        states.push(format!("behind: `resguardo copy sync {copy}`"));
    }
    match states.is_empty() {
        true => "has everything".to_owned(),
        false => states.join("; "),
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
                    "verified_at": one.verified.as_ref().and_then(|verified| verified.at),
                    "findings": damage_of(one),
                    "next": one.remedies.iter().map(|one| &one.next).collect::<Vec<_>>(),
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
    for rebuilt in &done.sources {
        tell_source(out, done, rebuilt);
    }
    for finding in &done.lost {
        out.warn(&format!("{}: no copy has it", finding.message));
    }
    out.say(&format!(
        "the vault is at {} again; look at it with `resguardo verify`",
        done.place
    ));
    out.json(&json!({
        "place": done.place,
        "from": done.from.iter().map(|(name, place)| json!({
            "copy": name,
            "place": place,
        })).collect::<Vec<_>>(),
        "sources": done.sources.iter().map(|one| rebuilt_json(done, one)).collect::<Vec<_>>(),
        "lost": done.lost,
        "whole": done.is_whole(),
        "seconds": done.seconds,
        "receipts": done.receipts,
        "notes": done.notes,
    }));
}

/// One line for each writer whose backups were left behind: how they are taken along, if they are believed.
fn believing(left: &[LeftBehind], again: &str) -> Vec<String> {
    let mut writers: Vec<_> = left.iter().map(|one| (one.writer, one.retired)).collect();
    writers.sort_unstable();
    writers.dedup();
    let lines = writers.into_iter().map(|(writer, retired)| {
        let of_writer = left.iter().filter(|one| one.writer == writer);
        let ids: Vec<String> = of_writer.map(|one| one.backup.to_string()).collect();
        let (why, flag) = match retired {
            true => ("which was retired here before they were seen", " --again"),
            false => ("which is not trusted here", ""),
        };
        format!(
            "left behind, because {writer} signed it, {why}: {}; if you believe it: `resguardo keys trust {writer}{flag}`, then `resguardo {again}` again",
            ids.join(", ")
        )
    });
    lines.collect()
}

fn tell_source(out: &Output, done: &RebuildDone, rebuilt: &Rebuilt) {
    let source = &rebuilt.source;
    for finding in rebuilt.parts.iter().flat_map(|part| &part.findings) {
        out.warn(&finding_line(finding));
    }
    for line in believing(&rebuilt.left_behind, "copy rebuild") {
        out.warn(&line);
    }
    for one in &rebuilt.unsettled {
        out.warn(&format!("{}; {}", one.finding.message, one.next));
    }
    for (number, (name, place)) in done.from.iter().enumerate() {
        let came = rebuilt.came_from(number, place);
        out.say(&format!(
            "{source}: {} from {name}, {}, {}",
            counted(came.backups, "backup", "backups"),
            counted(came.objects, "object", "objects"),
            ByteSize(came.bytes),
        ));
    }
    let mended = rebuilt.parts.iter().map(|part| part.mended.len() as u64);
    match mended.sum::<u64>() {
        0 => {}
        mended => out.say(&format!(
            "{source}: {} mended",
            counted(mended, "object", "objects")
        )),
    }
    for backup in &rebuilt.nowhere {
        let what = format!("backup {backup} of {source} is whole at none of these copies");
        out.print(&out.bad(&what));
    }
}

fn rebuilt_json(done: &RebuildDone, rebuilt: &Rebuilt) -> Value {
    let parts = || rebuilt.parts.iter();
    let sum = |of: &dyn Fn(&Synced) -> u64| parts().map(of).sum::<u64>();
    let sent = parts().flat_map(|part| &part.sent);
    let from = done.from.iter().enumerate().map(|(number, (name, place))| {
        let came = rebuilt.came_from(number, place);
        json!({
            "copy": name,
            "backups": came.backups,
            "objects": came.objects,
            "bytes": came.bytes,
        })
    });
    json!({
        "source": rebuilt.source,
        "from": from.collect::<Vec<_>>(),
        "sent": sent.map(|one| one.backup.backup).collect::<Vec<_>>(),
        "objects": sum(&|part| part.objects),
        "records": sum(&|part| part.records),
        "bytes": sum(&|part| part.bytes),
        "mended": parts().flat_map(|part| &part.mended).collect::<Vec<_>>(),
        "missing": rebuilt.nowhere,
        "left_behind": rebuilt.left_behind.iter().map(left_behind_json).collect::<Vec<_>>(),
        "unsettled": rebuilt.unsettled.iter().map(|one| json!({
            "finding": one.finding,
            "next": one.next,
        })).collect::<Vec<_>>(),
        "findings": parts().flat_map(|part| &part.findings).collect::<Vec<_>>(),
    })
}
