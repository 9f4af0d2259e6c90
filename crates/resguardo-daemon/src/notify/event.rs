//! What people are told of.

use jiff::Timestamp;
use resguardo_model::{SourceName, Verdict};
use serde::{Deserialize, Serialize};

/// What happened. The words are those of the webhook's `event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// An exception was opened.
    Opened,
    /// An open exception got worse.
    Worse,
    /// An exception is still open.
    Reminder,
    /// What opened an exception is over.
    Good,
    /// A run begins. Only pings are sent for it.
    RunBegan,
    /// A run failed, or died.
    RunFailed,
    /// A run did what it was to do.
    RunSucceeded,
    /// Somebody tries whether an endpoint can be told.
    Test,
}

impl What {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Worse => "worse",
            Self::Reminder => "reminder",
            Self::Good => "good",
            Self::RunBegan => "run_began",
            Self::RunFailed => "run_failed",
            Self::RunSucceeded => "run_succeeded",
            Self::Test => "test",
        }
    }

    /// `problem`, `good` or `info`.
    #[must_use]
    pub fn severity(self) -> &'static str {
        match self {
            Self::Opened | Self::Worse | Self::Reminder | Self::RunFailed => "problem",
            Self::Good | Self::RunSucceeded => "good",
            Self::RunBegan | Self::Test => "info",
        }
    }
}

/// What is known about something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactName {
    /// What was said of it, in a line or a few.
    Message,
    /// What was measured.
    Measured,
    /// What it was measured against.
    Target,
    /// The backup that it is about.
    Backup,
    /// The copy that it is about.
    Copy,
    /// When a backup of the source was last proven.
    ProvenAt,
    /// When it is tried again.
    AgainAt,
    /// What was to be done by a run.
    Verb,
    /// When it was due.
    DueAt,
    /// The instant whose data the newest backup holds.
    NewestAt,
    /// How many backups a copy lacks.
    Behind,
    /// How much was found.
    Findings,
    /// How often it happened since the exception was opened.
    Times,
    /// `failed`, or `error` of a drill that could not be carried out.
    Verdict,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it tells.
    pub name: FactName,
    /// As it is shown; a time as RFC 3339.
    pub value: String,
}

/// A drill's verdict as a fact.
pub(super) fn word_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Error => "error",
    }
}

/// The exception that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionFacts {
    /// Its id, by which it is resolved.
    pub id: String,
    /// `drill_failed`, `drill_overdue`, `run_failed`, `rpo_breached`, `rto_breached`, `copy_behind`,
    /// `verify_findings`, `backup_overdue`; one that is not known is shown as it is.
    pub kind: String,
    /// When it was opened.
    pub opened_at: Timestamp,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What.
    pub what: What,
    /// When.
    pub at: Timestamp,
    /// To which source; `None` of a test.
    pub source: Option<SourceName>,
    /// The exception.
    pub exception: Option<ExceptionFacts>,
    /// The task of a run: `backup`, `drill`, ...
    pub task: Option<String>,
    /// When the run began.
    pub began_at: Option<Timestamp>,
    /// Which time it is that an exception got worse.
    #[serde(default)]
    pub turn: i64,
    /// Until when others have told of the exception.
    #[serde(skip)]
    pub told_until: Option<Timestamp>,
    /// What else is known.
    pub facts: Vec<Fact>,
}

impl Event {
    /// An event of which nothing else is known.
    #[must_use]
    pub fn new(what: What, at: Timestamp) -> Self {
        Self {
            what,
            at,
            source: None,
            exception: None,
            task: None,
            began_at: None,
            turn: 0,
            told_until: None,
            facts: Vec::new(),
        }
    }

    /// With one more fact, unless it is empty.
    #[must_use]
    pub fn with(mut self, name: FactName, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.facts.push(Fact { name, value });
        }
        self
    }

    /// A fact.
    #[must_use]
    pub fn fact(&self, name: FactName) -> Option<&str> {
        let found = self.facts.iter().find(|fact| fact.name == name);
        found.map(|fact| fact.value.as_str())
    }

    /// What messages about the same thing have in common: they are sent one after the other.
    pub(super) fn subject(&self) -> String {
        let source = self.source.as_ref().map_or("", |source| source.as_str());
        match &self.exception {
            Some(exception) => format!("exception {}", exception.id),
            None => format!("{} of {source}", self.task.as_deref().unwrap_or("nothing")),
        }
    }

    /// What no other message about the subject has, however often it is told. A reminder has the number of
    /// its turn, `turn`, from 1.
    pub(super) fn change(&self, turn: i64) -> String {
        let word = self.what.word();
        match self.what {
            What::Opened => word.to_owned(),
            What::Reminder => format!("{word} {turn}"),
            What::RunBegan | What::RunFailed | What::RunSucceeded => {
                format!("{word} {}", self.began_at.unwrap_or(self.at))
            }
            What::Worse => format!("{word} {}", self.turn),
            What::Good | What::Test => format!("{word} {}", self.at),
        }
    }
}
