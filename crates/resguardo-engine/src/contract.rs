//! What every engine must hold to, as one suite. For tests: it panics where an engine breaks the
//! contract.

mod memory;

use std::path::{Path, PathBuf};
use std::time::Duration;

use resguardo_model::{CancelToken, CheckOutcome, CheckResult, NoProgress, SystemClock};

pub use self::memory::{MemoryBackup, MemorySink, Refused};
use crate::port::{
    Allowed, BackupReader, CaptureRequest, Captured, Engine, EngineError, Location, RestoreOptions,
    Run, SandboxSite, Target, TargetState,
};
use crate::process::{GroupLog, ProcessMark, User};

/// What the suite needs of an engine's own test.
pub struct Case<'a> {
    /// The engine.
    pub engine: &'a dyn Engine,
    /// A source that holds some rows. It must not change while the suite runs.
    pub source: Location,
    /// A private folder; sandboxes and exports are made in it.
    pub folder: &'a Path,
    /// A script that changes one value of one row.
    pub change_row: &'a str,
    /// A script that deletes one row.
    pub lose_row: &'a str,
    /// A query that counts the rows of one table, and their number.
    pub rows_of_a_table: (&'a str, u64),
    /// The ending of a file that the engine exports, like `.sqlite.gz`.
    pub export_ending: &'a str,
}

const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the whole suite.
///
/// # Panics
/// Where the engine breaks the contract.
pub fn run(case: &Case<'_>) {
    a_capture_restores_and_every_check_passes(case);
    a_changed_and_a_lost_row_fail_a_check(case);
    a_failing_sink_and_a_cancelled_run_end_the_capture(case);
    an_occupied_target_is_refused(case);
    an_export_opens_as_a_backup(case);
    a_query_reads_and_ends(case);
}

