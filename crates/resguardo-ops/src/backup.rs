//! `backup`: one recovery point of one source, from its probe to its receipt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use resguardo_engine::port::{CaptureRequest, Engine, EngineError};
use resguardo_model::receipt::Verb;
use resguardo_model::{BackupId, Reason, RunId, Severity, Sha256Digest, SourceName};
use resguardo_vault::{Committed, Description, VaultError};

use crate::catalog::RunState;
use crate::context::Context;
use crate::error::{ErrorKind, OpsError};
use crate::receipt::{self, Record, value};
use crate::run::{self, OpenRun};
use crate::sink::VaultSink;
use crate::source::SourceSpec;
use crate::{another, history, recover, suspect};

/// The detail of a backup's facts and receipt that names the application's commit.
pub const COMMIT: &str = "commit";
/// The detail that names the newest migration: `{"table", "version"}`.
pub const MIGRATION: &str = "migration";
/// The detail that names the database on its server, where the engine has servers.
pub const DATABASE: &str = "database";
/// The detail that tells PostgreSQL's clusters apart.
pub const SYSTEM_IDENTIFIER: &str = "system_identifier";

/// The detail of a receipt that says that whoever asked vouches for the data.
pub(crate) const AFTER_FAILED_RESTORE: &str = "after_failed_restore";

/// What is asked of a backup.
#[derive(Clone, Debug)]
pub struct BackupRequest<'a> {
    /// The source.
    pub source: &'a SourceSpec,
    /// Why it is taken.
    pub reason: Reason,
    /// A free word kept with it; may be empty.
    pub note: String,
    /// The commit of the application that ran on the data, kept with it; may be empty.
    pub commit: String,
    /// Check the source's integrity first, whatever its configuration says.
    pub check_integrity: bool,
    /// Whoever asks vouches for the data, although the last restore into the source did not end well.
    pub after_failed_restore: bool,
}

/// A backup that stands.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupDone {
    /// The run that took it.
    pub run: RunId,
    /// Its id.
    pub id: BackupId,
    /// Its source.
    pub source: SourceName,
    /// Why it was taken.
    pub reason: Reason,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// Size of the data that it restores, in bytes.
    pub raw_bytes: u64,
    /// Bytes that it added to the vault.
    pub stored_bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Number of tables.
    pub tables: u64,
    /// Number of rows in all tables together.
    pub rows: u64,
    /// Digest of its head, the commit.
    pub head_sha256: Sha256Digest,
    /// Key of its receipt in the vault; `None` if it could not be stored, which `notes` then tells.
    pub receipt: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// A standard file that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportDone {
    /// The source.
    pub source: SourceName,
    /// The files that were written; the data first.
    pub paths: Vec<PathBuf>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Takes a backup: probe, lease, capture, commit, receipt. Whatever happens, the catalog says so, and
/// so does a receipt where the vault can be written.
///
/// # Errors
/// Any; no backup exists then.
pub fn backup(ctx: &Context, request: &BackupRequest<'_>) -> Result<BackupDone, OpsError> {
    recover::sweep(ctx)?;
    if !request.after_failed_restore {
        suspect::refuse(ctx, request.source)?;
    }
    take(ctx, request)
}

/// The backup of a database that is not the source among whose backups it goes: where it fails, nothing is
/// said against the source.
pub(crate) fn take_of_another(
    ctx: &Context,
    request: &BackupRequest<'_>,
) -> Result<BackupDone, OpsError> {
    let run = OpenRun::begin(ctx, Verb::Backup, None)?;
    match capture(ctx, request, &run) {
        Ok((committed, captured)) => Ok(finish(ctx, request, run, &committed, &captured)),
        Err(error) => {
            run.end_with(&error);
            Err(error)
        }
    }
}

/// The backup itself, for a restore's safety as well.
pub(crate) fn take(ctx: &Context, request: &BackupRequest<'_>) -> Result<BackupDone, OpsError> {
    let mut run = OpenRun::begin(ctx, Verb::Backup, Some(&request.source.name))?;
    match capture(ctx, request, &run) {
        Ok((committed, captured)) => Ok(finish(ctx, request, run, &committed, &captured)),
        Err(error) => {
            let receipt = failure_receipt(ctx, request, &run, &error);
            run.has_receipt(receipt.as_deref());
            run.end_with(&error);
            Err(error)
        }
    }
}

