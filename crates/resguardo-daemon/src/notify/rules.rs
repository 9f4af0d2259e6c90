//! Who is told what.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use resguardo_model::SourceName;
use resguardo_model::duration::Span;
use resguardo_ops::report::Language;
use secrecy::SecretString;

use super::endpoint::Endpoint;
use super::event::{Event, What};

/// What an endpoint may want to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// An exception was opened, or got worse.
    Exception,
    /// An exception is still open.
    Reminder,
    /// What opened an exception is over.
    Recovery,
    /// A run failed, also one that is tried again.
    RunFailed,
    /// A run did what it was to do.
    RunSucceeded,
    /// A run begins. Only for pings.
    RunBegan,
}

impl Topic {
    /// Those that messages are sent about, in the order in which they are shown.
    pub const OF_MESSAGES: [Self; 5] = [
        Self::Exception,
        Self::Reminder,
        Self::Recovery,
        Self::RunFailed,
        Self::RunSucceeded,
    ];

    /// What is told where nothing is said.
    #[must_use]
    pub fn usual() -> BTreeSet<Self> {
        BTreeSet::from([Self::Exception, Self::Reminder, Self::Recovery])
    }

    /// What pings are sent about.
    #[must_use]
    pub fn of_pings() -> BTreeSet<Self> {
        BTreeSet::from([Self::RunBegan, Self::RunFailed, Self::RunSucceeded])
    }

    /// Its word in a config.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Exception => "exception",
            Self::Reminder => "reminder",
            Self::Recovery => "recovery",
            Self::RunFailed => "run_failed",
            Self::RunSucceeded => "run_succeeded",
            Self::RunBegan => "run_began",
        }
    }

    fn of(what: What) -> Option<Self> {
        Some(match what {
            What::Opened | What::Worse => Self::Exception,
            What::Reminder => Self::Reminder,
            What::Good => Self::Recovery,
            What::RunBegan => Self::RunBegan,
            What::RunFailed => Self::RunFailed,
            What::RunSucceeded => Self::RunSucceeded,
            What::Test => return None,
        })
    }
}

/// An endpoint, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The endpoint's name.
    pub endpoint: String,
    /// What it is told.
    pub topics: BTreeSet<Topic>,
    /// Of which tasks' runs it is told; empty: of all.
    pub tasks: BTreeSet<String>,
    /// In which language.
    pub language: Language,
    /// It is pinged: what is an hour old is not worth sending.
    pub is_ping: bool,
}

impl Route {
    /// Whether the endpoint wants to hear this.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let is_of_task = match &event.task {
            Some(task) => self.tasks.is_empty() || self.tasks.contains(task),
            None => true,
        };
        is_of_task && Topic::of(event.what).is_some_and(|topic| self.topics.contains(&topic))
    }
}

/// What holds for a source.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Its environment.
    pub environment: String,
    /// In which zone its people live.
    pub zone: TimeZone,
    /// After how long they are reminded of what is still open; `None`: never.
    pub remind: Option<Span>,
    /// Who is told.
    pub routes: Vec<Route>,
}

/// What is configured, read anew for each message: an address may have changed.
pub trait Directory: Send + Sync {
    /// What holds for a source; `None`: nobody is told anything.
    fn rules(&self, source: &SourceName) -> Option<Rules>;

    /// An endpoint, with its secrets; `None` if there is none of this name any more. It may take long: a
    /// command may be asked for a secret.
    ///
    /// # Errors
    /// Why it cannot be used at present, in a line, without secrets.
    fn endpoint(&self, name: &str) -> Result<Option<Endpoint>, String>;

    /// What no text may have in it, as far as it is known without asking anybody.
    fn secrets(&self) -> Vec<SecretString>;
}
