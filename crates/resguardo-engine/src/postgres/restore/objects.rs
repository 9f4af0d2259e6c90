//! Large objects, by `pg_restore` from a stream, and the values of sequences.

use std::time::Duration;

use super::archive::{command, of_process, said};
use super::load::read_error;
use crate::port::{BackupReader, EngineError, RestoreOptions, Run};
use crate::postgres::inventory::{LARGE_OBJECTS, LargeObjects, Sequence};
use crate::postgres::name;
use crate::postgres::session::Session;
use crate::postgres::tools::Tools;
use crate::process::{self, NoLog, StreamError};

/// Sequences that one statement sets.
const SEQUENCES_AT_ONCE: usize = 500;
/// Versions of `pg_restore` from this one on say something that older servers do not know.
const TIMEOUT_MAJOR: u32 = 17;

/// Brings what all large objects hold, and those themselves that the structure has not made, and counts them.
///
/// # Errors
/// If not all came, or some of them are there already.
pub(super) fn large_objects(
    session: &Session,
    backup: &dyn BackupReader,
    expected: &LargeObjects,
    tools: &Tools,
    options: &RestoreOptions,
    silence: Duration,
    run: Run<'_>,
) -> Result<(), EngineError> {
    let count = || -> Result<u64, EngineError> {
        let rows =
            session.rows("select pg_catalog.count(*) from pg_catalog.pg_largeobject_metadata")?;
        Ok(rows.first().map_or(0, |row| row.number(0)))
    };
    // An older server refuses one setting that a newer tool makes; the count tells whether all came.
    let is_known = session.version().major() >= TIMEOUT_MAJOR || tools.major() < TIMEOUT_MAJOR;
    let mut words = vec!["--dbname=".to_owned(), "--no-password".to_owned()];
    words.extend(is_known.then(|| "--exit-on-error".to_owned()));
    words.extend(options.no_owner.then(|| "--no-owner".to_owned()));
    words.extend(options.no_acl.then(|| "--no-privileges".to_owned()));
    let command = command(
        &tools.program("pg_restore"),
        words,
        std::path::Path::new("/"),
    )
    .with_variables(session.settings().variables());
    let path = LARGE_OBJECTS.parse().expect("the name is a path");
    let mut stream = backup.open_stream(&path)?;
    let place = session.settings().describe();
    let ended = process::write_to(&command, silence, run.cancel, &NoLog, &mut stream);
    let ended = ended.map_err(|error| match error {
        StreamError::Process(error) => of_process(&place, error),
        StreamError::Data(error) => read_error(error).into(),
    })?;
    let came = count()?;
    if came >= expected.count && (ended.status.success() || !is_known) {
        return Ok(());
    }
    Err(EngineError::Other {
        operation: "restoring large objects to",
        place,
        source: format!("{came} of {} came: {}", expected.count, said(&ended)).into(),
    })
}

/// Sets sequences to where they stood.
///
/// # Errors
/// If one of them is not there.
pub(super) fn sequences(session: &Session, all: &[&Sequence]) -> Result<(), EngineError> {
    for some in all.chunks(SEQUENCES_AT_ONCE) {
        let calls: Vec<_> = some
            .iter()
            .map(|sequence| {
                format!(
                    "pg_catalog.setval({}::pg_catalog.regclass, {}, {})",
                    name::literal(&sequence.quoted()),
                    sequence.last_value,
                    sequence.is_called
                )
            })
            .collect();
        session.rows(&format!("select {}", calls.join(", ")))?;
    }
    Ok(())
}