/// The facts of a capture that outlive the snapshot's description.
struct Kept {
    migration: Option<serde_json::Value>,
    database: Option<serde_json::Value>,
    system_identifier: Option<serde_json::Value>,
    /// That the backup before this one was of another database.
    other_database: Option<String>,
    tables: u64,
    rows: u64,
    tools: BTreeMap<String, String>,
}

fn capture(
    ctx: &Context,
    request: &BackupRequest<'_>,
    run: &OpenRun<'_>,
) -> Result<(Committed, Kept), OpsError> {
    let source = request.source;
    let doing = || format!("backing up {}", source.name);
    let vault = ctx.vault()?;
    let engine = ctx.engines.get(source.engine)?;
    if vault.writer().is_none() {
        return Err(OpsError::vault(doing())(VaultError::NoWriteKey));
    }
    ctx.progress.phase("probe");
    ready(engine.as_ref(), source)?;
    ctx.cancel.check()?;

    ctx.progress.phase("capture");
    let lease = vault
        .acquire_lease_to_add(&source.name, run.id(), &ctx.host, std::process::id())
        .map_err(OpsError::vault(doing()))?;
    let writer = vault
        .begin_snapshot(lease, ctx.new_backup_id()?, &ctx.cancel)
        .map_err(OpsError::vault(doing()))?;
    let mut captured = engine
        .capture(
            &CaptureRequest {
                check_integrity: source.check_integrity || request.check_integrity,
                ..source.capture_request()
            },
            &VaultSink(&writer),
            ctx.run(),
        )
        .map_err(OpsError::engine(doing()))?;
    ctx.cancel.check()?;
    let details = &mut captured.facts.details;
    if !request.commit.is_empty() {
        details.insert(COMMIT.to_owned(), value(&request.commit));
    }
    let kept = Kept {
        migration: details.get(MIGRATION).cloned(),
        database: details.get(DATABASE).cloned(),
        system_identifier: details.get(SYSTEM_IDENTIFIER).cloned(),
        other_database: another::note(ctx, source, &request.reason, details),
        tables: captured.facts.tables.len() as u64,
        rows: captured.facts.rows(),
        tools: captured.tools.into_iter().collect(),
    };

    ctx.progress.phase("commit");
    let committed = writer
        .commit(Description {
            engine: source.engine,
            reason: request.reason.clone(),
            note: request.note.clone(),
            taken_at: captured.taken_at,
            started_at: run.started_at(),
            host: ctx.host.clone(),
            operator: ctx.operator.clone(),
            resguardo: ctx.version.clone(),
            facts: captured.facts,
        })
        .map_err(OpsError::vault(doing()))?;
    Ok((committed, kept))
}

/// Connectivity first: a source that cannot be read is named before anything is written.
fn ready(engine: &dyn Engine, source: &SourceSpec) -> Result<(), OpsError> {
    let found = engine.probe(source.name.as_str(), &source.location);
    let mut problems = found
        .into_iter()
        .filter(|one| one.severity == Severity::Problem);
    let Some(first) = problems.next() else {
        return Ok(());
    };
    let problem = match problems.count() {
        0 => first.message,
        more => format!(
            "{} (and {more} more: `resguardo doctor` names all)",
            first.message
        ),
    };
    Err(OpsError::NotReady {
        source_name: source.name.clone(),
        problem,
        damaged: engine.is_damaged(&source.location),
        next: first.next,
    })
}

