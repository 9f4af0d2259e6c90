//! Structure and large objects, by `pg_dump` in the snapshot.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use resguardo_model::{FileKind, Sha256Digest};

use super::{Capture, file_path, snapshot, start};
use crate::port::{EngineError, FileSink};
use crate::postgres::catalog;
use crate::postgres::inventory::{LARGE_OBJECTS, LargeObjects, SCHEMA};
use crate::postgres::normal::Normal;
use crate::postgres::session::Session;
use crate::postgres::settings::Settings;
use crate::postgres::tool;
use crate::process::{self, Command, NoLog};

/// What is known of the structure.
pub(super) struct Schema {
    /// Digest of its normal form.
    pub(super) sha256: Sha256Digest,
}

/// Writes `schema.dump`, in UTF-8 whatever the database's `encoding` is.
///
/// # Errors
/// If `pg_dump` fails, or what it wrote cannot be read by `pg_restore`.
pub(super) fn dump(capture: &Capture<'_>) -> Result<Schema, EngineError> {
    let scratch = &capture.source.around.scratch;
    let failed = |source| EngineError::Other {
        operation: "writing to",
        place: scratch.display().to_string(),
        source: Box::new(source),
    };
    std::fs::create_dir_all(scratch).map_err(failed)?;
    let folder = tempfile::tempdir_in(scratch).map_err(failed)?;
    let archive = folder.path().join("schema.dump");
    let copy = create(&archive).map_err(failed)?;
    let mut copy = BufWriter::new(copy);
    let mut words = vec!["--section=pre-data", "--section=post-data"];
    words.extend(tool::in_utf8(capture.opened.holder.encoding()));
    pg_dump(capture, SCHEMA, &words, &mut |block| copy.write_all(block))?;
    copy.flush().map_err(failed)?;
    drop(copy);
    let text = folder.path().join("schema.sql");
    list(capture, &archive, &text)?;
    let text = std::fs::read(&text).map_err(failed)?;
    let normal = Normal::parse(&String::from_utf8_lossy(&text));
    Ok(Schema {
        sha256: normal.digest(),
    })
}

fn create(path: &Path) -> std::io::Result<File> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a draft that is gone when this returns"
    )]
    File::create_new(path)
}

/// Prints an archive as SQL, which proves that it is whole.
fn list(capture: &Capture<'_>, archive: &Path, text: &Path) -> Result<(), EngineError> {
    let words = [
        "-f".to_owned(),
        text.display().to_string(),
        archive.display().to_string(),
    ];
    let command = Command::program(capture.opened.tools.program("pg_restore"), words, "/")
        .without_variables(Settings::foreign_variables());
    let silence = capture.source.request.silence_timeout;
    let place = capture.source.settings.describe();
    let ended = process::run(&command, silence, &capture.stop, &NoLog);
    tool::ended(
        "reading the structure of",
        &place,
        "pg_restore",
        ended.map_err(Into::into),
    )
}

/// Writes `large-objects.dump` and digests them.
///
/// # Errors
/// If `pg_dump` fails, or one cannot be read.
pub(super) fn large_objects(capture: &Capture<'_>) -> Result<Option<LargeObjects>, EngineError> {
    let session = Session::connect(
        &capture.source.settings,
        capture.source.limits(),
        &capture.stop,
    )?;
    snapshot::enter(&session, &capture.opened.snapshot.id)?;
    // Without any schema it needs no lock on a table.
    let mut words = vec!["--section=data", "--blobs", "--exclude-schema=*"];
    words.extend(tool::in_utf8(session.encoding()));
    pg_dump(capture, LARGE_OBJECTS, &words, &mut |_| Ok(()))?;
    catalog::large_objects(&session)
}

/// Runs `pg_dump` into a file of the backup; `also` sees every block.
fn pg_dump(
    capture: &Capture<'_>,
    path: &str,
    words: &[&str],
    also: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(), EngineError> {
    let place = capture.source.settings.describe();
    let snapshot = &capture.opened.snapshot.id;
    let mut arguments = vec![
        "--format=custom".to_owned(),
        // The vault compresses, and finds again what did not change.
        "--compress=0".to_owned(),
        "--no-password".to_owned(),
        format!("--snapshot={snapshot}"),
        format!(
            "--lock-wait-timeout={}",
            capture.source.request.lock_timeout.as_millis()
        ),
    ];
    arguments.extend(words.iter().map(|word| (*word).to_owned()));
    let command = tool::command(
        &capture.opened.tools,
        "pg_dump",
        arguments,
        &capture.source.settings,
    )
    .with_variables(
        (path == SCHEMA).then(|| ("PGAPPNAME".to_owned(), start::application_name(snapshot))),
    );
    let mut file: Option<Box<dyn FileSink + '_>> = None;
    let silence = capture.source.request.silence_timeout;
    let ended = process::read_from(&command, silence, &capture.stop, &NoLog, &mut |block| {
        if file.is_none() {
            file = Some(capture.sink.open_file(&file_path(path), FileKind::Stream)?);
        }
        if let Some(file) = &mut file {
            file.write(block)?;
        }
        also(block).map_err(|source| EngineError::Other {
            operation: "keeping the structure of",
            place: place.clone(),
            source: Box::new(source),
        })
    });
    tool::ended("dumping", &place, "pg_dump", ended)?;
    match file {
        Some(file) => {
            file.finish()?;
            Ok(())
        }
        None => Err(EngineError::Other {
            operation: "dumping",
            place,
            source: "pg_dump wrote nothing".into(),
        }),
    }
}