/// Runs `work` with a fresh [`Run`] that prints nothing and that nobody cancels.
pub fn with_run<T>(work: impl FnOnce(Run<'_>) -> T) -> T {
    work(Run {
        cancel: &CancelToken::new(),
        progress: &NoProgress,
        clock: &SystemClock,
    })
}

/// A request for a capture of `location` that waits up to 30 s for a lock.
#[must_use]
pub fn request(location: &Location) -> CaptureRequest {
    CaptureRequest {
        check_integrity: true,
        ..CaptureRequest::new(location.clone())
    }
}

/// A folder as the site of a sandbox. It removes nothing, and does not end what is started for it.
#[derive(Clone, Debug)]
pub struct FolderSite(pub PathBuf);

impl GroupLog for FolderSite {
    fn started(&self, _group: &ProcessMark) -> std::io::Result<()> {
        Ok(())
    }
}

impl SandboxSite for FolderSite {
    fn name(&self) -> String {
        let words = self.0.file_name().unwrap_or_default().to_string_lossy();
        words.chars().filter(char::is_ascii_alphanumeric).collect()
    }

    fn folder(&self) -> PathBuf {
        self.0.clone()
    }

    fn folder_of(&self, user: User) -> std::io::Result<PathBuf> {
        let folder = self.0.join("of-another-user");
        std::fs::create_dir_all(&folder)?;
        std::os::unix::fs::chown(&folder, Some(user.uid), Some(user.gid))?;
        Ok(folder)
    }
}

/// Captures into memory.
///
/// # Errors
/// The engine's own.
pub fn capture(
    engine: &dyn Engine,
    location: &Location,
) -> Result<(MemoryBackup, Captured), EngineError> {
    let sink = MemorySink::new();
    let captured = with_run(|run| engine.capture(&request(location), &sink, run))?;
    let backup = sink.into_backup(Some(captured.facts.clone()));
    Ok((backup, captured))
}

fn sandbox(case: &Case<'_>, name: &str, backup: &dyn BackupReader) -> Box<dyn Target> {
    let folder = case.folder.join(name);
    std::fs::create_dir_all(&folder).expect("the folder of the case can be written");
    let site = FolderSite(folder);
    let target = with_run(|run| case.engine.open_sandbox(&site, backup.facts(), run))
        .expect("a sandbox can be made");
    with_run(|run| target.restore(backup, &RestoreOptions::default(), run))
        .expect("a backup restores into a new sandbox");
    target
}

/// Checks that found something wrong, or could find out nothing.
fn spoiled(results: &[CheckResult]) -> Vec<&CheckResult> {
    let is_spoiled = |result: &&CheckResult| {
        matches!(result.outcome, CheckOutcome::Failed | CheckOutcome::Error)
    };
    results.iter().filter(is_spoiled).collect()
}

fn captured(case: &Case<'_>) -> MemoryBackup {
    capture(case.engine, &case.source)
        .expect("the source can be captured")
        .0
}

fn failed(results: &[CheckResult]) -> Vec<&CheckResult> {
    let not_passed = |result: &&CheckResult| result.outcome != CheckOutcome::Passed;
    results.iter().filter(not_passed).collect()
}

fn a_capture_restores_and_every_check_passes(case: &Case<'_>) {
    let backup = captured(case);
    let facts = backup.facts.as_ref().expect("a capture tells facts");
    assert_eq!(facts.engine, case.engine.kind());
    assert!(facts.rows() > 0, "the source of the suite holds rows");
    let sorted = facts.tables.is_sorted_by(|a, b| a.name < b.name);
    assert!(sorted, "tables come in the order of their names, each once");
    let target = sandbox(case, "whole", &backup);
    let results = with_run(|run| target.check(&backup, Allowed::default(), run));
    assert!(!results.is_empty(), "an engine checks something");
    assert!(failed(&results).is_empty(), "{:#?}", failed(&results));
    let state = target.state().expect("a restored target has a state");
    assert!(matches!(state, TargetState::Occupied { .. }), "{state:?}");
    assert!(!target.is_same_as(&case.source));
    target.close().expect("a target closes");
}

fn a_changed_and_a_lost_row_fail_a_check(case: &Case<'_>) {
    let backup = captured(case);
    for (name, script) in [("changed", case.change_row), ("lost", case.lose_row)] {
        let target = sandbox(case, name, &backup);
        with_run(|run| target.execute(script, TIMEOUT, run)).expect("the script runs");
        let results = with_run(|run| target.check(&backup, Allowed::default(), run));
        let any_failed = results
            .iter()
            .any(|result| result.outcome == CheckOutcome::Failed);
        assert!(any_failed, "no check fails on a {name} row: {results:#?}");
        target.close().expect("a target closes");
    }
}

fn a_failing_sink_and_a_cancelled_run_end_the_capture(case: &Case<'_>) {
    let sink = MemorySink::failing_after(1);
    let error = with_run(|run| case.engine.capture(&request(&case.source), &sink, run))
        .expect_err("the sink fails");
    assert!(matches!(error, EngineError::Sink(_)), "{error}");
    assert!(sink.is_broken(), "a failed file is not finished");
    let cancel = CancelToken::new();
    cancel.cancel();
    let run = Run {
        cancel: &cancel,
        progress: &NoProgress,
        clock: &SystemClock,
    };
    let error = case
        .engine
        .capture(&request(&case.source), &MemorySink::new(), run)
        .expect_err("the run is cancelled");
    assert!(matches!(error, EngineError::Cancelled(_)), "{error}");
}

fn an_occupied_target_is_refused(case: &Case<'_>) {
    let backup = captured(case);
    let target = sandbox(case, "occupied", &backup);
    let again = |clean| {
        let options = RestoreOptions {
            clean,
            ..RestoreOptions::default()
        };
        with_run(|run| target.restore(&backup, &options, run))
    };
    let error = again(false).expect_err("it holds data");
    assert!(matches!(error, EngineError::Occupied { .. }), "{error}");
    again(true).expect("clean replaces it");
    let results = with_run(|run| target.check(&backup, Allowed::default(), run));
    assert!(failed(&results).is_empty(), "{:#?}", failed(&results));
    target.close().expect("a target closes");
}

fn an_export_opens_as_a_backup(case: &Case<'_>) {
    let out = case.folder.join(format!("export{}", case.export_ending));
    let export = || with_run(|run| case.engine.export(&request(&case.source), &out, run));
    let written = export().expect("the source exports");
    assert!(written.contains(&out), "{written:?}");
    let error = export().expect_err("nothing is overwritten");
    assert!(matches!(error, EngineError::Occupied { .. }), "{error}");
    let backup =
        with_run(|run| case.engine.open_file(&out, run)).expect("what it exports, it opens");
    let target = sandbox(case, "exported", backup.as_ref());
    // A standard file tells less than a backup does: what cannot be compared is skipped.
    let results = with_run(|run| target.check(backup.as_ref(), Allowed::default(), run));
    assert!(spoiled(&results).is_empty(), "{:#?}", spoiled(&results));
    target.close().expect("a target closes");
    let unknown = case.folder.join("export.unknown");
    let exported = with_run(|run| case.engine.export(&request(&case.source), &unknown, run));
    let error = exported.expect_err("no such format");
    assert!(
        matches!(error, EngineError::UnknownFormat { .. }),
        "{error}"
    );
}

fn a_query_reads_and_ends(case: &Case<'_>) {
    let backup = captured(case);
    let target = sandbox(case, "asked", &backup);
    let (query, rows) = case.rows_of_a_table;
    let answer = with_run(|run| target.query(query, 10, TIMEOUT, run)).expect("the query runs");
    assert_eq!(answer.rows, [[Some(rows.to_string())]]);
    for sql in [case.change_row, "select nothing from nowhere"] {
        let error = with_run(|run| target.query(sql, 10, TIMEOUT, run)).expect_err(sql);
        assert!(matches!(error, EngineError::Sql { .. }), "{sql}: {error}");
    }
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) \
                   select max(i) from n";
    let limit = Duration::from_millis(50);
    let error = with_run(|run| target.query(endless, 10, limit, run)).expect_err("endless");
    assert!(matches!(error, EngineError::Timeout { .. }), "{error}");
    let variables = target.environment();
    assert!(variables.iter().any(|(name, _)| name == "DATABASE_URL"));
    target.close().expect("a target closes");
}
