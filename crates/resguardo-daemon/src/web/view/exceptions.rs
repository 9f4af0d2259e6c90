//! Exceptions: what is open until somebody resolves it.

use jiff::Timestamp;
use resguardo_model::What;

/// An exception.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    /// Its id.
    pub id: String,
    /// The source; empty if it is about none.
    pub source: String,
    /// The facts.
    pub what: What,
    /// How often it happened.
    pub times: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Since when it holds no more; `None`: it does.
    pub good_at: Option<Timestamp>,
    /// Who resolved it.
    pub resolved: Option<Resolved>,
}

/// A note that was not taken, to be mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedNote {
    /// Of which exception.
    pub exception: String,
    /// As it was typed.
    pub note: String,
    /// Why not.
    pub why: String,
}

/// How an exception was resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// What was said of it.
    pub note: String,
}

/// Exceptions.
#[derive(Clone, Debug, PartialEq)]
pub struct ExceptionsPage {
    /// The note that was not taken just now.
    pub refused: Option<RefusedNote>,
    /// Those that are open, the oldest first.
    pub open: Vec<Exception>,
    /// Only those of that source.
    pub source: Option<String>,
    /// Those that were resolved, the newest first; a bounded number of them.
    pub resolved: Vec<Exception>,
    /// How many were resolved in all.
    pub resolved_in_all: u64,
}
