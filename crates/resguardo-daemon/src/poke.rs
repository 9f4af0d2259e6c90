//! Somebody asks for a run now, out of turn: a person by the dashboard, or a program by its API.

use resguardo_model::BackupId;

use crate::agenda::{Subject, Task};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poke {
    /// To whom.
    pub subject: Subject,
    /// What is to be done.
    pub task: Task,
    /// How, and on whose behalf.
    pub asked: Asked,
}

/// How a run is to be done that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asked: the run's operator.
    pub by: String,
    /// A drill: of this backup, and not of the one that the config chooses.
    pub backup: Option<BackupId>,
    /// A drill: what was restored stays.
    pub keep: bool,
}

impl Asked {
    /// As the config has it.
    #[must_use]
    pub fn by(who: impl Into<String>) -> Self {
        Self {
            by: who.into(),
            backup: None,
            keep: false,
        }
    }
}

/// What becomes of it. Asked again meanwhile, nothing is done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It begins.
    Begun,
    /// The same runs already.
    Running,
    /// It begins when its source is free, and there is room.
    Waits,
    /// There is no such source.
    NotConfigured,
    /// No run is begun any more.
    Stopping,
}
