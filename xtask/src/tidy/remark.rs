//! What a rule has to say about a line.

use std::fmt;

/// Does it stop a change?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// It does.
    Violation,
    /// It is worth a look.
    Note,
}

/// What a rule has to say about a line. Sorts by place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Remark {
    pub(super) path: String,
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) weight: Weight,
    pub(super) why: String,
}

impl Remark {
    pub(super) fn violation(path: &str, line: usize, why: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            weight: Weight::Violation,
            why: why.into(),
        }
    }

    pub(super) fn note(path: &str, line: usize, why: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            weight: Weight::Note,
            why: why.into(),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = if self.weight == Weight::Note {
            "note: "
        } else {
            ""
        };
        write!(f, "{}:{}: {note}{}", self.path, self.line, self.why)
    }
}
