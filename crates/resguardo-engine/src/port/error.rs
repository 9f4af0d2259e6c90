//! What can go wrong with a source or target.

use resguardo_model::{Cancelled, Sha256Digest};

use super::{BoxError, ReadError, SinkError};

/// What can go wrong with a source or target. Each names it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It is not there.
    #[error("{place} does not exist")]
    Missing {
        /// The path or URL.
        place: String,
    },
    /// This user may not read or write it.
    #[error("{operation} {place}: {why}")]
    Denied {
        /// What was tried.
        operation: &'static str,
        /// The path or URL.
        place: String,
        /// The system's or server's word.
        why: String,
    },
    /// It cannot be reached.
    #[error("{place} cannot be reached")]
    Unreachable {
        /// The path or URL.
        place: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// Somebody else holds a lock on it.
    #[error("{place} is busy: {held}")]
    Busy {
        /// The path or URL.
        place: String,
        /// What is held, by whom where it is known, and for how long it was waited.
        held: String,
    },
    /// It is no database of this kind, or an encrypted one.
    #[error("{place} is not {expected}: {why}")]
    NotThatKind {
        /// The path or URL.
        place: String,
        /// `a SQLite database`.
        expected: &'static str,
        /// What its beginning looks like.
        why: String,
    },
    /// Its content is damaged.
    #[error("{place} is corrupt: {why}")]
    Corrupt {
        /// The path or URL.
        place: String,
        /// The first lines of what was found.
        why: String,
    },
    /// It was replaced by another while it was read.
    #[error("{place} was replaced by another file while it was read")]
    Replaced {
        /// The path.
        place: String,
    },
    /// The target holds data and `clean` was not asked for.
    #[error("{place} is not empty: {contents}")]
    Occupied {
        /// The path or URL.
        place: String,
        /// What is in it.
        contents: String,
    },
    /// No space left where it writes.
    #[error("{operation} {place}: no space left")]
    Full {
        /// What was tried.
        operation: &'static str,
        /// The path.
        place: String,
    },
    /// The file's ending or content is of no format that this engine knows.
    #[error("{file}: unknown format; known are {known}")]
    UnknownFormat {
        /// The file.
        file: String,
        /// The endings that are known.
        known: &'static str,
    },
    /// A file's hash is not the one that lies beside it.
    #[error("{file}: SHA-256 is {actual}, {beside} says {expected}")]
    HashMismatch {
        /// The file.
        file: String,
        /// The digest that was found.
        actual: Sha256Digest,
        /// Where the other comes from.
        beside: String,
        /// The digest that it names.
        expected: String,
    },
    /// The backup lacks a table that was asked for.
    #[error("the backup has no table {table}; it has {has}")]
    NoSuchTable {
        /// The table asked for.
        table: String,
        /// The first of those that there are.
        has: String,
    },
    /// A tool or server program that this work needs is not installed, or is too old.
    #[error("{tool} is missing: {why}")]
    ToolMissing {
        /// The program.
        tool: String,
        /// What there is instead, and what is needed.
        why: String,
        /// The package to install.
        package: String,
    },
    /// What is asked for cannot be done with this source or target.
    #[error("{place}: {why}")]
    Unsupported {
        /// The path or URL.
        place: String,
        /// Why.
        why: String,
        /// What to do instead.
        next: String,
    },
    /// A statement failed.
    #[error("{statement}: {message}")]
    Sql {
        /// The statement, shortened.
        statement: String,
        /// The database's own words.
        message: String,
        /// Its SQLSTATE, where it has one.
        state: Option<String>,
    },
    /// Something took longer than it may.
    #[error("{what} took longer than {seconds} s")]
    Timeout {
        /// What.
        what: String,
        /// The limit.
        seconds: u64,
    },
    /// Stopped by the caller.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The sink failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The backup could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The target was touched and is not what it was.
    #[error("{place}: {state}")]
    TargetTouched {
        /// The target.
        place: String,
        /// What state it is in now, and where what was there before lies.
        state: String,
        /// What went wrong.
        #[source]
        source: BoxError,
    },
    /// Anything else.
    #[error("{operation} {place}")]
    Other {
        /// What was tried.
        operation: &'static str,
        /// The path or URL.
        place: String,
        /// The cause.
        #[source]
        source: BoxError,
    },
}

impl EngineError {
    /// Whether trying again at once is pointless.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable { .. }
                | Self::Busy { .. }
                | Self::Replaced { .. }
                | Self::Timeout { .. }
        )
    }

    /// With its causes, in one line.
    pub(crate) fn in_full(&self) -> String {
        let mut words = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            words.push_str(&format!(": {error}"));
            cause = error.source();
        }
        words
    }
}