fn finish(
    ctx: &Context,
    request: &BackupRequest<'_>,
    mut run: OpenRun<'_>,
    committed: &Committed,
    kept: &Kept,
) -> BackupDone {
    let stored = &committed.head;
    let (run_id, seconds) = (run.id(), run.seconds());
    run.is_about(Some(&request.source.name), Some(stored.head.backup));
    history::remember_head(ctx, stored);
    let mut notes = committed.notes.clone();
    notes.extend(kept.other_database.clone());
    if request.after_failed_restore {
        run.changes(Some(&request.source.name));
    }
    let receipt = receipt::store_or_note(
        ctx,
        Record {
            run: &run,
            source: &request.source.name,
            outcome: "succeeded",
            subject: receipt::subjects_of(stored),
            tools: kept.tools.clone(),
            details: BTreeMap::from(
                [
                    ("backup", value(stored.head.backup)),
                    ("environment", value(&request.source.environment)),
                    ("reason", value(&request.reason)),
                    ("note", value(&request.note)),
                    (COMMIT, value(&request.commit)),
                    (MIGRATION, value(&kept.migration)),
                    (DATABASE, value(&kept.database)),
                    (SYSTEM_IDENTIFIER, value(&kept.system_identifier)),
                    ("other_database", value(&kept.other_database)),
                    (AFTER_FAILED_RESTORE, value(request.after_failed_restore)),
                    ("taken_at", value(stored.head.taken_at)),
                    ("raw_bytes", value(committed.raw_bytes)),
                    ("stored_bytes", value(committed.stored_bytes)),
                    ("new_raw_bytes", value(committed.new_raw_bytes)),
                    ("seconds", value(seconds)),
                    ("tables", value(kept.tables)),
                    ("rows", value(kept.rows)),
                    ("packs_written", value(committed.packs_written)),
                    (
                        "store",
                        value(ctx.vault.as_ref().map(|vault| vault.store().describe())),
                    ),
                ]
                .map(|(name, value)| (name.to_owned(), value)),
            ),
            test: None,
        },
        &mut notes,
    );
    run.has_receipt(receipt.as_deref());
    run.end(RunState::Succeeded, "");
    BackupDone {
        run: run_id,
        id: stored.head.backup,
        source: request.source.name.clone(),
        reason: request.reason.clone(),
        taken_at: stored.head.taken_at,
        raw_bytes: committed.raw_bytes,
        stored_bytes: committed.stored_bytes,
        seconds,
        tables: kept.tables,
        rows: kept.rows,
        head_sha256: stored.sha256,
        receipt,
        notes,
    }
}

/// A backup that failed leaves a receipt as well, where the vault can be written: a history in which
/// only successes stand proves nothing. One that only found the source locked by another run does not.
fn failure_receipt(
    ctx: &Context,
    request: &BackupRequest<'_>,
    run: &OpenRun<'_>,
    error: &OpsError,
) -> Option<String> {
    let lease_is_taken =
        matches!(error, OpsError::Vault { .. }) && error.kind() == ErrorKind::Locked;
    if lease_is_taken || error.kind() == ErrorKind::Vault {
        return None;
    }
    let outcome = run::state_of(error).as_str();
    let record = Record {
        run,
        source: &request.source.name,
        outcome,
        subject: Vec::new(),
        tools: BTreeMap::new(),
        details: BTreeMap::from([
            ("reason".to_owned(), value(&request.reason)),
            ("error".to_owned(), value(run::described(error))),
        ]),
        test: None,
    };
    // The error that brought us here is the one to be told.
    receipt::store(ctx, record).ok().flatten()
}

/// Writes a standard file of a source, without a vault. `<time>` in the file's name becomes the
/// present time (`20261122T020000Z`).
///
/// # Errors
/// Any; nothing is left behind then.
pub fn export(ctx: &Context, source: &SourceSpec, out: &Path) -> Result<ExportDone, OpsError> {
    let begun = std::time::Instant::now();
    let engine = ctx.engines.get(source.engine)?;
    ctx.progress.phase("probe");
    ready(engine.as_ref(), source)?;
    ctx.progress.phase("export");
    let out = with_time(out, ctx.clock.now());
    let request = source.capture_request();
    let paths = engine
        .export(&request, &out, ctx.run())
        .map_err(|error| match error {
            EngineError::Occupied { place, contents } => OpsError::Refused {
                place,
                why: format!("is taken: {contents}"),
                next: "name another file, or put <time> into its name".to_owned(),
            },
            other => OpsError::engine(format!("exporting {}", source.name))(other),
        })?;
    Ok(ExportDone {
        source: source.name.clone(),
        paths,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// Puts `now` in the place of `<time>` in the last part of a path.
fn with_time(out: &Path, now: Timestamp) -> PathBuf {
    let Some(name) = out.file_name().and_then(|name| name.to_str()) else {
        return out.to_owned();
    };
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    out.with_file_name(name.replace("<time>", &time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_goes_into_the_name_only() {
        let now = "2026-11-22T02:03:04Z".parse().unwrap();
        for (out, expected) in [
            (
                "a/shop-<time>.sqlite.gz",
                "a/shop-20261122T020304Z.sqlite.gz",
            ),
            ("<time>/shop.sqlite", "<time>/shop.sqlite"),
            ("shop.sqlite", "shop.sqlite"),
        ] {
            assert_eq!(with_time(Path::new(out), now), Path::new(expected));
        }
    }
}
