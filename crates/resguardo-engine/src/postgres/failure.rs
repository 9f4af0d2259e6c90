//! What a server or a connection says, as the port's errors: by SQLSTATE, never by the words of a language.
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use super::name;
use super::settings::Settings;
use crate::port::{BoxError, EngineError};

/// Characters of a statement that an error shows.
const STATEMENT_CHARACTERS_MAX: usize = 120;

/// Names an error. `doing` is what was tried, `place` where, `statement` the SQL, if there was one.
pub(super) fn of(doing: &'static str, place: &str, statement: &str, error: Error) -> EngineError {
    match error.as_db_error() {
        Some(told) => by_state(doing, place, statement, told),
        None => unreachable(place, Box::new(error)),
    }
}

/// Begins the statement that lets a role into a database.
pub(super) const GRANT_CONNECT: &str = "GRANT CONNECT ON DATABASE ";

/// Names an error of connecting.
pub(super) fn of_connecting(settings: &Settings, error: Error) -> EngineError {
    let place = &settings.describe();
    // The client's own words: it has no other sign for it.
    let asked = error
        .source()
        .is_some_and(|cause| cause.to_string() == "password missing");
    if asked {
        return EngineError::Denied {
            operation: "logging in to",
            place: place.to_owned(),
            why: match settings.unused_passfile() {
                None => {
                    "the server asks for a password, and there is none in the URL, PGPASSWORD or ~/.pgpass"
                        .to_owned()
                }
                Some(why) => format!(
                    "the server asks for a password, and there is none in the URL or PGPASSWORD; {why}"
                ),
            },
        };
    }
    if error.as_db_error().is_some_and(|told| {
        is_missing_behind_pooler(told.code(), told.message(), settings.database())
    }) {
        return EngineError::Missing {
            place: place.to_owned(),
        };
    }
    let mut error = of("connecting to", place, "", error);
    if let EngineError::Denied {
        operation: "connecting to",
        why,
        ..
    } = &mut error
    {
        why.push_str(&format!(
            "; {GRANT_CONNECT}{} TO {}",
            name::identifier(settings.database()),
            name::identifier(settings.user())
        ));
    }
    error
}

/// Whether a pooler passes on that the server has no such database. PgBouncer gives every refusal of the server's a
/// SQLSTATE of its own, and the server's words; where those are of another language it is taken for a refusal.
fn is_missing_behind_pooler(state: &SqlState, message: &str, database: &str) -> bool {
    *state == SqlState::PROTOCOL_VIOLATION
        && message.contains(&format!("database \"{database}\" does not exist"))
}

/// Whether a statement failed because of this.
pub(super) fn is_sql_state(error: &EngineError, state: &SqlState) -> bool {
    matches!(error, EngineError::Sql { state: found, .. } if found.as_deref() == Some(state.code()))
}

pub(super) fn unreachable(place: &str, source: BoxError) -> EngineError {
    EngineError::Unreachable {
        place: place.to_owned(),
        source,
    }
}

fn by_state(doing: &'static str, place: &str, statement: &str, told: &DbError) -> EngineError {
    let place = place.to_owned();
    let message = words(told);
    let code = told.code().code();
    match (&code[..2], code) {
        (_, "3D000") => EngineError::Missing { place },
        (_, "28P01") | ("28", _) => EngineError::Denied {
            operation: "logging in to",
            place,
            why: message,
        },
        (_, "42501") => EngineError::Denied {
            operation: doing,
            place,
            why: message,
        },
        ("08", _) | (_, "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "53300") => {
            unreachable(&place, message.into())
        }
        (_, "55P03" | "40P01" | "55006") => EngineError::Busy {
            place,
            held: message,
        },
        (_, "53100") => EngineError::Full {
            operation: doing,
            place: format!("{place} ({message})"),
        },
        (_, "XX001" | "XX002") => EngineError::Corrupt {
            place,
            why: message,
        },
        _ => EngineError::Sql {
            statement: shortened(statement),
            message,
            state: Some(code.to_owned()),
        },
    }
}

/// The server's message and hint. Its detail too, but not where that would quote data (classes 22 and 23):
/// errors are kept in receipts, which are plain text.
fn words(told: &DbError) -> String {
    let mut words = told.message().to_owned();
    let quotes_data = matches!(&told.code().code()[..2], "22" | "23");
    if let (Some(detail), false) = (told.detail(), quotes_data) {
        words.push_str("; ");
        words.push_str(detail.trim_end_matches('.'));
    }
    if let Some(hint) = told.hint() {
        words.push_str("; ");
        words.push_str(hint.trim_end_matches('.'));
    }
    words
}

/// The beginning of a statement, on one line.
pub(super) fn shortened(statement: &str) -> String {
    let line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= STATEMENT_CHARACTERS_MAX {
        return line;
    }
    let start: String = line.chars().take(STATEMENT_CHARACTERS_MAX).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooler_tells_of_a_database_that_is_not_there_in_words() {
        let told = "server login failed: FATAL database \"shop\" does not exist";
        let is_missing =
            |state: &SqlState, database| is_missing_behind_pooler(state, told, database);
        assert!(is_missing(&SqlState::PROTOCOL_VIOLATION, "shop"));
        assert!(!is_missing(&SqlState::PROTOCOL_VIOLATION, "sho"));
        assert!(!is_missing(&SqlState::CONNECTION_FAILURE, "shop"));
    }

    #[test]
    fn statements_are_shown_on_one_line() {
        assert_eq!(shortened("select 1\n  from x"), "select 1 from x");
        let long = shortened(&"a".repeat(500));
        assert_eq!(long.chars().count(), STATEMENT_CHARACTERS_MAX + 1);
    }
}
