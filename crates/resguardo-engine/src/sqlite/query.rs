//! Asks a database a question, or runs a script in it, within a limit of time.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};

use super::failure::{of_sqlite, place};
use super::open;
use super::watch::Watch;
use crate::port::{EngineError, Rows, Run};

/// Longest wait for a lock before a statement.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Characters of a statement that an error shows.
const SHOWN_CHARS: usize = 120;

/// Runs one statement that cannot write and returns at most `rows_max` rows as text.
///
/// # Errors
/// [`EngineError::Sql`], [`EngineError::Timeout`], a cancelled run, or why it cannot be opened.
pub(super) fn ask(
    path: &Path,
    sql: &str,
    rows_max: usize,
    timeout: Duration,
    run: Run<'_>,
) -> Result<Rows, EngineError> {
    let connection = open::reading(path, LOCK_TIMEOUT.min(timeout), run.cancel)?;
    let watch = Watch::over(&connection, run.cancel, Some(timeout));
    let failed = |error| named(sql, path, error, &watch);
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let columns = statement.column_count();
    // `ATTACH` and `VACUUM INTO` count as reading, but would make a file; they answer nothing.
    if !statement.readonly() || columns == 0 {
        return Err(EngineError::Sql {
            statement: shortened(sql),
            message: "a check may only read".to_owned(),
            state: None,
        });
    }
    let mut printer = Printer::new(&connection).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut answer = Rows::default();
    while let Some(row) = rows.next().map_err(failed)? {
        if answer.rows.len() == rows_max {
            answer.truncated = true;
            break;
        }
        let texts = (0..columns).map(|column| printer.text(row.get_ref(column)?));
        answer
            .rows
            .push(texts.collect::<Result<_, _>>().map_err(failed)?);
    }
    Ok(answer)
}

/// Runs a script of statements. What it did before a statement failed stays, unless it has its own
/// transaction.
///
/// # Errors
/// As [`ask`].
pub(super) fn execute(
    path: &Path,
    script: &str,
    timeout: Duration,
    run: Run<'_>,
) -> Result<(), EngineError> {
    run.cancel.check()?;
    let opened = open::writing(path, LOCK_TIMEOUT.min(timeout));
    let connection = opened.map_err(|error| of_sqlite("opening", path, error))?;
    let watch = Watch::over(&connection, run.cancel, Some(timeout));
    connection
        .execute_batch(script)
        .map_err(|error| named(script, path, error, &watch))
}

fn named(sql: &str, path: &Path, error: rusqlite::Error, watch: &Watch) -> EngineError {
    if let Some(timeout) = watch.timeout_of(&shortened(sql), &error) {
        return timeout;
    }
    match of_sqlite("asking", path, error) {
        EngineError::Other { source, .. } => EngineError::Sql {
            statement: shortened(sql),
            message: source.to_string(),
            state: None,
        },
        EngineError::Denied { .. } => EngineError::Sql {
            statement: shortened(sql),
            message: format!("{} may not be written to here", place(path)),
            state: None,
        },
        other => other,
    }
}

/// The statement on one line, cut where it gets long.
fn shortened(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SHOWN_CHARS {
        return line;
    }
    let start: String = line.chars().take(SHOWN_CHARS).collect();
    format!("{start}...")
}

/// Prints values as SQLite's own shell does.
struct Printer<'a> {
    real: Statement<'a>,
}

impl<'a> Printer<'a> {
    fn new(connection: &'a Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            real: connection.prepare("select cast(?1 as text)")?,
        })
    }

    fn text(&mut self, value: ValueRef<'_>) -> Result<Option<String>, rusqlite::Error> {
        Ok(match value {
            ValueRef::Null => None,
            ValueRef::Integer(integer) => Some(integer.to_string()),
            // SQLite alone knows how many digits it shows.
            ValueRef::Real(real) => Some(self.real.query_row([real], |row| row.get(0))?),
            ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(blob) => Some(format!("x'{}'", hexadecimal(blob))),
        })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use resguardo_model::{CancelToken, NoProgress, SystemClock};

    use super::*;

    fn ask_all(path: &Path, sql: &str) -> Result<Rows, EngineError> {
        let cancel = CancelToken::new();
        let run = Run {
            cancel: &cancel,
            progress: &NoProgress,
            clock: &SystemClock,
        };
        ask(path, sql, 2, Duration::from_secs(10), run)
    }

    fn database() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("create table t (a); insert into t values (1), (2), (3)")
            .unwrap();
        (folder, path)
    }

    #[test]
    fn values_are_printed_as_sqlite_does() {
        let (_folder, path) = database();
        let rows = ask_all(
            &path,
            "select 1, -7, 1.0, 0.1, 1e20, 1e999, 'ñ', x'00ff', null, ''",
        )
        .unwrap();
        let texts: Vec<_> = rows.rows[0].iter().map(Option::as_deref).collect();
        let expected = ["1", "-7", "1.0", "0.1", "1.0e+20", "Inf", "ñ", "x'00ff'"];
        assert_eq!(texts[..8], expected.map(Some));
        assert_eq!(texts[8..], [None, Some("")]);
    }

    #[test]
    fn rows_beyond_the_limit_are_said_to_be_there() {
        let (_folder, path) = database();
        let rows = ask_all(&path, "select a from t").unwrap();
        assert_eq!((rows.rows.len(), rows.truncated), (2, true));
        let rows = ask_all(&path, "select a from t where a < 3").unwrap();
        assert_eq!((rows.rows.len(), rows.truncated), (2, false));
    }

    #[test]
    fn a_question_cannot_write() {
        let (folder, path) = database();
        let other = folder.path().join("b.db");
        for sql in [
            "delete from t".to_owned(),
            "insert into t values (9) returning a".to_owned(),
            "pragma journal_mode = wal".to_owned(),
            "pragma user_version = 7".to_owned(),
            "select 1; delete from t".to_owned(),
            format!("attach '{}' as b", other.display()),
            format!("vacuum into '{}'", other.display()),
            "select nothing from nowhere".to_owned(),
        ] {
            let error = ask_all(&path, &sql).expect_err(&sql);
            assert!(matches!(error, EngineError::Sql { .. }), "{sql}: {error}");
        }
        assert!(!other.exists());
        let rows = ask_all(&path, "select count(*) from t").unwrap();
        assert_eq!(rows.rows, [[Some("3".to_owned())]]);
    }
}
