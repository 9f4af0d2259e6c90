//! Large objects, by `pg_restore` from a stream, and the values of sequences.

use std::time::Duration;

use super::archive::{command, of_process, said};
use super::foreign::is_about_the_setting_alone;
use super::load::read_error;
use crate::port::{BackupReader, EngineError, RestoreOptions, Run};
use crate::postgres::catalog;
use crate::postgres::digest::{RowsDigest, Tally};
use crate::postgres::inventory::{LARGE_OBJECTS, LargeObjects, Sequence};
use crate::postgres::name;
use crate::postgres::session::Session;
use crate::postgres::tools::Tools;
use crate::process::{self, NoLog, StreamError};

/// Sequences that one statement sets.
const SEQUENCES_AT_ONCE: usize = 500;
/// Versions of `pg_restore` from this one on say something that older servers do not know.
const TIMEOUT_MAJOR: u32 = 17;

/// What large objects a restore is to end with.
#[derive(Clone, Copy)]
pub(super) struct Objects<'a> {
    /// Those of the backup.
    pub(super) expected: &'a LargeObjects,
    /// Those that are the target's own, and stay.
    pub(super) before: Option<&'a LargeObjects>,
}

/// Brings what all large objects hold, and those themselves that the structure has not made, and reads them
/// back: neither the tool's exit status nor their number tells whether anything is in them.
///
/// # Errors
/// If not all came, or some of them are there already.
pub(super) fn large_objects(
    session: &Session,
    backup: &dyn BackupReader,
    objects: Objects<'_>,
    tools: &Tools,
    options: &RestoreOptions,
    silence: Duration,
    run: Run<'_>,
) -> Result<(), EngineError> {
    // An older server refuses one setting that a newer tool makes.
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
    let is_done = ended.status.success() || !is_known && is_about_the_setting_alone(&ended);
    let why = if is_done {
        match difference(session, objects)? {
            None => return Ok(()),
            Some(why) => why,
        }
    } else {
        said(&ended)
    };
    Err(EngineError::Other {
        operation: "restoring large objects to",
        place,
        source: why.into(),
    })
}

/// How the large objects that are there differ from those that should be.
fn difference(session: &Session, objects: Objects<'_>) -> Result<Option<String>, EngineError> {
    let Objects { expected, before } = objects;
    let (mut count, mut bytes, mut tally) = (expected.count, expected.bytes, sum(expected));
    if let Some(before) = before {
        count += before.count;
        bytes += before.bytes;
        tally.merge(sum(before));
    }
    let found = match catalog::large_objects(session) {
        Ok(found) => found,
        // Some belong to roles whose objects we may make and not read: the tool's word and their number are
        // what there is.
        Err(EngineError::Denied { .. }) => {
            let found = catalog::large_object_count(session)?;
            return Ok((found != count).then(|| format!("{found} of {count} are there")));
        }
        Err(error) => return Err(error),
    };
    let (found_count, found_bytes) = found
        .as_ref()
        .map_or((0, 0), |found| (found.count, found.bytes));
    if (found_count, found_bytes) != (count, bytes) {
        return Ok(Some(format!(
            "{found_count} of {count} are there, with {found_bytes} bytes of {bytes}"
        )));
    }
    let is_same = found.is_none_or(|found| sum(&found).digest == tally.digest);
    Ok((!is_same).then(|| "they hold other bytes than were backed up".to_owned()))
}

/// Their digest, as one that can be added to.
fn sum(objects: &LargeObjects) -> Tally {
    Tally {
        digest: RowsDigest::parse(&objects.digest).unwrap_or_default(),
        ..Tally::default()
    }
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
